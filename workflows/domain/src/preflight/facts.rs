//! What preflight measured. Every structure is what one SQL statement of `workers/postgres/sql/preflight/` returns; `None`
//! means that it couldn't be looked at, and whoever collected it has said so by an [`Unseen`].

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Failure, Side};

/// Everything that the rules look at.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The instance to be left.
    pub source: Instance,
    /// The instance to move to.
    pub target: Instance,
    /// One entry per database of the spec, in its order.
    pub databases: Vec<Database>,
    /// One entry per pooler of the spec, in its order.
    pub poolers: Vec<Pooler>,
    /// The ways from server to server that were tried.
    pub reach: Vec<Reach>,
    /// What could not be reached or read.
    pub unseen: Vec<Unseen>,
}

impl Facts {
    /// One side's instance.
    pub fn instance(&self, side: Side) -> &Instance {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }
}

/// A server's attempt to reach the other one.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Who tried.
    pub side: Side,
    /// In which words it failed; `None`: it came through.
    pub refused: Option<String>,
}

/// In which words a server tells that a way which is there was cut, or leads to a server that is just not up; not those of a way that
/// is closed. libpq's (`fe-connect.c`, `fe-misc.c`) and the server's own.
const CUT: [&str; 5] = [
    "closed the connection unexpectedly",
    "reset by peer",
    "Connection refused",
    "the database system is starting up",
    "the database system is shutting down",
];

/// A look that failed.
#[derive(Clone, Debug)]
pub struct Unseen {
    /// `CO0301` (no connection), `CO0302` (a check couldn't be made) or `CO0325` (the replication login).
    pub code: &'static str,
    /// Where.
    pub side: Side,
    /// The database, or empty.
    pub database: String,
    /// What was being looked at.
    pub what: String,
    /// What happened, without DETAIL.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether it may pass by itself, as a connection that was cut.
    pub passing: bool,
}

impl Facts {
    /// A look that failed by what may pass by itself: another attempt may see what this one didn't.
    pub fn worth_another_attempt(&self) -> Option<Failure> {
        let unseen = self.unseen.iter().find(|unseen| unseen.passing);
        let seen_cut = || {
            let mut refused = self.reach.iter().filter_map(|reach| Some((reach.side, reach.refused.as_deref()?)));
            refused.find(|(_, words)| CUT.iter().any(|cut| words.contains(cut)))
        };
        match unseen {
            Some(unseen) => Some(Failure::transient(unseen.code, &unseen.message, &unseen.remedy)),
            None => seen_cut().map(|(side, words)| {
                let message = format!("the {side} was cut off when it tried to reach the other side: {words}");
                Failure::transient("CO0382", message, "it is tried again; let each server reach the other one")
            }),
        }
    }
}

/// One instance as a whole.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    /// `server_version_num`.
    pub version: Option<u32>,
    /// Settings and logins.
    pub server: Option<Server>,
    /// Sessions and capacity in use.
    pub activity: Option<Activity>,
    /// Slots, origins, subscriptions.
    pub replication: Option<Replication>,
    /// Databases, roles, available extensions.
    pub catalog: Option<Catalog>,
}

impl Instance {
    /// A setting's value (bytes, milliseconds, or as it is); `None` when it isn't there or can't be seen.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.server.as_ref()?.settings.get(name).map(String::as_str)
    }
    /// A setting as a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.setting(name)?.parse().ok()
    }
    /// A database by its name.
    pub fn database(&self, name: &str) -> Option<&DatabaseEntry> {
        self.catalog.as_ref()?.databases.iter().find(|d| d.name == name)
    }
    /// Whether the migration's login may make itself a member of any role that is no superuser: by CREATEROLE up to 15
    /// (documentation 15, CREATE ROLE), or because it is a superuser.
    pub fn may_grant_membership(&self) -> bool {
        let version = self.version.unwrap_or_default();
        self.server.as_ref().is_some_and(|s| s.login.superuser || (s.login.create_role && version < 160_000))
    }
}

/// `server.sql`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Server {
    /// A standby.
    pub in_recovery: bool,
    /// Seconds since 1970 when it was asked.
    pub clock: f64,
    /// WAL written since `wal_seconds`.
    pub wal_bytes: f64,
    /// Age of the WAL statistics.
    pub wal_seconds: f64,
    /// Amazon RDS, or something that has its settings.
    pub is_rds: bool,
    /// Settings by name.
    pub settings: BTreeMap<String, String>,
    /// The migration's login.
    pub login: Login,
    /// The login by which the servers read each other; absent when there is no such role.
    pub replication_login: Option<ReplicationLogin>,
    /// Settings that roles and databases bring along.
    pub role_settings: Vec<RoleSetting>,
}

/// The migration's login on one side.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(clippy::struct_excessive_bools)]
pub struct Login {
    /// Its name.
    pub name: String,
    /// SUPERUSER
    pub superuser: bool,
    /// CREATEROLE
    pub create_role: bool,
    /// REPLICATION
    pub replication: bool,
    /// BYPASSRLS
    pub bypass_rls: bool,
    /// -1: none
    pub connection_limit: i64,
    /// Has pg_monitor's rights.
    pub monitor: bool,
    /// Has pg_signal_backend's rights.
    pub signal: bool,
    /// Member of rds_superuser.
    pub rds_superuser: bool,
    /// Member of rds_replication.
    pub rds_replication: bool,
    /// May execute all of pg_replication_origin_*.
    pub origin_functions: bool,
    /// May read pg_replication_origin_status.
    pub origin_status: bool,
    /// May set session_replication_role.
    pub set_replication_role: bool,
}

/// The replication login on one side.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(clippy::struct_excessive_bools)]
pub struct ReplicationLogin {
    /// Its name.
    pub name: String,
    /// LOGIN
    pub login: bool,
    /// SUPERUSER
    pub superuser: bool,
    /// REPLICATION
    pub replication: bool,
    /// BYPASSRLS
    pub bypass_rls: bool,
    /// -1: none
    pub connection_limit: i64,
    /// Member of rds_replication.
    pub rds_replication: bool,
}

/// A setting by ALTER ROLE or ALTER DATABASE.
#[derive(Clone, Debug, Deserialize)]
pub struct RoleSetting {
    /// `None`: all roles.
    pub role: Option<String>,
    /// `None`: all databases.
    pub database: Option<String>,
    /// The setting.
    pub name: String,
    /// Its value as written.
    pub value: String,
}

/// `activity.sql`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Activity {
    /// Sessions that the login isn't allowed to see.
    pub hidden: i64,
    /// Sessions of clients, ours left out.
    pub client_backends: i64,
    /// Replication connections.
    pub wal_senders: i64,
    /// Background workers but pglogical's and parallel query's.
    pub workers: i64,
    /// pglogical's supervisor runs.
    pub supervisor: bool,
    /// Who is connected to what.
    pub sessions: Vec<SessionCount>,
    /// Open transactions, oldest first, at most 50.
    pub long_transactions: Vec<LongTransaction>,
    /// Prepared transactions, oldest first, at most 50.
    pub prepared: Vec<Prepared>,
}

/// Sessions of a role in a database.
#[derive(Clone, Debug, Deserialize)]
pub struct SessionCount {
    /// The role.
    pub role: String,
    /// The database; `None` for physical replication.
    pub database: Option<String>,
    /// The role is a superuser.
    pub superuser: bool,
    /// How many.
    pub count: i64,
}

/// An open transaction.
#[derive(Clone, Debug, Deserialize)]
pub struct LongTransaction {
    /// Process id.
    pub pid: i64,
    /// Whose.
    pub role: Option<String>,
    /// Where.
    pub database: Option<String>,
    /// pg_stat_activity's state.
    pub state: String,
    /// It has a transaction id: the creation of a slot waits for it.
    pub writes: bool,
    /// Its age.
    pub seconds: f64,
}

/// A prepared transaction.
#[derive(Clone, Debug, Deserialize)]
pub struct Prepared {
    /// Its global id.
    pub gid: String,
    /// Whose.
    pub owner: String,
    /// Where.
    pub database: String,
    /// Its age.
    pub seconds: f64,
}

/// `replication.sql`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Replication {
    /// All slots.
    pub slots: Vec<Slot>,
    /// Names of all replication origins.
    pub origins: Vec<String>,
    /// Native subscriptions.
    pub subscriptions: Vec<Subscription>,
}

/// A replication slot.
#[derive(Clone, Debug, Deserialize)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Output plugin, empty for physical ones.
    pub plugin: String,
    /// `logical` or `physical`.
    pub kind: String,
    /// The database of a logical slot.
    pub database: Option<String>,
    /// Somebody reads it now.
    pub active: bool,
    /// Goes with its session.
    pub temporary: bool,
    /// reserved, extended, unreserved, lost.
    pub wal_status: String,
    /// Bytes of WAL that it holds back.
    pub retained: f64,
}

/// A native subscription.
#[derive(Clone, Debug, Deserialize)]
pub struct Subscription {
    /// Its name.
    pub name: String,
    /// Where it writes.
    pub database: String,
    /// Runs.
    pub enabled: bool,
}

/// `instance.sql`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Catalog {
    /// Tells clusters apart.
    pub system_identifier: Option<String>,
    /// All databases but templates.
    pub databases: Vec<DatabaseEntry>,
    /// All roles but PostgreSQL's own.
    pub roles: Vec<Role>,
    /// Tablespaces besides the two defaults.
    pub tablespaces: Vec<String>,
    /// Extensions that CREATE EXTENSION would find.
    pub available_extensions: Vec<Available>,
}

/// A database of an instance.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(clippy::struct_excessive_bools)]
pub struct DatabaseEntry {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// The owner is a superuser.
    pub owner_superuser: bool,
    /// The login has the owner's rights.
    pub owner_member: bool,
    /// Encoding.
    pub encoding: String,
    /// LC_COLLATE
    pub collate: String,
    /// LC_CTYPE
    pub ctype: String,
    /// `c` (libc), `i` (ICU), `b` (builtin).
    pub provider: String,
    /// ICU locale or empty.
    pub icu_locale: String,
    /// Version recorded when it was created, or empty.
    pub collation_version: String,
    /// Version of the library in use, or empty.
    pub actual_collation_version: String,
    /// Default tablespace.
    pub tablespace: String,
    /// ALLOW_CONNECTIONS
    pub allows_connections: bool,
    /// -1: none
    pub connection_limit: i64,
    /// The login has CREATE.
    pub may_create: bool,
    /// The login has CONNECT.
    pub may_connect: bool,
    /// The replication login has CONNECT.
    pub replication_may_connect: bool,
}

/// A role.
#[derive(Clone, Debug, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// LOGIN
    pub login: bool,
    /// SUPERUSER
    pub superuser: bool,
}

/// An extension that could be created.
#[derive(Clone, Debug, Deserialize)]
pub struct Available {
    /// Its name.
    pub name: String,
    /// The version that CREATE EXTENSION takes.
    pub default: Option<String>,
    /// Trusted, or in need of no superuser.
    pub anyone: bool,
    /// All versions.
    pub versions: Vec<String>,
}

/// One database of the spec on both sides.
#[derive(Clone, Debug, Default)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// `tables.sql` on the source.
    pub tables: Option<Vec<Table>>,
    /// `sequences.sql` on the source.
    pub sequences: Option<Vec<Sequence>>,
    /// `size.sql` on the source: bytes to copy.
    pub bytes: Option<u64>,
    /// `objects.sql` on the source.
    pub source: Option<Objects>,
    /// `objects.sql` on the target.
    pub target: Option<Objects>,
    /// `owners.sql` on the source.
    pub source_owners: Option<Vec<Owner>>,
    /// `occupied.sql` on the target.
    pub occupied: Option<Vec<Occupied>>,
    /// Migration that the home schema belongs to, by side; `None` in it: it has no such row, or the login can't read it.
    pub homes: Vec<(Side, Option<String>)>,
    /// pglogical nodes, by side.
    pub nodes: Vec<(Side, String)>,
}

impl Database {
    /// The objects of one side.
    pub fn objects(&self, side: Side) -> Option<&Objects> {
        match side {
            Side::Source => self.source.as_ref(),
            Side::Target => self.target.as_ref(),
        }
    }
}

/// A table, partitioned table or foreign table.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Table {
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// `r` table, `p` partitioned, `f` foreign.
    pub kind: String,
    /// `p` permanent, `u` unlogged.
    pub persistence: String,
    /// Owner.
    pub owner: String,
    /// `d` default, `n` nothing, `f` full, `i` index.
    pub replica_identity: String,
    /// Index of the primary key.
    pub primary_key: Option<String>,
    /// It is deferrable.
    pub primary_key_deferrable: bool,
    /// Valid index chosen by REPLICA IDENTITY USING INDEX.
    pub identity_index: Option<String>,
    /// Indexes that could be chosen.
    pub candidates: Vec<String>,
    /// Deferrable unique indexes, the primary key's included.
    pub deferrable: Vec<String>,
    /// Indexes left over by a failed CREATE INDEX CONCURRENTLY.
    pub invalid_indexes: Vec<String>,
    /// Generated columns.
    pub generated: Vec<String>,
    /// Columns whose values travel as object numbers: `name type`.
    pub numbered: Vec<String>,
    /// Of the rights that Changeover uses as a member of the owner: those that the owner doesn't have himself.
    pub owner_lacks: Vec<String>,
    /// ENABLE ROW LEVEL SECURITY
    pub row_security: bool,
    /// FORCE ROW LEVEL SECURITY
    pub force_row_security: bool,
    /// Tablespaces of its own and of its indexes.
    pub tablespaces: Vec<String>,
    /// `schema.name` of the topmost partitioned table that it belongs to.
    pub root: Option<String>,
    /// Rows updated since the statistics began.
    pub updates: i64,
    /// Rows deleted since the statistics began.
    pub deletes: i64,
    /// Estimated rows.
    pub rows: i64,
}

impl Table {
    /// `schema.name` as the spec writes it.
    pub fn raw(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
    /// Quoted, for SQL.
    pub fn sql(&self) -> String {
        crate::QualifiedName::new(&*self.schema, &*self.name).to_string()
    }
    /// Holds rows of its own that replication has to carry.
    pub fn holds_rows(&self) -> bool {
        self.kind == "r"
    }
    /// pglogical can tell rows apart: by the primary key as default identity, or by the chosen index.
    pub fn has_identity(&self) -> bool {
        match self.replica_identity.as_str() {
            "d" => self.primary_key.is_some() && !self.primary_key_deferrable,
            "i" => self.identity_index.is_some(),
            _ => false,
        }
    }
}

/// A sequence. Numbers come as text: they may need all 64 bits.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Sequence {
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// Owner.
    pub owner: String,
    /// First value.
    pub start: String,
    /// MINVALUE
    pub min: String,
    /// MAXVALUE
    pub max: String,
    /// INCREMENT
    pub increment: String,
    /// CYCLE
    pub cycle: bool,
    /// The login may read it.
    pub visible: bool,
    /// Last value; `None` when never used or not visible.
    pub last: Option<String>,
}

/// `objects.sql`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Objects {
    /// Installed extensions.
    pub extensions: Vec<Extension>,
    /// Languages.
    pub languages: Vec<String>,
    /// Large objects.
    pub large_objects: i64,
    /// Event triggers but those of extensions.
    pub event_triggers: Vec<EventTrigger>,
    /// Materialized views.
    pub materialized_views: i64,
    /// Publications.
    pub publications: Vec<String>,
    /// Foreign servers.
    pub foreign_servers: Vec<ForeignServer>,
    /// Triggers that are ALWAYS or REPLICA.
    pub triggers: Vec<Trigger>,
    /// Functions that need a superuser to create, or run as one.
    pub functions: Vec<Function>,
    /// What else only a superuser can create, and no extension has made.
    pub superuser_only: Vec<Named>,
    /// Collations whose recorded version isn't the library's.
    pub collations: Vec<String>,
    /// There is a schema `changeover`.
    pub home_schema: bool,
    /// There is a `changeover.migration`.
    pub home: Option<Readable>,
    /// There is a `pglogical.node`.
    pub pglogical_nodes: Option<Readable>,
    /// What the login and the replication login need of a pglogical that is there and haven't got, as GRANT says it.
    #[serde(default)]
    pub pglogical_denied: Vec<String>,
    /// The escalation function; `None` when the spec names none.
    pub escalation: Option<Escalation>,
}

/// A table that is there.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Readable {
    /// The login may read it.
    pub readable: bool,
}

/// An installed extension.
#[derive(Clone, Debug, Deserialize)]
pub struct Extension {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Its schema.
    pub schema: String,
    /// Its tables in which it keeps what users have told it, where they hold such rows.
    #[serde(default)]
    pub kept: Vec<Kept>,
}

/// Rows of users in a table of an extension (`pg_extension.extconfig`).
#[derive(Clone, Debug, Deserialize)]
pub struct Kept {
    /// `schema.table`
    pub table: String,
    /// How many; none when the login may not read them.
    pub rows: Option<i64>,
}

/// An event trigger.
#[derive(Clone, Debug, Deserialize)]
pub struct EventTrigger {
    /// Name.
    pub name: String,
    /// Such as ddl_command_start.
    pub event: String,
    /// O, D, A, R.
    pub enabled: String,
    /// Owner.
    pub owner: String,
}

/// A foreign server.
#[derive(Clone, Debug, Deserialize)]
pub struct ForeignServer {
    /// Name.
    pub name: String,
    /// Its wrapper.
    pub wrapper: String,
}

/// A trigger that fires on apply.
#[derive(Clone, Debug, Deserialize)]
pub struct Trigger {
    /// `schema.table`
    pub table: String,
    /// Name.
    pub name: String,
    /// A or R.
    pub enabled: String,
}

/// A function of note.
#[derive(Clone, Debug, Deserialize)]
pub struct Function {
    /// `schema.name`
    pub name: String,
    /// Owner.
    pub owner: String,
    /// Language.
    pub language: String,
    /// SECURITY DEFINER, owned by a superuser.
    pub definer: bool,
    /// In C or another untrusted language, or leakproof.
    pub untrusted: bool,
    /// Leakproof.
    pub leakproof: bool,
}

/// An object by kind and name.
#[derive(Clone, Debug, Deserialize)]
pub struct Named {
    /// Such as `operator class`.
    pub kind: String,
    /// `schema.name`, or the name alone where the kind has no schema.
    pub name: String,
}

/// The escalation function.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Escalation {
    /// It exists with the right arguments.
    pub exists: bool,
    /// The login may call it.
    pub executable: bool,
}

/// An owner (or grantor) of objects.
#[derive(Clone, Debug, Deserialize)]
pub struct Owner {
    /// The role.
    pub role: String,
    /// It is a superuser.
    pub superuser: bool,
    /// table, sequence, view, schema, function, type, grant …
    pub kind: String,
    /// How many.
    pub count: i64,
    /// One of them.
    pub example: String,
    /// The login has this role's rights.
    pub member: bool,
}

/// Objects that are already in a database of the target.
#[derive(Clone, Debug, Deserialize)]
pub struct Occupied {
    /// table, schema …
    pub kind: String,
    /// How many.
    pub count: i64,
    /// One of them.
    pub example: String,
}

/// A pooler as its console and the worker's file system show it.
#[derive(Clone, Debug, Default)]
pub struct Pooler {
    /// `host:port` of its console.
    pub name: String,
    /// The console couldn't be asked: message and remedy.
    pub unreachable: Option<(String, String)>,
    /// SHOW VERSION
    pub version: String,
    /// SHOW CONFIG
    pub config: BTreeMap<String, String>,
    /// SHOW DATABASES
    pub databases: Vec<PoolerDatabase>,
    /// Pool modes that SHOW USERS sets for single users: user, mode.
    pub user_modes: Vec<(String, String)>,
    /// Why the databases file can't be written; `None` when it can.
    pub file_problem: Option<String>,
    /// Path of the databases file.
    pub file: String,
}

/// A line of SHOW DATABASES.
#[derive(Clone, Debug, Default)]
pub struct PoolerDatabase {
    /// The name that clients use.
    pub name: String,
    /// Where it leads to.
    pub host: String,
    /// Port.
    pub port: u32,
    /// Database on the server.
    pub database: String,
    /// A mode of its own, or empty.
    pub pool_mode: String,
    /// It leads to this side, as far as names and addresses tell.
    pub leads_to: Option<Side>,
}
