//! Finalize: everything of the migration goes, the data stays, the source stays closed.

use changeover_domain::{Direction, Failure, Side};
use changeover_postgres::{Migration, ddl_guard, home, leftovers, membership, pglogical, switch, triggers};
use changeover_traffic::PgBouncer;
use changeover_workflows::contract::FinalizeStep;

const SIDES: [Side; 2] = [Side::Source, Side::Target];

/// Runs one step and says what was done.
pub(crate) async fn run(migration: &Migration, step: FinalizeStep) -> Result<String, Failure> {
    match step {
        FinalizeStep::RemoveReplication => {
            switch::close_for_good(migration, Side::Target, &PgBouncer::new(migration)?).await?;
            let behind = switch::drain_back(migration).await;
            for direction in [Direction::Forward, Direction::Reverse] {
                pglogical::remove(migration, direction).await?;
            }
            Ok(format!("replication removed in both directions; {}", told(&behind)))
        }
        FinalizeStep::RestoreTriggers => {
            let mut restored = 0;
            for side in SIDES {
                ddl_guard::remove(migration, side).await?;
                restored += triggers::restore(migration, side).await?;
            }
            Ok(format!("DDL is allowed again, {restored} triggers restored"))
        }
        FinalizeStep::RemoveEngine => {
            pglogical::remove_all(migration).await?;
            Ok("nodes, sets, extension and rights removed".to_owned())
        }
        FinalizeStep::TakeBackMemberships => {
            for side in SIDES {
                membership::undo(migration, side).await?;
            }
            Ok("memberships taken back".to_owned())
        }
        FinalizeStep::RemoveHome => {
            for side in SIDES {
                home::remove(migration, migration.site(side)).await?;
            }
            Ok("the schema changeover removed from both sides".to_owned())
        }
        FinalizeStep::ProveClean => prove_clean(migration).await,
    }
}

/// What became of the last writes on their way to the source, in words. A link that is down doesn't hold finalize up: the source
/// is given up, and the target holds everything.
fn told(drained: &Result<(), Failure>) -> String {
    match drained {
        Ok(()) => "the source holds the last write".to_owned(),
        Err(failure) => format!("the source was left behind: {failure}"),
    }
}

async fn prove_clean(migration: &Migration) -> Result<String, Failure> {
    let mut left = Vec::new();
    for side in SIDES {
        left.extend(leftovers::prove_clean(migration, side).await?.into_iter().map(|what| format!("{side}: {what}")));
    }
    if left.is_empty() {
        return Ok("nothing of the migration is left on either side".to_owned());
    }
    let message = format!("{} things are left: {}", left.len(), left.join("; "));
    Err(Failure::needs_human("CO0820", message, "remove what it names, then `changeover retry`"))
}
