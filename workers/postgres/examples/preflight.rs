//! Runs preflight against two instances that the environment describes, and prints what it found.
//! `cargo run -p changeover-postgres --example preflight -- shop billing`
//!
//! Reads CHANGEOVER_{SOURCE,TARGET}_{HOST,PORT,PASSWORD}, CHANGEOVER_CA, CHANGEOVER_USER, CHANGEOVER_REPLICATION_{USER,PASSWORD}
//! and, where they are set, CHANGEOVER_ESCALATION, CHANGEOVER_INSERT_ONLY (`database=schema.table,…`) and
//! CHANGEOVER_POOLER (`host:port:user:file`, its password in CHANGEOVER_POOLER_PASSWORD).

use changeover_domain::proto;
use changeover_postgres::{Migration, preflight};

fn variable(name: &str) -> Result<String, String> {
    std::env::var(format!("CHANGEOVER_{name}")).map_err(|_| format!("CHANGEOVER_{name} isn't set"))
}

fn secret(name: &str) -> Option<proto::SecretRef> {
    Some(proto::SecretRef { from: Some(proto::secret_ref::From::Env(format!("CHANGEOVER_{name}"))) })
}

fn endpoint(side: &str) -> Result<proto::Endpoint, String> {
    Ok(proto::Endpoint {
        host: variable(&format!("{side}_HOST"))?,
        port: variable(&format!("{side}_PORT"))?.parse().map_err(|_| format!("port of the {side}"))?,
        user: variable("USER")?,
        password: secret(&format!("{side}_PASSWORD")),
        maintenance_database: "postgres".to_owned(),
        ca_file: variable("CA")?,
        escalation: variable("ESCALATION").unwrap_or_default(),
        ..proto::Endpoint::default()
    })
}

fn pooler() -> Option<proto::Pooler> {
    let text = variable("POOLER").ok()?;
    let mut parts = text.splitn(4, ':');
    Some(proto::Pooler {
        host: parts.next()?.to_owned(),
        port: parts.next()?.parse().ok()?,
        user: parts.next()?.to_owned(),
        databases_file: parts.next()?.to_owned(),
        password: secret("POOLER_PASSWORD"),
        ca_file: variable("CA").ok()?,
    })
}

fn spec(databases: &[String]) -> Result<proto::Spec, String> {
    let listed = variable("INSERT_ONLY").unwrap_or_default();
    let insert_only = |database: &str| {
        let mine = listed.split(',').filter_map(|l| l.split_once('=')).filter(|(d, _)| *d == database);
        mine.map(|(_, table)| table.to_owned()).collect()
    };
    Ok(proto::Spec {
        name: "example".to_owned(),
        source: Some(endpoint("SOURCE")?),
        target: Some(endpoint("TARGET")?),
        databases: databases
            .iter()
            .map(|d| proto::Database { name: d.clone(), insert_only_tables: insert_only(d) })
            .collect(),
        engine: "auto".to_owned(),
        replication: Some(proto::Replication {
            user: variable("REPLICATION_USER")?,
            password: secret("REPLICATION_PASSWORD"),
            server_ca_file: variable("CA")?,
            poll_ms: 1000,
        }),
        traffic: Some(proto::Traffic { poolers: pooler().into_iter().collect() }),
        gates: Some(proto::Gates { max_transaction_age_ms: 5_000, ..proto::Gates::default() }),
        budgets: Some(proto::Budgets {
            sequence_margin: 1_000,
            max_retained_wal_bytes: 16 << 30,
            ..proto::Budgets::default()
        }),
        ..proto::Spec::default()
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let databases: Vec<String> = std::env::args().skip(1).collect();
    let migration = Migration::resolve(&spec(&databases)?)?;
    let report = preflight::run(&migration).await?;
    for finding in &report.findings {
        let place = [&finding.side, &finding.database, &finding.object].map(String::as_str).join(" ");
        println!(
            "{:<8} {} [{}]\n    {}\n    -> {}",
            finding.severity().as_str_name().trim_start_matches("SEVERITY_"),
            finding.code,
            place.trim(),
            finding.message,
            finding.remedy
        );
    }
    println!("{}", serde_json::to_string_pretty(&report.databases)?);
    Ok(())
}
