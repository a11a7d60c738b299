//! The half of a fence that works by login: application roles may not log in, and none of their sessions is left.

use std::time::Duration;

use changeover_domain::{Failure, Ident, Side, ident::literal};
use tokio_postgres::{GenericClient, types::Type};

use super::{effect::Change, epoch};
use crate::{Migration, Session, error};

/// Roles that belong to applications: they log in, and are neither superusers nor RDS's. Ours, and those that the spec keeps, are
/// left out beside it.
const IS_APPLICATION: &str = "rolcanlogin and not rolsuper and rolname !~ '^(rds|pg_)'";

/// Logins that are never fenced.
pub(crate) fn left_out(migration: &Migration) -> Vec<String> {
    let mut names = ours(migration);
    names.extend(kept(migration));
    names
}

/// Roles whose login the spec keeps.
pub(crate) fn kept(migration: &Migration) -> Vec<String> {
    migration.spec.roles.iter().flat_map(|roles| roles.keep_login.iter().cloned()).collect()
}

/// The migration's own logins, on either side.
pub(crate) fn ours(migration: &Migration) -> Vec<String> {
    vec![
        migration.source.address.user.clone(),
        migration.target.address.user.clone(),
        migration.replication_user.clone(),
    ]
}

/// Application roles that may log in on a side now.
pub(crate) async fn applications(
    client: &impl GenericClient,
    side: Side,
    migration: &Migration,
) -> Result<Vec<String>, Failure> {
    let sql = format!(
        "select rolname::text from pg_catalog.pg_roles where {IS_APPLICATION} and rolname <> all ($1::text[]) order by 1"
    );
    let rows = client
        .query_typed(&sql, &[(&left_out(migration), Type::TEXT_ARRAY)])
        .await
        .map_err(|e| error::failure(side, "reading roles", &e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// [`applications`] as a query without parameters.
pub(crate) fn applications_sql(migration: &Migration) -> String {
    let left_out = left_out(migration).iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ");
    format!(
        "select rolname from pg_catalog.pg_roles where {IS_APPLICATION} and rolname <> all (array[{left_out}]::text[])"
    )
}

/// Roles of a side whose login is to be given back; `control` is connected to its control database.
pub(crate) async fn saved(control: &impl GenericClient, side: Side) -> Result<Vec<String>, Failure> {
    let rows = control
        .query_typed("select role::text from changeover.saved_login order by 1", &[])
        .await
        .map_err(|e| error::failure(side, "reading saved logins", &e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Roles that have sessions and may not log in any more: NOLOGIN ends no session, and what such a session may write by
/// pg_write_all_data no REVOKE on a table takes. So a fence ends them with the others. `$1`: logins to leave out.
const STRAYS: &str = "select distinct r.rolname::text from pg_catalog.pg_stat_activity a \
    join pg_catalog.pg_roles r on r.oid = a.usesysid \
    where not r.rolcanlogin and not r.rolsuper and a.backend_type = 'client backend' and r.rolname <> all ($1::text[]) order by 1";

/// See [`STRAYS`].
pub(crate) async fn strays(
    client: &impl GenericClient,
    side: Side,
    migration: &Migration,
) -> Result<Vec<String>, Failure> {
    let rows = client
        .query_typed(STRAYS, &[(&left_out(migration), Type::TEXT_ARRAY)])
        .await
        .map_err(|e| error::failure(side, "looking for sessions of closed roles", &e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Takes LOGIN from every application role, and remembers it, in a transaction of this session that waits for [`close`]. Nobody
/// notices: who logs in meanwhile still finds the role as it was. A role that is made meanwhile isn't covered, which the fence's
/// commit finds.
pub(crate) async fn hold(_: Change, control: &Session, migration: &Migration, epoch: u64) -> Result<(), Failure> {
    let hold = epoch::hold_sql(migration, epoch)?;
    let applications = applications_sql(migration);
    let sql = format!(
        "begin isolation level read committed; {hold}; \
         insert into changeover.saved_login (role) {applications} on conflict do nothing; \
         do $changeover$ declare r name; begin for r in select s.role from changeover.saved_login s join pg_catalog.pg_roles x on x.rolname = s.role loop \
           execute pg_catalog.format('alter role %I nologin', r); end loop; end $changeover$"
    );
    let held = control.batch_execute(&sql).await.map_err(control.failed("preparing to close logins"));
    held.map_err(|failure| epoch::explain(control.side, epoch, failure))
}

/// Commits what [`hold`] has made ready. The epoch's row has been locked since then.
pub(crate) async fn close(_: Change, control: &Session) -> Result<(), Failure> {
    control.batch_execute(COMMIT_LIVING).await.map_err(control.failed("closing logins"))
}

/// A COMMIT of a failed transaction "succeeds" as a rollback; a query in it does not.
pub(super) const COMMIT_LIVING: &str = "select; commit";

/// Gives LOGIN back to the roles that were remembered, in one commit; for those who undo.
pub(crate) async fn reopen(
    _: Change,
    control: &mut Session,
    migration: &Migration,
    epoch: u64,
) -> Result<u64, Failure> {
    let (side, failed) = (control.side, control.failed("giving logins back"));
    let transaction = control.transaction().await.map_err(&failed)?;
    epoch::hold_to_undo(&transaction, side, migration, epoch).await?;
    let roles = saved(&transaction, side).await?;
    let opening: String = roles.iter().map(|role| format!("alter role {} login; ", Ident::new(&**role))).collect();
    transaction.batch_execute(&format!("{opening}delete from changeover.saved_login")).await.map_err(&failed)?;
    transaction.commit().await.map_err(&failed)?;
    Ok(roles.len() as u64)
}

/// Whose sessions are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Of roles that may not log in (any more).
    Closed,
    /// Nobody's: for rehearsing.
    Nobody,
}

/// Ends all sessions of roles that may not log in, and waits on the server until they are gone: one round trip. It asks for the
/// roles itself, so that it may be sent right after [`close`]: where that fails, none is found.
///
/// A REVOKE doesn't bind who may write all data: where such a role is closed, logins in progress are waited for as well. They are
/// found by the transaction in which a server process logs in; pg_stat_activity shows it, with its role, only at the end.
///
/// # Errors
/// CO0717 when some are still there at the deadline.
pub(crate) async fn evict(_: Change, session: &Session, whose: Whose, patience: Duration) -> Result<(), Failure> {
    let (ms, condition) = (patience.as_millis(), if whose == Whose::Nobody { "false" } else { "true" });
    let sql = format!(
        "do $changeover$ declare n bigint; half_done text[] := '{{}}'; \
           patience constant timestamptz := clock_timestamp() + interval '{ms} ms'; \
         begin \
         if {condition} and exists (select from pg_catalog.pg_roles r where not r.rolcanlogin and not r.rolsuper \
                                       and r.rolname !~ '^pg_' and pg_catalog.pg_has_role(r.oid, 'pg_write_all_data', 'member')) then \
           half_done := array(select l.virtualtransaction from pg_catalog.pg_locks l \
                                left join pg_catalog.pg_stat_activity a on a.pid = l.pid \
                               where l.locktype = 'virtualxid' and l.granted and l.pid is not null \
                                 and (a.pid is null or a.usesysid is null and a.backend_type = 'client backend')); \
         end if; \
         loop \
           if pg_catalog.cardinality(half_done) > 0 then \
             half_done := array(select l.virtualtransaction from pg_catalog.pg_locks l \
                                 where l.locktype = 'virtualxid' and l.granted and l.virtualtransaction = any (half_done)); \
           end if; \
           perform pg_catalog.pg_stat_clear_snapshot(); \
           select count(pg_catalog.pg_terminate_backend(a.pid)) into n \
             from pg_catalog.pg_stat_activity a join pg_catalog.pg_roles r on r.oid = a.usesysid \
            where a.backend_type not like 'logical replication%' and not r.rolcanlogin and not r.rolsuper and {condition}; \
           exit when n = 0 and pg_catalog.cardinality(half_done) = 0; \
           if clock_timestamp() > patience then raise exception '% sessions', n using errcode = '{DONT_END}'; end if; \
           perform pg_catalog.pg_sleep(0.001); \
         end loop; end $changeover$"
    );
    let failure = match session.batch_execute(&sql).await {
        Ok(()) => return Ok(()),
        Err(error) => session.failed("ending sessions")(error),
    };
    if failure.sqlstate.as_deref() != Some(DONT_END) {
        return Err(failure);
    }
    let message = format!("application sessions on the {} don't end within {patience:?}", session.side);
    Err(Failure::transient("CO0717", message, "it is tried again; look at them in pg_stat_activity"))
}

const DONT_END: &str = "CO717";

/// How many sessions these roles have.
pub(crate) async fn sessions(session: &Session, roles: &[String]) -> Result<u64, Failure> {
    let sql = "select count(*) from pg_catalog.pg_stat_activity \
               where usesysid in (select oid from pg_catalog.pg_roles where rolname = any ($1::text[]))";
    let row = session.query_one(sql, &[&roles]).await.map_err(session.failed("counting sessions"))?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

#[cfg(test)]
#[path = "tests/login.rs"]
mod tests;
