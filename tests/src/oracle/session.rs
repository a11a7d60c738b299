//! The oracle's sessions: superuser, unix socket, and nothing about the output left to the settings of a role or a database.

use crate::stack::cluster::Cluster;
use crate::stack::connect;
use anyhow::{Context, Result};
use tokio_postgres::Client;

/// Values print alike whatever `ALTER ROLE … SET` and `ALTER DATABASE … SET` say, names are qualified, and all statements see
/// one state.
const PINNED: &str = "
    set search_path = pg_catalog;
    set timezone = 'UTC';
    set datestyle = 'ISO, YMD';
    set intervalstyle = 'postgres';
    set extra_float_digits = 1;
    set bytea_output = 'hex';
    set xmloption = 'content';
    set lc_monetary = 'C';
    set lc_numeric = 'C';
    set lc_time = 'C';
    set quote_all_identifiers = off;
    set row_security = off;
    set statement_timeout = 0;
    set lock_timeout = '60s';
    set idle_in_transaction_session_timeout = 0;
    begin isolation level repeatable read read only;";

/// A session in which one read-only transaction is open.
pub(super) async fn open(cluster: &Cluster, database: &str) -> Result<Client> {
    let client = connect::as_superuser(cluster, database).await?;
    client.batch_execute(PINNED).await.context("preparing the oracle's session")?;
    Ok(client)
}

/// The databases that an application may use.
pub(super) async fn databases(client: &Client) -> Result<Vec<String>> {
    let query = "select datname::text from pg_catalog.pg_database where datallowconn and not datistemplate order by 1";
    Ok(client.query(query, &[]).await?.iter().map(|row| row.get(0)).collect())
}
