//! Marker rows: committed on the provider, awaited on the subscriber. Replication applies in commit order, so when the marker
//! is visible there, everything that was visible on the provider before it is applied there too.

use std::time::{Duration, Instant};

use changeover_domain::Failure;

use crate::Session;

/// Sends markers of one run.
#[derive(Debug)]
pub(super) struct Markers {
    run: String,
    sent: u64,
}

/// Longest wait for an ordinary marker before the run gives up (and is tried again by its caller).
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

impl Markers {
    pub(super) fn new(run: &str) -> Self {
        Self { run: run.to_owned(), sent: 0 }
    }
    /// Sends a marker and waits for it. Fails when it isn't seen within [`PATIENCE`].
    pub(super) async fn pass(&mut self, provider: &Session, subscriber: &Session) -> Result<(), Failure> {
        let token = self.send(provider).await?;
        self.wait(provider, subscriber, &token).await
    }
    /// Waits for a marker. Fails when it isn't seen within [`PATIENCE`].
    pub(super) async fn wait(&self, provider: &Session, subscriber: &Session, token: &str) -> Result<(), Failure> {
        if seen(provider, subscriber, token, PATIENCE).await? {
            return Ok(());
        }
        let message = format!(
            "database {}: a marker written on the {} wasn't seen on the {} within {} s",
            provider.database,
            provider.side,
            subscriber.side,
            PATIENCE.as_secs()
        );
        let remedy = "look at `changeover status`: replication is down or far behind; verification goes on when it has caught up";
        Err(Failure::transient("CO0603", message, remedy))
    }
    /// Sends a marker; whether it was seen within `limit`.
    pub(super) async fn pass_within(
        &mut self,
        provider: &Session,
        subscriber: &Session,
        limit: Duration,
    ) -> Result<bool, Failure> {
        let token = self.send(provider).await?;
        seen(provider, subscriber, &token, limit).await
    }
    /// Commits a marker and returns its token. Of earlier markers of this run only the last one is kept.
    pub(super) async fn send(&mut self, provider: &Session) -> Result<String, Failure> {
        let (mine, last) = (format!("verify/{}/%", self.run), self.token());
        self.sent += 1;
        let (side, token) = (provider.side.word(), self.token());
        let sql = "with gone as (delete from changeover.marker where side = $1 and token like $2 and token <> $3) \
            insert into changeover.marker (side, epoch, token) select $1, epoch, $4 from changeover.migration";
        let written =
            provider.execute(sql, &[&side, &mine, &last, &token]).await.map_err(provider.failed("writing a marker"))?;
        if written == 1 {
            return Ok(token);
        }
        let message = format!("database {} on the {side} has lost the migration's home row", provider.database);
        Err(Failure::needs_human(
            "CO0212",
            message,
            "find out who emptied changeover.migration; then `changeover abort`",
        ))
    }
    fn token(&self) -> String {
        format!("verify/{}/{}", self.run, self.sent)
    }
    /// Removes what this run and earlier ones have left.
    pub(super) async fn remove(&self, provider: &Session) -> Result<(), Failure> {
        provider
            .execute(
                "delete from changeover.marker where side = $1 and token like 'verify/%'",
                &[&provider.side.word()],
            )
            .await
            .map(drop)
            .map_err(provider.failed("removing the markers"))
    }
}

/// Whether a marker is seen on the subscriber within `limit`.
async fn seen(provider: &Session, subscriber: &Session, token: &str, limit: Duration) -> Result<bool, Failure> {
    let (side, sent) = (provider.side.word(), Instant::now());
    let mut pause = Duration::from_millis(1);
    loop {
        let seen = subscriber
            .query_one("select exists (select from changeover.marker where side = $1 and token = $2)", &[&side, &token])
            .await
            .map_err(subscriber.failed("waiting for a marker"))?;
        if seen.get(0) {
            return Ok(true);
        }
        if sent.elapsed() > limit {
            return Ok(false);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
