//! Days within seconds. Temporal's server moves a run's clock on whenever the run waits for nothing but a timer: timers, their lengths
//! and everything recorded are those of the real time, with one event more for each time that is skipped.

use std::time::{Duration, Instant};

use changeover_domain::{
    history::{MOST_BYTES, MOST_EVENTS},
    proto::Status,
};
use changeover_workflows::{Migration, MigrationInput};
use temporalio_client::{Client, WorkflowExecutionInfo, WorkflowHandle, grpc::WorkflowService, tonic::IntoRequest};
use temporalio_protos::temporal::api::{
    common::v1::{TimeSkippingConfig, WorkflowExecution},
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes},
    workflow::v1::WorkflowExecutionOptions,
    workflowservice::v1::{DescribeWorkflowExecutionRequest, UpdateWorkflowExecutionOptionsRequest},
};

use super::{Run, Server};

/// What the migration's runs are called.
const WORKFLOW_ID: &str = "changeover/migration/fake";
const NAMESPACE: &str = "default";

pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3_600);
pub const DAY: Duration = Duration::from_secs(86_400);

/// What one run's history came to.
#[derive(Clone, Debug)]
pub struct Past {
    pub run_id: String,
    /// All but those of the skipping, which a real run doesn't have.
    pub events: u64,
    pub skips: u64,
    pub bytes: u64,
    /// The patches that it has asked for and was begun with.
    pub patches: Vec<String>,
    /// Workflow tasks that a worker failed: by a panic, or because its code doesn't fit the history.
    pub failed_tasks: u64,
}

impl Server {
    /// One that can skip time.
    pub async fn start_skipping() -> Self {
        Self::start_skipping_with(&[]).await
    }

    /// The same with settings of its own.
    pub async fn start_skipping_with(settings: &[&str]) -> Self {
        let skipping = [
            "frontend.WorkflowTimeSkippingEnabled=true",
            "frontend.WorkflowTimeSkippingMaxSkipPerSession=1000000",
            // Or else a run that goes on in another one's place waits for a second, and the server skips as much once more as all
            // runs before it have skipped.
            r#"history.workflowIdReuseMinimalInterval="0s""#,
            // A timer that is due after a skip waits for this long at most, in place of a second.
            r#"history.timerProcessorMaxTimeShift="5ms""#,
            r#"history.timerProcessorPollBackoffInterval="10ms""#,
            "history.timerProcessorMaxPollRPS=10000",
            "history.timerProcessorMaxPollHostRPS=10000",
        ];
        Self::start_with(&[&skipping, settings].concat()).await
    }
}

impl Run {
    /// Skips what the migration waits for, or lets time go on as usual. Not by a fast-forward: where a timer is just due, the server
    /// passes over everything else up to its end.
    async fn skip(&self, enabled: bool) {
        let skipping =
            TimeSkippingConfig { enabled, max_session_skip_count: 1_000_000, ..TimeSkippingConfig::default() };
        let mut request = UpdateWorkflowExecutionOptionsRequest {
            namespace: NAMESPACE.into(),
            workflow_execution: Some(execution("")),
            workflow_execution_options: Some(WorkflowExecutionOptions {
                time_skipping_config: Some(skipping),
                ..WorkflowExecutionOptions::default()
            }),
            ..UpdateWorkflowExecutionOptionsRequest::default()
        };
        request.update_mask.get_or_insert_default().paths.push("time_skipping_config".into());
        let mut client = self.server.client().await;
        WorkflowService::update_workflow_execution_options(&mut client, request.into_request())
            .await
            .expect("the server skips time: Temporal 1.32 (`make setup` installs it)");
    }

    /// Skips until status fulfils the condition; a few more waits pass before that is seen.
    pub async fn skip_until(&self, what: &str, deadline: Duration, condition: impl Fn(&Status) -> bool) -> Status {
        self.skip(true).await;
        let status = self.until_at_last(what, deadline, condition).await;
        self.skip(false).await;
        status
    }

    /// Skips about so much.
    pub async fn pass(&self, time: Duration) {
        const DEADLINE: Duration = Duration::from_secs(300);
        let now = |status: &Status| changeover_domain::from_rfc3339(&status.updated_at).unwrap();
        // The last look may lie as far back as looks lie apart.
        let wanted = now(&self.status().await) + time;
        self.skip_until(&format!("{time:?} to pass"), DEADLINE, |s| now(s) >= wanted).await;
    }

    /// Waits, longer and more quietly than [`Run::until`], until status fulfils the condition.
    pub async fn until_at_last(&self, what: &str, deadline: Duration, condition: impl Fn(&Status) -> bool) -> Status {
        let begun = Instant::now();
        loop {
            // Nobody answers in the moment in which a run goes on in another one's place.
            let status = self.handle.query(Migration::status, (), Default::default()).await;
            if let Some(status) = status.as_ref().ok().filter(|status| condition(status)) {
                return status.clone();
            }
            assert!(begun.elapsed() < deadline, "waited {deadline:?} for {what}; the last answer: {status:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// All runs of the migration, the first one first.
    pub async fn past(&self) -> Vec<Past> {
        let mut client = self.server.client().await;
        let request = DescribeWorkflowExecutionRequest { namespace: NAMESPACE.into(), execution: Some(execution("")) };
        let last = WorkflowService::describe_workflow_execution(&mut client, request.into_request()).await.unwrap();
        let info = last.into_inner().workflow_execution_info.unwrap();
        let (mut run_id, mut past) = (info.first_run_id, Vec::new());
        while !run_id.is_empty() {
            let next;
            (past, next) = self.one(past, run_id).await;
            run_id = next;
        }
        past
    }

    /// One run, and the id of the one that went on in its place.
    async fn one(&self, mut past: Vec<Past>, run_id: String) -> (Vec<Past>, String) {
        let mut client = self.server.client().await;
        let request =
            DescribeWorkflowExecutionRequest { namespace: NAMESPACE.into(), execution: Some(execution(&run_id)) };
        let answer = WorkflowService::describe_workflow_execution(&mut client, request.into_request()).await.unwrap();
        let info = answer.into_inner().workflow_execution_info.unwrap();
        let history = self.history_of(&run_id).await;
        let of = |wanted: EventType| history.iter().filter(|event| event.event_type() == wanted).count() as u64;
        let skips = of(EventType::WorkflowExecutionTimeSkippingTransitioned);
        let next = history.last().and_then(|event| event.attributes.clone()).map_or_else(String::new, |attributes| {
            match attributes {
                Attributes::WorkflowExecutionContinuedAsNewEventAttributes(told) => told.new_execution_run_id,
                _ => String::new(),
            }
        });
        past.push(Past {
            run_id,
            events: info.history_length.unsigned_abs() - skips,
            skips,
            bytes: info.history_size_bytes.unsigned_abs(),
            patches: history.iter().filter_map(patch).collect(),
            failed_tasks: of(EventType::WorkflowTaskFailed),
        });
        (past, next)
    }
}

impl Run {
    async fn history_of(&self, run_id: &str) -> Vec<HistoryEvent> {
        self.run(run_id).await.fetch_history(Default::default()).into_events().await.unwrap()
    }

    /// What a run was begun with.
    pub async fn input_of(&self, run_id: &str) -> MigrationInput {
        let first = self.history_of(run_id).await.remove(0);
        let Some(Attributes::WorkflowExecutionStartedEventAttributes(begun)) = first.attributes else { panic!() };
        serde_json::from_slice(&begun.input.unwrap().payloads[0].data).unwrap()
    }

    /// Ends it, and begins another one on the same server and worker.
    pub async fn again_from(self, input: MigrationInput) -> Self {
        let Self { script, handle, worker, server } = self;
        // One that has ended by itself needs no end.
        let _ended = handle.terminate(Default::default()).await;
        script.calls.lock().unwrap().clear();
        Self::start_from(server, worker.unwrap(), input, script).await
    }

    /// One of the runs.
    async fn run(&self, run_id: &str) -> WorkflowHandle<Client, Migration> {
        let info =
            WorkflowExecutionInfo::builder().namespace(NAMESPACE).workflow_id(WORKFLOW_ID).run_id(run_id).build();
        WorkflowHandle::new(self.server.client().await, info)
    }

    /// Writes a run's history as a fixture when `CHANGEOVER_RECORD` names a directory.
    pub async fn record_run(&self, run_id: &str, name: &str) {
        if let Some(directory) = std::env::var_os("CHANGEOVER_RECORD") {
            let json = self.run(run_id).await.fetch_history(Default::default()).to_json().await.unwrap();
            std::fs::write(std::path::Path::new(&directory).join(format!("{name}.json")), json).unwrap();
        }
    }
}

/// No run's history has grown beyond its bounds, and none had a task that failed.
pub fn within_bounds(past: &[Past]) {
    for run in past {
        assert!(run.events + run.skips <= u64::from(MOST_EVENTS) && run.bytes <= MOST_BYTES as u64, "{run:?}");
        assert_eq!(run.failed_tasks, 0, "{run:?}");
    }
}

/// The name in the marker of a patch: `{"id": NAME, "deprecated": false}`.
fn patch(event: &HistoryEvent) -> Option<String> {
    let Some(Attributes::MarkerRecordedEventAttributes(marker)) = &event.attributes else { return None };
    let payload = marker.details.get("patch-data")?.payloads.first()?;
    let json: serde_json::Value = serde_json::from_slice(&payload.data).ok()?;
    Some(json["id"].as_str()?.to_owned())
}

fn execution(run_id: &str) -> WorkflowExecution {
    WorkflowExecution { workflow_id: WORKFLOW_ID.into(), run_id: run_id.into() }
}
