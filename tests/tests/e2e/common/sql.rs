//! What somebody does to a database past the application: the cluster's superuser, whom the DDL guard doesn't see.

use anyhow::{Context, Result};
use changeover_tests::stack::{Cluster, StackInfo, connect, rds, sample_login};
use tokio_postgres::Client;

/// A session of the superuser whose DDL passes the guard.
pub async fn past_the_guard(cluster: &Cluster, database: &str) -> Result<Client> {
    let client = connect::as_superuser(cluster, database).await?;
    client.batch_execute("set session_replication_role = replica").await?;
    Ok(client)
}

/// Runs statements in such a session.
pub async fn run(cluster: &Cluster, database: &str, sql: &str) -> Result<()> {
    let client = past_the_guard(cluster, database).await?;
    client.batch_execute(sql).await.with_context(|| format!("running `{sql}` on the {}", cluster.side.name()))
}

/// The number that a query answers.
pub async fn number(cluster: &Cluster, database: &str, sql: &str) -> Result<i64> {
    let client = connect::as_superuser(cluster, database).await?;
    Ok(client.query_one(sql, &[]).await.with_context(|| format!("asking `{sql}`"))?.get(0))
}

/// A session of one of the sample's logins, directly.
pub async fn as_role(info: &StackInfo, cluster: &Cluster, database: &str, role: &str) -> Result<Client> {
    let login = sample_login(role);
    let login = connect::Login {
        port: cluster.port,
        database,
        user: &login.name,
        password: &login.password,
        application_name: "application",
    };
    connect::as_login(login, &connect::tls(&info.ca)?).await
}

/// Runs statements as the bootstrap superuser by psql, which allows several transactions.
pub async fn script(cluster: &Cluster, database: &str, sql: &str) -> Result<()> {
    rds::psql(cluster, database, sql).await
}
