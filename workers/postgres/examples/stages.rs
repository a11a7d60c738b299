//! Runs single stages against a pair of throw-away clusters, named by the environment (`CHANGEOVER_SOURCE_PORT` …), to try them
//! out: `cargo run -p changeover-postgres --example stages -- roles before after` or `… -- schema-undo roles-undo`.

use std::error::Error;

use changeover_domain::Side;
use changeover_domain::proto::{
    Database, Endpoint, Replication, RolePassword, Roles, SecretRef, Spec, secret_ref::From,
};
use changeover_postgres::{Migration, home, pglogical, roles, schema, triggers};

fn env(name: &str) -> Option<SecretRef> {
    Some(SecretRef { from: Some(From::Env(name.to_owned())) })
}

fn endpoint(side: &str) -> Result<Endpoint, Box<dyn Error>> {
    let var = |name: &str| std::env::var(format!("CHANGEOVER_{name}")).map_err(|e| format!("CHANGEOVER_{name}: {e}"));
    Ok(Endpoint {
        host: var(&format!("{side}_HOST"))?,
        port: var(&format!("{side}_PORT"))?.parse()?,
        user: var(&format!("{side}_USER")).or_else(|_| var("USER"))?,
        password: env(&format!("CHANGEOVER_{side}_PASSWORD")),
        maintenance_database: "postgres".to_owned(),
        ca_file: var("CA")?,
        escalation: "rds_tools.escalate".to_owned(),
        ..Endpoint::default()
    })
}

fn database(name: &str) -> Database {
    let tables = std::env::var("CHANGEOVER_INSERT_ONLY").unwrap_or_default();
    let insert_only_tables = tables.split(',').filter(|table| !table.is_empty()).map(str::to_owned).collect();
    Database { name: name.to_owned(), insert_only_tables }
}

fn spec() -> Result<Spec, Box<dyn Error>> {
    let databases = std::env::var("CHANGEOVER_DATABASES").unwrap_or_else(|_| "shop,billing".to_owned());
    let keep_login = std::env::var("CHANGEOVER_KEEP_LOGIN")
        .map(|text| text.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    let password_of = std::env::var("CHANGEOVER_PASSWORD_OF").unwrap_or_default();
    let passwords = password_of.split(',').filter(|role| !role.is_empty());
    Ok(Spec {
        name: "pair".to_owned(),
        source: Some(endpoint("SOURCE")?),
        target: Some(endpoint("TARGET")?),
        databases: databases.split(',').map(database).collect(),
        replication: Some(Replication {
            user: std::env::var("CHANGEOVER_REPLICATION_USER")?,
            password: env("CHANGEOVER_REPLICATION_PASSWORD"),
            server_ca_file: std::env::var("CHANGEOVER_CA")?,
            ..Replication::default()
        }),
        roles: Some(Roles {
            passwords: passwords
                .map(|role| RolePassword { role: role.to_owned(), password: env("CHANGEOVER_OWNER_PASSWORD") })
                .collect(),
            keep_login,
        }),
        ..Spec::default()
    })
}

/// Replication to the target, until every table is ready.
async fn forward(migration: &Migration) -> Result<String, changeover_domain::Failure> {
    pglogical::ensure_forward(migration).await?;
    loop {
        let progress = pglogical::sync_progress(migration).await?;
        if progress.ready {
            return Ok(format!("{:?}", progress.progress));
        }
        eprintln!("waiting: {:?} {:?}", progress.progress, progress.problems);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let migration = Migration::resolve(&spec()?)?;
    for stage in std::env::args().skip(1) {
        let begun = std::time::Instant::now();
        let outcome = match stage.as_str() {
            "roles" => roles::ensure(&migration).await.map(|o| format!("{o:?}")),
            "before" => schema::ensure_before_data(&migration).await.map(|o| format!("{o:?}")),
            "forward" => forward(&migration).await,
            "engine-undo" => pglogical::remove_all(&migration).await.map(|_| String::new()),
            "after" => schema::ensure_after_data(&migration, &|_| {}).await.map(|o| format!("{o:?}")),
            "compare" => schema::compare::run(&migration).await.map(|o| format!("{o:?}")),
            "triggers-restore" => triggers::restore(&migration, Side::Target).await.map(|o| format!("{o:?}")),
            "schema-undo" => schema::undo(&migration).await.map(|()| String::new()),
            "roles-undo" => roles::undo(&migration).await.map(|()| String::new()),
            "home-undo" => home::remove(&migration, &migration.target).await.map(|()| String::new()),
            "home-undo-source" => home::remove(&migration, &migration.source).await.map(|()| String::new()),
            other => return Err(format!("no stage {other}").into()),
        };
        match outcome {
            Ok(text) => eprintln!("{stage}: {text} ({:?})", begun.elapsed()),
            Err(failure) => {
                eprintln!("{stage}: {failure} [{}] -> {}", failure.class.word(), failure.remedy);
                return Err(stage.into());
            }
        }
    }
    Ok(())
}
