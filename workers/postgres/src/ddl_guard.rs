//! The DDL guard: event triggers that refuse schema changes while a migration runs. Temporary objects, refreshes of
//! materialized views, our own sessions and replication's workers pass.

use changeover_domain::{Failure, Ident, Side};
use serde::{Deserialize, Serialize};

use crate::{
    Migration, Session,
    escalate::{self, Escalated},
    failpoint::{Step, step},
};

/// Where the guard stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardOutcome {
    /// Databases that are guarded.
    pub guarded: Vec<String>,
    /// Databases that can't be, with the reason: there `drift::check` alone watches.
    pub warnings: Vec<String>,
}

/// Makes sure that DDL is refused in every database of a side. A login that may not create event triggers is a warning.
pub async fn ensure(migration: &Migration, side: Side) -> Result<GuardOutcome, Failure> {
    let (site, name) = (migration.site(side), migration.id.ddl_guard());
    let mut outcome = GuardOutcome::default();
    for database in migration.databases() {
        let session = site.open(&database.name, "guard").await?;
        if triggers(&session, &name).await? == 3 {
            outcome.guarded.push(database.name.clone());
            continue;
        }
        escalate::run(&session, site, &Escalated::DropEventTrigger(name.clone())).await?;
        match escalate::run(&session, site, &Escalated::CreateEventTrigger(name.clone())).await {
            Ok(()) => {
                outcome.guarded.push(database.name.clone());
                step(Step::Guard)?;
            }
            Err(failure) if failure.sqlstate.as_deref() == Some("42501") => {
                outcome.warnings.push(format!(
                    "CO0517 database {} on the {side} has no DDL guard: {}",
                    database.name, failure.message
                ));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(outcome)
}

/// Makes sure that the guard is gone from every database of a side.
pub async fn remove(migration: &Migration, side: Side) -> Result<(), Failure> {
    let (site, name) = (migration.site(side), migration.id.ddl_guard());
    for database in migration.databases() {
        let session = site.open(&database.name, "guard").await?;
        if triggers(&session, &name).await? > 0 {
            escalate::run(&session, site, &Escalated::DropEventTrigger(name.clone())).await?;
            step(Step::NoGuard)?;
        }
    }
    Ok(())
}

/// Whether DDL is refused in this database.
pub(crate) async fn is_on(migration: &Migration, session: &Session) -> Result<bool, Failure> {
    Ok(triggers(session, &migration.id.ddl_guard()).await? == 3)
}

/// How many of the guard's three event triggers are there.
async fn triggers(session: &Session, name: &Ident) -> Result<i64, Failure> {
    let row = session
        .query_one(
            "select count(*) from pg_catalog.pg_event_trigger where evtname::text in ($1, $1 || '_end', $1 || '_drop') and evtenabled <> 'D'",
            &[&name.raw()],
        )
        .await
        .map_err(session.failed("looking for the DDL guard"))?;
    Ok(row.get(0))
}
