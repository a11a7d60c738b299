//! Every row of every table on both sides, with writers stopped.
//!
//! First each table's ordered `COPY` output is hashed on both sides at once. Only where the hashes differ, the table is read a
//! second time and matched row by row, to count and name what differs.

use super::session;
use crate::stack::cluster::Cluster;
use anyhow::{Context, Result, ensure};
use futures::{StreamExt, pin_mut};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tokio_postgres::Client;

/// The result over all databases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsReport {
    /// Tables compared, partitions counted each.
    pub tables: u64,
    /// Rows on the source.
    pub source_rows: u64,
    /// Rows on the target.
    pub target_rows: u64,
    /// Bytes of `COPY` output compared, on the source.
    pub source_bytes: u64,
    /// Rows that are missing, left over or different on the target.
    pub diverged_rows: u64,
    /// What differs, by table; the first few rows of each by key.
    pub faults: Vec<TableFault>,
}

/// A table that isn't the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFault {
    /// The database's name.
    pub database: String,
    /// The table, qualified and quoted.
    pub table: String,
    /// What is wrong.
    pub what: String,
    /// Rows that differ; a table that one side lacks counts as all its rows, and as one if it is empty.
    pub rows: u64,
    /// The first keys that differ (whole rows of a table without a key).
    pub keys: Vec<String>,
}

const KEYS_SHOWN: usize = 5;

/// Compares all tables of these databases: `FROM ONLY`, so each partition by itself; everything outside the system's schemas and
/// those that a migration or its environment brings (changeover, pglogical, rds_tools); large objects as one more table.
pub async fn compare_rows(source: &Cluster, target: &Cluster, databases: &[String]) -> Result<RowsReport> {
    let mut report = RowsReport::default();
    for database in databases {
        let (source, target) = tokio::try_join!(session::open(source, database), session::open(target, database))?;
        compare_database(&source, &target, database, &mut report)
            .await
            .with_context(|| format!("comparing the rows of {database}"))?;
    }
    Ok(report)
}

/// How a table is read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    columns: String,
    key: String,
}

const TABLES: &str = include_str!("../../sql/oracle/tables.sql");
const LARGE_OBJECTS: &str = "pg_catalog.pg_largeobject";

async fn tables(client: &Client) -> Result<BTreeMap<String, Table>> {
    let mut found: BTreeMap<String, Table> = BTreeMap::new();
    for row in client.query(TABLES, &[]).await? {
        found.insert(row.get("name"), Table { columns: row.get("columns"), key: row.get("key") });
    }
    let large_objects = Table { columns: "loid, pageno, data".to_owned(), key: "loid, pageno".to_owned() };
    found.insert(LARGE_OBJECTS.to_owned(), large_objects);
    Ok(found)
}

async fn compare_database(source: &Client, target: &Client, database: &str, report: &mut RowsReport) -> Result<()> {
    let (on_source, on_target) = tokio::try_join!(tables(source), tables(target))?;
    let names: BTreeSet<&String> = on_source.keys().chain(on_target.keys()).collect();
    for name in names {
        let fault = match (on_source.get(name), on_target.get(name)) {
            (Some(left), Some(right)) => compare_table(source, target, name, left, right, report).await?,
            (Some(table), None) => Some(lone_table(source, name, table, "only on the source").await?),
            (None, Some(table)) => Some(lone_table(target, name, table, "only on the target").await?),
            (None, None) => None,
        };
        report.tables += 1;
        if let Some(mut fault) = fault {
            report.diverged_rows += fault.rows;
            database.clone_into(&mut fault.database);
            report.faults.push(fault);
        }
    }
    Ok(())
}

fn fault(table: &str, what: &str, rows: u64, keys: Vec<String>) -> TableFault {
    TableFault { database: String::new(), table: table.to_owned(), what: what.to_owned(), rows, keys }
}

async fn lone_table(client: &Client, name: &str, table: &Table, what: &str) -> Result<TableFault> {
    let digest = digest(client, name, table).await?;
    Ok(fault(name, what, digest.rows.max(1), Vec::new()))
}

async fn compare_table(
    source: &Client,
    target: &Client,
    name: &str,
    left: &Table,
    right: &Table,
    report: &mut RowsReport,
) -> Result<Option<TableFault>> {
    if left != right {
        let what = format!("columns or key differ: {left:?} on the source, {right:?} on the target");
        let digest = digest(source, name, left).await?;
        return Ok(Some(fault(name, &what, digest.rows.max(1), Vec::new())));
    }
    let (on_source, on_target) = tokio::try_join!(digest(source, name, left), digest(target, name, right))?;
    report.source_rows += on_source.rows;
    report.target_rows += on_target.rows;
    report.source_bytes += on_source.bytes;
    if on_source == on_target {
        return Ok(None);
    }
    let (on_source, on_target) = tokio::try_join!(by_key(source, name, left), by_key(target, name, right))?;
    let mut keys = different_keys(&on_source, &on_target);
    let rows = keys.iter().map(|(_, rows)| rows).sum::<u64>();
    // Same rows, other order: can't be told from equal tables by their content, so the comparison itself is at fault.
    ensure!(rows > 0, "{name}: the ordered output differs, the rows don't: do the sides sort alike?");
    keys.truncate(KEYS_SHOWN);
    Ok(Some(fault(name, "rows differ", rows, keys.into_iter().map(|(key, _)| key).collect())))
}

#[derive(Debug, PartialEq, Eq)]
struct TableDigest {
    rows: u64,
    bytes: u64,
    hash: [u8; 32],
}

fn select(name: &str, table: &Table, first: &str) -> String {
    let order = if table.key.is_empty() { &table.columns } else { &table.key };
    // Every key column as text in the C collation: both sides sort alike, whatever their locales.
    let order: Vec<String> = split_columns(order).map(|column| format!("{column}::text collate \"C\"")).collect();
    let order = if order.is_empty() { String::new() } else { format!(" order by {}", order.join(", ")) };
    // A table may have no column at all, and rows all the same.
    let columns = if table.columns.is_empty() { first.trim_end_matches(", ") } else { first };
    format!("copy (select {columns}{} from only {name}{order}) to stdout", table.columns)
}

/// Splits a list of quoted columns, as [`TABLES`] makes it: none holds a comma and a blank outside its quotes.
fn split_columns(list: &str) -> impl Iterator<Item = String> + '_ {
    let mut rest = list;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut quoted = false;
        let end = rest
            .char_indices()
            .find(|(_, character)| {
                quoted ^= *character == '"';
                *character == ',' && !quoted
            })
            .map_or(rest.len(), |(at, _)| at);
        let column = rest[..end].trim().to_owned();
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(column)
    })
}

async fn digest(client: &Client, name: &str, table: &Table) -> Result<TableDigest> {
    let stream = client.copy_out(&select(name, table, "")).await.with_context(|| format!("reading {name}"))?;
    pin_mut!(stream);
    let (mut rows, mut bytes, mut hash) = (0, 0, Sha256::new());
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.with_context(|| format!("reading {name}"))?;
        // COPY writes a line feed inside a value as \n, so each one ends a row.
        rows += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
        bytes += chunk.len() as u64;
        hash.update(&chunk);
    }
    Ok(TableDigest { rows, bytes, hash: hash.finalize().into() })
}

/// Key to the hashes of its rows; more than one only where there is no key.
type RowsByKey = HashMap<String, Vec<[u8; 32]>>;

async fn by_key(client: &Client, name: &str, table: &Table) -> Result<RowsByKey> {
    let key = if table.key.is_empty() { &table.columns } else { &table.key };
    let first = format!("row({key})::text, ");
    let stream = client.copy_out(&select(name, table, &first)).await.with_context(|| format!("reading {name}"))?;
    pin_mut!(stream);
    let mut found = RowsByKey::new();
    let mut pending: Vec<u8> = Vec::new();
    while let Some(chunk) = stream.next().await {
        pending.extend_from_slice(&chunk.with_context(|| format!("reading {name}"))?);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            // COPY writes a tab inside a value as \t, so the first one ends the key. A table without columns has no tab.
            let key = line.split(|byte| *byte == b'\t').next().unwrap_or_default();
            let key = String::from_utf8_lossy(key).trim_end().to_owned();
            found.entry(key).or_default().push(Sha256::digest(&line).into());
        }
    }
    Ok(found)
}

/// The keys whose rows aren't the same, sorted, each with the number of its rows that differ.
fn different_keys(source: &RowsByKey, target: &RowsByKey) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let none = Vec::new();
    for key in source.keys().collect::<BTreeSet<_>>().union(&target.keys().collect()) {
        let mut only_source = source.get(*key).unwrap_or(&none).clone();
        let mut only_target = target.get(*key).unwrap_or(&none).clone();
        only_source.retain(|row| match only_target.iter().position(|other| other == row) {
            Some(at) => {
                only_target.swap_remove(at);
                false
            }
            None => true,
        });
        // A changed row is on both lists and counts once.
        let rows = only_source.len().max(only_target.len()) as u64;
        if rows > 0 {
            found.push(((*key).clone(), rows));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_split_outside_their_quotes_only() {
        let columns: Vec<String> = split_columns("id, \"a, b\", \"say \"\"x, y\"\"\", z").collect();
        assert_eq!(columns, ["id", "\"a, b\"", "\"say \"\"x, y\"\"\"", "z"]);
    }

    #[test]
    fn a_changed_row_counts_once_and_repeated_rows_count_each() {
        let rows = |list: &[(&str, &[u8])]| -> RowsByKey {
            list.iter().map(|(key, rows)| ((*key).to_owned(), rows.iter().map(|row| [*row; 32]).collect())).collect()
        };
        let source = rows(&[("1", &[1]), ("2", &[2]), ("3", &[3, 3, 3]), ("4", &[4])]);
        let target = rows(&[("1", &[9]), ("3", &[3]), ("4", &[4]), ("5", &[5])]);
        let expected = [("1", 1), ("2", 1), ("3", 2), ("5", 1)].map(|(key, rows)| (key.to_owned(), rows));
        assert_eq!(different_keys(&source, &target), expected);
    }
}
