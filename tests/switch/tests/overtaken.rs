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

async fn until_stopped(child: &Running) {
    let stopped = async {
        while !child.is_stopped() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(MINUTE, stopped).await.expect("the child to come to its failpoint");
}
