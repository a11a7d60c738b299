//! Kicking a worker that is down: left alone, pglogical tries again only after minutes.

use changeover_domain::{Direction, Failure};
use futures::future::try_join_all;

use super::{status, subscription};
use crate::{Migration, Session};

/// Makes workers that are down try again at once, at most every 15 seconds each. Returns the databases where one was kicked.
/// An initial copy that failed is left alone: it can't go on.
pub async fn unstick(migration: &Migration, direction: Direction) -> Result<Vec<String>, Failure> {
    let site = migration.subscriber(direction);
    let kicked = try_join_all(migration.databases().iter().map(async |database| {
        let session = site.open(&database.name, "unstick").await?;
        let kicked = one(migration, direction, &session).await?;
        Ok::<_, Failure>(kicked.then(|| database.name.clone()))
    }))
    .await?;
    Ok(kicked.into_iter().flatten().collect())
}

/// The same for the database of a session to the subscriber.
pub(super) async fn one(migration: &Migration, direction: Direction, session: &Session) -> Result<bool, Failure> {
    let found = status::subscription(migration, direction, session).await?;
    let down = found.is_some_and(|s| s.status == "down" && !s.copy_failed());
    Ok(down && kick(migration, direction, session).await?)
}

/// Disables and enables the subscription, which makes pglogical forget the crash. False when it was done a moment ago.
pub(super) async fn kick(migration: &Migration, direction: Direction, session: &Session) -> Result<bool, Failure> {
    let taken = session
        .query_opt(
            "insert into changeover.note as n (key, value) values ($1, 'true')
             on conflict (key) do update set at = clock_timestamp() where n.at < clock_timestamp() - interval '15 s' returning 1",
            &[&format!("pglogical.kicked.{direction}")],
        )
        .await
        .map_err(session.failed("noting a kick"))?;
    if taken.is_none() {
        return Ok(false);
    }
    session
        .execute(
            "select pglogical.alter_subscription_disable($1::text::name, true)",
            &[&migration.id.subscription(direction).raw()],
        )
        .await
        .map_err(session.failed("disabling the subscription"))?;
    subscription::enable(migration, direction, session).await?;
    Ok(true)
}
