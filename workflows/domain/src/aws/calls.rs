//! What is said about a call to AWS. The calls themselves stand in [`table`](super::table).

use std::fmt;

use super::{
    Condition, Resource,
    step::{Approval, Step},
};
use crate::Side;

/// A service of AWS, by the prefix of its actions in IAM
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Who we are.
    Sts,
    /// Instances, parameter groups, snapshots.
    Rds,
    /// Keys.
    Kms,
    /// Parameter Store.
    Ssm,
    /// Secrets Manager.
    SecretsManager,
    /// Metrics.
    CloudWatch,
    /// The network.
    Ec2,
    /// Roles, which are only handed on.
    Iam,
}

impl Service {
    /// The prefix of its actions.
    pub fn prefix(self) -> &'static str {
        match self {
            Service::Sts => "sts",
            Service::Rds => "rds",
            Service::Kms => "kms",
            Service::Ssm => "ssm",
            Service::SecretsManager => "secretsmanager",
            Service::CloudWatch => "cloudwatch",
            Service::Ec2 => "ec2",
            Service::Iam => "iam",
        }
    }
}

/// Whether a call leaves a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing.
    Reads,
    /// Changes, makes or deletes something.
    Changes,
    /// Isn't a call of ours: a right that AWS asks for, in our name, when it does what another call asked for.
    Implied,
}

/// In which migrations a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In each.
    Always,
    /// Where the spec gives no key.
    KeyIsMade,
    /// Where it gives one.
    KeyIsGiven,
    /// Where it gives one, and snapshots are copied under it.
    GivenKeyBySnapshot,
    /// Where the source's group is a `default.*`, which can't be changed.
    SourceGroupIsDefault,
    /// Where the source's parameters aren't what replication needs.
    ParametersDiffer,
    /// Where a static one of them isn't.
    RebootNeeded,
    /// Where the source has options.
    HasOptions,
    /// Where the two networks have to be joined.
    NetworkIsJoined,
    /// Where the initial copy is a snapshot.
    BySnapshot,
    /// Where the target begins empty, and the engine copies.
    ByCopy,
    /// Where the source is encrypted under a key of its own.
    SourceIsEncrypted,
    /// Where the target has enhanced monitoring.
    Monitored,
    /// Where the spec names a parameter.
    Published,
    /// Where the spec asks for a last snapshot.
    FinalSnapshot,
    /// Where the spec asks to stop the old instance.
    Stopped,
    /// Where the spec asks to delete the old instance.
    Deleted,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// When in the migration.
    pub step: Step,
    /// In which account, on which side.
    pub side: Side,
    /// Which service.
    pub service: Service,
    /// The action of IAM, without the prefix. The operation of the API has the same name.
    pub action: &'static str,
    /// Whether it leaves a trace.
    pub effect: Effect,
    /// In which migrations.
    pub when: When,
    /// What it waits for, beyond the start.
    pub waits: Option<Approval>,
    /// What it is done to.
    pub on: &'static [Resource],
    /// What IAM is to ask for as well.
    pub condition: Condition,
    /// Why it is made.
    pub why: &'static str,
}

impl Call {
    /// A row that reads.
    pub const fn reads(
        step: Step,
        side: Side,
        service: Service,
        action: &'static str,
        on: &'static [Resource],
        why: &'static str,
    ) -> Self {
        let (effect, when, waits, condition) = (Effect::Reads, When::Always, None, Condition::None);
        Self { step, side, service, action, effect, when, waits, on, condition, why }
    }
    /// A row that changes.
    pub const fn changes(
        step: Step,
        side: Side,
        service: Service,
        action: &'static str,
        on: &'static [Resource],
        why: &'static str,
    ) -> Self {
        Self { effect: Effect::Changes, ..Self::reads(step, side, service, action, on, why) }
    }
    /// Only in some migrations.
    #[must_use]
    pub const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }
    /// Waits for an approval.
    #[must_use]
    pub const fn waits(self, approval: Approval) -> Self {
        Self { waits: Some(approval), ..self }
    }
    /// IAM asks for more.
    #[must_use]
    pub const fn only(self, condition: Condition) -> Self {
        Self { condition, ..self }
    }
    /// No call of ours, only a right.
    #[must_use]
    pub const fn implied(self) -> Self {
        Self { effect: Effect::Implied, ..self }
    }
    /// The action as IAM writes it, such as `rds:CreateDBSnapshot`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.service.prefix(), self.action)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service.prefix(), self.action)
    }
}
