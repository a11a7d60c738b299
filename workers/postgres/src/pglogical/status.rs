//! What pglogical says about one subscription.

use changeover_domain::{Direction, Failure};

use super::install;
use crate::{Migration, Session};

/// A subscription as its subscriber sees it.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    /// Object id of its database.
    pub database_oid: u32,
    /// Its id within pglogical.
    pub id: u32,
    /// Name of its slot, and of its replication origin.
    pub slot: String,
    /// False when it was disabled.
    pub enabled: bool,
    /// `replicating`, `initializing`, `down`, `disabled`.
    pub status: String,
    /// State of the subscription as a whole, see [`SyncState`].
    pub sync: SyncState,
    /// Tables that pglogical keeps a state of: those of the initial copy, and later ones.
    pub tables: u64,
    /// Of those, the ones that are ready.
    pub tables_ready: u64,
    /// Up to five that aren't.
    pub unready: Vec<String>,
}

/// How far the initial synchronisation of a subscription has come. Source: pglogical_sync.h, SYNC_STATUS_*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncState {
    /// The slot isn't there yet.
    Init,
    /// Copying. If the worker dies now, pglogical can't go on: the whole copy starts anew.
    Data,
    /// Copied; about to replicate.
    Catchup,
    /// Replicating.
    Ready,
    /// A state that no subscription of ours can have.
    Other,
}

impl SyncState {
    fn parse(text: &str) -> SyncState {
        match text {
            "i" => SyncState::Init,
            "d" => SyncState::Data,
            "u" => SyncState::Catchup,
            "r" => SyncState::Ready,
            _ => SyncState::Other,
        }
    }
}

impl Subscription {
    /// True when the initial copy died: pglogical refuses to go on from here, for ever.
    pub(super) fn copy_failed(&self) -> bool {
        self.status == "down" && self.sync == SyncState::Data
    }
    /// The name under which its apply worker runs.
    pub(super) fn worker_name(&self) -> String {
        format!("pglogical apply {}:{}", self.database_oid, self.id)
    }
}

/// Looks at the subscription of a direction; `None` when there is none, or no extension.
pub(super) async fn subscription(
    migration: &Migration,
    direction: Direction,
    session: &Session,
) -> Result<Option<Subscription>, Failure> {
    if !install::exists(session).await? || super::node::local(session).await?.is_none() {
        return Ok(None);
    }
    let name = migration.id.subscription(direction);
    let row = session
        .query_opt(include_str!("../../sql/pglogical_status.sql"), &[&name.raw()])
        .await
        .map_err(session.failed("looking at the subscription"))?;
    Ok(row.map(|r| Subscription {
        database_oid: r.get("database_oid"),
        id: r.get("id"),
        slot: r.get("slot"),
        enabled: r.get("enabled"),
        status: r.get("status"),
        sync: SyncState::parse(r.get("sync")),
        tables: r.get::<_, i64>("tables").unsigned_abs(),
        tables_ready: r.get::<_, i64>("tables_ready").unsigned_abs(),
        unready: r.get("unready"),
    }))
}
