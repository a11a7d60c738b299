//! The schema `changeover` on both sides: epoch, decisions, marker, canary, and what must be given back.

use changeover_domain::{Failure, names::HOME};
use tokio_postgres::Transaction;

use crate::{
    Migration, Session, Site,
    failpoint::{Step, step},
};

const HOME_SQL: &str = include_str!("../sql/home.sql");

/// Makes sure that the home is there on a site, in every database, and belongs to this migration.
/// A home of another migration is refused: two migrations must not share a database.
pub async fn ensure(migration: &Migration, site: &Site) -> Result<(), Failure> {
    for database in migration.databases() {
        let session = site.open(&database.name, "home").await?;
        session.batch_execute(HOME_SQL).await.map_err(session.failed("making the home schema"))?;
        let grant = format!(
            "grant select on changeover.marker, changeover.canary to {}",
            changeover_domain::Ident::new(&*migration.replication_user)
        );
        session.batch_execute(&grant).await.map_err(session.failed("granting the marker to the replication login"))?;
        claim(migration, &session).await?;
        step(Step::Home)?;
    }
    Ok(())
}

async fn claim(migration: &Migration, session: &Session) -> Result<(), Failure> {
    let id = migration.id.as_str();
    session
        .execute("insert into changeover.migration (id, epoch) select $1, 0 where not exists (select from changeover.migration)", &[&id])
        .await
        .map_err(session.failed("claiming the home schema"))?;
    let row = session
        .query_one("select id from changeover.migration", &[])
        .await
        .map_err(session.failed("reading the home schema"))?;
    let owner: String = row.get(0);
    if owner == id {
        return Ok(());
    }
    let message = format!("database {} on the {} belongs to the migration {owner}", session.database, session.side);
    Err(Failure::refused("CO0210", message, format!("finish or abort {owner} first")))
}

/// Makes sure that the home is gone. Another migration's stays: the refusal of a second migration must not harm the first.
pub async fn remove(migration: &Migration, site: &Site) -> Result<(), Failure> {
    for database in migration.databases() {
        let session = site.open(&database.name, "home").await?;
        if !is_ours(migration, &session).await? {
            continue;
        }
        session
            .batch_execute(&format!("drop schema if exists {HOME} cascade"))
            .await
            .map_err(session.failed("dropping the home schema"))?;
        step(Step::NoHome)?;
    }
    Ok(())
}

/// Whether this database has a home schema of this migration, or one that nobody has claimed.
pub async fn is_ours(migration: &Migration, session: &Session) -> Result<bool, Failure> {
    if !exists(session).await? {
        return Ok(false);
    }
    let row = session
        .query_one("select not exists (select from changeover.migration where id <> $1)", &[&migration.id.as_str()])
        .await
        .map_err(session.failed("reading the home schema"))?;
    Ok(row.get(0))
}

/// Whether this database has a home schema.
pub async fn exists(session: &Session) -> Result<bool, Failure> {
    let row = session
        .query_one("select to_regclass('changeover.migration') is not null", &[])
        .await
        .map_err(session.failed("looking for the home schema"))?;
    Ok(row.get(0))
}

/// Locks the epoch's row for the rest of the transaction and checks that the epoch is `epoch`: the guard against a zombie.
/// Every transaction that changes something on a server during a switch begins with it.
pub async fn lock_epoch(
    transaction: &Transaction<'_>,
    session_side: changeover_domain::Side,
    migration: &Migration,
    epoch: u64,
) -> Result<(), Failure> {
    let failed = |e| crate::error::failure(session_side, "locking the epoch", &e);
    let row = transaction
        .query_opt("select epoch from changeover.migration where id = $1 for update", &[&migration.id.as_str()])
        .await
        .map_err(failed)?;
    let found: Option<i64> = row.map(|r| r.get(0));
    match found {
        Some(found) if u64::try_from(found).is_ok_and(|f| f == epoch) => Ok(()),
        Some(found) => Err(Failure::refused(
            "CO0211",
            format!("the {session_side} is at epoch {found}, this attempt at {epoch}: another one has taken over"),
            "nothing: the newer attempt goes on",
        )),
        None => Err(Failure::needs_human(
            "CO0212",
            format!("the {session_side} has lost the migration's home row"),
            "find out who removed the schema changeover; then `changeover abort`",
        )),
    }
}
