//! The migration workflow: handlers here, the way through the stages in the modules.

mod aws;
mod call;
mod controls;
mod drive;
mod looks;
mod patience;
mod serving;
mod stages;
mod state;
mod unwind;
mod wait;
mod watch;

use std::time::{SystemTime, UNIX_EPOCH};

use changeover_domain::proto::{Accepted, Approve, Control, History, Spec, State as Phase, Status};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult};

pub use state::{Asked, AwsState, State};

use controls::{Refusal, accepted};

/// What a migration is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MigrationInput {
    /// The spec, with all defaults filled in and references in place of secrets.
    pub spec: Spec,
    /// The hash of the plan that was read.
    pub plan_hash: String,
    /// What an earlier run of the same migration carried over; absent at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Box<State>>,
}

/// What a migration ends with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MigrationOutcome {
    /// The last status.
    pub status: Status,
    /// The whole audit trail.
    pub history: History,
}

/// The workflow.
#[workflow]
pub struct Migration {
    pub(crate) state: State,
}

fn now_of(time: Option<SystemTime>) -> SystemTime {
    time.unwrap_or(UNIX_EPOCH)
}

#[workflow_methods]
impl Migration {
    /// Takes the input in; the handlers work from the first task on.
    #[init]
    pub fn new(ctx: &WorkflowContextView, input: MigrationInput) -> Self {
        let state = match input.carried {
            Some(carried) => *carried,
            None => State::new(input.spec, input.plan_hash, now_of(ctx.start_time())),
        };
        Self { state }
    }

    /// Drives the stages to their end.
    #[run(name = "changeover.migration")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<MigrationOutcome> {
        drive::drive(ctx).await
    }

    /// What it does and waits for.
    #[query(name = "status")]
    pub fn status(&self, _ctx: &WorkflowContextView) -> Status {
        self.state.view()
    }

    /// Who did what, when.
    #[query(name = "history")]
    pub fn history(&self, _ctx: &WorkflowContextView) -> History {
        self.state.history()
    }

    #[update_validator(approve)]
    fn validate_approve(&self, _ctx: &WorkflowContextView, approve: &Approve) -> Result<(), Refusal> {
        self.state.check_approve(approve)
    }
    /// Keeps a named person's approval.
    #[update(name = "approve")]
    pub fn approve(&mut self, ctx: &mut SyncWorkflowContext<Self>, approve: Approve) -> Result<Accepted, Refusal> {
        self.tick(ctx.workflow_time());
        // Again, by the clock: a validator can't see the time.
        self.state.check_approve(&approve)?;
        self.state.approve(approve);
        serving::say_again(&mut self.state);
        Ok(accepted("approved"))
    }
    /// The same by signal; a refusal goes into the audit trail.
    #[signal(name = "approve")]
    pub fn approve_signal(&mut self, ctx: &mut SyncWorkflowContext<Self>, approve: Approve) {
        self.tick(ctx.workflow_time());
        match self.state.check_approve(&approve) {
            Ok(()) => {
                self.state.approve(approve);
                serving::say_again(&mut self.state);
            }
            Err(refusal) => self.state.record(&approve.approver.clone(), "refused", refusal.to_string()),
        }
    }

    #[update_validator(cutover)]
    fn validate_cutover(&self, _ctx: &WorkflowContextView, control: &Control) -> Result<(), Refusal> {
        self.state.check_cutover(control)
    }
    /// Switches traffic to the target.
    #[update(name = "cutover")]
    pub fn cutover(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) -> Result<Accepted, Refusal> {
        self.ask(ctx.workflow_time(), "cutover", control)
    }
    /// The same by signal.
    #[signal(name = "cutover")]
    pub fn cutover_signal(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) {
        self.ask_by_signal(ctx.workflow_time(), "cutover", control);
    }

    #[update_validator(rollback)]
    fn validate_rollback(&self, _ctx: &WorkflowContextView, control: &Control) -> Result<(), Refusal> {
        self.state.check_rollback(control)
    }
    /// Switches traffic back to the source, every write of the target included.
    #[update(name = "rollback")]
    pub fn rollback(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) -> Result<Accepted, Refusal> {
        self.ask(ctx.workflow_time(), "rollback", control)
    }
    /// The same by signal.
    #[signal(name = "rollback")]
    pub fn rollback_signal(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) {
        self.ask_by_signal(ctx.workflow_time(), "rollback", control);
    }

    #[update_validator(retry)]
    fn validate_retry(&self, _ctx: &WorkflowContextView, control: &Control) -> Result<(), Refusal> {
        self.state.check_retry(control)
    }
    /// Tries the failed step again.
    #[update(name = "retry")]
    pub fn retry(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) -> Result<Accepted, Refusal> {
        self.ask(ctx.workflow_time(), "retry", control)
    }
    /// The same by signal.
    #[signal(name = "retry")]
    pub fn retry_signal(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) {
        self.ask_by_signal(ctx.workflow_time(), "retry", control);
    }

    #[update_validator(abort)]
    fn validate_abort(&self, _ctx: &WorkflowContextView, control: &Control) -> Result<(), Refusal> {
        self.state.check_abort(control)
    }
    /// Undoes everything, while the source serves.
    #[update(name = "abort")]
    pub fn abort(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) -> Result<Accepted, Refusal> {
        self.ask(ctx.workflow_time(), "abort", control)
    }
    /// The same by signal.
    #[signal(name = "abort")]
    pub fn abort_signal(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) {
        self.ask_by_signal(ctx.workflow_time(), "abort", control);
    }

    #[update_validator(finalize)]
    fn validate_finalize(&self, _ctx: &WorkflowContextView, control: &Control) -> Result<(), Refusal> {
        self.state.check_finalize(control)
    }
    /// Ends it: removes the way back.
    #[update(name = "finalize")]
    pub fn finalize(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) -> Result<Accepted, Refusal> {
        self.ask(ctx.workflow_time(), "finalize", control)
    }
    /// The same by signal.
    #[signal(name = "finalize")]
    pub fn finalize_signal(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) {
        self.ask_by_signal(ctx.workflow_time(), "finalize", control);
    }

    #[update_validator(pause)]
    fn validate_pause(&self, _ctx: &WorkflowContextView, control: &Control) -> Result<(), Refusal> {
        self.state.check_pause(control)
    }
    /// Holds it before its next stage; replication goes on.
    #[update(name = "pause")]
    pub fn pause(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) -> Result<Accepted, Refusal> {
        self.ask(ctx.workflow_time(), "pause", control)
    }
    /// The same by signal.
    #[signal(name = "pause")]
    pub fn pause_signal(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) {
        self.ask_by_signal(ctx.workflow_time(), "pause", control);
    }

    #[update_validator(resume)]
    fn validate_resume(&self, _ctx: &WorkflowContextView, control: &Control) -> Result<(), Refusal> {
        self.state.check_pause(control)
    }
    /// Lets it go on.
    #[update(name = "resume")]
    pub fn resume(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) -> Result<Accepted, Refusal> {
        self.ask(ctx.workflow_time(), "resume", control)
    }
    /// The same by signal.
    #[signal(name = "resume")]
    pub fn resume_signal(&mut self, ctx: &mut SyncWorkflowContext<Self>, control: Control) {
        self.ask_by_signal(ctx.workflow_time(), "resume", control);
    }
}

impl Migration {
    fn tick(&mut self, now: Option<SystemTime>) {
        self.state.now = now_of(now).max(self.state.now);
    }

    fn check(&self, verb: &str, control: &Control) -> Result<(), Refusal> {
        match verb {
            "cutover" => self.state.check_cutover(control),
            "rollback" => self.state.check_rollback(control),
            "retry" => self.state.check_retry(control),
            "abort" => self.state.check_abort(control),
            "finalize" => self.state.check_finalize(control),
            _ => self.state.check_pause(control),
        }
    }

    /// Takes a validated control in.
    fn ask(&mut self, now: Option<SystemTime>, verb: &str, mut control: Control) -> Result<Accepted, Refusal> {
        self.tick(now);
        // Again, by the clock: a validator can't see the time, and an approval may have expired.
        self.check(verb, &control)?;
        if let Some(approve) = control.approval.take() {
            self.state.approve(approve);
        }
        let lost = if control.source_is_lost { "the source is lost: " } else { "" };
        self.state.record(&control.actor, verb, format!("{lost}{}", control.reason));
        let asked = &mut self.state.asked;
        match verb {
            "cutover" => asked.cutover = Some(control),
            "rollback" => asked.rollback = Some(control),
            "retry" => asked.retry = Some(control),
            "abort" => asked.abort = Some(control),
            "finalize" => asked.finalize = Some(control),
            "pause" => self.state.paused = true,
            _ => self.state.paused = false,
        }
        // Said at once: an activity may be under way, and whoever asks for status next mustn't read that it still waits.
        if !matches!(verb, "pause" | "resume") {
            self.state.set(Phase::Running, &format!("told to {verb}"), "", "");
        }
        Ok(accepted(format!("{verb} accepted")))
    }

    /// A signal is checked like an update; its refusal goes into the audit trail.
    fn ask_by_signal(&mut self, now: Option<SystemTime>, verb: &str, control: Control) {
        self.tick(now);
        let actor = control.actor.clone();
        if let Err(refusal) = self.ask(now, verb, control) {
            self.state.record(&actor, "refused", format!("{verb}: {refusal}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use changeover_domain::proto::ApprovalKind;

    use super::*;

    #[test]
    fn a_clock_that_goes_back_takes_nothing_back() {
        let hour = Duration::from_secs(3_600);
        let mut migration = Migration { state: State::new(Spec::default(), "hash".to_owned(), UNIX_EPOCH) };
        let approve = Approve {
            approver: "ada".to_owned(),
            reason: "read".to_owned(),
            plan_hash: "hash".to_owned(),
            expires_at: state::time(UNIX_EPOCH + hour),
            kind: ApprovalKind::Cutover.into(),
            ..Approve::default()
        };
        migration.state.approve(approve);
        let counts = |migration: &Migration| migration.state.valid_approval(ApprovalKind::Cutover).is_ok();
        migration.tick(Some(UNIX_EPOCH + hour / 2));
        assert!(counts(&migration));
        migration.tick(Some(UNIX_EPOCH + hour * 2));
        assert!(!counts(&migration), "it has expired");
        migration.tick(Some(UNIX_EPOCH));
        assert_eq!(migration.state.now, UNIX_EPOCH + hour * 2);
        assert!(!counts(&migration), "what has expired doesn't count again");
        migration.tick(None);
        assert_eq!(migration.state.now, UNIX_EPOCH + hour * 2);
    }
}
