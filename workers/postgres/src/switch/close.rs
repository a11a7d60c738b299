//! Before anything is taken down for good, at abort or finalize: every attempt to switch has come to its end, none can begin any
//! more, and the side that is believed to serve does. What is taken down then can't be brought back: the target's rows at an
//! abort, the closed side's remembered rights at either.

use std::time::Duration;

use changeover_domain::{Failure, Side};
use futures::future::try_join_all;

use super::{
    acl, canary,
    effect::{Change, Effect, perform},
    flag, login, undo,
};
use crate::{Migration, Session, home, note, traffic::Traffic};

/// The epoch after all others: an attempt that wakes up late finds it and stops.
const LAST: i64 = i64::MAX;
/// Longest wait for the last write of the target on the source.
const DRAIN: Duration = Duration::from_secs(30);

/// Concludes whatever attempt is left, bars all others, and proves that `serving` is open. Safe to run again; where the home
/// schema is gone, or another migration's, there is nothing to look at.
///
/// # Errors
/// CO0729 when the other side serves, or this one is still closed; `Transient` when a side that was switched to can't be reached.
pub async fn close_for_good(migration: &Migration, serving: Side, traffic: &dyn Traffic) -> Result<(), Failure> {
    let here = migration.site(serving).open(migration.control_database(), "close").await?;
    if !home::is_ours(migration, &here).await? {
        return Ok(());
    }
    let claimed = epoch(&here).await?;
    let there = match migration.site(serving.other()).open(migration.control_database(), "close").await {
        Ok(there) => there,
        // No attempt has ever come as far as this side: it is as it always was.
        Err(failure) if claimed == 0 => {
            tracing::warn!(%failure, "the {} can't be reached; no switch was ever tried", serving.other());
            return Ok(());
        }
        // Barred before, the target first: every attempt has come to its end then, and none has begun since.
        Err(failure) if claimed == LAST && serving == Side::Source => {
            tracing::warn!(%failure, "the target can't be reached; every attempt was at its end before");
            bar_all(migration, &[Side::Source]).await?;
            return prove_open(migration, &here).await;
        }
        Err(failure) => return Err(failure),
    };
    if !home::is_ours(migration, &there).await? {
        return prove_open(migration, &here).await;
    }
    undo::conclude_earlier(migration, LAST.unsigned_abs(), traffic).await?;
    bar_all(migration, &[Side::Target, Side::Source]).await?;
    if opened(&there).await? > opened(&here).await? {
        let message = format!("the {} serves, not the {serving}", there.side);
        return Err(Failure::needs_human("CO0729", message, "see `changeover explain CO0729`; nothing was taken down"));
    }
    prove_open(migration, &here).await
}

/// The same for the target, with a source that a person has given up: nothing is asked of it, and its state is of no use to anybody.
///
/// # Errors
/// CO0730 when the source answers and has this migration's home: then it isn't lost. CO0729 when the target wasn't opened last, as
/// far as it knows itself, or is still closed.
pub async fn close_without_source(migration: &Migration) -> Result<(), Failure> {
    if let Ok(source) = migration.source.open(migration.control_database(), "close").await
        && home::is_ours(migration, &source).await?
    {
        let message = "the source answers: it isn't lost, and what is on it would stay there for ever";
        let remedy = "`changeover retry`, and finalize without --source-is-lost, which clears both sides";
        return Err(Failure::refused("CO0730", message, remedy));
    }
    let here = migration.target.open(migration.control_database(), "close").await?;
    if !home::is_ours(migration, &here).await? {
        return Ok(());
    }
    bar_all(migration, &[Side::Target]).await?;
    if opened(&here).await? == 0 {
        let message = "the target was never opened: the source serves, as far as is known";
        return Err(Failure::needs_human("CO0729", message, "see `changeover explain CO0729`; nothing was taken down"));
    }
    prove_open(migration, &here).await
}

async fn epoch(session: &Session) -> Result<i64, Failure> {
    let row = session
        .query_one("select coalesce(max(epoch), 0) from changeover.migration", &[])
        .await
        .map_err(session.failed("reading the epoch"))?;
    Ok(row.get(0))
}

/// The side that serves by the decisions in both control databases: the one that was opened last, in the beginning the source.
pub(crate) async fn serving(source: &Session, target: &Session) -> Result<Side, Failure> {
    Ok(if opened(target).await? > opened(source).await? { Side::Target } else { Side::Source })
}

/// The last epoch that opened this side; 0 for none. Both sides begin at 0, and then the source serves.
async fn opened(session: &Session) -> Result<i64, Failure> {
    let row = session
        .query_one("select coalesce(max(epoch), 0) from changeover.decision where outcome = 'open'", &[])
        .await
        .map_err(session.failed("reading the decisions"))?;
    Ok(row.get(0))
}

/// Takes the last epoch in every database that still has a home.
async fn bar_all(migration: &Migration, sides: &[Side]) -> Result<(), Failure> {
    for side in sides.iter().copied() {
        for database in migration.databases() {
            let session = migration.site(side).open(&database.name, "close").await?;
            if home::is_ours(migration, &session).await? {
                perform(Effect::TakeLastEpoch, |change| take_last(change, &session, migration)).await?;
            }
        }
    }
    Ok(())
}

async fn take_last(_: Change, session: &Session, migration: &Migration) -> Result<(), Failure> {
    let sql = "update changeover.migration set epoch = $2 where id = $1 and epoch < $2";
    session
        .execute(sql, &[&migration.id.as_str(), &LAST])
        .await
        .map(drop)
        .map_err(session.failed("claiming the last epoch"))
}

/// No fence and no taken login is left on the side that serves.
async fn prove_open(migration: &Migration, control: &Session) -> Result<(), Failure> {
    let side = control.side;
    let closed = login::saved(&**control, side).await?.len();
    let mut fenced = Vec::new();
    for database in migration.databases() {
        let session = migration.site(side).open(&database.name, "close").await?;
        if home::is_ours(migration, &session).await? && note::get::<u64>(&*session, side, acl::FENCE).await?.is_some() {
            fenced.push(database.name.clone());
        } else if !flag::is_open(&*session, side).await? {
            fenced.push(format!("{} (its gate is shut)", database.name));
        }
    }
    if closed == 0 && fenced.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the {side} should serve and is closed: {closed} roles wait for their login, fenced: {}",
        fenced.join(", ")
    );
    Err(Failure::needs_human("CO0729", message, "see `changeover explain CO0729`; nothing was taken down"))
}

/// Waits until the source holds what the target has committed so far.
///
/// # Errors
/// CO0726 when a link doesn't carry it in time.
pub async fn drain_back(migration: &Migration) -> Result<(), Failure> {
    try_join_all(migration.databases().iter().map(|d| drain_one(migration, &d.name))).await.map(drop)
}

async fn drain_one(migration: &Migration, database: &str) -> Result<(), Failure> {
    let from = migration.target.open(database, "drain").await?;
    let to = migration.source.open(database, "drain").await?;
    let took = canary::beat(&from, &to, DRAIN).await?;
    if u128::from(took) < DRAIN.as_millis() {
        return Ok(());
    }
    let message = format!("the last writes of {database} did not reach the source within {DRAIN:?}");
    Err(Failure::transient("CO0726", message, "look at the health of the link"))
}
