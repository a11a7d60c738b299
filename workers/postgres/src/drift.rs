//! Drift: what changed in the catalog of the side that serves: on the source since its schema was taken over, on the target since
//! it was opened. The other side doesn't have it.

use changeover_domain::{Failure, Side};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::{Migration, Session};

const DRIFT_SQL: &str = include_str!("../sql/drift.sql");

/// The most objects that one check names per database.
const MOST: i64 = 50;

/// An object that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Its database.
    pub database: String,
    /// Kind and name, such as `table app.orders`.
    pub object: String,
    /// What happened to it.
    pub change: Change,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It wasn't there.
    Added,
    /// It isn't there any more.
    Removed,
    /// It is another one.
    Changed,
}

/// Remembers what a side's catalogs hold, unless that was done before: the first look counts, whatever is run again.
/// Take the source's before the schema is dumped, so that nothing falls between. Returns the number of objects.
pub async fn baseline(migration: &Migration, side: Side) -> Result<u64, Failure> {
    let counts = try_join_all(migration.databases().iter().map(async |database| {
        let session = migration.site(side).open(&database.name, "drift").await?;
        let failed = session.failed("remembering the catalog");
        // One statement: a run that is cut off leaves nothing or all.
        let sql = format!("insert into changeover.baseline (object, hash) select object, hash from ({DRIFT_SQL}) now where not exists (select from changeover.baseline)");
        let (escalation, roles, ours) = parameters(migration, &session);
        session.execute(&sql, &[&escalation, &roles, &ours]).await.map_err(&failed)?;
        let row = session.query_one("select count(*) from changeover.baseline", &[]).await.map_err(&failed)?;
        Ok::<_, Failure>(row.get::<_, i64>(0).unsigned_abs())
    }))
    .await?;
    Ok(counts.iter().sum())
}

/// Compares a side's catalogs with its baseline; empty when nothing changed. At most 50 objects per database are named.
///
/// # Errors
/// CO0518 when there is no baseline: unknown is not "unchanged".
pub async fn check(migration: &Migration, side: Side) -> Result<Vec<Drift>, Failure> {
    let lists =
        try_join_all(migration.databases().iter().map(|database| check_one(migration, side, &database.name))).await?;
    Ok(lists.into_iter().flatten().collect())
}

async fn check_one(migration: &Migration, side: Side, database: &str) -> Result<Vec<Drift>, Failure> {
    let session = migration.site(side).open(database, "drift").await?;
    let failed = session.failed("comparing the catalog");
    let row = session.query_one("select exists (select from changeover.baseline)", &[]).await.map_err(&failed)?;
    if !row.get::<_, bool>(0) {
        let message = format!("nothing is known of what the catalog of database {database} on the {side} was");
        return Err(Failure::needs_human("CO0518", message, "compare the schemas by hand, or abort and start anew"));
    }
    let sql = format!(
        "select coalesce(now.object, was.object), was.object is null, now.object is null
           from ({DRIFT_SQL}) now full join changeover.baseline was using (object)
          where now.hash is distinct from was.hash order by 1 limit {MOST}"
    );
    let (escalation, roles, ours) = parameters(migration, &session);
    let rows = session.query(&sql, &[&escalation, &roles, &ours]).await.map_err(&failed)?;
    Ok(rows
        .iter()
        .map(|row| {
            let change = match (row.get(1), row.get(2)) {
                (true, _) => Change::Added,
                (_, true) => Change::Removed,
                _ => Change::Changed,
            };
            Drift { database: database.to_owned(), object: row.get(0), change }
        })
        .collect())
}

/// Parameters of drift.sql. Roles belong to the instance: they are looked at in one database only.
fn parameters(migration: &Migration, session: &Session) -> (String, bool, Vec<String>) {
    let site = migration.site(session.side);
    let escalation = site.escalation.split_once('.').map_or("", |(schema, _)| schema);
    let ours = vec![site.address.user.clone(), migration.replication_user.clone()];
    (escalation.to_owned(), session.database == migration.control_database(), ours)
}
