//! The workflow on a real Temporal server, with fakes for the world.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use changeover_domain::{
    Failure,
    proto::{ApprovalKind, Approve, Control, Gates, Spec, State},
};
use support::{Run, Script, approval, control, spec};

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

    assert_eq!(run.script.called("housekeeping"), ["housekeeping forward 1"]);
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
    assert_eq!(
        run.script.called("housekeeping"),
        ["housekeeping forward 1", "housekeeping reverse 2", "housekeeping forward 3"]
    );
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
    assert_eq!(run.until_parked().await.failure.unwrap().code, "CO0601");
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

/// At the soak, with the target serving.
async fn soaking(script: Script) -> Run {
    let run = Run::start(script).await;
    run.until_waiting("approval").await;
    run.approve(ApprovalKind::Cutover).await.unwrap();
    run.cutover().await.unwrap();
    run.until_waiting("soak").await;
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn housekeeping_that_fails_is_a_warning_and_is_done_later() {
    let script = Script::default();
    for _ in 0..6 {
        script.fail("housekeeping", Failure::needs_human("CO0801", "the pooler is gone", "bring it back"));
    }
    let run = soaking(script).await;
    let told =
        |s: &changeover_domain::proto::Status| s.warnings.iter().any(|w| w.message.contains("the pooler is gone"));
    let soaked = run.until("the warning", told).await;
    assert_eq!((soaked.serving.as_str(), soaked.failure), ("target", None));
    run.until("no warning", |s| s.warnings.is_empty()).await;
    assert_eq!(run.script.called("housekeeping").len(), 7);
    run.approve(ApprovalKind::Finalize).await.unwrap();
    run.finalize().await.unwrap();
    assert_eq!(run.end().await.state(), State::Finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_warns_of_stands_in_status_once() {
    let script = Script::default();
    script.warnings.lock().unwrap().push("CO0519 passwords get into the log".into());
    let run = Run::start(script).await;
    let waiting = run.until_waiting("approval").await;
    let told: Vec<_> = waiting.warnings.iter().map(|w| (w.code.as_str(), w.object.as_str())).collect();
    assert_eq!(told, [("CO0519", "forward replication"), ("CO0519", "reverse replication")]);
    assert_eq!(waiting.warnings[0].message, "passwords get into the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_needs_an_approval_which_may_come_along() {
    let run = soaking(Script::default()).await;
    let good = || approval(ApprovalKind::Rollback, 1);
    for (what, bad) in [
        ("there is no approval", None),
        ("names no approver", Some(Approve { approver: String::new(), ..good() })),
        ("gives no reason", Some(Approve { reason: String::new(), ..good() })),
        ("plan", Some(Approve { plan_hash: "another".into(), ..good() })),
        ("epoch 0", Some(approval(ApprovalKind::Rollback, 0))),
        ("expired", Some(Approve { expires_at: "2000-01-01T00:00:00Z".into(), ..good() })),
        ("for finalize", Some(approval(ApprovalKind::Finalize, 1))),
    ] {
        let refused = run.rollback_with(bad).await.unwrap_err();
        assert!(refused.contains("CO0803") && refused.contains(what), "{what}: {refused}");
    }
    assert_eq!(run.status().await.serving, "target");
    run.rollback_with(Some(good())).await.unwrap();
    run.until("the source serves", |s| s.serving == "source").await;
    let audit = run.audit().await;
    assert!(
        audit.iter().any(|e| e.starts_with("ada approved: rollback for epoch 1") && e.ends_with(": read")),
        "{audit:#?}"
    );
    assert!(audit.iter().any(|e| e == "ada rollback: test"), "{audit:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_may_be_approved_beforehand() {
    let run = Run::start(Script::default()).await;
    run.until_waiting("approval").await;
    assert!(run.approve(ApprovalKind::Rollback).await.is_err_and(|e| e.contains("the source still serves")));
    run.approve(ApprovalKind::Cutover).await.unwrap();
    run.cutover().await.unwrap();
    run.until_waiting("soak").await;
    run.approve(ApprovalKind::Rollback).await.unwrap();
    run.rollback_with(None).await.unwrap();
    run.until("the source serves", |s| s.serving == "source").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_switch_is_told_of_the_last_comparison_and_an_old_one_is_made_anew() {
    let gates = Gates { max_verification_age_ms: 1_000, ..Gates::default() };
    let run = Run::start_with(Spec { gates: Some(gates), ..spec() }, Script::default()).await;
    run.until("a second comparison", |_| run.script.called("verify forward").len() >= 2).await;
    run.until_waiting("approval").await;
    run.approve(ApprovalKind::Cutover).await.unwrap();
    // Refused for a moment while rows are compared again.
    while let Err(refused) = run.cutover().await {
        assert!(refused.contains("CO0804"), "{refused}");
    }
    let soaked = run.until_waiting("soak").await;
    let told = run.script.verified_at.lock().unwrap().clone();
    let began = soaked.verified.unwrap().began_at;
    assert!(
        told[0].as_ref().is_some_and(|at| at.as_str() <= began.as_str() && at.starts_with("20")),
        "{told:?}, {began}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_leaves_nothing_verified() {
    let run = Run::start(Script { differences: 1.into(), ..Script::default() }).await;
    run.until_parked().await;
    *run.script.differences.lock().unwrap() = 0;
    run.retry().await.unwrap();
    let waiting = run.until_waiting("approval").await;
    assert_eq!(waiting.verified.unwrap().differences, 0);
    assert_eq!(run.script.called("verify").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_serving_targets_schema_is_noted_and_stops_nothing() {
    let run = soaking(Script { drift_of_target: 2.into(), ..Script::default() }).await;
    let told = run.until("the warning", |s| s.warnings.iter().any(|w| w.code == "CO0817")).await;
    assert_eq!(told.failure, None);
    assert!(run.audit().await.iter().any(|e| e.contains("schema_changed")));
    run.approve(ApprovalKind::Finalize).await.unwrap();
    run.finalize().await.unwrap();
    assert_eq!(run.end().await.state(), State::Finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_lost_doesnt_keep_finalize_from_its_end() {
    let run = soaking(Script::default()).await;
    let lost = || Control { source_is_lost: true, ..control() };
    assert!(run.finalize_with(lost()).await.is_err_and(|e| e.contains("CO0803")), "it needs an approval, too");
    run.approve(ApprovalKind::Finalize).await.unwrap();
    run.script.fail("finalize", Failure::needs_human("CO0515", "the source is gone", "bring it back"));
    run.finalize().await.unwrap();
    run.until_parked().await;
    assert!(run.finalize().await.is_err_and(|e| e.contains("CO0810")));
    run.finalize_with(lost()).await.unwrap();
    assert_eq!(run.end().await.state(), State::Finished);
    let steps = run.script.called("finalize");
    assert_eq!(steps.len(), 7);
    assert!(steps[1..].iter().all(|step| step.ends_with(" without the source")), "{steps:?}");
    run.record("finalized_without_the_source").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_lost_ends_the_soak_before_its_time() {
    let script = Script::default();
    for _ in 0..60 {
        script.fail("look_at_links", Failure::needs_human("CO0201", "the source is gone", "bring it back"));
    }
    let run = Run::start(Script::default()).await;
    run.until_waiting("approval").await;
    let lost = Control { source_is_lost: true, ..control() };
    assert!(run.finalize_with(lost.clone()).await.is_err_and(|e| e.contains("CO0810")), "the source serves");
    run.approve(ApprovalKind::Cutover).await.unwrap();
    *run.script.failures.lock().unwrap() = std::mem::take(&mut *script.failures.lock().unwrap());
    run.cutover().await.unwrap();
    assert_eq!(run.until_parked().await.stage, "soak");
    run.approve(ApprovalKind::Finalize).await.unwrap();
    run.finalize_with(lost).await.unwrap();
    assert_eq!(run.end().await.state(), State::Finished);
    assert!(run.script.called("housekeeping").len() <= 1, "housekeeping needs the source");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_answers_isnt_lost_and_the_way_back_stays() {
    let run = soaking(Script::default()).await;
    run.approve(ApprovalKind::Finalize).await.unwrap();
    run.script.fail("finalize", Failure::refused("CO0730", "the source answers", "finalize as usual"));
    run.finalize_with(Control { source_is_lost: true, ..control() }).await.unwrap();
    let parked = run.until_parked().await;
    assert_eq!((parked.stage.as_str(), parked.failure.unwrap().code.as_str()), ("soak", "CO0730"));
    run.retry().await.unwrap();
    run.until_waiting("soak").await;
    run.rollback().await.unwrap();
    run.until("the source serves", |s| s.serving == "source").await;
}
