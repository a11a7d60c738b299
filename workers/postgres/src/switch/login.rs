//! The half of a fence that works by login: application roles may not log in, and none of their sessions is left.

use std::time::Duration;

use changeover_domain::{Failure, Ident, Side, ident::literal};
use tokio::time::{Instant, sleep};
use tokio_postgres::{GenericClient, types::Type};

use super::{
    effect::{Change, say},
    epoch,
};
use crate::{Migration, Session, error};

/// Roles that belong to applications: they log in, and are neither superusers, nor RDS's, nor ours, nor kept by the spec.
/// $1: logins to leave out.
const APPLICATIONS: &str = "select rolname::text from pg_catalog.pg_roles \
    where rolcanlogin and not rolsuper and rolname !~ '^(rds|pg_)' and rolname <> all ($1::text[]) order by 1";

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
    let rows = client
        .query_typed(APPLICATIONS, &[(&left_out(migration), Type::TEXT_ARRAY)])
        .await
        .map_err(|e| error::failure(side, "reading roles", &e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
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

/// Takes LOGIN from every application role, and remembers it, in one commit. Returns the roles whose sessions have to end:
/// those, and whoever had lost its login before and is still there.
pub(crate) async fn close(
    _: Change,
    control: &Session,
    migration: &Migration,
    epoch: u64,
) -> Result<Vec<String>, Failure> {
    let failed = control.failed("closing logins");
    let begin = say(control, "begin isolation level read committed");
    let hold = epoch::hold(&**control, control.side, migration, epoch);
    let roles = applications(&**control, control.side, migration);
    let (begun, held, roles) = futures::join!(begin, hold, roles);
    begun.map_err(&failed)?;
    held?;
    let roles = roles?;
    let one = |role: &String| {
        let (ident, text) = (Ident::new(&**role), literal(role));
        format!(
            "insert into changeover.saved_login (role) values ({text}) on conflict do nothing; alter role {ident} nologin; "
        )
    };
    let closing: String = roles.iter().map(one).collect();
    control.batch_execute(&format!("{closing}commit")).await.map_err(&failed)?;
    let strays = strays(&**control, control.side, migration).await?;
    Ok(roles.into_iter().filter(|role| !strays.contains(role)).chain(strays.clone()).collect())
}

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

/// Ends all sessions of roles, and waits until they are gone.
///
/// # Errors
/// CO0717 when some are still there at the deadline.
pub(crate) async fn evict(_: Change, session: &Session, roles: &[String], patience: Duration) -> Result<u64, Failure> {
    let sql = "select count(*), count(*) filter (where pg_catalog.pg_terminate_backend(a.pid)) from pg_catalog.pg_stat_activity a \
               where a.usesysid in (select oid from pg_catalog.pg_roles where rolname = any ($1::text[]))";
    let deadline = Instant::now() + patience;
    let mut ended = 0;
    loop {
        let rows =
            session.query_typed(sql, &[(&roles, Type::TEXT_ARRAY)]).await.map_err(session.failed("ending sessions"))?;
        let left = rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs());
        if left == 0 {
            return Ok(ended);
        }
        ended = ended.max(left);
        if Instant::now() >= deadline {
            let message = format!("{left} application sessions on the {} don't end", session.side);
            return Err(Failure::transient("CO0717", message, "it is tried again; look at them in pg_stat_activity"));
        }
        sleep(Duration::from_millis(1)).await;
    }
}

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
