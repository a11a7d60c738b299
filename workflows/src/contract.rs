//! What the workflow asks of the world. Names are pinned: they stand in the histories of running migrations.
//!
//! Every activity may run twice, at any point: it observes, acts if need be, observes again. Failures travel as the details
//! of an application failure whose type is the failure's code.

use changeover_domain::{
    Direction, Side,
    aws::{
        provision::{AwsFacts, AwsStep},
        undo::AwsUndo,
    },
    proto::{LinkHealth, PreflightReport, Progress, Spec, SwitchRecord, VerifyTotals},
    undo::Undo,
};
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// What an activity did or found, in words with figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// For people.
    pub detail: String,
    /// Which attempt of Temporal's it was.
    #[serde(default)]
    pub attempt: u32,
    /// What a person should know and what doesn't stop the run: each a code, a space and the words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The outcome of the roles stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RolesDone {
    /// What was done.
    pub evidence: Evidence,
    /// Roles that log in and for which the spec refers to no password.
    #[serde(default)]
    pub without_password: Vec<String>,
}

/// One look at the initial copy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SyncLook {
    /// Bytes, rows and tables; rate and ETA are the workflow's.
    pub progress: Progress,
    /// Every table is copied and streaming.
    pub ready: bool,
    /// What is wrong, in words; a person has to look when it stays.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// A spec and a direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Directed {
    /// The spec.
    pub spec: Spec,
    /// The direction.
    pub direction: Direction,
    /// A look at replication that answers only when something has come about, or this is over; absent for one that answers at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
}

/// How long to watch, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// At most so long.
    pub seconds: u64,
    /// Until a slot holds back more bytes of WAL than this.
    pub held_bytes: u64,
}

/// One look at replication in one direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HealthLook {
    /// One per database.
    pub links: Vec<LinkHealth>,
}

/// One look at the schema of the side that serves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DriftLook {
    /// The first changes since the baseline, in words.
    pub changes: Vec<String>,
    /// How many there are.
    pub total: u64,
}

/// One attempt to switch. A second run with the same epoch finishes or undoes what the first one did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwitchInput {
    /// The spec.
    pub spec: Spec,
    /// Which side opens.
    pub direction: Direction,
    /// The attempt's own epoch, never used before.
    pub epoch: u64,
    /// Begin nothing: only bring an attempt of this epoch to its end, whose outcome isn't known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settle: bool,
    /// RFC 3339: when the last comparison of all rows without a difference began; absent when there is none that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<String>,
}

/// What may follow a switch at leisure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HousekeepingInput {
    /// The spec.
    pub spec: Spec,
    /// Which side was opened.
    pub direction: Direction,
    /// The epoch that opened it.
    pub epoch: u64,
}

/// One undo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UndoInput {
    /// The spec.
    pub spec: Spec,
    /// What to undo.
    pub undo: Undo,
}

/// The steps of finalize, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalizeStep {
    /// Both directions, once the last write of the target has reached the source.
    RemoveReplication,
    /// DDL guards and quieted triggers.
    RestoreTriggers,
    /// Nodes, sets, extension, rights.
    RemoveEngine,
    /// Memberships that the login gave itself.
    TakeBackMemberships,
    /// The home schema of both sides.
    RemoveHome,
    /// Looks for anything left.
    ProveClean,
}

impl FinalizeStep {
    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            FinalizeStep::RemoveReplication => "remove_replication",
            FinalizeStep::RestoreTriggers => "restore_triggers",
            FinalizeStep::RemoveEngine => "remove_engine",
            FinalizeStep::TakeBackMemberships => "take_back_memberships",
            FinalizeStep::RemoveHome => "remove_home",
            FinalizeStep::ProveClean => "prove_clean",
        }
    }
}

/// All steps of finalize, in order.
pub const FINALIZE_STEPS: [FinalizeStep; 6] = [
    FinalizeStep::RemoveReplication,
    FinalizeStep::RestoreTriggers,
    FinalizeStep::RemoveEngine,
    FinalizeStep::TakeBackMemberships,
    FinalizeStep::RemoveHome,
    FinalizeStep::ProveClean,
];

/// One step of finalize.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinalizeInput {
    /// The spec.
    pub spec: Spec,
    /// The step.
    pub step: FinalizeStep,
    /// A person has said that the source is gone for good: only the target is cleared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub source_is_lost: bool,
}

/// A step of the AWS half.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AwsInput {
    /// The spec.
    pub spec: Spec,
    /// The step.
    pub step: AwsStep,
    /// What is known by the steps before it.
    pub facts: AwsFacts,
    /// The side that serves.
    pub serving: Side,
    /// When the target was opened, seconds since 1970; 0 before the switch.
    #[serde(default)]
    pub switched_at: i64,
    /// The instance that the approval of a deletion names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub named: String,
    /// Until when the approval counts that the step is done by, RFC 3339; empty where it needs none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub approved_until: String,
    /// A publication is followed by its deployment within the same call: what runs from before do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deploys: bool,
}

/// What a step would do, with nothing changed yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AwsPlanned {
    /// What undoes it, to be kept before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<AwsUndo>,
    /// What is known now.
    pub facts: AwsFacts,
    /// What a person has to approve first, in words for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<String>,
}

/// How far a step is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AwsDone {
    /// What was done or found, for people.
    pub detail: String,
    /// What is known now.
    pub facts: AwsFacts,
    /// What it waits for; it is called again by a durable timer. Absent when it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_on: Option<String>,
    /// What a person should know and what doesn't stop the run: each a code, a space and the words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One undo of the AWS half.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AwsUndoInput {
    /// The spec.
    pub spec: Spec,
    /// The run that took the source.
    pub run: String,
    /// What to undo.
    pub undo: AwsUndo,
}

/// How far an undo is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AwsUndone {
    /// What was done or found, for people.
    pub detail: String,
    /// What it waits for; it is called again by a durable timer. Absent when it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_on: Option<String>,
    /// The instance whose next reboot brings it into force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_reboot: Option<String>,
}

/// The contract: declarations without bodies; the worker implements them.
pub struct Contract;

#[activity_definitions]
impl Contract {
    /// Reads both sides; changes nothing.
    #[activity(name = "preflight")]
    pub fn preflight(spec: Spec) -> Result<PreflightReport, anyhow::Error> {
        unimplemented!()
    }
    /// The home schema on both sides.
    #[activity(name = "ensure_home")]
    pub fn ensure_home(spec: Spec) -> Result<Evidence, anyhow::Error> {
        unimplemented!()
    }
    /// Roles on the target, closed.
    #[activity(name = "ensure_roles")]
    pub fn ensure_roles(spec: Spec) -> Result<RolesDone, anyhow::Error> {
        unimplemented!()
    }
    /// The schema with its keys.
    #[activity(name = "ensure_schema")]
    pub fn ensure_schema(spec: Spec) -> Result<Evidence, anyhow::Error> {
        unimplemented!()
    }
    /// Forward replication with the initial copy begun; the schema's baseline; the DDL guard.
    #[activity(name = "ensure_forward")]
    pub fn ensure_forward(spec: Spec) -> Result<Evidence, anyhow::Error> {
        unimplemented!()
    }
    /// One look at the copy.
    #[activity(name = "look_at_sync")]
    pub fn look_at_sync(spec: Spec) -> Result<SyncLook, anyhow::Error> {
        unimplemented!()
    }
    /// Indexes, constraints, triggers, statistics.
    #[activity(name = "finish_schema")]
    pub fn finish_schema(spec: Spec) -> Result<Evidence, anyhow::Error> {
        unimplemented!()
    }
    /// One look at replication, a canary row through it included.
    #[activity(name = "look_at_links")]
    pub fn look_at_links(input: Directed) -> Result<HealthLook, anyhow::Error> {
        unimplemented!()
    }
    /// One look for DDL on the side that `direction` comes from.
    #[activity(name = "look_for_drift")]
    pub fn look_for_drift(input: Directed) -> Result<DriftLook, anyhow::Error> {
        unimplemented!()
    }
    /// Every row of every table.
    #[activity(name = "verify")]
    pub fn verify(input: Directed) -> Result<VerifyTotals, anyhow::Error> {
        unimplemented!()
    }
    /// Reverse replication.
    #[activity(name = "ensure_reverse")]
    pub fn ensure_reverse(spec: Spec) -> Result<Evidence, anyhow::Error> {
        unimplemented!()
    }
    /// Fence, drain, prove, open, move traffic.
    #[activity(name = "switch")]
    pub fn switch(input: SwitchInput) -> Result<SwitchRecord, anyhow::Error> {
        unimplemented!()
    }
    /// After a switch: the closed side has no sessions left, old markers and notes go, the link back is tried, the schema of
    /// the side that serves is remembered. Its failure touches neither traffic nor the switch.
    #[activity(name = "housekeeping")]
    pub fn housekeeping(input: HousekeepingInput) -> Result<Evidence, anyhow::Error> {
        unimplemented!()
    }
    /// Makes sure that something isn't there.
    #[activity(name = "undo")]
    pub fn undo(input: UndoInput) -> Result<Evidence, anyhow::Error> {
        unimplemented!()
    }
    /// A step of finalize.
    #[activity(name = "finalize")]
    pub fn finalize(input: FinalizeInput) -> Result<Evidence, anyhow::Error> {
        unimplemented!()
    }
    /// What a step of the AWS half would do; changes nothing.
    #[activity(name = "aws_plan")]
    pub fn aws_plan(input: AwsInput) -> Result<AwsPlanned, anyhow::Error> {
        unimplemented!()
    }
    /// Brings a step of the AWS half nearer to its end.
    #[activity(name = "aws_act")]
    pub fn aws_act(input: AwsInput) -> Result<AwsDone, anyhow::Error> {
        unimplemented!()
    }
    /// Makes sure that something isn't there, or is as it was, in AWS.
    #[activity(name = "aws_undo")]
    pub fn aws_undo(input: AwsUndoInput) -> Result<AwsUndone, anyhow::Error> {
        unimplemented!()
    }
}

/// The names of all activities.
pub const ACTIVITIES: [&str; 18] = [
    "preflight",
    "ensure_home",
    "ensure_roles",
    "ensure_schema",
    "ensure_forward",
    "look_at_sync",
    "finish_schema",
    "look_at_links",
    "look_for_drift",
    "verify",
    "ensure_reverse",
    "switch",
    "housekeeping",
    "undo",
    "finalize",
    "aws_plan",
    "aws_act",
    "aws_undo",
];

pub use contract::{
    AwsAct, AwsPlan, AwsUndo as AwsUndoActivity, EnsureForward, EnsureHome, EnsureReverse, EnsureRoles, EnsureSchema,
    Finalize, FinishSchema, Housekeeping, LookAtLinks, LookAtSync, LookForDrift, Preflight, Switch,
    Undo as UndoActivity, Verify,
};

#[cfg(test)]
mod tests {
    use super::ACTIVITIES;

    #[test]
    fn no_activity_is_missing_from_the_list() {
        let declared = include_str!("contract.rs").lines().filter_map(|line| {
            let name = line.trim().strip_prefix("#[activity(name = \"")?;
            Some(name.split('"').next().unwrap_or(name))
        });
        assert_eq!(declared.collect::<Vec<_>>(), ACTIVITIES);
    }
}
