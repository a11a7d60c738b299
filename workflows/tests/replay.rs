//! Histories of real runs are replayed against today's code: a change that a running migration couldn't bear fails here.
//!
//! The fixtures are recorded from released code, never from the branch under test, and never rewritten:
//! `CHANGEOVER_RECORD=DIR cargo test -p changeover-workflows --test migration` writes new ones.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use changeover_workflows::Migration;
use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

#[tokio::test]
async fn recorded_histories_replay() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/histories");
    let mut replayed = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let history = WorkflowHistory::from_json(&std::fs::read(&path).unwrap()).unwrap();
        let options = WorkflowReplayerOptions::new().register_workflow::<Migration>().unwrap().build();
        let replayer = WorkflowReplayer::new(options).unwrap();
        let result = replayer.replay_workflow(history).await;
        assert!(result.is_ok(), "{}: {result:?}", path.display());
        replayed += 1;
    }
    assert!(replayed >= 6, "only {replayed} histories: the fixtures are missing");
}
