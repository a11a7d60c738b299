//! Holding the initial copy in its middle, for as long as a test needs it there.

use super::sql;
use anyhow::{Result, bail, ensure};
use changeover_tests::stack::{StackInfo, connect};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

/// Heap and TOAST of the application's tables.
const BYTES: &str = "
    select coalesce(sum(pg_catalog.pg_table_size(c.oid)), 0)::int8
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and pg_catalog.pg_relation_size(c.oid) > 0
       and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'changeover', 'pglogical', 'rds_tools')";

/// SHARE keeps rows from coming in and lets everything else pass, a look at the table's size too. The copy holds all it has
/// begun until its end, so what can't be had at once isn't waited for.
const LOCK: &str = "
    do $$
    declare
        t regclass;
    begin
        for t in
            select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where c.relkind = 'r' and pg_catalog.pg_relation_size(c.oid) = 0
               and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'changeover', 'pglogical', 'rds_tools')
        loop
            begin
                execute pg_catalog.format('lock table only %s in share mode nowait', t);
            exception when lock_not_available then null;
            end;
        end loop;
    end
    $$";

/// The main database's copy can't go on while this lives.
pub struct Hold {
    session: Client,
}

impl Hold {
    /// Waits until a quarter of the main database's bytes has arrived, then locks the tables that have nothing yet.
    pub async fn take(info: &StackInfo) -> Result<Self> {
        let database = &info.databases[0];
        let total = sql::number(&info.source, database, BYTES).await?;
        ensure!(total > 10_000_000, "{total} bytes are too few to hit the middle of");
        let session = connect::as_superuser(&info.target, database).await?;
        let begun = Instant::now();
        while session.query_one(BYTES, &[]).await?.get::<_, i64>(0) < total / 4 {
            if begun.elapsed() > Duration::from_secs(120) {
                bail!("waited 120 s in vain for a quarter of {total} bytes to be copied");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        session.batch_execute("begin").await?;
        session.batch_execute(LOCK).await?;
        Ok(Self { session })
    }

    /// Waits until the copy stands at the lock, and then lets it go on only after [`Hold::release`].
    pub async fn until_it_stands(&self) -> Result<()> {
        let waiting = "
            select pg_catalog.count(*) from pg_catalog.pg_locks l
             where not l.granted and pg_catalog.pg_backend_pid() = any (pg_catalog.pg_blocking_pids(l.pid))";
        let begun = Instant::now();
        while self.session.query_one(waiting, &[]).await?.get::<_, i64>(0) == 0 {
            if begun.elapsed() > Duration::from_secs(60) {
                bail!("waited 60 s in vain for the copy to come to a table that is locked");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Lets the copy go on.
    pub async fn release(self) -> Result<()> {
        self.session.batch_execute("rollback").await?;
        Ok(())
    }
}
