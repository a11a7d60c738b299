//! Tables without a key. Their rows are only ever added (nothing else is replicated for them), so the numbers of equal rows are
//! compared, told apart by their hash.
//!
//! The provider is read in a snapshot taken between the commits of two markers. The subscriber is read when the second one has
//! arrived, and each of its rows tells by its transaction (xmin) whether it was applied before the first marker, between, or
//! after the second one: replication applies one transaction after the other. So whatever the size of the table, only rows
//! added within the few milliseconds between the two markers are uncertain; they, and those that differ, are read again, at
//! last with writers kept out of the table for these milliseconds.

use std::collections::BTreeMap;

use changeover_domain::{
    Failure,
    verify::{Count, RowHash, sandwich},
};
use futures::{Stream, StreamExt};
use tokio_postgres::{Row, types::ToSql};

use super::{
    facts::Table,
    pair::Pair,
    progress::Progress,
    reader::{Digest, Reader},
    recheck::settle,
    statements::Range,
};

/// Hashes that are read again at most; a table with more of them is broken as a whole.
const SUSPECTS: usize = 2_000;
/// How often hashes are read again without, and then with, writers kept out for a moment.
const FREE_TRIES: usize = 3;
const LOCKED_TRIES: usize = 20;
/// Proofs that a difference needs.
const STRIKES: u8 = 2;

/// Compares a table.
pub(super) async fn compare(pair: &mut Pair<'_>, table: &Table, progress: &mut Progress<'_>) -> Result<(), Failure> {
    progress.totals.chunks += 1;
    if let Some(digest) = quietly(pair, table).await? {
        progress.rows(digest.rows, digest.bytes);
        return Ok(());
    }
    let reading = open_free(pair).await?;
    let suspects = sorted(&reading, table, progress).await?;
    drop(reading);
    progress.rechecked(suspects.len());
    let many = suspects.len() >= SUSPECTS;
    let different = again(pair, table, suspects).await?;
    if many && different.is_empty() {
        return Err(undecided(pair, table, "more rows were added at one moment than can be read again"));
    }
    for (hash, missing, place) in different {
        progress.differences(missing.unsigned_abs(), words(pair, table, hash, missing, &place));
    }
    if many {
        let table = table.shape.name.raw();
        progress.differences(0, format!("{}: {table}: more rows differ than were read again", pair.database));
    }
    Ok(())
}

fn words(pair: &Pair<'_>, table: &Table, hash: RowHash, missing: i64, place: &str) -> String {
    let (database, table, subscriber) = (&pair.database, table.shape.name.raw(), pair.subscriber.side());
    let (count, what) = (missing.unsigned_abs(), if missing > 0 { "missing" } else { "too many" });
    let name = format!("{:016x}{:016x}", hash.0, hash.1);
    format!("{database}: {table} (no key) {count} × row with hash {name}, {place}: {what} on the {subscriber}")
}

fn undecided(pair: &Pair<'_>, table: &Table, why: &str) -> Failure {
    let message = format!("{}.{}: rows could not be decided: {why}", pair.database, table.shape.name.raw());
    Failure::transient(
        "CO0604",
        message,
        "it is tried again; if it stays so, lower the load on that table for a minute",
    )
}

/// Equal sums on both sides are enough, whenever they were read; a table that nobody writes to needs no sort.
async fn quietly(pair: &Pair<'_>, table: &Table) -> Result<Option<Digest>, Failure> {
    let (ours, theirs) = tokio::try_join!(pair.another_provider(), pair.another_subscriber())?;
    let all = Range::default();
    let (ours, theirs) = tokio::try_join!(ours.digest(&table.shape, &all), theirs.digest(&table.shape, &all))?;
    Ok((ours == theirs).then_some(ours))
}

/// Both sides with their snapshots taken, and the transactions of the two markers on the subscriber.
struct Reading {
    provider: Reader,
    subscriber: Reader,
    first: i64,
    second: i64,
    /// The first transaction that the subscriber's snapshot doesn't know.
    next: i64,
}

impl Reading {
    /// Takes the snapshots. `lock` keeps writers out and is given up as soon as the second marker is committed.
    async fn open(pair: &mut Pair<'_>, lock: Option<Reader>) -> Result<Self, Failure> {
        let (provider, subscriber) = tokio::try_join!(pair.another_provider(), pair.another_subscriber())?;
        let first = pair.send_marker().await?;
        snapshot(&provider).await?;
        let second = pair.send_marker().await?;
        if let Some(lock) = lock {
            // Fails when the lock was lost before: then it has kept nobody out.
            lock.session.batch_execute("commit").await.map_err(lock.session.failed("letting writers in again"))?;
        }
        pair.wait_for_marker(&second).await?;
        snapshot(&subscriber).await?;
        let (side, session) = (pair.provider.side().word(), &subscriber.session);
        let row = session
            .query_one(
                "select (select xmin::text::int8 from changeover.marker where side = $1 and token = $2), \
                        (select xmin::text::int8 from changeover.marker where side = $1 and token = $3), \
                        pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot()) & 4294967295",
                &[&side, &first, &second],
            )
            .await
            .map_err(session.failed("reading the markers"))?;
        let (Some(first), Some(second)) = (row.get(0), row.get(1)) else {
            return Err(Failure::transient("CO0603", "a marker was removed while it was needed", "it is tried again"));
        };
        let next = row.get(2);
        Ok(Self { provider, subscriber, first, second, next })
    }
}

async fn snapshot(reader: &Reader) -> Result<(), Failure> {
    let failed = reader.session.failed("taking a snapshot");
    reader.session.batch_execute("begin isolation level repeatable read read only; select 1").await.map_err(failed)
}

async fn open_free(pair: &mut Pair<'_>) -> Result<Reading, Failure> {
    Reading::open(pair, None).await
}

/// With writers kept out of the table between the two markers; `None`: the lock wasn't to be had at once.
async fn open_locked(pair: &mut Pair<'_>, table: &Table) -> Result<Option<Reading>, Failure> {
    let lock = pair.another_provider().await?;
    let what = format!("keeping writers out of {} for a moment", table.shape.name.raw());
    let sql = format!(
        "begin; set local lock_timeout = '300ms'; set local idle_in_transaction_session_timeout = '3s'; {}",
        table.shape.lock_table()
    );
    match lock.session.batch_execute(&sql).await.map_err(lock.session.failed(&what)) {
        Ok(()) => Reading::open(pair, Some(lock)).await.map(Some),
        Err(failure) if matches!(failure.sqlstate.as_deref(), Some("55P03" | "40P01")) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Equal rows: on the provider both counts are the same; on the subscriber those before each of the markers.
#[derive(Clone)]
struct Equal {
    hash: RowHash,
    counts: (i64, i64),
    bytes: i64,
    place: Option<String>,
}

impl Equal {
    fn read(row: &Row) -> Self {
        let hash = RowHash(row.get(0), row.get(1));
        Self { hash, counts: (row.get(2), row.get(3)), bytes: row.get(4), place: row.get(5) }
    }
}

/// Merges the two sorted streams. Returns the hashes that are not settled with the proofs against them, at most [`SUSPECTS`].
async fn sorted(
    reading: &Reading,
    table: &Table,
    progress: &mut Progress<'_>,
) -> Result<BTreeMap<RowHash, u8>, Failure> {
    let what = format!("sorting the rows of {}", table.shape.name.raw());
    let bounds: [&(dyn ToSql + Sync); 3] = [&reading.first, &reading.second, &reading.next];
    let (all, aged) = (table.shape.multiset(false, false), table.shape.multiset(true, false));
    let (ours, theirs) =
        tokio::try_join!(reading.provider.stream(&all, &[], &what), reading.subscriber.stream(&aged, &bounds, &what))?;
    let (mut ours, mut theirs) = (std::pin::pin!(ours), std::pin::pin!(theirs));
    let (mut our, mut their) = tokio::try_join!(next(&mut ours), next(&mut theirs))?;
    let mut suspects = BTreeMap::new();
    while let Some(hash) = our.iter().chain(&their).map(|e| e.hash).min() {
        let mine = our.as_ref().filter(|e| e.hash == hash).map(|e| (e.counts.0, e.bytes));
        let other = their.as_ref().filter(|e| e.hash == hash).map(|e| e.counts);
        let (count, bytes) = mine.unwrap_or_default();
        let (first, second) = other.unwrap_or_default();
        let verdict = sandwich(first, count, second);
        if verdict != Count::Same && suspects.len() < SUSPECTS {
            suspects.insert(hash, u8::from(matches!(verdict, Count::Off(_))));
        }
        if mine.is_some() {
            progress.rows(count, bytes);
            our = next(&mut ours).await?;
        }
        if other.is_some() {
            their = next(&mut theirs).await?;
        }
        if progress.totals.rows.is_multiple_of(1_000) {
            progress.publish(|_| {});
        }
    }
    Ok(suspects)
}

async fn next(stream: &mut (impl Stream<Item = Result<Row, Failure>> + Unpin)) -> Result<Option<Equal>, Failure> {
    stream.next().await.transpose().map(|row| row.map(|r| Equal::read(&r)))
}

/// Reads hashes again until each is settled. Returns those that differ: how many are missing (negative: too many), and where
/// one of them is.
async fn again(
    pair: &mut Pair<'_>,
    table: &Table,
    mut pending: BTreeMap<RowHash, u8>,
) -> Result<Vec<(RowHash, i64, String)>, Failure> {
    let mut different = Vec::new();
    for attempt in 0..FREE_TRIES + LOCKED_TRIES {
        if pending.is_empty() {
            break;
        }
        settle(pair).await?;
        let reading =
            if attempt < FREE_TRIES { Some(open_free(pair).await?) } else { open_locked(pair, table).await? };
        let Some(reading) = reading else { continue };
        let hashes: Vec<i64> = pending.keys().map(|h| h.0).collect();
        let (ours, theirs) =
            tokio::try_join!(on_provider(&reading, table, &hashes), on_subscriber(&reading, table, &hashes))?;
        pending.retain(|hash, strikes| {
            let count = ours.get(hash).map_or(0, |e| e.counts.0);
            let (first, second) = theirs.get(hash).map_or((0, 0), |e| e.counts);
            match sandwich(first, count, second) {
                Count::Same => return false,
                Count::Unsettled => return true,
                Count::Off(_) if *strikes + 1 < STRIKES => *strikes += 1,
                Count::Off(missing) => {
                    let (side, of) = if missing > 0 {
                        (reading.provider.side(), &ours)
                    } else {
                        (reading.subscriber.side(), &theirs)
                    };
                    let place = of.get(hash).and_then(|e| e.place.clone()).unwrap_or_default();
                    different.push((*hash, missing, format!("such as ctid {place} on the {side}")));
                    return false;
                }
            }
            true
        });
    }
    if pending.is_empty() { Ok(different) } else { Err(undecided(pair, table, "equal rows are added all the time")) }
}

async fn on_provider(reading: &Reading, table: &Table, hashes: &[i64]) -> Result<BTreeMap<RowHash, Equal>, Failure> {
    counts(&reading.provider, table, &table.shape.multiset(false, true), &[&hashes]).await
}

async fn on_subscriber(reading: &Reading, table: &Table, hashes: &[i64]) -> Result<BTreeMap<RowHash, Equal>, Failure> {
    let values: [&(dyn ToSql + Sync); 4] = [&reading.first, &reading.second, &reading.next, &hashes];
    counts(&reading.subscriber, table, &table.shape.multiset(true, true), &values).await
}

async fn counts(
    reader: &Reader,
    table: &Table,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<BTreeMap<RowHash, Equal>, Failure> {
    let what = format!("counting rows of {} again", table.shape.name.raw());
    let rows = reader.session.query(sql, values).await.map_err(reader.session.failed(&what))?;
    Ok(rows.iter().map(Equal::read).map(|e| (e.hash, e)).collect())
}
