//! Undo: each means "make sure that it isn't there".

use changeover_domain::{Failure, Side, undo::Undo};
use changeover_postgres::{
    Migration, ddl_guard, gate, home, membership, pglogical, predecessor, roles, schema, switch, triggers,
};
use changeover_traffic::PgBouncer;

/// Undoes one thing and says what was found. Never while the target serves, or while that isn't known.
pub(crate) async fn run(migration: &Migration, undo: Undo) -> Result<String, Failure> {
    // Whoever stood still while it was aborted must not go on with what is taken down here.
    predecessor::evict_all(migration).await?;
    switch::close_for_good(migration, Side::Source, &PgBouncer::new(migration)?).await?;
    match undo {
        Undo::RemoveHome { side } => home::remove(migration, migration.site(side)).await?,
        Undo::TakeBackMemberships { side } => membership::undo(migration, side).await?,
        Undo::DropRoles => roles::undo(migration).await?,
        Undo::EmptyTarget => schema::undo(migration).await?,
        Undo::RemoveEngine => pglogical::remove_all(migration).await?,
        Undo::RemoveReplication { direction } => pglogical::remove(migration, direction).await?,
        Undo::RestoreTriggers { side } => {
            triggers::restore(migration, side).await?;
            gate::remove(migration, side).await?;
        }
        Undo::RemoveDdlGuard { side } => ddl_guard::remove(migration, side).await?,
    }
    Ok("done: it isn't there".to_owned())
}
