//! How far a run is: what travels in heartbeats, and what stays on the target.

use std::sync::{Mutex, PoisonError};

use changeover_domain::{Failure, proto::VerifyTotals, verify::Key};
use serde::{Deserialize, Serialize};

use super::reader::Digest;
use crate::Session;

/// Where a run is, for a heartbeat: counters and names only. The key at which it goes on is row data and stays in the table
/// `changeover.verify_position` on the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyCursor {
    /// The run's random id: a position belongs to one run.
    pub run: String,
    /// Which database of the spec, from 0.
    pub database: u32,
    /// Its name.
    pub database_name: String,
    /// Which table of that database, from 1; 0 before the first.
    pub table: u32,
    /// How many there are in that database.
    pub tables_in_database: u32,
    /// The table, as `schema.table`.
    pub table_name: String,
    /// Tables done so far, in all databases.
    pub tables: u64,
    /// Rows compared so far.
    pub rows: u64,
    /// Bytes of text compared so far.
    pub bytes: u64,
    /// Chunks so far.
    pub chunks: u64,
    /// Keys read again so far.
    pub rechecked_keys: u64,
    /// Differences so far.
    pub differences: u64,
}

/// What the target keeps of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Position {
    /// The last table that was begun; empty before the first.
    pub(super) table: String,
    /// The last key of it that has been dealt with.
    pub(super) after: Option<Key>,
    /// The table's differences so far.
    pub(super) table_differences: u64,
    /// The totals up to there.
    pub(super) totals: VerifyTotals,
}

/// Examples that a report names; the rest is counted.
const EXAMPLES: usize = 40;
/// Differences of one table after which the rest of it isn't compared any more: it is broken as a whole.
const ENOUGH: u64 = 1_000;

/// The counters of a run.
pub(super) struct Progress<'a> {
    cursor: &'a Mutex<VerifyCursor>,
    pub(super) totals: VerifyTotals,
    pub(super) table_differences: u64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(cursor: &'a Mutex<VerifyCursor>, totals: VerifyTotals) -> Self {
        Self { cursor, totals, table_differences: 0 }
    }
    /// Changes the cursor's names and brings its counters up to date.
    pub(super) fn publish(&self, change: impl FnOnce(&mut VerifyCursor)) {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        cursor.tables = self.totals.tables;
        cursor.rows = self.totals.rows;
        cursor.bytes = self.totals.bytes;
        cursor.chunks = self.totals.chunks;
        cursor.rechecked_keys = self.totals.rechecked_keys;
        cursor.differences = self.totals.differences;
        change(&mut cursor);
    }
    /// A chunk of so many rows and bytes, as the provider has them.
    pub(super) fn chunk(&mut self, digest: &Digest) {
        self.rows(digest.rows, digest.bytes);
        self.totals.chunks += 1;
        self.publish(|_| {});
    }
    /// Rows and bytes, as the provider has them.
    pub(super) fn rows(&mut self, rows: i64, bytes: i64) {
        self.totals.rows += u64::try_from(rows).unwrap_or(0);
        self.totals.bytes += u64::try_from(bytes).unwrap_or(0);
    }
    /// Keys that were read again.
    pub(super) fn rechecked(&mut self, keys: usize) {
        self.totals.rechecked_keys += keys as u64;
        self.publish(|_| {});
    }
    /// A difference, in words.
    pub(super) fn difference(&mut self, words: String) {
        self.differences(1, words);
    }
    /// Several differences under one name.
    pub(super) fn differences(&mut self, count: u64, words: String) {
        self.totals.differences += count;
        self.table_differences += count;
        if self.totals.examples.len() < EXAMPLES {
            self.totals.examples.push(words);
        }
        self.publish(|_| {});
    }
    /// Whether the table has so many that the rest of it need not be compared.
    pub(super) fn enough(&self) -> bool {
        self.table_differences >= ENOUGH
    }
}

/// Reads the position of a run; `None` when the target has none of it.
pub(super) async fn load(target: &Session, run: &str) -> Result<Option<Position>, Failure> {
    let row = target
        .query_opt("select state::text from changeover.verify_position where run = $1", &[&run])
        .await
        .map_err(target.failed("reading where verification was"))?;
    let Some(row) = row else { return Ok(None) };
    let text: String = row.get(0);
    serde_json::from_str(&text).map(Some).map_err(|_| {
        let message = format!("database {}: the position of verification on the target can't be read", target.database);
        Failure::needs_human(
            "CO0605",
            message,
            "delete the row from changeover.verify_position on the target; then `changeover retry`",
        )
    })
}

/// Stores the position of a run, and forgets those of earlier runs.
pub(super) async fn save(target: &Session, run: &str, position: &Position) -> Result<(), Failure> {
    let text = serde_json::to_string(position)
        .map_err(|e| Failure::invariant("CO0605", format!("a position has no JSON form: {e}")))?;
    let sql = "with gone as (delete from changeover.verify_position where run <> $1) \
        insert into changeover.verify_position (run, state) values ($1, $2::text::jsonb) \
        on conflict (run) do update set state = excluded.state, at = clock_timestamp()";
    target.execute(sql, &[&run, &text]).await.map(drop).map_err(target.failed("storing where verification is"))
}
