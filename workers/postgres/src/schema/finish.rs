//! What follows the last index: materialized views get their rows, the planner gets its statistics.

use std::collections::BTreeSet;

use changeover_domain::{Failure, QualifiedName};

use super::{
    facts::Facts,
    restore::{Heartbeat, alive},
    toc::Entry,
};
use crate::Session;

/// Fills the materialized views that hold rows on the source and don't yet here, in the order in which the dump makes them
/// (one that reads another comes after it).
pub(super) async fn fill_views(
    session: &Session,
    entries: &[Entry],
    facts: &Facts,
    heartbeat: Heartbeat<'_>,
) -> Result<u64, Failure> {
    let populated: BTreeSet<(&str, &str)> = facts.populated.iter().map(|(s, n)| (s.as_str(), n.as_str())).collect();
    let mut filled = 0;
    for entry in entries.iter().filter(|entry| entry.kind == "MATERIALIZED VIEW") {
        let schema = entry.schema.as_deref().unwrap_or_default();
        if !populated.contains(&(schema, entry.tag.as_str())) {
            continue;
        }
        let view = QualifiedName::new(schema, &*entry.tag);
        let waits = session
            .query_one(
                "select not relispopulated from pg_catalog.pg_class where oid = $1::text::regclass",
                &[&view.to_string()],
            )
            .await
            .map_err(session.failed("looking at a materialized view"))?;
        if waits.get(0) {
            let text = format!("{}: filling {}", session.database, view.raw());
            alive(heartbeat, &text, refresh(session, &view)).await?;
            filled += 1;
        }
    }
    Ok(filled)
}

/// A view's functions may name tables without their schema, as they could where the view was made.
async fn refresh(session: &Session, view: &QualifiedName) -> Result<(), Failure> {
    let sql = format!("refresh materialized view {view}");
    let Err(first) = session.batch_execute(&sql).await else { return Ok(()) };
    let what = format!("filling the materialized view {}", view.raw());
    // undefined_table, undefined_function, undefined_object
    if !first.code().is_some_and(|code| matches!(code.code(), "42P01" | "42883" | "42704")) {
        return Err(session.failed(&what)(first));
    }
    let with_path = format!("set search_path = {}, public; {sql}", view.schema);
    let second = session.batch_execute(&with_path).await.map_err(session.failed(&what));
    session.batch_execute("set search_path = ''").await.map_err(session.failed(&what))?;
    second
}

/// ANALYZE on every table; a partitioned table's covers its partitions.
pub(super) async fn analyze(session: &Session, heartbeat: Heartbeat<'_>) -> Result<u64, Failure> {
    let sql = "select n.nspname::text, c.relname::text from pg_catalog.pg_class c \
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
               where c.relkind in ('r', 'p', 'm') and not c.relispartition and c.relpersistence <> 't' \
                 and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pglogical') \
                 and pg_catalog.pg_has_role(c.relowner, 'usage') order by 1, 2";
    let rows = session.query(sql, &[]).await.map_err(session.failed("listing tables"))?;
    for row in &rows {
        let table = QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1));
        let text = format!("{}: analyzing {}", session.database, table.raw());
        let statement = format!("analyze {table}");
        alive(heartbeat, &text, session.batch_execute(&statement)).await.map_err(session.failed(&text))?;
    }
    Ok(rows.len() as u64)
}
