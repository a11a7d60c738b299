//! `changeover doctor`

use std::{fs::OpenOptions, path::PathBuf, process::Command};

use changeover_domain::{
    aws::stored::references,
    proto::{SecretRef, Spec},
};
use changeover_postgres::secret::Known;
use serde::Serialize;

use crate::{connect, exit::Exit, problem::Problem, spec_file, ui::Ui};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also check what this spec refers to: secrets, CA files, the poolers' files
    #[arg(value_name = "SPEC")]
    spec: Option<PathBuf>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    what: String,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

impl Check {
    fn good(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), ok: true, found: found.into(), remedy: String::new() }
    }
    fn bad(what: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), ok: false, found: found.into(), remedy: remedy.into() }
    }
}

pub(super) async fn run(ui: &Ui, args: &Args) -> Result<Exit, Problem> {
    let mut checks = temporal(ui).await;
    checks.extend(["pg_dump", "pg_restore"].map(client_tool));
    if let Some(path) = &args.spec {
        let spec = spec_file::read(path)?;
        checks.push(Check::good("spec", format!("{} is understood", path.display())));
        checks.extend(of_spec(&spec).await);
    }
    if ui.json {
        ui.print_json(&checks)?;
    } else {
        for check in &checks {
            let mark = if check.ok { ui.out.good("ok  ") } else { ui.out.bad("FAIL") };
            ui.print(&format!("{mark}  {:<28} {}", check.what, check.found));
            if !check.remedy.is_empty() {
                ui.print(&format!("      {} {}", ui.out.now("help:"), check.remedy));
            }
        }
    }
    Ok(if checks.iter().all(|c| c.ok) { Exit::Done } else { Exit::Failed })
}

async fn temporal(ui: &Ui) -> Vec<Check> {
    let temporal = match connect::connect(ui, connect::Missing::Refuse).await {
        Ok(temporal) => temporal,
        Err(problem) => return vec![Check::bad("Temporal", problem.message, problem.remedy)],
    };
    let place = format!("{}, namespace {}", temporal.address, temporal.namespace);
    let workers = match temporal.workers().await {
        Ok(workers) if workers.is_empty() => Check::bad(
            "worker",
            "none polls the task queue",
            "start one: `changeover worker`, where both servers and the poolers can be reached",
        ),
        Ok(workers) => Check::good("worker", workers.join(", ")),
        Err(problem) => {
            return vec![Check::bad("Temporal", problem.message, "check the namespace: TEMPORAL_NAMESPACE")];
        }
    };
    vec![Check::good("Temporal", place), workers]
}

/// PostgreSQL's own tools, which the worker runs.
fn client_tool(name: &str) -> Check {
    let remedy = "install PostgreSQL's client package of the target's version or newer (postgresql-client)";
    match Command::new(name).arg("--version").output() {
        Ok(output) if output.status.success() => {
            Check::good(name, String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => Check::bad(name, format!("ends with {}", output.status), remedy),
        Err(error) => Check::bad(name, format!("can't be run: {error}"), remedy),
    }
}

/// What a spec refers to, as this machine and environment have it. Right where the worker runs.
async fn of_spec(spec: &Spec) -> Vec<Check> {
    let mut checks = Vec::new();
    let known = changeover_worker::known(spec, references(spec)).await;
    let secret = |what: &str, reference: Option<&SecretRef>| secret(what, reference, &known);
    let mut spec = spec.clone();
    if let Err(failure) = changeover_worker::with_ca_files(&mut spec) {
        checks.push(Check::bad("ca_file", failure.message, failure.remedy));
    }
    for (side, endpoint) in [("source", &spec.source), ("target", &spec.target)] {
        let Some(endpoint) = endpoint else { continue };
        if side == "source" || spec.aws.is_none() {
            checks.push(secret(&format!("{side}.password"), endpoint.password.as_ref()));
        }
        if !endpoint.ca_file.is_empty() {
            checks.push(ca_file(&format!("{side}.ca_file"), &endpoint.ca_file));
        }
    }
    checks.push(secret("replication.password", spec.replication.as_ref().and_then(|r| r.password.as_ref())));
    for role in spec.roles.iter().flat_map(|r| &r.passwords) {
        checks.push(secret(&format!("password of role {}", role.role), role.password.as_ref()));
    }
    if let Some(token) = spec.aws.as_ref().and_then(|aws| aws.webhook_token.as_ref()) {
        checks.push(secret("aws.publish.webhook_token", Some(token)));
    }
    for pooler in spec.traffic.iter().flat_map(|t| &t.poolers) {
        let place = format!("pgbouncer {}:{}", pooler.host, pooler.port);
        checks.push(secret(&format!("{place} password"), pooler.password.as_ref()));
        checks.push(ca_file(&format!("{place} ca_file"), &pooler.ca_file));
        checks.push(writable(&format!("{place} databases_file"), &pooler.databases_file));
    }
    checks
}

fn secret(what: &str, reference: Option<&SecretRef>, known: &Known) -> Check {
    match changeover_postgres::secret::resolve(reference, what, known) {
        Ok(secret) if secret.expose().is_empty() => Check::bad(what, "is empty", "put the password there"),
        Ok(_) => Check::good(what, "is there"),
        Err(failure) => Check::bad(what, failure.message, failure.remedy),
    }
}

fn ca_file(what: &str, path: &str) -> Check {
    match changeover_postgres::connect::tls(path) {
        Ok(_) => Check::good(what, path),
        Err(failure) => Check::bad(what, failure.message, failure.remedy),
    }
}

fn writable(what: &str, path: &str) -> Check {
    match OpenOptions::new().append(true).open(path) {
        Ok(_) => Check::good(what, path),
        Err(error) => Check::bad(what, format!("{path} can't be written: {error}"), "let the worker's user write it"),
    }
}
