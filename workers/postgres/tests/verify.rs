//! Verification on two real servers with replication and writers that don't rest: no false alarm, every planted difference named.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use changeover_domain::{
    Direction, Failure,
    proto::{Database, Endpoint, Replication, SecretRef, Spec, Verification, VerifyTotals, secret_ref::From},
};
use changeover_postgres::{
    Migration, home, pglogical,
    verify::{self, VerifyCursor},
};
use changeover_tests::stack::{Cluster, Stack, StackInfo, StackOptions, connect};
use tokio::task::JoinSet;
use tokio_postgres::Client;

const DATABASE: &str = "shop";
const OWNERS: &str = "create role fault_owner; create role fault_other; grant fault_owner, fault_other to changeover; \
    grant create on database shop to fault_owner";
const INSERT_ONLY: [&str; 3] = ["fault.bag", "fault.log", "fault.nothing"];

/// Statements that run against the source without rest, each in its own session. `$1` is a counter.
const WRITERS: [&str; 8] = [
    "update fault.hot set n = n + 1 where id = 1 and $1 >= 0",
    "update fault.hot set n = n + $1 where id % 50 = $1 % 50",
    "insert into fault.flip values (1, $1) on conflict (id) do update set n = excluded.n",
    "delete from fault.flip where id = 1 and $1 >= 0",
    "update fault.mover set id = id + 1 where who % 20 = $1 % 20",
    "insert into fault.log (who) values ($1 % 3)",
    // Rows that are there already, many times, and without a key to tell them apart.
    "insert into fault.bag select '2024-01-01Z'::timestamptz + ($1 % 100) * interval '1 s', 'w' || $1 % 10, 1.0",
    // Away from the rows that the faults are planted in.
    "update fault.big set a = a + 1 where id = 2 + $1 * 7919 % 70000",
];

struct Scene {
    stack: Stack,
    migration: Migration,
}

fn endpoint(info: &StackInfo, cluster: &Cluster, secrets: &Path) -> Endpoint {
    let file = secrets.join(format!("{}.password", cluster.side.name()));
    std::fs::write(&file, &info.passwords(cluster.side).master).unwrap();
    Endpoint {
        host: cluster.host.clone(),
        port: cluster.port.into(),
        user: "changeover".into(),
        password: Some(SecretRef { from: Some(From::File(file.display().to_string())) }),
        maintenance_database: "postgres".into(),
        ca_file: info.ca.display().to_string(),
        escalation: "rds_tools.escalate".into(),
        ..Endpoint::default()
    }
}

fn spec(info: &StackInfo) -> Spec {
    let secrets = &info.directory;
    let file = secrets.join("replication.password");
    std::fs::write(&file, &info.source_passwords.replication).unwrap();
    Spec {
        name: "verify_test".into(),
        source: Some(endpoint(info, &info.source, secrets)),
        target: Some(endpoint(info, &info.target, secrets)),
        databases: vec![Database { name: DATABASE.into(), insert_only_tables: INSERT_ONLY.map(Into::into).to_vec() }],
        replication: Some(Replication {
            user: "changeover_repl".into(),
            password: Some(SecretRef { from: Some(From::File(file.display().to_string())) }),
            server_ca_file: info.ca.display().to_string(),
            poll_ms: 200,
        }),
        verification: Some(Verification { chunk_ms: 50, chunk_rows: 2_000 }),
        ..Spec::default()
    }
}

async fn superuser(cluster: &Cluster) -> Client {
    connect::as_superuser(cluster, DATABASE).await.unwrap()
}

async fn scene() -> Scene {
    let options = StackOptions {
        databases: vec![DATABASE.into()],
        create_source_databases: true,
        temporal: None,
        log_statement: "none".into(),
        ..StackOptions::default()
    };
    let stack = Stack::start(options).await.unwrap();
    let info = stack.info();
    let (source, target) = (superuser(&info.source).await, superuser(&info.target).await);
    for side in [&source, &target] {
        side.batch_execute(OWNERS).await.unwrap();
        let tables = format!("set role fault_owner; {}; reset role", include_str!("verify/tables.sql"));
        side.batch_execute(&tables).await.unwrap();
    }
    reword(&source, &target).await;
    source.batch_execute(include_str!("verify/rows.sql")).await.unwrap();
    source.batch_execute("analyze").await.unwrap();
    let migration = Migration::resolve(&spec(info)).unwrap();
    home::ensure(&migration, &migration.source).await.unwrap();
    home::ensure(&migration, &migration.target).await.unwrap();
    verify::keep_wording(&migration).await.unwrap();
    pglogical::ensure_provider(&migration, Direction::Forward).await.unwrap();
    pglogical::ensure_forward(&migration).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let look = pglogical::sync_progress(&migration).await.unwrap();
        if look.ready {
            return Scene { stack, migration };
        }
        assert!(Instant::now() < deadline, "the initial copy wasn't ready within 120 s: {:?}", look.problems);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Makes a check again from its own words, as a restore does; the server then words it in another way.
async fn reword(source: &Client, target: &Client) {
    let words = "select pg_get_constraintdef(oid) from pg_constraint where conname = 'reworded_s_check'";
    let before: String = source.query_one(words, &[]).await.unwrap().get(0);
    let check = "alter table fault.reworded drop constraint reworded_s_check, add constraint reworded_s_check";
    target.batch_execute(&format!("{check} {before}")).await.unwrap();
    let after: String = target.query_one(words, &[]).await.unwrap().get(0);
    assert_ne!(before, after, "nothing was worded otherwise, so that nothing is tried");
}

/// Writers that run until told to stop.
struct Writers {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<i64>,
}

impl Writers {
    async fn start(source: &Cluster) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for statement in WRITERS {
            let client = superuser(source).await;
            client.batch_execute("set synchronous_commit = off").await.unwrap();
            let stop = Arc::clone(&stop);
            tasks.spawn(async move {
                let sql = statement.replace("$1", "$1::int8");
                let prepared = client.prepare(&sql).await.unwrap();
                let mut n = 0_i64;
                while !stop.load(Ordering::Relaxed) {
                    client.execute(&prepared, &[&n]).await.unwrap();
                    n += 1;
                    // Room for the machine: where commits come faster than they are applied, the lag grows without end, and a row
                    // that changes all the time can't be decided. A round takes longer than this, so that one never rests for it.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                n
            });
        }
        Self { stop, tasks }
    }
    async fn stop(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await.into_iter().sum()
    }
}

async fn verify(migration: &Migration) -> VerifyTotals {
    match verify::run(migration, Direction::Forward, None, &|_| {}).await {
        Ok(totals) => totals,
        Err(failure) => panic!("{failure}"),
    }
}

async fn found(target: &Client) -> Vec<String> {
    let rows = target.query("select what from changeover.verify_difference order by number", &[]).await.unwrap();
    rows.iter().map(|row| shortened(row.get(0))).collect()
}

/// Without the database; and without hash and place, which nobody can know beforehand, for a table without a key.
fn shortened(what: &str) -> String {
    let what = what.strip_prefix("shop: ").unwrap_or(what);
    match (what.split_once(" with hash "), what.rsplit_once(": ")) {
        (Some((before, _)), Some((_, after))) => format!("{before}: {after}"),
        _ => what.to_owned(),
    }
}

fn expected() -> Vec<String> {
    let lines = include_str!("verify/faults.sql").lines();
    lines.filter_map(|line| line.strip_prefix("-- expect: ")).map(|line| line.trim_end().to_owned()).collect()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_no_alarm_and_every_fault_is_named_by_key() {
    let scene = scene().await;
    let info = scene.stack.info().clone();
    let target = superuser(&info.target).await;

    let quiet = verify(&scene.migration).await;
    assert_eq!(quiet.differences, 0, "{:?}", found(&target).await);
    assert_eq!(quiet.tables, 19);
    assert_eq!(quiet.rows, 2_000 + 5_000 + 3_000 + 3_000 + 10 + 10 + 1_000 + 200 + 500 + 3_000 + 150_000 + 500 + 200);

    let writers = Writers::start(&info.source).await;
    let mut rechecked = 0;
    for _ in 0..4 {
        let totals = verify(&scene.migration).await;
        assert_eq!(totals.differences, 0, "false alarms: {:?}", found(&target).await);
        rechecked += totals.rechecked_keys;
    }
    // Else the writers were too slow to prove anything.
    assert!(rechecked > 0, "no key was ever caught changing");

    target.batch_execute("set session_replication_role = replica").await.unwrap();
    target.batch_execute(include_str!("verify/faults.sql")).await.unwrap();
    let totals = verify(&scene.migration).await;
    assert_eq!(sorted(found(&target).await), sorted(expected()));
    assert_eq!(totals.differences, expected().len() as u64);
    assert!(changeover_domain::verify::may_go_on(&totals).is_err_and(|f| f.code == "CO0601"));
    assert!(writers.stop().await > 1_000);

    resumes(&scene.migration, &target).await;
    scene.stack.stop().await.unwrap();
}

/// A run that is dropped in the middle goes on from its cursor and ends as an undisturbed one; an old cursor is good only once.
async fn resumes(migration: &Migration, target: &Client) {
    let whole = verify(migration).await;
    let before = found(target).await;
    let cursor = interrupted(migration).await;
    let text = serde_json::to_string(&cursor).unwrap();
    assert!(!text.contains("77777"), "a key in a heartbeat: {text}");
    let resumed = verify::run(migration, Direction::Forward, Some(cursor.clone()), &|_| {}).await.unwrap();
    assert_eq!((resumed.rows, resumed.tables, resumed.differences), (whole.rows, whole.tables, whole.differences));
    assert_eq!(found(target).await, before);
    let again = verify::run(migration, Direction::Forward, Some(cursor), &|_| {}).await.unwrap();
    assert_eq!((again.rows, again.differences), (whole.rows, whole.differences));
    no_marker_is_left(target).await;
}

/// They are removed where they were written, and replication brings that about here.
async fn no_marker_is_left(target: &Client) {
    let begun = Instant::now();
    loop {
        let markers = target.query_one("select count(*) from changeover.marker", &[]).await.unwrap().get::<_, i64>(0);
        if markers == 0 {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "waited for markers to go, {markers} are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Starts runs until one was dropped after its first position within a table.
async fn interrupted(migration: &Migration) -> VerifyCursor {
    let seen: Arc<Mutex<Option<VerifyCursor>>> = Arc::default();
    let keep = |cursor: &VerifyCursor| *seen.lock().unwrap() = Some(cursor.clone());
    let mut names = BTreeSet::new();
    for patience in (300..20_000).step_by(300) {
        let run = verify::run(migration, Direction::Forward, None, &keep);
        let ended: Result<Result<VerifyTotals, Failure>, _> =
            tokio::time::timeout(Duration::from_millis(patience), run).await;
        assert!(ended.is_err(), "the run ended before it could be interrupted: {names:?}");
        let cursor = seen.lock().unwrap().take();
        if let Some(cursor) = cursor.filter(|c| c.table > 1) {
            return cursor;
        }
        names.insert(patience);
    }
    panic!("no cursor within a table: {names:?}");
}
