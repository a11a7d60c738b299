//! Making flaws on a pair of clusters, and asking preflight.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use changeover_domain::{
    Side,
    proto::{Finding, Severity},
};
use changeover_postgres::{
    Migration,
    console::{Console, ConsoleAddress},
    preflight,
    secret::Secret,
};
use changeover_tests::stack::{Stack, StopMode, connect, pooler as pooler_of, rds, sample_login};
use tokio_postgres::Client;

use super::{
    flaw::{Flaw, Found, S, Step, T, Who, pooler, source, target, warning},
    ground::{self, DATABASE, Ground},
};

/// What is said of every pair: free disk, and what this PgBouncer can't do.
pub const USUAL: &[Found] = &[
    source("CO0321", Severity::Warning, "disk"),
    target("CO0321", Severity::Warning, "disk"),
    pooler("CO0373", Severity::Info, ""),
];

/// The application of a pair with which nothing is wrong. `postgres_fdw` is there so that a server of its can be made.
const SOURCE: &str = "
    grant shop_owner to changeover;
    create extension postgres_fdw;
    create schema app authorization shop_owner;
    grant usage on foreign data wrapper postgres_fdw to shop_owner;
    set role shop_owner;
    create table app.customer (id bigint generated always as identity primary key, name text);
    create table app.entry (id bigint primary key, customer bigint references app.customer (id));
    create table app.tree (id bigint primary key, at date) partition by hash (id);
    create table app.tree_0 partition of app.tree for values with (modulus 1, remainder 0);
    insert into app.customer (name) select 'c' || i from generate_series(1, 100) i;
    reset role;
";
const TARGET: &str = "create extension postgres_fdw;\n";

/// A login of an application on the target.
const CLERK: &str = "clerk";
const DEADLINE: Duration = Duration::from_secs(20);
/// In which what has just been made or unmade shows.
const MOMENT: Duration = Duration::from_secs(5);
/// Which findings come by themselves after a minute, once they have been planted.
pub const GROWING_OLD: [&str; 2] = ["CO0353", "CO0354"];

pub struct Trial {
    ground: Ground,
    held: Vec<Client>,
    old: Option<Client>,
    /// What wasn't found as it should be.
    wrong: Vec<String>,
}

impl Trial {
    pub async fn start() -> Self {
        let ground = Ground::start(&[DATABASE], &[("max_prepared_transactions", "5")]).await;
        ground::each(&ground::unseen(&ground.info().source, DATABASE).await, SOURCE).await;
        ground::each(&ground::unseen(&ground.info().target, DATABASE).await, TARGET).await;
        Self { ground, held: Vec::new(), old: None, wrong: Vec::new() }
    }

    /// All that wasn't found as it should be, at once.
    pub fn end(self) -> Stack {
        assert!(self.wrong.is_empty(), "{} of the flaws:\n{}", self.wrong.len(), self.wrong.join("\n"));
        self.ground.stack
    }

    async fn session(&self, side: Side, database: &str) -> Client {
        ground::unseen(ground::cluster(self.ground.info(), side), database).await
    }

    /// What preflight finds now, the usual included.
    async fn found(&self, flaw: Option<&Flaw>) -> Vec<Finding> {
        let mut spec = self.ground.spec("flaws");
        if let Some(change) = flaw.and_then(|flaw| flaw.spec) {
            change(&mut spec, &self.ground);
        }
        let migration = Migration::resolve(&spec).unwrap();
        preflight::run(&migration).await.unwrap().findings
    }

    pub async fn expect_flawless(&mut self) {
        self.expect("no flaw", None, &[]).await;
    }

    /// Exactly these and the usual ones. What a session that has just been closed leaves is gone a moment later.
    async fn expect(&mut self, name: &str, flaw: Option<&Flaw>, wanted: &[Found]) {
        let begun = Instant::now();
        let wanted: BTreeSet<Key> = wanted.iter().chain(USUAL).map(key_of).collect();
        loop {
            let found = self.found(flaw).await;
            let old = |code: &str| GROWING_OLD.contains(&code);
            let planted = self.old.is_some() && !wanted.iter().any(|key| old(&key.0));
            let keys: BTreeSet<Key> = found.iter().filter(|f| !(planted && old(&f.code))).map(key).collect();
            // A usual finding may have nothing to be about: without a pooler, nothing is said of its version.
            let missing: Vec<&Key> = wanted.difference(&keys).filter(|key| flaw.is_none() || !is_usual(key)).collect();
            let more: Vec<&Key> = keys.difference(&wanted).collect();
            if missing.is_empty() && more.is_empty() {
                let silent = found.iter().filter(|f| f.message.is_empty() || f.remedy.is_empty());
                self.wrong.extend(silent.map(|f| format!("{name}: without words: {f:?}")));
                return;
            }
            if begun.elapsed() < MOMENT {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            let told: Vec<String> = found.iter().map(|f| format!("    {:?} {}", key(f), f.message)).collect();
            let told = told.join("\n");
            self.wrong.push(format!("{name}: missing {missing:?}; beyond it {more:?}; in all\n{told}"));
            return;
        }
    }

    pub async fn with(&mut self, flaw: &Flaw) {
        if let Some(setting) = flaw.needs
            && !self.knows(setting).await
        {
            eprintln!("{}: this server has no {setting}", flaw.name);
            return;
        }
        for step in flaw.make {
            self.step(*step).await;
        }
        self.expect(flaw.name, Some(flaw), flaw.found).await;
        for step in flaw.unmake {
            self.step(*step).await;
        }
    }

    async fn knows(&self, setting: &str) -> bool {
        let sql = "select current_setting($1, true) is not null";
        self.session(T, "postgres").await.query_one(sql, &[&setting]).await.unwrap().get(0)
    }

    pub async fn restart_without_flaw(&mut self) {
        for side in [S, T] {
            self.restart(side, &[]).await;
        }
        self.expect_flawless().await;
    }

    async fn restart(&self, side: Side, settings: &[(&str, &str)]) {
        let session = self.session(side, "postgres").await;
        session.batch_execute("alter system reset all").await.unwrap();
        set(&session, settings).await;
        drop(session);
        let cluster = ground::cluster(self.ground.info(), side);
        cluster.stop(self.ground.stack.user(), StopMode::Fast).await.unwrap();
        cluster.start(self.ground.stack.user()).await.unwrap();
    }

    fn signal(&self, side: Side) -> std::path::PathBuf {
        ground::cluster(self.ground.info(), side).data().join("standby.signal")
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::In(side, sql) => ground::each(&self.session(side, DATABASE).await, sql).await,
            Step::Owner(sql) => {
                let session = self.session(S, DATABASE).await;
                session.batch_execute("set role shop_owner").await.unwrap();
                ground::each(&session, sql).await;
            }
            Step::On(side, sql) => self.alone(side, sql).await,
            Step::Set(side, settings) => {
                let session = self.session(side, "postgres").await;
                set(&session, settings).await;
                reload(&session, settings).await;
            }
            Step::Reset(side) => {
                let session = self.session(side, "postgres").await;
                session.batch_execute("alter system reset all").await.unwrap();
                session.batch_execute("select pg_reload_conf()").await.unwrap();
            }
            Step::Restart(side, settings) => self.restart(side, settings).await,
            Step::Standby(side) => {
                ground::write(&self.signal(side), "");
                self.restart(side, &[]).await;
            }
            Step::Primary(side) => {
                std::fs::remove_file(self.signal(side)).unwrap();
                self.restart(side, &[]).await;
            }
            Step::Pooler(commands) => self.console(commands).await,
            Step::Routes(text) => self.route(text).await,
            Step::Connect(side, who) => {
                let client = self.connect(side, who).await;
                self.held.push(client);
            }
            Step::Disconnect => self.held.clear(),
        }
    }

    /// Sessions that have just been closed end a moment later; a database can't be renamed before.
    async fn alone(&self, side: Side, sql: &str) {
        let session = self.session(side, "postgres").await;
        let begun = Instant::now();
        let others = "select count(*) from pg_stat_activity where datname = 'shop' and backend_type = 'client backend'";
        while session.query_one(others, &[]).await.unwrap().get::<_, i64>(0)
            > i64::from(self.old.is_some() && side == S)
        {
            assert!(begun.elapsed() < DEADLINE, "waited {DEADLINE:?} for the sessions in the database to end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ground::each(&session, sql).await;
    }

    async fn connect(&self, side: Side, who: Who) -> Client {
        let cluster = ground::cluster(self.ground.info(), side);
        if who == Who::Superuser {
            return connect::as_superuser(cluster, DATABASE).await.unwrap();
        }
        let login = if side == S { sample_login("shop_owner") } else { sample_login(CLERK) };
        if side == T {
            rds::create_login(cluster, &login.name, &login.password).await.unwrap();
        }
        let tls = connect::tls(&self.ground.info().ca).unwrap();
        let (user, password) = (login.name.as_str(), login.password.as_str());
        let login =
            connect::Login { port: cluster.port, database: DATABASE, user, password, application_name: "clerk" };
        connect::as_login(login, &tls).await.unwrap()
    }

    async fn console(&self, commands: &str) {
        let info = self.ground.info();
        let address = ConsoleAddress {
            host: info.pooler.host.clone(),
            port: info.pooler.port,
            user: pooler_of::ADMIN.into(),
            password: Secret::new(info.pooler.admin_password.clone()),
            ca_file: info.ca.display().to_string(),
        };
        let console = Console::open(&address).await.unwrap();
        for command in commands.split(";\n") {
            console.run(command.trim()).await.unwrap();
        }
    }

    async fn route(&self, entries: &str) {
        let info = self.ground.info();
        let place = |side: Side| {
            let cluster = ground::cluster(info, side);
            format!("host={} port={}", cluster.host, cluster.port)
        };
        let text = entries.replace("{source}", &place(S)).replace("{target}", &place(T));
        ground::write(&info.pooler.databases_file(), &format!("[databases]\n{text}\n"));
        self.console("RELOAD").await;
    }

    /// A transaction that writes and one that was prepared are findings of their own only when they are a minute old.
    pub async fn leave_open_what_grows_old(&mut self) {
        // Elsewhere: a database can't be renamed over it.
        let session = self.session(T, "postgres").await;
        ground::each(&session, "begin;\nselect pg_current_xact_id();\nprepare transaction 'old';\n").await;
        let open = self.connect(S, Who::Application).await;
        open.batch_execute("begin; update app.customer set name = name where id = 1").await.unwrap();
        self.old = Some(open);
    }

    pub async fn expect_what_grew_old(&mut self) {
        let source = self.session(S, "postgres").await;
        let age = "select extract(epoch from min(clock_timestamp() - xact_start))::float8
            from pg_stat_activity where application_name = 'clerk' and xact_start is not null";
        let age: f64 = source.query_one(age, &[]).await.unwrap().get(0);
        // Time itself is awaited: both rules are about it.
        tokio::time::sleep(Duration::from_secs_f64((61.0 - age).max(0.0))).await;
        let pid: i32 = source
            .query_one("select pid from pg_stat_activity where application_name = 'clerk'", &[])
            .await
            .unwrap()
            .get(0);
        let named: &'static str = Box::leak(format!("pid {pid}").into_boxed_str());
        let old = Found { side: "target", database: "postgres", ..warning("CO0353", "old") };
        let wanted = [warning("CO0354", named), Found { severity: Severity::Blocker, ..old }];
        self.expect("a transaction of a minute, and a forgotten prepared one", None, &wanted).await;
        self.old = None;
        ground::each(&self.session(T, "postgres").await, "rollback prepared 'old';\n").await;
    }
}

async fn set(session: &Client, settings: &[(&str, &str)]) {
    for (name, value) in settings {
        session.batch_execute(&format!("alter system set {name} = {value}")).await.unwrap();
    }
}

/// And waits until a new session has them.
async fn reload(session: &Client, settings: &[(&str, &str)]) {
    session.batch_execute("select pg_reload_conf()").await.unwrap();
    let begun = Instant::now();
    for (name, _) in settings {
        let pending = "select count(*) from pg_file_settings f join pg_settings s using (name)
            where f.name = $1 and f.sourcefile like '%auto.conf' and s.source = 'configuration file' and s.sourcefile = f.sourcefile";
        while session.query_one(pending, &[name]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(begun.elapsed() < DEADLINE, "waited {DEADLINE:?} for the setting {name}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Code, severity, side, database, object.
type Key = (String, Severity, String, String, String);

fn key(f: &Finding) -> Key {
    let object = if f.side == "pooler" { String::new() } else { f.object.clone() };
    (f.code.clone(), f.severity(), f.side.clone(), f.database.clone(), object)
}

fn key_of(f: &Found) -> Key {
    (f.code.into(), f.severity, f.side.into(), f.database.into(), f.object.into())
}

fn is_usual(key: &Key) -> bool {
    USUAL.iter().any(|usual| key_of(usual) == *key)
}
