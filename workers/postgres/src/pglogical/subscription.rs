//! The subscription of one direction in one database.

use std::time::Duration;

use changeover_domain::{Class, Direction, Failure};
use tokio::time::{Instant, sleep};

use super::{
    block, dsn, reset,
    status::{self, Subscription, SyncState},
};
use crate::{
    Migration, Session,
    failpoint::{Step, step},
    note,
};

/// How long the creation of a slot may wait for others' transactions, in specs from before they said so. It isn't given up: the
/// next run of the activity finds it still waiting, or done.
const SLOT_DEADLINE: Duration = Duration::from_secs(30);

fn slot_deadline(migration: &Migration) -> Duration {
    match migration.spec.budgets.map_or(0, |budgets| budgets.slot_wait_ms) {
        0 => SLOT_DEADLINE,
        ms => Duration::from_millis(ms),
    }
}

/// How long a worker may need to begin. pglogical's supervisor and manager look every few seconds.
const WORKER_DEADLINE: Duration = Duration::from_secs(30);

/// Note on the provider: the slot's name, so that it is found even when the subscriber has forgotten it.
pub(super) fn slot_note(direction: Direction) -> String {
    format!("pglogical.slot.{direction}")
}

/// Whether the subscription of a direction was made, or begun to be made. `provider` is a session to its provider.
pub(super) async fn begun(provider: &Session, direction: Direction) -> Result<bool, Failure> {
    let slot: Option<String> = note::get(&**provider, provider.side, &slot_note(direction)).await?;
    Ok(slot.is_some())
}

/// Makes sure that the subscription is there, enabled, and that its slot exists. A copy that failed starts anew. `session`
/// is one to the subscriber.
pub(super) async fn ensure(migration: &Migration, direction: Direction, session: &Session) -> Result<(), Failure> {
    let provider = migration.provider(direction).open(&session.database, "provider").await?;
    match status::subscription(migration, direction, session).await? {
        None => create(migration, direction, session, &provider).await?,
        Some(found) if found.copy_failed() && direction == Direction::Forward => {
            tracing::warn!(database = session.database, "the initial copy failed and starts anew");
            reset::one(migration, &session.database).await?;
            create(migration, direction, session, &provider).await?;
        }
        Some(found) if !found.enabled => enable(migration, direction, session).await?,
        Some(_) => {}
    }
    wait_for_slot(migration, direction, session, &provider).await
}

/// The failure of an initial copy that pglogical can't resume.
pub(super) fn copy_failed(session: &Session, last_table: Option<&str>) -> Failure {
    let at = last_table.map_or_else(String::new, |t| format!(", last seen at table {t}"));
    Failure::needs_human(
        "CO0507",
        format!(
            "the initial copy of database {} stopped{at}; its cause stands in the {}'s server log only",
            session.database, session.side
        ),
        "mend the cause (`changeover explain CO0507`), then `changeover retry`: the copy starts anew",
    )
}

async fn create(
    migration: &Migration,
    direction: Direction,
    session: &Session,
    provider: &Session,
) -> Result<(), Failure> {
    forget_provider_node(migration, direction, session).await?;
    remember_slot(migration, direction, session, provider).await?;
    if direction == Direction::Forward {
        reset::empty_home(session).await?;
        reset::expect_empty(migration, session, provider).await?;
    }
    let site = migration.provider(direction);
    probe(migration, direction, session).await?;
    dsn::stash(session, &dsn::provider(migration, site, &session.database)).await?;
    let created = call_create(migration, direction, session).await;
    dsn::forget(session).await?;
    created.map_err(|e| unreachable(session, &session.failed("creating the subscription")(e)))?;
    step(Step::Subscription)
}

async fn call_create(
    migration: &Migration,
    direction: Direction,
    session: &Session,
) -> Result<u64, tokio_postgres::Error> {
    let sql = format!(
        "select pglogical.create_subscription(subscription_name := $1::text::name, provider_dsn := {}, replication_sets := $2,
                synchronize_structure := false, synchronize_data := $3, forward_origins := '{{}}')",
        dsn::STASHED
    );
    let copy = direction == Direction::Forward;
    session.execute(&sql, &[&migration.id.subscription(direction).raw(), &super::set_names(migration), &copy]).await
}

/// A record of the provider's node without a subscription, left by a run that was cut off, would make pglogical compare its
/// DSN with ours and print both.
async fn forget_provider_node(migration: &Migration, direction: Direction, session: &Session) -> Result<(), Failure> {
    session
        .execute("select pglogical.drop_node($1::text::name, true)", &[&migration.id.node(direction.from_side()).raw()])
        .await
        .map(drop)
        .map_err(session.failed("forgetting the provider's node"))
}

async fn remember_slot(
    migration: &Migration,
    direction: Direction,
    session: &Session,
    provider: &Session,
) -> Result<(), Failure> {
    let (node, subscription) = (migration.id.node(direction.from_side()), migration.id.subscription(direction));
    let row = session
        .query_one(
            "select pglogical.pglogical_gen_slot_name(current_database(), $1::text::name, $2::text::name)::text",
            &[&node.raw(), &subscription.raw()],
        )
        .await
        .map_err(session.failed("naming the slot"))?;
    let slot: String = row.get(0);
    note::put(&**provider, provider.side, &slot_note(direction), &slot).await
}

/// Finds out whether the subscriber's server reaches the provider, by a connection string without a password: when a
/// connection fails, pglogical prints its whole DSN into the server's log.
pub(crate) async fn probe(migration: &Migration, direction: Direction, session: &Session) -> Result<(), Failure> {
    let site = migration.provider(direction);
    dsn::stash(session, &dsn::probe(migration, site, &session.database)).await?;
    match call_create(migration, direction, session).await {
        Ok(_) => Err(Failure::invariant("CO0508", "a connection string that no server accepts was accepted")),
        Err(error) => match session.failed("trying the way to the provider")(error) {
            failure if reached(&failure.message) => Ok(()),
            failure => Err(unreachable(session, &failure)),
        },
    }
}

/// True when the answer came from the provider itself, or when it's in a language that we can't read: then the real attempt
/// decides.
fn reached(message: &str) -> bool {
    const NOT_REACHED: [&str; 10] = [
        "Connection refused",
        "timeout expired",
        "could not translate host name",
        "Network is unreachable",
        "No route to host",
        "SSL",
        "certificate",
        "server closed the connection",
        "no pg_hba.conf entry",
        "pg_hba.conf rejects",
    ];
    message.contains("no password supplied") || !NOT_REACHED.iter().any(|text| message.contains(text))
}

fn unreachable(session: &Session, failure: &Failure) -> Failure {
    // The message of another mistake may quote a DSN.
    let why = if failure.message.contains("dsn") || failure.message.contains("password=") {
        "its message holds a connection string and is left out"
    } else {
        failure.message.as_str()
    };
    let message = format!("the {} can't read its provider for database {}: {why}", session.side, session.database);
    let mut told = Failure::new(
        "CO0508",
        Class::Transient,
        message,
        "see that the servers reach each other, by peer_host, peer_port and server_ca_file of the spec",
    );
    told.sqlstate.clone_from(&failure.sqlstate);
    told
}

pub(super) async fn enable(migration: &Migration, direction: Direction, session: &Session) -> Result<(), Failure> {
    session
        .execute(
            "select pglogical.alter_subscription_enable($1::text::name, true)",
            &[&migration.id.subscription(direction).raw()],
        )
        .await
        .map(drop)
        .map_err(session.failed("enabling the subscription"))
}

/// Waits until the slot is there, so that no change can be missed any more.
async fn wait_for_slot(
    migration: &Migration,
    direction: Direction,
    session: &Session,
    provider: &Session,
) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let found = status::subscription(migration, direction, session).await?.ok_or_else(|| {
            let message =
                format!("the subscription of database {} on the {} has vanished", session.database, session.side);
            Failure::needs_human("CO0509", message, "find out who dropped it; then `changeover retry`")
        })?;
        if found.copy_failed() {
            return Err(copy_failed(session, None));
        }
        if found.sync != SyncState::Init && slot_is_ready(provider, &found.slot).await? {
            return Ok(());
        }
        let waited = begun.elapsed();
        if waited > slot_deadline(migration).min(WORKER_DEADLINE)
            && let Some(failure) = no_slot(migration, direction, session, provider, &found, waited).await?
        {
            return Err(failure);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// A slot is listed while it is being made; it has a confirmed position when it's ready.
async fn slot_is_ready(provider: &Session, slot: &str) -> Result<bool, Failure> {
    let row = provider
        .query_one(
            "select exists (select from pg_catalog.pg_replication_slots where slot_name = $1::text::name and confirmed_flush_lsn is not null)",
            &[&slot],
        )
        .await
        .map_err(provider.failed("looking at the slot"))?;
    Ok(row.get(0))
}

/// Why there is no slot yet, once that has lasted too long: behind transactions for as long as the spec says, for no reason that is
/// seen for as long as a worker may need.
async fn no_slot(
    migration: &Migration,
    direction: Direction,
    session: &Session,
    provider: &Session,
    found: &Subscription,
    waited: Duration,
) -> Result<Option<Failure>, Failure> {
    let creator = format!("{}_snap", migration.id.subscription(direction).raw());
    let blockers = block::slot_waits_for(provider, &creator).await?;
    let (database, seconds) = (&session.database, waited.as_secs());
    if blockers.is_empty() {
        let message = format!(
            "database {database} has no slot on the {} after {seconds} s; the subscription on the {} is {}",
            provider.side, session.side, found.status
        );
        let remedy = format!(
            "look into the {}'s server log for the worker \"{}\"; it is tried again",
            session.side,
            found.worker_name()
        );
        return Ok((waited > WORKER_DEADLINE).then(|| Failure::transient("CO0509", message, remedy)));
    }
    let message = format!(
        "the slot of database {database} can't be made on the {} for {seconds} s: it waits for the end of {}",
        provider.side,
        blockers.join("; ")
    );
    // It goes on waiting; whoever ends that transaction needs no retry for the slot to be made.
    let remedy = "end that transaction (commit it, roll it back, or pg_terminate_backend), then `changeover retry`";
    Ok((waited > slot_deadline(migration)).then(|| Failure::needs_human("CO0510", message, remedy)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "could not connect to the postgresql server: connection to server at \"h\", port 1 failed: fe_sendauth: no password supplied",
        true
    )]
    #[case(
        "could not connect to the postgresql server: connection to server at \"h\" failed: FATAL:  unrecognized configuration parameter",
        true
    )]
    #[case(
        "could not connect to the postgresql server: connection to server at \"h\", port 1 failed: Connection refused",
        false
    )]
    #[case("could not connect to the postgresql server: root certificate file \"/x\" does not exist", false)]
    #[case("Verbindung zum Server fehlgeschlagen", true)]
    fn the_probe_tells_the_way_from_the_password(#[case] message: &str, #[case] expected: bool) {
        assert_eq!(reached(message), expected);
    }
}
