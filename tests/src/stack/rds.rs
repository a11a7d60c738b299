//! What makes a vanilla cluster look like Amazon RDS to its users: roles without a superuser, and the one audited door.

use super::cluster::{Cluster, PG_BIN};
use super::process;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The roles, once per cluster.
const ROLES: &str = include_str!("../../../dev/rds/roles.sql");
/// Rights, the escalation and its audit table, once per database.
const DATABASE: &str = include_str!("../../../dev/rds/database.sql");

/// The migration's login: RDS's master user.
pub const MASTER: &str = "changeover";
/// The login that nodes use across the network.
pub const REPLICATION: &str = "changeover_repl";

/// The passwords of one cluster's two logins.
#[derive(Clone, Serialize, Deserialize)]
pub struct Passwords {
    /// Of [`MASTER`].
    pub master: String,
    /// Of [`REPLICATION`].
    pub replication: String,
}

pub(super) async fn apply(cluster: &Cluster, passwords: &Passwords) -> Result<()> {
    let roles = ROLES
        .replace(":changeover_password", &literal(&passwords.master))
        .replace(":replication_password", &literal(&passwords.replication));
    // The statements that hold passwords stay out of the server's log.
    psql(cluster, "postgres", &format!("set log_statement = 'none';\n{roles}")).await?;
    psql(cluster, "postgres", "alter database template0 allow_connections true").await?;
    for database in ["template0", "template1", "postgres"] {
        psql(cluster, database, DATABASE).await?;
    }
    psql(cluster, "postgres", "alter database template0 allow_connections false").await
}

/// Runs a script as the cluster's superuser over the unix socket; the first error ends it.
pub async fn psql(cluster: &Cluster, database: &str, script: &str) -> Result<()> {
    let mut command = Command::new(format!("{PG_BIN}/psql"));
    command
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "rdsadmin", "-f", "-"])
        .arg("-h")
        .arg(cluster.socket())
        .arg("-p")
        .arg(cluster.port.to_string())
        .arg(database)
        .env("PGAPPNAME", super::connect::HARNESS)
        .env("PGCONNECT_TIMEOUT", "10")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().context("starting psql")?;
    let mut input = child.stdin.take().context("psql has no standard input")?;
    let script = script.to_owned();
    let writer = tokio::spawn(async move { input.write_all(script.as_bytes()).await });
    let output = tokio::time::timeout(PSQL_DEADLINE, child.wait_with_output())
        .await
        .with_context(|| format!("psql on {database} took longer than {PSQL_DEADLINE:?}"))??;
    // psql may end at its first error, before it has read everything: then its message matters, not the broken pipe.
    let written = writer.await?;
    anyhow::ensure!(
        output.status.success(),
        "psql on the {}'s {database}: {}",
        cluster.side.name(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    written.context("writing to psql")
}

/// Long enough for the largest sample database.
const PSQL_DEADLINE: Duration = Duration::from_secs(900);

/// Creates a role of the application that may log in, on one cluster.
pub async fn create_login(cluster: &Cluster, name: &str, password: &str) -> Result<()> {
    let script =
        format!("set log_statement = 'none';\ncreate role {} login password {};", identifier(name), literal(password));
    psql(cluster, "postgres", &script).await
}

/// Creates an empty database.
pub async fn create_database(cluster: &Cluster, name: &str, owner: &str) -> Result<()> {
    psql(cluster, "postgres", &format!("create database {} owner {};", identifier(name), identifier(owner))).await
}

/// Text as an SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as a quoted SQL identifier.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A password nobody has to remember: 128 random bits in hexadecimal.
pub fn random_password() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Waits until the server has room for a session, for instance after a crash.
pub async fn wait_until_accepting(cluster: &Cluster) -> Result<()> {
    process::wait_until(
        &format!("the {} accepts connections", cluster.side.name()),
        Duration::from_secs(60),
        async || psql(cluster, "postgres", "select 1").await.is_ok(),
    )
    .await
}
