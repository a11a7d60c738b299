//! Whether rows really flow. pglogical's own status alone says `replicating` while nothing does.

use std::time::Duration;

use changeover_domain::{
    Class, Direction, Failure,
    proto::{Budgets, LinkHealth},
};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::{
    canary, sets,
    status::{self, Subscription, SyncState},
    stuck,
    subscription::slot_note,
    unstick,
};
use crate::{Migration, Session, note};

/// Seconds after which a confirmed position that doesn't move, although changes are made, is a problem. The subscriber
/// confirms at least every `wal_receiver_status_interval` (10 s by default).
const STUCK_AFTER_S: f64 = 60.0;

/// Looks at one direction in every database, with a canary's round trip through it.
pub async fn health(migration: &Migration, direction: Direction) -> Result<Vec<LinkHealth>, Failure> {
    try_join_all(migration.databases().iter().map(async |database| {
        let provider = migration.provider(direction).open(&database.name, "health").await?;
        let subscriber = migration.subscriber(direction).open(&database.name, "health").await?;
        one(migration, direction, &provider, &subscriber).await
    }))
    .await
}

/// What a login is refused with: its password is read again by the next attempt.
const LOGIN_REFUSED: &str = "CO0204";
/// How often the slots are looked at while nothing is told.
const WATCH: Duration = Duration::from_secs(5);

/// Like [`health`], but its answer comes only when a slot holds back more than `held` bytes of WAL, or after `time`. Every look
/// beats the canary, so that a slot moves on while the application is idle. A side that takes nothing because it is down is looked
/// at from the other side alone: that is when WAL piles up.
///
/// # Errors
/// When the side that holds the slots can't be reached.
pub async fn watch(
    migration: &Migration,
    direction: Direction,
    time: Duration,
    held: u64,
) -> Result<Vec<LinkHealth>, Failure> {
    let begun = Instant::now();
    loop {
        let links = try_join_all(migration.databases().iter().map(async |database| {
            let provider = migration.provider(direction).open(&database.name, "watch").await?;
            match subscribed(migration, direction, &provider).await {
                Err(failure) if failure.class == Class::Transient && failure.code != LOGIN_REFUSED => {
                    without_subscriber(migration, direction, &provider, &failure).await
                }
                link => link,
            }
        }))
        .await?;
        let limit = |link: &LinkHealth| link.retained_wal_bytes > held || link.wal_status == "lost";
        if begun.elapsed() >= time || links.iter().any(limit) {
            return Ok(links);
        }
        sleep(WATCH).await;
    }
}

/// A look through both sides. A worker that is down is kicked.
async fn subscribed(migration: &Migration, direction: Direction, provider: &Session) -> Result<LinkHealth, Failure> {
    let subscriber = migration.subscriber(direction).open(&provider.database, "watch").await?;
    unstick::one(migration, direction, &subscriber).await?;
    one(migration, direction, provider, &subscriber).await
}

/// What its slot alone tells of a link.
async fn without_subscriber(
    migration: &Migration,
    direction: Direction,
    provider: &Session,
    failure: &Failure,
) -> Result<LinkHealth, Failure> {
    let mut link = LinkHealth {
        database: provider.database.clone(),
        direction: direction.word().to_owned(),
        status: "unreachable".to_owned(),
        problems: vec![failure.to_string()],
        ..LinkHealth::default()
    };
    let name: Option<String> = note::get(&**provider, provider.side, &slot_note(direction)).await?;
    if let Some(name) = name {
        slot(migration, direction, provider, &name, &mut link).await?;
    }
    Ok(link)
}

async fn one(
    migration: &Migration,
    direction: Direction,
    provider: &Session,
    subscriber: &Session,
) -> Result<LinkHealth, Failure> {
    let mut link = LinkHealth {
        database: provider.database.clone(),
        direction: direction.word().to_owned(),
        ..LinkHealth::default()
    };
    let Some(found) = status::subscription(migration, direction, subscriber).await? else {
        link.status = "missing".to_owned();
        link.problems.push(format!("there is no subscription on the {}", subscriber.side));
        return Ok(link);
    };
    link.status.clone_from(&found.status);
    let in_sets = sets::count(migration, provider).await?;
    link.tables_total = in_sets;
    // Where nothing was copied, pglogical keeps a state of the subscription as a whole only.
    link.tables_ready = match (direction, found.sync) {
        (Direction::Reverse, SyncState::Ready) => in_sets,
        _ => found.tables_ready,
    };
    if in_sets == 0 {
        link.problems.push(format!("the replication sets on the {} are empty", provider.side));
    }
    if found.status != "replicating" {
        link.problems.push(format!("the subscription on the {} is {}", subscriber.side, found.status));
    }
    if !found.unready.is_empty() {
        link.problems.push(format!("tables are not ready: {}", found.unready.join(", ")));
    }
    worker(direction, subscriber, &found, &mut link).await?;
    if found.status == "replicating" {
        match canary::round_trip(provider, subscriber).await? {
            Some(time) => link.canary_ms = Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            None => link.problems.push(format!(
                "the canary didn't arrive on the {} within {} s",
                subscriber.side,
                canary::DEADLINE.as_secs()
            )),
        }
    }
    slot(migration, direction, provider, &found.slot, &mut link).await?;
    let stands_still = !link.slot_active && link.wal_status != "lost" && found.sync == SyncState::Ready;
    if stands_still {
        link.problems.extend(stuck::why(migration, direction, provider, subscriber, &found).await?);
    }
    Ok(link)
}

/// How many looks in a row may each find another apply worker than the look before.
const RESTARTS: u32 = 3;

/// The apply worker that was seen last, and how many looks in a row have found another one each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    pid: i32,
    changed: u32,
}

impl Seen {
    fn then(self, pid: i32) -> Self {
        Self { pid, changed: if pid == self.pid { 0 } else { self.changed + 1 } }
    }
}

/// A worker that dies and is started again at once shows as `replicating` in nearly every look.
async fn worker(
    direction: Direction,
    subscriber: &Session,
    found: &Subscription,
    link: &mut LinkHealth,
) -> Result<(), Failure> {
    let pid = worker_pid(subscriber, &found.worker_name()).await?;
    let Some(pid) = pid else {
        if found.status != "down" {
            link.problems.push(format!("no apply worker runs on the {}", subscriber.side));
        }
        return Ok(());
    };
    let key = format!("pglogical.worker.{direction}");
    let before: Option<Seen> = note::get(&**subscriber, subscriber.side, &key).await?;
    let now = before.map_or(Seen { pid, changed: 0 }, |before| before.then(pid));
    if before != Some(now) {
        note::put(&**subscriber, subscriber.side, &key, &now).await?;
    }
    if now.changed >= RESTARTS {
        link.problems.push(format!(
            "CO0524 the apply worker on the {} dies again and again: the last {} looks each found another one",
            subscriber.side, now.changed
        ));
    }
    Ok(())
}

async fn worker_pid(session: &Session, name: &str) -> Result<Option<i32>, Failure> {
    let row = session
        .query_opt(
            "select pid from pg_catalog.pg_stat_activity where backend_type = $1 or application_name = $1 limit 1",
            &[&name],
        )
        .await
        .map_err(session.failed("looking for the apply worker"))?;
    Ok(row.map(|row| row.get(0)))
}

/// Reads the slot into the link's health.
async fn slot(
    migration: &Migration,
    direction: Direction,
    provider: &Session,
    slot: &str,
    link: &mut LinkHealth,
) -> Result<(), Failure> {
    let row = provider
        .query_opt(
            "select active, coalesce(wal_status, 'unknown'), coalesce(confirmed_flush_lsn::text, ''),
                    greatest(coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn), 0), 0)::bigint,
                    greatest(coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0), 0)::bigint,
                    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint
               from pg_catalog.pg_replication_slots where slot_name = $1::text::name",
            &[&slot],
        )
        .await
        .map_err(provider.failed("looking at the slot"))?;
    let Some(row) = row else {
        link.problems.push(format!("the slot {slot} is gone from the {}", provider.side));
        return Ok(());
    };
    link.slot_active = row.get(0);
    link.wal_status = row.get(1);
    link.confirmed_lsn = row.get(2);
    link.lag_bytes = row.get::<_, i64>(3).unsigned_abs();
    link.retained_wal_bytes = row.get::<_, i64>(4).unsigned_abs();
    link.wal_written_bytes = row.get::<_, i64>(5).unsigned_abs();
    judge_slot(link, migration.spec.budgets.as_ref());
    if let Some(seconds) = stuck_for(direction, provider, &link.confirmed_lsn).await?
        && seconds > STUCK_AFTER_S
    {
        link.problems.push(format!("the position confirmed to the {} hasn't moved for {seconds:.0} s", provider.side));
    }
    Ok(())
}

fn judge_slot(link: &mut LinkHealth, budgets: Option<&Budgets>) {
    if !link.slot_active {
        link.problems.push("nobody reads the slot".to_owned());
    }
    match link.wal_status.as_str() {
        "lost" => link
            .problems
            .push("the slot has lost its WAL (max_slot_wal_keep_size): replication can't go on, see CO0514".to_owned()),
        "unreserved" => link.problems.push("the slot is about to lose its WAL (max_slot_wal_keep_size)".to_owned()),
        _ => {}
    }
    let allowed = budgets.map_or(0, |b| b.max_retained_wal_bytes);
    if allowed > 0 && link.retained_wal_bytes > allowed {
        link.problems.push(format!(
            "the slot holds back {} bytes of WAL, more than max_retained_wal_bytes ({allowed})",
            link.retained_wal_bytes
        ));
    }
}

/// Seconds since the confirmed position last moved. The canary makes a change at each look, so that it has to.
async fn stuck_for(direction: Direction, provider: &Session, confirmed: &str) -> Result<Option<f64>, Failure> {
    let key = format!("pglogical.confirmed.{direction}");
    let before: Option<String> = note::get(&**provider, provider.side, &key).await?;
    if before.as_deref() != Some(confirmed) {
        note::put(&**provider, provider.side, &key, &confirmed).await?;
        return Ok(None);
    }
    let row = provider
        .query_opt(
            "select extract(epoch from clock_timestamp() - at)::float8 from changeover.note where key = $1",
            &[&key],
        )
        .await
        .map_err(provider.failed("reading a note"))?;
    Ok(row.map(|r| r.get(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_worker_that_stays_is_no_restart() {
        let seen = [7, 8, 8, 9, 10, 11].into_iter().fold(Seen { pid: 7, changed: 0 }, Seen::then);
        assert_eq!(seen, Seen { pid: 11, changed: 3 });
    }

    #[rstest]
    #[case(true, "reserved", 10, 0)]
    #[case(false, "reserved", 10, 1)]
    #[case(true, "lost", 10, 1)]
    #[case(true, "unreserved", 10, 1)]
    #[case(true, "reserved", 101, 1)]
    #[case(false, "lost", 101, 3)]
    fn a_slot_is_judged(
        #[case] slot_active: bool,
        #[case] wal_status: &str,
        #[case] retained: u64,
        #[case] problems: usize,
    ) {
        let mut link = LinkHealth {
            slot_active,
            wal_status: wal_status.to_owned(),
            retained_wal_bytes: retained,
            ..LinkHealth::default()
        };
        judge_slot(&mut link, Some(&Budgets { max_retained_wal_bytes: 100, ..Budgets::default() }));
        assert_eq!(link.problems.len(), problems, "{:?}", link.problems);
    }
}
