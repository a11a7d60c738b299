//! The one table of every call to AWS that a migration makes. The policies that `changeover iam-policy` prints and the plan come from
//! it, and `workers/aws` refuses to send what isn't in it.

use super::{
    Call, Condition, Resource as R, Service as S, Step, When,
    step::Approval::{Abort, Delete, Finalize, Reboot, Stop},
};
use crate::Side::{Source, Target};

const SOURCE_INSTANCE: &[R] = &[R::SourceInstance];
const TARGET_INSTANCE: &[R] = &[R::TargetInstance];
const ANY: &[R] = &[R::Any];
const OUR_GROUP: &[R] = &[R::OurParameterGroup];
const GROUPS: &[R] = &[R::OurParameterGroup, R::SourceGroup];
const OUR_OPTIONS: &[R] = &[R::OurOptionGroup];
const SNAPSHOT: &[R] = &[R::OurSnapshot];
const LAST_SNAPSHOT: &[R] = &[R::LastSnapshot, R::SourceInstance];
const SOURCE_KEY: &[R] = &[R::SourceKey];
const SNAPSHOT_OF_SOURCE: &[R] = &[R::OurSnapshot, R::SourceInstance];
const KEY: &[R] = &[R::Key];
const CLAIM: &[R] = &[R::ClaimParameter];
const PUBLISHED: &[R] = &[R::PublishedParameter];
const SECRET: &[R] = &[R::OurSecret];
const SECRETS: &[R] = &[R::OurSecret, R::RoleSecret];
const ROLE_SECRET: &[R] = &[R::RoleSecret];
const STORED_SECRET: &[R] = &[R::StoredSecret];
const STORED_PARAMETER: &[R] = &[R::StoredParameter];
const PEERING: &[R] = &[R::Peering];
const ROUTES: &[R] = &[R::RouteTable];
/// A rule that is made with tags, or revoked by its id, is asked for by itself
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>).
const SECURITY: &[R] = &[R::SecurityGroup, R::SecurityRule];
/// What a new instance is made of, each of which IAM asks for by itself
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html>).
const NEW_INSTANCE: &[R] =
    &[R::TargetInstance, R::AnyParameterGroup, R::AnyOptionGroup, R::SubnetGroup, R::OurSnapshot];

/// Every call, in the order in which a migration comes to it.
pub const CALLS: &[Call] = &[
    // Look: descriptions hold no secret, and most are asked for without a name.
    Call::reads(Step::Look, Source, S::Sts, "GetCallerIdentity", ANY, "be sure which account this is"),
    Call::reads(Step::Look, Target, S::Sts, "GetCallerIdentity", ANY, "be sure which account this is"),
    Call::reads(Step::Look, Source, S::Rds, "DescribeDBInstances", ANY, "see the source and how far it is"),
    Call::reads(Step::Look, Target, S::Rds, "DescribeDBInstances", ANY, "see the target and how far it is"),
    Call::reads(Step::Look, Source, S::Rds, "ListTagsForResource", ANY, "tell what we made from what others made"),
    Call::reads(Step::Look, Target, S::Rds, "ListTagsForResource", ANY, "tell what we made from what others made"),
    Call::reads(Step::Look, Source, S::Rds, "DescribeDBParameterGroups", ANY, "see which group the source has"),
    Call::reads(Step::Look, Target, S::Rds, "DescribeDBParameterGroups", ANY, "find the group that we made"),
    Call::reads(Step::Look, Source, S::Rds, "DescribeDBParameters", ANY, "see what replication lacks"),
    Call::reads(Step::Look, Target, S::Rds, "DescribeDBParameters", ANY, "see what replication lacks"),
    Call::reads(Step::Look, Source, S::Rds, "DescribeOptionGroups", ANY, "see the source's options"),
    Call::reads(Step::Look, Target, S::Rds, "DescribeOptionGroups", ANY, "compare the target's options"),
    Call::reads(Step::Look, Source, S::Rds, "DescribeDBSnapshots", ANY, "find the seed that we made")
        .when(When::BySnapshot),
    Call::reads(Step::Look, Source, S::Rds, "DescribeDBSnapshots", ANY, "find the last snapshot")
        .when(When::FinalSnapshot),
    Call::reads(Step::Look, Target, S::Rds, "DescribeDBSnapshots", ANY, "find the copy that we made")
        .when(When::BySnapshot),
    // The secrets that the spec names, where they are in AWS. They are read again in each step that needs one.
    Call::reads(Step::Look, Source, S::SecretsManager, "GetSecretValue", STORED_SECRET, "read what the spec refers to"),
    Call::reads(Step::Look, Source, S::Ssm, "GetParameter", STORED_PARAMETER, "read what the spec refers to"),
    Call::changes(Step::Look, Source, S::Kms, "Decrypt", &[R::KeyOfStoredSecret], "the secrets may be under a key")
        .only(Condition::OfStoredSecret)
        .implied(),
    Call::changes(
        Step::Look,
        Source,
        S::Kms,
        "Decrypt",
        &[R::KeyOfStoredParameter],
        "the parameters may be under a key",
    )
    .only(Condition::OfStoredParameter)
    .implied(),
    Call::reads(Step::Look, Target, S::SecretsManager, "GetSecretValue", STORED_SECRET, "read what the spec refers to"),
    Call::reads(Step::Look, Target, S::Ssm, "GetParameter", STORED_PARAMETER, "read what the spec refers to"),
    Call::changes(Step::Look, Target, S::Kms, "Decrypt", &[R::KeyOfStoredSecret], "the secrets may be under a key")
        .only(Condition::OfStoredSecret)
        .implied(),
    Call::changes(
        Step::Look,
        Target,
        S::Kms,
        "Decrypt",
        &[R::KeyOfStoredParameter],
        "the parameters may be under a key",
    )
    .only(Condition::OfStoredParameter)
    .implied(),
    // Claim: a parameter that can be made only once is a lock.
    Call::changes(Step::Claim, Source, S::Ssm, "PutParameter", CLAIM, "take the source for this migration alone"),
    Call::changes(Step::Claim, Source, S::Ssm, "AddTagsToResource", CLAIM, "tag the claim")
        .only(Condition::TagIsGiven)
        .implied(),
    Call::reads(Step::Claim, Source, S::Ssm, "GetParameter", CLAIM, "see who has taken the source"),
    // Key.
    Call::reads(Step::Key, Target, S::Kms, "ListAliases", ANY, "find the key that we made"),
    Call::reads(Step::Key, Target, S::Kms, "ListKeys", ANY, "find a key that was made when its answer was lost")
        .when(When::KeyIsMade),
    Call::reads(Step::Key, Target, S::Kms, "ListResourceTags", KEY, "tell our key from others").when(When::KeyIsMade),
    Call::reads(
        Step::Key,
        Target,
        S::Kms,
        "DescribeKey",
        KEY,
        "check that the key is a customer's, enabled, symmetric",
    ),
    Call::reads(Step::Key, Target, S::Kms, "GetKeyPolicy", KEY, "see who may use the key")
        .when(When::KeyIsMade)
        .only(Condition::ByKeyPolicy),
    Call::reads(Step::Key, Target, S::Kms, "GetKeyRotationStatus", KEY, "see whether the key is rotated"),
    Call::changes(Step::Key, Target, S::Kms, "CreateKey", ANY, "make the key that the target is encrypted with")
        .when(When::KeyIsMade)
        .only(Condition::TagIsGiven),
    Call::changes(Step::Key, Target, S::Kms, "TagResource", KEY, "tag the key as it is made")
        .when(When::KeyIsMade)
        .only(Condition::TagOfNewKey)
        .implied(),
    Call::changes(Step::Key, Target, S::Kms, "CreateAlias", &[R::OurAlias], "give the key a name that can be found")
        .when(When::KeyIsMade),
    Call::changes(Step::Key, Target, S::Kms, "EnableKeyRotation", KEY, "have the key rotated each year")
        .when(When::KeyIsMade)
        .only(Condition::ByKeyPolicy),
    Call::changes(Step::Key, Target, S::Kms, "PutKeyPolicy", KEY, "let the named accounts use snapshots under the key")
        .when(When::KeyIsMade)
        .only(Condition::ByKeyPolicy),
    // The source's parameters.
    Call::changes(
        Step::SourceParameters,
        Source,
        S::Rds,
        "CreateDBParameterGroup",
        OUR_GROUP,
        "`default.*` can't be changed",
    )
    .when(When::SourceGroupIsDefault),
    Call::changes(
        Step::SourceParameters,
        Source,
        S::Rds,
        "AddTagsToResource",
        OUR_GROUP,
        "tag the group as it is made",
    )
    .when(When::SourceGroupIsDefault)
    .only(Condition::TagIsGiven)
    .implied(),
    Call::changes(
        Step::SourceParameters,
        Source,
        S::Rds,
        "ModifyDBParameterGroup",
        GROUPS,
        "set what replication needs",
    )
    .when(When::ParametersDiffer),
    Call::changes(
        Step::SourceParameters,
        Source,
        S::Rds,
        "ModifyDBInstance",
        &[R::SourceInstance, R::AnyParameterGroup],
        "give the source the new group; it takes effect with the reboot",
    )
    .when(When::SourceGroupIsDefault),
    Call::changes(
        Step::Reboot,
        Source,
        S::Rds,
        "RebootDBInstance",
        SOURCE_INSTANCE,
        "bring static parameters into force; with a failover where there is a standby",
    )
    .when(When::RebootNeeded)
    .waits(Reboot),
    // The target's groups.
    Call::changes(
        Step::TargetParameters,
        Target,
        S::Rds,
        "CreateDBParameterGroup",
        OUR_GROUP,
        "make the target's group",
    ),
    Call::changes(Step::TargetParameters, Target, S::Rds, "AddTagsToResource", OUR_GROUP, "tag it as it is made")
        .only(Condition::TagIsGiven)
        .implied(),
    Call::changes(
        Step::TargetParameters,
        Target,
        S::Rds,
        "ModifyDBParameterGroup",
        OUR_GROUP,
        "set what the source has, and what replication needs",
    ),
    Call::changes(Step::Options, Target, S::Rds, "CreateOptionGroup", OUR_OPTIONS, "make the target's option group")
        .when(When::HasOptions),
    Call::changes(Step::Options, Target, S::Rds, "AddTagsToResource", OUR_OPTIONS, "tag it as it is made")
        .when(When::HasOptions)
        .only(Condition::TagIsGiven)
        .implied(),
    Call::changes(Step::Options, Target, S::Rds, "ModifyOptionGroup", OUR_OPTIONS, "give it the source's options")
        .when(When::HasOptions),
    // The network.
    Call::reads(Step::Network, Source, S::Rds, "DescribeDBSubnetGroups", ANY, "see in which network it is")
        .when(When::NetworkIsJoined),
    Call::reads(Step::Network, Target, S::Rds, "DescribeDBSubnetGroups", ANY, "see in which network it will be")
        .when(When::NetworkIsJoined),
    Call::reads(Step::Network, Source, S::Ec2, "DescribeVpcPeeringConnections", ANY, "find the peering")
        .when(When::NetworkIsJoined),
    Call::reads(Step::Network, Target, S::Ec2, "DescribeVpcPeeringConnections", ANY, "find the peering")
        .when(When::NetworkIsJoined),
    Call::reads(Step::Network, Source, S::Ec2, "DescribeVpcs", ANY, "see that the two networks don't overlap")
        .when(When::NetworkIsJoined),
    Call::reads(Step::Network, Target, S::Ec2, "DescribeVpcs", ANY, "see that the two networks don't overlap")
        .when(When::NetworkIsJoined),
    Call::reads(Step::Network, Source, S::Ec2, "DescribeVpcAttribute", ANY, "see whether names can be resolved")
        .when(When::NetworkIsJoined),
    Call::reads(Step::Network, Target, S::Ec2, "DescribeVpcAttribute", ANY, "see whether names can be resolved")
        .when(When::NetworkIsJoined),
    Call::reads(Step::Network, Source, S::Ec2, "DescribeRouteTables", ANY, "see what is routed")
        .when(When::NetworkIsJoined),
    Call::reads(Step::Network, Target, S::Ec2, "DescribeRouteTables", ANY, "see what is routed")
        .when(When::NetworkIsJoined),
    Call::reads(Step::Network, Source, S::Ec2, "DescribeSecurityGroupRules", ANY, "see what is let in")
        .when(When::NetworkIsJoined),
    Call::reads(Step::Network, Target, S::Ec2, "DescribeSecurityGroupRules", ANY, "see what is let in")
        .when(When::NetworkIsJoined),
    Call::changes(
        Step::Network,
        Target,
        S::Ec2,
        "CreateVpcPeeringConnection",
        &[R::Vpc, R::Peering],
        "ask to join the two networks",
    )
    .when(When::NetworkIsJoined),
    Call::changes(Step::Network, Target, S::Ec2, "CreateTags", PEERING, "tag it as it is made")
        .when(When::NetworkIsJoined)
        .only(Condition::TagAsMade("CreateVpcPeeringConnection"))
        .implied(),
    Call::changes(
        Step::Network,
        Source,
        S::Ec2,
        "AcceptVpcPeeringConnection",
        &[R::Vpc, R::Peering],
        "agree to join the two networks",
    )
    .when(When::NetworkIsJoined),
    Call::changes(
        Step::Network,
        Target,
        S::Ec2,
        "ModifyVpcPeeringConnectionOptions",
        PEERING,
        "resolve names to inner addresses",
    )
    .when(When::NetworkIsJoined),
    Call::changes(
        Step::Network,
        Source,
        S::Ec2,
        "ModifyVpcPeeringConnectionOptions",
        PEERING,
        "resolve names to inner addresses",
    )
    .when(When::NetworkIsJoined),
    Call::changes(Step::Network, Source, S::Ec2, "CreateRoute", ROUTES, "the way to the target")
        .when(When::NetworkIsJoined),
    Call::changes(Step::Network, Target, S::Ec2, "CreateRoute", ROUTES, "the way to the source")
        .when(When::NetworkIsJoined),
    Call::changes(Step::Network, Source, S::Ec2, "AuthorizeSecurityGroupIngress", SECURITY, "let the target in")
        .when(When::NetworkIsJoined),
    Call::changes(Step::Network, Target, S::Ec2, "AuthorizeSecurityGroupIngress", SECURITY, "let the source in")
        .when(When::NetworkIsJoined),
    Call::changes(Step::Network, Source, S::Ec2, "CreateTags", &[R::Any], "tag the rule as it is made")
        .when(When::NetworkIsJoined)
        .only(Condition::TagAsMade("AuthorizeSecurityGroupIngress"))
        .implied(),
    Call::changes(Step::Network, Target, S::Ec2, "CreateTags", &[R::Any], "tag the rule as it is made")
        .when(When::NetworkIsJoined)
        .only(Condition::TagAsMade("AuthorizeSecurityGroupIngress"))
        .implied(),
    // The master's password, made by AWS and kept there.
    Call::reads(Step::Secret, Target, S::SecretsManager, "GetRandomPassword", ANY, "have AWS make a password"),
    Call::reads(Step::Secret, Target, S::SecretsManager, "DescribeSecret", SECRET, "find the secret that we made"),
    Call::reads(
        Step::Secret,
        Target,
        S::SecretsManager,
        "GetSecretValue",
        SECRETS,
        "give the new instance its password; see whether an application's login is right already",
    )
    .only(Condition::TagIsThere),
    Call::changes(
        Step::Secret,
        Target,
        S::SecretsManager,
        "CreateSecret",
        SECRET,
        "keep the master's password under the key",
    ),
    Call::changes(
        Step::Secret,
        Target,
        S::SecretsManager,
        "RestoreSecret",
        SECRETS,
        "take those back that an abort before has given seven days",
    )
    .only(Condition::TagIsThere),
    Call::changes(Step::Secret, Target, S::SecretsManager, "TagResource", SECRET, "tag it as it is made")
        .only(Condition::TagIsGiven)
        .implied(),
    Call::changes(
        Step::Secret,
        Target,
        S::SecretsManager,
        "UpdateSecret",
        SECRETS,
        "set those right that an earlier run has made: under its key, or with another password",
    )
    .only(Condition::TagIsThere),
    // The seed.
    Call::changes(Step::Seed, Source, S::Rds, "CreateDBSnapshot", SNAPSHOT_OF_SOURCE, "what the target begins with")
        .when(When::BySnapshot),
    // IAM's pages don't say whether a snapshot's tags are asked for on it or on its instance: on both.
    Call::changes(Step::Seed, Source, S::Rds, "AddTagsToResource", SNAPSHOT_OF_SOURCE, "tag it as it is made")
        .when(When::BySnapshot)
        .only(Condition::TagIsGiven)
        .implied(),
    Call::reads(Step::Seed, Source, S::Rds, "DescribeDBSnapshotAttributes", ANY, "see whom it is shared with")
        .when(When::BySnapshot),
    Call::changes(
        Step::Seed,
        Source,
        S::Rds,
        "ModifyDBSnapshotAttribute",
        SNAPSHOT,
        "share it with the target's account alone",
    )
    .when(When::BySnapshot),
    Call::changes(
        Step::Seed,
        Target,
        S::Rds,
        "CopyDBSnapshot",
        &[R::OurSnapshot, R::SharedSnapshot],
        "encrypt it under the target's key",
    )
    .when(When::BySnapshot),
    Call::changes(Step::Seed, Target, S::Rds, "AddTagsToResource", SNAPSHOT, "tag it as it is made")
        .when(When::BySnapshot)
        .only(Condition::TagIsGiven)
        .implied(),
    // A copy of an encrypted snapshot is read under the source's key, by RDS in our name.
    Call::reads(Step::Seed, Target, S::Kms, "DescribeKey", SOURCE_KEY, "the copy is read under the source's key")
        .when(When::SourceIsEncrypted),
    Call::changes(Step::Seed, Target, S::Kms, "CreateGrant", SOURCE_KEY, "the copy is read under the source's key")
        .when(When::SourceIsEncrypted)
        .only(Condition::GrantForAws)
        .implied(),
    Call::changes(Step::Seed, Target, S::Kms, "Decrypt", SOURCE_KEY, "the copy is read under the source's key")
        .when(When::SourceIsEncrypted)
        .only(Condition::ViaServices)
        .implied(),
    // RDS takes the key in the name of whoever calls it
    // (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.Encryption.Keys.html>). The key that we make says so itself.
    Call::changes(Step::Instance, Target, S::Kms, "CreateGrant", KEY, "RDS encrypts with the key")
        .when(When::KeyIsGiven)
        .only(Condition::GrantForAws)
        .implied(),
    Call::changes(
        Step::Instance,
        Target,
        S::Kms,
        "Encrypt",
        KEY,
        "encryption by RDS, Parameter Store, Secrets Manager",
    )
    .when(When::KeyIsGiven)
    .only(Condition::ViaServices)
    .implied(),
    Call::changes(
        Step::Instance,
        Target,
        S::Kms,
        "Decrypt",
        KEY,
        "encryption by RDS, Parameter Store, Secrets Manager",
    )
    .when(When::KeyIsGiven)
    .only(Condition::ViaServices)
    .implied(),
    Call::changes(Step::Instance, Target, S::Kms, "GenerateDataKey", KEY, "encryption by Secrets Manager")
        .when(When::KeyIsGiven)
        .only(Condition::ViaServices)
        .implied(),
    Call::changes(Step::Instance, Target, S::Kms, "GenerateDataKeyWithoutPlaintext", KEY, "encryption by RDS")
        .when(When::KeyIsGiven)
        .only(Condition::ViaServices)
        .implied(),
    Call::changes(Step::Instance, Target, S::Kms, "ReEncryptFrom", KEY, "copies of snapshots under the key")
        .when(When::GivenKeyBySnapshot)
        .only(Condition::ViaServices)
        .implied(),
    Call::changes(Step::Instance, Target, S::Kms, "ReEncryptTo", KEY, "copies of snapshots under the key")
        .when(When::GivenKeyBySnapshot)
        .only(Condition::ViaServices)
        .implied(),
    // The target.
    Call::changes(
        Step::Instance,
        Target,
        S::Rds,
        "RestoreDBInstanceFromDBSnapshot",
        NEW_INSTANCE,
        "make the target of the copied snapshot, like the source, encrypted",
    )
    .when(When::BySnapshot),
    Call::changes(
        Step::Instance,
        Target,
        S::Rds,
        "CreateDBInstance",
        NEW_INSTANCE,
        "make the target, like the source, encrypted",
    )
    .when(When::ByCopy),
    Call::changes(Step::Instance, Target, S::Rds, "AddTagsToResource", TARGET_INSTANCE, "tag it as it is made")
        .only(Condition::TagIsGiven)
        .implied(),
    Call::changes(
        Step::Instance,
        Target,
        S::Rds,
        "ModifyDBInstance",
        &[R::TargetInstance, R::AnyParameterGroup, R::AnyOptionGroup],
        "set what a restore doesn't take: backups, monitoring, windows, the master's password",
    ),
    Call::changes(
        Step::Instance,
        Target,
        S::Rds,
        "RebootDBInstance",
        TARGET_INSTANCE,
        "bring static parameters into force, where the new instance doesn't have them yet; nobody uses it",
    ),
    Call::changes(
        Step::Instance,
        Target,
        S::Iam,
        "PassRole",
        &[R::MonitoringRole],
        "the new instance's monitoring goes by this role",
    )
    .when(When::Monitored)
    .only(Condition::PassedToMonitoring)
    .implied(),
    // The seed's end.
    Call::changes(Step::Instance, Source, S::Rds, "ModifyDBSnapshotAttribute", SNAPSHOT, "take its sharing back")
        .when(When::BySnapshot),
    Call::changes(Step::Instance, Source, S::Rds, "DeleteDBSnapshot", SNAPSHOT, "the target has what was in it")
        .when(When::BySnapshot)
        .only(Condition::TagIsThere),
    Call::changes(Step::Instance, Target, S::Rds, "DeleteDBSnapshot", SNAPSHOT, "the target has what was in it")
        .when(When::BySnapshot)
        .only(Condition::TagIsThere),
    Call::changes(
        Step::Instance,
        Target,
        S::Rds,
        "AddTagsToResource",
        TARGET_INSTANCE,
        "note on it which password it has, and before the first switch that it has served",
    )
    .only(Condition::TagIsThere),
    // What applications of the target's account get.
    Call::reads(
        Step::RoleSecrets,
        Target,
        S::SecretsManager,
        "DescribeSecret",
        ROLE_SECRET,
        "find the secrets that we made",
    ),
    Call::changes(
        Step::RoleSecrets,
        Target,
        S::SecretsManager,
        "CreateSecret",
        ROLE_SECRET,
        "keep the roles' logins for applications, under the key",
    ),
    Call::changes(Step::RoleSecrets, Target, S::SecretsManager, "TagResource", ROLE_SECRET, "tag it as it is made")
        .only(Condition::TagIsGiven)
        .implied(),
    // The endpoint.
    Call::reads(Step::Publish, Target, S::Ssm, "GetParameter", PUBLISHED, "see what is published")
        .when(When::Published),
    Call::reads(Step::Publish, Target, S::Ssm, "GetParameterHistory", PUBLISHED, "see under which label")
        .when(When::Published),
    Call::reads(
        Step::Publish,
        Target,
        S::Ssm,
        "ListTagsForResource",
        PUBLISHED,
        "tell what we made from what others made",
    )
    .when(When::Published),
    Call::changes(
        Step::Publish,
        Target,
        S::Ssm,
        "PutParameter",
        PUBLISHED,
        "publish the new endpoint as a new version",
    )
    .when(When::Published),
    Call::changes(Step::Publish, Target, S::Ssm, "AddTagsToResource", PUBLISHED, "tag it as it is made")
        .when(When::Published)
        .only(Condition::TagIsGiven)
        .implied(),
    Call::changes(Step::Publish, Target, S::Ssm, "LabelParameterVersion", PUBLISHED, "name the version that holds it")
        .when(When::Published),
    // Metrics have no resource in IAM.
    Call::reads(Step::Watch, Source, S::CloudWatch, "GetMetricData", ANY, "what was usual before the switch"),
    Call::reads(Step::Watch, Target, S::CloudWatch, "GetMetricData", ANY, "what is so after it"),
    // The end of the source.
    Call::changes(
        Step::FinalSnapshot,
        Source,
        S::Rds,
        "CreateDBSnapshot",
        LAST_SNAPSHOT,
        "keep the source's last state",
    )
    .when(When::FinalSnapshot)
    .waits(Finalize),
    Call::changes(Step::FinalSnapshot, Source, S::Rds, "AddTagsToResource", LAST_SNAPSHOT, "tag it as it is made")
        .when(When::FinalSnapshot)
        .only(Condition::TagIsGiven)
        .implied(),
    Call::changes(
        Step::Retire,
        Source,
        S::Rds,
        "StopDBInstance",
        SOURCE_INSTANCE,
        "stop the old instance; AWS starts it again after seven days",
    )
    .when(When::Stopped)
    .waits(Stop),
    Call::changes(
        Step::Retire,
        Source,
        S::Rds,
        "ModifyDBInstance",
        SOURCE_INSTANCE,
        "lift the protection against deletion",
    )
    .when(When::Deleted)
    .waits(Delete),
    Call::changes(
        Step::Retire,
        Source,
        S::Rds,
        "DeleteDBInstance",
        SOURCE_INSTANCE,
        "delete the old instance, keeping its automated backups",
    )
    .when(When::Deleted)
    .waits(Delete),
    // Undo, last made first. IAM lets us delete only what carries the tag, but for what has none: routes, rules and labels. What belonged
    // to others is set back under its name alone.
    Call::changes(Step::Undo, Target, S::Ssm, "DeleteParameter", PUBLISHED, "the parameter that we made")
        .when(When::Published)
        .only(Condition::TagIsThere)
        .waits(Abort),
    Call::changes(Step::Undo, Target, S::Ssm, "PutParameter", PUBLISHED, "the version before ours, written again")
        .when(When::Published)
        .waits(Abort),
    Call::changes(Step::Undo, Target, S::Ssm, "UnlabelParameterVersion", PUBLISHED, "the label that we gave")
        .when(When::Published)
        .waits(Abort),
    Call::changes(Step::Undo, Target, S::Rds, "DeleteDBInstance", TARGET_INSTANCE, "the target that we made")
        .only(Condition::TagIsThere)
        .waits(Abort),
    Call::changes(Step::Undo, Target, S::Rds, "ModifyDBInstance", TARGET_INSTANCE, "lift its protection, before that")
        .waits(Abort),
    Call::changes(Step::Undo, Target, S::Rds, "DeleteDBSnapshot", SNAPSHOT, "the copy that we made")
        .when(When::BySnapshot)
        .only(Condition::TagIsThere)
        .waits(Abort),
    Call::changes(Step::Undo, Source, S::Rds, "DeleteDBSnapshot", SNAPSHOT, "the snapshot that we made")
        .when(When::BySnapshot)
        .only(Condition::TagIsThere)
        .waits(Abort),
    Call::changes(Step::Undo, Source, S::Rds, "ModifyDBSnapshotAttribute", SNAPSHOT, "take its sharing back")
        .when(When::BySnapshot)
        .waits(Abort),
    Call::changes(
        Step::Undo,
        Target,
        S::SecretsManager,
        "DeleteSecret",
        SECRETS,
        "the secrets that we made, after their seven days of recovery",
    )
    .only(Condition::TagIsThere)
    .waits(Abort),
    Call::changes(Step::Undo, Source, S::Ec2, "RevokeSecurityGroupIngress", SECURITY, "the rule that we made")
        .when(When::NetworkIsJoined)
        .waits(Abort),
    Call::changes(Step::Undo, Target, S::Ec2, "RevokeSecurityGroupIngress", SECURITY, "the rule that we made")
        .when(When::NetworkIsJoined)
        .waits(Abort),
    Call::changes(Step::Undo, Source, S::Ec2, "DeleteRoute", ROUTES, "the route that we made")
        .when(When::NetworkIsJoined)
        .waits(Abort),
    Call::changes(Step::Undo, Target, S::Ec2, "DeleteRoute", ROUTES, "the route that we made")
        .when(When::NetworkIsJoined)
        .waits(Abort),
    Call::changes(Step::Undo, Target, S::Ec2, "DeleteVpcPeeringConnection", PEERING, "the peering that we made")
        .when(When::NetworkIsJoined)
        .only(Condition::TagIsThere)
        .waits(Abort),
    Call::changes(Step::Undo, Target, S::Rds, "DeleteOptionGroup", OUR_OPTIONS, "the option group that we made")
        .when(When::HasOptions)
        .only(Condition::TagIsThere)
        .waits(Abort),
    Call::changes(Step::Undo, Target, S::Rds, "DeleteDBParameterGroup", OUR_GROUP, "the group that we made")
        .only(Condition::TagIsThere)
        .waits(Abort),
    Call::changes(
        Step::Undo,
        Source,
        S::Rds,
        "ModifyDBInstance",
        &[R::SourceInstance, R::AnyParameterGroup],
        "give the source the group that it had",
    )
    .when(When::SourceGroupIsDefault)
    .waits(Abort),
    Call::changes(
        Step::Undo,
        Source,
        S::Rds,
        "ModifyDBParameterGroup",
        GROUPS,
        "set the parameters back that had a value",
    )
    .when(When::ParametersDiffer)
    .waits(Abort),
    Call::changes(Step::Undo, Source, S::Rds, "ResetDBParameterGroup", GROUPS, "set the parameters back that had none")
        .when(When::ParametersDiffer)
        .waits(Abort),
    Call::changes(Step::Undo, Source, S::Rds, "DeleteDBParameterGroup", OUR_GROUP, "the group that we made")
        .when(When::SourceGroupIsDefault)
        .only(Condition::TagIsThere)
        .waits(Abort),
    Call::changes(Step::Undo, Target, S::Kms, "DeleteAlias", &[R::OurAlias], "the alias that we gave")
        .when(When::KeyIsMade)
        .waits(Abort),
    // Whatever uses the key is looked for first. None of these has a resource in IAM but the last.
    Call::reads(Step::Undo, Target, S::Rds, "DescribeDBInstanceAutomatedBackups", ANY, "see whether one needs the key")
        .when(When::KeyIsMade),
    Call::reads(Step::Undo, Target, S::Rds, "DescribeDBSnapshots", ANY, "see whether one needs the key")
        .when(When::KeyIsMade),
    Call::reads(Step::Undo, Target, S::SecretsManager, "ListSecrets", ANY, "see whether one is under the key")
        .when(When::KeyIsMade),
    Call::reads(Step::Undo, Target, S::Ssm, "DescribeParameters", ANY, "see whether one is under the key")
        .when(When::KeyIsMade),
    Call::reads(Step::Undo, Target, S::Kms, "ListGrants", KEY, "see whether somebody works by a grant on the key")
        .when(When::KeyIsMade)
        .only(Condition::ByKeyPolicy),
    Call::changes(
        Step::Undo,
        Target,
        S::Kms,
        "ScheduleKeyDeletion",
        KEY,
        "the key that we made, where nothing uses it, after 30 days",
    )
    .when(When::KeyIsMade)
    .only(Condition::ByKeyPolicy)
    .waits(Abort),
    Call::changes(Step::Undo, Source, S::Ssm, "DeleteParameter", CLAIM, "the claim on the source")
        .only(Condition::TagIsThere),
];

/// Whether a call is in the table for a side. `operation` is the API's name.
pub fn allows(side: crate::Side, service: S, operation: &str) -> bool {
    CALLS.iter().any(|call| call.side == side && call.service == service && call.action == operation)
}

/// The same for an undo: reads, and the rows of [`Step::Undo`] alone.
pub fn allows_undo(side: crate::Side, service: S, operation: &str) -> bool {
    let undoes = |call: &&Call| call.step == Step::Undo || call.effect == super::Effect::Reads;
    CALLS.iter().filter(undoes).any(|call| call.side == side && call.service == service && call.action == operation)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::aws::Effect;

    #[test]
    fn steps_come_in_order() {
        assert!(CALLS.windows(2).all(|pair| pair[0].step <= pair[1].step || pair[1].step == Step::Instance));
    }

    #[test]
    fn what_only_reads_waits_for_nobody() {
        for call in CALLS.iter().filter(|call| call.effect != Effect::Changes) {
            assert_eq!(call.waits, None, "{call}");
        }
    }

    #[test]
    fn what_ends_or_deletes_something_waits_for_a_person() {
        for call in CALLS.iter().filter(|call| call.effect == Effect::Changes) {
            let ends =
                ["Delete", "Stop", "Reboot", "Schedule", "Revoke"].iter().any(|verb| call.action.starts_with(verb));
            // Nobody uses the target yet when it is rebooted; a claim, and a seed whose target is ready, are nothing but ours.
            let free = call.action == "RebootDBInstance" && call.side == Target
                || call.on == CLAIM
                || call.on == SNAPSHOT && call.step == Step::Instance;
            assert_eq!(ends, ends && (call.waits.is_some() || free), "{call}");
        }
    }

    #[test]
    fn every_row_says_why_and_stands_once() {
        let mut seen = BTreeSet::new();
        for call in CALLS {
            assert!(!call.why.is_empty() && !call.on.is_empty(), "{call}");
            let key = (call.step, call.side.word(), call.name(), call.on.to_vec(), call.why);
            assert!(seen.insert(key), "{call} stands twice");
        }
    }

    #[test]
    fn what_is_made_can_be_unmade() {
        let made = CALLS.iter().filter(|c| c.effect == Effect::Changes && c.step < Step::Watch);
        for call in made.filter(|c| c.action.starts_with("Create") && c.action != "CreateTags") {
            let rest = call.action.trim_start_matches("Create");
            let undone = CALLS.iter().any(|c| {
                c.step == Step::Undo
                    && c.side == call.side
                    && (c.action == format!("Delete{rest}") || rest == "Key" && c.action == "ScheduleKeyDeletion")
            });
            assert!(undone, "{call} has nothing that undoes it");
        }
    }

    #[test]
    fn an_action_outside_of_the_table_is_known() {
        assert!(allows(Source, S::Rds, "RebootDBInstance"));
        assert!(!allows(Source, S::Rds, "CreateDBInstance"));
        assert!(!allows(Target, S::Kms, "PutKey"));
    }
}
