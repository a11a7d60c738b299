//! ALWAYS triggers are turned over with the roles of the sides: they fire where applications write, and are silent where
//! replication applies. The statements need a lock that vacuum conflicts with; vacuum gives way only after `deadlock_timeout`, so
//! it is kept off first, by a lock that neither writers nor apply notice.

use changeover_domain::{Direction, Failure, QualifiedName, Side};
use tokio_postgres::GenericClient;

use super::{
    effect::{Change, say},
    epoch,
};
use crate::{Migration, Session, error, patience, triggers};

/// Tries for a lock that only apply can hold.
const LOCK_TRIES: u32 = 10;

/// What a side does, or is to do.
#[derive(Clone, Copy)]
pub(crate) enum Turn {
    /// Replication applies: the triggers are silent.
    Applies,
    /// Applications write: the triggers fire.
    Serves,
}

impl Turn {
    /// The tables of which a trigger has to be turned for it.
    fn tables(self) -> String {
        let relations = match self {
            Turn::Applies => {
                "select tgrelid as relation from pg_catalog.pg_trigger where tgenabled = 'A' and not tgisinternal \
                    and tgfoid is distinct from pg_catalog.to_regprocedure('changeover.gate()')::oid"
            }
            Turn::Serves => "select relation from changeover.saved_trigger where state = 'A'",
        };
        format!(
            "select distinct n.nspname::text, c.relname::text from ({relations}) x \
             join pg_catalog.pg_class c on c.oid = x.relation join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
             where n.nspname not in ('changeover', 'pglogical') \
               and not exists (select from pg_catalog.pg_depend d \
                                where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')"
        )
    }
}

/// Keeps vacuum off the tables with triggers to turn until the transaction ends. Returns whether there are any. The lock needs
/// the owners' rights to write: a side whose rights a fence has taken gets them back first.
pub(super) async fn keep_vacuum_off(
    _: Change,
    client: &impl GenericClient,
    side: Side,
    turn: Turn,
) -> Result<bool, Failure> {
    let failed = |e| error::failure(side, "keeping vacuum off tables with triggers", &e);
    let rows = client.query_typed(&turn.tables(), &[]).await.map_err(failed)?;
    let name =
        |row: &tokio_postgres::Row| QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1)).to_string();
    let names: Vec<String> = rows.iter().map(name).collect();
    if names.is_empty() {
        return Ok(false);
    }
    let sql = format!(
        "set local lock_timeout = '5s'; lock table {} in share update exclusive mode; {}",
        names.join(", "),
        patience::bound()
    );
    client.batch_execute(&sql).await.map_err(failed)?;
    Ok(true)
}

/// The session that turns the triggers of the opening side over, with vacuum kept off from here on.
pub(crate) struct Turner {
    session: Session,
    /// Under the lock no trigger comes or goes.
    statements: String,
}

/// Prepares it. None where there is nothing to turn.
pub(crate) async fn prepare(
    change: Change,
    migration: &Migration,
    direction: Direction,
    database: &str,
) -> Result<Option<Turner>, Failure> {
    let session = migration.subscriber(direction).open(database, "switch-turner").await?;
    // Flushed by the decision's commit, without which it counts for nothing.
    let begin = "begin isolation level read committed; set local synchronous_commit = off";
    say(&session, begin).await.map_err(session.failed("preparing triggers"))?;
    if !keep_vacuum_off(change, &*session, session.side, Turn::Serves).await? {
        return Ok(None);
    }
    let statements = triggers::always_on_sql(&*session, session.side).await?;
    Ok(Some(Turner { session, statements }))
}

impl Turner {
    /// The opening side is about to serve: its triggers fire again. One round trip.
    pub(crate) async fn serve(&self, _: Change, migration: &Migration, epoch: u64) -> Result<(), Failure> {
        let sql = format!("{}; {}commit", epoch::hold_sql(migration, epoch)?, self.statements);
        let turned = self.session.batch_execute(&sql).await.map_err(self.session.failed("turning triggers over"));
        turned.map_err(|failure| epoch::explain(self.session.side, epoch, failure))
    }
}

/// Turns the triggers of a side back, for those who undo.
pub(crate) async fn back(
    change: Change,
    session: &mut Session,
    migration: &Migration,
    epoch: u64,
    turn: Turn,
) -> Result<(), Failure> {
    let mut tries = 0;
    loop {
        tries += 1;
        match back_once(change, session, migration, epoch, turn).await {
            Err(failure) if patience::is_lock(&failure) && tries < LOCK_TRIES => {}
            outcome => return outcome,
        }
    }
}

async fn back_once(
    change: Change,
    session: &mut Session,
    migration: &Migration,
    epoch: u64,
    turn: Turn,
) -> Result<(), Failure> {
    let (side, failed) = (session.side, session.failed("turning triggers back"));
    let transaction = session.transaction().await.map_err(&failed)?;
    if !keep_vacuum_off(change, &transaction, side, turn).await? {
        return Ok(());
    }
    epoch::hold_to_undo(&transaction, side, migration, epoch).await?;
    match turn {
        Turn::Applies => triggers::always_off(&transaction, side).await?,
        Turn::Serves => triggers::always_on(&transaction, side).await?,
    };
    transaction.commit().await.map_err(&failed)
}
