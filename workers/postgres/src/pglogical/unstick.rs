//! Kicking a worker that is down: left alone, pglogical tries again only after minutes.

use changeover_domain::{Direction, Failure};
use futures::future::try_join_all;

use super::{
    status::{self, Subscription},
    subscription,
};
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
    match status::subscription(migration, direction, session).await? {
        Some(found) => found_so(migration, direction, session, &found).await,
        None => Ok(false),
    }
}

/// The same for a subscription that was looked at just now.
pub(super) async fn found_so(
    migration: &Migration,
    direction: Direction,
    session: &Session,
    found: &Subscription,
) -> Result<bool, Failure> {
    let stuck = match found.status.as_str() {
        "down" => !found.copy_failed(),
        "disabled" => was_cut_short(direction, session).await?,
        _ => false,
    };
    Ok(stuck && kick(migration, direction, session).await?)
}

/// Whether somebody who kicked never came to enabling it again. Whoever else disables it, as what removes it, leaves no such note.
async fn was_cut_short(direction: Direction, session: &Session) -> Result<bool, Failure> {
    let noted = session
        .query_opt("select 1 from changeover.note where key = $1 and value = 'false'", &[&key(direction)])
        .await
        .map_err(session.failed("looking for a kick that was cut short"))?;
    Ok(noted.is_some())
}

fn key(direction: Direction) -> String {
    format!("pglogical.kicked.{direction}")
}

/// Disables and enables the subscription, which makes pglogical forget the crash; the two can't be in one transaction. False when it
/// was done a moment ago.
async fn kick(migration: &Migration, direction: Direction, session: &Session) -> Result<bool, Failure> {
    let taken = session
        .query_opt(
            "insert into changeover.note as n (key, value) values ($1, 'false')
             on conflict (key) do update set at = clock_timestamp(), value = 'false'
             where n.at < clock_timestamp() - interval '15 s' returning 1",
            &[&key(direction)],
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
    session
        .execute("update changeover.note set value = 'true' where key = $1", &[&key(direction)])
        .await
        .map_err(session.failed("noting that a kick was completed"))?;
    Ok(true)
}
