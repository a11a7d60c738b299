//! The one table of stages. `changeover plan`, status, the README and the operator's pages come from it or are checked against it.

use crate::proto::Spec;

/// The stages of a migration, in order.
pub fn stages_of(spec: &Spec) -> impl Iterator<Item = &'static Stage> {
    let has_aws = spec.aws.is_some();
    STAGES.iter().filter(move |stage| has_aws || stage.name != StageName::Provision)
}

/// Which side of the point of no return a stage lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Abort undoes everything.
    BeforeSwitch,
    /// The point of no return is inside.
    Switch,
    /// Only forward, parking, or a rollback over reverse replication.
    AfterSwitch,
}

/// What starts a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It starts by itself.
    Automatic,
    /// A named person's approval and a command.
    Approval,
}

/// The stages, in order. The names are the words used everywhere: file, status, history, CLI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageName {
    /// What AWS has to make first. Only in migrations with an AWS half.
    Provision,
    /// Reads both sides, changes nothing.
    Preflight,
    /// Roles, closed on the target.
    Roles,
    /// Schema with its keys.
    Schema,
    /// Initial copy, with the stream behind it.
    Copy,
    /// Indexes, constraints, triggers, statistics.
    FinishSchema,
    /// Until lag is small.
    CatchUp,
    /// Every row.
    Verify,
    /// The way back.
    Reverse,
    /// Waits for a person.
    Approval,
    /// The moment.
    Switch,
    /// Watches.
    Soak,
    /// Ends it.
    Finalize,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Its name.
    pub name: StageName,
    /// The word on the command line and in status.
    pub word: &'static str,
    /// A title for people.
    pub title: &'static str,
    /// What it does on the world.
    pub does: &'static str,
    /// What an abort does about it; empty when there is nothing to undo.
    pub undo: &'static str,
    /// What starts it.
    pub gate: Gate,
    /// Longest time for one attempt of its main activity, seconds; long waits are durable timers and not counted.
    pub timeout_seconds: u64,
    /// What users of the database notice.
    pub traffic: &'static str,
    /// Which side of the switch it is on.
    pub phase: Phase,
}

const DAY: u64 = 86_400;

/// The stages in order.
pub const STAGES: [Stage; 13] = [
    Stage {
        name: StageName::Provision,
        word: "provision",
        title: "Provision",
        does: "in AWS: takes the source, makes key, parameter groups, secret and the encrypted target, joins the networks if told to; the source's reboot waits for approval",
        undo: "deletes what it made, sets back what it changed; keys wait seven days or longer for their deletion",
        gate: Gate::Automatic,
        timeout_seconds: 900,
        traffic: "none, but for the source's reboot where one is needed",
        phase: Phase::BeforeSwitch,
    },
    Stage {
        name: StageName::Preflight,
        word: "preflight",
        title: "Preflight",
        does: "reads both sides and reports everything that would stop or endanger the migration; changes nothing",
        undo: "",
        gate: Gate::Automatic,
        timeout_seconds: 600,
        traffic: "none",
        phase: Phase::BeforeSwitch,
    },
    Stage {
        name: StageName::Roles,
        word: "roles",
        title: "Roles",
        does: "creates roles, memberships and settings on the target, closed: no application can log in there",
        undo: "drops the roles and settings it made, takes back memberships",
        gate: Gate::Automatic,
        timeout_seconds: 600,
        traffic: "none",
        phase: Phase::BeforeSwitch,
    },
    Stage {
        name: StageName::Schema,
        word: "schema",
        title: "Schema",
        does: "restores the schema with its primary keys and replica-identity indexes on the target",
        undo: "empties the target's databases again",
        gate: Gate::Automatic,
        timeout_seconds: 3_600,
        traffic: "none",
        phase: Phase::BeforeSwitch,
    },
    Stage {
        name: StageName::Copy,
        word: "copy",
        title: "Initial copy",
        does: "starts replication source to target, copies all rows, polls until every table is ready",
        undo: "removes subscription, slot, replication sets, nodes and the rights given for them",
        gate: Gate::Automatic,
        timeout_seconds: 3_600,
        traffic: "read load on the source",
        phase: Phase::BeforeSwitch,
    },
    Stage {
        name: StageName::FinishSchema,
        word: "finish_schema",
        title: "Finish schema",
        does: "builds indexes, constraints and triggers on the target, refreshes materialized views, analyzes",
        undo: "",
        gate: Gate::Automatic,
        timeout_seconds: 2 * DAY,
        traffic: "none",
        phase: Phase::BeforeSwitch,
    },
    Stage {
        name: StageName::CatchUp,
        word: "catch_up",
        title: "Catch-up",
        does: "waits until the target is close behind and a canary row makes its way",
        undo: "",
        gate: Gate::Automatic,
        timeout_seconds: 600,
        traffic: "none",
        phase: Phase::BeforeSwitch,
    },
    Stage {
        name: StageName::Verify,
        word: "verify",
        title: "Verify",
        does: "compares every row of every table on the live databases",
        undo: "",
        gate: Gate::Automatic,
        timeout_seconds: 7 * DAY,
        traffic: "read load on both sides",
        phase: Phase::BeforeSwitch,
    },
    Stage {
        name: StageName::Reverse,
        word: "reverse",
        title: "Reverse replication",
        does: "starts replication target to source, so that a rollback loses nothing",
        undo: "removes it again",
        gate: Gate::Automatic,
        timeout_seconds: 3_600,
        traffic: "none",
        phase: Phase::BeforeSwitch,
    },
    Stage {
        name: StageName::Approval,
        word: "approval",
        title: "Approval",
        does: "waits for a named person's approval and the cutover command, watching lag, schema and canary",
        undo: "",
        gate: Gate::Approval,
        timeout_seconds: 600,
        traffic: "none",
        phase: Phase::BeforeSwitch,
    },
    Stage {
        name: StageName::Switch,
        word: "switch",
        title: "Switch",
        does: "fences the source, drains, proves, opens the target and moves traffic, in one activity",
        undo: "an attempt that fails before the decision leaves the source as it was",
        gate: Gate::Approval,
        timeout_seconds: 120,
        traffic: "writes wait for milliseconds",
        phase: Phase::Switch,
    },
    Stage {
        name: StageName::Soak,
        word: "soak",
        title: "Soak",
        does: "watches the target while reverse replication keeps the source ready for a rollback; compares every row again",
        undo: "",
        gate: Gate::Automatic,
        timeout_seconds: 600,
        traffic: "none",
        phase: Phase::AfterSwitch,
    },
    Stage {
        name: StageName::Finalize,
        word: "finalize",
        title: "Finalize",
        does: "removes replication and everything else of the migration from both sides and proves that nothing is left; the source stays closed",
        undo: "",
        gate: Gate::Approval,
        timeout_seconds: 3_600,
        traffic: "none",
        phase: Phase::AfterSwitch,
    },
];

impl StageName {
    /// Its row of the table.
    pub fn row(self) -> &'static Stage {
        &STAGES[self as usize]
    }
    /// Its word.
    pub fn word(self) -> &'static str {
        self.row().word
    }
    /// Whether a migration has it.
    pub fn is_of(self, spec: &Spec) -> bool {
        self != StageName::Provision || spec.aws.is_some()
    }
    /// The first one that a migration has.
    pub fn first_of(spec: &Spec) -> StageName {
        if StageName::Provision.is_of(spec) { StageName::Provision } else { StageName::Preflight }
    }
    /// The stage after it.
    pub fn next(self) -> Option<StageName> {
        STAGES.get(self as usize + 1).map(|stage| stage.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_finds_its_own_row() {
        for (index, stage) in STAGES.iter().enumerate() {
            assert_eq!(stage.name as usize, index);
            assert_eq!(stage.name.row().word, stage.word);
            assert_eq!(serde_json::to_string(&stage.name).unwrap(), format!("\"{}\"", stage.word));
        }
    }

    #[test]
    fn the_switch_divides_the_table() {
        let at = STAGES.iter().position(|s| s.phase == Phase::Switch).unwrap();
        assert!(STAGES[..at].iter().all(|s| s.phase == Phase::BeforeSwitch));
        assert!(STAGES[at + 1..].iter().all(|s| s.phase == Phase::AfterSwitch));
        assert_eq!(StageName::Finalize.next(), None);
        assert_eq!(StageName::Approval.next(), Some(StageName::Switch));
    }

    #[test]
    fn nothing_after_the_switch_is_undone_by_abort() {
        assert!(STAGES.iter().filter(|s| s.phase == Phase::AfterSwitch).all(|s| s.undo.is_empty()));
    }
}
