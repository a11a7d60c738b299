//! A worker that dies or stands still while it only holds writers back: they go on within a second, with nobody to help.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use changeover_domain::Direction;
use changeover_switch_tests::{Ended, Lab, LabOptions, Running, Verb};
use changeover_tests::stack::{Side, process};
use std::time::{Duration, Instant, SystemTime};

const MINUTE: Duration = Duration::from_secs(60);
/// With nothing but a pause and locks held.
const WITHIN: Duration = Duration::from_secs(1);
/// Only the pooler is paused; the locks are held as well.
const STRUCK: [&str; 4] =
    ["switch.pause.after=kill", "switch.pause.after=stop", "switch.lock.after=kill", "switch.lock.after=stop"];
#[tokio::test(flavor = "multi_thread")]
async fn writers_that_only_wait_go_on_within_a_second_of_their_workers_end() {
    let mut lab = Lab::start(LabOptions { rate: 10.0, ..LabOptions::default() }).await.unwrap();
    lab.load().await.unwrap();
    for failpoint in STRUCK {
        let (epoch, stopped, moment) = struck(&mut lab, failpoint).await;
        let after = lab.until_writes_flow_since(moment, MINUTE).await.unwrap();
        println!("{failpoint}: writes after {} ms", after.as_millis());
        assert!(after < WITHIN, "{failpoint}: writers waited for {after:?}");
        if let Some(child) = stopped {
            gives_up(child, failpoint).await;
        }
        it_is_undone(&mut lab, epoch).await;
    }
    a_guard_that_stood_still_does_nothing(&mut lab).await;
    lab.judge().await.unwrap().expect_clean().unwrap();
}

/// An epoch whose worker came to its failpoint, the worker if it stands there, and since when.
async fn struck(lab: &mut Lab, failpoint: &str) -> (u64, Option<Running>, SystemTime) {
    loop {
        lab.until_ready(MINUTE).await.unwrap();
        let epoch = lab.next_epoch();
        let mut child = lab.switcher(Verb::Run, Direction::Forward, epoch).failpoints(failpoint).start().unwrap();
        while !child.is_stopped() && !child.has_ended() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let moment = SystemTime::now();
        if child.is_stopped() {
            return (epoch, Some(child), moment);
        }
        // Otherwise it was given up before: a direct writer kept it from its lock.
        if let Ended::Killed = child.end(MINUTE).await.unwrap() {
            return (epoch, None, moment);
        }
    }
}

/// It wakes up, and finds that the source has ended its session; or else, when it holds its locks already, that its pause has ended.
async fn gives_up(child: Running, failpoint: &str) {
    child.wake().await.unwrap();
    match child.end(MINUTE).await.unwrap() {
        Ended::Record(record) => {
            assert_eq!(record.outcome, "abort", "{failpoint}");
            println!("{failpoint}: it wakes up: {}", record.refusal);
            let told = failpoint.starts_with("switch.lock") == record.refusal.contains("CO0734");
            assert!(told, "{failpoint}: {}", record.refusal);
        }
        other => panic!("{failpoint}: {other:?}"),
    }
}

async fn it_is_undone(lab: &mut Lab, epoch: u64) {
    let record = lab.settle(Direction::Forward, epoch).await.unwrap();
    assert_eq!(record.outcome, "abort");
    assert_eq!(lab.serving().await.unwrap().open, Some(Side::Source));
    lab.until_writes_flow(MINUTE).await.unwrap();
}

/// As when a whole machine stands still: by the time it wakes up somebody else may hold clients back.
async fn a_guard_that_stood_still_does_nothing(lab: &mut Lab) {
    let (epoch, child, _) = struck(lab, "switch.pause.after=stop").await;
    let child = child.expect("it stands there");
    let guard = child_of(child.pid());
    process::signal(guard, "STOP").await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < WITHIN * 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let moment = SystemTime::now();
    process::signal(guard, "CONT").await.unwrap();
    let flown = lab.until_writes_flow_since(moment, WITHIN).await;
    assert!(flown.is_err(), "it let clients go on late: {flown:?}");
    gives_up(child, "switch.pause.after=stop").await;
    it_is_undone(lab, epoch).await;
}

/// A process that one of its threads has started.
fn child_of(pid: u32) -> u32 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let children = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap());
    let children: Vec<u32> =
        children.flat_map(|text| text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect();
    assert_eq!(children.len(), 1, "one guard: {children:?}");
    children[0]
}
