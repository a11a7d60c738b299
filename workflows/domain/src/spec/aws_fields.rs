//! The sections of an AWS half.

use super::fields::{Field, Kind, Need, Section, field};

/// The source's account.
pub(super) const SOURCE: Section = Section {
    path: "aws.source",
    repeated: false,
    required: false,
    doc: "For a migration that makes its target in AWS: the account of the source. docs/runbooks/aws.md goes through it from zero.",
    fields: &OF_SOURCE,
};

/// The target's account, and what it gives.
pub(super) const TARGET: Section = Section {
    path: "aws.target",
    repeated: false,
    required: false,
    doc: "The account of the target, and what it gives: names of one account mean nothing in another.",
    fields: &OF_TARGET,
};

/// Where the endpoint is published.
pub(super) const PUBLISH: Section = Section {
    path: "aws.publish",
    repeated: false,
    required: false,
    doc: "After each switch, where applications find the side that serves.",
    fields: &[
        field(
            "parameter",
            Kind::Text,
            Need::Required,
            "\"/shop/db/endpoint\"",
            "Parameter of Parameter Store in the target's account. `host:port` is written there as a SecureString under the target's key, as a new version that only follows the version last seen.",
        ),
        field(
            "deploy",
            Kind::Text,
            Need::Optional,
            "\"/etc/changeover/deploy\"",
            "A program on the worker's machine that is called after each publication, and awaited for ten minutes: to have deployments read the endpoint again. It gets `CHANGEOVER_ENDPOINT`, `CHANGEOVER_SERVING` (`source` or `target`), `CHANGEOVER_PARAMETER`, `CHANGEOVER_VERSION` and `CHANGEOVER_KEY`, which is the same whenever it is called again for the same publication; of the worker's own environment `PATH` and `HOME` alone. It has to end with 0; its last line becomes evidence.",
        ),
        field(
            "webhook",
            Kind::Text,
            Need::Optional,
            "\"https://deploy.example.com/changeover\"",
            "In place of a program: an address that is posted to after each publication, as JSON with `migration`, `endpoint`, `serving`, `parameter`, `version` and `key`; the key stands in `Idempotency-Key` as well. 200, 201 or 204 say that it is done; 202 that it was taken on, and `Location` on the same server is asked until it is. Verified by the machine's authorities; plain `http` only to the machine itself. It is shown in status and history: no secret belongs in it.",
        ),
        field(
            "webhook_token",
            Kind::Secret,
            Need::Optional,
            "{ env = \"DEPLOY_TOKEN\" }",
            "Where the worker finds the bearer token for it.",
        ),
    ],
};

/// How the two sides reach each other.
pub(super) const NETWORK: Section = Section {
    path: "aws.network",
    repeated: false,
    required: false,
    doc: "How the two sides reach each other. Without it, their networks are taken to be joined already.",
    fields: &[field(
        "join",
        Kind::Flag,
        Need::Default("false"),
        "true",
        "Joins the VPCs of source and target: a peering that the target's account asks for and the source's accepts, routes on both sides, rules that let each side's network in on the database's port, and names that resolve to inner addresses. Where others have joined them, that is used as it is, and no rule is made. The worker's own way to both sides is yours.",
    )],
};

/// What becomes of the old instance.
pub(super) const END: Section = Section {
    path: "aws.end",
    repeated: false,
    required: false,
    doc: "What becomes of the old instance at the end, after `finalize`. Nothing by default.",
    fields: &[
        field(
            "final_snapshot",
            Kind::Flag,
            Need::Default("false"),
            "true",
            "Takes a last snapshot of the old instance. A deletion needs one.",
        ),
        field(
            "stop",
            Kind::Flag,
            Need::Default("false"),
            "true",
            "Stops the old instance, once that is approved. AWS starts it again after seven days.",
        ),
        field(
            "delete",
            Kind::Flag,
            Need::Default("false"),
            "true",
            "Deletes the old instance, once that is approved with the instance's name.",
        ),
        field(
            "part_networks",
            Kind::Flag,
            Need::Default("false"),
            "true",
            "Takes away the peering, routes and rules that the migration has made. Applications of the source's network reach the target by them.",
        ),
    ],
};

const REGION: Field = field("region", Kind::Text, Need::Required, "\"eu-central-1\"", "Its region.");
const ACCOUNT: Field = field(
    "account",
    Kind::Account,
    Need::Required,
    "\"111111111111\"",
    "The account's twelve digits. Credentials of another account are refused.",
);
const PROFILE: Field = field(
    "profile",
    Kind::Text,
    Need::Optional,
    "\"source\"",
    "A profile of the shared configuration files; without one, the SDK's chain (environment, web identity, container, instance).",
);
const CREDENTIALS_FILE: Field = field(
    "credentials_file",
    Kind::Text,
    Need::Optional,
    "\"/etc/changeover/credentials\"",
    "A file in which the profile is looked for instead of the shared files.",
);
const ROLE_ARN: Field = field(
    "role_arn",
    Kind::Text,
    Need::Optional,
    "\"arn:aws:iam::111111111111:role/changeover\"",
    "A role to assume from there.",
);
const EXTERNAL_ID: Field =
    field("external_id", Kind::Text, Need::Optional, "\"shop-migration\"", "The external id that the role asks for.");
const ENDPOINT: Field = field(
    "endpoint",
    Kind::Text,
    Need::Optional,
    "\"http://127.0.0.1:5566\"",
    "Another endpoint for all services of AWS: for test stacks.",
);

const OF_SOURCE: [Field; 9] = [
    REGION,
    ACCOUNT,
    field("instance", Kind::Text, Need::Required, "\"orders\"", "Identifier of the instance that is moved."),
    field(
        "failover",
        Kind::Flag,
        Need::Default("false"),
        "true",
        "Where the source has to be rebooted and has a standby: fail over to it. That is quicker, and changes the zone of the primary.",
    ),
    PROFILE,
    CREDENTIALS_FILE,
    ROLE_ARN,
    EXTERNAL_ID,
    ENDPOINT,
];

const OF_TARGET: [Field; 15] = [
    REGION,
    ACCOUNT,
    field("subnet_group", Kind::Text, Need::Required, "\"databases\"", "Subnet group of the target."),
    field(
        "security_groups",
        Kind::Texts,
        Need::Required,
        "[\"sg-0123456789abcdef0\"]",
        "Security groups of the target, by id.",
    ),
    field(
        "instance",
        Kind::Text,
        Need::Optional,
        "\"orders-new\"",
        "Identifier of the target; without it, one of the migration's name.",
    ),
    field(
        "kms_key",
        Kind::Text,
        Need::Optional,
        "\"alias/databases\"",
        "A customer-managed key, by ARN, id or alias; without it, one is made. AWS's default key is refused: snapshots under it can't be shared.",
    ),
    field(
        "key_users",
        Kind::Texts,
        Need::Optional,
        "[\"333333333333\"]",
        "Accounts that may use snapshots under the key that is made, beside the source's: for backups that are kept in another one.",
    ),
    field(
        "role_secrets",
        Kind::Text,
        Need::Optional,
        "\"orders/roles\"",
        "Keeps the password of each role in `[roles.passwords]` in Secrets Manager too, for applications of the target's account: as `orders/roles/ROLE`, under the target's key, with `engine`, `username` and `password`. Host and port are what `[aws.publish]` publishes. Without it, applications bring their passwords along.",
    ),
    field("class", Kind::Text, Need::Optional, "\"db.m6g.large\"", "Another instance class than the source's."),
    field(
        "monitoring_role",
        Kind::Text,
        Need::Optional,
        "\"arn:aws:iam::222222222222:role/rds-monitoring\"",
        "Role of enhanced monitoring, needed where the source has it.",
    ),
    PROFILE,
    CREDENTIALS_FILE,
    ROLE_ARN,
    EXTERNAL_ID,
    ENDPOINT,
];
