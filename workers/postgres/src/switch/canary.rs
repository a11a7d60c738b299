//! The canary: a row beats on one side and is waited for on the other.

use std::time::Duration;

use changeover_domain::Failure;
use tokio::time::{Instant, sleep};

use crate::Session;

/// Beats on `from` and waits until `to` has seen it. Returns the time it took, or the time waited when it didn't arrive.
pub(crate) async fn beat(from: &Session, to: &Session, limit: Duration) -> Result<u64, Failure> {
    let side = from.side.word();
    let see = to
        .prepare("select from changeover.canary where side = $1 and beat >= $2")
        .await
        .map_err(to.failed("waiting for the canary"))?;
    let begun = Instant::now();
    let row = from
        .query_one(
            "insert into changeover.canary as c (side, beat) values ($1, 1) \
             on conflict (side) do update set beat = c.beat + 1, at = clock_timestamp() returning beat",
            &[&side],
        )
        .await
        .map_err(from.failed("writing the canary"))?;
    let beat: i64 = row.get(0);
    loop {
        let seen = to.query_opt(&see, &[&side, &beat]).await.map_err(to.failed("waiting for the canary"))?;
        let took = begun.elapsed();
        if seen.is_some() || took > limit {
            return Ok(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        }
        sleep(Duration::from_millis(2)).await;
    }
}
