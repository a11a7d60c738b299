//! The node of one database.

use changeover_domain::{Failure, Side};

use super::dsn;
use crate::{Migration, Session, Site};

/// The name of the database's own node, if it has one. Needs the extension.
pub(super) async fn local(session: &Session) -> Result<Option<String>, Failure> {
    let row = session
        .query_opt("select n.node_name::text from pglogical.local_node l join pglogical.node n using (node_id)", &[])
        .await
        .map_err(session.failed("looking for the node"))?;
    Ok(row.map(|r| r.get(0)))
}

/// Makes sure that the database is our node.
pub(super) async fn ensure(migration: &Migration, site: &Site, session: &Session) -> Result<(), Failure> {
    let name = migration.id.node(site.side());
    match local(session).await? {
        Some(found) if found == name.raw() => return Ok(()),
        Some(found) => {
            let message =
                format!("database {} on the {} is the pglogical node {found} already", session.database, session.side);
            return Err(Failure::refused(
                "CO0503",
                message,
                "a database can be one node only: take the other set-up down first (pglogical.drop_node)",
            ));
        }
        None => {}
    }
    let own = match site.side() {
        Side::Source => dsn::provider(migration, site, &session.database),
        Side::Target => dsn::own(migration, site, &session.database),
    };
    dsn::stash(session, &own).await?;
    let sql = format!("select pglogical.create_node(node_name := $1::text::name, dsn := {})", dsn::STASHED);
    session.execute(&sql, &[&name.raw()]).await.map_err(session.failed("creating the node"))?;
    dsn::forget(session).await
}

/// Makes the node with a connection string that leads nowhere, for an attempt that is rolled back.
pub(super) async fn make_without_password(
    migration: &Migration,
    site: &Site,
    session: &Session,
) -> Result<(), Failure> {
    dsn::stash(session, &dsn::probe(migration, site, &session.database)).await?;
    let sql = format!("select pglogical.create_node(node_name := $1::text::name, dsn := {})", dsn::STASHED);
    session
        .execute(&sql, &[&migration.id.node(site.side()).raw()])
        .await
        .map(drop)
        .map_err(session.failed("creating a node"))
}

/// Makes sure that our node isn't there. All subscriptions and slots of the database must be gone: pglogical drops every
/// slot of its own in the database together with the node.
pub(super) async fn remove(migration: &Migration, site: &Site, session: &Session) -> Result<(), Failure> {
    let name = migration.id.node(site.side());
    session
        .execute("select pglogical.drop_node($1::text::name, true)", &[&name.raw()])
        .await
        .map(drop)
        .map_err(session.failed("dropping the node"))
}
