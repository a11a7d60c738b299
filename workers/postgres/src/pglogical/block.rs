//! Who is in the way: sessions and prepared transactions, named so that a person can find them.

use changeover_domain::Failure;

use crate::Session;

/// Those that hold a lock on a relation, as one line of text without any SQL of theirs.
pub(super) async fn holders(session: &Session, relation: u32) -> Result<String, Failure> {
    let rows = session
        .query(
            "select distinct l.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.backend_type, 'prepared transaction'),
                    coalesce(extract(epoch from clock_timestamp() - a.xact_start), 0)::bigint
               from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a using (pid)
              where l.relation = $1 and l.granted and l.pid is distinct from pg_catalog.pg_backend_pid()
                and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
              order by 1 limit 5",
            &[&relation],
        )
        .await
        .map_err(session.failed("looking for the holder of a lock"))?;
    let list: Vec<String> = rows
        .iter()
        .map(|r| {
            let (pid, user, application, kind, seconds): (Option<i32>, String, String, String, i64) =
                (r.get(0), r.get(1), r.get(2), r.get(3), r.get(4));
            format!("{kind} {} of {user:?} ({application:?}, transaction of {seconds} s)", pid.unwrap_or(0))
        })
        .collect();
    Ok(if list.is_empty() { "somebody who has gone since".to_owned() } else { list.join(", ") })
}

/// What the creation of a slot waits for: every transaction that was running when it began has to end first. `application`
/// is the name of the session that creates it.
pub(super) async fn slot_waits_for(session: &Session, application: &str) -> Result<Vec<String>, Failure> {
    let failed = session.failed("looking for what a slot waits for");
    let sessions = session
        .query(
            "select b.pid, coalesce(b.usename::text, ''), coalesce(b.datname::text, ''), coalesce(b.application_name, ''), coalesce(b.state, ''),
                    extract(epoch from clock_timestamp() - b.xact_start)::bigint
               from pg_catalog.pg_stat_activity w
              cross join lateral unnest(pg_catalog.pg_blocking_pids(w.pid)) p (pid)
               join pg_catalog.pg_stat_activity b on b.pid = p.pid
              where w.application_name = $1 and w.datname = current_database() order by b.xact_start limit 5",
            &[&application],
        )
        .await
        .map_err(&failed)?;
    let prepared = session
        .query(
            "select x.gid, x.owner::text, x.database::text, extract(epoch from clock_timestamp() - x.prepared)::bigint
               from pg_catalog.pg_prepared_xacts x
              where exists (select from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity w using (pid)
                             where w.application_name = $1 and w.datname = current_database() and not l.granted and l.transactionid = x.transaction)
              limit 5",
            &[&application],
        )
        .await
        .map_err(&failed)?;
    let mut list = Vec::new();
    for r in &sessions {
        let (pid, user, database, application, state, seconds): (i32, String, String, String, String, Option<i64>) =
            (r.get(0), r.get(1), r.get(2), r.get(3), r.get(4), r.get(5));
        list.push(format!(
            "session {pid} of {user:?} in database {database:?} ({application:?}, {state}, transaction of {} s)",
            seconds.unwrap_or(0)
        ));
    }
    for r in &prepared {
        let (gid, owner, database, seconds): (String, String, String, i64) = (r.get(0), r.get(1), r.get(2), r.get(3));
        list.push(format!("prepared transaction {gid:?} of {owner:?} in database {database:?} ({seconds} s old)"));
    }
    Ok(list)
}
