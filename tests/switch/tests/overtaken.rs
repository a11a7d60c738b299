//! Attempts that come late: what the model found (docs/model.md, ADR 7), with the product's own processes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use changeover_domain::Direction;
use changeover_switch_tests::{Ended, Lab, LabOptions, Running, Verb};
use changeover_tests::stack::Side;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// A newer attempt is stopped before it claims its epoch, the older one switches, the newer one wakes up: it must not give the
/// source back.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_attempt_that_comes_late_finds_the_other_side_open() {
    let mut lab = Lab::start(LabOptions::default()).await.unwrap();
    let (older, newer) = (lab.next_epoch(), lab.next_epoch());
    let late = lab.switcher(Verb::Run, Direction::Forward, newer).failpoints("switch.claim.before=stop");
    let late = late.start().unwrap();
    until_stopped(&late).await;

    let ended = lab.switcher(Verb::Run, Direction::Forward, older).finish(MINUTE).await.unwrap();
    assert_eq!(ended.word(), "open", "{ended:?}");
    late.wake().await.unwrap();
    let ended = late.end(MINUTE).await.unwrap();
    assert!(matches!(&ended, Ended::Record(record) if record.outcome == "open"), "{ended:?}");

    let serving = lab.serving().await.unwrap();
    assert_eq!(serving.open, Some(Side::Target), "{serving:?}");
}

/// A run is stopped before it begins, another one of the same epoch is told to settle it: what that one tells stays true.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_comes_late_does_not_begin_what_was_told_to_have_failed() {
    let mut lab = Lab::start(LabOptions::default()).await.unwrap();
    let epoch = lab.next_epoch();
    let late = lab.switcher(Verb::Run, Direction::Forward, epoch).failpoints("switch.claim.before=stop");
    let late = late.start().unwrap();
    until_stopped(&late).await;

    let ended = lab.switcher(Verb::Settle, Direction::Forward, epoch).finish(MINUTE).await.unwrap();
    assert_eq!(ended.word(), "abort", "{ended:?}");
    late.wake().await.unwrap();
    let ended = late.end(MINUTE).await.unwrap();
    assert_ne!(ended.word(), "open", "{ended:?}");
    assert_eq!(lab.serving().await.unwrap().open, Some(Side::Source));
}

/// An attempt brings the one before it to its end first, by sending clients its way once more. It is stopped there, another worker switches to
/// the other side, it wakes up: clients must not be left on the side that was closed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn clients_stay_where_they_are_when_the_end_of_an_earlier_attempt_comes_late() {
    let mut lab = Lab::start(LabOptions::default()).await.unwrap();
    lab.load().await.unwrap();
    lab.switch_over(Direction::Forward, 8).await.unwrap();
    let mut direction = Direction::Reverse;
    for place in ["switch.hold_route.after=stop", "finish.route.before=stop"] {
        let late = stopped_at(&mut lab, direction, place).await;
        lab.switch_over(direction, 8).await.unwrap_or_else(|error| panic!("{place}: {error:#}"));
        lab.until_writes_flow(MINUTE).await.unwrap();

        late.wake().await.unwrap();
        let ended = late.end(MINUTE).await.unwrap();
        assert_ne!(ended.word(), "open", "{place}: {ended:?}");
        lab.until_writes_flow(MINUTE).await.unwrap_or_else(|error| panic!("{place}, {ended:?}: {error:#}"));
        direction = if direction == Direction::Reverse { Direction::Forward } else { Direction::Reverse };
    }
    lab.judge().await.unwrap().expect_clean().unwrap();
}

/// An attempt that stands at the place.
async fn stopped_at(lab: &mut Lab, direction: Direction, place: &str) -> Running {
    let mut seen = Vec::new();
    while seen.len() < 8 {
        lab.until_ready(MINUTE).await.unwrap();
        let epoch = lab.next_epoch();
        let mut child = lab.switcher(Verb::Run, direction, epoch).failpoints(place).start().unwrap();
        while !child.is_stopped() && !child.has_ended() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if child.is_stopped() {
            return child;
        }
        // Given up before: a direct writer kept it from its lock.
        seen.push(format!("{:?}", child.end(MINUTE).await.unwrap()));
    }
    panic!("{place}: never reached, {seen:#?}");
}

async fn until_stopped(child: &Running) {
    let stopped = async {
        while !child.is_stopped() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(MINUTE, stopped).await.expect("the child to come to its failpoint");
}
