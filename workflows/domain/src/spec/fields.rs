//! The one table of everything that a spec can hold.

use super::aws_fields;

/// What a value has to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text without control characters, not empty.
    Text,
    /// A migration's id.
    Name,
    /// A host name or address: no port, user or scheme.
    Host,
    /// A whole number within these bounds.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A text such as `"500ms"`, `"5s"`, `"2m"`, `"3d"`, within these bounds in milliseconds.
    Duration {
        /// Shortest, ms.
        min: u64,
        /// Longest, ms.
        max: u64,
    },
    /// A text such as `"64MB"` (1000²) or `"64MiB"` (1024²).
    Size,
    /// `schema.function`.
    Function,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A list of `schema.table`.
    Tables,
    /// `{ env = "NAME" }`, `{ file = "PATH" }`, `{ secret = "ARN" }` or `{ parameter = "ARN" }`.
    Secret,
    /// A table from names to secrets.
    Secrets,
    /// `true` or `false`.
    Flag,
    /// An account of AWS: twelve digits.
    Account,
}

/// Whether a key has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It has to.
    Required,
    /// It has to, unless this section is written.
    Unless(&'static str),
    /// Without it, nothing of the kind (an empty text or list).
    Optional,
    /// Without it, this value, written as in TOML.
    Default(&'static str),
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The key within its section.
    pub key: &'static str,
    /// What the value has to look like.
    pub kind: Kind,
    /// Whether it has to be there.
    pub need: Need,
    /// What it means: sentences in Markdown.
    pub doc: &'static str,
    /// An example, written as in TOML.
    pub example: &'static str,
}

/// One section.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name; empty for the keys at the top.
    pub path: &'static str,
    /// `[[path]]`, once for each.
    pub repeated: bool,
    /// Whether it has to be written.
    pub required: bool,
    /// What it is about.
    pub doc: &'static str,
    /// Its keys.
    pub fields: &'static [Field],
}

impl Section {
    /// The section's header as in TOML.
    pub fn header(&self) -> String {
        if self.repeated { format!("[[{}]]", self.path) } else { format!("[{}]", self.path) }
    }
}

const PORT: Kind = Kind::Integer { min: 1, max: 65_535 };
const DAY: u64 = 86_400_000;

pub(super) const fn field(
    key: &'static str,
    kind: Kind,
    need: Need,
    example: &'static str,
    doc: &'static str,
) -> Field {
    Field { key, kind, need, doc, example }
}

/// `host` and `login` tell whether the host, and user and password, have to be there.
const fn endpoint(host: &'static str, password: &'static str, peer: &'static str, login: Need) -> [Field; 9] {
    use Need::{Default, Optional, Unless};
    [
        field(
            "host",
            Kind::Host,
            Unless("aws"),
            host,
            "Host by which the worker reaches the instance; the server's certificate must carry this name. With `[aws.source]` and `[aws.target]`, RDS is asked.",
        ),
        field("port", PORT, Default("5432"), "5432", "TCP port."),
        field(
            "user",
            Kind::Text,
            login,
            "\"changeover\"",
            "The migration's login: on RDS the master user. It needn't be a superuser; docs/operator.md lists what it needs. With `[aws.target]`, the target has the source's master user.",
        ),
        field(
            "password",
            Kind::Secret,
            login,
            password,
            "Where the worker finds its password. Never the password itself. With `[aws.target]`, the target's is made and kept in Secrets Manager.",
        ),
        field(
            "database",
            Kind::Text,
            Default("\"postgres\""),
            "\"postgres\"",
            "A database that always exists, for work that belongs to the whole instance.",
        ),
        field(
            "ca_file",
            Kind::Text,
            Unless("aws"),
            "\"/etc/changeover/ca.pem\"",
            "CA certificates (PEM) as the worker sees them. TLS is always used, and the server is always verified (verify-full). With `[aws.source]` and `[aws.target]`, Amazon's RDS CA bundle, which is built in, where this isn't given.",
        ),
        field(
            "peer_host",
            Kind::Host,
            Optional,
            peer,
            "Host by which the *other* server and the poolers reach this one, where that differs from `host`.",
        ),
        field(
            "peer_port",
            PORT,
            Optional,
            "5432",
            "Port by which the other server and the poolers reach this one, where that differs from `port`.",
        ),
        field(
            "escalation",
            Kind::Function,
            Optional,
            "\"changeover_escalation.escalate\"",
            "Outside RDS: the function (`schema.function`, see `deploy/sql/escalation.sql`) that does the few things which only a superuser may do. Leave it out on RDS.",
        ),
    ]
}

const SOURCE: [Field; 9] =
    endpoint("\"db-old.example.com\"", "{ env = \"SOURCE_PASSWORD\" }", "\"10.0.1.10\"", Need::Required);
const TARGET: [Field; 9] =
    endpoint("\"db-new.example.com\"", "{ env = \"TARGET_PASSWORD\" }", "\"10.0.2.10\"", Need::Unless("aws"));

/// The table.
pub const SECTIONS: &[Section] = &[
    Section {
        path: "",
        repeated: false,
        required: true,
        doc: "One migration: one source instance, one target instance, and all the databases listed.",
        fields: &[
            field(
                "name",
                Kind::Name,
                Need::Required,
                "\"shop\"",
                "The migration's id: lower-case letters, digits and underscores, at most 24, starting with a letter. Everything that Changeover makes on the servers carries it.",
            ),
            field(
                "engine",
                Kind::OneOf(&["auto", "pglogical"]),
                Need::Default("\"auto\""),
                "\"pglogical\"",
                "How rows are replicated. `auto` lets preflight choose.",
            ),
            field(
                "fence",
                Kind::OneOf(&["auto", "lock", "gate"]),
                Need::Default("\"auto\""),
                "\"lock\"",
                "How writers are kept out at a switch. `lock` locks every table and revokes rights: up to 80 µs of pause per table or sequence, nothing beforehand. `gate` has a trigger on every table ask a flag: about 2 ms however many tables, and 10-25 µs more for each statement that writes, from reverse replication until the end. `auto` takes the gate from 500 tables on; `changeover plan` says which. See docs/fence-gate.md.",
            ),
        ],
    },
    Section {
        path: "source",
        repeated: false,
        required: true,
        doc: "The instance that the databases live on today.",
        fields: &SOURCE,
    },
    Section {
        path: "target",
        repeated: false,
        required: true,
        doc: "The instance that they move to. It exists, and holds the databases' names as empty databases; or, with `[aws.target]`, it is made.",
        fields: &TARGET,
    },
    Section {
        path: "databases",
        repeated: true,
        required: true,
        doc: "One of these for each database to move. They all switch at once. The first one also holds the decisions.",
        fields: &[
            field("name", Kind::Text, Need::Required, "\"shop\"", "Name of the database, the same on both sides."),
            field(
                "insert_only_tables",
                Kind::Tables,
                Need::Optional,
                "[\"audit.log\"]",
                "Tables without a key, as `schema.table`, that are only ever appended to: their inserts are replicated. An update or delete in one would be lost; preflight refuses tables without a key that aren't listed.",
            ),
        ],
    },
    Section {
        path: "replication",
        repeated: false,
        required: true,
        doc: "How the two servers reach each other.",
        fields: &[
            field(
                "user",
                Kind::Text,
                Need::Required,
                "\"changeover_repl\"",
                "The login by which each server reads the other's changes, on both sides. It needs the right to replicate (on RDS: `rds_replication`) and nothing else.",
            ),
            field(
                "password",
                Kind::Secret,
                Need::Required,
                "{ env = \"REPLICATION_PASSWORD\" }",
                "Where the worker finds its password.",
            ),
            field(
                "server_ca_file",
                Kind::Text,
                Need::Required,
                "\"/etc/postgresql/ca.pem\"",
                "CA certificates as the *servers* see them: it becomes `sslrootcert` of their connection strings.",
            ),
            field(
                "poll",
                Kind::Duration { min: 100, max: 3_600_000 },
                Need::Default("\"5s\""),
                "\"30s\"",
                "How often a running copy is looked at when it is near its end. Before, it waits a fiftieth of the time that is left, up to five minutes.",
            ),
        ],
    },
    Section {
        path: "roles",
        repeated: false,
        required: false,
        doc: "Roles are taken over with memberships, grants and settings. Their passwords can't be read, so they are given here, or reported as to be set by hand.",
        fields: &[
            field(
                "keep_login",
                Kind::Texts,
                Need::Optional,
                "[\"datadog\"]",
                "Login roles that aren't applications (monitoring, administrators): the switch never fences them. Whatever they write during a switch may be lost, so list only what doesn't write.",
            ),
            field(
                "passwords",
                Kind::Secrets,
                Need::Optional,
                "{ app = { env = \"APP_PASSWORD\" } }",
                "Passwords to set on the target, by role. With `[aws.target] role_secrets`, applications find them there in Secrets Manager as well.",
            ),
        ],
    },
    Section {
        path: "traffic.pgbouncer",
        repeated: true,
        required: false,
        doc: "One of these for each PgBouncer (1.18 or newer, in transaction mode) that applications connect through. Without any, a switch moves no traffic: applications that connect directly are turned away by the fenced side and have to find the other one by themselves.",
        fields: &[
            field(
                "host",
                Kind::Host,
                Need::Required,
                "\"pooler.example.com\"",
                "Host of its admin console, as the worker reaches it.",
            ),
            field("port", PORT, Need::Default("6432"), "6432", "Port of its admin console."),
            field(
                "user",
                Kind::Text,
                Need::Required,
                "\"changeover_admin\"",
                "A login out of PgBouncer's `admin_users`.",
            ),
            field(
                "password",
                Kind::Secret,
                Need::Required,
                "{ env = \"PGBOUNCER_PASSWORD\" }",
                "Where the worker finds its password.",
            ),
            field(
                "ca_file",
                Kind::Text,
                Need::Required,
                "\"/etc/changeover/ca.pem\"",
                "CA certificates (PEM) by which the worker verifies the pooler.",
            ),
            field(
                "databases_file",
                Kind::Text,
                Need::Required,
                "\"/etc/pgbouncer/databases.ini\"",
                "The file with its `[databases]` section, pulled in by `%include`. The worker rewrites it, so it must be able to.",
            ),
        ],
    },
    Section {
        path: "gates",
        repeated: false,
        required: false,
        doc: "What has to hold before a switch is tried. What can't be measured counts as not holding.",
        fields: &[
            field(
                "max_lag",
                Kind::Size,
                Need::Default("\"1MB\""),
                "\"256kB\"",
                "The switch is refused while replication lags by more than this.",
            ),
            field(
                "max_transaction_age",
                Kind::Duration { min: 1, max: DAY },
                Need::Default("\"500ms\""),
                "\"2s\"",
                "The switch is refused while a transaction older than this is open on the side to be fenced.",
            ),
            field(
                "max_canary_age",
                Kind::Duration { min: 100, max: DAY },
                Need::Default("\"5s\""),
                "\"10s\"",
                "A row sent through replication must have come back within this.",
            ),
            field(
                "max_verification_age",
                Kind::Duration { min: 60_000, max: 365 * DAY },
                Need::Default("\"24h\""),
                "\"48h\"",
                "The switch to the target is refused when the last comparison of all rows began longer ago than this. While the run waits for an approval, it compares again by itself when this is over. A rollback isn't held up by it.",
            ),
        ],
    },
    Section {
        path: "budgets",
        repeated: false,
        required: false,
        doc: "What a switch, and the run as a whole, may cost.",
        fields: &[
            field(
                "fence_lock",
                Kind::Duration { min: 10, max: DAY },
                Need::Default("\"300ms\""),
                "\"200ms\"",
                "Longest wait for the locks of the fence. Writers wait as long, so this is the pause that an attempt in vain costs. Must stay below PostgreSQL's `deadlock_timeout` (1 s), so that the fence is the one who gives way.",
            ),
            field(
                "drain",
                Kind::Duration { min: 10, max: 60_000 },
                Need::Default("\"2s\""),
                "\"1s\"",
                "Longest wait, with writers waiting, until the last change has arrived on the other side. Then the attempt is undone.",
            ),
            field(
                "switch_attempts",
                Kind::Integer { min: 1, max: 1000 },
                Need::Default("10"),
                "5",
                "How often a switch that ran out of its budget is tried before it waits for a person.",
            ),
            field(
                "switch_backoff",
                Kind::Duration { min: 1, max: DAY },
                Need::Default("\"2s\""),
                "\"10s\"",
                "Longest pause between two such attempts.",
            ),
            field(
                "sequence_margin",
                Kind::Integer { min: 1, max: 1_000_000_000 },
                Need::Default("10000"),
                "100000",
                "By how many of its own increments each sequence is moved ahead at each switch, so that no number comes twice.",
            ),
            field(
                "max_retained_wal",
                Kind::Size,
                Need::Default("\"10GB\""),
                "\"50GB\"",
                "The run stops when a replication slot holds back more WAL than this; a warning comes at half of it, and an hour before it is reached. Keep it below the free disk space, and below `max_slot_wal_keep_size` where that is set.",
            ),
            field(
                "at_max_retained_wal",
                Kind::OneOf(&["park", "abort"]),
                Need::Default("\"park\""),
                "\"abort\"",
                "What it means to stop there. `park` drops nothing: it calls a person and names the command, and WAL goes on piling up meanwhile. `abort` undoes the migration by itself while the source serves, so that the slot goes and the source's disk is safe with nobody awake. After the switch the slot is the way back, and both park.",
            ),
            field(
                "slot_wait",
                Kind::Duration { min: 1_000, max: 3_000_000 },
                Need::Default("\"2m\""),
                "\"10m\"",
                "Longest wait for a replication slot to be made: every transaction that was open has to end first. Then the run parks and names them; the slot is still made when they end.",
            ),
        ],
    },
    Section {
        path: "verification",
        repeated: false,
        required: false,
        doc: "All rows of all tables are compared, in chunks, while writes go on.",
        fields: &[
            field(
                "chunk",
                Kind::Duration { min: 10, max: 60_000 },
                Need::Default("\"200ms\""),
                "\"100ms\"",
                "Time that one chunk should take on a database; chunks grow and shrink towards it.",
            ),
            field(
                "chunk_rows",
                Kind::Integer { min: 1, max: 10_000_000 },
                Need::Default("20000"),
                "5000",
                "Rows of the first chunk.",
            ),
        ],
    },
    Section {
        path: "soak",
        repeated: false,
        required: false,
        doc: "After a switch: the time in which the new side is watched before it can be finalized.",
        fields: &[
            field(
                "duration",
                Kind::Duration { min: 0, max: 365 * DAY },
                Need::Default("\"1h\""),
                "\"7d\"",
                "How long.",
            ),
            field(
                "poll",
                Kind::Duration { min: 100, max: 3_600_000 },
                Need::Default("\"10s\""),
                "\"30s\"",
                "How often it is looked at in the first minutes, and while something is wrong. Later it waits a hundredth of the time that it has lasted, up to five minutes.",
            ),
        ],
    },
    aws_fields::SOURCE,
    aws_fields::TARGET,
    aws_fields::NETWORK,
    aws_fields::PUBLISH,
    aws_fields::END,
];

/// The field at a section and key.
pub fn find(section: &str, key: &str) -> Option<&'static Field> {
    SECTIONS.iter().find(|s| s.path == section)?.fields.iter().find(|f| f.key == key)
}
