//! What people may say when. Each check is pure: the state and the words in, the refusal out.

use changeover_domain::{
    approval::{self, Expected},
    proto::{Accepted, ApprovalKind, Approve, Control, State as Phase},
    stage::StageName,
    undo::Regime,
};

use super::state::State;

/// A refusal, as the person reads it.
pub type Refusal = Box<dyn std::error::Error + Send + Sync>;

fn refuse<T>(code: &str, text: impl Into<String>) -> Result<T, Refusal> {
    Err(format!("{code} {}", text.into()).into())
}

fn named(control: &Control) -> Result<(), Refusal> {
    if control.actor.trim().is_empty() { refuse("CO0801", "the command names nobody: give --actor") } else { Ok(()) }
}

fn running(state: &State) -> Result<(), Refusal> {
    if state.ended { refuse("CO0802", "the migration has ended") } else { Ok(()) }
}

impl State {
    fn phase(&self) -> Phase {
        self.status.state()
    }

    /// An approval of the wanted kind that counts now.
    pub fn valid_approval(&self, kind: ApprovalKind) -> Result<&Approve, Vec<String>> {
        let Some(approve) = self.status.approvals.iter().find(|a| a.kind() == kind) else {
            return Err(vec![format!("there is no approval for {}", approval::word(kind))]);
        };
        approval::check(approve, &self.expected(kind)).map(|()| approve)
    }

    fn expected(&self, kind: ApprovalKind) -> Expected<'_> {
        Expected { plan_hash: &self.plan_hash, epoch: self.epoch, kind, now: self.now }
    }

    /// May this approval be kept?
    pub fn check_approve(&self, approve: &Approve) -> Result<(), Refusal> {
        running(self)?;
        let kind = approve.kind();
        let mut reasons = approval::check(approve, &self.expected(ApprovalKind::Unspecified)).err().unwrap_or_default();
        match (kind, &self.regime) {
            (ApprovalKind::Cutover, Regime::After(_)) => reasons.push("the target serves already".to_owned()),
            (ApprovalKind::Finalize | ApprovalKind::Rollback, Regime::Before(_)) => {
                reasons.push("the source still serves".to_owned())
            }
            (ApprovalKind::Stop | ApprovalKind::Delete, Regime::Before(_)) => {
                reasons.push("the source still serves".to_owned())
            }
            (ApprovalKind::Reboot | ApprovalKind::Stop | ApprovalKind::Delete, _) if self.spec.aws.is_none() => {
                reasons.push("the spec has no [aws.source]".to_owned())
            }
            (ApprovalKind::Delete, _) if self.spec.aws.as_ref().is_some_and(|aws| aws.instance != approve.object) => {
                reasons.push("it doesn't name the old instance: give --object with its identifier".to_owned())
            }
            _ => {}
        }
        if reasons.is_empty() {
            Ok(())
        } else {
            refuse("CO0803", format!("the approval is refused: {}", reasons.join("; ")))
        }
    }

    /// May it switch?
    pub fn check_cutover(&self, control: &Control) -> Result<(), Refusal> {
        running(self)?;
        named(control)?;
        if self.stage != StageName::Approval || self.phase() != Phase::Waiting {
            return refuse(
                "CO0804",
                format!("it can't cut over now: stage {}, waiting for {}", self.stage.word(), self.waiting()),
            );
        }
        self.valid_approval(ApprovalKind::Cutover)
            .map(drop)
            .or_else(|reasons| refuse("CO0803", format!("it needs an approval first: {}", reasons.join("; "))))
    }

    /// May it roll back?
    pub fn check_rollback(&self, control: &Control) -> Result<(), Refusal> {
        running(self)?;
        named(control)?;
        match (&self.regime, self.stage) {
            (Regime::Before(_), _) => {
                refuse("CO0805", "the source serves: there is nothing to roll back; `changeover abort` undoes")
            }
            (Regime::After(_), StageName::Finalize) => {
                refuse("CO0806", "finalize has begun: the way back is being removed")
            }
            _ => self.check_rollback_is_approved(control),
        }
    }

    /// An approval that comes along counts alone: who sends a bad one isn't served by an older one.
    fn check_rollback_is_approved(&self, control: &Control) -> Result<(), Refusal> {
        let checked = match &control.approval {
            Some(approve) => approval::check(approve, &self.expected(ApprovalKind::Rollback)),
            None => self.valid_approval(ApprovalKind::Rollback).map(drop),
        };
        checked.or_else(|reasons| {
            let how = format!("changeover rollback {} --approver WHO --reason WHY", self.spec.name);
            refuse("CO0803", format!("a rollback needs an approval: {}; `{how}` does both at once", reasons.join("; ")))
        })
    }

    /// May the failed stage be tried again?
    pub fn check_retry(&self, control: &Control) -> Result<(), Refusal> {
        running(self)?;
        named(control)?;
        if self.phase() == Phase::Parked {
            Ok(())
        } else {
            refuse("CO0807", "it isn't parked: there is nothing to retry")
        }
    }

    /// May everything be undone?
    pub fn check_abort(&self, control: &Control) -> Result<(), Refusal> {
        running(self)?;
        named(control)?;
        match (&self.regime, self.stage) {
            (Regime::After(_), _) => {
                refuse("CO0808", "the target serves: an abort would lose its writes; `changeover rollback` first")
            }
            (Regime::Before(_), StageName::Switch) if self.phase() != Phase::Parked => {
                refuse("CO0809", "a switch is under way: wait until it has ended")
            }
            _ => Ok(()),
        }
    }

    /// May it be finalized?
    pub fn check_finalize(&self, control: &Control) -> Result<(), Refusal> {
        running(self)?;
        named(control)?;
        let now = match (&self.regime, self.stage) {
            (Regime::After(_), _) if control.source_is_lost => true,
            (Regime::After(_), StageName::Soak) => self.phase() == Phase::Waiting,
            _ => false,
        };
        if !now {
            return refuse(
                "CO0810",
                format!("it can't be finalized now: stage {}, waiting for {}", self.stage.word(), self.waiting()),
            );
        }
        self.valid_approval(ApprovalKind::Finalize)
            .map(drop)
            .or_else(|reasons| refuse("CO0803", format!("it needs an approval first: {}", reasons.join("; "))))
    }

    /// May it pause or go on?
    pub fn check_pause(&self, control: &Control) -> Result<(), Refusal> {
        running(self)?;
        named(control)
    }

    fn waiting(&self) -> &str {
        if self.status.waiting_for.is_empty() { "nothing" } else { &self.status.waiting_for }
    }
}

/// The answer to an accepted control.
pub fn accepted(message: impl Into<String>) -> Accepted {
    Accepted { message: message.into() }
}
