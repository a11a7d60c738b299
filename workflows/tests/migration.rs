//! The workflow on a real Temporal server, with fakes for the world.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use changeover_domain::{
    Failure,
    proto::{ApprovalKind, State},
};
use support::{Run, Script, approval};

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_to_the_target_back_and_to_the_target_again() {
    let run = Run::start(Script { looks_until_ready: 2.into(), ..Script::default() }).await;
    let waiting = run.until_waiting("approval").await;
    assert_eq!(waiting.serving, "source");
    assert_eq!(waiting.roles_without_password, ["app"]);
    assert!(run.cutover().await.is_err_and(|e| e.contains("CO0803")), "no cutover without an approval");
    run.approve(ApprovalKind::Cutover).await.unwrap();
    run.cutover().await.unwrap();
    let soaked = run.until_waiting("soak").await;
    assert_eq!((soaked.serving.as_str(), soaked.epoch), ("target", 1));
    assert!(soaked.undo.is_empty(), "nothing can be unwound while the target serves");
    assert!(run.abort().await.is_err_and(|e| e.contains("CO0808")));

    run.rollback().await.unwrap();
    let back = run.until("back at the approval", |s| s.serving == "source" && s.stage == "approval").await;
    assert!(!back.undo.is_empty());
    assert!(back.approvals.is_empty(), "an approval serves one switch");
    run.approve_with(approval(ApprovalKind::Cutover, 0)).await.expect_err("the epoch has moved");
    run.until_waiting("approval").await;
    run.approve(ApprovalKind::Cutover).await.unwrap();
    run.cutover().await.unwrap();
    run.until_waiting("soak").await;
    run.approve(ApprovalKind::Finalize).await.unwrap();
    run.finalize().await.unwrap();
    let end = run.end().await;
    assert_eq!(end.state(), State::Finished);
    assert_eq!(end.switches.len(), 3);
    assert_eq!(run.script.called("switch"), ["switch forward 1", "switch reverse 2", "switch forward 3"]);
    assert_eq!(run.script.called("finalize").len(), 6);
    assert!(run.script.called("undo").is_empty());
    run.record("there_back_and_there_again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blockers_end_it_before_anything_is_changed() {
    let run = Run::start(Script { blockers: 2.into(), ..Script::default() }).await;
    let end = run.end().await;
    assert_eq!(end.state(), State::Refused);
    assert_eq!(end.failure.unwrap().code, "CO0813");
    assert_eq!(*run.script.calls.lock().unwrap(), ["preflight"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_stage_parks_and_retry_goes_on() {
    let script = Script::default();
    script.fail("ensure_schema", Failure::needs_human("CO0401", "no", "do"));
    let run = Run::start(script).await;
    let parked = run.until_parked().await;
    assert_eq!((parked.stage.as_str(), parked.failure.unwrap().code.as_str()), ("schema", "CO0401"));
    run.retry().await.unwrap();
    let waiting = run.until_waiting("approval").await;
    assert_eq!(waiting.failure, None);
    assert_eq!(waiting.stages[2].attempts, 2);
    assert!(run.retry().await.is_err_and(|e| e.contains("CO0807")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_itself_is_retried_without_a_person() {
    let script = Script::default();
    script.fail("ensure_schema", Failure::transient("CO0202", "gone", "wait"));
    let run = Run::start(script).await;
    run.until_waiting("approval").await;
    assert_eq!(run.script.called("ensure_schema").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_undoes_in_reverse_and_a_failed_undo_waits_for_a_person() {
    let script = Script::default();
    script.fail("undo", Failure::needs_human("CO0501", "no", "do"));
    let run = Run::start(script).await;
    run.until_waiting("approval").await;
    run.abort().await.unwrap();
    run.until_parked().await;
    run.retry().await.unwrap();
    assert_eq!(run.end().await.state(), State::Aborted);
    let undone = run.script.called("undo");
    assert_eq!(undone[0], undone[1], "the failed undo ran again");
    assert!(undone[0].contains("reverse replication"), "{undone:?}");
    assert!(undone.last().unwrap().contains("schema changeover from the source"), "{undone:?}");
    assert_eq!(undone.len(), 14, "{undone:#?}");
    run.record("aborted_with_a_failed_undo").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_interrupts_the_copy() {
    let run = Run::start(Script { looks_until_ready: 1_000.into(), ..Script::default() }).await;
    run.until("copying", |s| s.progress.is_some()).await;
    run.abort().await.unwrap();
    assert_eq!(run.end().await.state(), State::Aborted);
    run.record("aborted_while_copying").await;
    let undone = run.script.called("undo");
    assert!(undone[0].contains("forward replication"), "{undone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_to_switch_has_an_epoch_and_after_the_last_a_new_approval_is_needed() {
    let script = Script::default();
    for _ in 0..3 {
        script.next_switch("abort");
    }
    let run = Run::start(script).await;
    run.until_waiting("approval").await;
    run.approve(ApprovalKind::Cutover).await.unwrap();
    run.cutover().await.unwrap();
    let parked = run.until_parked().await;
    assert_eq!(parked.failure.unwrap().code, "CO0818");
    assert_eq!((parked.serving.as_str(), parked.epoch), ("source", 3));
    run.retry().await.unwrap();
    run.until_waiting("approval").await;
    assert!(run.cutover().await.is_err_and(|e| e.contains("CO0803")), "the approval was for an epoch that has passed");
    run.approve(ApprovalKind::Cutover).await.unwrap();
    run.cutover().await.unwrap();
    run.until_waiting("soak").await;
    assert_eq!(run.script.called("switch").last().unwrap(), "switch forward 4");
    run.record("switch_refused_then_done").await;
}

/// Parked with a switch whose outcome nobody knows.
async fn in_doubt() -> Run {
    let script = Script::default();
    script.fail("switch", Failure::needs_human("CO0713", "the target can't be reached", "bring it back"));
    let run = Run::start(script).await;
    run.until_waiting("approval").await;
    run.approve(ApprovalKind::Cutover).await.unwrap();
    run.cutover().await.unwrap();
    assert_eq!(run.until_parked().await.failure.unwrap().code, "CO0713");
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_of_a_switch_in_doubt_undoes_nothing_when_the_target_had_been_opened() {
    let run = in_doubt().await;
    run.abort().await.unwrap();
    let soaking = run.until_waiting("soak").await;
    assert_eq!(soaking.serving, "target");
    assert_eq!(run.script.called("switch"), ["switch forward 1", "switch forward 1 settle"]);
    assert!(run.script.called("undo").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_in_doubt_is_settled_before_anything_else_and_again_when_that_fails() {
    let run = in_doubt().await;
    run.script.fail("switch", Failure::needs_human("CO0713", "still not", "bring it back"));
    run.retry().await.unwrap();
    run.until("parked again", |s| s.state() == State::Parked && run.script.called("switch").len() == 2).await;
    run.script.next_switch("abort");
    run.abort().await.unwrap();
    assert_eq!(run.end().await.state(), State::Aborted);
    assert_eq!(run.script.called("switch").last().unwrap(), "switch forward 1 settle");
    assert!(!run.script.called("undo").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_and_drift_park() {
    let run = Run::start(Script { differences: 1.into(), ..Script::default() }).await;
    assert_eq!(run.until_parked().await.failure.unwrap().code, "CO0815");
    *run.script.differences.lock().unwrap() = 0;
    run.retry().await.unwrap();
    run.until_waiting("approval").await;
    *run.script.drift.lock().unwrap() = 1;
    assert_eq!(run.until_parked().await.failure.unwrap().code, "CO0817");
}

#[tokio::test(flavor = "multi_thread")]
async fn temporals_cancel_aborts_before_the_switch_and_is_noted_after_it() {
    let run = Run::start(Script::default()).await;
    run.until_waiting("approval").await;
    run.handle.cancel(Default::default()).await.unwrap();
    assert_eq!(run.end().await.state(), State::Aborted);

    let run = Run::start(Script::default()).await;
    run.until_waiting("approval").await;
    run.approve(ApprovalKind::Cutover).await.unwrap();
    run.cutover().await.unwrap();
    run.until_waiting("soak").await;
    run.handle.cancel(Default::default()).await.unwrap();
    run.approve(ApprovalKind::Finalize).await.unwrap();
    run.finalize().await.unwrap();
    assert_eq!(run.end().await.state(), State::Finished);
}
