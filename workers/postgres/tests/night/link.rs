//! A replication from source to target that runs, and what is seen of it.

use std::time::{Duration, Instant};

use changeover_domain::{
    Class, Direction, Failure, Side,
    proto::{LinkHealth, Spec},
};
use changeover_postgres::{Migration, ddl_guard, drift, home, pglogical};
use changeover_tests::stack::{Cluster, connect, sample_login};
use tokio_postgres::Client;

use super::ground::{self, Ground};

pub const DEADLINE: Duration = Duration::from_secs(90);
/// The database that nobody writes to.
pub const IDLE: &str = "billing";
pub const DATABASES: [&str; 2] = [ground::DATABASE, IDLE];

const SCHEMA: &str = "
    set role {owner};
    create schema app;
    create table app.customer (id bigint primary key, name text);
    create table app.entry (id bigint primary key, customer bigint);
    create table app.part (id bigint primary key) partition by range (id);
    create table app.part_0 partition of app.part for values from (0) to (1000);
    reset role;
";
/// As the last stage of the schema makes it, after the copy.
const FOREIGN_KEY: &str =
    "alter table app.entry add constraint entry_customer foreign key (customer) references app.customer (id)";
const ROWS: &str = "
    insert into app.customer select i, repeat('c', 100) from generate_series(1, 5000) i;
    insert into app.entry select i, i from generate_series(1, 100) i;
";

pub struct Link {
    pub ground: Ground,
    pub spec: Spec,
    pub migration: Migration,
}

impl Link {
    /// Schema on both sides, rows on the source, homes; nothing replicates yet.
    pub async fn prepare(settings: &[(&str, &str)]) -> Self {
        let ground = Ground::start(&DATABASES, settings).await;
        let mut spec = ground.spec("night");
        spec.budgets.as_mut().unwrap().slot_wait_ms = 2_000;
        let migration = Migration::resolve(&spec).unwrap();
        let link = Self { ground, spec, migration };
        for side in [Side::Source, Side::Target] {
            for database in DATABASES {
                let owner = format!("{database}_owner");
                let session = ground::unseen(link.cluster(side), database).await;
                if side == Side::Target {
                    ground::each(
                        &session,
                        &format!("create role {owner};\ngrant create on database {database} to {owner}"),
                    )
                    .await;
                }
                ground::each(&session, &format!("grant {owner} to changeover")).await;
                ground::each(&session, &SCHEMA.replace("{owner}", &owner)).await;
            }
            home::ensure(&link.migration, link.migration.site(side)).await.unwrap();
        }
        link.by_hand(Side::Source, ROWS).await;
        drift::baseline(&link.migration, Side::Source).await.unwrap();
        for side in [Side::Source, Side::Target] {
            ddl_guard::ensure(&link.migration, side).await.unwrap();
        }
        link
    }

    /// Copied, and with its foreign keys.
    pub async fn begin(&self) {
        // As Temporal does with what passes by itself.
        until("replication has begun", async || match pglogical::ensure_forward(&self.migration).await {
            Ok(_) => true,
            Err(failure) => {
                assert_eq!(failure.class, Class::Transient, "{failure}");
                false
            }
        })
        .await;
        self.until_copied().await;
        for side in [Side::Source, Side::Target] {
            self.by_hand(side, FOREIGN_KEY).await;
        }
        drift::baseline(&self.migration, Side::Source).await.unwrap();
        self.until_well().await;
    }

    pub async fn until_copied(&self) {
        let begun = Instant::now();
        loop {
            let look = pglogical::sync_progress(&self.migration).await.unwrap();
            if look.ready {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "the copy doesn't end: {look:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn cluster(&self, side: Side) -> &Cluster {
        ground::cluster(self.ground.info(), side)
    }

    /// A superuser's session whose DDL passes the guard.
    pub async fn past_the_guard(&self, side: Side, database: &str) -> Client {
        let client = connect::as_superuser(self.cluster(side), database).await.unwrap();
        client.batch_execute("set session_replication_role = replica; set lock_timeout = 0").await.unwrap();
        client
    }

    /// What somebody does past the guard, in the database that lives.
    pub async fn by_hand(&self, side: Side, sql: &str) {
        ground::each(&self.past_the_guard(side, ground::DATABASE).await, sql).await;
    }

    /// What the application writes.
    pub async fn write(&self, sql: &str) {
        let client = connect::as_superuser(self.cluster(Side::Source), ground::DATABASE).await.unwrap();
        client.batch_execute("set lock_timeout = 0").await.unwrap();
        ground::each(&client, sql).await;
    }

    /// A remedy that was told, to the letter, as the owner of the target's tables; the guard is up.
    pub async fn follow(&self, remedy: &str) {
        let client = connect::as_superuser(self.cluster(Side::Target), ground::DATABASE).await.unwrap();
        client.batch_execute("set role shop_owner").await.unwrap();
        client.batch_execute(remedy).await.unwrap_or_else(|error| panic!("`{remedy}`: {error:?}"));
    }

    /// A session of the application's owner.
    pub async fn application(&self) -> Client {
        let info = self.ground.info();
        let login = sample_login("shop_owner");
        let tls = connect::tls(&info.ca).unwrap();
        let (user, password) = (login.name.as_str(), login.password.as_str());
        let database = ground::DATABASE;
        let login = connect::Login { port: info.source.port, database, user, password, application_name: "nightly" };
        connect::as_login(login, &tls).await.unwrap()
    }

    pub async fn number(&self, side: Side, database: &str, sql: &str) -> i64 {
        connect::as_superuser(self.cluster(side), database).await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
    }

    /// A look as the workflow takes it. A worker that is down is kicked at every look, not only every 15 s.
    pub async fn look(&self) -> Result<Vec<LinkHealth>, Failure> {
        let age = "update changeover.note set at = at - interval '15 s' where key like 'pglogical.kicked.%'";
        ground::each(&ground::unseen(self.cluster(Side::Target), ground::DATABASE).await, age).await;
        pglogical::unstick(&self.migration, Direction::Forward).await?;
        pglogical::health(&self.migration, Direction::Forward).await
    }

    /// Looks until one of the problems says all of this; returns it with its link.
    pub async fn until_told(&self, words: &[&str]) -> (String, LinkHealth) {
        let begun = Instant::now();
        let mut seen: Vec<String> = Vec::new();
        loop {
            for link in self.look().await.unwrap() {
                for problem in &link.problems {
                    if words.iter().all(|word| problem.contains(word)) {
                        return (problem.clone(), link.clone());
                    }
                    if !seen.contains(problem) {
                        seen.push(problem.clone());
                    }
                }
            }
            assert!(begun.elapsed() < DEADLINE, "nobody tells {words:?}; told was {seen:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Looks until nothing is wrong any more and every canary has arrived.
    pub async fn until_well(&self) -> Vec<LinkHealth> {
        let begun = Instant::now();
        loop {
            let links = self.look().await.unwrap();
            if links.iter().all(|link| link.problems.is_empty() && link.canary_ms.is_some()) {
                return links;
            }
            assert!(begun.elapsed() < DEADLINE, "it doesn't get well: {links:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Waits for a condition.
pub async fn until(what: &str, mut fulfilled: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !fulfilled().await {
        assert!(begun.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
