//! The target's databases as they were before the restore.

use changeover_domain::{Failure, Side};

use super::inventory::{self, Inventory, Object};
use crate::{
    Migration, Session, error,
    failpoint::{Step, step},
    home, note,
    roles::run_step,
};

/// The inventory before the first change, in a database's own home.
const BASELINE: &str = "schema:baseline";
/// Objects dropped in one transaction: each takes locks on all that hangs on it.
const BATCH: usize = 40;
/// Statements of a pass may depend on the pass before (rights hang on owners).
const PASSES: usize = 5;

/// Remembers what a database of the target holds before anything is restored into it.
pub(super) async fn keep_baseline(migration: &Migration, database: &str) -> Result<(), Failure> {
    let session = migration.target.open(database, "schema").await?;
    let inventory = inventory::read(&*session, Side::Target).await?;
    note::put_once(&*session, Side::Target, BASELINE, &inventory).await
}

/// Makes sure that nothing of the restore is left in the target's databases: objects, extensions, default privileges; schemas
/// that were there before have their owner, comment and rights back.
///
/// # Errors
/// CO0429 when something can't be dropped.
pub async fn undo(migration: &Migration) -> Result<(), Failure> {
    for database in migration.databases() {
        let mut session = migration.target.open(&database.name, "schema").await?;
        if !home::is_ours(migration, &session).await? {
            continue;
        }
        let Some(baseline) = note::get::<Inventory>(&*session, Side::Target, BASELINE).await? else { continue };
        drop_surplus(&mut session, &baseline).await?;
        super::restore::take_create_back(&mut session).await?;
        give_back(&mut session, &baseline).await?;
        step(Step::NoObjects)?;
        let transaction = session.transaction().await.map_err(failed)?;
        transaction.execute("delete from changeover.saved_trigger", &[]).await.map_err(failed)?;
        note::forget_all(&transaction, Side::Target, "schema:").await?;
        transaction.commit().await.map_err(failed)?;
    }
    Ok(())
}

async fn drop_surplus(session: &mut Session, baseline: &Inventory) -> Result<(), Failure> {
    let mut before = usize::MAX;
    loop {
        let surplus = inventory::surplus(baseline, &inventory::read(&**session, Side::Target).await?);
        let Some(first) = surplus.first() else { return Ok(()) };
        if surplus.len() >= before {
            return Err(stuck(session, &format!("{} {} is still there", first.kind, first.identity)));
        }
        before = surplus.len();
        for batch in surplus.chunks(BATCH) {
            drop_batch(session, batch).await?;
        }
    }
}

async fn drop_batch(session: &mut Session, batch: &[Object]) -> Result<(), Failure> {
    let transaction = session.transaction().await.map_err(failed)?;
    for object in batch {
        transaction
            .batch_execute(&inventory::drop_statement(object))
            .await
            .map_err(|e| failed(e).during(&format!("dropping {} {}", object.kind, object.identity)))?;
    }
    transaction.commit().await.map_err(failed)
}

async fn give_back(session: &mut Session, baseline: &Inventory) -> Result<(), Failure> {
    for _ in 0..PASSES {
        let transaction = session.transaction().await.map_err(failed)?;
        let have = inventory::read(&transaction, Side::Target).await?;
        let mut steps = inventory::schemas_back(baseline, &have);
        steps.extend(inventory::defaults_back(baseline, &have));
        if steps.is_empty() {
            return transaction.commit().await.map_err(failed);
        }
        for step in &steps {
            run_step(&transaction, step).await?;
        }
        transaction.commit().await.map_err(failed)?;
    }
    Err(stuck(session, "rights of its schemas, or default privileges, don't take their former state"))
}

fn stuck(session: &Session, what: &str) -> Failure {
    let message = format!("undoing the schema in {} on the target: {what}", session.database);
    Failure::needs_human("CO0429", message, "find out what holds it, mend it, then `changeover retry`")
}

fn failed(e: tokio_postgres::Error) -> Failure {
    error::failure(Side::Target, "undoing the schema", &e)
}
