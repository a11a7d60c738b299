//! The login's memberships in the application's owners and grantors: LOCK, REVOKE, GRANT and ALTER OWNER need them. Each one
//! that Changeover grants is noted in the same transaction, and taken back exactly.

use std::collections::BTreeSet;

use changeover_domain::{Class, Failure, Ident, Side};

use crate::{Migration, Session, note};

const NEEDED: &str = include_str!("../sql/needed_roles.sql");
const NOTE: &str = "membership:";

/// Roles that own or grant something in the migration's databases on the source, in order.
pub async fn needed(migration: &Migration) -> Result<BTreeSet<String>, Failure> {
    let mut roles = BTreeSet::new();
    for database in migration.databases() {
        let session = migration.source.open(&database.name, "roles").await?;
        let rows = session.query(NEEDED, &[]).await.map_err(session.failed("reading owners and grantors"))?;
        roles.extend(rows.iter().map(|row| row.get::<_, String>(0)));
    }
    Ok(roles)
}

/// Makes sure that the login of a side has the rights of each role that owns or grants something on the source.
///
/// # Errors
/// CO0410 when a role isn't there (on the target: `roles::ensure` makes it), CO0411 when the login may not grant it to itself.
pub async fn ensure(migration: &Migration, side: Side) -> Result<(), Failure> {
    let mut session = migration.site(side).open(migration.control_database(), "membership").await?;
    let login = migration.site(side).address.user.clone();
    for role in needed(migration).await? {
        if role != login {
            join(&mut session, &role, &login).await?;
        }
    }
    Ok(())
}

/// Makes sure that the memberships which `ensure` granted on a side are gone.
pub async fn undo(migration: &Migration, side: Side) -> Result<(), Failure> {
    let mut session = migration.site(side).open(migration.control_database(), "membership").await?;
    if !crate::home::exists(&session).await? {
        return Ok(());
    }
    let login = migration.site(side).address.user.clone();
    for role in note::keys(&*session, side, NOTE).await? {
        leave(&mut session, &role, &login).await?;
    }
    Ok(())
}

async fn join(session: &mut Session, role: &str, login: &str) -> Result<(), Failure> {
    let side = session.side;
    let version = server_version(session).await?;
    let row = session
        .query_opt("select pg_catalog.pg_has_role(current_user, oid, 'usage') from pg_catalog.pg_roles where rolname = $1", &[&role])
        .await
        .map_err(session.failed("looking at memberships"))?;
    match row.map(|row| row.get::<_, bool>(0)) {
        Some(true) => return Ok(()),
        Some(false) => {}
        None => {
            let message = format!("the role {role} owns or grants something on the source and isn't there on the {side}");
            return Err(Failure::needs_human("CO0410", message, "create it, then `changeover retry`"));
        }
    }
    let options = if version >= 160_000 { " with inherit true, set true" } else { "" };
    let sql = format!("grant {} to {}{options}", Ident::new(role), Ident::new(login));
    let failed = session.failed("becoming a member of an owner");
    let transaction = session.transaction().await.map_err(&failed)?;
    note::put(&transaction, side, &format!("{NOTE}{role}"), &serde_json::json!({})).await?;
    transaction.batch_execute(&sql).await.map_err(|e| refused(failed(e), side, role, login))?;
    transaction.commit().await.map_err(&failed)
}

fn refused(mut failure: Failure, side: Side, role: &str, login: &str) -> Failure {
    let sqlstate = failure.sqlstate.as_deref();
    if matches!(sqlstate, Some("42501" | "0LP01")) {
        failure.code = "CO0411".to_owned();
        failure.class = Class::Refused;
        failure.message = format!("{login} can't become a member of {role} on the {side}: {}", failure.message);
        failure.remedy = format!("have an administrator run on the {side}: grant {} to {}", Ident::new(role), Ident::new(login));
    }
    failure
}

async fn leave(session: &mut Session, role: &str, login: &str) -> Result<(), Failure> {
    let side = session.side;
    let failed = session.failed("leaving an owner");
    let transaction = session.transaction().await.map_err(&failed)?;
    let there = transaction
        .query_opt("select from pg_catalog.pg_roles where rolname = $1", &[&role])
        .await
        .map_err(&failed)?
        .is_some();
    if there {
        let sql = format!("revoke {} from {}", Ident::new(role), Ident::new(login));
        transaction.batch_execute(&sql).await.map_err(&failed)?;
    }
    note::forget(&transaction, side, &format!("{NOTE}{role}")).await?;
    transaction.commit().await.map_err(&failed)
}

/// `server_version_num` of the session's server.
pub(crate) async fn server_version(session: &Session) -> Result<i32, Failure> {
    let row = session
        .query_one("select pg_catalog.current_setting('server_version_num')::int4", &[])
        .await
        .map_err(session.failed("reading the version"))?;
    Ok(row.get(0))
}
