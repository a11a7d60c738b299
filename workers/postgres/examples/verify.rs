//! Verifies two live servers by hand: `verify [forward|reverse] DATABASE…`. Addresses and passwords come from the environment
//! (CHANGEOVER_SOURCE_HOST, _PORT, _PASSWORD, the same for TARGET, CHANGEOVER_USER, CHANGEOVER_CA, CHANGEOVER_ESCALATION, CHANGEOVER_MIGRATION,
//! CHANGEOVER_REPLICATION_USER, CHANGEOVER_REPLICATION_PASSWORD). Replication and the home schemas must be there.
#![allow(clippy::print_stdout)]

use std::{env, time::Instant};

use changeover_domain::{
    Direction,
    proto::{Database, Endpoint, Replication, SecretRef, Spec, Verification, secret_ref::From},
};
use changeover_postgres::{Migration, verify};

fn variable(name: &str) -> String {
    env::var(format!("CHANGEOVER_{name}")).unwrap_or_default()
}

fn secret(name: &str) -> Option<SecretRef> {
    Some(SecretRef { from: Some(From::Env(format!("CHANGEOVER_{name}"))) })
}

fn endpoint(side: &str) -> Option<Endpoint> {
    Some(Endpoint {
        host: variable(&format!("{side}_HOST")),
        port: variable(&format!("{side}_PORT")).parse().unwrap_or(5432),
        user: variable("USER"),
        password: secret(&format!("{side}_PASSWORD")),
        maintenance_database: "postgres".into(),
        ca_file: variable("CA"),
        escalation: variable("ESCALATION"),
        ..Endpoint::default()
    })
}

#[tokio::main]
async fn main() -> Result<(), changeover_domain::Failure> {
    let mut arguments = env::args().skip(1);
    let direction =
        if arguments.next().as_deref() == Some("reverse") { Direction::Reverse } else { Direction::Forward };
    let spec = Spec {
        name: env::var("CHANGEOVER_MIGRATION").unwrap_or_else(|_| "verify".into()),
        source: endpoint("SOURCE"),
        target: endpoint("TARGET"),
        databases: arguments.map(|name| Database { name, ..Database::default() }).collect(),
        replication: Some(Replication {
            user: variable("REPLICATION_USER"),
            password: secret("REPLICATION_PASSWORD"),
            ..Replication::default()
        }),
        verification: Some(Verification { chunk_ms: 150, chunk_rows: 10_000 }),
        ..Spec::default()
    };
    let migration = Migration::resolve(&spec)?;
    let began = Instant::now();
    let totals = verify::run(&migration, direction, None, &|cursor| {
        println!(
            "{:6.1} s {}/{} {}: {} rows, {} keys read again",
            began.elapsed().as_secs_f64(),
            cursor.table,
            cursor.tables_in_database,
            cursor.table_name,
            cursor.rows,
            cursor.rechecked_keys
        );
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    println!("{}", serde_json::to_string_pretty(&totals).unwrap_or_default());
    println!("{seconds:.1} s");
    changeover_domain::verify::may_go_on(&totals)
}
