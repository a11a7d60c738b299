//! The epoch: which attempt may change something, and how a late one learns that it may not.
//!
//! Every attempt has an epoch of its own. It claims it on every database of both sides, on the arbiter (the control database of
//! the side that opens) first: a row moves to an epoch once. Every transaction of the attempt that changes something locks the
//! row of its database, finds its own epoch there and no `abort` for it. Whoever undoes an attempt first wins `abort` on the
//! arbiter, then leaves `abort` in every other database under the same lock: from then on the attempt can do nothing any more,
//! wherever it wakes up.

use changeover_domain::{Direction, Failure, Side, ident::literal};
use futures::future::try_join_all;
use tokio_postgres::{
    GenericClient,
    types::{ToSql, Type},
};

use super::{
    decision::Outcome,
    effect::{Change, Effect, perform},
};
use crate::{Migration, Session, Site, error};

/// A parameter whose type is told, so that a statement takes one round trip.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// What an attempt has left behind so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Some database is at this epoch.
    pub(crate) claimed: bool,
    /// Some database is at a later one.
    pub(crate) newer: Option<u64>,
}

/// Looks at the epochs of all databases of both sides.
pub(crate) async fn observe(migration: &Migration, epoch: u64) -> Result<Seen, Failure> {
    let look = |site: &'_ Site, database: String| {
        let site = site.clone();
        async move {
            let session = site.open(&database, "epoch").await?;
            read(&session, migration).await
        }
    };
    let sites = [&migration.source, &migration.target];
    let all = sites.iter().flat_map(|site| migration.databases().iter().map(|d| look(site, d.name.clone())));
    let epochs = try_join_all(all).await?;
    Ok(Seen { claimed: epochs.contains(&epoch), newer: epochs.into_iter().filter(|e| *e > epoch).max() })
}

/// Whether no database is at a later epoch.
pub(crate) async fn is_latest(migration: &Migration, epoch: u64) -> Result<bool, Failure> {
    Ok(observe(migration, epoch).await?.newer.is_none())
}

async fn read(session: &Session, migration: &Migration) -> Result<u64, Failure> {
    let row = session
        .query_opt("select epoch from changeover.migration where id = $1", &[&migration.id.as_str()])
        .await
        .map_err(session.failed("reading the epoch"))?;
    row.map(|row| row.get::<_, i64>(0).unsigned_abs()).ok_or_else(|| lost(session.side))
}

fn lost(side: Side) -> Failure {
    Failure::needs_human(
        "CO0212",
        format!("the {side} has lost the migration's home row"),
        "find out who removed the schema changeover; then `changeover abort`",
    )
}

/// Claims an epoch everywhere. Only one caller succeeds on the arbiter.
pub(crate) async fn claim(migration: &Migration, direction: Direction, epoch: u64) -> Result<(), Failure> {
    for side in [direction.to_side(), direction.from_side()] {
        for database in migration.databases() {
            let session = migration.site(side).open(&database.name, "switch-claim").await?;
            perform(Effect::Claim, |change| claim_one(change, &session, migration, epoch)).await?;
        }
    }
    Ok(())
}

async fn claim_one(_: Change, session: &Session, migration: &Migration, epoch: u64) -> Result<(), Failure> {
    let sql = "update changeover.migration set epoch = $2 where id = $1 and epoch < $2";
    let claimed = session
        .execute(sql, &[&migration.id.as_str(), &number(epoch)?])
        .await
        .map_err(session.failed("claiming the epoch"))?;
    if claimed > 0 {
        return Ok(());
    }
    Err(match read(session, migration).await? {
        found if found == epoch => twin(session.side, epoch),
        found => taken(session.side, found, epoch),
    })
}

/// Another run of the same attempt is at work or has been: whoever comes next finds its traces and concludes it.
fn twin(side: Side, epoch: u64) -> Failure {
    let message = format!("the {side} is at epoch {epoch} already: another run of this attempt has begun");
    Failure::transient("CO0211", message, "nothing: the next run brings it to its end")
}

pub(crate) fn taken(side: Side, found: u64, epoch: u64) -> Failure {
    let message = format!("the {side} is at epoch {found}, this attempt at {epoch}: another one has taken over");
    Failure::refused("CO0211", message, "nothing: the newer attempt goes on")
}

/// Locks the epoch's row for the rest of the transaction, and checks that the attempt still may act. The attempt's own
/// transactions share the lock; it keeps out a new epoch and whoever undoes this one.
pub(crate) async fn hold(
    client: &impl GenericClient,
    side: Side,
    migration: &Migration,
    epoch: u64,
) -> Result<(), Failure> {
    let failed = |e| error::failure(side, "locking the epoch", &e);
    let (id, number) = (migration.id.as_str(), number(epoch)?);
    let by_id: [Parameter<'_>; 1] = [(&id, Type::TEXT)];
    let by_epoch: [Parameter<'_>; 1] = [(&number, Type::INT8)];
    // Two statements, sent at once: the second one's snapshot is taken when the lock has been got.
    let (row, abort) = futures::join!(
        client.query_typed("select epoch from changeover.migration where id = $1 for share", &by_id),
        client.query_typed("select from changeover.decision where epoch = $1 and outcome = 'abort'", &by_epoch),
    );
    let found =
        row.map_err(failed)?.first().map(|row| row.get::<_, i64>(0).unsigned_abs()).ok_or_else(|| lost(side))?;
    if found != epoch {
        return Err(taken(side, found, epoch));
    }
    if abort.map_err(failed)?.is_empty() { Ok(()) } else { Err(aborted(epoch)) }
}

/// [`hold`] as a statement that fails, for what is sent to the server at once; [`explain`] tells its errors.
pub(crate) fn hold_sql(migration: &Migration, epoch: u64) -> Result<String, Failure> {
    let (id, epoch) = (literal(migration.id.as_str()), number(epoch)?);
    // Two statements, as in `hold`.
    Ok(format!(
        "do $changeover$ declare found bigint; begin \
           select m.epoch into found from changeover.migration m where m.id = {id} for share; \
           if found is null then raise exception 'no home row' using errcode = '{LOST}'; end if; \
           if found <> {epoch} then raise exception 'another epoch' using errcode = '{TAKEN}'; end if; \
           if exists (select from changeover.decision d where d.epoch = {epoch} and d.outcome = 'abort') then \
             raise exception 'aborted' using errcode = '{ABORTED}'; end if; \
         end $changeover$"
    ))
}

const LOST: &str = "CO212";
const TAKEN: &str = "CO211";
const ABORTED: &str = "CO711";

/// What an error of a statement that [`hold_sql`] is part of means.
pub(crate) fn explain(side: Side, epoch: u64, failure: Failure) -> Failure {
    match failure.sqlstate.as_deref() {
        Some(LOST) => lost(side),
        Some(ABORTED) => aborted(epoch),
        Some(TAKEN) => {
            let message = format!("the {side} isn't at epoch {epoch}, the attempt's: another one has taken over");
            Failure::refused("CO0211", message, "nothing: the newer attempt goes on")
        }
        _ => failure,
    }
}

/// An attempt that had come to its decision lost its hold before it let clients go on: somebody else may be at work.
pub(crate) fn overtaken(epoch: u64) -> Failure {
    let message = format!("the attempt of epoch {epoch} has been decided and then lost its hold on the epoch");
    Failure::transient("CO0711", message, "nothing: whoever holds it now finishes it, or it is looked at again")
}

pub(crate) fn aborted(epoch: u64) -> Failure {
    Failure::refused(
        "CO0711",
        format!("the attempt of epoch {epoch} has been aborted"),
        "nothing: a new attempt has an epoch of its own",
    )
}

/// Writes the outcome of an epoch unless there is one, in the transaction that holds the row; returns the one that stands.
pub(crate) async fn write_once(
    _: Change,
    client: &impl GenericClient,
    side: Side,
    epoch: u64,
    outcome: Outcome,
) -> Result<Outcome, Failure> {
    let failed = |e| error::failure(side, "writing the decision", &e);
    let (number, word) = (number(epoch)?, outcome.word());
    let insert = "insert into changeover.decision (epoch, outcome) values ($1, $2) on conflict do nothing";
    client.execute(insert, &[&number, &word]).await.map_err(failed)?;
    let found = client
        .query_one("select outcome from changeover.decision where epoch = $1", &[&number])
        .await
        .map_err(failed)?;
    Outcome::parse(found.get(0))
}

/// Locks the epoch's row without asking for an epoch: for those who undo. Refused when a newer attempt has begun.
pub(crate) async fn hold_to_undo(
    client: &impl GenericClient,
    side: Side,
    migration: &Migration,
    epoch: u64,
) -> Result<(), Failure> {
    let row = client
        .query_opt("select epoch from changeover.migration where id = $1 for update", &[&migration.id.as_str()])
        .await
        .map_err(|e| error::failure(side, "locking the epoch", &e))?;
    let found = row.map(|row| row.get::<_, i64>(0).unsigned_abs()).ok_or_else(|| lost(side))?;
    if found > epoch { Err(taken(side, found, epoch)) } else { Ok(()) }
}

/// Leaves `abort` in a database, so that a late attempt stops there.
pub(crate) async fn bar(
    change: Change,
    session: &mut Session,
    migration: &Migration,
    epoch: u64,
) -> Result<(), Failure> {
    let (side, failed) = (session.side, session.failed("barring the aborted attempt"));
    let transaction = session.transaction().await.map_err(&failed)?;
    // Short: who keeps the row from us is looked for after it.
    transaction.batch_execute("set local lock_timeout = '1s'").await.map_err(&failed)?;
    hold_to_undo(&transaction, side, migration, epoch).await?;
    write_once(change, &transaction, side, epoch, Outcome::Abort).await?;
    transaction.commit().await.map_err(&failed)
}

/// An epoch as the servers keep it.
pub(crate) fn number(epoch: u64) -> Result<i64, Failure> {
    i64::try_from(epoch).map_err(|_| Failure::invariant("CO0712", format!("the epoch {epoch} is beyond all bounds")))
}
