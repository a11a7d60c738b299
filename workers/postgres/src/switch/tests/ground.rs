//! Where the fence is tried: one server per major version for the whole run, dressed as RDS, with a fresh database, fresh roles
//! and a fresh home for each test. Roles and logins belong to the whole server, so a test has it to itself.

use std::time::Duration;

use changeover_domain::{
    Failure, Side,
    fence::Fence as Means,
    proto::{Database, Endpoint, Replication, SecretRef, Spec, secret_ref::From},
};
use changeover_tests::stack::{Cluster, Stack, StackOptions, connect, process, rds};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio_postgres::{Client, Config, NoTls};

use crate::{
    Migration, gate, membership,
    switch::{
        acl::{self, Hold},
        effect::{Effect, perform},
        fence::Fence,
        flag,
        login::{self, Whose},
        turn,
    },
};

/// The epoch of every attempt here.
pub(super) const EPOCH: u64 = 1;
/// A second database on the same server.
pub(super) const AWAY: &str = "away";
/// Longest wait for something that takes milliseconds.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// Longest wait for all writers to wait.
const WAITING: Duration = Duration::from_secs(15);
/// Longest wait for sessions to end.
const EVICTION: Duration = Duration::from_secs(5);
/// Time to hold the locks at most.
pub(super) const HOLD: Duration = Duration::from_secs(20);
pub(super) const DATABASE: &str = "shop";

static SERVERS: [OnceCell<Mutex<Server>>; 4] = [const { OnceCell::const_new() }; 4];

struct Server {
    stack: Stack,
    secrets: tempfile::TempDir,
}

impl Server {
    async fn start(major: u32) -> Self {
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let options = StackOptions {
            major,
            temporal: None,
            databases: Vec::new(),
            log_statement: "none".to_owned(),
            // only root and the server's user may enter the socket's directory
            hba: "local all all trust\n".to_owned(),
            settings: vec![
                // dropping a database would wait for pglogical's supervisor
                setting("shared_preload_libraries", ""),
                setting("max_connections", "400"),
                setting("max_prepared_transactions", "10"),
                setting("autovacuum_naptime", "1s"),
                setting("fsync", "off"),
            ],
            ..StackOptions::default()
        };
        let stack = Stack::start_source(options).await.unwrap();
        Self { stack, secrets: tempfile::tempdir().unwrap() }
    }

    fn cluster(&self) -> &Cluster {
        &self.stack.info().source
    }

    pub(super) fn spec(&self) -> Spec {
        let info = self.stack.info();
        let secret = |name: &str, value: &str| {
            let path = self.secrets.path().join(name);
            std::fs::write(&path, value).unwrap();
            Some(SecretRef { from: Some(From::File(path.display().to_string())) })
        };
        let endpoint = Endpoint {
            host: "127.0.0.1".into(),
            port: self.cluster().port.into(),
            user: rds::MASTER.into(),
            password: secret("master", &info.source_passwords.master),
            maintenance_database: "postgres".into(),
            ca_file: info.ca.display().to_string(),
            escalation: "rds_tools.escalate".into(),
            ..Endpoint::default()
        };
        Spec {
            name: "trial".into(),
            source: Some(endpoint.clone()),
            target: Some(endpoint),
            databases: vec![Database { name: DATABASE.into(), ..Database::default() }],
            replication: Some(Replication {
                user: rds::REPLICATION.into(),
                password: secret("replication", &info.source_passwords.replication),
                server_ca_file: info.ca.display().to_string(),
                ..Replication::default()
            }),
            ..Spec::default()
        }
    }
}

/// A database to fence, and the server that it has to itself. Source and target of the migration are the same: only the closing side is of interest here.
pub(super) struct Ground {
    pub(super) migration: Migration,
    server: MutexGuard<'static, Server>,
}

impl Ground {
    /// Makes roles (as the migration's login, which so may administer them, as on RDS) and a schema (as the superuser).
    pub(super) async fn prepare(major: u32, roles: &str, schema: &str) -> Self {
        let server = SERVERS[major as usize - 15]
            .get_or_init(async || Mutex::new(Server::start(major).await))
            .await
            .lock()
            .await;
        let migration = Migration::resolve(&server.spec()).unwrap();
        let ground = Self { migration, server };
        ground.clear().await;
        let login = ground.migration.source.open_maintenance("roles").await.unwrap();
        login.batch_execute(roles).await.unwrap();
        ground.sql(schema).await;
        ground.claim().await;
        ground
    }

    async fn clear(&self) {
        let admin = connect::as_superuser(self.server.cluster(), "postgres").await.unwrap();
        let ended = "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'shop'";
        admin.execute(ended, &[]).await.unwrap();
        for row in admin.query("select gid from pg_prepared_xacts", &[]).await.unwrap() {
            let shop = connect::as_superuser(self.server.cluster(), DATABASE).await.unwrap();
            shop.batch_execute(&format!("rollback prepared '{}'", row.get::<_, &str>(0))).await.unwrap();
        }
        for database in [DATABASE, AWAY] {
            self.stop_replication(&admin, database).await;
            admin.batch_execute(&format!("drop database if exists {database} with (force)")).await.unwrap();
        }
        let roles = "select format('drop role %I', rolname) from pg_roles \
                      where rolname !~ '^(pg_|rds|changeover)'";
        let drops: Vec<String> = admin.query(roles, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        admin.batch_execute(&drops.join(";")).await.unwrap();
        admin.batch_execute("create database shop owner changeover").await.unwrap();
    }

    /// A database with a subscription or a slot can't be dropped.
    async fn stop_replication(&self, admin: &Client, database: &str) {
        let sql = "select s.subname::text from pg_subscription s join pg_database d on d.oid = s.subdbid where d.datname = $1";
        for row in admin.query(sql, &[&database]).await.unwrap() {
            let inside = connect::as_superuser(self.cluster(), database).await.unwrap();
            let name: String = row.get(0);
            for sql in [
                "alter subscription {} disable",
                "alter subscription {} set (slot_name = none)",
                "drop subscription {}",
            ] {
                inside.batch_execute(&sql.replace("{}", &name)).await.unwrap();
            }
        }
        let idle = "select not exists (select from pg_replication_slots where active and database = $1)";
        let idle = async || admin.query_one(idle, &[&database]).await.unwrap().get::<_, bool>(0);
        process::wait_until("slots are idle", DEADLINE, idle).await.unwrap();
        let slots = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1";
        admin.execute(slots, &[&database]).await.unwrap();
    }

    /// Puts the gate on every table, as the stage `reverse` does.
    pub(super) async fn make_gate(&self) {
        gate::make(&self.migration, Side::Source, DATABASE).await.unwrap();
    }

    /// The spec keeps the logins of these roles: only rights keep them out.
    pub(super) fn keep_logins(&mut self, roles: impl IntoIterator<Item = String>) {
        self.migration.spec.roles.get_or_insert_default().keep_login = roles.into_iter().collect();
    }

    /// What a migration has done long before its first switch.
    async fn claim(&self) {
        membership::ensure(&self.migration, Side::Source).await.unwrap();
        self.sql("update changeover.migration set epoch = 1").await;
    }

    /// The spec in a file, for another process.
    pub(super) fn spec_file(&self) -> std::path::PathBuf {
        let path = self.server.secrets.path().join("spec.json");
        std::fs::write(&path, serde_json::to_string(&self.server.spec()).unwrap()).unwrap();
        path
    }

    pub(super) fn cluster(&self) -> &Cluster {
        self.server.cluster()
    }

    pub(super) async fn superuser(&self) -> Client {
        connect::as_superuser(self.cluster(), DATABASE).await.unwrap()
    }

    /// As the superuser.
    pub(super) async fn sql(&self, sql: &str) {
        self.superuser().await.batch_execute(sql).await.unwrap_or_else(|e| panic!("{e:?}"));
    }

    /// One number, seen by the superuser.
    pub(super) async fn number(&self, sql: &str) -> i64 {
        self.superuser().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Logs in as an application does, with further options for the server.
    pub(super) async fn try_login(&self, role: &str, options: &str) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = Config::new()
            .host_path(self.cluster().socket())
            .port(self.cluster().port)
            .dbname(DATABASE)
            .user(role)
            .application_name("shop")
            .options(options)
            .connect(NoTls)
            .await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub(super) async fn login(&self, role: &str) -> Client {
        self.try_login(role, "").await.unwrap()
    }

    /// Waits until this many sessions of applications wait for a lock; fails when that doesn't come, with how many did.
    pub(super) async fn until_waiting(&self, sessions: usize) {
        let admin = self.superuser().await;
        let sql = "select count(*) from pg_stat_activity \
                    where datname = 'shop' and wait_event_type = 'Lock' and application_name not like 'changeover/%'";
        let mut most = 0;
        let what = format!("{sessions} sessions wait for locks");
        let waiting = process::wait_until(&what, WAITING, async || {
            let seen: i64 = admin.query_one(sql, &[]).await.unwrap().get(0);
            most = most.max(seen);
            seen == sessions as i64
        });
        if let Err(error) = waiting.await {
            panic!("{error}; there were {most}");
        }
    }

    /// Every right to every relation and column, with its grantor and grant option.
    pub(super) async fn rights(&self) -> Vec<String> {
        let sql = "select c.oid::regclass::text || coalesce('.' || a.attname, '') || ' ' || x.privilege_type \
                          || ' by ' || x.grantor::regrole::text || ' to ' || case x.grantee when 0 then 'public' else x.grantee::regrole::text end \
                          || case when x.is_grantable then ' *' else '' end \
                     from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                     left join pg_attribute a on a.attrelid = c.oid and a.attacl is not null \
                    cross join lateral (select * from aclexplode(coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::\"char\", c.relowner))) \
                                         where a.attname is null \
                                         union all select * from aclexplode(a.attacl)) x \
                    where c.relkind in ('r', 'p', 'v', 'S') and n.nspname !~ '^(pg_|information_schema|changeover|rds_tools)' \
                    order by 1";
        self.superuser().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// A digest of all rows of all tables.
    pub(super) async fn rows(&self) -> Vec<(String, String)> {
        let admin = self.superuser().await;
        let tables = "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                       where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname !~ '^(pg_|information_schema|changeover|rds_tools)' order by 1";
        let mut found = Vec::new();
        for row in admin.query(tables, &[]).await.unwrap() {
            let table: String = row.get(0);
            let sql = format!("select coalesce(string_agg(x::text, ' ' order by x::text), '') from only {table} x");
            found.push((table, admin.query_one(&sql, &[]).await.unwrap().get(0)));
        }
        found
    }

    /// Prepares the fence, with everything that a switch does before it touches writers.
    pub(super) async fn prepare_fence(&self) -> Result<Held<'_>, Failure> {
        self.prepare_fence_by(Means::Lock).await
    }

    /// The same with either means.
    pub(super) async fn prepare_fence_by(&self, means: Means) -> Result<Held<'_>, Failure> {
        let source = &self.migration.source;
        let guard = source.open(DATABASE, "switch-guard").await?;
        let lockers = [source.open(DATABASE, "switch-fence").await?, source.open(DATABASE, "switch-proof").await?];
        let mut writer = source.open(DATABASE, "switch-writer").await?;
        let fence = Fence::prepare(&self.migration, means, lockers, &mut writer, EPOCH).await?;
        fence.check(&self.migration, &writer).await?;
        Ok(Held { migration: &self.migration, fence, writer, guard })
    }

    /// Prepares it and locks.
    pub(super) async fn lock(&self) -> Held<'_> {
        self.lock_by(Means::Lock).await
    }

    /// The same with either means.
    pub(super) async fn lock_by(&self, means: Means) -> Held<'_> {
        let held = self.prepare_fence_by(means).await.unwrap();
        held.lock(Duration::from_millis(300)).await.unwrap();
        held
    }

    /// Waits until the superuser finds that a statement says yes.
    pub(super) async fn until(&self, what: &str, sql: &str) {
        let admin = self.superuser().await;
        let holds = async || admin.query_one(sql, &[]).await.unwrap().get::<_, bool>(0);
        process::wait_until(what, DEADLINE, holds).await.unwrap();
    }

    /// As an undo does on the side that goes on serving.
    pub(super) async fn undo(&self) -> Result<(), Failure> {
        let (m, serves) = (&self.migration, turn::Turn::Serves);
        let session = &mut m.source.open(DATABASE, "recover").await?;
        let hold = Hold::Undoing(EPOCH);
        perform(Effect::GiveRightsBack, |change| acl::restore(change, &mut *session, m, hold)).await?;
        perform(Effect::OpenGateAgain, |change| flag::open(change, &mut *session, m, hold)).await?;
        perform(Effect::WakeTriggers, |change| turn::back(change, &mut *session, m, EPOCH, serves)).await?;
        perform(Effect::Reopen, |change| login::reopen(change, session, m, EPOCH)).await.map(drop)
    }
}

/// A prepared fence and the sessions beside it, driven as an attempt drives them.
pub(super) struct Held<'a> {
    migration: &'a Migration,
    pub(super) fence: Fence,
    pub(super) writer: crate::Session,
    pub(super) guard: crate::Session,
}

impl Held<'_> {
    /// The rights, in a transaction that waits for its commit.
    pub(super) async fn hold(&self) -> Result<(), Failure> {
        let hold = |change| self.fence.hold_rights(change, self.migration, EPOCH, &self.writer);
        perform(Effect::HoldRights, hold).await
    }

    pub(super) async fn lock(&self, budget: Duration) -> Result<(), Failure> {
        self.hold().await?;
        self.fence.aim(budget).await?;
        self.lock_for(HOLD).await
    }

    pub(super) async fn lock_for(&self, hold: Duration) -> Result<(), Failure> {
        perform(Effect::Lock, |change| self.fence.lock(change, hold)).await
    }

    /// What is looked at and changed under the lock, within its transaction.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        self.fence.look(self.migration, &self.writer).await?;
        self.fence.silence().await
    }

    pub(super) async fn close_logins(&self) -> Result<Vec<String>, Failure> {
        perform(Effect::HoldLogins, |change| login::hold(change, &self.guard, self.migration, EPOCH)).await?;
        let close = perform(Effect::CloseLogins, |change| login::close(change, &self.guard));
        let evict = perform(Effect::Evict, |change| login::evict(change, &self.guard, Whose::Closed, EVICTION));
        futures::try_join!(close, evict)?;
        login::saved(&*self.guard, self.guard.side).await
    }

    /// With the gate: shuts it.
    pub(super) async fn shut(&self) -> Result<(), Failure> {
        self.fence.shut(self.migration, EPOCH).await
    }

    pub(super) async fn commit(&self) -> Result<(), Failure> {
        self.shut().await?;
        if self.fence.takes_rights() {
            perform(Effect::TakeRights, |change| self.fence.take_rights(change, self.migration, EPOCH)).await?;
        }
        perform(Effect::CommitFence, |change| self.fence.commit(change, EPOCH)).await
    }

    /// From the lock to the durable fence.
    pub(super) async fn finish(&self) -> Result<Vec<String>, Failure> {
        self.check().await?;
        let roles = self.close_logins().await?;
        self.commit().await.map(|()| roles)
    }

    /// Who is in the way, in the words of a failure.
    pub(super) async fn blockers(&self) -> String {
        self.fence.blockers(&self.writer).await.unwrap().join("; ")
    }
}
