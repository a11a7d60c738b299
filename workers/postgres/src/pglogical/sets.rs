//! Our two replication sets and the tables in them.

use std::{collections::HashMap, time::Duration};

use changeover_domain::{Failure, QualifiedName, proto::Database};
use rand::Rng;
use tokio::time::sleep;

use super::{block, escalation_schema};
use crate::{Migration, Session, Site};

const TABLES_SQL: &str = include_str!("../../sql/pglogical_tables.sql");

/// How long each try to add a table may wait for its lock, milliseconds. Adding takes SHARE ROW EXCLUSIVE, which stops
/// writers while it waits: so briefly at first. The later ones exceed `deadlock_timeout` (1 s by default), after which an
/// autovacuum that holds the table is cancelled.
const LOCK_TRIES_MS: [u32; 7] = [100, 100, 250, 500, 1_500, 1_500, 2_500];

/// Tables of the sets.
pub(super) struct Tables {
    /// All of them.
    pub all: u64,
    /// Those that this run added.
    pub added: u64,
}

struct Table {
    oid: u32,
    name: QualifiedName,
    unlogged: bool,
    keyed: bool,
    generated: bool,
}

/// Makes sure that both sets exist and hold every table that they should; without `may_add` those that are missing stay out.
pub(super) async fn ensure(
    migration: &Migration,
    site: &Site,
    session: &Session,
    database: &Database,
    may_add: bool,
) -> Result<Tables, Failure> {
    let (set, insert_only) = (migration.id.set(), migration.id.insert_only_set());
    create(session, set.raw(), true).await?;
    create(session, insert_only.raw(), false).await?;
    let wanted = candidates(session, site).await?;
    if may_add {
        refuse(session, database, &wanted)?;
    }
    let present = present(migration, session).await?;
    let mut added = 0;
    for table in &wanted {
        let set = if table.keyed { set.raw() } else { insert_only.raw() };
        match present.get(&table.oid) {
            Some(found) if found == set => {}
            Some(found) => {
                // A key was added or dropped since: what the set promises doesn't hold any more.
                let message = format!(
                    "table {} of database {} is in the set {found} but belongs to {set}",
                    table.name.raw(),
                    session.database
                );
                return Err(Failure::needs_human(
                    "CO0504",
                    message,
                    "its key was changed during the migration: undo that, or abort and start anew",
                ));
            }
            None if may_add => {
                add(session, set, table).await?;
                added += 1;
            }
            None => {}
        }
    }
    Ok(Tables { all: wanted.len() as u64, added })
}

/// Makes sure that our sets aren't there. Needs the local node.
pub(super) async fn remove(migration: &Migration, session: &Session) -> Result<(), Failure> {
    for set in super::set_names(migration) {
        session
            .execute("select pglogical.drop_replication_set($1::text::name, true)", &[&set])
            .await
            .map_err(session.failed("dropping a replication set"))?;
    }
    Ok(())
}

async fn create(session: &Session, set: &str, updates: bool) -> Result<(), Failure> {
    session
        .execute(
            "select pglogical.create_replication_set($1::text::name, true, $2, $2, true)
              where not exists (select from pglogical.replication_set s join pglogical.local_node l on l.node_id = s.set_nodeid
                                 where s.set_name = $1::text::name)",
            &[&set, &updates],
        )
        .await
        .map(drop)
        .map_err(session.failed("creating a replication set"))
}

async fn present(migration: &Migration, session: &Session) -> Result<HashMap<u32, String>, Failure> {
    let rows = session
        .query(
            "select t.set_reloid::pg_catalog.oid, s.set_name::text
               from pglogical.replication_set_table t join pglogical.replication_set s using (set_id)
               join pglogical.local_node l on l.node_id = s.set_nodeid
              where s.set_name::text = any ($1)",
            &[&super::set_names(migration)],
        )
        .await
        .map_err(session.failed("reading the replication sets"))?;
    Ok(rows.iter().map(|r| (r.get(0), r.get(1))).collect())
}

/// Names of all tables that should be copied, as `schema.table`.
pub(super) async fn names(session: &Session, site: &Site) -> Result<Vec<String>, Failure> {
    Ok(candidates(session, site).await?.iter().map(|t| t.name.raw()).collect())
}

/// Number of tables in our sets.
pub(super) async fn count(migration: &Migration, session: &Session) -> Result<u64, Failure> {
    if !super::install::exists(session).await? {
        return Ok(0);
    }
    Ok(present(migration, session).await?.len() as u64)
}

/// All tables of the database that should be in a set.
async fn candidates(session: &Session, site: &Site) -> Result<Vec<Table>, Failure> {
    let rows =
        session.query(TABLES_SQL, &[&escalation_schema(site)]).await.map_err(session.failed("listing tables"))?;
    Ok(rows
        .iter()
        .map(|r| Table {
            oid: r.get("oid"),
            name: QualifiedName::new(r.get::<_, String>("schema"), r.get::<_, String>("name")),
            unlogged: r.get("unlogged"),
            keyed: r.get("keyed"),
            generated: r.get("generated"),
        })
        .collect())
}

/// Refuses tables that pglogical can't carry, naming them.
fn refuse(session: &Session, database: &Database, tables: &[Table]) -> Result<(), Failure> {
    let refused: Vec<String> =
        tables.iter().filter_map(|t| objection(t, database).map(|why| format!("{} ({why})", t.name.raw()))).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let more = refused.len().saturating_sub(10);
    let list = refused.into_iter().take(10).collect::<Vec<_>>().join(", ");
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!(
        "database {} on the {} has tables that pglogical can't carry: {list}{rest}",
        session.database, session.side
    );
    Err(Failure::refused(
        "CO0504",
        message,
        "give each a primary key, or list append-only ones as insert_only_tables in the spec",
    ))
}

/// Why a table can't be in a set.
fn objection(table: &Table, database: &Database) -> Option<&'static str> {
    if table.unlogged {
        return Some("unlogged");
    }
    if table.generated {
        return Some("it has a generated column");
    }
    let listed = || database.insert_only_tables.iter().any(|t| *t == table.name.raw());
    (!table.keyed && !listed()).then_some("no key")
}

/// Adds one table in a transaction of its own, so that no lock outlives it.
async fn add(session: &Session, set: &str, table: &Table) -> Result<(), Failure> {
    let mut last = None;
    for wait in LOCK_TRIES_MS {
        if last.is_some() {
            let pause = rand::rng().random_range(50..250);
            sleep(Duration::from_millis(pause)).await;
        }
        session
            .batch_execute(&format!("set lock_timeout = {wait}"))
            .await
            .map_err(session.failed("setting lock_timeout"))?;
        let added = session
            .execute("select pglogical.replication_set_add_table($1::text::name, $2::pg_catalog.oid::pg_catalog.regclass, false)", &[&set, &table.oid])
            .await;
        let failure = match added {
            Ok(_) => {
                session
                    .batch_execute("set lock_timeout = '10s'")
                    .await
                    .map_err(session.failed("setting lock_timeout"))?;
                return Ok(());
            }
            Err(error) => session.failed("adding a table to a replication set")(error),
        };
        if failure.sqlstate.as_deref() != Some("55P03") && failure.sqlstate.as_deref() != Some("40P01") {
            return Err(failure.during(&table.name.raw()));
        }
        last = Some(failure);
    }
    let holders = block::holders(session, table.oid).await?;
    let message = format!(
        "table {} of database {} on the {} is locked by {holders}",
        table.name.raw(),
        session.database,
        session.side
    );
    Err(Failure::transient("CO0505", message, "end that transaction; it is tried again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, keyed: bool) -> Table {
        Table { oid: 1, name: QualifiedName::new("app", name), unlogged: false, keyed, generated: false }
    }

    #[test]
    fn only_listed_tables_may_lack_a_key() {
        let database = Database { name: "d".into(), insert_only_tables: vec!["app.log".into()] };
        assert_eq!(objection(&table("log", false), &database), None);
        assert_eq!(objection(&table("other", false), &database), Some("no key"));
        assert_eq!(objection(&table("other", true), &database), None);
        assert_eq!(objection(&Table { unlogged: true, ..table("log", false) }, &database), Some("unlogged"));
        assert!(objection(&Table { generated: true, ..table("x", true) }, &database).is_some());
    }
}
