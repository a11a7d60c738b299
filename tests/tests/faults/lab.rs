//! A stack on which one migration after the other is begun, hurt, undone and judged.

use crate::fault::Fault;
use anyhow::{Context, Result, ensure};
use changeover_tests::{
    oracle::Difference,
    product::Product,
    proxy::Proxy,
    scenario::{Scenario, ScenarioOptions, application_roles},
    stack::{Side, Stack, StackInfo, connect, process},
};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest time until the load is acknowledged again after something crashed.
const ACKNOWLEDGED: Duration = Duration::from_secs(60);

/// The stack with its links, the load and the product.
pub struct Lab<'a> {
    pub stack: &'a Stack,
    pub scenario: Scenario<'a>,
    pub links: Links,
    /// Where the worker finds the source's password.
    password_file: PathBuf,
    runs: u32,
}

/// The links between the parts, each through a proxy.
pub struct Links {
    pub to_source: Proxy,
    pub to_target: Proxy,
    /// By which the target reads the source.
    pub peer: Proxy,
}

impl Links {
    async fn start(info: &StackInfo) -> Result<Self> {
        Ok(Self {
            to_source: Proxy::start(info.source.port).await?,
            to_target: Proxy::start(info.target.port).await?,
            peer: Proxy::start(info.source.port).await?,
        })
    }

    /// The proxy that a fault is about.
    pub fn of(&self, fault: Fault) -> Option<&Proxy> {
        match fault {
            Fault::CutSource | Fault::ResetSource | Fault::SlowSource | Fault::SilentSource => Some(&self.to_source),
            Fault::CutTarget | Fault::ResetTarget | Fault::SlowTarget | Fault::SilentTarget => Some(&self.to_target),
            Fault::CutPeer | Fault::ResetPeer | Fault::SlowPeer | Fault::SilentPeer => Some(&self.peer),
            _ => None,
        }
    }
}

impl<'a> Lab<'a> {
    /// Loads the sample, starts the load, and writes a spec that leads through the proxies.
    pub async fn prepare(stack: &'a Stack, directory: &Path) -> Result<Self> {
        let info = stack.info();
        let options = ScenarioOptions {
            size_mb: 2,
            writers: 2,
            rate: 5.0,
            soak: "1s".to_owned(),
            directory: directory.to_owned(),
        };
        let mut scenario = Scenario::prepare(info, &options, false).await?;
        scenario.stop_worker().await?;
        let links = Links::start(info).await?;
        let password_file = directory.join("source-password");
        std::fs::write(&password_file, &info.source_passwords.master)?;
        lead_through(&scenario.spec, info, &links, &password_file)?;
        lead_pooler_through(info, &links).await?;
        Ok(Self { stack, scenario, links, password_file, runs: 0 })
    }

    pub fn info(&self) -> &'a StackInfo {
        self.stack.info()
    }

    pub fn product(&self) -> &Product {
        &self.scenario.product
    }

    /// A number for the logs of the next run.
    pub fn next_run(&mut self) -> u32 {
        self.runs += 1;
        self.runs
    }

    /// What isn't as it was before the first run, on both sides, the rows that clients were acknowledged for included.
    pub async fn differences(&self) -> Result<Vec<Difference>> {
        self.no_session_is_left().await?;
        self.scenario.before.after_abort(self.info()).await
    }

    /// Of the product. A worker that has just been killed or stopped leaves some for a moment.
    async fn no_session_is_left(&self) -> Result<()> {
        let sessions = "select count(*) from pg_catalog.pg_stat_activity where application_name like 'changeover/%'";
        for side in [Side::Source, Side::Target] {
            let client = connect::as_superuser(self.info().cluster(side), "postgres").await?;
            let what = format!("the worker's sessions on the {} are gone", side.name());
            process::wait_until(&what, Duration::from_secs(20), async || {
                client.query_one(sessions, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) == 0)
            })
            .await?;
        }
        Ok(())
    }

    /// What isn't as a migration that has come to its end has to leave it.
    pub async fn differences_at_the_end(&self) -> Result<Vec<Difference>> {
        self.no_session_is_left().await?;
        self.scenario.before.after_finalize(self.info(), &application_roles()).await
    }

    /// The load goes on: a client is acknowledged for a transaction that it begins now.
    pub async fn clients_are_served(&self) -> Result<()> {
        let load = self.scenario.workload.as_ref().context("there is no load")?;
        let wanted = load.stats().acknowledged + 4;
        process::wait_until("clients are acknowledged", ACKNOWLEDGED, async || load.stats().acknowledged >= wanted)
            .await
    }

    /// Ends the load; the side that serves has to hold all that was acknowledged.
    pub async fn judge(&mut self, serving: Side) -> Result<u64> {
        let verdict = self.scenario.judge(serving).await?;
        ensure!(verdict.is_clean(), "the ledger contradicts the {}: {verdict:#?}", serving.name());
        Ok(verdict.acknowledged)
    }

    /// Gives the source's login another password, and keeps the verifier of the one that it has.
    pub async fn change_password(&self) -> Result<Rotated> {
        let client = connect::as_superuser(&self.info().source, "postgres").await?;
        let row =
            client.query_one("select rolpassword from pg_catalog.pg_authid where rolname = 'changeover'", &[]).await?;
        let password = "another-one-for-a-while".to_owned();
        alter_password(&client, &password).await?;
        Ok(Rotated { verifier: row.get(0), password })
    }

    /// What an operator does: the place that the spec refers to has the new password.
    pub fn tell_password(&self, password: &str) -> Result<()> {
        std::fs::write(&self.password_file, password).context("writing the password's file")
    }

    /// The old password holds again.
    pub async fn change_password_back(&self, rotated: &Rotated) -> Result<()> {
        let client = connect::as_superuser(&self.info().source, "postgres").await?;
        alter_password(&client, &rotated.verifier).await?;
        self.tell_password(&self.info().source_passwords.master)
    }
}

async fn alter_password(client: &connect::Client, password: &str) -> Result<()> {
    // A password has no business in a log, not even in this one.
    client.batch_execute("set log_statement = none").await?;
    client.batch_execute(&format!("alter role changeover password '{password}'")).await.context("changing the password")
}

/// A password that was changed.
#[derive(Clone, Debug)]
pub struct Rotated {
    verifier: String,
    pub password: String,
}

/// The pooler has to lead where the spec says that the others find the source.
async fn lead_pooler_through(info: &StackInfo, links: &Links) -> Result<()> {
    let file = info.pooler.databases_file();
    let text = std::fs::read_to_string(&file)?;
    let route = format!("port={} ", info.source.port);
    ensure!(text.contains(&route), "the pooler doesn't lead to the source: {text}");
    std::fs::write(&file, text.replace(&route, &format!("port={} ", links.peer.port())))?;
    process::signal(info.pooler.pid().context("PgBouncer doesn't run")?, "HUP").await
}

/// The worker reaches both sides through proxies, and so does the target the source.
fn lead_through(spec: &str, info: &StackInfo, links: &Links, password_file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(spec)?;
    let source = format!("port = {}\n", info.source.port);
    let target = format!("port = {}\n", info.target.port);
    let password = "password = { env = \"CHANGEOVER_SOURCE_PASSWORD\" }";
    for part in [&source[..], &target, password] {
        ensure!(text.matches(part).count() == 1, "the spec has no `{}`", part.trim());
    }
    let through = format!("port = {}\npeer_port = {}\n", links.to_source.port(), links.peer.port());
    let text = text
        .replace(&source, &through)
        .replace(&target, &format!("port = {}\npeer_port = {}\n", links.to_target.port(), info.target.port))
        .replace(password, &format!("password = {{ file = \"{}\" }}", password_file.display()));
    std::fs::write(spec, text).context("writing the spec")
}
