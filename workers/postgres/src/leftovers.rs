//! Proof that nothing of ours is left on a side, after everything has been taken down and the home schema dropped.

use std::time::Duration;

use changeover_domain::{Direction, Failure, Side};

use tokio::time::{Instant, sleep};

use crate::{Migration, Session, home, pglogical};

/// How long a closed session may still be listed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everything of ours that is still there, in words; empty is the proof. What can't be looked at is a failure, not "clean".
pub async fn prove_clean(migration: &Migration, side: Side) -> Result<Vec<String>, Failure> {
    // Sessions that were closed a moment ago may still be listed.
    let begun = Instant::now();
    loop {
        let left = look(migration, side).await?;
        if left.is_empty() || begun.elapsed() > PATIENCE {
            return Ok(left);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn look(migration: &Migration, side: Side) -> Result<Vec<String>, Failure> {
    let site = migration.site(side);
    let mut left = Vec::new();
    for database in migration.databases() {
        let session = site.open(&database.name, "leftovers").await?;
        if home::exists(&session).await? && !home::is_ours(migration, &session).await? {
            // Another migration's: what is in there is not ours.
            continue;
        }
        instance(migration, &session, &mut left).await?;
        inside(migration, &session, &mut left).await?;
    }
    if side == Side::Source {
        pglogical::memberships_left(migration, &mut left).await?;
    }
    Ok(left)
}

/// Slots, origins and sessions that belong to one database.
async fn instance(migration: &Migration, session: &Session, left: &mut Vec<String>) -> Result<(), Failure> {
    let names: Vec<String> = [Direction::Forward, Direction::Reverse]
        .iter()
        .map(|d| migration.id.subscription(*d).raw().to_owned())
        .collect();
    let nodes: Vec<String> =
        [Side::Source, Side::Target].iter().map(|s| migration.id.node(*s).raw().to_owned()).collect();
    let home = migration.id.application_name("");
    let rows = session
        .query(include_str!("../sql/leftovers_instance.sql"), &[&names, &nodes, &home])
        .await
        .map_err(session.failed("looking for leftovers"))?;
    left.extend(rows.iter().map(|r| r.get::<_, String>(0)));
    Ok(())
}

/// What is stored in the database itself.
async fn inside(migration: &Migration, session: &Session, left: &mut Vec<String>) -> Result<(), Failure> {
    let rows = session
        .query(include_str!("../sql/leftovers_database.sql"), &[&migration.id.ddl_guard().raw()])
        .await
        .map_err(session.failed("looking for leftovers"))?;
    left.extend(rows.iter().map(|r| r.get::<_, String>(0)));
    pglogical::nodes_left(migration, session, left).await
}
