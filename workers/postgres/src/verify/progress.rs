//! How far a run is: what travels in heartbeats, and what stays on the target.

use std::sync::{Mutex, PoisonError};

use changeover_domain::{Failure, proto::VerifyTotals, verify::Key};
use serde::{Deserialize, Serialize};

use super::reader::Digest;
use crate::Session;

const CLAIM_SQL: &str = include_str!("../../sql/verify_claim.sql");
const SAVE_SQL: &str = include_str!("../../sql/verify_save.sql");
const RESUME_SQL: &str = include_str!("../../sql/verify_resume.sql");

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
    /// Differences stored so far.
    #[serde(default)]
    pub(super) stored: i64,
}

/// Examples that a report names; all of them are in `changeover.verify_difference` on the target.
const EXAMPLES: usize = 20;
/// Differences of one table after which the rest of it isn't compared any more: it is broken as a whole.
const ENOUGH: u64 = 1_000;

/// The counters of a run.
pub(super) struct Progress<'a> {
    cursor: &'a Mutex<VerifyCursor>,
    pub(super) totals: VerifyTotals,
    pub(super) table_differences: u64,
    /// Found and not stored yet.
    found: Vec<String>,
    stored: i64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(cursor: &'a Mutex<VerifyCursor>, position: &Position) -> Self {
        let (totals, table_differences) = (position.totals.clone(), position.table_differences);
        Self { cursor, totals, table_differences, found: Vec::new(), stored: position.stored }
    }
    /// Begins in a database: what earlier runs have stored there is forgotten.
    pub(super) async fn claim(&mut self, target: &Session, run: &str) -> Result<(), Failure> {
        let state = self.position("", None).text()?;
        let claimed = target.execute(CLAIM_SQL, &[&run, &state]).await;
        claimed.map(drop).map_err(target.failed("beginning to store where verification is"))
    }
    /// Stores where the run is and what it has found since the last time.
    pub(super) async fn save(
        &mut self,
        target: &Session,
        run: &str,
        table: &str,
        after: Option<Key>,
    ) -> Result<(), Failure> {
        let first = self.stored;
        let found = std::mem::take(&mut self.found);
        self.stored += i64::try_from(found.len()).unwrap_or(0);
        let state = self.position(table, after).text()?;
        let row = target
            .query_one(SAVE_SQL, &[&run, &state, &first, &found])
            .await
            .map_err(target.failed("storing where verification is"))?;
        if row.get::<_, i64>(0) == 1 {
            return Ok(());
        }
        let message = format!("database {}: another run of verification has taken over", target.database);
        Err(Failure::transient("CO0606", message, "nothing: the newer run goes on"))
    }
    fn position(&self, table: &str, after: Option<Key>) -> Position {
        let (table_differences, totals, stored) = (self.table_differences, self.totals.clone(), self.stored);
        Position { table: table.to_owned(), after, table_differences, totals, stored }
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
            self.totals.examples.push(words.clone());
        }
        self.found.push(words);
        self.publish(|_| {});
    }
    /// Whether the table has so many that the rest of it need not be compared.
    pub(super) fn enough(&self) -> bool {
        self.table_differences >= ENOUGH
    }
}

impl Position {
    fn text(&self) -> Result<String, Failure> {
        serde_json::to_string(self)
            .map_err(|e| Failure::invariant("CO0605", format!("a position has no JSON form: {e}")))
    }
}

/// Takes a run over under a new id; `None` when the target has no position of it.
pub(super) async fn resume(target: &Session, old: &str, new: &str) -> Result<Option<Position>, Failure> {
    let row =
        target.query_opt(RESUME_SQL, &[&old, &new]).await.map_err(target.failed("reading where verification was"))?;
    let Some(row) = row else { return Ok(None) };
    let text: String = row.get(0);
    serde_json::from_str(&text).map(Some).map_err(|_| {
        let message = format!("database {}: the position of verification on the target can't be read", target.database);
        let remedy = "delete the row from changeover.verify_position on the target; then `changeover retry`";
        Failure::needs_human("CO0605", message, remedy)
    })
}
