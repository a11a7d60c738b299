//! Poolers know no epoch. So whoever touches them holds the epoch's row on the side that opens, from before the pause until after
//! the resume: a new attempt can't claim its epoch meanwhile, and a late one finds that it isn't its turn any more.

use std::time::Duration;

use changeover_domain::{Direction, Failure, Side};
use tokio::time::{Instant, sleep, timeout};

use super::{
    close,
    effect::{Change, Effect, perform, say},
    epoch,
};
use crate::{Migration, Session, patience, traffic::Traffic};

/// Longest wait for an attempt at work to be through with the poolers.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(50);

/// Longest wait for the server to say that the lock is held.
const HELD: Duration = Duration::from_secs(2);

/// The right to touch the poolers, held by a transaction of its session.
pub(crate) struct RouteLock {
    session: Session,
}

impl RouteLock {
    /// Takes it for an attempt that may still act.
    pub(crate) async fn take(_: Change, session: Session, migration: &Migration, epoch: u64) -> Result<Self, Failure> {
        let (begun, held) = futures::join!(
            say(&session, "begin isolation level read committed"),
            epoch::hold(&*session, session.side, migration, epoch)
        );
        begun.map_err(session.failed("locking the epoch"))?;
        held?;
        Ok(Self { session })
    }

    /// Whether it is still held: the session lives, and with it its transaction. No answer is a no.
    pub(crate) async fn is_held(&self) -> bool {
        matches!(timeout(HELD, say(&self.session, "select")).await, Ok(Ok(())))
    }

    /// Lets go of it.
    pub(crate) async fn release(self) -> Result<(), Failure> {
        say(&self.session, "rollback").await.map_err(self.session.failed("letting go of the epoch"))
    }
}

/// The epoch is decided `open`: clients are sent to the side that serves and go on.
pub(crate) async fn open(
    session: Session,
    migration: &Migration,
    direction: Direction,
    epoch: u64,
    traffic: &dyn Traffic,
) -> Result<(), Failure> {
    let lock = perform(Effect::HoldRoute, |change| RouteLock::take(change, session, migration, epoch)).await?;
    // Whoever stood still since may have been overtaken, by a switch to the other side, too.
    if !lock.is_held().await {
        return Err(epoch::overtaken(epoch));
    }
    perform(Effect::FinishRoute, |_| traffic.move_to(direction.to_side())).await?;
    perform(Effect::FinishResume, |_| traffic.resume()).await?;
    held_until_now(lock.release().await, migration, traffic).await
}

/// The epoch is decided `abort`: clients are sent where they were and go on.
pub(crate) async fn back(
    arbiter: &mut Session,
    migration: &Migration,
    to: Side,
    epoch: u64,
    traffic: &dyn Traffic,
) -> Result<(), Failure> {
    let (side, failed) = (arbiter.side, arbiter.failed("holding the epoch while traffic moves back"));
    let transaction = arbiter.transaction().await.map_err(&failed)?;
    epoch::hold_to_undo(&transaction, side, migration, epoch).await?;
    perform(Effect::RouteBack, |_| traffic.move_to(to)).await?;
    perform(Effect::ResumeBack, |_| traffic.resume()).await?;
    held_until_now(transaction.rollback().await.map_err(&failed), migration, traffic).await
}

/// Only the end of its transaction proves that the right to touch the poolers was held as long as they were touched. Where it can't be
/// proved somebody else may have sent clients another way meanwhile, who goes by what he has done: they are sent where it is decided.
async fn held_until_now(
    released: Result<(), Failure>,
    migration: &Migration,
    traffic: &dyn Traffic,
) -> Result<(), Failure> {
    match released {
        Ok(()) => Ok(()),
        Err(failure) => {
            tracing::warn!(%failure, "whether this attempt still had the right to touch the poolers isn't known: looking who serves");
            let_go(migration, traffic).await
        }
    }
}

/// A late attempt has found that it was overtaken, and may have touched poolers after that: sends clients to the side that serves
/// by what stands decided, and lets them go on. With both sides' rows locked no other attempt is between its pause and its resume.
pub(crate) async fn let_go(migration: &Migration, traffic: &dyn Traffic) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    let (source, target) = loop {
        match lock_both(migration).await {
            Ok(both) => break both,
            Err(failure) if patience::is_lock(&failure) && Instant::now() < deadline => sleep(RETRY).await,
            Err(failure) => return Err(failure),
        }
    };
    let serving = close::serving(&source, &target).await?;
    perform(Effect::LetGo, |change| send(change, traffic, serving)).await?;
    // Only this proves that the locks were held until now.
    for session in [source, target] {
        say(&session, "rollback").await.map_err(session.failed("letting go of the epoch"))?;
    }
    Ok(())
}

async fn send(_: Change, traffic: &dyn Traffic, to: Side) -> Result<(), Failure> {
    traffic.move_to(to).await?;
    traffic.resume().await
}

/// Both or none: whoever waited for one side's row while it holds the other's would stand in the way of the attempt at work.
async fn lock_both(migration: &Migration) -> Result<(Session, Session), Failure> {
    let lock = async |side| {
        let session = migration.site(side).open(migration.control_database(), "recover").await?;
        let sql = "begin isolation level read committed; select from changeover.migration for update nowait";
        say(&session, sql).await.map_err(session.failed("locking the epoch"))?;
        Ok::<_, Failure>(session)
    };
    Ok((lock(Side::Source).await?, lock(Side::Target).await?))
}
