//! A migration that lasts for weeks, with the product's own intervals: no run's history grows beyond its bounds, and nothing is lost
//! when another run goes on in its place.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use changeover_domain::{
    proto::{ApprovalKind, Soak, Spec, StageState, State, Status},
    spec,
    stage::StageName,
};
use changeover_workflows::{MigrationInput, migration::Asked};
use std::{sync::Arc, time::Duration};
use support::{
    FakeWorker, Run, Script, Server, control,
    time::{DAY, MINUTE, within_bounds},
};

/// Longest wait for a week to pass, on a machine that is busy.
const A_WEEK_PASSES: Duration = Duration::from_secs(1_200);

/// As `changeover init` writes it, with all defaults.
fn usual(soak: Duration) -> Spec {
    let spec = spec::parse(&spec::render::init_text()).expect("what `changeover init` writes is a spec");
    let soak = Soak { duration_ms: u64::try_from(soak.as_millis()).unwrap(), ..spec.soak.unwrap() };
    Spec { soak: Some(soak), ..spec }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_of_sync_and_a_week_of_soak_stay_within_the_bounds_of_a_history() {
    let server = Server::start_skipping().await;
    let script = Arc::new(Script { copy_lasts: Some(7 * DAY), ..Script::default() });
    let worker = FakeWorker::start(&server, &script).await;
    let run = Run::start_on(server, worker, usual(7 * DAY), script).await;
    let waits = |s: &Status, stage: &str| s.state() == State::Waiting && s.stage == stage;
    let ready = run.skip_until("the end of the copy", A_WEEK_PASSES, |s| waits(s, "approval")).await;
    let looks = run.script.called("look_at_sync").len();
    println!("{looks} looks at the copy, {} of the watch", run.script.called("look_at_links forward watch").len());
    // Every five minutes, and more often towards the end.
    assert!(looks > 2_000, "it isn't looked at often enough: {looks}");

    // A day until somebody says `cutover`; all rows are compared anew after it.
    run.approve(ApprovalKind::Cutover).await.unwrap();
    let later = run
        .skip_until("a day", A_WEEK_PASSES, |s| waits(s, "approval") && run.script.called("verify forward").len() == 2)
        .await;
    assert_eq!(later.undo, ready.undo);
    assert!(later.undo.len() > 10, "{:?}", later.undo);
    assert_eq!(later.approvals.len(), 1);
    assert_eq!(later.started_at, ready.started_at);
    run.cutover().await.expect("the approval of yesterday");

    run.until_at_last("the soak", A_WEEK_PASSES, |s| s.stage == "soak").await;
    run.approve(ApprovalKind::Finalize).await.unwrap();
    let soaked = run.skip_until("the end of the soak", A_WEEK_PASSES, |s| waits(s, "soak")).await;
    assert_eq!((soaked.serving.as_str(), soaked.epoch, soaked.approvals.len()), ("target", 1, 2));
    run.finalize().await.expect("the approval of a week ago");
    let end = run.end().await;
    assert_eq!(end.state(), State::Finished);
    assert!(end.stages.iter().all(|row| row.state() == StageState::Done && row.attempts == 1), "{:#?}", end.stages);

    every_act_was_done_once(&run);
    the_audit_trail_is_whole(&run).await;
    let past = run.past().await;
    within_bounds(&past);
    let all: u64 = past.iter().map(|run| run.events).sum();
    let most = past.iter().map(|run| run.events).max().unwrap();
    let bytes = past.iter().map(|run| run.bytes).max().unwrap();
    println!("{} runs, {all} events; at most {most} events and {bytes} bytes in one", past.len());
    assert!(past.len() > 20, "{past:#?}");
}

/// A run that goes on in another one's place begins nothing anew.
fn every_act_was_done_once(run: &Run) {
    for (act, times) in
        [("ensure_forward", 1), ("ensure_reverse", 1), ("verify reverse", 1), ("switch", 1), ("undo", 0)]
    {
        assert_eq!(run.script.called(act).len(), times, "{act}");
    }
}

async fn the_audit_trail_is_whole(run: &Run) {
    let audit = run.audit_events().await;
    assert!(audit.iter().enumerate().all(|(index, event)| event.number == index as u64 + 1));
    let times = |event: &str| audit.iter().filter(|e| e.event == event).count();
    let told = ["stage_started", "stage_tried_again", "replication_begun", "approved", "verified_again"].map(times);
    assert_eq!(told, [12, 0, 2, 2, 1], "{audit:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_while_one_run_went_on_in_another_ones_place_is_done() {
    let server = Server::start_skipping().await;
    let script = Arc::new(Script::default());
    let worker = FakeWorker::start(&server, &script).await;
    let run = Run::start_on(server, worker, usual(MINUTE), script).await;
    run.until_waiting("approval").await;
    run.approve(ApprovalKind::Cutover).await.unwrap();
    // At once, not only at the next look.
    assert_eq!(run.status().await.waiting_for, "a person: cutover");
    run.pass(30 * MINUTE).await;
    let approved = last_input(&run, StageName::Approval).await;
    run.cutover().await.unwrap();
    run.until("the soak", |s| s.stage == "soak").await;
    run.approve(ApprovalKind::Finalize).await.unwrap();
    run.pass(30 * MINUTE).await;
    let soaked = last_input(&run, StageName::Soak).await;

    let run = run.again_from(with(&approved, |asked| asked.cutover = Some(control()))).await;
    run.until("the soak", |s| s.stage == "soak").await;
    let run = run.again_from(with(&approved, |asked| asked.abort = Some(control()))).await;
    assert_eq!(run.end().await.state(), State::Aborted);
    assert!(!run.script.called("undo").is_empty());
    let run = run.again_from(with(&soaked, |asked| asked.finalize = Some(control()))).await;
    assert_eq!(run.end().await.state(), State::Finished);

    // In another one's place, and another one in its own; then to the end.
    let mut short = with(&soaked, |_| {});
    short.carried.as_mut().unwrap().enough = Some(100);
    let run = run.again_from(short).await;
    run.pass(20 * MINUTE).await;
    run.finalize().await.unwrap();
    assert_eq!(run.end().await.state(), State::Finished);
    let past = run.past().await;
    assert!(past.len() > 1 && (100..200).contains(&(past[0].events + past[0].skips)), "{past:?}");
    run.record_run(&past[0].run_id, "in_anothers_place_and_on_in_another").await;
    run.record_run(&past.last().unwrap().run_id, "in_anothers_place_to_the_end").await;
}

/// What the last run was begun with by the one before it.
async fn last_input(run: &Run, stage: StageName) -> MigrationInput {
    let past = run.past().await;
    within_bounds(&past);
    assert!(past.len() > 1, "no run went on in another one's place: {past:?}");
    let input = run.input_of(&past.last().unwrap().run_id).await;
    assert_eq!(
        input.carried.as_ref().unwrap().stage,
        stage,
        "no run of that stage went on in another one's place: {past:?}"
    );
    input
}

fn with(input: &MigrationInput, say: impl FnOnce(&mut Asked)) -> MigrationInput {
    let mut input = input.clone();
    let carried = input.carried.as_mut().unwrap();
    assert!(carried.continued);
    say(&mut carried.asked);
    input
}
