//! Abort: the undo stack from its top to its bottom. A failed undo parks; it is never swallowed.

use changeover_domain::{
    Failure, Side,
    proto::State as Phase,
    undo::{Regime, Undo},
};
use temporalio_workflow::{WorkflowContext, WorkflowTermination};

use super::{
    Migration, aws,
    call::{Limits, call_through},
    drive::Step,
    state::{ITSELF, Rest},
    wait::until_said,
};
use crate::contract::{UndoActivity, UndoInput};

/// Pushes an undo before its act.
pub(super) fn push(ctx: &WorkflowContext<Migration>, undo: Undo) {
    ctx.state_mut(|m| {
        if let Regime::Before(stack) = &mut m.state.regime {
            stack.push(undo);
        }
    });
}

/// Undoes everything. Refuses by type once the target serves: then there is no stack to unwind.
pub(super) async fn unwind(ctx: &WorkflowContext<Migration>) -> Step {
    ctx.state_mut(|m| m.state.set(Phase::Aborting, "undoing what was done", "", ""));
    while let Some(undo) = next(ctx) {
        let what = undo.describe();
        ctx.state_mut(|m| what.clone_into(&mut m.state.status.doing));
        let input = UndoInput { spec: ctx.state(|m| m.state.spec.clone()), undo };
        match call_through(ctx, UndoActivity, input, Limits::taking_down(3_600)).await {
            Ok(evidence) => ctx.state_mut(|m| {
                if let Regime::Before(stack) = &mut m.state.regime {
                    stack.pop();
                }
                m.state.record(ITSELF, "undone", format!("{what}: {}", evidence.detail));
            }),
            Err(failure) => {
                park(ctx, &failure.during(&what));
                if let Err(termination) = wait_for_retry(ctx).await {
                    return Step::Leave(termination);
                }
            }
        }
    }
    if let Err(termination) = aws::unwind(ctx).await {
        return Step::Leave(termination);
    }
    ctx.state_mut(|m| m.state.undone());
    Step::End(Phase::Aborted)
}

/// What follows where an earlier run had parked within an abort.
pub(super) async fn rest(ctx: &WorkflowContext<Migration>) -> Step {
    match wait_for_retry(ctx).await {
        Ok(()) => unwind(ctx).await,
        Err(termination) => Step::Leave(termination),
    }
}

pub(super) fn park(ctx: &WorkflowContext<Migration>, failure: &Failure) {
    ctx.state_mut(|m| {
        m.state.asked.retry = None;
        m.state.park(failure);
        m.state.status.next_command = format!("changeover retry {}", m.state.spec.name);
    });
}

pub(super) async fn wait_for_retry(ctx: &WorkflowContext<Migration>) -> Result<(), WorkflowTermination> {
    until_said(ctx, Rest::Undoing, |s| s.asked.retry.is_some()).await?;
    ctx.state_mut(|m| {
        m.state.asked.retry = None;
        m.state.set(Phase::Aborting, "undoing what was done", "", "");
    });
    Ok(())
}

fn next(ctx: &WorkflowContext<Migration>) -> Option<Undo> {
    ctx.state(|m| match &m.state.regime {
        Regime::Before(stack) => stack.peek(),
        Regime::After(_) => None,
    })
}

/// Both sides, in the order in which their homes are made.
pub(super) const SIDES: [Side; 2] = [Side::Source, Side::Target];
