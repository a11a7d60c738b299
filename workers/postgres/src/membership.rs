//! The login's memberships in the application's owners and grantors: LOCK, REVOKE, GRANT and ALTER OWNER need them. Each one
//! that Changeover grants is noted before it's granted, and taken back exactly.
//!
//! The home schema of the source can be made only once the login has the rights of the databases' owners. So memberships on the
//! source are noted in the target's home first (a note of a membership that wasn't granted after all does no harm), and in the
//! source's as soon as it's there, so that an abort doesn't need the target.

use std::collections::BTreeSet;

use changeover_domain::{Class, Failure, Ident, Side};
use tokio_postgres::GenericClient;

use crate::{
    Migration, Session,
    failpoint::{Step, step},
    home, note,
};

const NEEDED: &str = include_str!("../sql/needed_roles.sql");

/// Roles that own or grant something in the migration's databases on the source, in order. The source's login is one
/// of them when it does.
pub async fn needed(migration: &Migration) -> Result<BTreeSet<String>, Failure> {
    let mut roles = BTreeSet::new();
    for database in migration.databases() {
        let session = migration.source.open(&database.name, "roles").await?;
        let rows = session.query(NEEDED, &[]).await.map_err(session.failed("reading owners and grantors"))?;
        roles.extend(rows.iter().map(|row| row.get::<_, String>(0)));
    }
    Ok(roles)
}

/// Makes sure that the login of a side has the rights of each role that owns or grants something on the source, and that the
/// side's home schema is there. For the source, the target's home is made too.
///
/// # Errors
/// CO0410 when a role isn't there (on the target: `roles::ensure` makes it), CO0411 when the login may not grant it to itself.
pub async fn ensure(migration: &Migration, side: Side) -> Result<(), Failure> {
    home::ensure(migration, &migration.target).await?;
    let site = migration.site(side);
    let book = migration.target.open(migration.control_database(), "membership").await?;
    let session = site.open_maintenance("membership").await?;
    inherits(&session).await?;
    for role in needed(migration).await? {
        if role != site.address.user {
            join(&book, &session, &role, &site.address.user).await?;
        }
    }
    if side == Side::Source {
        home::ensure(migration, site).await?;
        let here = site.open(migration.control_database(), "membership").await?;
        for role in note::keys(&*book, Side::Target, &prefix(side)).await? {
            note::put(&*here, side, &key(side, &role), &()).await?;
        }
    }
    Ok(())
}

/// Makes sure that the memberships which `ensure` granted on a side are gone.
pub async fn undo(migration: &Migration, side: Side) -> Result<(), Failure> {
    let site = migration.site(side);
    let books = books(migration, side).await?;
    let mut roles = BTreeSet::new();
    for book in &books {
        roles.extend(note::keys(&**book, book.side, &prefix(side)).await?);
    }
    let session = site.open_maintenance("membership").await?;
    for role in roles {
        leave(&session, &role, &site.address.user).await?;
        step(Step::Left)?;
        for book in &books {
            note::forget(&**book, book.side, &key(side, &role)).await?;
        }
    }
    Ok(())
}

/// Roles whose membership `ensure` granted to a side's login, by the notes in a home.
pub(crate) async fn lent(book: &Session, side: Side) -> Result<BTreeSet<String>, Failure> {
    Ok(note::keys(&**book, book.side, &prefix(side)).await?.into_iter().collect())
}

/// The homes in which a side's memberships are noted. The source's own suffices when the target can't be reached.
async fn books(migration: &Migration, side: Side) -> Result<Vec<Session>, Failure> {
    let mut books = Vec::new();
    let own = if side == Side::Source {
        Some(migration.source.open(migration.control_database(), "membership").await?)
    } else {
        None
    };
    if let Some(own) = own
        && home::is_ours(migration, &own).await?
    {
        books.push(own);
    }
    match migration.target.open(migration.control_database(), "membership").await {
        Ok(target) => {
            if home::is_ours(migration, &target).await? {
                books.push(target);
            }
        }
        Err(failure) if books.is_empty() => return Err(failure),
        Err(failure) => tracing::warn!(%failure, "the target's notes of memberships stay: it can't be reached"),
    }
    Ok(books)
}

async fn join(book: &Session, session: &Session, role: &str, login: &str) -> Result<(), Failure> {
    let side = session.side;
    let row = session
        .query_opt(
            // from 16 on a membership may come without the right to SET ROLE
            "select pg_catalog.pg_has_role(current_user, oid, 'usage') and pg_catalog.pg_has_role(current_user, oid, \
                    case when pg_catalog.current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end) from pg_catalog.pg_roles where rolname = $1",
            &[&role],
        )
        .await
        .map_err(session.failed("looking at memberships"))?;
    match row.map(|row| row.get::<_, bool>(0)) {
        Some(true) => return Ok(()),
        Some(false) => {}
        None => {
            let message =
                format!("the role {role} owns or grants something on the source and isn't there on the {side}");
            return Err(Failure::needs_human("CO0410", message, "create it, then `changeover retry`"));
        }
    }
    let options = if server_version(&**session, side).await? >= 160_000 { " with inherit true, set true" } else { "" };
    note::put(&**book, book.side, &key(side, role), &()).await?;
    let granted = session.batch_execute(&format!("grant {} to {}{options}", Ident::new(role), Ident::new(login))).await;
    let Err(error) = granted else { return step(Step::Joined) };
    // Refused for certain, so the note goes: an administrator may grant it now, and that one isn't ours to take back.
    if error.as_db_error().is_some() && !crate::error::is_connection_loss(&error) {
        note::forget(&**book, book.side, &key(side, role)).await?;
    }
    Err(refused(session.failed("becoming a member of an owner")(error), side, role, login))
}

/// A login that doesn't inherit has the rights of its roles only after SET ROLE.
async fn inherits(session: &Session) -> Result<(), Failure> {
    let row = session
        .query_one("select rolinherit, rolname::text from pg_catalog.pg_roles where rolname = current_user", &[])
        .await
        .map_err(session.failed("looking at the login"))?;
    if row.get(0) {
        return Ok(());
    }
    let login: String = row.get(1);
    let message =
        format!("{login} on the {} is NOINHERIT: memberships don't give it the rights of its roles", session.side);
    Err(Failure::refused(
        "CO0411",
        message,
        format!("have an administrator run there: alter role {} inherit", Ident::new(login)),
    ))
}

fn refused(mut failure: Failure, side: Side, role: &str, login: &str) -> Failure {
    // insufficient_privilege, invalid_grant_operation (the role is itself a member of the login)
    if matches!(failure.sqlstate.as_deref(), Some("42501" | "0LP01")) {
        failure.code = "CO0411".to_owned();
        failure.class = Class::Refused;
        failure.message = format!("{login} can't become a member of {role}: {}", failure.message);
        failure.remedy =
            format!("have an administrator run on the {side}: grant {} to {}", Ident::new(role), Ident::new(login));
    }
    failure
}

async fn leave(session: &Session, role: &str, login: &str) -> Result<(), Failure> {
    let there = session
        .query_opt(
            "select from pg_catalog.pg_auth_members m \
               join pg_catalog.pg_roles r on r.oid = m.roleid join pg_catalog.pg_roles u on u.oid = m.member \
              where r.rolname = $1 and u.rolname = $2",
            &[&role, &login],
        )
        .await
        .map_err(session.failed("looking at memberships"))?;
    if there.is_none() {
        return Ok(());
    }
    let sql = format!("revoke {} from {}", Ident::new(role), Ident::new(login));
    session.batch_execute(&sql).await.map_err(session.failed("leaving an owner"))
}

fn prefix(side: Side) -> String {
    format!("membership:{side}:")
}

fn key(side: Side, role: &str) -> String {
    format!("membership:{side}:{role}")
}

/// `server_version_num` of a server.
pub(crate) async fn server_version(client: &impl GenericClient, side: Side) -> Result<i32, Failure> {
    let row = client
        .query_one("select pg_catalog.current_setting('server_version_num')::int4", &[])
        .await
        .map_err(|e| crate::error::failure(side, "reading the version", &e))?;
    Ok(row.get(0))
}
