//! How a switch sees the traffic that it moves. The crate `changeover-traffic` implements it.

use std::time::Duration;

use changeover_domain::{Failure, Side};
use futures::future::BoxFuture;

/// The answer of a [`Traffic`] call.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Failure>>;

/// Where clients are sent. Every call means "make sure": it may be repeated, also by another worker after a crash.
pub trait Traffic: Send + Sync {
    /// Prepares everything for [`Traffic::move_to`] without any effect on clients: connections to the poolers are opened and
    /// the new configuration lies beside the one in force.
    fn stage(&self, to: Side) -> Answer<'_, ()>;
    /// Server logins in progress. A pause while there is one would make the pooler refuse clients.
    fn logins(&self) -> Answer<'_, u64>;
    /// Holds clients back and returns when no transaction runs any more. After an error some clients may be held back:
    /// [`Traffic::resume`] lets them go on.
    fn pause(&self, budget: Duration) -> Answer<'_, ()>;
    /// From here on clients are held back even if this process dies. Before, a guard may let them go on where nothing more is heard of
    /// it; this fails when it has. By default there is none.
    fn keep(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    /// Makes every pooler send its clients to a side, and proves it. Clients that are held back stay so.
    fn move_to(&self, to: Side) -> Answer<'_, ()>;
    /// Lets clients go on.
    fn resume(&self) -> Answer<'_, ()>;
    /// Waits until no client is stuck after a resume.
    fn settle(&self, budget: Duration) -> Answer<'_, ()>;
}

/// No pooler: every client connects to the servers itself and finds its way by other means.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl Traffic for Direct {
    fn stage(&self, _: Side) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn logins(&self) -> Answer<'_, u64> {
        Box::pin(async { Ok(0) })
    }
    fn pause(&self, _: Duration) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn move_to(&self, _: Side) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn resume(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn settle(&self, _: Duration) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}
