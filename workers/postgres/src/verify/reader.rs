//! A session that reads one side for verification, with settings pinned and statements prepared once.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use changeover_domain::{
    Failure, Side,
    verify::{Key, RowHash, Seen},
};
use futures::{Stream, TryStreamExt};
use tokio_postgres::{Row, Statement, types::ToSql};

use super::statements::{Range, Shape};
use crate::{Session, Site};

/// On top of what every session has: formats that depend on nothing, plans for the very values, and no help that would take
/// more of the server than one core. Sequential scans are for whole tables only, whatever the statistics say.
const SETTINGS: &str = "set lc_monetary = 'C'; set plan_cache_mode = force_custom_plan; set jit = off; \
    set max_parallel_workers_per_gather = 0; set default_transaction_read_only = off; set synchronous_commit = local; \
    set default_transaction_isolation = 'read committed'; set enable_seqscan = off";

/// Rows, hash and bytes of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) rows: i64,
    pub(super) bytes: i64,
    /// Sums of the two halves of the rows' hashes.
    pub(super) sums: (String, String),
}

/// One side.
pub(super) struct Reader {
    pub(super) session: Session,
    prepared: Mutex<HashMap<String, Statement>>,
}

impl Reader {
    /// Opens it; `timeout` bounds each statement (`None`: no bound, for whole tables).
    pub(super) async fn open(site: &Site, database: &str, timeout: Option<Duration>) -> Result<Self, Failure> {
        let session = site.open(database, "verify").await?;
        session.batch_execute(SETTINGS).await.map_err(session.failed("pinning the settings of verification"))?;
        let reader = Self { session, prepared: Mutex::new(HashMap::new()) };
        reader.bound(timeout).await?;
        Ok(reader)
    }
    /// Bounds each statement by `timeout`, or none.
    pub(super) async fn bound(&self, timeout: Option<Duration>) -> Result<(), Failure> {
        let sql = format!("set statement_timeout = {}", timeout.map_or(0, |t| t.as_millis()));
        self.session.batch_execute(&sql).await.map_err(self.session.failed("pinning the settings of verification"))
    }
    /// Which side it reads.
    pub(super) fn side(&self) -> Side {
        self.session.side
    }
    /// Forgets the statements of the table before.
    pub(super) fn forget(&self) {
        if let Ok(mut prepared) = self.prepared.lock() {
            prepared.clear();
        }
    }
    async fn prepare(&self, sql: &str) -> Result<Statement, Failure> {
        let known = self.prepared.lock().ok().and_then(|p| p.get(sql).cloned());
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.session.prepare(sql).await.map_err(self.session.failed("preparing a comparison"))?;
        if let Ok(mut prepared) = self.prepared.lock() {
            prepared.insert(sql.to_owned(), statement.clone());
        }
        Ok(statement)
    }
    async fn query(&self, sql: &str, values: &[&(dyn ToSql + Sync)], what: &str) -> Result<Vec<Row>, Failure> {
        let statement = self.prepare(sql).await?;
        self.session.query(&statement, values).await.map_err(self.session.failed(what))
    }
    /// The key of the `offset`th row of a range; `None` when it has fewer rows.
    pub(super) async fn boundary(&self, shape: &Shape, range: &Range, offset: u64) -> Result<Option<Key>, Failure> {
        let values: Vec<&(dyn ToSql + Sync)> = range.values().map(|v| v as &(dyn ToSql + Sync)).collect();
        // The offset is part of the text and changes with the chunk's size: not worth keeping prepared.
        let sql = shape.boundary(range, offset);
        let what = format!("finding the end of a chunk of {}", shape.name.raw());
        let rows = self.session.query(&sql, &values).await.map_err(self.session.failed(&what))?;
        Ok(rows.first().map(|row| (0..shape.key.len()).map(|n| row.get(n)).collect()))
    }
    /// Rows, hash and bytes of a range.
    pub(super) async fn digest(&self, shape: &Shape, range: &Range) -> Result<Digest, Failure> {
        let values: Vec<&(dyn ToSql + Sync)> = range.values().map(|v| v as &(dyn ToSql + Sync)).collect();
        let what = format!("hashing a chunk of {}", shape.name.raw());
        let rows = self.query(&shape.digest(range), &values, &what).await?;
        let row = rows.first().ok_or_else(|| Failure::invariant("CO0605", format!("{what} gave no row")))?;
        Ok(Digest { rows: row.get(0), sums: (row.get(1), row.get(2)), bytes: row.get(3) })
    }
    /// A stream of the rows of a statement; the server sends no faster than they are taken.
    pub(super) async fn stream<'a>(
        &'a self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
        what: &'a str,
    ) -> Result<impl Stream<Item = Result<Row, Failure>> + use<'a>, Failure> {
        let stream = self.session.query_raw(sql, values.iter().copied()).await.map_err(self.session.failed(what))?;
        Ok(stream.map_err(self.session.failed(what)))
    }
    /// Reads keys again, in one snapshot. Absent keys are `None`.
    pub(super) async fn keys(&self, shape: &Shape, keys: &[Key]) -> Result<Vec<Option<Seen>>, Failure> {
        let columns: Vec<Vec<&str>> =
            (0..shape.key.len()).map(|n| keys.iter().map(|k| k.get(n).map_or("", String::as_str)).collect()).collect();
        let values: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|c| c as &(dyn ToSql + Sync)).collect();
        let what = format!("reading rows of {} again", shape.name.raw());
        let rows = self.query(&shape.keys(), &values, &what).await?;
        let mut seen = vec![None; keys.len()];
        for row in rows {
            let place = usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or(usize::MAX);
            if let Some(slot) = seen.get_mut(place) {
                add(slot, row.get(1), RowHash(row.get(2), row.get(3)));
            }
        }
        Ok(seen)
    }
}

/// A key that is none on this side has several rows: all of them count.
fn add(slot: &mut Option<Seen>, version: String, hash: RowHash) {
    *slot = Some(match slot.take() {
        None => Seen { version, hash },
        Some(one) => {
            let mut versions = [one.version, version];
            versions.sort_unstable();
            // Not the sum alone: a row more must never look like another row.
            let hash = RowHash(one.hash.0.wrapping_add(hash.0), one.hash.1.wrapping_add(hash.1).wrapping_add(1));
            Seen { version: versions.join(","), hash }
        }
    });
}
