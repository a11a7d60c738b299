//! Undo: each means "make sure that it isn't there".

use changeover_domain::{Failure, undo::Undo};
use changeover_postgres::{Migration, ddl_guard, home, membership, pglogical, roles, schema, triggers};

/// Undoes one thing and says what was found.
pub(crate) async fn run(migration: &Migration, undo: Undo) -> Result<String, Failure> {
    match undo {
        Undo::RemoveHome { side } => home::remove(migration, migration.site(side)).await?,
        Undo::TakeBackMemberships { side } => membership::undo(migration, side).await?,
        Undo::DropRoles => roles::undo(migration).await?,
        Undo::EmptyTarget => schema::undo(migration).await?,
        Undo::RemoveEngine => pglogical::remove_all(migration).await?,
        Undo::RemoveReplication { direction } => pglogical::remove(migration, direction).await?,
        Undo::RestoreTriggers { side } => drop(triggers::restore(migration, side).await?),
        Undo::RemoveDdlGuard { side } => ddl_guard::remove(migration, side).await?,
    }
    Ok("done: it isn't there".to_owned())
}
