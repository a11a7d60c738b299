//! WAL that a slot holds back warns, and stops the run wherever it is, whatever it does and whether anybody is awake.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use changeover_domain::{
    Failure,
    proto::{Budgets, Spec, State, Status},
};
use changeover_workflows::Migration;
use support::{Run, Script, control, spec};

const LIMIT: u64 = 1_000;

fn with_limit(abort: bool) -> Spec {
    let budgets = spec().budgets.unwrap_or_default();
    let budgets = Budgets { max_retained_wal_bytes: LIMIT, abort_at_max_retained_wal: abort, ..budgets };
    Spec { budgets: Some(budgets), ..spec() }
}

fn warned(status: &Status, code: &str) -> bool {
    status.warnings.iter().any(|warning| warning.code == code)
}

fn parked_for(status: &Status, code: &str) -> bool {
    status.state() == State::Parked && status.failure.as_ref().is_some_and(|failure| failure.code == code)
}

#[tokio::test(flavor = "multi_thread")]
async fn at_half_of_its_budget_it_warns_and_beyond_it_parks_until_there_is_room() {
    let run = Run::start_with(with_limit(false), Script::default()).await;
    run.until_waiting("approval").await;
    *run.script.held_bytes.lock().unwrap() = LIMIT * 6 / 10;
    let alarm = run.until("an alarm", |s| warned(s, "CO0522")).await;
    assert_eq!(alarm.state(), State::Waiting, "an alarm stops nothing");
    assert_eq!(alarm.links[0].max_retained_wal_bytes, LIMIT);
    *run.script.held_bytes.lock().unwrap() = LIMIT + 1;
    let parked = run.until("parked", |s| parked_for(s, "CO0523")).await;
    assert!(parked.failure.unwrap().remedy.contains("changeover abort fake"), "the command isn't said");
    assert!(run.script.called("undo").is_empty(), "nothing is dropped");
    // Tried again too early, it parks again.
    run.retry().await.unwrap();
    run.until("parked again", |s| parked_for(s, "CO0523") && s.stages[8].attempts == 2).await;
    *run.script.held_bytes.lock().unwrap() = 1;
    // A look that had begun before may park it once more.
    run.retry().await.unwrap();
    let settled = |s: &Status| s.state() == State::Parked || s.state() == State::Waiting && s.stage == "approval";
    if run.until("waiting, or parked by an old look", settled).await.state() == State::Parked {
        // Refused where the first one was only slow.
        let _refused = run.retry().await;
    }
    let waiting = run.until_waiting("approval").await;
    let calm = run.until("calm", |s| !warned(s, "CO0522") && !warned(s, "CO0523")).await;
    assert_eq!((waiting.failure, calm.state()), (None, State::Waiting));
    let audit = run.audit().await;
    assert_eq!(audit.iter().filter(|line| line.contains("wal_alarm")).count(), 2, "each direction once: {audit:#?}");
}

/// No stage looks at slots then: a watch of its own does.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_watched_and_goes_on_when_there_is_room() {
    let script = Script { looks_until_ready: 1_000.into(), held_bytes: (LIMIT + 1).into(), ..Script::default() };
    let run = Run::start_with(with_limit(false), script).await;
    let parked = run.until("parked", |s| parked_for(s, "CO0523")).await;
    assert_eq!(parked.stage, "copy");
    assert!(run.script.called("look_at_links forward look").is_empty(), "the copy looks by itself");
    *run.script.held_bytes.lock().unwrap() = 0;
    *run.script.looks_until_ready.lock().unwrap() = 2;
    run.retry().await.unwrap();
    run.until_waiting("approval").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_parked_for_something_else_is_watched() {
    let script = Script { held_bytes: 1.into(), ..Script::default() };
    script.fail("ensure_reverse", Failure::needs_human("CO0401", "no", "do"));
    let run = Run::start_with(with_limit(false), script).await;
    run.until("parked", |s| parked_for(s, "CO0401")).await;
    run.until("it to be watched", |_| !run.script.called("look_at_links forward watch").is_empty()).await;
    run.abort().await.unwrap();
    assert_eq!(run.end().await.state(), State::Aborted);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_spec_says_so_it_is_undone_with_nobody_awake() {
    let run = Run::start_with(with_limit(true), Script::default()).await;
    run.until_waiting("approval").await;
    *run.script.held_bytes.lock().unwrap() = LIMIT + 1;
    assert_eq!(run.end().await.state(), State::Aborted);
    assert!(!run.script.called("undo").is_empty());
    let audit = run.audit().await;
    assert!(audit.iter().any(|line| line.starts_with("changeover abort: ") && line.contains("CO0523")), "{audit:#?}");
}

/// The slot is the way back then: nobody but a person gives that up.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_target_serves_it_parks_whatever_the_spec_says() {
    let run = Run::start_with(with_limit(true), Script::default()).await;
    run.until_waiting("approval").await;
    run.approve(changeover_domain::proto::ApprovalKind::Cutover).await.unwrap();
    run.cutover().await.unwrap();
    run.until("the soak", |s| s.stage == "soak").await;
    *run.script.held_bytes.lock().unwrap() = LIMIT + 1;
    let parked = run.until("parked", |s| parked_for(s, "CO0523")).await;
    assert!(parked.failure.unwrap().remedy.contains("--source-is-lost"));
    assert!(run.script.called("undo").is_empty());
    *run.script.held_bytes.lock().unwrap() = 0;
    run.handle.execute_update(Migration::retry, control(), Default::default()).await.unwrap();
    run.until_waiting("soak").await;
}

/// Also where no stage looks, and at once: what is lost doesn't come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_has_lost_its_wal_parks_while_the_source_serves() {
    let script = Script { looks_until_ready: 1_000.into(), wal_status: "lost".to_owned().into(), ..Script::default() };
    let run = Run::start_with(with_limit(false), script).await;
    let parked = run.until("parked", |s| parked_for(s, "CO0514")).await;
    assert_eq!(parked.stage, "copy");
    // A look that somebody wants again finds the same.
    *run.script.looks_until_ready.lock().unwrap() = 0;
    run.retry().await.unwrap();
    run.until("parked again", |s| parked_for(s, "CO0514") && s.stages[3].attempts == 2).await;
    run.abort().await.unwrap();
    assert_eq!(run.end().await.state(), State::Aborted);
}

/// Somebody has to hear of it, and then the way forward needs nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_that_is_lost_is_said_once_and_the_migration_comes_to_its_end() {
    let run = Run::start_with(with_limit(false), Script::default()).await;
    run.until_waiting("approval").await;
    run.approve(changeover_domain::proto::ApprovalKind::Cutover).await.unwrap();
    run.cutover().await.unwrap();
    run.until("the soak", |s| s.stage == "soak").await;
    *run.script.wal_status.lock().unwrap() = "lost".to_owned();
    let parked = run.until("parked", |s| parked_for(s, "CO0514")).await;
    assert!(parked.failure.unwrap().remedy.contains("changeover finalize"));
    run.retry().await.unwrap();
    let soaked = run.until_waiting("soak").await;
    assert!(soaked.warnings.iter().any(|warning| warning.code == "CO0514"), "{:#?}", soaked.warnings);
    run.approve(changeover_domain::proto::ApprovalKind::Finalize).await.unwrap();
    run.finalize().await.unwrap();
    assert_eq!(run.end().await.state(), State::Finished);
}
