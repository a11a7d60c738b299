//! The decision of an epoch: written once, in the control database of the side that opens, by a synchronous commit. The
//! transaction that writes `open` lets the application roles log in there; LOGIN is of the whole instance, so all databases open at
//! one instant. Nobody acts on the row's absence: who wants to undo writes `abort` first.

use std::time::Duration;

use changeover_domain::{Direction, Failure, Side};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use super::{
    effect::{Change, Effect, perform, say},
    epoch::{self, Seen},
    login, undo,
};
use crate::{Migration, Session, patience};

/// Least time for one try to settle.
const LEAST: Duration = Duration::from_secs(1);

/// What became of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The other side serves.
    Open,
    /// Nothing was switched, and nothing of this epoch can happen any more.
    Abort,
}

impl Outcome {
    /// `open` or `abort`.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Open => "open",
            Outcome::Abort => "abort",
        }
    }
    pub(crate) fn parse(word: &str) -> Result<Self, Failure> {
        match word {
            "open" => Ok(Outcome::Open),
            "abort" => Ok(Outcome::Abort),
            other => Err(Failure::invariant("CO0712", format!("the decision `{other}` is none"))),
        }
    }
}

/// The session that will write the decision, on the arbiter.
pub(crate) async fn arbiter(migration: &Migration, direction: Direction, purpose: &str) -> Result<Session, Failure> {
    let session = migration.subscriber(direction).open(migration.control_database(), purpose).await?;
    say(&session, "set synchronous_commit = on").await.map_err(session.failed("preparing the decision"))?;
    Ok(session)
}

/// Writes `open` and lets the application roles log in, in a transaction of this session that waits for [`open`]: nobody sees it
/// before. The epoch's row is locked from here on, so whoever wants to abort waits, or ends this session.
pub(crate) async fn hold(_: Change, arbiter: &Session, migration: &Migration, epoch: u64) -> Result<(), Failure> {
    let hold = epoch::hold_sql(migration, epoch)?;
    let number = epoch::number(epoch)?;
    // A plain insert: whoever writes `abort` waits for our lock, and if a decision were there everything else must not happen.
    let sql = format!(
        "begin isolation level read committed; {hold}; \
         insert into changeover.decision (epoch, outcome) values ({number}, 'open'); \
         do $changeover$ declare r name; begin \
           for r in select s.role from changeover.saved_login s join pg_catalog.pg_roles x on x.rolname = s.role loop \
           execute pg_catalog.format('alter role %I login', r); end loop; end $changeover$; \
         delete from changeover.saved_login"
    );
    let held = arbiter.batch_execute(&sql).await.map_err(arbiter.failed("preparing the decision"));
    held.map_err(|failure| epoch::explain(arbiter.side, epoch, failure))
}

/// Commits what [`hold`] has made ready, synchronously: whatever this server had applied by then is durable as well. That the
/// session still is the one that held it proves that the server hasn't crashed since the markers were seen. `Ok` means that it is
/// committed.
///
/// # Errors
/// Whatever is returned, the commit may have happened: [`settle`] tells.
pub(crate) async fn open(_: Change, arbiter: &Session) -> Result<(), Failure> {
    arbiter.batch_execute(login::COMMIT_LIVING).await.map_err(arbiter.failed("writing the decision"))
}

/// Writes `abort` unless the epoch is decided; returns what stands.
async fn win_abort(migration: &Migration, direction: Direction, epoch: u64) -> Result<Outcome, Failure> {
    let mut arbiter = arbiter(migration, direction, "recover").await?;
    perform(Effect::Abort, |change| write_abort(change, &mut arbiter, migration, epoch)).await
}

async fn write_abort(
    change: Change,
    arbiter: &mut Session,
    migration: &Migration,
    epoch: u64,
) -> Result<Outcome, Failure> {
    let (side, failed) = (arbiter.side, arbiter.failed("writing the decision"));
    let transaction = arbiter.transaction().await.map_err(&failed)?;
    // Short: who keeps the row from us is looked for after it.
    transaction.batch_execute("set local lock_timeout = '1s'").await.map_err(&failed)?;
    epoch::hold_to_undo(&transaction, side, migration, epoch).await?;
    let outcome = epoch::write_once(change, &transaction, side, epoch, Outcome::Abort).await?;
    transaction.commit().await.map_err(&failed)?;
    Ok(outcome)
}

/// Somebody keeps the epoch's row from us: a newer attempt, which is at work, or what stands still, which is ended.
async fn make_way(migration: &Migration, side: Side, epoch: u64) -> Result<(), Failure> {
    let cleared = match epoch::observe(migration, epoch).await {
        Ok(Seen { newer: Some(newer), .. }) => return Err(epoch::taken(side, newer, epoch)),
        Ok(_) => undo::evict_still(migration, side).await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = cleared {
        tracing::warn!(%failure, "looking for who keeps the epoch's row; it is tried again");
    }
    Ok(())
}

/// After an attempt went wrong: makes the epoch decided, `abort` unless it is `open` already. Tries for as long as `patience`
/// lasts, since until then neither side may be opened.
///
/// # Errors
/// CO0713: the arbiter can't be reached, so the outcome isn't known.
pub(crate) async fn settle(
    migration: &Migration,
    direction: Direction,
    epoch: u64,
    patience: Duration,
) -> Result<Outcome, Failure> {
    let deadline = Instant::now() + patience;
    loop {
        // A server that is silent must not be waited for beyond the patience.
        let left = deadline.saturating_duration_since(Instant::now()).max(LEAST);
        let failure = match timeout(left, win_abort(migration, direction, epoch)).await {
            Ok(Ok(outcome)) => return Ok(outcome),
            Ok(Err(failure)) => failure,
            Err(_) => super::stands_still("settling the attempt", left),
        };
        if failure.code == "CO0211" || failure.code == "CO0212" {
            return Err(failure);
        }
        if patience::is_lock(&failure) {
            make_way(migration, direction.to_side(), epoch).await?;
        }
        if Instant::now() >= deadline {
            let side = direction.to_side();
            let message = format!(
                "ALARM: the {side} can't be reached to settle the attempt of epoch {epoch}; until it can, neither side is opened: {failure}"
            );
            return Err(Failure::needs_human(
                "CO0713",
                message,
                format!("bring the {side} back, then `changeover retry` at once"),
            ));
        }
        sleep(Duration::from_millis(100)).await;
    }
}
