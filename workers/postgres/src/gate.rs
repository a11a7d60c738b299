//! The gate: a trigger on every table that asks a flag before each statement that writes, so that a switch shuts all tables at
//! once (`switch::gate`). It is made before the switch, on both sides, one table at a time, and goes with the migration.
//!
//! Which fence a migration takes is decided once, when reverse replication has been set up, and noted on both sides: later
//! switches and rollbacks find the note, however the number of tables has changed.

use changeover_domain::{Failure, Ident, QualifiedName, Side, fence::Fence, names};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio_postgres::GenericClient;

mod look;

pub(crate) use look::Look;

use crate::{Migration, Session, ddl_guard, home, note, patience, switch::relations};

const MAKE: &str = include_str!("../sql/gate/make.sql");

/// Note on the control database of both sides: the fence that this migration takes.
const CHOSEN: &str = "fence_chosen";
/// Note on each database: how many tables have the gate. Its commit makes all triggers durable.
const MADE: &str = "gate";

/// What was chosen, and what was made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateOutcome {
    /// The fence that switches of this migration take.
    pub fence: Fence,
    /// Tables that have the gate, on both sides together; 0 for `lock`.
    pub tables: u64,
}

/// Chooses the fence, once, and where it is the gate makes sure that every table on both sides has it. To be called when both
/// sides have their schema and DDL is refused.
///
/// # Errors
/// CO0761 when the spec asks for the gate and DDL isn't refused everywhere; `Transient` when a table is locked for too long.
pub async fn ensure(migration: &Migration) -> Result<GateOutcome, Failure> {
    let fence = choose(migration).await?;
    for side in [Side::Source, Side::Target] {
        let session = migration.site(side).open(migration.control_database(), "gate").await?;
        note::put_once(&*session, side, CHOSEN, &fence).await?;
    }
    if fence == Fence::Lock {
        return Ok(GateOutcome { fence, tables: 0 });
    }
    let places = [Side::Source, Side::Target].into_iter().flat_map(|side| databases(migration, side));
    let made = try_join_all(places.map(|(side, database)| make(migration, side, database))).await?;
    Ok(GateOutcome { fence, tables: made.iter().sum() })
}

/// Makes sure that no gate is left on a side.
pub async fn remove(migration: &Migration, side: Side) -> Result<u64, Failure> {
    let removed =
        try_join_all(databases(migration, side).map(|(_, database)| unmake(migration, side, database))).await?;
    Ok(removed.iter().sum())
}

/// The fence that this migration takes, as noted in the control database of a side. `lock` where nothing was noted.
pub(crate) async fn chosen(client: &impl GenericClient, side: Side) -> Result<Fence, Failure> {
    Ok(note::get(client, side, CHOSEN).await?.unwrap_or(Fence::Lock))
}

/// What keeps this database's gate from being shut, if anything does.
pub(crate) async fn problem(migration: &Migration, session: &Session) -> Result<Option<String>, Failure> {
    let (database, side) = (&session.database, session.side);
    let Some(look) = Look::prepare(migration, session).await? else {
        return Ok(Some(format!("{database} on the {side} has no gate, although this migration takes it")));
    };
    if !ddl_guard::is_on(migration, session).await? {
        return Ok(Some(format!("{database} on the {side} has no DDL guard: a table without the gate could appear")));
    }
    match look.prove(session).await {
        Ok(()) => Ok(None),
        Err(failure) if failure.code == "CO0760" => Ok(Some(failure.message)),
        Err(failure) => Err(failure),
    }
}

/// A side's databases.
fn databases(migration: &Migration, side: Side) -> impl Iterator<Item = (Side, &str)> {
    migration.databases().iter().map(move |database| (side, database.name.as_str()))
}

async fn choose(migration: &Migration) -> Result<Fence, Failure> {
    let control = migration.source.open(migration.control_database(), "gate").await?;
    if let Some(fence) = note::get(&*control, Side::Source, CHOSEN).await? {
        return Ok(fence);
    }
    let mut tables = 0;
    for (_, database) in databases(migration, Side::Source) {
        let session = migration.source.open(database, "gate").await?;
        tables += relations::list(migration, &session).await?.iter().filter(|r| r.holds_rows()).count() as u64;
    }
    let word = migration.spec.fence.as_str();
    if Fence::choose(word, tables) == Fence::Lock {
        return Ok(Fence::Lock);
    }
    match unguarded(migration).await? {
        None => Ok(Fence::Gate),
        Some(_) if word == "auto" => Ok(Fence::Lock),
        Some(place) => Err(Failure::needs_human(
            "CO0761",
            format!("{place} has no DDL guard: a table without the gate could appear"),
            "let the login create event triggers (docs/operator.md), or say `fence = \"lock\"`, then `changeover retry`",
        )),
    }
}

async fn unguarded(migration: &Migration) -> Result<Option<String>, Failure> {
    for side in [Side::Source, Side::Target] {
        for (_, database) in databases(migration, side) {
            let session = migration.site(side).open(database, "gate").await?;
            if !ddl_guard::is_on(migration, &session).await? {
                return Ok(Some(format!("database {database} on the {side}")));
            }
        }
    }
    Ok(None)
}

/// The gate of one database: the flag, the function, and one trigger after the other, each waiting for its lock only a moment.
pub(crate) async fn make(migration: &Migration, side: Side, database: &str) -> Result<u64, Failure> {
    let mut session = migration.site(side).open(database, "gate").await?;
    let failed = session.failed("making the gate");
    session.batch_execute(MAKE).await.map_err(&failed)?;
    session.batch_execute("set synchronous_commit = off").await.map_err(&failed)?;
    let Some(look) = Look::prepare(migration, &session).await? else { return Err(lost(&session)) };
    for table in look.without(&session, i64::MAX).await? {
        patience::batch(&mut session, "putting the gate on a table", &put_on(&table)).await?;
    }
    session.batch_execute("set synchronous_commit = on").await.map_err(&failed)?;
    let row = session
        .query_one("select count(distinct tgrelid) from pg_catalog.pg_trigger where tgfoid = $1", &[&look.function])
        .await
        .map_err(&failed)?;
    let tables: i64 = row.get(0);
    note::put(&*session, side, MADE, &tables).await?;
    look.prove(&session).await?;
    Ok(tables.unsigned_abs())
}

fn lost(session: &Session) -> Failure {
    let message = format!("the gate of {} on the {} has lost its function", session.database, session.side);
    Failure::needs_human("CO0760", message, "find out who removed changeover.gate(); then `changeover abort`")
}

fn put_on(table: &QualifiedName) -> String {
    let (gate, truncate) = (Ident::new(names::GATE), Ident::new(names::GATE_TRUNCATE));
    // What a server's own process does, replication's above all, is nobody's query.
    format!(
        "create or replace trigger {gate} before insert or update or delete on {table} \
         for each statement execute function changeover.gate(); \
         create or replace trigger {truncate} before truncate on {table} for each statement \
         when (pg_catalog.current_query() is not null \
               or pg_catalog.current_setting('session_replication_role') operator(pg_catalog.<>) 'replica') \
         execute function changeover.gate(); \
         alter table only {table} enable always trigger {gate}, enable always trigger {truncate}"
    )
}

async fn unmake(migration: &Migration, side: Side, database: &str) -> Result<u64, Failure> {
    let mut session = migration.site(side).open(database, "gate").await?;
    if !home::exists(&session).await? || !home::is_ours(migration, &session).await? {
        return Ok(0);
    }
    let failed = session.failed("removing the gate");
    session.batch_execute("set synchronous_commit = off").await.map_err(&failed)?;
    let sql = "select n.nspname::text, c.relname::text, pg_catalog.array_agg(t.tgname::text) from pg_catalog.pg_trigger t \
               join pg_catalog.pg_class c on c.oid = t.tgrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
               where t.tgfoid = pg_catalog.to_regprocedure('changeover.gate()')::oid group by c.oid, 1, 2 order by c.oid";
    let rows = session.query(sql, &[]).await.map_err(&failed)?;
    for row in &rows {
        let table = QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1));
        let names: Vec<String> = row.get(2);
        let drop: String =
            names.into_iter().map(|name| format!("drop trigger if exists {} on {table}; ", Ident::new(name))).collect();
        patience::batch(&mut session, "taking the gate off a table", &drop).await?;
    }
    let rest = "set synchronous_commit = on; drop function if exists changeover.gate(); drop sequence if exists changeover.gate_flag; \
                delete from changeover.note where key in ('gate', 'fence_chosen')";
    session.batch_execute(rest).await.map_err(&failed)?;
    Ok(rows.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_for_every_statement_in_every_mode() {
        let sql = put_on(&QualifiedName::new("s", "T"));
        for part in [
            "\"changeover_gate\" before insert or update or delete on \"s\".\"T\" for each statement execute",
            "\"changeover_gate_truncate\" before truncate on \"s\".\"T\" for each statement when (",
            "only \"s\".\"T\" enable always trigger \"changeover_gate\", enable always trigger \"changeover_gate_truncate\"",
        ] {
            assert!(sql.contains(part), "{sql}");
        }
    }

    #[test]
    fn both_take_the_same_lock() {
        let shared = format!("pg_advisory_xact_lock_shared({})", crate::switch::GATE_KEY);
        assert!(MAKE.contains(&shared), "{shared}");
    }
}
