//! Calling activities: options by kind, failures back from what Temporal makes of them, an abort in between.

use std::time::Duration;

use changeover_domain::Failure;
use temporalio_common::{ActivityDefinition, data_converters::TemporalDeserializable, error::IncomingError};
use temporalio_workflow::{
    ActivityCancellationType, ActivityExecutionError, ActivityOptions, RetryPolicy, WaitConditionOptions,
    WorkflowCancellationToken, WorkflowContext, WorkflowTermination, workflows::select,
};

use super::{Migration, now_of, state::State, wait::stop_wanted};
use crate::SWITCH_QUEUE;

/// Why a stage stops before its end.
pub(super) enum Stop {
    /// It failed and a person has to look.
    Failed(Failure),
    /// A person said `abort`.
    Abort,
    /// A person said `rollback`.
    Rollback,
    /// A person said that the source is lost.
    SourceLost,
    /// Temporal: continue-as-new or eviction.
    Termination(WorkflowTermination),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}

/// How long an activity may be silent. Its worker beats every 2 s.
const SILENCE: Duration = Duration::from_secs(10);

/// How an activity is called.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// One attempt's time.
    pub(super) timeout: Duration,
    /// Silence after which an attempt counts as dead.
    pub(super) heartbeat: Duration,
    /// Attempts for failures that pass by themselves.
    pub(super) attempts: u32,
    /// A task queue of its own.
    pub(super) queue: Option<&'static str>,
}

impl Limits {
    /// For what takes seconds.
    pub(super) fn short() -> Self {
        Self { timeout: Duration::from_secs(300), heartbeat: SILENCE, attempts: 60, queue: None }
    }
    /// For what may take as long as its stage says.
    pub(super) fn stage(seconds: u64) -> Self {
        Self { timeout: Duration::from_secs(seconds), heartbeat: SILENCE, attempts: 60, queue: None }
    }
    /// For what follows a switch and is tried again later anyway.
    pub(super) fn at_leisure() -> Self {
        Self { timeout: Duration::from_secs(120), heartbeat: SILENCE, attempts: 3, queue: None }
    }
    /// For an undo or a step of finalize: what doesn't pass within some minutes is a person's business.
    pub(super) fn taking_down(seconds: u64) -> Self {
        Self { timeout: Duration::from_secs(seconds), heartbeat: SILENCE, attempts: 12, queue: None }
    }
    /// For the switch: a dead worker is noticed within two seconds.
    pub(super) fn switch(seconds: u64) -> Self {
        let heartbeat = Duration::from_secs(2);
        Self { timeout: Duration::from_secs(seconds), heartbeat, attempts: 0, queue: Some(SWITCH_QUEUE) }
    }

    fn options(self, token: WorkflowCancellationToken, first_pause: Duration) -> ActivityOptions {
        let policy = RetryPolicy::builder()
            .initial_interval(first_pause)
            .backoff_coefficient(2.0)
            .maximum_interval(first_pause.max(Duration::from_secs(1)) * 10)
            .maximum_attempts(self.attempts)
            .build();
        ActivityOptions::with_start_to_close_timeout(self.timeout)
            .maybe_task_queue(self.queue.map(str::to_owned))
            .heartbeat_timeout(self.heartbeat)
            .retry_policy(policy)
            .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
            .cancellation_token(token)
            .build()
    }
}

/// Calls an activity that nothing interrupts: the switch, an undo, a step of finalize.
pub(super) async fn call_through<AD>(
    ctx: &WorkflowContext<Migration>,
    activity: AD,
    input: impl Into<AD::Input>,
    limits: Limits,
) -> Result<AD::Output, Failure>
where
    AD: ActivityDefinition,
    AD::Output: TemporalDeserializable,
{
    let name = activity.name().to_owned();
    let token = WorkflowCancellationToken::new();
    let pause = if limits.attempts == 0 { Duration::from_millis(200) } else { Duration::from_secs(1) };
    let result = ctx.execute_activity(activity, input, limits.options(token, pause)).await;
    tick(ctx);
    result.map_err(|error| failure_of(&name, &error))
}

/// Calls an activity that a person's word interrupts (abort, rollback, the source is lost): it is cancelled and waited for.
pub(super) async fn call<AD>(
    ctx: &WorkflowContext<Migration>,
    activity: AD,
    input: impl Into<AD::Input>,
    limits: Limits,
) -> Result<AD::Output, Stop>
where
    AD: ActivityDefinition,
    AD::Output: TemporalDeserializable,
{
    match call_until(ctx, activity, input, limits, stop_wanted).await {
        Some(result) => result.map_err(Stop::Failed),
        None => Err(stop_asked(ctx)),
    }
}

/// Calls an activity for as long as `stop` doesn't hold for the state; then it is cancelled and waited for, and there is no result.
pub(super) async fn call_until<AD>(
    ctx: &WorkflowContext<Migration>,
    activity: AD,
    input: impl Into<AD::Input>,
    limits: Limits,
    stop: impl Fn(&State) -> bool,
) -> Option<Result<AD::Output, Failure>>
where
    AD: ActivityDefinition,
    AD::Output: TemporalDeserializable,
{
    let name = activity.name().to_owned();
    let token = WorkflowCancellationToken::new();
    let running = ctx.execute_activity(activity, input, limits.options(token.clone(), Duration::from_secs(1)));
    let mut running = std::pin::pin!(running);
    let waiting = WaitConditionOptions::builder().cancellation_token(WorkflowCancellationToken::new()).build();
    let interrupted = ctx.wait_condition_with_options(|m| stop(&m.state), waiting);
    let mut interrupted = std::pin::pin!(interrupted);
    let result = select! {
        result = running => Some(result),
        _ = interrupted => None,
    };
    if result.is_none() {
        token.cancel_with_reason("a person said so");
        let _ended = running.await;
    }
    tick(ctx);
    result.map(|result| result.map_err(|error| failure_of(&name, &error)))
}

/// Which stop was asked for. That a disk would fill is taken up here, once.
pub(super) fn stop_asked(ctx: &WorkflowContext<Migration>) -> Stop {
    ctx.state_mut(|m| match &mut m.state.asked {
        asked if asked.abort.is_some() => Stop::Abort,
        asked if asked.rollback.is_some() => Stop::Rollback,
        asked => asked.wal_is_full.take().map_or(Stop::SourceLost, Stop::Failed),
    })
}

/// Takes the workflow's time into the state.
pub(super) fn tick(ctx: &WorkflowContext<Migration>) {
    let now = now_of(ctx.workflow_time());
    ctx.state_mut(|m| m.state.now = now.max(m.state.now));
}

fn failure_of(activity: &str, error: &ActivityExecutionError) -> Failure {
    match error.cause() {
        Some(IncomingError::Application(application)) => match application.details::<Failure>() {
            Ok(Some(failure)) => failure,
            _ => Failure::needs_human(
                "CO0811",
                format!(
                    "{activity} failed in a way that it doesn't explain (type {})",
                    application.type_name().unwrap_or("unknown")
                ),
                "look into the worker's log, then `changeover retry`",
            ),
        },
        Some(IncomingError::Timeout(timeout)) => Failure::needs_human(
            "CO0812",
            format!("{activity} gave no sign of life in time ({:?})", timeout.timeout_type()),
            "check that a worker runs (`changeover doctor`), then `changeover retry`",
        ),
        _ => Failure::needs_human(
            "CO0811",
            format!("{activity} ended without a result: {error}"),
            "look into the worker's log, then `changeover retry`",
        ),
    }
}
