//! Finalize: everything of the migration goes, the data stays, the source stays closed.

use changeover_domain::{Direction, Failure, Side};
use changeover_postgres::{
    Migration, ddl_guard, drained, gate, home, leftovers, membership, pglogical, switch, triggers,
};
use changeover_traffic::PgBouncer;
use changeover_workflows::contract::FinalizeStep;

const SIDES: [Side; 2] = [Side::Source, Side::Target];

/// Runs one step and says what was done.
pub(crate) async fn run(migration: &Migration, step: FinalizeStep, source_is_lost: bool) -> Result<String, Failure> {
    let sides = if source_is_lost { &SIDES[1..] } else { &SIDES[..] };
    match step {
        FinalizeStep::RemoveReplication if source_is_lost => {
            switch::close_without_source(migration).await?;
            pglogical::remove_on_target(migration).await?;
            Ok("replication removed from the target; the source is lost, and what is on it stays there".to_owned())
        }
        FinalizeStep::RemoveReplication => {
            switch::close_for_good(migration, Side::Target, &PgBouncer::new(migration)?).await?;
            let told = drained::drain_back(migration).await?;
            for direction in [Direction::Forward, Direction::Reverse] {
                pglogical::remove(migration, direction).await?;
            }
            Ok(format!("replication removed in both directions; {told}"))
        }
        FinalizeStep::RestoreTriggers => {
            let (mut restored, mut gates) = (0, 0);
            for side in sides {
                restored += triggers::restore(migration, *side).await?;
                gates += gate::remove(migration, *side).await?;
                ddl_guard::remove(migration, *side).await?;
            }
            Ok(format!("DDL is allowed again, {restored} triggers restored, {gates} gates removed"))
        }
        FinalizeStep::RemoveEngine if source_is_lost => {
            pglogical::remove_on_target(migration).await?;
            Ok("nodes, sets and extension removed from the target".to_owned())
        }
        FinalizeStep::RemoveEngine => {
            pglogical::remove_all(migration).await?;
            Ok("nodes, sets, extension and rights removed".to_owned())
        }
        FinalizeStep::TakeBackMemberships => {
            for side in sides {
                membership::undo(migration, *side).await?;
            }
            Ok("memberships taken back".to_owned())
        }
        FinalizeStep::RemoveHome => {
            for side in sides {
                home::remove(migration, migration.site(*side)).await?;
            }
            Ok(format!("the schema changeover removed from {}", told(source_is_lost)))
        }
        FinalizeStep::ProveClean => prove_clean(migration, sides, source_is_lost).await,
    }
}

fn told(source_is_lost: bool) -> &'static str {
    if source_is_lost { "the target" } else { "both sides" }
}

async fn prove_clean(migration: &Migration, sides: &[Side], source_is_lost: bool) -> Result<String, Failure> {
    let mut left = Vec::new();
    for side in sides {
        left.extend(leftovers::prove_clean(migration, *side).await?.into_iter().map(|what| format!("{side}: {what}")));
    }
    if left.is_empty() {
        return Ok(format!("nothing of the migration is left on {}", told(source_is_lost)));
    }
    let message = format!("{} things are left: {}", left.len(), left.join("; "));
    Err(Failure::needs_human("CO0820", message, "remove what it names, then `changeover retry`"))
}
