//! The two sides of one database as verification holds them.

use std::time::Duration;

use changeover_domain::{
    Direction, Failure, Side,
    verify::{Key, Seen},
};
use tokio_postgres::types::ToSql;

use super::{facts::Table, marker::Markers, reader::Reader, statements::Hash};
use crate::{Migration, Session, Site};

/// Both sides of one database.
pub(super) struct Pair<'a> {
    pub(super) database: String,
    /// Where rows come from in this direction.
    pub(super) provider: Reader,
    /// Where they go to.
    pub(super) subscriber: Reader,
    pub(super) hash: Hash,
    /// Schemas of the set-up on either side, which are nobody's application: those of the escalation functions.
    pub(super) not_ours: Vec<String>,
    provider_site: &'a Site,
    subscriber_site: &'a Site,
    markers: Markers,
    /// Holds the lock of a hot row on the provider; opened when the first one is met.
    locker: Option<Reader>,
}

impl<'a> Pair<'a> {
    /// Opens both sides, without a bound on statements as yet: see [`Pair::bound`].
    pub(super) async fn open(
        migration: &'a Migration,
        direction: Direction,
        database: &str,
        run: &str,
    ) -> Result<Self, Failure> {
        let (provider_site, subscriber_site) = (migration.provider(direction), migration.subscriber(direction));
        let (provider, subscriber) = tokio::try_join!(
            Reader::open(provider_site, database, None),
            Reader::open(subscriber_site, database, None)
        )?;
        let hash = super::vectors::choose(&provider.session, &subscriber.session).await?;
        let markers = Markers::new(run);
        let database = database.to_owned();
        let not_ours = super::structure::not_ours(migration);
        Ok(Self {
            database,
            provider,
            subscriber,
            hash,
            not_ours,
            provider_site,
            subscriber_site,
            markers,
            locker: None,
        })
    }
    /// From now on each statement, which is on a chunk, is bounded by `timeout`.
    pub(super) async fn bound(&self, timeout: Duration) -> Result<(), Failure> {
        tokio::try_join!(self.provider.bound(Some(timeout)), self.subscriber.bound(Some(timeout))).map(drop)
    }
    /// A second session to the provider, without a bound on its statements.
    pub(super) async fn another_provider(&self) -> Result<Reader, Failure> {
        Reader::open(self.provider_site, &self.database, None).await
    }
    /// A second session to the subscriber, without a bound on its statements.
    pub(super) async fn another_subscriber(&self) -> Result<Reader, Failure> {
        Reader::open(self.subscriber_site, &self.database, None).await
    }
    /// The session to the target, whichever role it has.
    pub(super) fn target(&self) -> &Session {
        if self.provider.side() == Side::Target { &self.provider.session } else { &self.subscriber.session }
    }
    /// The name of a row in a report.
    pub(super) fn name_row(&self, table: &Table, key: &[String]) -> String {
        let key = changeover_domain::verify::name_key(&table.key_columns(), key);
        format!("{}: {} {key}", self.database, table.shape.name.raw())
    }
    /// Sends a marker and waits until the subscriber has it.
    pub(super) async fn pass_marker(&mut self) -> Result<(), Failure> {
        self.markers.pass(&self.provider.session, &self.subscriber.session).await
    }
    /// Sends a marker; whether the subscriber had it within `limit`.
    pub(super) async fn pass_marker_within(&mut self, limit: Duration) -> Result<bool, Failure> {
        self.markers.pass_within(&self.provider.session, &self.subscriber.session, limit).await
    }
    /// Commits a marker on the provider; [`Pair::wait_for_marker`] waits for it.
    pub(super) async fn send_marker(&mut self) -> Result<String, Failure> {
        self.markers.send(&self.provider.session).await
    }
    /// Waits until the subscriber has a marker.
    pub(super) async fn wait_for_marker(&self, token: &str) -> Result<(), Failure> {
        self.markers.wait(&self.provider.session, &self.subscriber.session, token).await
    }
    /// Removes the run's markers.
    pub(super) async fn remove_markers(&self) -> Result<(), Failure> {
        self.markers.remove(&self.provider.session).await
    }
    /// Locks a row against change on the provider and reads it. `None`: the lock wasn't to be had at once. `Some(None)`: no
    /// such row. [`Pair::release_row`] ends it; so does the end of the session.
    pub(super) async fn lock_row(&mut self, table: &Table, key: &Key) -> Result<Option<Option<Seen>>, Failure> {
        let locker = match self.locker.take() {
            Some(locker) => locker,
            None => Reader::open(self.provider_site, &self.database, Some(Duration::from_secs(5))).await?,
        };
        let begin = "begin; set local lock_timeout = '300ms'; set local idle_in_transaction_session_timeout = '3s'";
        locker.session.batch_execute(begin).await.map_err(locker.session.failed("beginning to lock a row"))?;
        let values: Vec<&(dyn ToSql + Sync)> = key.iter().map(|v| v as &(dyn ToSql + Sync)).collect();
        let what = format!("locking a row of {} for a moment", table.shape.name.raw());
        let locked = locker.session.query(&table.shape.lock(), &values).await.map_err(locker.session.failed(&what));
        let outcome = match locked {
            // A statement of its own, so that its snapshot is newer than the lock.
            Ok(rows) if !rows.is_empty() => {
                Some(locker.keys(&table.shape, std::slice::from_ref(key)).await?.into_iter().next().flatten())
            }
            Ok(_) => Some(None),
            Err(failure) if matches!(failure.sqlstate.as_deref(), Some("55P03" | "40P01" | "40001")) => None,
            Err(failure) => return Err(failure),
        };
        if outcome.is_none() {
            locker.session.batch_execute("rollback").await.map_err(locker.session.failed("giving up a lock"))?;
        }
        self.locker = Some(locker);
        Ok(outcome)
    }
    /// Ends the lock of a row; fails when it was lost before.
    pub(super) async fn release_row(&mut self) -> Result<(), Failure> {
        let Some(locker) = &self.locker else { return Ok(()) };
        let released =
            locker.session.batch_execute("commit").await.map_err(locker.session.failed("releasing a locked row"));
        if released.is_err() {
            self.locker = None;
        }
        released
    }
}
