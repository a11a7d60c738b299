//! A fence whose holder stops, dies or hangs frees the tables by itself. The holder is a process of its own: this test's program,
//! called again.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use changeover_domain::{fence::Fence as Means, proto::Spec};
use changeover_tests::stack::process::signal;
use rstest::rstest;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::ground::{DATABASE, DEADLINE, EPOCH, Ground, HOLD};
use crate::{
    Migration,
    switch::{
        effect::{Effect, perform},
        fence::Fence,
    },
};

const ROLES: &str = "create role shop_owner; create role app login";
const SCHEMA: &str = "
    create table t (id int primary key);
    alter table t owner to shop_owner;
    grant insert on t to app;
";
/// Names the file with the spec to the process that holds the fence.
const HOLDER: &str = "CHANGEOVER_TRIAL_HOLDER";
/// After the holder's last word: `idle_in_transaction_session_timeout` from the last beat.
const IDLE: Duration = Duration::from_millis(300);
/// For a machine that does something else as well.
const SLACK: Duration = Duration::from_millis(400);

/// Run by the tests below, in a process of its own: prepares, locks, takes the rights and commits, each when it's told to.
#[tokio::test]
async fn the_holder() {
    let Ok(file) = std::env::var(HOLDER) else { return };
    let spec: Spec = serde_json::from_str(&std::fs::read_to_string(Path::new(&file)).unwrap()).unwrap();
    let migration = Migration::resolve(&spec).unwrap();
    let open = async |purpose| migration.source.open(DATABASE, purpose).await.unwrap();
    let lockers = [open("switch-fence").await, open("switch-proof").await];
    let mut writer = open("switch-writer").await;
    let fence = Fence::prepare(&migration, Means::Lock, lockers, &mut writer, EPOCH).await.unwrap();
    fence.aim(Duration::from_secs(20)).await.unwrap();
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    say("prepared");
    while let Some(order) = orders.next_line().await.unwrap() {
        let done = match order.as_str() {
            "lock" => perform(Effect::Lock, |change| fence.lock(change, HOLD)).await,
            "revoke" => {
                let hold = |change| fence.hold_rights(change, &migration, EPOCH, &writer);
                perform(Effect::HoldRights, hold).await
            }
            _ => perform(Effect::CommitFence, |change| fence.commit(change, EPOCH)).await,
        };
        say(&format!("{order}: {}", done.map_or_else(|failure| failure.code, |()| "done".to_owned())));
    }
}

#[allow(clippy::print_stdout)]
fn say(text: &str) {
    println!("\nholder {text}");
}

struct Holder {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Holder {
    async fn start(ground: &Ground) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "switch::tests::deadman::the_holder", "--nocapture"])
            .env(HOLDER, ground.spec_file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut holder = Self { child, orders, answers };
        assert_eq!(holder.answer().await, "prepared");
        holder
    }

    async fn order(&mut self, order: &str) {
        self.orders.write_all(format!("{order}\n").as_bytes()).await.unwrap();
    }

    async fn answer(&mut self) -> String {
        loop {
            let line = timeout(DEADLINE, self.answers.next_line()).await.expect("the holder answers").unwrap();
            if let Some(said) = line.expect("the holder lives").strip_prefix("holder ") {
                return said.to_owned();
            }
        }
    }

    async fn signal(&self, name: &str) -> Instant {
        signal(self.child.id().unwrap(), name).await.unwrap();
        Instant::now()
    }
}

/// Begins to write a row, which waits at the fence; says when it was written.
async fn queue(ground: &Ground, id: i32) -> tokio::task::JoinHandle<Instant> {
    let app = ground.login("app").await;
    let write = tokio::spawn(async move {
        app.batch_execute(&format!("insert into t values ({id})")).await.unwrap();
        Instant::now()
    });
    ground.until_waiting(1).await;
    write
}

async fn waited(write: tokio::task::JoinHandle<Instant>, since: Instant) -> Duration {
    timeout(DEADLINE, write).await.expect("the writer goes on").unwrap().saturating_duration_since(since)
}

fn report(major: u32, what: &str, took: Duration) {
    eprintln!("fence on {major}, {what}: {} ms", took.as_millis());
}

/// Stopped with the lock (and the rights taken, which nobody sees yet): writers go on, and the woken holder can't commit.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_holder_loses_the_lock(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let mut holder = Holder::start(&ground).await;
    for order in ["revoke", "lock"] {
        holder.order(order).await;
        assert_eq!(holder.answer().await, format!("{order}: done"));
    }
    let write = queue(&ground, 1).await;
    let stopped = holder.signal("STOP").await;
    let took = waited(write, stopped).await;
    report(major, "holder stopped", took);
    assert!(took < IDLE + SLACK, "{took:?}");
    holder.signal("CONT").await;
    holder.order("commit").await;
    let answer = holder.answer().await;
    assert!(answer.starts_with("commit: CO"), "{answer}");
    ground.login("app").await.batch_execute("insert into t values (2)").await.unwrap();
}

/// Stopped while it waits for the lock: it gets it, says nothing, and loses it.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_holder_stopped_in_the_queue_loses_the_lock(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let mut holder = Holder::start(&ground).await;
    let first = ground.login("app").await;
    first.batch_execute("begin; insert into t values (1)").await.unwrap();
    holder.order("lock").await;
    ground.until("the fence waits", FENCE_WAITS).await;
    let write = queue(&ground, 2).await;
    holder.signal("STOP").await;
    first.batch_execute("commit").await.unwrap();
    let took = waited(write, Instant::now()).await;
    report(major, "holder stopped while it waited for the lock", took);
    assert!(took < IDLE + SLACK, "{took:?}");
}

const FENCE_WAITS: &str = "select exists (select from pg_stat_activity where application_name like '%switch-fence' and wait_event_type = 'Lock')";

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_holder_loses_the_lock_at_once(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let mut holder = Holder::start(&ground).await;
    holder.order("lock").await;
    assert_eq!(holder.answer().await, "lock: done");
    let write = queue(&ground, 1).await;
    let killed = holder.signal("KILL").await;
    let took = waited(write, killed).await;
    report(major, "holder killed", took);
    assert!(took < SLACK, "{took:?}");
}

/// Writers stand behind a fence that only waits, too. It notices within `client_connection_check_interval` that nobody is there.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_holder_killed_in_the_queue_leaves_it(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let mut holder = Holder::start(&ground).await;
    let first = ground.login("app").await;
    first.batch_execute("begin; insert into t values (1)").await.unwrap();
    holder.order("lock").await;
    ground.until("the fence waits", FENCE_WAITS).await;
    let write = queue(&ground, 2).await;
    let killed = holder.signal("KILL").await;
    let took = waited(write, killed).await;
    report(major, "holder killed while it waited for the lock", took);
    assert!(took < Duration::from_millis(100) + SLACK, "{took:?}");
    first.batch_execute("commit").await.unwrap();
}

/// Alive and beating, but getting nowhere: its time is over all the same.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_hangs_loses_the_lock(#[values(15, 16, 17, 18)] major: u32) {
    const SHORT: Duration = Duration::from_millis(600);
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let fence = ground.prepare_fence().await.unwrap();
    fence.fence.aim(SHORT).await.unwrap();
    fence.lock_for(SHORT).await.unwrap();
    let locked = Instant::now();
    let write = queue(&ground, 1).await;
    let took = waited(write, locked).await;
    report(major, "holder hangs, 600 ms allowed", took);
    assert!(took > SHORT / 2 && took < SHORT + IDLE + SLACK, "{took:?}");
    assert!(fence.finish().await.is_err());
}
