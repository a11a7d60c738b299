//! Replication by pglogical: nodes, sets, subscriptions, their progress and health, and their removal.
//!
//! How pglogical behaves where it surprises, and what is done about it, is written down in `docs/engine-pglogical.md`.
//!
//! Per database and side there is one node. Its own interface is used for one thing only: the initial copy *into* the
//! database. So on the target it connects as the migration's login; on the source, which is never copied into, as the
//! replication login. What a subscriber reads its provider by is handed to `create_subscription` explicitly and is always
//! the replication login.

mod block;
mod canary;
mod dsn;
mod grants;
mod health;
mod install;
mod left;
mod node;
mod progress;
mod reach;
mod remove;
mod reset;
mod sets;
mod slots;
mod status;
mod stuck;
mod subscription;
mod unstick;

use changeover_domain::{Direction, Failure, Ident};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

pub use health::{health, watch};
pub(crate) use left::{memberships_left, nodes_left};
pub use progress::{SyncProgress, sync_progress};
pub(crate) use reach::reaches;
pub use remove::{remove, remove_all, remove_on_target};
pub use reset::reset_forward;
pub use unstick::unstick;

use crate::{
    Migration, Session, Site,
    failpoint::{Step, step},
};

/// What an `ensure_*` found or made, summed over all databases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineOutcome {
    /// Tables in our replication sets.
    pub tables: u64,
    /// Of those, added by this run.
    pub tables_added: u64,
    /// What a person should know, but what doesn't stop the run.
    pub warnings: Vec<String>,
}

impl EngineOutcome {
    /// Adds warnings, each once: most are alike in all databases of a side.
    fn warn(&mut self, warnings: impl IntoIterator<Item = String>) {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }
    fn sum(parts: impl IntoIterator<Item = EngineOutcome>) -> EngineOutcome {
        parts.into_iter().fold(EngineOutcome::default(), |mut sum, part| {
            sum.tables += part.tables;
            sum.tables_added += part.tables_added;
            sum.warn(part.warnings);
            sum
        })
    }
}

/// Makes sure that the side that rows come from is ready to be read, in every database: extension, node, replication sets
/// with all their tables, and the rights of the replication login. Once the subscription has been made no table is added any
/// more: the rows that it holds would be missing. [`sync_progress`] and `drift::check` name such tables.
pub async fn ensure_provider(migration: &Migration, direction: Direction) -> Result<EngineOutcome, Failure> {
    let site = migration.provider(direction);
    let parts = try_join_all(migration.databases().iter().map(async |database| {
        let session = site.open(&database.name, "provider").await?;
        let warnings = be_node(migration, site, &session).await?;
        let begun = subscription::begun(&session, direction).await?;
        let tables = sets::ensure(migration, site, &session, database, !begun).await?;
        step(Step::Sets)?;
        Ok::<_, Failure>(EngineOutcome { tables: tables.all, tables_added: tables.added, warnings })
    }))
    .await?;
    if direction == Direction::Forward {
        grants::ensure(migration).await?;
        step(Step::Rights)?;
    }
    Ok(EngineOutcome::sum(parts))
}

/// Makes sure that rows flow from source to target, initial copy included. Returns when every slot exists, from which on no
/// change is missed; the copy itself goes on and is watched by [`sync_progress`].
pub async fn ensure_forward(migration: &Migration) -> Result<EngineOutcome, Failure> {
    ensure(migration, Direction::Forward).await
}

/// Makes sure that rows flow from target to source: those that the target's own writers make, not those that it applied.
/// Nothing is copied.
pub async fn ensure_reverse(migration: &Migration) -> Result<EngineOutcome, Failure> {
    ensure(migration, Direction::Reverse).await
}

async fn ensure(migration: &Migration, direction: Direction) -> Result<EngineOutcome, Failure> {
    let mut outcome = ensure_provider(migration, direction).await?;
    let site = migration.subscriber(direction);
    let warnings = try_join_all(migration.databases().iter().map(async |database| {
        let session = site.open(&database.name, "subscriber").await?;
        let warnings = be_node(migration, site, &session).await?;
        subscription::ensure(migration, direction, &session).await?;
        Ok::<_, Failure>(warnings)
    }))
    .await?;
    outcome.warn(warnings.into_iter().flatten());
    Ok(outcome)
}

/// Makes sure that the session's database is a node. Returns warnings.
async fn be_node(migration: &Migration, site: &Site, session: &Session) -> Result<Vec<String>, Failure> {
    let warnings = install::ensure(migration, site, session).await?;
    step(Step::Extension)?;
    node::ensure(migration, site, session).await?;
    step(Step::Node)?;
    Ok(warnings)
}

/// The schema of the site's escalation function, which is nobody's application.
fn escalation_schema(site: &Site) -> &str {
    site.escalation.split_once('.').map_or("", |(schema, _)| schema)
}

/// Both our sets, as the text array that pglogical wants.
fn set_names(migration: &Migration) -> Vec<String> {
    [migration.id.set(), migration.id.insert_only_set()].iter().map(|set: &Ident| set.raw().to_owned()).collect()
}
