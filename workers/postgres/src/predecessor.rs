//! Sessions that an earlier attempt of an activity has left: its worker was stopped, or cut off, and may wake up at any time.

use std::time::Duration;

use changeover_domain::{Failure, Side};
use tokio::time::{Instant, sleep};

use crate::{Migration, Session, Site};

/// How long a session may take to end.
const END: Duration = Duration::from_secs(10);

/// Whoever only looks at a migration from beside it does it no harm.
const PREFLIGHT: &str = "preflight";
/// Besides, the sessions of `pglogical::watch` and `pglogical::health`, which run beside every other activity and hold nothing.
const BESIDE: [&str; 3] = [PREFLIGHT, "watch", "health"];

/// Ends the sessions that an earlier attempt of an activity may have left, but not those that watch replication beside it.
///
/// # Errors
/// As [`evict_all`].
pub async fn evict(migration: &Migration) -> Result<(), Failure> {
    evict_but(migration, &BESIDE).await
}

/// Ends every other session of the migration on both sides and waits for their end: what such a session holds would be waited for,
/// and what it's about to say would be done late, after others have taken it back. A side that can't be reached has none that
/// count: nobody gets through to it.
///
/// # Errors
/// CO0821 when a session doesn't end.
pub async fn evict_all(migration: &Migration) -> Result<(), Failure> {
    evict_but(migration, &[PREFLIGHT]).await
}

async fn evict_but(migration: &Migration, spared: &[&str]) -> Result<(), Failure> {
    let spared: Vec<String> = spared.iter().map(|purpose| migration.id.application_name(purpose)).collect();
    let ours = migration.id.application_name("");
    let one = async |side| {
        let site = migration.site(side);
        match site.open_maintenance("evict").await {
            Ok(session) => evict_from(site, &session, &ours, &spared).await,
            Err(failure) => {
                tracing::warn!(%failure, "sessions of an earlier attempt are not looked for on the {side}");
                Ok(())
            }
        }
    };
    futures::try_join!(one(Side::Source), one(Side::Target)).map(drop)
}

async fn evict_from(site: &Site, session: &Session, ours: &str, spared: &[String]) -> Result<(), Failure> {
    let sql = "select count(pg_catalog.pg_terminate_backend(pid)) from pg_catalog.pg_stat_activity \
               where pg_catalog.starts_with(application_name, $1) and application_name <> all ($2) \
                 and usename = current_user and pid <> pg_catalog.pg_backend_pid()";
    let begun = Instant::now();
    loop {
        let row = session
            .query_one(sql, &[&ours, &spared])
            .await
            .map_err(session.failed("ending sessions of an earlier attempt"))?;
        let left: i64 = row.get(0);
        if left == 0 {
            return Ok(());
        }
        if begun.elapsed() > END {
            let message = format!("{left} sessions of an earlier attempt on the {} don't end", site.side());
            return Err(Failure::transient("CO0821", message, "it is tried again; pg_terminate_backend ends them too"));
        }
        sleep(Duration::from_millis(20)).await;
    }
}
