//! The snapshot that the gate judges.

use std::time::Duration;

use changeover_domain::{Direction, Failure, fence::Fence, gate::Measured};
use futures::future::try_join_all;

use super::{canary, login, relations};
use crate::{Migration, Session, gate, traffic::Traffic};

const CLOSING: &str = include_str!("../../sql/switch/closing.sql");
const UNANALYZED: &str = include_str!("../../sql/switch/unanalyzed.sql");

/// Measures what a switch in this direction depends on. It writes nothing but canary rows.
pub async fn measure(migration: &Migration, direction: Direction, traffic: &dyn Traffic) -> Result<Measured, Failure> {
    let limit = Duration::from_millis(migration.spec.gates.as_ref().map_or(0, |gates| gates.max_canary_age_ms));
    let control = migration.provider(direction).open(migration.control_database(), "measure").await?;
    let fence = gate::chosen(&*control, control.side).await?;
    let links = try_join_all(migration.databases().iter().map(|d| link(migration, direction, &d.name, limit, fence)));
    let (closing, opening, links, logins) =
        futures::join!(closing(migration, &control), opening(migration, direction), links, traffic.logins());
    let mut measured = Measured { pooler_logins: Some(logins?), ..Measured::default() };
    closing?.put(&mut measured);
    if fence == Fence::Gate {
        // It locks no table that a vacuum could be at work on, but those with triggers to turn, and these it waits for gently.
        measured.vacuums = measured.vacuums.map(|_| Vec::new());
    }
    opening?.put(&mut measured);
    let links = links?;
    let worst = |value: fn(&Link) -> Option<u64>| {
        links.iter().map(value).collect::<Option<Vec<_>>>().map(|all| all.into_iter().max().unwrap_or(0))
    };
    measured.lag_bytes = worst(|l| l.lag_bytes);
    measured.canary_ms = worst(|l| l.canary_ms);
    measured.reverse_canary_ms = worst(|l| l.reverse_canary_ms);
    measured.unanalyzed = Some(links.iter().flat_map(|l| l.unanalyzed.clone()).collect());
    measured.link_problems = Some(links.iter().flat_map(|l| l.problems.clone()).collect());
    measured.unfenceable.get_or_insert_default().extend(links.into_iter().flat_map(|l| l.unfenceable));
    Ok(measured)
}

struct Closing(tokio_postgres::Row);

async fn closing(migration: &Migration, session: &Session) -> Result<Closing, Failure> {
    let databases: Vec<String> = migration.databases().iter().map(|d| d.name.clone()).collect();
    let applications = login::applications(&**session, session.side, migration).await?;
    session
        .query_one(CLOSING, &[&databases, &applications, &login::ours(migration), &login::kept(migration)])
        .await
        .map(Closing)
        .map_err(session.failed("measuring the side to be closed"))
}

impl Closing {
    fn put(self, measured: &mut Measured) {
        let row = self.0;
        let count = |name| row.try_get::<_, i64>(name).ok().map(i64::unsigned_abs);
        measured.sees_sessions = both(measured.sees_sessions, row.try_get("sees_sessions").ok());
        measured.oldest_transaction_ms = count("oldest_ms");
        measured.prepared_transactions = count("prepared");
        measured.deadlock_timeout_ms = count("deadlock_timeout_ms");
        measured.vacuums = row.try_get("vacuums").ok();
        measured.unfenceable = row.try_get("unfenceable").ok();
    }
}

fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (None, other) => other,
        (Some(one), Some(other)) => Some(one && other),
        (Some(_), None) => None,
    }
}

/// Only what concerns the side to be closed, for the tests of the fence.
#[cfg(test)]
pub(super) async fn closing_side(migration: &Migration) -> Result<Measured, Failure> {
    let mut measured = Measured::default();
    let control = migration.source.open(migration.control_database(), "measure").await?;
    closing(migration, &control).await?.put(&mut measured);
    Ok(measured)
}

struct Opening {
    sees_sessions: bool,
    logins: Vec<String>,
    sessions: u64,
}

async fn opening(migration: &Migration, direction: Direction) -> Result<Opening, Failure> {
    let session = migration.subscriber(direction).open(migration.control_database(), "measure").await?;
    let side = session.side;
    let logins = login::applications(&*session, side, migration).await?;
    let mut roles = login::saved(&*session, side).await?;
    roles.extend(logins.iter().cloned());
    roles.extend(login::strays(&*session, side, migration).await?);
    let row = session
        .query_one("select pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'usage')", &[])
        .await
        .map_err(session.failed("looking at rights"))?;
    Ok(Opening { sees_sessions: row.get(0), sessions: login::sessions(&session, &roles).await?, logins })
}

impl Opening {
    fn put(self, measured: &mut Measured) {
        measured.sees_sessions = both(measured.sees_sessions, Some(self.sees_sessions));
        measured.opening_logins = Some(self.logins);
        measured.opening_sessions = Some(self.sessions);
    }
}

#[derive(Default)]
struct Link {
    lag_bytes: Option<u64>,
    canary_ms: Option<u64>,
    reverse_canary_ms: Option<u64>,
    problems: Vec<String>,
    unfenceable: Vec<String>,
    unanalyzed: Vec<String>,
}

async fn link(
    migration: &Migration,
    direction: Direction,
    database: &str,
    limit: Duration,
    fence: Fence,
) -> Result<Link, Failure> {
    let closing = migration.provider(direction).open(database, "measure").await?;
    let opening = migration.subscriber(direction).open(database, "measure").await?;
    let mut link = Link::default();
    link.lag_bytes = one_way(migration, direction, &closing, &opening, &mut link.problems).await?;
    one_way(migration, direction.opposite(), &opening, &closing, &mut link.problems).await?;
    // A canary through a link that is down tells nothing new and takes its whole limit.
    if link.problems.is_empty() {
        link.canary_ms = Some(canary::beat(&closing, &opening, limit).await?);
        link.reverse_canary_ms = Some(canary::beat(&opening, &closing, limit).await?);
    }
    link.unanalyzed = unanalyzed(&opening).await?;
    let foreign = relations::list(migration, &closing).await?.into_iter().filter(|r| !r.ours);
    link.unfenceable = foreign
        .take(3)
        .map(|r| {
            format!("{} in {database} on the {}: the login isn't a member of its owner", r.name.raw(), closing.side)
        })
        .collect();
    if fence == Fence::Gate {
        link.unfenceable.extend(gate::problem(migration, &closing).await?);
    }
    Ok(link)
}

/// Tables with rows that have never been analyzed, the first three. TRUNCATE makes `reltuples` unknown again, but leaves what the
/// planner knows of the columns, so only a table without either is named.
async fn unanalyzed(session: &Session) -> Result<Vec<String>, Failure> {
    let rows = session.query(UNANALYZED, &[]).await.map_err(session.failed("looking at statistics"))?;
    let at = |row: &tokio_postgres::Row| {
        format!("{} in {} on the {}", row.get::<_, &str>(0), session.database, session.side)
    };
    Ok(rows.iter().map(at).collect())
}

/// One direction of one database: problems are added, the lag in bytes is returned when it can be told.
async fn one_way(
    migration: &Migration,
    direction: Direction,
    provider: &Session,
    subscriber: &Session,
    problems: &mut Vec<String>,
) -> Result<Option<u64>, Failure> {
    let at = format!("the {direction} link of {}", subscriber.database);
    let failed = subscriber.failed("reading the subscription");
    let installed = "select to_regclass('pglogical.subscription') is not null";
    if !subscriber.query_one(installed, &[]).await.map_err(&failed)?.get::<_, bool>(0) {
        problems.push(format!("{at} doesn't exist"));
        return Ok(None);
    }
    let sql = "select s.sub_slot_name::text, s.sub_enabled, \
                      (select status from pglogical.show_subscription_status(s.sub_name)), \
                      (select count(*) from pglogical.local_sync_status y where y.sync_subid = s.sub_id and y.sync_status::text not in ('r', 'y')) \
                 from pglogical.subscription s where s.sub_name = $1::text::name";
    let name = migration.id.subscription(direction);
    let Some(row) = subscriber.query_opt(sql, &[&name.raw()]).await.map_err(&failed)? else {
        problems.push(format!("{at} doesn't exist"));
        return Ok(None);
    };
    let (slot, enabled, status, unready): (String, bool, Option<String>, i64) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    if !enabled || status.as_deref() != Some("replicating") {
        problems.push(format!("{at} is {}", status.as_deref().unwrap_or("unknown")));
    }
    if unready > 0 {
        problems.push(format!("{at}: {unready} tables aren't ready"));
    }
    slot_lag(provider, &slot, &at, problems).await
}

async fn slot_lag(
    provider: &Session,
    slot: &str,
    at: &str,
    problems: &mut Vec<String>,
) -> Result<Option<u64>, Failure> {
    let sql = "select active, coalesce(wal_status, ''), \
                      pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), confirmed_flush_lsn)::bigint \
                 from pg_catalog.pg_replication_slots where slot_name = $1::text::name";
    let row = provider.query_opt(sql, &[&slot]).await.map_err(provider.failed("reading the slot"))?;
    let Some(row) = row else {
        problems.push(format!("{at} has lost its slot on the {}", provider.side));
        return Ok(None);
    };
    let (active, wal_status, lag): (bool, String, Option<i64>) = (row.get(0), row.get(1), row.get(2));
    if !active || wal_status == "lost" || wal_status == "unreserved" {
        problems.push(format!("{at}: its slot is {}, WAL {wal_status}", if active { "active" } else { "inactive" }));
    }
    // A side may be some bytes ahead of what it said when it was asked.
    Ok(lag.map(|lag| u64::try_from(lag).unwrap_or(0)))
}
