//! A reference: the *method* of pg_easy_replicate 0.x, rebuilt here, on our clusters and our links. It isn't that tool.
//!
//! Its `switchover` (lib/pg_easy_replicate/orchestrate.rb and stats.rb, shayonj/pg_easy_replicate at 0326f46), between the moment
//! in which writers are refused and the one in which it calls the switchover complete:
//! 1. `ALTER USER … SET default_transaction_read_only = true`, then `pg_terminate_backend` for this user's sessions;
//! 2. every 0.2 s, the pause first: write, flush and replay lag of the subscription's walsender; done when all three are 0;
//! 3. for every owned sequence on the target, `setval` to the greatest value of its column.
//!
//! Kinder to it than it is to itself: its sessions are open (it connects for each query), both databases go at the same time, and
//! moving the clients costs nothing: here they are let in again where they were, since the method has no part that moves them.

use super::{other, sample::MethodSample};
use anyhow::Result;
use changeover_switch_tests::{Client, Lab};
use changeover_tests::stack::{Side, connect};
use futures::future::try_join_all;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::sleep;

/// Each database with the one user that its application writes as.
const USERS: [(&str, &str); 2] = [("shop", "shop_app"), ("billing", "billing_app")];
/// `watch_lag(…, wait_time: 0.2)`.
const WAIT: Duration = Duration::from_millis(200);
/// After this it hasn't come to an end; it would wait for ever.
const LONGEST: Duration = Duration::from_secs(30);

const LAG: &str = "select pg_catalog.pg_wal_lsn_diff(r.sent_lsn, r.write_lsn) <= 0 \
       and pg_catalog.pg_wal_lsn_diff(r.sent_lsn, r.flush_lsn) <= 0 \
       and pg_catalog.pg_wal_lsn_diff(r.sent_lsn, r.replay_lsn) <= 0 \
  from pg_catalog.pg_stat_replication r \
  join pg_catalog.pg_replication_slots s on s.active_pid = r.pid where s.database = $1";

const SEQUENCES: &str = "do $$
declare
    i text;
begin
    for i in
        select pg_catalog.format('select pg_catalog.setval(%L, coalesce(pg_catalog.max(%I), 1)) from %I.%I',
                   pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(s.relname), c.attname, n.nspname, t.relname)
          from pg_catalog.pg_class s
          join pg_catalog.pg_depend d on d.objid = s.oid and d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
          join pg_catalog.pg_class t on t.oid = d.refobjid
          join pg_catalog.pg_namespace n on n.oid = t.relnamespace
          join pg_catalog.pg_attribute c on c.attrelid = t.oid and c.attnum = d.refobjsubid
         where s.relkind = 'S' and d.deptype in ('a', 'i')
    loop
        begin
            execute i;
        exception when others then
            null; -- a descending sequence, or a column that isn't a number: the method doesn't know them
        end;
    end loop;
end $$";

struct Lane {
    from: Client,
    to: Client,
    database: &'static str,
    user: &'static str,
}

/// One sample, on the side that serves; its clients are let in again at once afterwards.
pub(crate) async fn sample(lab: &Lab, serving: Side) -> Result<MethodSample> {
    let info = lab.info();
    let mut lanes = Vec::new();
    for (database, user) in USERS {
        let from = connect::as_superuser(info.cluster(serving), database).await?;
        let to = connect::as_superuser(info.cluster(other(serving)), database).await?;
        lanes.push(Lane { from, to, database, user });
    }
    let begun = (SystemTime::now(), Instant::now());
    let ended = try_join_all(lanes.iter().map(|lane| lane.switch_over(begun.1))).await;
    let window = begun.1.elapsed();
    for lane in &lanes {
        lane.let_in().await?;
    }
    let polls = ended?.into_iter().max().unwrap_or(0);
    lab.until_writes_flow(Duration::from_secs(60)).await?;
    let clients = lab.workload()?.window(begun.0, SystemTime::now());
    Ok(MethodSample {
        window_us: u64::try_from(window.as_micros()).unwrap_or(u64::MAX),
        polls,
        gap_ms: clients.longest_gap_ms_by_path.values().copied().fold(0.0, f64::max),
        errors: clients.errors,
    })
}

impl Lane {
    async fn switch_over(&self, begun: Instant) -> Result<u32> {
        let user = self.user;
        self.from.batch_execute(&format!("alter user {user} set default_transaction_read_only = true")).await?;
        self.end_sessions().await?;
        let mut polls = 0;
        loop {
            sleep(WAIT).await;
            polls += 1;
            let lags = self.from.query(LAG, &[&self.database]).await?;
            // A column is null where the subscriber hasn't told anything yet.
            let settled = lags.iter().all(|row| row.get::<_, Option<bool>>(0) == Some(true));
            if (settled && !lags.is_empty()) || begun.elapsed() > LONGEST {
                break;
            }
        }
        self.to.batch_execute(SEQUENCES).await?;
        Ok(polls)
    }

    async fn end_sessions(&self) -> Result<()> {
        let kill = "select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity where usename = $1::text::name";
        self.from.query(kill, &[&self.user]).await?;
        Ok(())
    }

    async fn let_in(&self) -> Result<()> {
        let user = self.user;
        self.from.batch_execute(&format!("alter user {user} reset default_transaction_read_only")).await?;
        self.end_sessions().await
    }
}
