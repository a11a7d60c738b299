//! Running an activity's work with a heartbeat, and its failure back to Temporal.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use changeover_domain::{Class, Failure};
use temporalio_common::error::ApplicationFailure;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

/// What an activity is doing, shown in its heartbeat. Holds no row data.
#[derive(Clone, Default)]
pub(crate) struct Doing(Arc<Mutex<String>>);

impl Doing {
    /// Says what is being done now.
    pub(crate) fn now(&self, text: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }
    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How often an activity beats. Its timeout is 10 s, the switch's 2 s.
pub(crate) const CALM: Duration = Duration::from_secs(2);
pub(crate) const FAST: Duration = Duration::from_millis(400);

/// Runs work with a beat; a cancel from Temporal drops the work where it awaits, which every activity has to bear.
pub(crate) async fn beating<T>(
    ctx: &ActivityContext,
    every: Duration,
    doing: &Doing,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, ActivityError> {
    let mut work = pin!(work);
    let mut tick = tokio::time::interval(every);
    loop {
        tokio::select! {
            result = &mut work => return result.map_err(|failure| failed(ctx, failure)),
            () = ctx.cancelled() => return Err(ActivityError::cancelled()),
            _ = tick.tick() => ctx.record_heartbeat(doing.text()).await?,
        }
    }
}

/// Like `beating`, but a cancel doesn't drop the work: for the switch, which must end one way or the other.
pub(crate) async fn beating_through<T>(
    ctx: &ActivityContext,
    every: Duration,
    doing: &Doing,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, ActivityError> {
    let mut work = pin!(work);
    let mut tick = tokio::time::interval(every);
    loop {
        tokio::select! {
            result = &mut work => return result.map_err(|failure| failed(ctx, failure)),
            _ = tick.tick() => ctx.record_heartbeat(doing.text()).await?,
        }
    }
}

/// A failure as Temporal keeps it: its code as the type, itself as the details; only what passes by itself is retried.
fn failed(ctx: &ActivityContext, failure: Failure) -> ActivityError {
    let info = ctx.info();
    tracing::warn!(
        activity = %info.activity_type,
        attempt = info.attempt,
        code = %failure.code,
        class = failure.class.word(),
        error = %failure,
        "activity failed"
    );
    let application = ApplicationFailure::builder(anyhow::anyhow!("{failure}"))
        .type_name(failure.code.clone())
        .non_retryable(failure.class != Class::Transient)
        .details(failure)
        .build();
    ActivityError::application(application)
}

/// Like `beating`, with details that a next attempt resumes from.
pub(crate) async fn beating_with<T, D>(
    ctx: &ActivityContext,
    every: Duration,
    details: impl Fn() -> D,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, ActivityError>
where
    D: serde::Serialize + Send + Sync + 'static,
{
    let mut work = pin!(work);
    let mut tick = tokio::time::interval(every);
    loop {
        tokio::select! {
            result = &mut work => return result.map_err(|failure| failed(ctx, failure)),
            () = ctx.cancelled() => return Err(ActivityError::cancelled()),
            _ = tick.tick() => ctx.record_heartbeat(details()).await?,
        }
    }
}
