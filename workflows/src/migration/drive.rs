//! The way through the stages: begin, drive, done; or park, and go on by retry; or unwind.
//!
//! *Architecture Invariant:* only this module moves a migration from one stage to another.

use std::convert::Infallible;

use changeover_domain::{
    Direction, Failure,
    proto::{Control, State as Phase},
    stage::StageName,
    undo::Regime,
};
use futures::FutureExt;
use temporalio_workflow::{WorkflowContext, WorkflowResult, WorkflowTermination, workflows::select};

use super::{
    Migration, MigrationOutcome, aws,
    call::{Stop, stop_asked, tick},
    serving, stages,
    state::Rest,
    unwind,
    wait::{stop_wanted, until_said},
    watch,
};
use crate::patches;

/// What comes after a stage.
pub(super) enum Step {
    /// Another stage.
    To(StageName),
    /// The end.
    End(Phase),
    /// The end of this run; another one goes on.
    Leave(WorkflowTermination),
}

/// Drives a migration to its end. Temporal's own cancel counts as a person's `abort`.
pub(super) async fn drive(ctx: &WorkflowContext<Migration>) -> WorkflowResult<MigrationOutcome> {
    let mut stages = std::pin::pin!(drive_stages(ctx).fuse());
    let mut cancels = std::pin::pin!(abort_on_cancel(ctx).fuse());
    let mut watched = std::pin::pin!(watch::watch(ctx).fuse());
    // The first one that can go on does: a cancel that comes together with the last event of a run isn't lost with it.
    select! {
        never = cancels => match never {},
        outcome = stages => outcome,
        never = watched => match never {},
    }
}

/// A cancel can't end a migration on the spot: it's taken as an abort, where an abort is allowed, and noted where not.
async fn abort_on_cancel(ctx: &WorkflowContext<Migration>) -> Infallible {
    ctx.cancelled().await;
    tick(ctx);
    ctx.state_mut(|m| {
        let (actor, reason) = ("temporal cancel".to_owned(), "the workflow was cancelled".to_owned());
        let control = Control { actor, reason, ..Control::default() };
        match m.state.check_abort(&control) {
            Ok(()) => {
                m.state.record(&control.actor, "abort", control.reason.clone());
                m.state.asked.abort = Some(control);
            }
            Err(refusal) => m.state.record(&control.actor, "refused", format!("abort: {refusal}")),
        }
    });
    std::future::pending().await
}

async fn drive_stages(ctx: &WorkflowContext<Migration>) -> WorkflowResult<MigrationOutcome> {
    tick(ctx);
    bound_the_first_run(ctx);
    loop {
        let step = match next_step(ctx).await {
            Ok(step) => step,
            Err(Stop::Termination(termination)) => return Err(termination),
            Err(Stop::Abort) => unwind::unwind(ctx).await,
            Err(Stop::Rollback) => serving::roll_back(ctx).await,
            Err(Stop::SourceLost) => serving::give_up_source(ctx),
            Err(Stop::Failed(failure)) => after_failure(ctx, &failure).await,
        };
        match step {
            Step::To(stage) => ctx.state_mut(|m| m.state.stage = stage),
            Step::End(phase) => return Ok(end(ctx, phase)),
            Step::Leave(termination) => return Err(termination),
        }
    }
}

/// All others are told by the one before them when they are to end.
fn bound_the_first_run(ctx: &WorkflowContext<Migration>) {
    if patches::every_wait_ends(ctx) {
        ctx.state_mut(|m| {
            let first = m.state.measure();
            m.state.enough.get_or_insert(first);
        });
    }
}

/// A stage; or, where the run before this one was waiting for a person, what follows that.
async fn next_step(ctx: &WorkflowContext<Migration>) -> Result<Step, Stop> {
    match ctx.state_mut(|m| m.state.rest.take()) {
        Some(Rest::Parked) => Ok(rest(ctx).await),
        Some(Rest::Undoing) => Ok(unwind::rest(ctx).await),
        Some(Rest::Paused) | None => one_stage(ctx).await,
    }
}

async fn one_stage(ctx: &WorkflowContext<Migration>) -> Result<Step, Stop> {
    let goes_on = ctx.state_mut(|m| std::mem::take(&mut m.state.continued));
    if !goes_on {
        // What a switch before this stage has opened is published before anybody holds the run.
        aws::publish(ctx).await;
        if ctx.state(|m| m.state.paused) {
            aws::deploy(ctx).await;
        }
        hold_while_paused(ctx).await?;
    } else if ctx.state(|m| stop_wanted(&m.state)) {
        return Err(stop_asked(ctx));
    }
    let stage = ctx.state(|m| m.state.stage);
    if !goes_on {
        ctx.state_mut(|m| m.state.begin(stage));
    }
    serving::tidy(ctx).await?;
    match stage {
        StageName::Provision => aws::provision(ctx).await,
        StageName::Preflight => stages::preflight(ctx).await,
        StageName::Roles => stages::roles(ctx).await,
        StageName::Schema => stages::schema(ctx).await,
        StageName::Copy => stages::copy(ctx, goes_on).await,
        StageName::FinishSchema => stages::finish_schema(ctx).await,
        StageName::CatchUp => stages::catch_up(ctx, Direction::Forward).await,
        StageName::Verify => stages::verify(ctx).await,
        StageName::Reverse => stages::reverse(ctx, goes_on).await,
        StageName::Approval => serving::approval(ctx, goes_on).await,
        StageName::Switch => serving::switch(ctx).await,
        StageName::Soak => serving::soak(ctx, goes_on).await,
        StageName::Finalize => serving::finalize(ctx).await,
    }
}

async fn hold_while_paused(ctx: &WorkflowContext<Migration>) -> Result<(), Stop> {
    if ctx.state(|m| m.state.paused) {
        ctx.state_mut(|m| {
            let next = format!("changeover resume {}", m.state.spec.name);
            m.state.set(Phase::Waiting, "paused; replication goes on", "a person: resume", &next);
        });
        until_said(ctx, Rest::Paused, |s| !s.paused || stop_wanted(s)).await.map_err(Stop::Termination)?;
    }
    if ctx.state(|m| stop_wanted(&m.state)) { Err(stop_asked(ctx)) } else { Ok(()) }
}

/// Preflight's refusal ends the migration, since nothing was changed; any other failure parks it.
async fn after_failure(ctx: &WorkflowContext<Migration>, failure: &Failure) -> Step {
    let untouched = ctx.state(|m| {
        m.state.stage == StageName::Preflight && m.state.regime == Regime::default() && m.state.aws.is_none()
    });
    if untouched && failure.code == stages::BLOCKED {
        ctx.state_mut(|m| {
            m.state.park(failure);
            m.state.status.next_command = "mend what preflight found, then start again".to_owned();
        });
        return Step::End(Phase::Refused);
    }
    park(ctx, failure).await
}

/// Parks until a person says retry, abort, rollback, or that the source is lost.
pub(super) async fn park(ctx: &WorkflowContext<Migration>, failure: &Failure) -> Step {
    ctx.state_mut(|m| {
        m.state.asked.retry = None;
        m.state.park(failure);
    });
    rest(ctx).await
}

async fn rest(ctx: &WorkflowContext<Migration>) -> Step {
    if let Err(termination) = until_said(ctx, Rest::Parked, |s| s.asked.retry.is_some() || stop_wanted(s)).await {
        return Step::Leave(termination);
    }
    match serving::settle(ctx).await {
        Ok(None) => {}
        Ok(Some(step)) => return step,
        Err(failure) => {
            ctx.state_mut(|m| m.state.forget_what_was_asked("it isn't known which side serves"));
            return Box::pin(park(ctx, &failure)).await;
        }
    }
    if ctx.state(|m| m.state.asked.abort.is_some()) {
        return Box::pin(unwind::unwind(ctx)).await;
    }
    if ctx.state(|m| m.state.asked.rollback.is_some()) {
        return Box::pin(serving::roll_back(ctx)).await;
    }
    if ctx.state(|m| m.state.source_given_up()) {
        return serving::give_up_source(ctx);
    }
    if let Some(failure) = ctx.state_mut(|m| m.state.asked.wal_is_full.take()) {
        // More urgent than what it had parked for, which `retry` will meet again.
        return Box::pin(park(ctx, &failure)).await;
    }
    ctx.state_mut(|m| {
        m.state.asked.retry = None;
        m.state.status.failure = None;
        Step::To(serving::stage_to_retry(&m.state))
    })
}

fn end(ctx: &WorkflowContext<Migration>, phase: Phase) -> MigrationOutcome {
    tick(ctx);
    ctx.state_mut(|m| {
        m.state.ended = true;
        let failure = m.state.status.failure.take();
        let (doing, next) = match phase {
            Phase::Finished => ("finished: the target serves, nothing is left of the migration", String::new()),
            Phase::Aborted => ("aborted: the source serves as before, nothing is left of the migration", String::new()),
            _ => ("refused by preflight: nothing was changed", m.state.status.next_command.clone()),
        };
        m.state.set(phase, doing, "", &next);
        if phase == Phase::Refused {
            m.state.status.failure = failure;
        }
        m.state.record(super::state::ITSELF, "ended", doing);
        MigrationOutcome { status: m.state.view(), history: m.state.history() }
    })
}
