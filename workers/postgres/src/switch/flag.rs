//! The flag of the fence `gate` (`crate::gate`), as a switch uses it. Writers hold a shared lock from their first statement to the end of their transaction; the fence
//! takes it exclusively, which drains them, and holds it as a dead man's handle. The flag is shut by the last statement before
//! the fence's COMMIT, because `setval` isn't transactional: a fence that dies between the two leaves the flag shut, and the
//! undo opens it. Everything that moves the flag holds the epoch's row, so a late attempt can't move it.

use changeover_domain::{Failure, Side};
use tokio_postgres::{
    GenericClient,
    types::{ToSql, Type},
};

use super::{
    acl::{self, Hold},
    effect::Change,
    epoch,
};
use crate::{Migration, Session, error, gate::Look, note};

/// The advisory lock of every database's gate: "changeov" in ASCII. Written in `sql/gate/make.sql` as well.
pub(crate) const KEY: i64 = 7_163_369_985_480_453_750;

/// What drains the writers and keeps new ones waiting.
pub(super) fn lock_sql() -> String {
    format!("select pg_catalog.pg_advisory_xact_lock({KEY})")
}

/// Whether a database's gate is open, or there is none.
pub(super) async fn is_open(client: &impl GenericClient, side: Side) -> Result<bool, Failure> {
    let sql = "select pg_catalog.to_regclass('changeover.gate_flag') is null \
                   or pg_catalog.pg_sequence_last_value(pg_catalog.to_regclass('changeover.gate_flag')) is not distinct from 1";
    let row = client.query_one(sql, &[]).await.map_err(|e| error::failure(side, "looking at the gate", &e))?;
    Ok(row.get(0))
}

/// Looks whether the gate can be shut: it is there, on every table, and no earlier fence is left in this database.
pub(super) async fn prepare(migration: &Migration, session: &Session, keeper: &Session) -> Result<Look, Failure> {
    let side = session.side;
    let fenced = note::get::<u64>(&**keeper, side, acl::FENCE).await?.is_some();
    if fenced || !is_open(&**keeper, side).await? {
        let message = format!("the {side} is fenced already: the gate of {} is shut", session.database);
        return Err(Failure::needs_human("CO0719", message, "recover the attempt that fenced it: `changeover retry`"));
    }
    match Look::prepare(migration, session).await? {
        Some(look) => look.prove(session).await.map(|()| look),
        None => Err(Failure::needs_human(
            "CO0760",
            format!("{} on the {side} has no gate, although this migration takes it", session.database),
            "see `changeover explain CO0760`",
        )),
    }
}

/// Shuts it, in the fence's transaction and only while that lives: the note that it has written must be seen.
///
/// # Errors
/// CO0723 when the transaction was lost; then the flag wasn't touched.
pub(super) async fn shut(_: Change, session: &Session, migration: &Migration, epoch: u64) -> Result<(), Failure> {
    let (number, hold) = (epoch::number(epoch)?, epoch::hold_sql(migration, epoch)?);
    let sql = "select pg_catalog.setval('changeover.gate_flag', 2) from changeover.note \
               where key = $1 and value = pg_catalog.to_jsonb($2::bigint)";
    let parameters = [(&acl::FENCE as &(dyn ToSql + Sync), Type::TEXT), (&number, Type::INT8)];
    // Sent at once: where the epoch can't be held the transaction has failed, and so does what follows.
    let (held, rows) = futures::join!(session.batch_execute(&hold), session.query_typed(sql, &parameters));
    let failed = session.failed("shutting the gate");
    held.map_err(&failed).map_err(|failure| epoch::explain(session.side, epoch, failure))?;
    let rows = rows.map_err(&failed)?;
    if rows.len() == 1 {
        return Ok(());
    }
    let message = format!("the fence of {} was lost before it was shut", session.database);
    Err(Failure::transient("CO0723", message, "it is tried again"))
}

/// Makes sure that a database's gate is open: before its side is opened, and when a fence is undone.
pub(super) async fn open(_: Change, session: &mut Session, migration: &Migration, hold: Hold) -> Result<(), Failure> {
    let (side, failed) = (session.side, session.failed("opening the gate"));
    let transaction = session.transaction().await.map_err(&failed)?;
    match hold {
        Hold::Acting(epoch) => epoch::hold(&transaction, side, migration, epoch).await?,
        Hold::Undoing(epoch) => epoch::hold_to_undo(&transaction, side, migration, epoch).await?,
    }
    // Under the row's lock: a fence that has it shut may be about to commit or to end.
    if is_open(&transaction, side).await? {
        return Ok(());
    }
    transaction.execute("select pg_catalog.setval('changeover.gate_flag', 1)", &[]).await.map_err(&failed)?;
    transaction.commit().await.map_err(&failed)
}

/// Who holds the gate's lock, in words without anything of their statements.
pub(super) async fn blockers(session: &Session) -> Result<Vec<String>, Failure> {
    // A prepared transaction has no process; it is found by the lock on its number.
    let sql = "select coalesce('prepared transaction ' || p.gid || ' (' || p.owner::text || ')', \
                               'pid ' || a.pid || ' (' || coalesce(a.usename::text, a.backend_type) || ', ' || a.application_name || ')'), \
                      coalesce(extract(epoch from clock_timestamp() - coalesce(p.prepared, a.xact_start)) * 1000, 0)::bigint as age \
                 from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid \
                 left join pg_catalog.pg_locks x on l.pid is null and x.pid is null and x.locktype = 'transactionid' and x.virtualtransaction = l.virtualtransaction \
                 left join pg_catalog.pg_prepared_xacts p on p.transaction = x.transactionid \
                where l.locktype = 'advisory' and l.granted and (p.gid is not null or a.application_name not like 'changeover/%') \
                  and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) \
                  and (l.classid::bigint << 32) | l.objid::bigint = $1 and l.objsubid = 1 \
                order by age desc limit 3";
    let rows = session.query(sql, &[&KEY]).await.map_err(session.failed("looking for blockers"))?;
    let tell = |row: &tokio_postgres::Row| {
        let (who, age): (&str, i64) = (row.get(0), row.get(1));
        format!("{who} has been writing for {age} ms")
    };
    Ok(rows.iter().map(tell).collect())
}
