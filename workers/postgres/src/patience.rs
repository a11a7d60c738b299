//! Changes to tables that others use: a short wait for the lock, then give up and try again, so that nobody queues behind us for
//! long, and so that we, never the apply worker, are the one who gives up in a deadlock (lock_timeout below deadlock_timeout).

use std::time::{Duration, Instant};

use changeover_domain::{Class, Failure};

use crate::Session;

/// How long one attempt waits for a lock, milliseconds. Below PostgreSQL's default deadlock_timeout of 1 s.
const LOCK_TIMEOUT_MS: u32 = 400;
/// Pause between two attempts: longer than the wait, so that writers get most of the time.
const PAUSE: Duration = Duration::from_millis(600);
/// After this it is a failure, still transient.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs statements in one transaction, again and again while a lock can't be had. `what` says what is being done.
pub async fn batch(session: &mut Session, what: &str, sql: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        match once(session, what, sql).await {
            Err(failure) if is_lock(&failure) && begun.elapsed() < DEADLINE => tokio::time::sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
}

/// Whether a failure says that a lock wasn't to be had.
pub fn is_lock(failure: &Failure) -> bool {
    failure.class == Class::Transient && matches!(failure.sqlstate.as_deref(), Some("55P03" | "40P01"))
}

/// The statement that bounds the wait for locks in a transaction.
pub fn bound() -> String {
    format!("set local lock_timeout = '{LOCK_TIMEOUT_MS}ms'")
}

async fn once(session: &mut Session, what: &str, sql: &str) -> Result<(), Failure> {
    let failed = session.failed(what);
    let transaction = session.transaction().await.map_err(&failed)?;
    transaction.batch_execute(&bound()).await.map_err(&failed)?;
    transaction.batch_execute(sql).await.map_err(&failed)?;
    transaction.commit().await.map_err(&failed)
}
