//! The canary: one row per side that beats on its provider and must be seen on its subscriber.

use std::time::Duration;

use changeover_domain::{Failure, Side};
use tokio::time::{Instant, sleep};

use crate::Session;

/// How long a beat may take before the link counts as not working.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// How often the subscriber is asked.
const POLL: Duration = Duration::from_millis(2);

/// Beats on the provider and waits until it is seen. `None` when it wasn't within the deadline.
pub(super) async fn round_trip(provider: &Session, subscriber: &Session) -> Result<Option<Duration>, Failure> {
    let side = provider.side.word();
    let seen = subscriber
        .prepare("select exists (select from changeover.canary where side = $1 and beat >= $2)")
        .await
        .map_err(subscriber.failed("looking for the canary"))?;
    let begun = Instant::now();
    let beat = beat(provider, provider.side).await?;
    while begun.elapsed() < DEADLINE {
        let row =
            subscriber.query_one(&seen, &[&side, &beat]).await.map_err(subscriber.failed("looking for the canary"))?;
        if row.get(0) {
            return Ok(Some(begun.elapsed()));
        }
        sleep(POLL).await;
    }
    Ok(None)
}

/// Writes a change that replication has to carry: it moves the slot of a database that nobody else writes to.
pub(super) async fn beat(session: &Session, side: Side) -> Result<i64, Failure> {
    let failed = session.failed("beating the canary");
    session.batch_execute("set lock_timeout = '2s'").await.map_err(&failed)?;
    let row = session
        .query_one(
            "insert into changeover.canary as c (side, beat) values ($1, 1)
             on conflict (side) do update set beat = c.beat + 1, at = clock_timestamp() returning beat",
            &[&side.word()],
        )
        .await
        .map_err(&failed)?;
    Ok(row.get(0))
}
