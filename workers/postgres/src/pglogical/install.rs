//! The extension in one database, and who may use it.

use changeover_domain::{Failure, Ident, names::HOME};
use tokio_postgres::error::SqlState;

use crate::{
    Migration, Session, Site,
    escalate::{self, Escalated},
    note,
};

/// Note: whether the extension was there before us; then it stays when we go.
pub(super) const NOTE: &str = "pglogical.extension_was_there";

/// Whether the extension is installed in the session's database.
pub(super) async fn exists(session: &Session) -> Result<bool, Failure> {
    let row = session
        .query_one("select exists (select from pg_catalog.pg_extension where extname = 'pglogical')", &[])
        .await
        .map_err(session.failed("looking for the extension pglogical"))?;
    Ok(row.get(0))
}

/// Whether the note says that we made the extension. False when nothing is known.
pub(super) async fn ours(migration: &Migration, session: &Session) -> Result<bool, Failure> {
    if !crate::home::is_ours(migration, session).await? {
        return Ok(false);
    }
    Ok(note::get(&**session, session.side, NOTE).await? == Some(false))
}

/// Makes sure that the extension isn't there, if it's ours.
pub(super) async fn remove(migration: &Migration, site: &Site, session: &Session) -> Result<(), Failure> {
    if !ours(migration, session).await? {
        return Ok(());
    }
    // It locks pglogical's own tables only: the triggers on others are gone by now. A worker that just ends may hold them.
    escalate::run(session, site, &Escalated::DropPglogical).await?;
    if exists(session).await? {
        let message =
            format!("the extension pglogical is still in database {} on the {}", session.database, session.side);
        return Err(Failure::needs_human("CO0501", message, "drop extension pglogical, then `changeover retry`"));
    }
    Ok(())
}

/// Makes sure that the extension is there and that the replication login may use what a provider shows. Returns warnings.
pub(super) async fn ensure(migration: &Migration, site: &Site, session: &Session) -> Result<Vec<String>, Failure> {
    if !crate::home::exists(session).await? {
        let message = format!("database {} on the {} has no schema {HOME}", session.database, session.side);
        return Err(Failure::needs_human("CO0212", message, "find out who removed it; then `changeover abort`"));
    }
    let there = exists(session).await?;
    note::put_once(&**session, session.side, NOTE, &there).await?;
    if !there {
        escalate::run(session, site, &Escalated::CreatePglogical).await.map_err(uninstallable)?;
    }
    let_replication_in(migration, session).await?;
    let mut warnings = exposed(migration, site, session).await?;
    warnings.extend(let_everybody_drop(migration, site, session).await?);
    warnings.extend(talkative(session).await?);
    Ok(warnings)
}

/// pglogical gives its whole connection string as DETAIL when a connection fails; only `log_error_verbosity = terse` keeps
/// DETAIL, and with it rows and passwords, out of the server's log.
async fn talkative(session: &Session) -> Result<Option<String>, Failure> {
    let row = session
        .query_one("select current_setting('log_error_verbosity')", &[])
        .await
        .map_err(session.failed("reading log_error_verbosity"))?;
    let verbosity: String = row.get(0);
    Ok((verbosity != "terse").then(|| {
        format!(
            "CO0519 log_error_verbosity is {verbosity} on the {}: when pglogical loses a connection, the server's log gets the replication login's password",
            session.side
        )
    }))
}

/// pglogical's hook on drops opens its schema as whoever drops something: without USAGE an application can't drop even its own
/// temporary table. Everybody may call pglogical's functions by default, so those are closed first. The escalation has done
/// all this already; on RDS the login does it, if it may.
async fn let_everybody_drop(migration: &Migration, site: &Site, session: &Session) -> Result<Option<String>, Failure> {
    let failed = session.failed("looking at the rights on pglogical");
    if everybody_may(session).await.map_err(&failed)? {
        return Ok(None);
    }
    let user = Ident::new(site.address.user.as_str());
    let replication = Ident::new(migration.replication_user.as_str());
    let granted = session
        .batch_execute(&format!(
            "begin;
             revoke execute on all functions in schema pglogical from public;
             grant execute on all functions in schema pglogical to {user}, {replication};
             grant usage on schema pglogical to public;
             do $$ begin
                 if exists (select from pg_catalog.pg_proc p
                             cross join lateral pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
                             where p.pronamespace = 'pglogical'::pg_catalog.regnamespace and a.grantee = 0) then
                     raise exception 'functions of pglogical are open to everybody' using errcode = '42501';
                 end if;
             end $$;
             commit"
        ))
        .await;
    let refused = match granted {
        Ok(()) => !everybody_may(session).await.map_err(&failed)?,
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            session.batch_execute("rollback").await.map_err(&failed)?;
            true
        }
        Err(error) => return Err(failed(error)),
    };
    Ok(refused.then(|| {
        format!(
            "CO0520 database {} on the {}: until the end, whoever drops a temporary table needs USAGE on the schema pglogical",
            session.database, session.side
        )
    }))
}

async fn everybody_may(session: &Session) -> Result<bool, tokio_postgres::Error> {
    let usage = "select exists (
        select from pg_catalog.pg_namespace n cross join lateral pg_catalog.aclexplode(n.nspacl) a
         where n.nspname = 'pglogical' and a.grantee = 0 and a.privilege_type = 'USAGE')";
    Ok(session.query_one(usage, &[]).await?.get(0))
}

fn uninstallable(failure: Failure) -> Failure {
    Failure {
        code: "CO0501".to_owned(),
        remedy: "make the extension pglogical available to the migration's login: see `changeover explain CO0501`"
            .to_owned(),
        ..failure
    }
}

/// The replication login asks for the node and the list of tables; it needs no more of pglogical's schema. What it decodes
/// is not subject to rights.
async fn let_replication_in(migration: &Migration, session: &Session) -> Result<(), Failure> {
    let user = &migration.replication_user;
    if may_use(session, user).await? {
        return Ok(());
    }
    let login = Ident::new(user.as_str());
    session
        .batch_execute(&format!(
            "grant usage on schema pglogical to {login}; grant select on pglogical.tables to {login}"
        ))
        .await
        .map_err(session.failed("letting the replication login use pglogical"))?;
    // Without the right to it a GRANT only warns: look again.
    if may_use(session, user).await? {
        return Ok(());
    }
    let message = format!(
        "login {user} may not use the schema pglogical in database {} on the {}",
        session.database, session.side
    );
    let remedy = format!(
        "as the extension's owner: grant usage on schema pglogical to {login}; grant select on pglogical.tables to {login}"
    );
    Err(Failure::refused("CO0501", message, remedy))
}

async fn may_use(session: &Session, user: &str) -> Result<bool, Failure> {
    let row = session
        .query_one(
            "select has_schema_privilege($1::text::name, 'pglogical', 'usage')
                and has_table_privilege($1::text::name, 'pglogical.tables', 'select')",
            &[&user],
        )
        .await
        .map_err(session.failed("looking at the rights on pglogical"))?;
    Ok(row.get(0))
}

/// Logins that can read the passwords in node_interface. pglogical keeps them in clear text; nobody has the right by default,
/// but members of pg_read_all_data do.
async fn exposed(migration: &Migration, site: &Site, session: &Session) -> Result<Vec<String>, Failure> {
    let known = vec![site.address.user.clone(), migration.replication_user.clone()];
    let rows = session
        .query(
            "select rolname::text from pg_catalog.pg_roles
              where rolcanlogin and not rolsuper and rolname::text <> all ($1)
                and has_schema_privilege(oid, 'pglogical', 'usage')
                and has_table_privilege(oid, 'pglogical.node_interface', 'select')
              order by 1 limit 20",
            &[&known],
        )
        .await
        .map_err(session.failed("looking at the rights on pglogical"))?;
    let logins: Vec<String> = rows.iter().map(|r| r.get(0)).collect();
    if logins.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "CO0502 database {} on the {}: these logins can read the connection strings of pglogical, passwords included: {}",
        session.database,
        session.side,
        logins.join(", ")
    )])
}
