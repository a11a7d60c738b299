//! The marker: a row that, seen on the other side, proves that everything committed before it has been applied there.

use std::time::Duration;

use changeover_domain::{Failure, Side, ident::literal};
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

    /// Writes it and has it awaited, both sent at once.
    ///
    /// # Errors
    /// CO0718 when it isn't seen within the budget.
    pub(crate) async fn travel(
        &self,
        change: Change,
        closing: &Session,
        opening: &Session,
        budget: Duration,
    ) -> Result<(), Failure> {
        futures::try_join!(self.write(change, closing), self.arrive(change, opening, budget)).map(drop)
    }

    /// Commits it. Not by the session that holds the locks: its transaction must stay open.
    async fn write(&self, _: Change, closing: &Session) -> Result<(), Failure> {
        closing
            .query_typed("insert into changeover.marker (side, epoch, token) values ($1, $2, $3)", &self.key())
            .await
            .map(drop)
            .map_err(closing.failed("writing the marker"))
    }

    /// Waits, on the server, until it is seen. One round trip, which may be sent before the marker has been written. What was
    /// applied is durable with the next synchronous commit of that server, which flushes all WAL before it: the decision's.
    ///
    /// # Errors
    /// CO0718 at the deadline.
    async fn arrive(&self, _: Change, opening: &Session, budget: Duration) -> Result<(), Failure> {
        let Self { word, epoch, token } = self;
        let (word, token, ms) = (literal(word), literal(token), budget.as_millis());
        let sql = format!(
            "do $changeover$ declare patience constant timestamptz := clock_timestamp() + interval '{ms} ms'; begin \
               while not exists (select from changeover.marker m where m.side = {word} and m.epoch = {epoch} and m.token = {token}) loop \
                 if clock_timestamp() > patience then raise exception 'no marker' using errcode = '{NO_MARKER}'; end if; \
                 perform pg_catalog.pg_sleep(0.0005); \
               end loop; end $changeover$"
        );
        let failure = match opening.batch_execute(&sql).await {
            Ok(()) => return Ok(()),
            Err(error) => opening.failed("waiting for the marker")(error),
        };
        if failure.sqlstate.as_deref() != Some(NO_MARKER) {
            return Err(failure);
        }
        let message =
            format!("the marker of {} did not reach the {} within {budget:?}", opening.database, opening.side);
        Err(Failure::transient("CO0718", message, "it is tried again; look at the lag of the link"))
    }
}

const NO_MARKER: &str = "CO718";

/// Markers of earlier epochs have done their work.
pub(crate) async fn prune(_: Change, closing: &Session, epoch: u64) -> Result<(), Failure> {
    closing
        .execute("delete from changeover.marker where epoch < $1", &[&epoch::number(epoch)?])
        .await
        .map(drop)
        .map_err(closing.failed("removing old markers"))
}
