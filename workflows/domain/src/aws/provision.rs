//! What the AWS half does before anything is replicated, step by step, and what it knows by then.

use serde::{Deserialize, Serialize};

use super::{
    AwsNames,
    network::Ends,
    parameter_plan::ParameterPlan,
    parameters::Sizing,
    stored::{RoleSecret, role_secrets},
    undo::{AwsUndo, Kind},
};
use crate::{
    Side,
    proto::{Aws, Endpoint, SecretRef, Spec, secret_ref::From},
};

/// A step of the stage `provision`, or one that follows it; in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwsStep {
    /// Who we are in each account, and where the source is.
    Look,
    /// Takes the source for this migration.
    Claim,
    /// The key of the target.
    Key,
    /// The source's parameters.
    SourceParameters,
    /// The reboot by which they come into force.
    Reboot,
    /// The target's parameter group.
    TargetParameters,
    /// The target's option group.
    Options,
    /// The peering of the two networks, where the spec has them joined.
    Peering,
    /// Routes over it, and rules that let each side in.
    Ways,
    /// The master password of the target.
    Secret,
    /// The target.
    Instance,
    /// The empty databases on it, and the login for replication.
    Databases,
    /// Secrets for applications, once the roles have their passwords, where the spec asks for them.
    RoleSecrets,
    /// The target is marked as one that serves.
    Served,
    /// The endpoint of the side that serves.
    Publish,
    /// Deployments read it.
    Deploy,
    /// CloudWatch's metrics of the target, beside what was usual for the source.
    Watch,
    /// The source's last snapshot.
    FinalSnapshot,
    /// The old instance is stopped.
    Stop,
    /// The old instance is deleted.
    Delete,
    /// The reboot by which an abort's parameters come into force.
    RebootBack,
}

/// Those of the stage `provision`.
pub const PROVISION: [AwsStep; 12] = [
    AwsStep::Look,
    AwsStep::Claim,
    AwsStep::Key,
    AwsStep::SourceParameters,
    AwsStep::Reboot,
    AwsStep::TargetParameters,
    AwsStep::Options,
    AwsStep::Peering,
    AwsStep::Ways,
    AwsStep::Secret,
    AwsStep::Instance,
    AwsStep::Databases,
];

impl AwsStep {
    /// The word for failpoints, status and the audit trail.
    pub fn word(self) -> &'static str {
        match self {
            AwsStep::Look => "look",
            AwsStep::Claim => "claim",
            AwsStep::Key => "key",
            AwsStep::SourceParameters => "source_parameters",
            AwsStep::Reboot => "reboot",
            AwsStep::TargetParameters => "target_parameters",
            AwsStep::Options => "options",
            AwsStep::Peering => "peering",
            AwsStep::Ways => "ways",
            AwsStep::Secret => "secret",
            AwsStep::RoleSecrets => "role_secrets",
            AwsStep::Instance => "instance",
            AwsStep::Databases => "databases",
            AwsStep::Served => "served",
            AwsStep::Publish => "publish",
            AwsStep::Deploy => "deploy",
            AwsStep::Watch => "watch",
            AwsStep::FinalSnapshot => "final_snapshot",
            AwsStep::Stop => "stop",
            AwsStep::Delete => "delete",
            AwsStep::RebootBack => "reboot_back",
        }
    }
    /// For people: what it is doing.
    pub fn doing(self) -> &'static str {
        match self {
            AwsStep::Look => "looking into both accounts",
            AwsStep::Claim => "taking the source for this migration",
            AwsStep::Key => "making sure of the key",
            AwsStep::SourceParameters => "setting the source's parameters",
            AwsStep::Reboot | AwsStep::RebootBack => "rebooting the source",
            AwsStep::TargetParameters => "making the target's parameter group",
            AwsStep::Options => "comparing option groups",
            AwsStep::Peering => "joining the two networks",
            AwsStep::Ways => "opening the ways between the two networks",
            AwsStep::Secret => "keeping a password for the target's master",
            AwsStep::RoleSecrets => "keeping secrets for applications",
            AwsStep::Instance => "making the target",
            AwsStep::Databases => "making the databases on the target",
            AwsStep::Served => "marking the target as one that serves",
            AwsStep::Publish => "publishing the endpoint",
            AwsStep::Deploy => "having deployments read the endpoint",
            AwsStep::Watch => "comparing metrics",
            AwsStep::FinalSnapshot => "taking the last snapshot of the old instance",
            AwsStep::Stop => "stopping the old instance",
            AwsStep::Delete => "deleting the old instance",
        }
    }
    /// The one after it within `provision`.
    pub fn next(self, aws: &Aws) -> Option<AwsStep> {
        let at = PROVISION.iter().position(|step| *step == self)?;
        PROVISION.iter().skip(at + 1).find(|step| step.is_taken(aws)).copied()
    }
    /// Whether a spec asks for it. The others are there in each migration, and see for themselves that nothing is to be done.
    fn is_taken(self, aws: &Aws) -> bool {
        !matches!(self, AwsStep::Peering | AwsStep::Ways) || aws.join_networks
    }
}

/// What is known of AWS by the steps that were done. Holds no secret; every step may find it as it was before that step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AwsFacts {
    /// The run that took the source: the first one of the migration.
    pub run: String,
    /// Where the source is.
    pub source: Option<(String, u16)>,
    /// The source's master, and the target's.
    pub master_user: String,
    /// The key, by ARN.
    pub key: String,
    /// What the parameters are made of, measured once: a slot that somebody else takes meanwhile asks for nothing new.
    pub sizing: Option<Sizing>,
    /// What was planned for the source's parameters.
    pub parameters: Option<ParameterPlan>,
    /// Since when the source's server ran as its reboot was planned: once that has changed, it was rebooted.
    pub running_since: Option<String>,
    /// The longest time without an answer from the source in its reboot, ms.
    pub away_ms: Option<u64>,
    /// The target's parameter group.
    pub target_group: String,
    /// The target's option group; empty for the engine's own.
    pub option_group: String,
    /// Where the two sides are in their networks, as it was when they were joined: what undoes it goes by it.
    pub ends: Option<Ends>,
    /// An earlier run of this name has left the peering: none of the network is ours to undo.
    pub joined_before: bool,
    /// Our peering of them, by id; nothing where they were joined without us.
    pub peering: Option<String>,
    /// The secret of the target's master, by ARN, and its version.
    pub secret: Option<(String, String)>,
    /// How often the target has been set right.
    pub modified: u32,
    /// Where the target is.
    pub target: Option<(String, u16)>,
    /// The version of the published parameter that was the latest before this migration; nothing while nobody has looked.
    pub version_before: Option<i64>,
    /// The latest version that this migration has published, and the value.
    pub published: Option<(i64, String)>,
}

/// The target's identifier.
pub fn target_instance(aws: &Aws, names: &AwsNames) -> String {
    match aws.made.as_ref().map(|made| made.instance.as_str()) {
        Some("") | None => names.instance(),
        Some(given) => given.to_owned(),
    }
}

/// Whether somebody is to be told of each publication.
pub fn deploys(aws: &Aws) -> bool {
    !aws.deploy.is_empty() || !aws.webhook.is_empty()
}

/// What undoes a step, known before it; the source's parameters have their own plan, and the endpoint its own version.
pub fn undo_of(step: AwsStep, spec: &Spec, names: &AwsNames) -> Vec<AwsUndo> {
    let Some(aws) = &spec.aws else { return Vec::new() };
    let (side, kind, name) = match step {
        AwsStep::RoleSecrets => {
            let undo = |it: RoleSecret| AwsUndo::Delete { side: Side::Target, kind: Kind::Secret, name: it.name };
            return role_secrets(spec).into_iter().map(undo).collect();
        }
        AwsStep::Claim => (Side::Source, Kind::Claim, aws.instance.clone()),
        AwsStep::Key if aws.made.as_ref().is_none_or(|made| made.kms_key.is_empty()) => {
            (Side::Target, Kind::Key, names.alias())
        }
        AwsStep::TargetParameters => (Side::Target, Kind::ParameterGroup, names.parameter_group(Side::Target)),
        AwsStep::Options => (Side::Target, Kind::OptionGroup, names.option_group()),
        AwsStep::Secret => (Side::Target, Kind::Secret, names.master_secret()),
        AwsStep::Instance => (Side::Target, Kind::Instance, target_instance(aws, names)),
        _ => return Vec::new(),
    };
    vec![AwsUndo::Delete { side, kind, name }]
}

/// Puts into the spec what AWS has told: addresses, and the login of the instance that was made. What the spec gives stays.
pub fn fill_in(spec: &mut Spec, facts: &AwsFacts) {
    if let (Some(endpoint), Some(address)) = (spec.source.as_mut(), &facts.source)
        && endpoint.host.is_empty()
    {
        reach(endpoint, address);
    }
    if let (Some(endpoint), Some(address)) = (spec.target.as_mut(), &facts.target) {
        reach(endpoint, address);
        endpoint.user.clone_from(&facts.master_user);
        endpoint.password = facts.secret.as_ref().map(|(arn, _)| SecretRef { from: Some(From::Made(arn.clone())) });
    }
}

fn reach(endpoint: &mut Endpoint, (host, port): &(String, u16)) {
    endpoint.host.clone_from(host);
    endpoint.port = u32::from(*port);
    if endpoint.peer_host.is_empty() {
        endpoint.peer_host.clone_from(host);
        endpoint.peer_port = u32::from(*port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MigrationId, proto::AwsTarget};

    fn names() -> AwsNames {
        AwsNames::new(&MigrationId::parse("shop").unwrap())
    }

    #[test]
    fn words_are_those_of_the_json_and_each_step_has_a_next_one() {
        for step in PROVISION {
            assert_eq!(serde_json::to_value(step).unwrap(), step.word());
            assert_eq!(step.next(&Aws::default()).is_none(), step == AwsStep::Databases);
        }
        assert_eq!(AwsStep::Publish.next(&Aws::default()), None);
    }

    #[test]
    fn networks_are_joined_only_where_the_spec_says_so() {
        let joined = Aws { join_networks: true, ..Aws::default() };
        assert_eq!(AwsStep::Options.next(&Aws::default()), Some(AwsStep::Secret));
        assert_eq!(AwsStep::Options.next(&joined), Some(AwsStep::Peering));
        assert_eq!(AwsStep::Ways.next(&joined), Some(AwsStep::Secret));
    }

    #[test]
    fn a_key_that_was_given_is_never_deleted() {
        let given = |key: &str| Aws {
            made: Some(AwsTarget { kms_key: key.into(), ..AwsTarget::default() }),
            instance: "orders".into(),
            ..Aws::default()
        };
        let undo = |key: &str| undo_of(AwsStep::Key, &Spec { aws: Some(given(key)), ..Spec::default() }, &names());
        assert_eq!(undo("alias/theirs"), []);
        let made = undo("");
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].describe(), format!("delete the key {} on the target", names().alias()));
        assert_eq!(target_instance(&given(""), &names()), names().instance());
    }

    #[test]
    fn what_is_made_stands_in_the_spec_afterwards_and_what_was_given_stays() {
        let mut spec = Spec {
            source: Some(Endpoint { host: "by-hand".into(), port: 5432, ..Endpoint::default() }),
            target: Some(Endpoint { port: 5432, ca_file: "/ca".into(), ..Endpoint::default() }),
            ..Spec::default()
        };
        let facts = AwsFacts {
            source: Some(("of-rds".into(), 1)),
            target: Some(("new".into(), 2)),
            master_user: "master".into(),
            secret: Some(("arn:secret".into(), "v".into())),
            ..AwsFacts::default()
        };
        fill_in(&mut spec, &facts);
        assert_eq!(spec.source.unwrap().host, "by-hand");
        let target = spec.target.unwrap();
        assert_eq!(
            (target.host.as_str(), target.port, target.peer_host.as_str(), target.peer_port),
            ("new", 2, "new", 2)
        );
        assert_eq!((target.user.as_str(), target.ca_file.as_str()), ("master", "/ca"));
        assert_eq!(target.password.unwrap().from, Some(From::Made("arn:secret".into())));
    }
}
