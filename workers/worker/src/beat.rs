//! Running an activity's work with a heartbeat, and its failure back to Temporal.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use changeover_domain::{Class, Direction, Failure};
use changeover_postgres::failpoint;
use temporalio_common::error::ApplicationFailure;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::time::Instant;

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

/// The failpoints around an activity. All of them run by one of the functions here, so that none can be forgotten.
fn point(ctx: &ActivityContext) -> String {
    format!("activity.{}", ctx.info().activity_type)
}

/// The same for one direction of an activity that has one, and for its kind, such as `watch.`, where it has several.
pub(crate) async fn directed<T>(
    ctx: &ActivityContext,
    kind: &str,
    direction: Direction,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    failpoint::around(&format!("{}.{kind}{direction}", point(ctx)), Box::pin(work)).await
}

/// When an attempt has last been seen alive.
struct Pulse {
    last: Mutex<Instant>,
    /// Longer silence is death in Temporal's eyes: another attempt has begun.
    limit: Duration,
}

impl Pulse {
    fn new(ctx: &ActivityContext, every: Duration) -> Self {
        // The switch has its epochs, and a limit so short that a busy machine exceeds it.
        let limit = ctx.info().heartbeat_timeout.filter(|_| every >= CALM).unwrap_or(Duration::MAX);
        Self { last: Mutex::new(Instant::now()), limit }
    }
    /// An attempt that wakes up after it was taken for dead does nothing more.
    fn check(&self) -> Result<(), Failure> {
        let silent = self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        if silent < self.limit {
            return Ok(());
        }
        let message = format!("this attempt stood still for {} s: another one has taken over", silent.as_secs());
        Err(Failure::transient("CO0819", message, "nothing: the newer attempt goes on"))
    }
    fn beat(&self) -> Result<(), Failure> {
        self.check()?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(())
    }
    /// Asks before every piece of the work.
    async fn guard<T>(&self, mut work: Pin<&mut impl Future<Output = Result<T, Failure>>>) -> Result<T, Failure> {
        poll_fn(|cx| match self.check() {
            Ok(()) => work.as_mut().poll(cx),
            Err(failure) => Poll::Ready(Err(failure)),
        })
        .await
    }
}

/// Runs work with a beat; a cancel from Temporal drops the work where it awaits, which every activity has to bear.
pub(crate) async fn beating<T>(
    ctx: &ActivityContext,
    every: Duration,
    doing: &Doing,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, ActivityError> {
    run(ctx, every, || doing.text(), Box::pin(work), ctx.cancelled()).await
}

/// Like `beating`, but a cancel doesn't drop the work: for the switch, which must end one way or the other.
pub(crate) async fn beating_through<T>(
    ctx: &ActivityContext,
    every: Duration,
    doing: &Doing,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, ActivityError> {
    run(ctx, every, || doing.text(), Box::pin(work), std::future::pending()).await
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
    run(ctx, every, details, Box::pin(work), ctx.cancelled()).await
}

async fn run<T, D>(
    ctx: &ActivityContext,
    every: Duration,
    details: impl Fn() -> D,
    work: impl Future<Output = Result<T, Failure>> + Unpin,
    cancelled: impl Future<Output = ()>,
) -> Result<T, ActivityError>
where
    D: serde::Serialize + Send + Sync + 'static,
{
    let (name, pulse) = (point(ctx), Pulse::new(ctx, every));
    let mut work = pin!(failpoint::around(&name, work));
    let mut cancelled = pin!(cancelled);
    let mut tick = tokio::time::interval(every);
    loop {
        tokio::select! {
            result = pulse.guard(work.as_mut()) => return result.map_err(|failure| failed(ctx, failure)),
            () = &mut cancelled => return Err(ActivityError::cancelled()),
            _ = tick.tick() => {
                pulse.beat().map_err(|failure| failed(ctx, failure))?;
                ctx.record_heartbeat(details()).await?;
            }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pulse(limit: Duration) -> Pulse {
        Pulse { last: Mutex::new(Instant::now()), limit }
    }

    #[tokio::test]
    async fn an_attempt_that_was_taken_for_dead_does_nothing_more() {
        let pulse = pulse(Duration::from_millis(500));
        let done = Mutex::new(Vec::new());
        let mut work = pin!(async {
            done.lock().unwrap().push("alive");
            pulse.beat()?;
            // As when the process is stopped.
            std::thread::sleep(Duration::from_millis(600));
            tokio::task::yield_now().await;
            done.lock().unwrap().push("too late");
            Ok::<_, Failure>(())
        });
        let failure = pulse.guard(work.as_mut()).await.unwrap_err();
        assert_eq!(failure.code, "CO0819");
        assert_eq!(*done.lock().unwrap(), ["alive"]);
    }

    #[test]
    fn a_beat_that_comes_too_late_is_none() {
        let pulse = pulse(Duration::ZERO);
        assert!(pulse.beat().is_err());
        assert!(pulse.check().is_err());
    }
}
