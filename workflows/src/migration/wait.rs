//! Waiting: durable timers that end early when a person says something.

use std::time::Duration;

use changeover_domain::history;
use temporalio_workflow::{
    ContinueAsNewOptions, TimerOptions, WaitConditionOptions, WorkflowCancellationToken, WorkflowContext,
    WorkflowTermination, workflows::select,
};

use super::{
    Migration, MigrationInput,
    call::{Stop, stop_asked, tick},
    state::{Rest, State},
};
use crate::patches;

fn detached() -> WaitConditionOptions {
    WaitConditionOptions::builder().cancellation_token(WorkflowCancellationToken::new()).build()
}

/// Waits until `wake` holds for the state.
pub(super) async fn until(ctx: &WorkflowContext<Migration>, wake: impl Fn(&State) -> bool) {
    // A detached token is never cancelled, so the wait ends only by the condition.
    let _woken = ctx.wait_condition_with_options(|m| wake(&m.state), detached()).await;
    tick(ctx);
}

/// Waits for a person, for weeks if need be, until `wake` holds. When the history has grown meanwhile, by what watches slots and by what
/// people say, another run goes on with the waiting that `rest` names.
pub(super) async fn until_said(
    ctx: &WorkflowContext<Migration>,
    rest: Rest,
    wake: impl Fn(&State) -> bool,
) -> Result<(), WorkflowTermination> {
    let ends = patches::every_wait_ends(ctx);
    let may_end = || ends && is_long(ctx) && ctx.all_handlers_finished();
    let _woken = ctx.wait_condition_with_options(|m| wake(&m.state) || may_end(), detached()).await;
    tick(ctx);
    if ctx.state(|m| wake(&m.state)) { Ok(()) } else { go_on_in_another_run(ctx, Some(rest)) }
}

/// Waits for `time` or until `wake` holds; the timer is cancelled then.
pub(super) async fn pause(ctx: &WorkflowContext<Migration>, time: Duration, wake: impl Fn(&State) -> bool) {
    let token = WorkflowCancellationToken::new();
    {
        let timer = ctx.timer(TimerOptions::builder(time).cancellation_token(token.clone()).build());
        let woken = ctx.wait_condition_with_options(|m| wake(&m.state), detached());
        let mut timer = std::pin::pin!(timer);
        let mut woken = std::pin::pin!(woken);
        select! {
            _ = timer => {},
            _ = woken => token.cancel(),
        }
    }
    tick(ctx);
}

/// Longer than this no stage goes without a look at its slots, itself or by the watch beside it.
const UNWATCHED: Duration = Duration::from_secs(60);

/// The pause until the next look at what goes on until a person ends it: calmer the longer it has lasted. Runs from before that look
/// at every interval.
pub(super) fn calm(ctx: &WorkflowContext<Migration>, interval: Duration) -> Duration {
    if !patches::calm_looks(ctx) {
        return interval;
    }
    ctx.state_mut(|m| {
        let time = m.state.next_look(interval);
        m.state.looks.calm = time > UNWATCHED.max(interval);
        time
    })
}

/// True when the way through the stages has to stop: a person wants it, or a disk would fill.
pub(super) fn stop_wanted(state: &State) -> bool {
    let asked = &state.asked;
    asked.abort.is_some() || asked.rollback.is_some() || asked.wal_is_full.is_some() || state.source_given_up()
}

/// Between two looks of a polling stage: sleeps, honours stops, and continues as new when the history has grown.
pub(super) async fn between_looks(ctx: &WorkflowContext<Migration>, time: Duration) -> Result<(), Stop> {
    pause(ctx, time, stop_wanted).await;
    stop_or_continue(ctx)
}

/// The same without the sleep.
pub(super) fn stop_or_continue(ctx: &WorkflowContext<Migration>) -> Result<(), Stop> {
    if ctx.state(|m| stop_wanted(&m.state)) {
        return Err(stop_asked(ctx));
    }
    continue_when_long(ctx)
}

/// Carries the whole state over into a new run when the history has grown.
pub(super) fn continue_when_long(ctx: &WorkflowContext<Migration>) -> Result<(), Stop> {
    if !is_long(ctx) || !ctx.all_handlers_finished() {
        return Ok(());
    }
    go_on_in_another_run(ctx, None).map_err(Stop::Termination)
}

fn is_long(ctx: &WorkflowContext<Migration>) -> bool {
    let enough = ctx.state(|m| m.state.enough.unwrap_or(history::ENOUGH));
    ctx.continue_as_new_suggested() || (patches::calm_looks(ctx) && ctx.history_length() >= enough)
}

fn go_on_in_another_run(ctx: &WorkflowContext<Migration>, rest: Option<Rest>) -> Result<(), WorkflowTermination> {
    let input = ctx.state(|m| MigrationInput {
        spec: m.state.spec.clone(),
        plan_hash: m.state.plan_hash.clone(),
        carried: Some(Box::new(m.state.carried(rest))),
    });
    match ctx.continue_as_new(input, ContinueAsNewOptions::default()) {
        Err(termination) => Err(termination),
        Ok(never) => match never {},
    }
}
