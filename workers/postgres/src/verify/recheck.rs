//! Reads suspicious keys again until each is the same, proven different, or too hot, which a brief lock decides.

use std::time::{Duration, Instant};

use changeover_domain::{
    Failure,
    verify::{Key, Kind, Seen, Suspect, Verdict, judge_locked},
};

use super::{facts::Table, pair::Pair};

/// Keys that are read again at once.
pub(super) const BATCH: usize = 500;
/// Rounds after which a key that keeps changing is decided under a lock.
const ROUNDS: usize = 10;
/// How long a hot row is tried before the run gives up on it (and is tried again by its caller).
const HOT_PATIENCE: Duration = Duration::from_secs(90);
/// How long a row is locked at most, waiting for its marker.
const LOCKED: Duration = Duration::from_millis(700);
/// Before a lock is taken, a marker must have passed within this: else the row would stay locked for the time of the lag.
const NEAR: Duration = Duration::from_millis(400);
/// How long before a difference is believed the transactions that wait for a synchronous standby may take: their commits are
/// decoded before they are visible on the provider.
const SETTLE: Duration = Duration::from_secs(30);

/// Reads keys again, at most [`BATCH`] at once. Returns those that differ.
pub(super) async fn recheck(pair: &mut Pair<'_>, table: &Table, keys: Vec<Key>) -> Result<Vec<(Key, Kind)>, Failure> {
    let mut different = Vec::new();
    for batch in keys.chunks(BATCH) {
        let suspected = decide(pair, table, batch.to_vec()).await?;
        if suspected.is_empty() {
            continue;
        }
        settle(pair).await?;
        // Once more from the start: what is reported was proven twice, each time by two rounds or a lock.
        let keys = suspected.into_iter().map(|(key, _)| key).collect();
        different.extend(decide(pair, table, keys).await?);
    }
    Ok(different)
}

async fn decide(pair: &mut Pair<'_>, table: &Table, keys: Vec<Key>) -> Result<Vec<(Key, Kind)>, Failure> {
    let mut different = Vec::new();
    let mut pending: Vec<(Key, Suspect)> = keys.into_iter().map(|key| (key, Suspect::default())).collect();
    let mut before = read_provider(pair, table, &pending).await?;
    for _ in 0..ROUNDS {
        pair.pass_marker().await?;
        let subscriber = pair.subscriber.keys(&table.shape, &keys_of(&pending)).await?;
        let after = read_provider(pair, table, &pending).await?;
        let mut left = Vec::new();
        let mut left_before = Vec::new();
        let readings = before.into_iter().zip(subscriber).zip(after);
        for ((key, mut suspect), ((before, subscriber), after)) in pending.into_iter().zip(readings) {
            match suspect.round(before.as_ref(), subscriber.as_ref(), after.as_ref()) {
                Verdict::Same => {}
                Verdict::Different(kind) => different.push((key, kind)),
                Verdict::Unsettled => {
                    left.push((key, suspect));
                    left_before.push(after);
                }
            }
        }
        pending = left;
        before = left_before;
        if pending.is_empty() {
            return Ok(different);
        }
    }
    for (key, _) in pending {
        if let Some(kind) = decide_hot(pair, table, &key).await? {
            different.push((key, kind));
        }
    }
    Ok(different)
}

fn keys_of(pending: &[(Key, Suspect)]) -> Vec<Key> {
    pending.iter().map(|(key, _)| key.clone()).collect()
}

async fn read_provider(
    pair: &Pair<'_>,
    table: &Table,
    pending: &[(Key, Suspect)],
) -> Result<Vec<Option<Seen>>, Failure> {
    pair.provider.keys(&table.shape, &keys_of(pending)).await
}

/// A difference could still be a commit that is decoded already and not yet visible: its transaction waits for a
/// synchronous standby. Such transactions are waited for, and a moment passes in any case.
pub(super) async fn settle(pair: &Pair<'_>) -> Result<(), Failure> {
    let session = &pair.provider.session;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_millis(250)).await;
    loop {
        let row = session
            .query_one(
                "select count(*) from pg_catalog.pg_stat_activity where datname = current_database() and wait_event = 'SyncRep'",
                &[],
            )
            .await
            .map_err(session.failed("looking for commits in waiting"))?;
        if row.get::<_, i64>(0) == 0 || began.elapsed() > SETTLE {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Decides a row that keeps changing: it is locked against change on the provider (readers and foreign keys to it are not
/// disturbed) while a marker passes and the subscriber is read.
async fn decide_hot(pair: &mut Pair<'_>, table: &Table, key: &Key) -> Result<Option<Kind>, Failure> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        match attempt(pair, table, key).await? {
            Verdict::Same => return Ok(None),
            Verdict::Different(kind) => return Ok(Some(kind)),
            Verdict::Unsettled => {}
        }
        if began.elapsed() > HOT_PATIENCE {
            let message = format!(
                "{}.{}: a row changes all the time and could not be locked for {} ms within {} s",
                pair.database,
                table.shape.name.raw(),
                LOCKED.as_millis(),
                HOT_PATIENCE.as_secs()
            );
            return Err(Failure::transient(
                "CO0604",
                message,
                "it is tried again; if it stays so, lower the lag of replication or the load on that table for a minute",
            ));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

async fn attempt(pair: &mut Pair<'_>, table: &Table, key: &Key) -> Result<Verdict, Failure> {
    // Only when replication is close: the lock lasts as long as its marker takes.
    if !pair.pass_marker_within(NEAR).await? {
        return Ok(Verdict::Unsettled);
    }
    let Some(locked) = pair.lock_row(table, key).await? else { return Ok(Verdict::Unsettled) };
    let keys = std::slice::from_ref(key);
    let passed = pair.pass_marker_within(LOCKED).await;
    let subscriber = match passed {
        Ok(true) => Some(pair.subscriber.keys(&table.shape, keys).await),
        Ok(false) => None,
        Err(failure) => Some(Err(failure)),
    };
    // The lock must have been held all the time; its transaction says so by ending well.
    let held = pair.release_row().await;
    let Some(subscriber) = subscriber.transpose()? else { return Ok(Verdict::Unsettled) };
    held?;
    Ok(judge_locked(locked.as_ref(), subscriber.first().and_then(Option::as_ref)))
}
