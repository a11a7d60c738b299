//! The sample instance: databases `shop` and `billing`, made from `tests/sql/sample`.

use crate::stack::{Cluster, Side, StackInfo, connect, rds};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::{Client, Config, NoTls};

/// The sample's databases, the main one first.
pub const DATABASES: [&str; 2] = ["shop", "billing"];

const ROLES: &str = include_str!("../sql/sample/00-roles.sql");
const CREATE_DATABASES: &str = include_str!("../sql/sample/01-databases.sql");
const SETTINGS: &str = include_str!("../sql/sample/02-settings.sql");
const FINISH: &str = include_str!("../sql/sample/99-finish.sql");
/// Database, name of the file, its text; in order.
const SCRIPTS: [(&str, &str, &str); 8] = [
    ("shop", "shop/10-types.sql", include_str!("../sql/sample/shop/10-types.sql")),
    ("shop", "shop/20-tables.sql", include_str!("../sql/sample/shop/20-tables.sql")),
    ("shop", "shop/30-data.sql", include_str!("../sql/sample/shop/30-data.sql")),
    ("shop", "shop/40-constraints.sql", include_str!("../sql/sample/shop/40-constraints.sql")),
    ("shop", "shop/50-code.sql", include_str!("../sql/sample/shop/50-code.sql")),
    ("shop", "shop/60-rights.sql", include_str!("../sql/sample/shop/60-rights.sql")),
    ("billing", "billing/10-schema.sql", include_str!("../sql/sample/billing/10-schema.sql")),
    ("billing", "billing/20-data.sql", include_str!("../sql/sample/billing/20-data.sql")),
];

/// How to reach one server: where, and as whom.
#[derive(Clone)]
pub enum Access {
    /// Over its unix socket, without a password.
    Socket {
        /// The socket's directory.
        directory: PathBuf,
        /// The port, a part of the socket's name.
        port: u16,
        /// The role.
        user: String,
    },
    /// Over TLS with the server's certificate and name verified.
    Tcp {
        /// Name or address; the certificate must carry it.
        host: String,
        /// The port.
        port: u16,
        /// The role.
        user: String,
        /// Its password.
        password: String,
        /// The certificate authority's file, PEM.
        ca: PathBuf,
    },
}

impl Access {
    /// A cluster of the stack, as its superuser.
    pub fn superuser(cluster: &Cluster) -> Self {
        Self::Socket { directory: cluster.socket(), port: cluster.port, user: "rdsadmin".to_owned() }
    }

    /// A cluster of the stack, as RDS's master user.
    pub fn master(stack: &StackInfo, side: Side) -> Self {
        Self::Tcp {
            host: "127.0.0.1".to_owned(),
            port: stack.cluster(side).port,
            user: rds::MASTER.to_owned(),
            password: stack.passwords(side).master.clone(),
            ca: stack.ca.clone(),
        }
    }

    /// Opens a session. Its task ends with the client.
    pub async fn open(&self, database: &str) -> Result<Client> {
        let mut config = Config::new();
        config.dbname(database).application_name(connect::HARNESS).connect_timeout(Duration::from_secs(10));
        match self {
            Self::Socket { directory, port, user } => {
                config.host_path(directory).port(*port).user(user);
                let (client, connection) =
                    config.connect(NoTls).await.with_context(|| format!("connecting to {database} as {user}"))?;
                tokio::spawn(connection);
                Ok(client)
            }
            Self::Tcp { host, port, user, password, ca } => {
                config.host(host).port(*port).user(user).password(password);
                config.ssl_mode(tokio_postgres::config::SslMode::Require);
                let (client, connection) = config
                    .connect(connect::tls(ca)?)
                    .await
                    .with_context(|| format!("connecting to {database} at {host}:{port} as {user}"))?;
                tokio::spawn(connection);
                Ok(client)
            }
        }
    }
}

/// The password of a role of the sample: good for throw-away clusters only.
pub fn password(role: &str) -> String {
    format!("sample-{role}")
}

/// The tables of a database that have no key: rows are only ever appended to them.
pub fn append_only(database: &str) -> &'static [&'static str] {
    match database {
        "shop" => &["audit_trail.access_log", "workload.handed_out", "workload.journal"],
        "billing" => &["billing.message", "workload.handed_out", "workload.journal"],
        _ => &[],
    }
}

/// Makes roles and databases and loads both. `size_mb` is about the size of `shop`, in MB; `billing` gets a tenth of the rows.
/// The server must not have the databases, or have them empty.
pub async fn load(access: &Access, size_mb: u32) -> Result<()> {
    let client = access.open("postgres").await?;
    for database in DATABASES {
        ensure_empty(access, &client, database).await?;
    }
    client.batch_execute(ROLES).await.context("loading 00-roles.sql")?;
    for statement in statements(CREATE_DATABASES) {
        match client.batch_execute(&statement).await {
            // Somebody made it before us; it becomes its owner's.
            Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::DUPLICATE_DATABASE) => {
                let words: Vec<&str> = statement.split_whitespace().collect();
                let [_, _, database, _, owner, ..] = words[..] else {
                    anyhow::bail!("what does `{statement}` create?")
                };
                client.batch_execute(&format!("alter database {database} owner to {owner}")).await?;
            }
            other => other.with_context(|| format!("running {statement}"))?,
        }
    }
    client.batch_execute(SETTINGS).await.context("loading 02-settings.sql")?;
    for database in DATABASES {
        load_database(access, database, size_mb).await?;
    }
    client.batch_execute(FINISH).await.context("loading 99-finish.sql")
}

/// Asked before anything is made: a refusal leaves nothing behind.
async fn ensure_empty(access: &Access, client: &Client, database: &str) -> Result<()> {
    let exists = "select from pg_catalog.pg_database where datname = $1";
    if client.query(exists, &[&database]).await?.is_empty() {
        return Ok(());
    }
    let schemas = "select from pg_catalog.pg_namespace where nspname in ('sales', 'billing', 'workload')";
    let found = access.open(database).await?.query(schemas, &[]).await?;
    ensure!(found.is_empty(), "{database} already holds the sample: it is loaded into an empty database");
    Ok(())
}

async fn load_database(access: &Access, database: &str, size_mb: u32) -> Result<()> {
    let client = access.open(database).await?;
    let settings =
        format!("set sample.size_mb = '{size_mb}'; set client_min_messages = warning; set lock_timeout = '10s'");
    client.batch_execute(&settings).await?;
    for (_, name, text) in SCRIPTS.iter().filter(|(of, ..)| *of == database) {
        // One message, hence one transaction: a script is there as a whole or not at all.
        client.batch_execute(text).await.with_context(|| format!("loading {name}"))?;
    }
    Ok(())
}

/// The statements of a script that has nothing but comments and statements ending in a semicolon at the end of a line.
fn statements(script: &str) -> Vec<String> {
    let code: Vec<&str> = script.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    code.join("\n")
        .split(";\n")
        .map(|part| part.trim().trim_end_matches(';').to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn database_script_splits_into_one_statement_per_database() {
        let found = super::statements(super::CREATE_DATABASES);
        assert_eq!(found.len(), super::DATABASES.len());
        for (statement, database) in found.iter().zip(super::DATABASES) {
            assert!(statement.starts_with(&format!("create database {database} ")), "{statement}");
        }
    }
}
