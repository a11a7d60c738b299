//! The servers, the network and the pooler in trouble within the critical section; two workers at once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use changeover_domain::Direction;
use changeover_switch_tests::{Ended, Lab, LabOptions, Running, Verb, side};
use changeover_tests::stack::{Side, StopMode};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

async fn lab(proxied: bool) -> Lab {
    let mut lab = Lab::start(LabOptions { proxied, rate: 10.0, ..LabOptions::default() }).await.unwrap();
    lab.load().await.unwrap();
    lab
}

async fn direction(lab: &Lab) -> Direction {
    let serving = lab.serving().await.unwrap();
    match serving.open.unwrap_or_else(|| panic!("{:?}", serving.faults)) {
        Side::Source => Direction::Forward,
        Side::Target => Direction::Reverse,
    }
}

/// A worker that has stopped itself at a failpoint.
async fn stopped_at(lab: &mut Lab, failpoint: &str) -> (Direction, u64, Running) {
    for _ in 0..10 {
        lab.until_ready(MINUTE).await.unwrap();
        let (direction, epoch) = (direction(lab).await, lab.next_epoch());
        let mut child =
            lab.switcher(Verb::Run, direction, epoch).failpoints(&format!("{failpoint}=stop")).start().unwrap();
        while !child.has_ended() && !child.is_stopped() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if child.is_stopped() {
            return (direction, epoch, child);
        }
    }
    panic!("{failpoint} wasn't reached in ten attempts")
}

/// Runs the epoch again, as Temporal does, until it ends with a record.
async fn conclude(lab: &mut Lab, direction: Direction, epoch: u64) -> String {
    for _ in 0..5 {
        match lab.switcher(Verb::Run, direction, epoch).finish(MINUTE * 3).await.unwrap() {
            Ended::Record(record) => {
                let wanted = if record.outcome == "open" { direction.to_side() } else { direction.from_side() };
                let serving = lab.serving().await.unwrap();
                assert_eq!(serving.open, Some(side(wanted)), "{:?}", serving.faults);
                return record.outcome;
            }
            ended => println!("epoch {epoch}: {ended:?}"),
        }
    }
    panic!("epoch {epoch} doesn't come to its end")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_in_the_section() {
    let mut lab = lab(false).await;
    for failpoint in ["switch.lock.after", "switch.commit_fence.after", "switch.decide.after"] {
        for crashing in [Side::Source, Side::Target] {
            let (direction, epoch, child) = stopped_at(&mut lab, failpoint).await;
            let (cluster, user) = (lab.info().cluster(crashing).clone(), lab.stack().user());
            cluster.stop(user, StopMode::Immediate).await.unwrap();
            cluster.start(user).await.unwrap();
            let back = Instant::now();
            child.wake().await.unwrap();
            let own = child.end(MINUTE * 3).await.unwrap();
            let outcome = conclude(&mut lab, direction, epoch).await;
            lab.until_writes_flow(MINUTE).await.unwrap();
            println!(
                "{failpoint}, {crashing:?} crashes: the attempt ends with {}, the next run with {outcome}, writes after {:?}",
                own.word(),
                back.elapsed()
            );
        }
    }
    lab.judge().await.unwrap().expect_clean().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_falls_silent_in_the_section() {
    let mut lab = lab(true).await;
    // The target can't be reached after the durable fence: closed, with an alarm and a command, and over as soon as it is back.
    let (direction, epoch, child) = stopped_at(&mut lab, "switch.commit_fence.after").await;
    assert_eq!(direction, Direction::Forward);
    lab.proxy(Side::Target).unwrap().half_open();
    child.wake().await.unwrap();
    let Ended::Failed(failure) = child.end(MINUTE * 3).await.unwrap() else { panic!("it must not come to an end") };
    assert!(failure.code == "CO0713" && failure.message.contains("ALARM"), "{failure:?}");
    assert!(failure.remedy.contains("changeover retry"), "{failure:?}");
    let serving = lab.serving().await.unwrap();
    assert!(serving.open.is_none(), "{serving:?}");
    lab.proxy(Side::Target).unwrap().heal();
    let back = Instant::now();
    assert_eq!(conclude(&mut lab, direction, epoch).await, "abort");
    lab.until_writes_flow(MINUTE).await.unwrap();
    println!(
        "the target was silent after the fence: closed with CO0713; writes {:?} after it was back",
        back.elapsed()
    );

    // The source falls silent with its tables locked: it frees them itself, and clients go on.
    let (direction, epoch, child) = stopped_at(&mut lab, "switch.mark.before").await;
    lab.proxy(Side::Source).unwrap().half_open();
    let silent = Instant::now();
    child.wake().await.unwrap();
    lab.until_writes_flow(MINUTE).await.unwrap();
    println!("the source was silent under its locks: writes {:?} later, while it still is", silent.elapsed());
    drop(child);
    lab.proxy(Side::Source).unwrap().heal();
    assert_eq!(conclude(&mut lab, direction, epoch).await, "abort");
    lab.judge().await.unwrap().expect_clean().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pooler_dies_while_it_is_paused() {
    let mut lab = lab(false).await;
    for failpoint in ["switch.pause.after", "switch.route.after", "switch.decide.after"] {
        let (direction, epoch, child) = stopped_at(&mut lab, failpoint).await;
        let pooler = lab.info().pooler.clone();
        pooler.kill().await.unwrap();
        pooler.start(lab.stack().user()).await.unwrap();
        let back = Instant::now();
        child.wake().await.unwrap();
        let own = child.end(MINUTE).await.unwrap();
        let outcome = conclude(&mut lab, direction, epoch).await;
        lab.until_writes_flow(MINUTE).await.unwrap();
        println!("{failpoint}, the pooler dies: {}, then {outcome}, writes after {:?}", own.word(), back.elapsed());
    }
    lab.judge().await.unwrap().expect_clean().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_at_once() {
    let mut lab = lab(false).await;
    for _ in 0..6 {
        lab.until_ready(MINUTE).await.unwrap();
        let (direction, epoch) = (direction(&lab).await, lab.next_epoch());
        let one = lab.switcher(Verb::Run, direction, epoch);
        let other = lab.switcher(Verb::Run, direction, epoch);
        let (one, other) = tokio::join!(one.finish(MINUTE * 2), other.finish(MINUTE * 2));
        let (one, other) = (one.unwrap(), other.unwrap());
        let outcome = conclude(&mut lab, direction, epoch).await;
        println!("two at once: {} and {}; then {outcome}", one.word(), other.word());
        for ended in [one, other] {
            if let Ended::Record(record) = ended {
                assert_eq!(record.outcome, outcome);
            }
        }
        lab.until_writes_flow(MINUTE).await.unwrap();
    }
    lab.judge().await.unwrap().expect_clean().unwrap();
}
