//! Taking replication down, so that nothing is left. Every step means "make sure it isn't there".
//!
//! Order: disable, end the sessions that the worker waits on, drop the subscription, then its slot and its origins, by name,
//! because `drop_subscription` only warns when it can't reach the provider. After both directions: sets, truncate triggers,
//! node, memberships, extension.

use std::{collections::BTreeSet, time::Duration};

use changeover_domain::{Direction, Failure, Ident, QualifiedName};
use futures::future::join_all;
use tokio::time::{Instant, sleep};

use super::{grants, install, node, sets, slots, status, subscription::slot_note};
use crate::{
    Migration, Session, Site,
    failpoint::{Step, step},
    home, note,
};

/// How long workers and walsenders may take to end.
pub(super) const END_DEADLINE: Duration = Duration::from_secs(20);

/// How long each try to drop a trigger may wait for its lock, milliseconds; readers and writers wait as long.
const LOCK_TRIES_MS: [u32; 6] = [100, 100, 250, 500, 1_500, 2_500];

/// Makes sure that nothing replicates in a direction: no subscription, no origin, no slot. When a side can't be reached, what
/// can be done on the other is done, and the failure (CO0515, transient) says what is left.
pub async fn remove(migration: &Migration, direction: Direction) -> Result<(), Failure> {
    first_failure(
        join_all(migration.databases().iter().map(|database| one(migration, direction, &database.name))).await,
    )
}

/// Makes sure that nothing of replication is left on either side: both directions, sets, nodes, rights given, and the
/// extension where we made it. Call it before the home schema goes: the notes in there say what was ours.
pub async fn remove_all(migration: &Migration) -> Result<(), Failure> {
    first_failure([remove(migration, Direction::Forward).await, remove(migration, Direction::Reverse).await])?;
    let sites = [&migration.source, &migration.target];
    let dropped = join_all(
        sites
            .into_iter()
            .flat_map(|site| migration.databases().iter().map(move |d| remove_node(migration, site, &d.name))),
    )
    .await;
    first_failure(dropped)?;
    grants::remove(migration).await
}

/// Makes sure that nothing of replication is left on the target, with a source that is lost: subscription and origins of the way
/// there, slots of the way back, sets, node, and the extension where we made it.
pub async fn remove_on_target(migration: &Migration) -> Result<(), Failure> {
    first_failure(
        join_all(migration.databases().iter().map(async |database| {
            let session = migration.target.open(&database.name, "remove").await?;
            let forward = remove_subscription(migration, Direction::Forward, &session, None).await?;
            for slot in forward.into_iter().chain(remembered(migration, &session, Direction::Forward).await?) {
                slots::remove_origins(&session, &slot).await?;
            }
            if let Some(slot) = remembered(migration, &session, Direction::Reverse).await? {
                slots::remove(&session, &slot, &migration.id.subscription(Direction::Reverse)).await?;
            }
            remove_node(migration, &migration.target, &database.name).await
        }))
        .await,
    )
}

/// All have run; the first failure is told, the rest is found again by the next run.
fn first_failure(results: impl IntoIterator<Item = Result<(), Failure>>) -> Result<(), Failure> {
    results.into_iter().collect()
}

/// The same as [`remove`] for one database.
pub(super) async fn one(migration: &Migration, direction: Direction, database: &str) -> Result<(), Failure> {
    let provider = migration.provider(direction).open(database, "remove").await;
    let subscriber = match migration.subscriber(direction).open(database, "remove").await {
        Ok(subscriber) => subscriber,
        Err(failure) => {
            // What can be done: the slot goes, so that it doesn't fill the disk of the side that is up.
            if let Ok(provider) = &provider
                && let Some(slot) = remembered(migration, provider, direction).await?
            {
                slots::remove(provider, &slot, &migration.id.subscription(direction)).await?;
            }
            return Err(left(direction, database, &failure));
        }
    };
    let slot = remove_subscription(migration, direction, &subscriber, provider.as_ref().ok()).await?;
    let mut slots: BTreeSet<String> = slot.into_iter().collect();
    for session in [Some(&subscriber), provider.as_ref().ok()].into_iter().flatten() {
        slots.extend(remembered(migration, session, direction).await?);
    }
    for slot in &slots {
        if let Ok(provider) = &provider {
            slots::remove(provider, slot, &migration.id.subscription(direction)).await?;
        }
        slots::remove_origins(&subscriber, slot).await?;
    }
    let provider = provider.map_err(|e| left(direction, database, &e))?;
    step(Step::Slots)?;
    // Only now: until here the names were needed.
    for session in [&provider, &subscriber] {
        if home::is_ours(migration, session).await? {
            note::forget(&**session, session.side, &slot_note(direction)).await?;
        }
    }
    Ok(())
}

fn left(direction: Direction, database: &str, failure: &Failure) -> Failure {
    let message = format!(
        "{direction} replication of database {database} is not taken down whole, a slot may be left and hold back WAL: {}",
        failure.message
    );
    Failure::transient(
        "CO0515",
        message,
        "bring that side back: it is tried again for some minutes; once the migration has parked, `changeover retry`",
    )
}

/// Drops the subscription. Returns its slot's name if there was one.
async fn remove_subscription(
    migration: &Migration,
    direction: Direction,
    subscriber: &Session,
    provider: Option<&Session>,
) -> Result<Option<String>, Failure> {
    let found = status::subscription(migration, direction, subscriber).await?;
    if let Some(found) = &found {
        // The name must outlive the subscription: its slot is dropped after it.
        if home::is_ours(migration, subscriber).await? {
            note::put(&**subscriber, subscriber.side, &slot_note(direction), &found.slot).await?;
        }
        let name = migration.id.subscription(direction);
        subscriber
            .execute("select pglogical.alter_subscription_disable($1::text::name, true)", &[&name.raw()])
            .await
            .map_err(subscriber.failed("disabling the subscription"))?;
        step(Step::Disabled)?;
        end_worker(&name, &found.worker_name(), subscriber, provider).await?;
        subscriber
            .execute("select pglogical.drop_subscription($1::text::name, true)", &[&name.raw()])
            .await
            .map_err(subscriber.failed("dropping the subscription"))?;
        step(Step::Dropped)?;
    }
    Ok(found.map(|f| f.slot))
}

/// Waits until the apply worker has ended. While it copies, or waits for its slot, it doesn't listen to signals: then the
/// sessions that it waits on are ended, on both servers.
async fn end_worker(
    name: &Ident,
    worker: &str,
    subscriber: &Session,
    provider: Option<&Session>,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let patience = Duration::from_millis(500);
    loop {
        let row = subscriber
            .query_one("select exists (select from pg_catalog.pg_stat_activity where backend_type = $1 or application_name = $1)", &[&worker])
            .await
            .map_err(subscriber.failed("looking for the apply worker"))?;
        if !row.get::<_, bool>(0) {
            return Ok(());
        }
        if begun.elapsed() > END_DEADLINE {
            let message = format!("the worker \"{worker}\" on the {} doesn't end", subscriber.side);
            return Err(Failure::transient("CO0516", message, "it is tried again; pg_terminate_backend ends it too"));
        }
        if begun.elapsed() > patience {
            for session in [Some(subscriber), provider].into_iter().flatten() {
                end_sessions(session, name).await?;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Ends the sessions by which the worker creates its slot and copies: `<subscription>_snap`, `<subscription>_copy`.
async fn end_sessions(session: &Session, name: &Ident) -> Result<(), Failure> {
    let names: Vec<String> =
        ["snap", "copy", "copy_slot", "catchup"].iter().map(|suffix| format!("{}_{suffix}", name.raw())).collect();
    session
        .execute(
            "select pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
              where application_name = any ($1) and datname = current_database()",
            &[&names],
        )
        .await
        .map(drop)
        .map_err(session.failed("ending sessions of the copy"))
}

async fn remembered(migration: &Migration, session: &Session, direction: Direction) -> Result<Option<String>, Failure> {
    if !home::is_ours(migration, session).await? {
        return Ok(None);
    }
    note::get(&**session, session.side, &slot_note(direction)).await
}

/// Sets, truncate triggers, node and extension of one database.
async fn remove_node(migration: &Migration, site: &Site, database: &str) -> Result<(), Failure> {
    let session = site.open(database, "remove").await?;
    if !install::exists(&session).await?
        || (home::exists(&session).await? && !home::is_ours(migration, &session).await?)
    {
        return Ok(());
    }
    if node::local(&session).await?.is_some_and(|n| n == migration.id.node(site.side()).raw()) {
        sets::remove(migration, &session).await?;
        // The other side's node, known here as a subscription's origin.
        session
            .execute(
                "select pglogical.drop_node($1::text::name, true)",
                &[&migration.id.node(site.side().other()).raw()],
            )
            .await
            .map_err(session.failed("dropping the other side's node"))?;
        node::remove(migration, site, &session).await?;
        step(Step::NoNode)?;
    }
    if node::local(&session).await?.is_some() {
        // somebody else's: nothing in here is ours
        return Ok(());
    }
    remove_triggers(&session).await?;
    install::remove(migration, site, &session).await?;
    step(Step::NoExtension)
}

/// pglogical puts an internal trigger on each table of a set and leaves it there until the extension goes; then all of them
/// go in one transaction that locks every table. So they are dropped before, one by one, each under a brief lock.
async fn remove_triggers(session: &Session) -> Result<(), Failure> {
    let rows = session
        .query(
            "select n.nspname::text, c.relname::text, t.tgname::text
               from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where t.tgfoid = 'pglogical.queue_truncate()'::regprocedure",
            &[],
        )
        .await
        .map_err(session.failed("looking for truncate triggers"))?;
    for row in rows {
        let table = QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1));
        let sql = format!("drop trigger if exists {} on {table}", Ident::new(row.get::<_, String>(2)));
        drop_trigger(session, &sql, &table).await?;
    }
    session.batch_execute("set lock_timeout = '10s'").await.map_err(session.failed("setting lock_timeout"))
}

async fn drop_trigger(session: &Session, sql: &str, table: &QualifiedName) -> Result<(), Failure> {
    for wait in LOCK_TRIES_MS {
        session
            .batch_execute(&format!("set lock_timeout = {wait}"))
            .await
            .map_err(session.failed("setting lock_timeout"))?;
        match session.batch_execute(sql).await {
            Ok(()) => return Ok(()),
            Err(e) if e.code().is_some_and(|c| matches!(c.code(), "55P03" | "40P01")) => {
                sleep(Duration::from_millis(100)).await
            }
            Err(e) => return Err(session.failed("dropping a truncate trigger")(e)),
        }
    }
    let message = format!("table {} of database {} on the {} is locked", table.raw(), session.database, session.side);
    Err(Failure::transient("CO0505", message, "end the transaction that holds it; it is tried again"))
}
