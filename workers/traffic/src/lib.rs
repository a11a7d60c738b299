//! How Changeover moves traffic: PgBouncer in transaction mode.
//!
//! Clients are held back by PAUSE, the list of databases is exchanged by a rename, RELOAD reads it, RESUME lets clients go on.
//! They see a pause and no error.

pub mod databases_file;
pub mod pause_guard;
mod pooler;

use std::time::Duration;

use changeover_domain::{Failure, Side};
use changeover_postgres::{
    Migration,
    traffic::{Answer, Traffic},
};
use futures::future::try_join_all;
use tokio::sync::Mutex;

use crate::{pause_guard::PauseGuard, pooler::Pooler};

/// All the poolers of a migration.
#[derive(Debug)]
pub struct PgBouncer {
    poolers: Vec<Pooler>,
    /// Of a pause to come, or that has begun and isn't meant to outlive this process yet.
    guard: Mutex<Option<PauseGuard>>,
}

impl PgBouncer {
    /// From a migration's spec; a spec without poolers gives one that has nothing to do.
    pub fn new(migration: &Migration) -> Result<Self, Failure> {
        let traffic = migration.spec.traffic.clone().unwrap_or_default();
        let poolers = traffic.poolers.iter().map(|pooler| Pooler::new(migration, pooler)).collect::<Result<_, _>>()?;
        Ok(Self { poolers, guard: Mutex::new(None) })
    }

    async fn start_guard(&self) -> Result<(), Failure> {
        let mut told = Vec::new();
        for pooler in &self.poolers {
            told.push((pooler.address(), pooler.resume_commands()?));
        }
        *self.guard.lock().await = PauseGuard::start(&told).await?;
        Ok(())
    }

    async fn arm_guard(&self) -> Result<(), Failure> {
        match self.guard.lock().await.as_mut() {
            Some(guard) => guard.arm().await,
            None => Ok(()),
        }
    }

    async fn dismiss_guard(&self) -> Result<(), Failure> {
        match self.guard.lock().await.take() {
            Some(guard) => guard.disarm().await,
            None => Ok(()),
        }
    }
}

impl Traffic for PgBouncer {
    fn stage(&self, to: Side) -> Answer<'_, ()> {
        Box::pin(async move {
            try_join_all(self.poolers.iter().map(|p| p.stage(to))).await?;
            self.start_guard().await
        })
    }
    fn logins(&self) -> Answer<'_, u64> {
        Box::pin(async move { Ok(try_join_all(self.poolers.iter().map(Pooler::logins)).await?.into_iter().sum()) })
    }
    fn pause(&self, budget: Duration) -> Answer<'_, ()> {
        Box::pin(async move {
            self.arm_guard().await?;
            try_join_all(self.poolers.iter().map(|p| p.pause(budget))).await.map(drop)
        })
    }
    fn keep(&self) -> Answer<'_, ()> {
        Box::pin(self.dismiss_guard())
    }
    fn move_to(&self, to: Side) -> Answer<'_, ()> {
        Box::pin(async move { all(self.poolers.iter().map(|p| p.move_to(to))).await })
    }
    fn resume(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            if let Err(failure) = self.dismiss_guard().await {
                tracing::debug!(%failure, "clients go on in any case");
            }
            all(self.poolers.iter().map(Pooler::resume)).await
        })
    }
    fn settle(&self, budget: Duration) -> Answer<'_, ()> {
        Box::pin(async move { all(self.poolers.iter().map(|p| p.settle(budget))).await })
    }
}

/// Runs all to their end, whatever one of them says: a pooler in trouble must not leave another one behind.
async fn all(calls: impl Iterator<Item = impl Future<Output = Result<(), Failure>>>) -> Result<(), Failure> {
    futures::future::join_all(calls).await.into_iter().collect()
}
