//! What must be empty before an initial copy, and how a failed one starts anew.

use changeover_domain::{Direction, Failure, QualifiedName};

use super::{remove, set_names};
use crate::{Migration, Session};

/// Tables looked at in one statement.
const BATCH: usize = 200;

/// Drops the forward subscriptions and empties the target's tables, in every database, so that [`super::ensure_forward`]
/// starts anew. Refused once the target has been opened. After a failed copy there is no need to call it: `ensure_forward`
/// does as much for the databases whose copy failed.
pub async fn reset_forward(migration: &Migration) -> Result<(), Failure> {
    for database in migration.databases() {
        one(migration, &database.name).await?;
    }
    Ok(())
}

/// The same for one database.
pub(super) async fn one(migration: &Migration, database: &str) -> Result<(), Failure> {
    expect_unopened(migration).await?;
    remove::one(migration, Direction::Forward, database).await?;
    let provider = migration.source.open(database, "reset").await?;
    let session = migration.target.open(database, "reset").await?;
    let tables = tables(migration, &provider).await?;
    truncate(&session, &existing(&session, tables).await?).await
}

async fn expect_unopened(migration: &Migration) -> Result<(), Failure> {
    let session = migration.target.open(migration.control_database(), "reset").await?;
    if !crate::home::exists(&session).await? {
        return Ok(());
    }
    let row = session
        .query_one("select exists (select from changeover.decision where outcome = 'open')", &[])
        .await
        .map_err(session.failed("reading the decisions"))?;
    if row.get(0) {
        let message = "the target has been opened to applications: its tables are not emptied";
        return Err(Failure::refused(
            "CO0511",
            message,
            "nothing is copied anew after a switch; look at replication's health instead",
        ));
    }
    Ok(())
}

/// The tables that are copied: those of the source's sets, without our own.
async fn tables(migration: &Migration, provider: &Session) -> Result<Vec<QualifiedName>, Failure> {
    let rows = provider
        .query(
            "select n.nspname::text, c.relname::text
               from pglogical.replication_set s join pglogical.local_node l on l.node_id = s.set_nodeid
               join pglogical.replication_set_table t using (set_id)
               join pg_catalog.pg_class c on c.oid = t.set_reloid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where s.set_name::text = any ($1) and n.nspname <> 'changeover' order by 1, 2",
            &[&set_names(migration)],
        )
        .await
        .map_err(provider.failed("reading the replication sets"))?;
    Ok(rows.iter().map(|r| QualifiedName::new(r.get::<_, String>(0), r.get::<_, String>(1))).collect())
}

/// Those of the tables that the session's database has.
async fn existing(session: &Session, tables: Vec<QualifiedName>) -> Result<Vec<QualifiedName>, Failure> {
    let rows = session
        .query(
            "select n.nspname::text, c.relname::text from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where c.relkind = 'r' and n.nspname !~ '^pg_'",
            &[],
        )
        .await
        .map_err(session.failed("listing tables"))?;
    let there: std::collections::BTreeSet<QualifiedName> =
        rows.iter().map(|r| QualifiedName::new(r.get::<_, String>(0), r.get::<_, String>(1))).collect();
    Ok(tables.into_iter().filter(|t| there.contains(t)).collect())
}

/// Empties marker and canary on the target: rows of an earlier attempt would collide with the copied ones.
pub(super) async fn empty_home(session: &Session) -> Result<(), Failure> {
    session
        .batch_execute("set session_replication_role = replica; truncate changeover.marker, changeover.canary; set session_replication_role = origin")
        .await
        .map_err(session.failed("emptying marker and canary"))
}

/// Makes sure that every table to be copied is on the target, and empty.
pub(super) async fn expect_empty(migration: &Migration, session: &Session, provider: &Session) -> Result<(), Failure> {
    let wanted = tables(migration, provider).await?;
    let there = existing(session, wanted.clone()).await?;
    if there.len() < wanted.len() {
        let missing: Vec<String> =
            wanted.iter().filter(|t| !there.contains(t)).take(5).map(QualifiedName::raw).collect();
        let message = format!(
            "database {} on the {} lacks {} tables to be copied: {} …",
            session.database,
            session.side,
            wanted.len() - there.len(),
            missing.join(", ")
        );
        return Err(Failure::needs_human("CO0512", message, "make the schema complete, then `changeover retry`"));
    }
    let mut full = Vec::new();
    for batch in there.chunks(BATCH) {
        let selects: Vec<String> =
            batch.iter().enumerate().map(|(i, t)| format!("select {i}::int4 where exists (select from {t})")).collect();
        let rows = session
            .query(&selects.join(" union all "), &[])
            .await
            .map_err(session.failed("looking whether tables are empty"))?;
        full.extend(
            rows.iter().filter_map(|r| batch.get(usize::try_from(r.get::<_, i32>(0)).ok()?)).map(QualifiedName::raw),
        );
    }
    if full.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} tables of database {} on the {} hold rows already: {} …",
        full.len(),
        session.database,
        session.side,
        full.iter().take(5).cloned().collect::<Vec<_>>().join(", ")
    );
    Err(Failure::needs_human(
        "CO0512",
        message,
        "find out whose rows these are: empty the tables on the target, then `changeover retry`; or abort",
    ))
}

/// Empties tables together, so that foreign keys among them don't matter, and without firing triggers.
async fn truncate(session: &Session, tables: &[QualifiedName]) -> Result<(), Failure> {
    if tables.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = tables.iter().map(QualifiedName::to_string).collect();
    let sql = format!(
        "set session_replication_role = replica; truncate {}; set session_replication_role = origin",
        list.join(", ")
    );
    session.batch_execute(&sql).await.map_err(session.failed("emptying the target's tables"))
}
