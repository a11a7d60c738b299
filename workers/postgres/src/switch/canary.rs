//! The canary: a row beats on one side and is waited for on the other.

use std::time::Duration;

use changeover_domain::Failure;
use tokio::time::{Instant, sleep};

use super::effect::{Change, Effect, perform};
use crate::Session;

/// Beats on `from` and waits until `to` has seen it. Returns the time it took, or the time waited when it didn't arrive.
pub(crate) async fn beat(from: &Session, to: &Session, limit: Duration) -> Result<u64, Failure> {
    let side = from.side.word();
    let see = to
        .prepare("select from changeover.canary where side = $1 and beat >= $2")
        .await
        .map_err(to.failed("waiting for the canary"))?;
    let begun = Instant::now();
    let beat = perform(Effect::Canary, |change| write(change, from)).await?;
    loop {
        let seen = to.query_opt(&see, &[&side, &beat]).await.map_err(to.failed("waiting for the canary"))?;
        let took = begun.elapsed();
        if seen.is_some() || took > limit {
            return Ok(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        }
        sleep(Duration::from_millis(2)).await;
    }
}

async fn write(_: Change, from: &Session) -> Result<i64, Failure> {
    let sql = "insert into changeover.canary as c (side, beat) values ($1, 1) \
               on conflict (side) do update set beat = c.beat + 1, at = clock_timestamp() returning beat";
    let row = from.query_one(sql, &[&from.side.word()]).await.map_err(from.failed("writing the canary"))?;
    Ok(row.get(0))
}
