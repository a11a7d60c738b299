//! The fence `gate` on real clusters: whom it keeps out, what passes it, what a crash leaves, and that it goes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use changeover_domain::{Direction, Side, proto::SwitchRecord};
use changeover_postgres::{gate, switch};
use changeover_switch_tests::{Ended, Lab, LabOptions, Verb, side};
use changeover_tests::{
    sample,
    stack::{
        Cluster,
        connect::{self, Login},
    },
};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

mod gate_queue;

const MINUTE: Duration = Duration::from_secs(60);

fn with_gate(text: String) -> String {
    format!("fence = \"gate\"\n{text}")
}

async fn lab(more_tables: usize) -> Lab {
    Lab::start(LabOptions {
        more_tables,
        edit_spec: with_gate,
        keep: std::env::var_os("GATE_KEEP").is_some(),
        ..LabOptions::default()
    })
    .await
    .unwrap()
}

fn cluster(lab: &Lab, which: Side) -> &Cluster {
    lab.info().cluster(side(which))
}

async fn root(lab: &Lab, which: Side) -> Client {
    connect::as_superuser(cluster(lab, which), "shop").await.unwrap()
}

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Whether a database's gate is shut: each has its own.
async fn is_shut(lab: &Lab, which: Side) -> bool {
    let mut shut = 0;
    for database in sample::DATABASES {
        let root = connect::as_superuser(cluster(lab, which), database).await.unwrap();
        shut += number(&root, "select last_value from changeover.gate_flag").await - 1;
    }
    shut > 0
}

async fn open(lab: &mut Lab, direction: Direction) -> SwitchRecord {
    lab.until_ready(MINUTE).await.unwrap();
    lab.switch_over(direction, 10).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_through_a_shut_gate_but_replication() {
    let mut lab = lab(10).await;
    a_table_without_the_gate_refuses_the_switch(&mut lab).await;
    who_waits_at_the_gate_is_refused(&mut lab).await;
    assert!(is_shut(&lab, Side::Source).await && !is_shut(&lab, Side::Target).await);
    superusers_are_refused_afterwards(&lab).await;
    replication_passes(&lab).await;
    open(&mut lab, Direction::Reverse).await;
    assert!(!is_shut(&lab, Side::Source).await && is_shut(&lab, Side::Target).await);
    // The side behind the gate has everything, and its clients write again.
    lab.load().await.unwrap();
    lab.judge().await.unwrap().expect_clean().unwrap();
    nothing_is_left(&lab).await;
}

/// The trigger is missing, off, or not in every mode: the gate of the switch says so, and nothing begins.
async fn a_table_without_the_gate_refuses_the_switch(lab: &mut Lab) {
    let root = root(lab, Side::Source).await;
    let ways = [
        (
            "alter table more.t00003 disable trigger changeover_gate",
            "alter table more.t00003 enable always trigger changeover_gate",
        ),
        (
            "alter table more.t00003 enable trigger changeover_gate",
            "alter table more.t00003 enable always trigger changeover_gate",
        ),
        (
            "alter table more.t00003 disable trigger changeover_gate_truncate",
            "alter table more.t00003 enable always trigger changeover_gate_truncate",
        ),
        ("create table more.late (id int)", "drop table more.late"),
        ("alter event trigger changeover_lab disable", "alter event trigger changeover_lab enable"),
    ];
    for (spoil, mend) in ways {
        root.batch_execute(&format!("set session_replication_role = replica; {spoil}")).await.unwrap();
        lab.until_ready(MINUTE).await.unwrap();
        let epoch = lab.next_epoch();
        let record = lab.switch(Direction::Forward, epoch).await.unwrap();
        assert_eq!(record.outcome, "abort", "after {spoil}");
        let told = record.refusal.contains("no working gate") || record.refusal.contains("no DDL guard");
        assert!(told, "after {spoil}: {}", record.refusal);
        root.batch_execute(mend).await.unwrap();
    }
}

/// Every kind of writer comes to the gate while the fence holds it, and waits. No one's write happens.
async fn who_waits_at_the_gate_is_refused(lab: &mut Lab) {
    lab.until_ready(MINUTE).await.unwrap();
    let queue = gate_queue::Queue::open(lab).await;
    let waiting = queue.len();
    let epoch = lab.next_epoch();
    let verified_at = Some(std::time::SystemTime::now());
    let request = switch::SwitchRequest { direction: Direction::Forward, epoch, verified_at };
    let record = switch::run(lab.migration(), &request, &queue).await.unwrap();
    assert_eq!(record.outcome, "open", "{}", record.refusal);
    let answers = queue.answers().await;
    assert_eq!(answers.len(), waiting);
    for (name, answer) in answers {
        // Applications' sessions have been ended; a superuser's live on.
        let refused = if name.starts_with("app ") { ["57P01", "25006"] } else { ["25006", "25006"] };
        assert!(answer.as_ref().is_err_and(|code| refused.contains(&code.as_str())), "{name}: {answer:?}");
    }
}

async fn superusers_are_refused_afterwards(lab: &Lab) {
    let root = root(lab, Side::Source).await;
    for sql in [
        "insert into more.t00000 values (900, 'x')",
        "set session_replication_role = replica; delete from more.t00000",
        "set session_replication_role = replica; truncate more.t00001",
        "set row_security = off; update bank.account set balance = balance where false",
        "update stock.movement set delta = delta where false",
        "truncate stock.movement_rest",
    ] {
        let error = root.batch_execute(sql).await.unwrap_err();
        assert_eq!(error.code().map(|c| c.code().to_owned()).as_deref(), Some("25006"), "{sql}: {error:?}");
        root.batch_execute("reset all").await.unwrap();
    }
    // By the extended protocol as well.
    root.batch_execute("set session_replication_role = replica").await.unwrap();
    for sql in ["truncate more.t00001", "insert into more.t00001 values (1, 'x')"] {
        let error = root.execute(sql, &[]).await.unwrap_err();
        assert_eq!(error.code().map(|c| c.code().to_owned()).as_deref(), Some("25006"), "{sql}: {error:?}");
    }
}

/// Rows and truncations of the side that serves arrive behind a shut gate, whose triggers fire for everybody else.
async fn replication_passes(lab: &Lab) {
    let login = Login {
        port: cluster(lab, Side::Target).port,
        database: "shop",
        user: "shop_owner",
        password: &sample::password("shop_owner"),
        application_name: "gate-test",
    };
    let owner = connect::as_login(login, &connect::tls(&lab.info().ca).unwrap()).await.unwrap();
    let closed = root(lab, Side::Source).await;
    let count = "select count(*) from more.t00002";
    let steps = [
        ("insert into more.t00002 select i, 'x' from generate_series(1, 50) i", 50),
        ("delete from more.t00002 where id > 20; update more.t00002 set text = 'y'", 20),
        ("truncate more.t00002", 0),
        ("insert into more.t00002 values (1, 'after')", 1),
    ];
    for (sql, wanted) in steps {
        owner.batch_execute(sql).await.unwrap();
        let begun = Instant::now();
        while number(&closed, count).await != wanted {
            assert!(begun.elapsed() < MINUTE, "`{sql}` doesn't arrive behind the gate");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn nothing_is_left(lab: &Lab) {
    for which in [Side::Source, Side::Target] {
        assert!(gate::remove(lab.migration(), which).await.unwrap() > 30);
        assert_eq!(gate::remove(lab.migration(), which).await.unwrap(), 0);
        for database in sample::DATABASES {
            let root = connect::as_superuser(cluster(lab, which), database).await.unwrap();
            let left = "select (select count(*) from pg_trigger where tgname like 'changeover_gate%') \
                             + (select count(*) from pg_proc where proname = 'gate' and pronamespace = 'changeover'::regnamespace) \
                             + (select count(*) from pg_class where relname = 'gate_flag')";
            assert_eq!(number(&root, left).await, 0, "{database} on the {which}");
        }
    }
}

/// A flag isn't transactional: whoever dies around it leaves it shut, and the next run opens it. Whoever holds the lock and dies
/// or stands still lets it go by himself.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_is_opened_again_after_a_crash() {
    let mut lab = lab(10).await;
    lab.load().await.unwrap();
    for points in [
        &["switch.shut_gate.after=kill"][..],
        &["switch.shut_gate.before=kill"],
        &["switch.shut_gate.after=lost"],
        &["switch.commit_fence.after=kill", "undo.open_gate.before=kill", "undo.open_gate.after=kill"],
        &["switch.silence_closing.after=kill"],
    ] {
        crash_and_recover(&mut lab, points).await;
    }
    a_stopped_fence_lets_writers_go_on(&mut lab).await;
    open(&mut lab, Direction::Forward).await;
    lab.until_writes_flow(MINUTE).await.unwrap();
    lab.judge().await.unwrap().expect_clean().unwrap();
}

/// Runs attempts until one comes to the first failpoint, then the others, then the end.
async fn crash_and_recover(lab: &mut Lab, points: &[&str]) {
    let epoch = loop {
        lab.until_ready(MINUTE).await.unwrap();
        let epoch = lab.next_epoch();
        let child = lab.switcher(Verb::Run, Direction::Forward, epoch).failpoints(points[0]);
        let ended = child.finish(MINUTE).await.unwrap();
        // A writer's long transaction may keep an attempt from its lock.
        match &ended {
            Ended::Killed => break epoch,
            Ended::Record(record) if record.refusal.contains("failpoint") => {
                assert!(!is_shut(lab, Side::Source).await, "{points:?}");
                break epoch;
            }
            Ended::Record(record) if record.outcome == "abort" => {}
            other => panic!("{points:?}: {other:?}"),
        }
    };
    if points[0].starts_with("switch.shut_gate.after=kill") {
        assert!(is_shut(lab, Side::Source).await, "it died behind the flag");
        let note = "select count(*) from changeover.note where key = 'fence'";
        assert_eq!(number(&root(lab, Side::Source).await, note).await, 0, "and before the commit");
    }
    for point in &points[1..] {
        let ended = lab.switcher(Verb::Run, Direction::Forward, epoch).failpoints(point).finish(MINUTE).await.unwrap();
        assert!(matches!(ended, Ended::Killed), "{point}: {ended:?}");
    }
    let record = lab.settle(Direction::Forward, epoch).await.unwrap();
    assert_eq!(record.outcome, "abort", "{points:?}");
    assert!(!is_shut(lab, Side::Source).await, "{points:?}");
    assert_eq!(lab.serving().await.unwrap().open, Some(side(Side::Source)), "{points:?}");
    lab.until_writes_flow(MINUTE).await.unwrap();
}

async fn a_stopped_fence_lets_writers_go_on(lab: &mut Lab) {
    let (epoch, child) = loop {
        lab.until_ready(MINUTE).await.unwrap();
        let epoch = lab.next_epoch();
        let mut child =
            lab.switcher(Verb::Run, Direction::Forward, epoch).failpoints("switch.lock.after=stop").start().unwrap();
        while !child.is_stopped() && !child.has_ended() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if child.is_stopped() {
            break (epoch, child);
        }
    };
    let begun = Instant::now();
    root(lab, Side::Source)
        .await
        .batch_execute("insert into more.t00005 values (1, 'x'); delete from more.t00005")
        .await
        .unwrap();
    let waited = begun.elapsed();
    // 300 ms after the last word, which is said every 50 ms; the rest is the machine's.
    assert!(waited < Duration::from_millis(1000), "a stopped fence kept writers out for {waited:?}");
    // Another database's fence may have been the first, and this one not yet there to keep the writer: its end is what counts.
    let held = "select count(*) from pg_stat_activity where application_name like '%/switch-fence' and state like 'idle in trans%'";
    until_none(&root(lab, Side::Source).await, held, "the server has ended the stopped fence").await;
    child.wake().await.unwrap();
    let _zombie = child.end(MINUTE).await.unwrap();
    assert_eq!(lab.settle(Direction::Forward, epoch).await.unwrap().outcome, "abort");
    assert!(!is_shut(lab, Side::Source).await);
}

async fn until_none(client: &Client, counted: &str, what: &str) {
    let begun = Instant::now();
    while number(client, counted).await != 0 {
        assert!(begun.elapsed() < MINUTE, "waited {MINUTE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The pauses of a switch to and fro without load, µs.
async fn pauses(lab: &mut Lab) -> [u64; 2] {
    let forward = open(lab, Direction::Forward).await;
    let back = open(lab, Direction::Reverse).await;
    for record in [&forward, &back] {
        let steps: Vec<String> = record.steps.iter().map(|step| format!("{} {}", step.name, step.at_us)).collect();
        println!("{}", steps.join(", "));
    }
    [forward.pause_us, back.pause_us]
}

/// The window with few tables and with many: at most twice as long. Both labs stand side by side and switch in turn, so that other
/// work on the machine hits both; the shortest windows are compared, since it only makes them longer.
async fn compare_windows(many: usize, rounds: usize) {
    let mut labs = [lab(10).await, lab(many).await];
    let mut windows = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for (lab, windows) in labs.iter_mut().zip(&mut windows) {
            let found = pauses(lab).await;
            // The first ones warm the servers up.
            if round > 0 {
                windows.extend(found);
            }
        }
    }
    let mut shortest = [0; 2];
    for ((windows, tables), shortest) in windows.iter_mut().zip([10, many]).zip(&mut shortest) {
        windows.sort_unstable();
        println!("{tables} further tables: median {} µs of {windows:?}", windows[windows.len() / 2]);
        *shortest = windows[0];
    }
    assert!(shortest[1] <= shortest[0] * 2, "{shortest:?} µs for 10 and {many} tables");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_does_not_grow_with_the_tables() {
    let many = std::env::var("CHANGEOVER_GATE_TABLES").map_or(1_000, |text| text.parse().unwrap());
    compare_windows(many, 5).await;
}
