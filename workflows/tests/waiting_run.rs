//! A run that waits for a person for weeks, parked or paused: no history grows beyond its bounds, and what people say then is done as if
//! one run had waited all the time.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{sync::Arc, time::Duration};

use changeover_domain::{
    Failure,
    proto::{Spec, StageState, State, Status},
    spec,
};
use changeover_workflows::MigrationInput;
use support::{
    FakeWorker, Run, Script, Server,
    time::{DAY, HOUR, within_bounds},
};

/// So long nobody comes. The fake watch of the slots answers at once, as one does that can't look: some three hundred events a day.
const AWAY: u32 = 5;
/// Longest wait for anything, by the clock on the wall.
const MOST: Duration = Duration::from_secs(300);

fn usual() -> Spec {
    spec::parse(&spec::render::init_text()).expect("what `changeover init` writes is a spec")
}

async fn begin(script: Script) -> Run {
    let server = Server::start_skipping().await;
    let script = Arc::new(script);
    let worker = FakeWorker::start(&server, &script).await;
    Run::start_on(server, worker, usual(), script).await
}

/// The same once more, on the same server.
async fn begin_again(run: Run) -> Run {
    run.again_from(MigrationInput { spec: usual(), plan_hash: "hash".into(), carried: None }).await
}

/// Nobody comes for days; returns what status was before and is afterwards.
async fn nobody_comes(run: &Run, looks_like: impl Fn(&Status) -> bool) -> (Status, Status) {
    let before = run.until_at_last("something for a person to do", MOST, &looks_like).await;
    let runs = run.past().await.len();
    run.pass(AWAY * DAY).await;
    let after = run.until_at_last("still the same to do", MOST, &looks_like).await;
    assert!(run.past().await.len() > runs, "all of it is in one history: {:#?}", run.past().await);
    assert_eq!((&after.failure, &after.undo, &after.stages), (&before.failure, &before.undo, &before.stages));
    assert_eq!(after.next_command, before.next_command);
    (before, after)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_after_weeks_finds_the_run_as_it_was_left() {
    let script = Script::default();
    script.fail("verify", Failure::needs_human("CO0501", "no", "do"));
    let run = begin(script).await;
    let parked = |s: &Status| s.state() == State::Parked && s.stage == "verify";
    nobody_comes(&run, parked).await;
    run.retry().await.unwrap();
    let approval = run.until_waiting("approval").await;
    assert_eq!(approval.stages.iter().map(|row| row.attempts).max(), Some(2), "{:#?}", approval.stages);
    assert_eq!(run.script.called("ensure_forward").len(), 1, "something was begun anew");

    // An abort whose undo fails.
    run.script.fail("undo", Failure::needs_human("CO0501", "no", "do"));
    run.abort().await.unwrap();
    let (before, _) = nobody_comes(&run, |s| s.state() == State::Parked).await;
    assert!(before.undo.len() > 5, "{before:#?}");
    assert_eq!(run.script.called("undo").len(), 1, "undone without a word");
    run.retry().await.unwrap();
    let end = run.end().await;
    assert_eq!(end.state(), State::Aborted);
    assert!(end.stages.iter().all(|row| row.state() != StageState::Done), "{:#?}", end.stages);
    let past = run.past().await;
    within_bounds(&past);
    run.record_run(&past.last().unwrap().run_id, "parked_in_an_abort_in_anothers_place").await;

    // An abort, and a pause, of what an earlier run has left.
    run.script.fail("verify", Failure::needs_human("CO0501", "no", "do"));
    let run = begin_again(run).await;
    nobody_comes(&run, parked).await;
    run.abort().await.unwrap();
    assert_eq!(run.end().await.state(), State::Aborted);
    assert!(run.script.called("undo").len() > 10, "{:?}", run.script.called("undo"));
    within_bounds(&run.past().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_lasts_until_somebody_ends_it() {
    let run = begin(Script { copy_lasts: Some(HOUR), ..Script::default() }).await;
    run.until("copying", |s| s.progress.is_some()).await;
    run.pause().await.unwrap();
    let paused = |s: &Status| s.state() == State::Waiting && s.doing.starts_with("paused");
    run.skip_until("the end of the copy", MOST, paused).await;
    nobody_comes(&run, paused).await;
    assert_eq!(run.script.called("finish_schema").len(), 0, "it went on while it was paused");
    run.resume().await.unwrap();
    let approval = run.until_waiting("approval").await;
    assert!(approval.stages.iter().all(|row| row.attempts <= 1), "{:#?}", approval.stages);
    within_bounds(&run.past().await);
}
