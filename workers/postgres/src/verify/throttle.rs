//! Verification steps back when replication falls behind.

use std::time::{Duration, Instant};

use changeover_domain::Failure;

use crate::Session;

/// Longest pause for one chunk: under a lag that never ends, verification goes on slowly.
const LONGEST: Duration = Duration::from_secs(10);

/// Waits while the logical slots of this database are more than `lag` bytes behind, [`LONGEST`] at most.
pub(super) async fn wait_for_lag(provider: &Session, lag: i64) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let row = provider
            .query_one(
                "select coalesce(max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), confirmed_flush_lsn)), 0)::int8 \
                   from pg_catalog.pg_replication_slots where database = current_database() and slot_type = 'logical' and active",
                &[],
            )
            .await
            .map_err(provider.failed("measuring the lag"))?;
        if row.get::<_, i64>(0) <= lag || began.elapsed() > LONGEST {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
