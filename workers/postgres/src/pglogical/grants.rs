//! What the replication login needs to read the source's rows during the initial copy.
//!
//! It becomes a member of `pg_read_all_data` (PostgreSQL 14 and later): one membership instead of a grant on every schema and
//! table, so no ACL of the application changes, `pg_dump` carries nothing of ours over, and taking it back leaves no trace.
//! Row-level security isn't lifted by that; of the owners of such tables it becomes a member too. Decoding needs no right at
//! all, so nothing is granted on the target.

use std::collections::BTreeSet;

use changeover_domain::{Failure, Ident};

use super::escalation_schema;
use crate::{Migration, Session, note};

/// Note in the source's control database: the roles whose member we made the replication login.
const NOTE: &str = "pglogical.memberships_given";

const READ_ALL: &str = "pg_read_all_data";

/// Makes sure that the replication login can read every row of the source's tables.
pub(super) async fn ensure(migration: &Migration) -> Result<(), Failure> {
    let control = migration.source.open(migration.control_database(), "grants").await?;
    let mut roles = BTreeSet::from([READ_ALL.to_owned()]);
    for database in migration.databases() {
        let session = migration.source.open(&database.name, "grants").await?;
        roles.extend(owners_of_secured_tables(migration, &session).await?);
    }
    for role in roles {
        if member(&control, &migration.replication_user, &role).await? {
            continue;
        }
        // Noted first: a grant that nobody remembers would stay for ever.
        let mut given = given(&control).await?;
        given.insert(role.clone());
        note::put(&*control, control.side, NOTE, &given).await?;
        grant(migration, &control, &role).await?;
    }
    Ok(())
}

/// Makes sure that the replication login is a member of nothing that we made it a member of.
pub(super) async fn remove(migration: &Migration) -> Result<(), Failure> {
    let control = migration.source.open(migration.control_database(), "grants").await?;
    if !crate::home::is_ours(migration, &control).await? {
        return Ok(());
    }
    let user = Ident::new(migration.replication_user.as_str());
    for role in given(&control).await? {
        if member(&control, &migration.replication_user, &role).await? {
            let sql = format!("revoke {} from {user}", Ident::new(role));
            control.batch_execute(&sql).await.map_err(control.failed("revoking a membership"))?;
        }
    }
    note::forget(&*control, control.side, NOTE).await
}

pub(super) async fn given(control: &Session) -> Result<BTreeSet<String>, Failure> {
    Ok(note::get(&**control, control.side, NOTE).await?.unwrap_or_default())
}

pub(super) async fn member(session: &Session, user: &str, role: &str) -> Result<bool, Failure> {
    let row = session
        .query_one(
            "select exists (select from pg_catalog.pg_auth_members m
                             join pg_catalog.pg_roles u on u.oid = m.member join pg_catalog.pg_roles r on r.oid = m.roleid
                            where u.rolname = $1::text::name and r.rolname = $2::text::name)",
            &[&user, &role],
        )
        .await
        .map_err(session.failed("reading memberships"))?;
    Ok(row.get(0))
}

async fn grant(migration: &Migration, control: &Session, role: &str) -> Result<(), Failure> {
    let sql = format!("grant {} to {}", Ident::new(role), Ident::new(migration.replication_user.as_str()));
    control.batch_execute(&sql).await.map_err(|error| {
        let failure = control.failed("letting the replication login read")(error);
        let remedy = format!("as a role that may: {sql}");
        Failure { code: "CO0506".to_owned(), remedy, ..failure }
    })
}

/// Owners of tables with row-level security that the replication login isn't exempt from. Where it is forced, its owner is
/// subject to it too, and no membership helps.
async fn owners_of_secured_tables(migration: &Migration, session: &Session) -> Result<BTreeSet<String>, Failure> {
    let rows = session
        .query(
            "select n.nspname || '.' || c.relname, pg_catalog.pg_get_userbyid(c.relowner)::text, c.relforcerowsecurity
               from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where c.relkind = 'r' and c.relrowsecurity and c.relpersistence = 'p'
                and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pglogical', 'changeover', $2)
                and not exists (select from pg_catalog.pg_roles where rolname = $1::text::name and (rolsuper or rolbypassrls))",
            &[&migration.replication_user, &escalation_schema(&migration.source)],
        )
        .await
        .map_err(session.failed("looking for row-level security"))?;
    let mut owners = BTreeSet::new();
    for row in rows {
        let (table, owner, forced): (String, String, bool) = (row.get(0), row.get(1), row.get(2));
        if forced {
            let message = format!(
                "row-level security is forced on table {table} of database {}, so that the replication login would miss rows",
                session.database
            );
            let remedy =
                format!("as a superuser: alter role {} bypassrls", Ident::new(migration.replication_user.as_str()));
            return Err(Failure::refused("CO0506", message, remedy));
        }
        if owner != migration.replication_user {
            owners.insert(owner);
        }
    }
    Ok(owners)
}
