//! A worker of the next version takes over in the midst of a migration. The version before is made of the same sources, without the
//! patches: its commands are those of the histories from before them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

/// What the sources ask for under these names.
use changeover_workflows::{SWITCH_QUEUE, contract};

#[allow(dead_code, missing_docs, unused_imports)]
#[path = "../src/migration/mod.rs"]
mod migration;

mod patches {
    use temporalio_workflow::WorkflowContext;

    pub(crate) fn calm_looks(_ctx: &WorkflowContext<crate::migration::Migration>) -> bool {
        false
    }
    pub(crate) fn watch_wal(ctx: &WorkflowContext<crate::migration::Migration>) -> bool {
        ctx.patched("watch-wal")
    }
    pub(crate) fn lost_slots(_ctx: &WorkflowContext<crate::migration::Migration>) -> bool {
        false
    }
    pub(crate) fn deploys_apart(_ctx: &WorkflowContext<crate::migration::Migration>) -> bool {
        false
    }
    pub(crate) fn reboots_are_told_by_the_server(_ctx: &WorkflowContext<crate::migration::Migration>) -> bool {
        false
    }
    pub(crate) fn every_wait_ends(_ctx: &WorkflowContext<crate::migration::Migration>) -> bool {
        false
    }
}

use changeover_domain::{
    history::{MOST_BYTES, MOST_EVENTS},
    proto::{ApprovalKind, Soak, Spec, State},
    spec,
};
use std::sync::Arc;
use support::{
    FakeWorker, Run, Script, Server,
    time::{HOUR, MINUTE, Past},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_the_version_before_goes_on_as_it_began_and_the_next_one_by_the_new_rules() {
    // It ends its runs where Temporal suggests it; that is brought closer, since each run before takes its time.
    let server = Server::start_skipping_with(&["limit.historyCount.suggestContinueAsNew=1500"]).await;
    let script = Arc::new(Script::default());
    let before = FakeWorker::start_as::<migration::Migration>(&server, &script).await;
    let spec = spec::parse(&spec::render::init_text()).unwrap();
    let soak = Soak { duration_ms: 6 * 3_600_000, ..spec.soak.unwrap() };
    let mut run = Run::start_on(server, before, Spec { soak: Some(soak), ..spec }, script).await;
    run.until_waiting("approval").await;
    run.approve(ApprovalKind::Cutover).await.unwrap();
    run.cutover().await.unwrap();
    run.until("the soak", |s| s.stage == "soak").await;
    run.approve(ApprovalKind::Finalize).await.unwrap();
    run.pass(40 * MINUTE).await;
    let (taken_over, status, audit) = (run.past().await.len() - 1, run.status().await, run.audit().await);

    drop(run.worker.take());
    run.worker = Some(FakeWorker::start(&run.server, &run.script).await);
    let now = run.status().await;
    assert_eq!((&now.stages, &now.approvals, &now.undo), (&status.stages, &status.approvals, &status.undo));
    assert_eq!(run.audit().await, audit);
    run.pass(6 * HOUR).await;
    run.until_waiting("soak").await;
    run.finalize().await.expect("the approval that was given to the version before");
    assert_eq!(run.end().await.state(), State::Finished);

    let past = run.past().await;
    let calm = |run: &Past| run.patches.iter().any(|patch| patch == "calm-looks");
    println!("taken over in run {taken_over}: {past:#?}");
    assert!(past.iter().all(|run| run.failed_tasks == 0), "{past:#?}");
    let (old, new) = past.split_at(taken_over + 1);
    assert!(old.iter().all(|run| !calm(run)), "{old:#?}");
    assert!(!new.is_empty() && new.iter().all(calm), "{new:#?}");
    assert!(new.iter().all(|run| run.events < u64::from(MOST_EVENTS) && run.bytes < MOST_BYTES as u64), "{new:#?}");
    assert_eq!(run.script.called("switch").len(), 1);
}
