//! How far the initial copy has come.
//!
//! pglogical copies one table after the other in one transaction on the target, and says nothing about it until the end. But
//! relation files and `pg_stat_progress_copy` are visible while they grow: a table that has grown and isn't being copied any
//! more is done.

use std::collections::HashMap;

use changeover_domain::{Direction, Failure, proto::Progress};
use futures::future::try_join_all;

use super::{
    canary, set_names, sets,
    status::{self, Subscription, SyncState},
    subscription, unstick,
};
use crate::{Migration, Session, note};

/// Note on the target: the table that was last seen being copied, for the message when the copy stops.
const LAST_TABLE: &str = "pglogical.last_table";

/// A look at the initial copy of all databases together.
#[derive(Clone, Debug, Default)]
pub struct SyncProgress {
    /// Bytes (heap and TOAST), rows (estimated for tables that are not done) and tables; rate and ETA are left out.
    pub progress: Progress,
    /// True when every table of every database is copied and its changes flow.
    pub ready: bool,
    /// What is not as it should be, in words; empty when all is well.
    pub problems: Vec<String>,
}

/// Looks how far the initial copy has come. An initial copy that died is a failure CO0507: `reset_forward`, then
/// `ensure_forward`. A worker that is merely down is kicked.
pub async fn sync_progress(migration: &Migration) -> Result<SyncProgress, Failure> {
    let parts = try_join_all(migration.databases().iter().map(async |database| {
        let source = migration.source.open(&database.name, "progress").await?;
        let target = migration.target.open(&database.name, "progress").await?;
        one(migration, &source, &target).await
    }))
    .await?;
    let mut sum = SyncProgress { ready: !parts.is_empty(), ..SyncProgress::default() };
    for part in parts {
        sum.ready &= part.ready;
        sum.problems.extend(part.problems);
        let (to, from) = (&mut sum.progress, part.progress);
        to.bytes_done += from.bytes_done;
        to.bytes_total += from.bytes_total;
        to.rows_done += from.rows_done;
        to.rows_total += from.rows_total;
        to.tables_done += from.tables_done;
        to.tables_total += from.tables_total;
    }
    Ok(sum)
}

async fn one(migration: &Migration, source: &Session, target: &Session) -> Result<SyncProgress, Failure> {
    let Some(found) = status::subscription(migration, Direction::Forward, target).await? else {
        let message = format!("database {} on the {} has no subscription", target.database, target.side);
        return Err(Failure::needs_human("CO0509", message, "find out who dropped it; then `changeover retry`"));
    };
    if found.copy_failed() {
        let last: Option<String> = note::get(&**target, target.side, LAST_TABLE).await?;
        return Err(subscription::copy_failed(target, last.as_deref()));
    }
    if found.status == "replicating" {
        // One that is ready waits for the others, maybe for days.
        canary::beat(source, source.side).await?;
    }
    let wanted = sizes_of_source(migration, source).await?;
    let current = current(target).await?;
    if let Some(current) = &current {
        note::put(&**target, target.side, LAST_TABLE, &current.name).await?;
    }
    let sizes = sizes_of_target(target).await?;
    let mut problems = problems(migration, target, &found).await?;
    let uncopied = uncopied(migration, source, target, &found).await?;
    if !uncopied.is_empty() {
        problems.push(format!(
            "CO0513 database {}: tables joined after the copy began and are not copied: {}",
            target.database,
            uncopied.join(", ")
        ));
    }
    let ready = found.sync == SyncState::Ready
        && found.status == "replicating"
        && found.tables == found.tables_ready
        && uncopied.is_empty();
    let copied = matches!(found.sync, SyncState::Catchup | SyncState::Ready);
    let progress = sum_up(&wanted, &sizes, current.as_ref(), found.sync, copied, ready);
    Ok(SyncProgress { progress, ready, problems })
}

async fn problems(migration: &Migration, target: &Session, found: &Subscription) -> Result<Vec<String>, Failure> {
    if found.status != "down" && found.status != "disabled" {
        return Ok(Vec::new());
    }
    let mut problem =
        format!("database {}: the subscription on the {} is {}", target.database, target.side, found.status);
    if unstick::found_so(migration, Direction::Forward, target, found).await? {
        problem.push_str("; kicked");
    }
    Ok(vec![problem])
}

/// Size and estimated rows of a table on the source.
struct Wanted {
    bytes: u64,
    rows: u64,
}

/// The table being copied.
struct Current {
    name: String,
    rows: u64,
}

async fn sizes_of_source(migration: &Migration, source: &Session) -> Result<HashMap<String, Wanted>, Failure> {
    let rows = source
        .query(include_str!("../../sql/pglogical_sizes.sql"), &[&set_names(migration)])
        .await
        .map_err(source.failed("measuring tables"))?;
    Ok(rows
        .iter()
        .map(|r| {
            let (bytes, rows): (i64, i64) = (r.get("bytes"), r.get("rows"));
            (r.get("name"), Wanted { bytes: bytes.unsigned_abs(), rows: rows.unsigned_abs() })
        })
        .collect())
}

async fn sizes_of_target(target: &Session) -> Result<HashMap<String, u64>, Failure> {
    let rows = target
        .query(
            // An empty table has a size too, that of its TOAST's index: what counts as begun is the heap.
            "select n.nspname || '.' || c.relname,
                    case when pg_catalog.pg_relation_size(c.oid) > 0 then coalesce(pg_catalog.pg_table_size(c.oid), 0) else 0 end
               from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'",
            &[],
        )
        .await
        .map_err(target.failed("measuring tables"))?;
    Ok(rows.iter().map(|r| (r.get(0), r.get::<_, i64>(1).unsigned_abs())).collect())
}

async fn current(target: &Session) -> Result<Option<Current>, Failure> {
    let row = target
        .query_opt(
            "select n.nspname || '.' || c.relname, p.tuples_processed
               from pg_catalog.pg_stat_progress_copy p
               join pg_catalog.pg_class c on c.oid = p.relid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where p.datname = current_database() and p.command = 'COPY FROM' and n.nspname !~ '^pg_' limit 1",
            &[],
        )
        .await
        .map_err(target.failed("looking at the copy"))?;
    Ok(row.map(|r| Current { name: r.get(0), rows: r.get::<_, i64>(1).unsigned_abs() }))
}

/// Tables that pglogical keeps no state of, although the copy is over: they were made later, and nobody copied their rows.
async fn uncopied(
    migration: &Migration,
    source: &Session,
    target: &Session,
    found: &Subscription,
) -> Result<Vec<String>, Failure> {
    if found.sync != SyncState::Ready {
        return Ok(Vec::new());
    }
    let wanted = sets::names(source, &migration.source).await?;
    let known = target
        .query(
            "select sync_nspname || '.' || sync_relname from pglogical.local_sync_status where sync_subid = $1 and sync_relname is not null",
            &[&found.id],
        )
        .await
        .map_err(target.failed("reading the state of tables"))?;
    let known: std::collections::HashSet<String> = known.iter().map(|r| r.get(0)).collect();
    Ok(wanted.into_iter().filter(|t| !known.contains(t)).take(5).collect())
}

fn sum_up(
    wanted: &HashMap<String, Wanted>,
    sizes: &HashMap<String, u64>,
    current: Option<&Current>,
    sync: SyncState,
    copied: bool,
    ready: bool,
) -> Progress {
    let mut sum = Progress { tables_total: wanted.len() as u64, ..Progress::default() };
    for (name, table) in wanted {
        sum.bytes_total += table.bytes;
        sum.rows_total += table.rows;
        let size = sizes.get(name).copied().unwrap_or(0);
        if let Some(current) = current.filter(|c| c.name == *name) {
            sum.bytes_done += size.min(table.bytes);
            sum.rows_done += current.rows.min(table.rows);
        } else if copied || size > 0 || (table.rows == 0 && sync == SyncState::Data) {
            // A copy is often smaller than its original, which holds dead rows too: done is done.
            sum.bytes_done += table.bytes;
            sum.rows_done += table.rows;
            sum.tables_done += 1;
        }
    }
    if !ready {
        sum.bytes_done = sum.bytes_done.min(sum.bytes_total.saturating_sub(1));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> HashMap<String, Wanted> {
        [("a.one", 1_000, 10), ("a.two", 3_000, 30), ("a.empty", 0, 0)]
            .into_iter()
            .map(|(n, bytes, rows)| (n.to_owned(), Wanted { bytes, rows }))
            .collect()
    }

    #[test]
    fn the_current_table_counts_by_its_file_and_the_finished_one_whole() {
        let sizes = HashMap::from([("a.one".to_owned(), 900), ("a.two".to_owned(), 1_500)]);
        let current = Current { name: "a.two".into(), rows: 14 };
        let sum = sum_up(&tables(), &sizes, Some(&current), SyncState::Data, false, false);
        assert_eq!((sum.bytes_done, sum.bytes_total), (2_500, 4_000));
        assert_eq!((sum.rows_done, sum.rows_total), (24, 40));
        assert_eq!((sum.tables_done, sum.tables_total), (2, 3));
    }

    #[test]
    fn full_is_only_what_is_ready() {
        let sum = sum_up(&tables(), &HashMap::new(), None, SyncState::Catchup, true, false);
        assert_eq!((sum.bytes_done, sum.bytes_total), (3_999, 4_000));
        let sum = sum_up(&tables(), &HashMap::new(), None, SyncState::Ready, true, true);
        assert_eq!((sum.bytes_done, sum.tables_done), (4_000, 3));
    }

    #[test]
    fn nothing_is_done_before_the_slot() {
        let sum = sum_up(&tables(), &HashMap::new(), None, SyncState::Init, false, false);
        assert_eq!((sum.bytes_done, sum.tables_done), (0, 0));
    }
}
