//! The engine against two real clusters, as a login that isn't a superuser; the oracle judges what is left.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::{Duration, Instant};

use changeover_domain::{
    Direction, Failure, Side,
    proto::{Database, Endpoint, Replication, SecretRef, Spec, secret_ref::From},
};
use changeover_postgres::{
    Migration, ddl_guard, drained, drift, home, leftovers, membership, note, pglogical, roles, schema, switch, triggers,
};
use changeover_tests::{
    oracle,
    stack::{Cluster, Stack, StackOptions, connect, rds},
};

const DEADLINE: Duration = Duration::from_secs(90);

/// Tables as they come: other owners, names that need quotes, row-level security, partitions, an append-only one.
const SCHEMA: &str = r#"
    create schema "Größe" authorization shop_owner;
    set role shop_owner;
    create table "Größe"."Kunde ""x""" (id int primary key, name text);
    create table "Größe".log (at timestamptz, line text);
    create table "Größe".part (id int, at date, primary key (id, at)) partition by range (at);
    create table "Größe".part_a partition of "Größe".part for values from ('2026-01-01') to ('2026-07-01');
    create table "Größe".part_b partition of "Größe".part for values from ('2026-07-01') to ('2027-01-01');
    create table "Größe".secured (id int primary key, owner text);
    reset role;
"#;
/// Only the source has it while the target is filled, as in a migration.
const SECURITY: &str = r#"
    alter table "Größe".secured enable row level security;
    create policy own on "Größe".secured using (owner = current_user);
"#;
const ROWS: &str = r#"
    insert into "Größe"."Kunde ""x""" select i, repeat('ä', i % 50) from generate_series(1, 5000) i;
    insert into "Größe".log select now(), i::text from generate_series(1, 5000) i;
    insert into "Größe".part select i, date '2026-01-01' + i % 360 from generate_series(1, 5000) i;
    insert into "Größe".secured select i, 'nobody' from generate_series(1, 100) i;
"#;

struct Trial {
    stack: Stack,
    migration: Migration,
    /// Holds the files with the passwords.
    _secrets: tempfile::TempDir,
}

impl Trial {
    fn source(&self) -> &Cluster {
        &self.stack.info().source
    }
    fn target(&self) -> &Cluster {
        &self.stack.info().target
    }
    async fn sql(&self, cluster: &Cluster, database: &str, sql: &str) {
        connect::as_superuser(cluster, database).await.unwrap().batch_execute(sql).await.unwrap();
    }
    async fn start() -> Trial {
        let options = StackOptions { temporal: None, create_source_databases: true, ..StackOptions::default() };
        let stack = Stack::start(options).await.unwrap();
        let secrets = tempfile::tempdir().unwrap();
        let migration = Migration::resolve(&spec(&stack, secrets.path())).unwrap();
        let trial = Trial { stack, migration, _secrets: secrets };
        for cluster in [trial.source(), trial.target()] {
            for sql in ["create role shop_owner login", "create role billing_owner login"] {
                // the source has them already
                let _there = connect::as_superuser(cluster, "postgres").await.unwrap().batch_execute(sql).await;
            }
            trial.sql(cluster, "postgres", "grant shop_owner, billing_owner to changeover").await;
            for database in ["shop", "billing"] {
                trial.sql(cluster, database, SCHEMA).await;
            }
        }
        for database in ["shop", "billing"] {
            trial.sql(trial.source(), database, ROWS).await;
            trial.sql(trial.source(), database, SECURITY).await;
        }
        trial
    }

    /// A copy that fails at once is told by its start, a later one by the looks at its progress.
    async fn until_copy_fails(&self) -> Failure {
        if let Err(failure) = pglogical::ensure_forward(&self.migration).await {
            return failure;
        }
        let begun = Instant::now();
        loop {
            match pglogical::sync_progress(&self.migration).await {
                Err(failure) => return failure,
                Ok(look) => assert!(begun.elapsed() < DEADLINE, "the failure isn't seen: {look:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn until_copied(&self) {
        let begun = Instant::now();
        let mut last = 0;
        loop {
            let look = pglogical::sync_progress(&self.migration).await.unwrap();
            assert!(look.progress.bytes_done >= last, "progress went back from {last}: {look:?}");
            assert!(
                look.ready || look.progress.bytes_done < look.progress.bytes_total,
                "full before it's ready: {look:?}"
            );
            last = look.progress.bytes_done;
            if look.ready {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "the copy doesn't end: {look:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    async fn expect_healthy(&self, direction: Direction) {
        for link in pglogical::health(&self.migration, direction).await.unwrap() {
            assert!(link.problems.is_empty(), "{link:?}");
            assert!(link.canary_ms.is_some() && link.slot_active && link.tables_ready == link.tables_total, "{link:?}");
            assert!(link.tables_total == 7, "{link:?}");
        }
    }
    async fn expect_equal(&self) {
        let databases = ["shop".to_owned(), "billing".to_owned()];
        let begun = Instant::now();
        loop {
            let rows = oracle::compare_rows(self.source(), self.target(), &databases).await.unwrap();
            if rows.diverged_rows == 0 && rows.source_rows > 30_000 {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "{:?}", rows.faults);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn spec(stack: &Stack, secrets: &std::path::Path) -> Spec {
    let info = stack.info();
    let secret = |name: &str, value: &str| {
        let path = secrets.join(name);
        std::fs::write(&path, value).unwrap();
        Some(SecretRef { from: Some(From::File(path.display().to_string())) })
    };
    let endpoint = |name: &str, cluster: &Cluster, password: &str| Endpoint {
        host: "127.0.0.1".into(),
        port: cluster.port.into(),
        user: rds::MASTER.into(),
        password: secret(name, password),
        maintenance_database: "postgres".into(),
        ca_file: info.ca.display().to_string(),
        escalation: "rds_tools.escalate".into(),
        ..Endpoint::default()
    };
    let database = |name: &str| Database { name: name.into(), insert_only_tables: vec!["Größe.log".into()] };
    Spec {
        name: "trial".into(),
        source: Some(endpoint("source", &info.source, &info.source_passwords.master)),
        target: Some(endpoint("target", &info.target, &info.target_passwords.master)),
        databases: vec![database("shop"), database("billing")],
        replication: Some(Replication {
            user: rds::REPLICATION.into(),
            password: secret("replication", &info.source_passwords.replication),
            server_ca_file: info.ca.display().to_string(),
            poll_ms: 100,
        }),
        ..Spec::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_directions_run_and_leave_nothing() {
    let trial = Trial::start().await;
    let m = &trial.migration;
    let before =
        [oracle::Snapshot::take(trial.source()).await.unwrap(), oracle::Snapshot::take(trial.target()).await.unwrap()];
    home::ensure(m, &m.source).await.unwrap();
    home::ensure(m, &m.target).await.unwrap();
    drift::baseline(m, Side::Source).await.unwrap();

    // Everything twice: the second time finds what the first one made.
    let first = pglogical::ensure_forward(m).await.unwrap();
    assert_eq!((first.tables, first.tables_added), (14, 14));
    assert_eq!(pglogical::ensure_forward(m).await.unwrap().tables_added, 0);
    trial.until_copied().await;
    trial.expect_equal().await;
    pglogical::ensure_reverse(m).await.unwrap();
    pglogical::ensure_reverse(m).await.unwrap();
    trial.expect_healthy(Direction::Forward).await;
    trial.expect_healthy(Direction::Reverse).await;

    // Each side's own changes arrive on the other, once.
    for (cluster, id) in [(trial.source(), 10_001), (trial.target(), 10_002)] {
        let sql = format!(
            r#"insert into "Größe"."Kunde ""x""" values ({id}, 'x'); insert into "Größe".log values (now(), '{id}')"#
        );
        trial.sql(cluster, "shop", &sql).await;
    }
    trial.expect_equal().await;
    assert_eq!(drift::check(m, Side::Source).await.unwrap(), []);

    a_second_migration_harms_nothing(&trial).await;
    the_guard_refuses_ddl(&trial).await;

    let left = leftovers::prove_clean(m, Side::Source).await.unwrap();
    assert!(left.iter().any(|l| l.starts_with("slot ")), "{left:?}");
    for _ in 0..2 {
        // What a second run says is what the first one found, and it doesn't wait for links that are gone.
        let begun = Instant::now();
        assert_eq!(drained::drain_back(m).await.unwrap(), "the source holds the last write");
        assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
        pglogical::remove_all(m).await.unwrap();
        for side in [Side::Source, Side::Target] {
            ddl_guard::remove(m, side).await.unwrap();
        }
    }
    for side in [Side::Source, Side::Target] {
        home::remove(m, m.site(side)).await.unwrap();
        assert_eq!(leftovers::prove_clean(m, side).await.unwrap(), Vec::<String>::new());
    }
    for (cluster, before) in [trial.source(), trial.target()].into_iter().zip(&before) {
        let after = oracle::Snapshot::take(cluster).await.unwrap();
        let left: Vec<String> = oracle::unchanged(before, &after).iter().map(ToString::to_string).collect();
        assert_eq!(left, Vec::<String>::new());
    }
    no_password_is_logged(&trial);
}

/// It is refused, and what it then undoes is its own, which is nothing.
async fn a_second_migration_harms_nothing(trial: &Trial) {
    let secrets = tempfile::tempdir().unwrap();
    let spec = Spec { name: "other".into(), ..spec(&trial.stack, secrets.path()) };
    let other = Migration::resolve(&spec).unwrap();
    assert_eq!(home::ensure(&other, &other.source).await.unwrap_err().code, "CO0210");
    let (book, key) = (trial.migration.target.open("shop", "test").await.unwrap(), "membership:target:shop_owner");
    note::put(&*book, Side::Target, key, &()).await.unwrap();
    triggers::restore(&other, Side::Target).await.unwrap();
    schema::undo(&other).await.unwrap();
    roles::undo(&other).await.unwrap();
    membership::undo(&other, Side::Target).await.unwrap();
    assert!(
        note::get::<()>(&*book, Side::Target, key).await.unwrap().is_some(),
        "another's note of a membership is gone"
    );
    let member = "select pg_catalog.pg_has_role(current_user, 'shop_owner', 'member')";
    assert!(book.query_one(member, &[]).await.unwrap().get::<_, bool>(0), "another's membership was taken back");
    note::forget(&*book, Side::Target, key).await.unwrap();
    pglogical::remove_all(&other).await.unwrap();
    for side in [Side::Source, Side::Target] {
        ddl_guard::remove(&other, side).await.unwrap();
        home::remove(&other, other.site(side)).await.unwrap();
        assert_eq!(leftovers::prove_clean(&other, side).await.unwrap(), Vec::<String>::new());
    }
    trial.expect_healthy(Direction::Forward).await;
    trial.expect_healthy(Direction::Reverse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_lost_leaves_a_clean_target() {
    let trial = Trial::start().await;
    let m = &trial.migration;
    let before = oracle::Snapshot::take(trial.target()).await.unwrap();
    home::ensure(m, &m.source).await.unwrap();
    home::ensure(m, &m.target).await.unwrap();
    pglogical::ensure_forward(m).await.unwrap();
    trial.until_copied().await;
    pglogical::ensure_reverse(m).await.unwrap();
    trial.expect_healthy(Direction::Reverse).await;
    ddl_guard::ensure(m, Side::Target).await.unwrap();

    // While it answers it isn't lost; and a target that was never opened doesn't serve.
    assert_eq!(switch::close_without_source(m).await.unwrap_err().code, "CO0730");
    trial.source().kill().await.unwrap();
    assert_eq!(switch::close_without_source(m).await.unwrap_err().code, "CO0729");
    // The way back can't be taken down whole, but its slot goes: it would fill the disk of the side that is up.
    assert_eq!(pglogical::remove(m, Direction::Reverse).await.unwrap_err().code, "CO0515");
    let target = connect::as_superuser(trial.target(), "shop").await.unwrap();
    let slots = target.query("select slot_name::text from pg_replication_slots", &[]).await.unwrap();
    assert!(slots.is_empty(), "{slots:?}");
    let opened = "insert into changeover.decision (epoch, outcome) values (1, 'open')";
    trial.sql(trial.target(), "shop", opened).await;
    for _ in 0..2 {
        switch::close_without_source(m).await.unwrap();
        pglogical::remove_on_target(m).await.unwrap();
        ddl_guard::remove(m, Side::Target).await.unwrap();
    }
    home::remove(m, &m.target).await.unwrap();
    assert_eq!(leftovers::prove_clean(m, Side::Target).await.unwrap(), Vec::<String>::new());
    let after = oracle::Snapshot::take(trial.target()).await.unwrap();
    let left: Vec<String> = oracle::unchanged(&before, &after).iter().map(ToString::to_string).collect();
    assert_eq!(left, Vec::<String>::new());
}

/// A setting of the role, the database or the instance changes nothing of what our transactions mean.
#[tokio::test(flavor = "multi_thread")]
async fn our_sessions_mean_what_they_say() {
    let trial = Trial::start().await;
    for sql in [
        "alter role changeover set default_transaction_isolation = 'serializable'",
        "alter role changeover set synchronous_commit = off",
        "alter database shop set default_transaction_read_only = on",
    ] {
        trial.sql(trial.source(), "postgres", sql).await;
    }
    let session = trial.migration.source.open("shop", "test").await.unwrap();
    for (name, wanted) in [
        ("default_transaction_isolation", "read committed"),
        ("transaction_isolation", "read committed"),
        ("synchronous_commit", "on"),
        ("transaction_read_only", "off"),
    ] {
        let row = session.query_one("select pg_catalog.current_setting($1)", &[&name]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), wanted, "{name}");
    }
}

async fn the_guard_refuses_ddl(trial: &Trial) {
    assert_eq!(ddl_guard::ensure(&trial.migration, Side::Source).await.unwrap().guarded, ["shop", "billing"]);
    let client = connect::as_superuser(trial.source(), "shop").await.unwrap();
    client
        .batch_execute("create temp table scratch (i int); create index on scratch (i); drop table scratch")
        .await
        .unwrap();
    for sql in
        ["create table public.new (i int)", r#"drop table "Größe".log cascade"#, r#"alter table "Größe".log add x int"#]
    {
        let error = client.batch_execute(sql).await.expect_err(sql);
        assert_eq!(error.code().map(|c| c.code()), Some("55006"), "{sql}: {error}");
    }
}

fn no_password_is_logged(trial: &Trial) {
    let info = trial.stack.info();
    for (cluster, passwords) in [(&info.source, &info.source_passwords), (&info.target, &info.target_passwords)] {
        let log = std::fs::read_to_string(cluster.log()).unwrap();
        assert!(log.contains("pglogical.create_node"), "the log says nothing of nodes");
        for password in [&passwords.master, &passwords.replication] {
            assert!(!log.contains(password.as_str()), "a password stands in {}", cluster.log().display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_copy_is_told_and_starts_anew_and_drift_is_named() {
    let trial = Trial::start().await;
    let m = &trial.migration;
    home::ensure(m, &m.source).await.unwrap();
    home::ensure(m, &m.target).await.unwrap();
    drift::baseline(m, Side::Source).await.unwrap();
    trial.sql(trial.target(), "shop", r#"alter table "Größe".part_b add constraint no check (false)"#).await;

    let failure = trial.until_copy_fails().await;
    assert_eq!(failure.code, "CO0507", "{failure}");
    trial.sql(trial.target(), "shop", r#"alter table "Größe".part_b drop constraint no"#).await;
    pglogical::ensure_forward(m).await.unwrap();
    trial.until_copied().await;
    trial.expect_equal().await;

    trial
        .sql(
            trial.source(),
            "shop",
            r#"create table "Größe".late (i int primary key); alter table "Größe".log add x int"#,
        )
        .await;
    let named: Vec<String> =
        drift::check(m, Side::Source).await.unwrap().iter().map(|d| format!("{:?} {}", d.change, d.object)).collect();
    assert_eq!(named, ["Added table Größe.late", "Changed table Größe.log"]);
    let look = pglogical::sync_progress(m).await.unwrap();
    assert!(!look.ready && look.problems.iter().any(|p| p.contains("Größe.late")), "{look:?}");
    pglogical::remove_all(m).await.unwrap();
}
