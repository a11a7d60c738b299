//! Tables without a key. Their rows are only ever added (nothing else is replicated for them), so for each row's hash the
//! number of such rows on the subscriber lies between an earlier and a later reading of the provider:
//! provider, marker, subscriber, provider. What doesn't is read again in the same way before it is a difference.

use std::collections::BTreeMap;

use changeover_domain::{
    Failure,
    verify::{RowHash, sandwich},
};
use futures::{Stream, StreamExt};
use tokio_postgres::Row;

use super::{facts::Table, pair::Pair, progress::Progress, reader::Reader, statements::Range};

/// Hashes that are read again at most; a table with more of them is broken as a whole.
const SUSPECTS: usize = 2_000;

/// Compares a table.
pub(super) async fn compare(pair: &mut Pair<'_>, table: &Table, progress: &mut Progress<'_>) -> Result<(), Failure> {
    if let Some(digest) = quietly(pair, table).await? {
        progress.chunk(&digest);
        return Ok(());
    }
    let suspects = sorted(pair, table, progress).await?;
    progress.totals.chunks += 1;
    progress.rechecked(suspects.len());
    if suspects.is_empty() {
        return Ok(());
    }
    let many = suspects.len() >= SUSPECTS;
    for (hash, missing, place) in again(pair, table, &suspects).await? {
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

/// Equal sums on both sides are enough, whenever they were read; a table that nobody writes to needs no sort.
async fn quietly(pair: &Pair<'_>, table: &Table) -> Result<Option<super::reader::Digest>, Failure> {
    let (ours, theirs) = tokio::try_join!(pair.another_provider(), pair.another_subscriber())?;
    let all = Range::default();
    let (ours, theirs) = tokio::try_join!(ours.digest(&table.shape, &all), theirs.digest(&table.shape, &all))?;
    Ok((ours == theirs).then_some(ours))
}

/// Readers with their snapshots taken in the order that the sandwich needs.
struct Sandwich {
    before: Reader,
    subscriber: Reader,
    after: Reader,
}

impl Sandwich {
    async fn open(pair: &mut Pair<'_>) -> Result<Self, Failure> {
        let before = snapshot(pair.another_provider().await?).await?;
        pair.pass_marker().await?;
        let subscriber = snapshot(pair.another_subscriber().await?).await?;
        let after = snapshot(pair.another_provider().await?).await?;
        Ok(Self { before, subscriber, after })
    }
}

async fn snapshot(reader: Reader) -> Result<Reader, Failure> {
    let failed = reader.session.failed("taking a snapshot");
    reader.session.batch_execute("begin isolation level repeatable read read only; select 1").await.map_err(failed)?;
    Ok(reader)
}

#[derive(Clone, Copy)]
struct Equal {
    hash: RowHash,
    count: i64,
    bytes: i64,
}

impl Equal {
    fn read(row: &Row) -> Self {
        Self { hash: RowHash(row.get(0), row.get(1)), count: row.get(2), bytes: row.get(3) }
    }
}

/// Merges the three sorted streams. Returns the hashes that break the sandwich, at most [`SUSPECTS`].
async fn sorted(pair: &mut Pair<'_>, table: &Table, progress: &mut Progress<'_>) -> Result<Vec<RowHash>, Failure> {
    let readers = Sandwich::open(pair).await?;
    let (sql, all) = (table.shape.multiset(), Range::default());
    let what = format!("sorting the rows of {}", table.shape.name.raw());
    let (before, subscriber, after) = tokio::try_join!(
        readers.before.stream(&sql, &all, &what),
        readers.subscriber.stream(&sql, &all, &what),
        readers.after.stream(&sql, &all, &what)
    )?;
    let (mut before, mut subscriber, mut after) =
        (std::pin::pin!(before), std::pin::pin!(subscriber), std::pin::pin!(after));
    let mut heads = [next(&mut before).await?, next(&mut subscriber).await?, next(&mut after).await?];
    let mut suspects = Vec::new();
    while let Some(hash) = heads.iter().flatten().map(|h| h.hash).min() {
        let counts = heads.map(|head| head.filter(|h| h.hash == hash).map_or(0, |h| h.count));
        if let Some(first) = heads[0].filter(|h| h.hash == hash) {
            progress.rows(first.count, first.bytes);
        }
        if sandwich(counts[0], counts[1], counts[2]) != 0 && suspects.len() < SUSPECTS {
            suspects.push(hash);
        }
        for (place, head) in heads.iter_mut().enumerate() {
            if head.is_some_and(|h| h.hash == hash) {
                *head = match place {
                    0 => next(&mut before).await?,
                    1 => next(&mut subscriber).await?,
                    _ => next(&mut after).await?,
                };
            }
        }
        if progress.totals.rows.is_multiple_of(10_000) {
            progress.publish(|_| {});
        }
    }
    Ok(suspects)
}

async fn next(stream: &mut (impl Stream<Item = Result<Row, Failure>> + Unpin)) -> Result<Option<Equal>, Failure> {
    stream.next().await.transpose().map(|row| row.map(|r| Equal::read(&r)))
}

/// Reads the suspects again: hash, how many are missing (negative: too many), and where one of them is.
async fn again(
    pair: &mut Pair<'_>,
    table: &Table,
    suspects: &[RowHash],
) -> Result<Vec<(RowHash, i64, String)>, Failure> {
    let readers = Sandwich::open(pair).await?;
    let halves: Vec<i64> = suspects.iter().map(|h| h.0).collect();
    let (before, subscriber, after) = tokio::try_join!(
        counts(&readers.before, table, &halves),
        counts(&readers.subscriber, table, &halves),
        counts(&readers.after, table, &halves)
    )?;
    let mut different = Vec::new();
    for hash in suspects {
        let count = |of: &BTreeMap<RowHash, (i64, String)>| of.get(hash).map_or(0, |c| c.0);
        let missing = sandwich(count(&before), count(&subscriber), count(&after));
        if missing == 0 {
            continue;
        }
        let (reader, counts) =
            if missing > 0 { (&readers.before, &before) } else { (&readers.subscriber, &subscriber) };
        let place = counts.get(hash).map_or("", |c| c.1.as_str());
        different.push((*hash, missing, format!("such as ctid {place} on the {}", reader.side())));
    }
    Ok(different)
}

async fn counts(reader: &Reader, table: &Table, halves: &[i64]) -> Result<BTreeMap<RowHash, (i64, String)>, Failure> {
    let what = format!("counting rows of {} again", table.shape.name.raw());
    let rows =
        reader.session.query(&table.shape.multiset_of(), &[&halves]).await.map_err(reader.session.failed(&what))?;
    Ok(rows.iter().map(|row| (RowHash(row.get(0), row.get(1)), (row.get(2), row.get(3)))).collect())
}
