//! The marker: a row that, seen on the other side, proves that everything committed before it has been applied there.

use std::time::Duration;

use changeover_domain::{Failure, Side};
use tokio::time::{Instant, sleep};
use tokio_postgres::types::Type;

use super::{effect::Change, epoch};
use crate::Session;

/// A marker of one attempt in one database.
#[derive(Clone, Debug)]
pub(crate) struct Marker {
    word: &'static str,
    epoch: i64,
    token: String,
}

impl Marker {
    pub(crate) fn new(side: Side, epoch: u64) -> Result<Self, Failure> {
        Ok(Self { word: side.word(), epoch: epoch::number(epoch)?, token: format!("{:016x}", rand::random::<u64>()) })
    }

    fn key(&self) -> [epoch::Parameter<'_>; 3] {
        [(&self.word, Type::TEXT), (&self.epoch, Type::INT8), (&self.token, Type::TEXT)]
    }

    /// Commits it. Not by the session that holds the locks: its transaction must stay open.
    pub(crate) async fn write(&self, _: Change, closing: &Session) -> Result<(), Failure> {
        closing
            .query_typed("insert into changeover.marker (side, epoch, token) values ($1, $2, $3)", &self.key())
            .await
            .map(drop)
            .map_err(closing.failed("writing the marker"))
    }

    /// Waits until it is seen.
    ///
    /// # Errors
    /// CO0718 at the deadline.
    pub(crate) async fn wait(&self, opening: &Session, budget: Duration) -> Result<(), Failure> {
        let sql = "select from changeover.marker where side = $1 and epoch = $2 and token = $3";
        let deadline = Instant::now() + budget;
        loop {
            let seen = opening.query_typed(sql, &self.key()).await.map_err(opening.failed("waiting for the marker"))?;
            if !seen.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let message =
                    format!("the marker of {} did not reach the {} within {budget:?}", opening.database, opening.side);
                return Err(Failure::transient("CO0718", message, "it is tried again; look at the lag of the link"));
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// One synchronous commit that writes: it flushes all WAL before it, also what replication applied asynchronously.
pub(crate) async fn make_durable(_: Change, opening: &Session, epoch: u64) -> Result<(), Failure> {
    let sql = "insert into changeover.note (key, value) values ('drained', pg_catalog.to_jsonb($1::bigint)) \
               on conflict (key) do update set value = excluded.value, at = clock_timestamp()";
    opening
        .query_typed(sql, &[(&epoch::number(epoch)?, Type::INT8)])
        .await
        .map(drop)
        .map_err(opening.failed("making the drained rows durable"))
}

/// Markers of earlier epochs have done their work.
pub(crate) async fn prune(_: Change, closing: &Session, epoch: u64) -> Result<(), Failure> {
    closing
        .execute("delete from changeover.marker where epoch < $1", &[&epoch::number(epoch)?])
        .await
        .map(drop)
        .map_err(closing.failed("removing old markers"))
}
