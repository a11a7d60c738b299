//! Tables whose key both sides order alike: range by range, hash against hash; a range that doesn't match is listed on both
//! sides, and what finds no partner is read again.

use std::time::{Duration, Instant};

use changeover_domain::{
    Failure,
    verify::{ChunkSizer, Key, RowHash, Unmatched},
};
use futures::StreamExt;
use tokio_postgres::{Row, types::ToSql};

use super::{
    facts::Table,
    pair::Pair,
    progress::Progress,
    reader::Digest,
    recheck::{BATCH, recheck},
    statements::Range,
};

/// Rows without a partner that are held in memory; a range with more is cut in two.
const HELD: usize = 20_000;
/// How often the position is stored, and suspects are read again.
const EVERY: Duration = Duration::from_secs(1);

/// One table on its way.
struct Walk<'t> {
    table: &'t Table,
    after: Option<Key>,
    suspects: Vec<Key>,
    dealt_with: Instant,
}

/// How a chunk is measured out.
pub(super) struct Pace {
    /// Rows of a table's first chunk.
    pub(super) first_rows: u32,
    /// What a chunk is to take.
    pub(super) aim: Duration,
    /// Lag of replication in bytes above which the next chunk waits a while.
    pub(super) lag: i64,
}

/// Compares a table from `after` on.
pub(super) async fn compare(
    pair: &mut Pair<'_>,
    table: &Table,
    after: Option<Key>,
    pace: &Pace,
    run: &str,
    progress: &mut Progress<'_>,
) -> Result<(), Failure> {
    let mut sizer = ChunkSizer::new(pace.first_rows, pace.aim, table.bytes_per_row);
    let mut walk = Walk { table, after, suspects: Vec::new(), dealt_with: Instant::now() };
    loop {
        let Some((range, digest)) = next_chunk(pair, &mut walk, &mut sizer, progress).await? else { continue };
        progress.chunk(&digest);
        let end = range.upto.is_none();
        walk.after = range.upto;
        if end || walk.suspects.len() >= BATCH || walk.dealt_with.elapsed() > EVERY {
            deal_with(pair, &mut walk, progress).await?;
            if end || progress.enough() {
                return Ok(());
            }
            progress.save(pair.target(), run, &table.shape.name.raw(), walk.after.clone()).await?;
            super::throttle::wait_for_lag(&pair.provider.session, pace.lag).await?;
        }
    }
}

/// One chunk; `None` when it ran into its timeout and is to be tried smaller.
async fn next_chunk(
    pair: &mut Pair<'_>,
    walk: &mut Walk<'_>,
    sizer: &mut ChunkSizer,
    progress: &mut Progress<'_>,
) -> Result<Option<(Range, Digest)>, Failure> {
    let began = Instant::now();
    match chunk(pair, walk, sizer.rows(), progress).await {
        Ok((range, digest, time)) => {
            sizer.took(digest.rows.unsigned_abs(), time);
            Ok(Some((range, digest)))
        }
        // query_canceled: the statement's timeout
        Err(failure) if failure.sqlstate.as_deref() == Some("57014") && sizer.too_slow() => {
            tracing::debug!(table = %walk.table.shape.name.raw(), rows = sizer.rows(), seconds = began.elapsed().as_secs(), "chunk too slow, made smaller");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

async fn chunk(
    pair: &mut Pair<'_>,
    walk: &mut Walk<'_>,
    rows: u64,
    progress: &mut Progress<'_>,
) -> Result<(Range, Digest, Duration), Failure> {
    let shape = &walk.table.shape;
    let rest = Range { after: walk.after.clone(), upto: None };
    let began = Instant::now();
    let upto = pair.provider.boundary(shape, &rest, rows - 1).await?;
    let range = Range { upto, ..rest };
    let (ours, theirs) = tokio::try_join!(pair.provider.digest(shape, &range), pair.subscriber.digest(shape, &range))?;
    let time = began.elapsed();
    if ours != theirs {
        list(pair, walk, range.clone(), progress).await?;
    }
    Ok((range, ours, time))
}

/// Lists a range on both sides and collects the keys without a partner. Ranges in which too much has none are cut in two.
async fn list(
    pair: &mut Pair<'_>,
    walk: &mut Walk<'_>,
    range: Range,
    progress: &mut Progress<'_>,
) -> Result<(), Failure> {
    let mut ranges = vec![range];
    while let Some(range) = ranges.pop() {
        match unmatched(pair, walk.table, &range).await? {
            Some(keys) => {
                walk.suspects.extend(keys);
                if walk.suspects.len() >= BATCH {
                    deal_with(pair, walk, progress).await?;
                    if progress.enough() {
                        return Ok(());
                    }
                }
            }
            None => ranges.extend(cut(pair, walk.table, range).await?),
        }
    }
    Ok(())
}

/// The keys of a range that have no equal row on the other side; `None` when they are too many to be held.
async fn unmatched(pair: &Pair<'_>, table: &Table, range: &Range) -> Result<Option<Vec<Key>>, Failure> {
    let sql = table.shape.rows(range);
    let what = format!("listing a chunk of {}", table.shape.name.raw());
    let values: Vec<&(dyn ToSql + Sync)> = range.values().map(|v| v as &(dyn ToSql + Sync)).collect();
    let (ours, theirs) =
        tokio::try_join!(pair.provider.stream(&sql, &values, &what), pair.subscriber.stream(&sql, &values, &what))?;
    let (mut ours, mut theirs) = (std::pin::pin!(ours.fuse()), std::pin::pin!(theirs.fuse()));
    let mut unmatched = Unmatched::default();
    let columns = table.shape.key.len();
    loop {
        // In step, so that equal rows meet soon and memory holds only what differs.
        let (our, their) = tokio::join!(ours.next(), theirs.next());
        if our.is_none() && their.is_none() {
            return Ok(Some(unmatched.suspects()));
        }
        if let Some(row) = our {
            let (key, hash) = key_and_hash(&row?, columns);
            unmatched.provider(key, hash);
        }
        if let Some(row) = their {
            let (key, hash) = key_and_hash(&row?, columns);
            unmatched.subscriber(key, hash);
        }
        if unmatched.len() > HELD {
            return Ok(None);
        }
    }
}

fn key_and_hash(row: &Row, columns: usize) -> (Key, RowHash) {
    ((0..columns).map(|n| row.get(n)).collect(), RowHash(row.get(columns), row.get(columns + 1)))
}

/// Cuts a range in the middle of the side that has more rows in it. What can't be cut any more has few rows and can be held.
async fn cut(pair: &Pair<'_>, table: &Table, range: Range) -> Result<Vec<Range>, Failure> {
    let shape = &table.shape;
    let (ours, theirs) = tokio::try_join!(pair.provider.digest(shape, &range), pair.subscriber.digest(shape, &range))?;
    let (reader, rows) =
        if ours.rows >= theirs.rows { (&pair.provider, ours.rows) } else { (&pair.subscriber, theirs.rows) };
    let middle = rows.unsigned_abs().saturating_sub(1) / 2;
    let Some(key) = reader.boundary(shape, &range, middle).await? else {
        // Emptied in the meantime: nothing in the way of listing it.
        return Ok(vec![range]);
    };
    let first = Range { after: range.after, upto: Some(key.clone()) };
    Ok(vec![Range { after: Some(key), upto: range.upto }, first])
}

/// Reads the suspects again and reports those that differ.
async fn deal_with(pair: &mut Pair<'_>, walk: &mut Walk<'_>, progress: &mut Progress<'_>) -> Result<(), Failure> {
    report(pair, walk.table, std::mem::take(&mut walk.suspects), progress).await?;
    walk.dealt_with = Instant::now();
    Ok(())
}

/// Reads suspects again and reports those that differ.
pub(super) async fn report(
    pair: &mut Pair<'_>,
    table: &Table,
    suspects: Vec<Key>,
    progress: &mut Progress<'_>,
) -> Result<(), Failure> {
    let subscriber = pair.subscriber.side();
    for batch in suspects.chunks(BATCH) {
        progress.rechecked(batch.len());
        for (key, kind) in recheck(pair, table, batch.to_vec()).await? {
            progress.difference(format!("{} {}", pair.name_row(table, &key), kind.words(subscriber.word())));
        }
        if progress.enough() {
            let table = table.shape.name.raw();
            progress.differences(0, format!("{}: {table}: the rest of it was not compared", pair.database));
            return Ok(());
        }
    }
    Ok(())
}
