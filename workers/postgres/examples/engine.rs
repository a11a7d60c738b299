//! Drives the replication engine by hand against a pair of clusters: `engine STEP…`, each step printed with its time.
//! The pair is told by environment variables (`CHANGEOVER_SOURCE_PORT`, …), the databases by `CHANGEOVER_DATABASES`
//! (default `shop billing`), each optionally followed by `+schema.table` for insert-only tables.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::too_many_lines, missing_docs)]

use std::time::{Duration, Instant};

use changeover_domain::{
    Direction, Failure, Side,
    proto::{Budgets, Database, Endpoint, Replication, SecretRef, Spec, secret_ref::From},
};
use changeover_postgres::{Migration, ddl_guard, drift, home, leftovers, pglogical};

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} isn't set"))
}

fn endpoint(side: &str) -> Endpoint {
    Endpoint {
        host: var(&format!("CHANGEOVER_{side}_HOST")),
        port: var(&format!("CHANGEOVER_{side}_PORT")).parse().unwrap(),
        user: var("CHANGEOVER_USER"),
        password: Some(SecretRef { from: Some(From::Env(format!("CHANGEOVER_{side}_PASSWORD"))) }),
        maintenance_database: "postgres".into(),
        ca_file: var("CHANGEOVER_CA"),
        escalation: "rds_tools.escalate".into(),
        ..Endpoint::default()
    }
}

fn spec() -> Spec {
    let databases = std::env::var("CHANGEOVER_DATABASES").unwrap_or_else(|_| "shop billing".into());
    let database = |text: &str| {
        let mut parts = text.split('+').map(str::to_owned);
        Database { name: parts.next().unwrap(), insert_only_tables: parts.collect() }
    };
    Spec {
        name: "trial".into(),
        source: Some(endpoint("SOURCE")),
        target: Some(endpoint("TARGET")),
        databases: databases
            .split(if databases.contains(";") { ";" } else { " " })
            .filter(|d| !d.is_empty())
            .map(database)
            .collect(),
        replication: Some(Replication {
            user: var("CHANGEOVER_REPLICATION_USER"),
            password: Some(SecretRef { from: Some(From::Env("CHANGEOVER_REPLICATION_PASSWORD".into())) }),
            server_ca_file: var("CHANGEOVER_CA"),
            poll_ms: 500,
        }),
        budgets: Some(Budgets { max_retained_wal_bytes: 1 << 30, ..Budgets::default() }),
        ..Spec::default()
    }
}

async fn step(m: &Migration, name: &str) -> Result<String, Failure> {
    Ok(match name {
        "home" => {
            home::ensure(m, &m.source).await?;
            home::ensure(m, &m.target).await?;
            String::new()
        }
        "baseline" => format!("{} objects", drift::baseline(m, Side::Source).await?),
        "drift" => format!("{:?}", drift::check(m, Side::Source).await?),
        "provider" => format!("{:?}", pglogical::ensure_provider(m, Direction::Forward).await?),
        "forward" => format!("{:?}", pglogical::ensure_forward(m).await?),
        "reverse" => format!("{:?}", pglogical::ensure_reverse(m).await?),
        "progress" => format!("{:?}", pglogical::sync_progress(m).await?),
        "wait" => loop {
            let look = pglogical::sync_progress(m).await?;
            println!("  {:?}", look);
            if look.ready {
                break String::new();
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        },
        "health" => format!("{:#?}", pglogical::health(m, Direction::Forward).await?),
        "health-reverse" => format!("{:#?}", pglogical::health(m, Direction::Reverse).await?),
        "unstick" => format!("{:?}", pglogical::unstick(m, Direction::Forward).await?),
        "unstick-reverse" => format!("{:?}", pglogical::unstick(m, Direction::Reverse).await?),
        "reset" => format!("{:?}", pglogical::reset_forward(m).await?),
        "guard" => {
            format!("{:?} {:?}", ddl_guard::ensure(m, Side::Source).await?, ddl_guard::ensure(m, Side::Target).await?)
        }
        "unguard" => {
            ddl_guard::remove(m, Side::Source).await?;
            ddl_guard::remove(m, Side::Target).await?;
            String::new()
        }
        "remove-forward" => format!("{:?}", pglogical::remove(m, Direction::Forward).await?),
        "remove-reverse" => format!("{:?}", pglogical::remove(m, Direction::Reverse).await?),
        "remove-all" => format!("{:?}", pglogical::remove_all(m).await?),
        "unhome" => {
            home::remove(m, &m.source).await?;
            home::remove(m, &m.target).await?;
            String::new()
        }
        "clean" => format!(
            "{:?} {:?}",
            leftovers::prove_clean(m, Side::Source).await?,
            leftovers::prove_clean(m, Side::Target).await?
        ),
        other => panic!("no step {other}"),
    })
}

#[tokio::main]
async fn main() {
    let migration = Migration::resolve(&spec()).unwrap();
    for name in std::env::args().skip(1) {
        let begun = Instant::now();
        match step(&migration, &name).await {
            Ok(text) => println!("{name}: {:?} {text}", begun.elapsed()),
            Err(failure) => {
                println!("{name}: {:?} FAILED {failure}\n  remedy: {}", begun.elapsed(), failure.remedy);
                std::process::exit(1);
            }
        }
    }
}
