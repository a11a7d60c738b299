//! Verification: every row of every table of all databases is compared while both sides live and writes flow.
//!
//! Nothing is locked and nothing stands still, so two readings of the two sides may differ without a fault. A difference is
//! only what has been proven by the rules of `changeover_domain::verify`, twice; there is no alarm for a row that changes.
//! Which method a table gets is decided by [`facts::Method`]: ranges of its key where both sides order the key alike, one
//! sorted pass where that can't be known, and numbers of equal rows where there is no key.

mod chunks;
mod facts;
mod marker;
mod multiset;
mod ordered;
mod pair;
mod progress;
mod reader;
mod recheck;
mod statements;
mod structure;
mod throttle;
mod vectors;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use changeover_domain::{Direction, Failure, proto::VerifyTotals};

use crate::Migration;
use chunks::Pace;
use facts::{Method, Table};
use pair::Pair;
pub use progress::VerifyCursor;
use progress::{Position, Progress};
pub use structure::keep_wording;

/// Least bytes of lag at which verification steps back: the confirmed position is always a little behind.
const LEAST_LAG: i64 = 32 << 20;
/// Where a run is behind the last table: after every name of a table in the order of bytes.
const END: &str = "\u{10ffff}";
/// How often `tick` is called.
const TICK: Duration = Duration::from_secs(1);

/// Compares all rows, the schema and the rights of all databases, in the direction in which rows flow (after a switch the
/// target is the provider). Needs both sides' home schemas and the direction's replication running.
///
/// `tick` is called about once a second with the cursor; given back as `resume`, the run goes on near where it was. Dropping
/// the future ends the run; it leaves a marker row and a position in the schema `changeover`, nothing else.
/// Differences are no failure: they are counted and named in the totals, see [`judge`].
///
/// # Errors
/// Those of the connections; CO0602 when the servers write values differently; CO0603 when replication doesn't deliver;
/// CO0604 when a row could not be decided; CO0606 when a newer run of the same migration has taken over.
pub async fn run(
    migration: &Migration,
    direction: Direction,
    resume: Option<VerifyCursor>,
    tick: &(dyn Fn(&VerifyCursor) + Send + Sync),
) -> Result<VerifyTotals, Failure> {
    let cursor = Mutex::new(VerifyCursor::default());
    let copy = || cursor.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut work = std::pin::pin!(work(migration, direction, resume, &cursor));
    let mut clock = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = clock.tick() => {
                let cursor = copy();
                if !cursor.run.is_empty() {
                    tick(&cursor);
                }
            }
        }
    }
}

async fn work(
    migration: &Migration,
    direction: Direction,
    resume: Option<VerifyCursor>,
    cursor: &Mutex<VerifyCursor>,
) -> Result<VerifyTotals, Failure> {
    let (run, first, position) = begin(migration, resume).await?;
    let mut progress = Progress::new(cursor, &position);
    let mut position = Some(position);
    for (number, database) in migration.databases().iter().enumerate().skip(first) {
        let names = |c: &mut VerifyCursor| {
            c.run.clone_from(&run);
            c.database = u32::try_from(number).unwrap_or(u32::MAX);
            c.database_name.clone_from(&database.name);
            c.table = 0;
            c.table_name = String::new();
        };
        database_of(migration, direction, &database.name, &run, position.take(), names, &mut progress).await?;
    }
    Ok(progress.totals)
}

/// Where to go on: the run's id, the database, and the position in it. Without a usable `resume`: a new run.
async fn begin(migration: &Migration, resume: Option<VerifyCursor>) -> Result<(String, usize, Position), Failure> {
    let run = format!("{:016x}", rand::random::<u64>());
    if let Some(cursor) = resume.filter(|c| !c.run.is_empty()) {
        let number = usize::try_from(cursor.database).unwrap_or(usize::MAX);
        if let Some(database) = migration.databases().get(number).filter(|d| d.name == cursor.database_name) {
            let target = migration.target.open(&database.name, "verify").await?;
            if let Some(position) = progress::resume(&target, &cursor.run, &run).await? {
                return Ok((run, number, position));
            }
        }
    }
    Ok((run, 0, Position::default()))
}

async fn database_of(
    migration: &Migration,
    direction: Direction,
    database: &str,
    run: &str,
    resume: Option<Position>,
    names: impl FnOnce(&mut VerifyCursor),
    progress: &mut Progress<'_>,
) -> Result<(), Failure> {
    let pace = pace(migration);
    let timeout = (pace.aim * 40).clamp(Duration::from_secs(10), Duration::from_secs(120));
    let mut pair = Pair::open(migration, direction, database, run).await?;
    let resume = resume.unwrap_or_default();
    if resume.table.is_empty() {
        progress.claim(pair.target(), run).await?;
    }
    // Only now, so that a position is there for every cursor that gets out.
    progress.publish(names);
    let tables = facts::tables(&pair).await?;
    if resume.table.is_empty() {
        for problem in &tables.problems {
            progress.difference(format!("{database}: {problem}"));
        }
        structure::compare(migration, &pair, progress).await?;
    }
    pair.bound(timeout).await?;
    let count = u32::try_from(tables.common.len()).unwrap_or(u32::MAX);
    for (number, table) in tables.common.iter().enumerate() {
        let name = table.shape.name.raw();
        if name < resume.table {
            continue;
        }
        progress.publish(|c| {
            c.table = u32::try_from(number + 1).unwrap_or(u32::MAX);
            c.tables_in_database = count;
            c.table_name.clone_from(&name);
        });
        let after = if name == resume.table { resume.after.clone() } else { None };
        if after.is_none() {
            progress.table_differences = 0;
            progress.save(pair.target(), run, &name, None).await?;
        }
        one_table(&mut pair, table, after, &pace, run, progress).await?;
        progress.totals.tables += 1;
    }
    progress.save(pair.target(), run, END, None).await?;
    pair.remove_markers().await
}

async fn one_table(
    pair: &mut Pair<'_>,
    table: &Table,
    after: Option<changeover_domain::verify::Key>,
    pace: &Pace,
    run: &str,
    progress: &mut Progress<'_>,
) -> Result<(), Failure> {
    pair.provider.forget();
    pair.subscriber.forget();
    match table.method {
        Method::Chunks => chunks::compare(pair, table, after, pace, run, progress).await,
        Method::Ordered => ordered::compare(pair, table, progress).await,
        Method::Multiset => multiset::compare(pair, table, progress).await,
    }
}

fn pace(migration: &Migration) -> Pace {
    let verification = migration.spec.verification.unwrap_or_default();
    let lag = migration.spec.gates.map_or(0, |g| i64::try_from(g.max_lag_bytes).unwrap_or(i64::MAX));
    Pace {
        first_rows: verification.chunk_rows.max(1),
        aim: Duration::from_millis(verification.chunk_ms.max(1)),
        lag: lag.max(LEAST_LAG),
    }
}
