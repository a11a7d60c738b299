//! The order of the AWS half, and what in it waits for a person.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A step of the AWS half, in the order in which they are done. Undo stands last: it may follow any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Who we are in each account, and what is there.
    Look,
    /// Takes the source for this migration, so that no other one changes it meanwhile.
    Claim,
    /// The key of the target.
    Key,
    /// The source's parameters for replication.
    SourceParameters,
    /// The reboot by which static parameters come into force.
    Reboot,
    /// The target's parameter group.
    TargetParameters,
    /// The target's option group, where the source has options.
    Options,
    /// Peering, routes and security groups.
    Network,
    /// The master password of the target.
    Secret,
    /// A snapshot of the source, shared, and copied under the target's key.
    Seed,
    /// The target.
    Instance,
    /// The logins that applications find in the target's account.
    RoleSecrets,
    /// The endpoint, to Parameter Store.
    Publish,
    /// Metrics during soak.
    Watch,
    /// The source's last snapshot.
    FinalSnapshot,
    /// The source's end.
    Retire,
    /// What an abort does.
    Undo,
}

impl Step {
    /// The word for files, status and output.
    pub fn word(self) -> &'static str {
        match self {
            Step::Look => "look",
            Step::Claim => "claim",
            Step::Key => "key",
            Step::SourceParameters => "source_parameters",
            Step::Reboot => "reboot",
            Step::TargetParameters => "target_parameters",
            Step::Options => "options",
            Step::Network => "network",
            Step::Secret => "secret",
            Step::Seed => "seed",
            Step::Instance => "instance",
            Step::RoleSecrets => "role_secrets",
            Step::Publish => "publish",
            Step::Watch => "watch",
            Step::FinalSnapshot => "final_snapshot",
            Step::Retire => "retire",
            Step::Undo => "undo",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a call waits for, beyond the start of the migration, which a person gives after reading the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// A reboot of the source: the one blip on the way that users may notice.
    Reboot,
    /// The end of the migration; never before the target has served through its soak.
    Finalize,
    /// Stopping the old instance.
    Stop,
    /// Deleting the old instance. A person names the instance by its identifier.
    Delete,
    /// Undoing what was made, which an abort asks for.
    Abort,
}

impl Approval {
    /// The word that a person gives.
    pub fn word(self) -> &'static str {
        match self {
            Approval::Reboot => "reboot",
            Approval::Finalize => "finalize",
            Approval::Stop => "stop",
            Approval::Delete => "delete",
            Approval::Abort => "abort",
        }
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_json() {
        for step in [Step::Look, Step::SourceParameters, Step::FinalSnapshot, Step::Undo] {
            assert_eq!(serde_json::to_value(step).unwrap(), step.word());
        }
        assert_eq!(serde_json::to_value(Approval::Delete).unwrap(), Approval::Delete.word());
    }
}
