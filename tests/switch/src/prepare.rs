//! What the worker's activities do from the start of a migration up to its switch, by the same functions in the same order.

use anyhow::{Context, Result, bail};
use changeover_domain::{Direction, Failure, Side};
use changeover_postgres::{Migration, ddl_guard, drift, gate, membership, pglogical, roles, schema, triggers};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Longest time of a copy, or for links to become healthy.
const LONG: Duration = Duration::from_secs(180);
/// What each further table is given on top.
const TABLE: Duration = Duration::from_millis(100);

/// Roles, schema, copy, indexes, and replication both ways. `more_tables`: how many the sample has been given.
pub(crate) async fn ready_to_switch(migration: &Migration, more_tables: usize) -> Result<()> {
    let long = LONG + TABLE * u32::try_from(more_tables)?;
    told("the source's home", membership::ensure(migration, Side::Source).await)?;
    told("roles", roles::ensure(migration).await)?;
    told("the target's home", membership::ensure(migration, Side::Target).await)?;
    told("the baseline", drift::baseline(migration, Side::Source).await)?;
    told("the schema", schema::ensure_before_data(migration).await)?;
    for side in [Side::Source, Side::Target] {
        told("the DDL guard", ddl_guard::ensure(migration, side).await)?;
    }
    told("replication", pglogical::ensure_forward(migration).await)?;
    until_copied(migration, long).await?;
    told("indexes and constraints", schema::ensure_after_data(migration, &|_| {}).await)?;
    told("triggers", triggers::quiet_replica_triggers(migration, Side::Source).await)?;
    told("reverse replication", pglogical::ensure_reverse(migration).await)?;
    told("the fence", gate::ensure(migration).await)?;
    until_healthy(migration, long).await
}

fn told<T>(what: &str, result: Result<T, Failure>) -> Result<T> {
    result.map_err(|failure| anyhow::anyhow!("preparing {what}: {failure} [{}] {}", failure.code, failure.remedy))
}

async fn until_copied(migration: &Migration, deadline: Duration) -> Result<()> {
    let begun = Instant::now();
    loop {
        let look = told("the copy", pglogical::sync_progress(migration).await)?;
        if look.ready {
            return Ok(());
        }
        if begun.elapsed() > deadline {
            bail!("the copy isn't ready after {deadline:?}: {:?} {:?}", look.progress, look.problems);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until a canary goes through every link in both directions, as the workflow's looks at its links do.
pub(crate) async fn until_healthy(migration: &Migration, deadline: Duration) -> Result<()> {
    let begun = Instant::now();
    loop {
        let problem = match look(migration).await {
            Ok(problems) if problems.is_empty() => return Ok(()),
            Ok(problems) => problems.join("; "),
            Err(failure) => failure.to_string(),
        };
        if begun.elapsed() > deadline {
            return Err(anyhow::anyhow!(problem)).with_context(|| format!("links aren't healthy after {deadline:?}"));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn look(migration: &Migration) -> Result<Vec<String>, Failure> {
    let mut problems = Vec::new();
    for direction in [Direction::Forward, Direction::Reverse] {
        pglogical::unstick(migration, direction).await?;
        for link in pglogical::health(migration, direction).await? {
            problems.extend(link.problems.iter().map(|problem| format!("{direction} {}: {problem}", link.database)));
        }
    }
    Ok(problems)
}
