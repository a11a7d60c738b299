//! What the command line asks Temporal for. The only module that knows handles, queries and updates.

use std::{future::Future, time::Duration};

use changeover_domain::{
    MigrationId,
    proto::{Accepted, Approve, Control, History, Status},
};
use changeover_workflows::{Migration, MigrationInput, MigrationOutcome, TASK_QUEUE, WORKFLOW_TYPE};
use futures::StreamExt;
use temporalio_client::{
    Client, NamespacedClient, WorkflowExecutionStatus, WorkflowHandle, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
    WorkflowStartOptions,
    errors::{WorkflowInteractionError, WorkflowQueryError, WorkflowStartError, WorkflowUpdateError},
    grpc::WorkflowService,
    tonic::IntoRequest,
};
use temporalio_common::protos::temporal::api::{
    enums::v1::TaskQueueType, taskqueue::v1::TaskQueue, workflowservice::v1::DescribeTaskQueueRequest,
};

use crate::{exit::Exit, problem::Problem};

/// Longest wait for an answer that needs a worker.
const ANSWER: Duration = Duration::from_secs(20);
/// Pause before a query is asked a second time.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// How long a worker may think about what comes next, before another one is asked. By default Temporal waits for a worker that
/// stands still for 10 s, and may ask it twice.
const DECIDING: Duration = Duration::from_secs(5);

/// A connection to Temporal.
pub(crate) struct Temporal {
    pub(crate) client: Client,
    pub(crate) address: String,
    pub(crate) namespace: String,
}

/// What a person may tell a migration, beside an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Cutover,
    Rollback,
    Retry,
    Abort,
    Finalize,
    Pause,
    Resume,
}

impl Verb {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verb::Cutover => "cutover",
            Verb::Rollback => "rollback",
            Verb::Retry => "retry",
            Verb::Abort => "abort",
            Verb::Finalize => "finalize",
            Verb::Pause => "pause",
            Verb::Resume => "resume",
        }
    }
}

/// A migration in the list.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listed {
    pub(crate) migration: String,
    /// `running`, `completed`, `failed`, `terminated` …: as Temporal sees the workflow.
    pub(crate) workflow: String,
    pub(crate) started_at: String,
    pub(crate) ended_at: String,
    pub(crate) run_id: String,
}

type Handle = WorkflowHandle<Client, Migration>;

impl Temporal {
    fn handle(&self, name: &str) -> Result<Handle, Problem> {
        let id = MigrationId::parse(name).map_err(|e| {
            Problem::new("CO0904", e.to_string(), "`changeover list` shows the names").exit(Exit::Usage)
        })?;
        Ok(self.client.get_workflow_handle::<Migration>(id.workflow_id()))
    }

    /// Starts a migration; the answer is the run's id.
    pub(crate) async fn start(&self, input: MigrationInput) -> Result<String, Problem> {
        let name = input.spec.name.clone();
        let id = MigrationId::parse(&name)
            .map_err(|e| Problem::new("CO0101", e.to_string(), "correct `name` in the spec"))?;
        let options = WorkflowStartOptions::new(TASK_QUEUE, id.workflow_id())
            .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
            .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
            .task_timeout(DECIDING)
            .static_summary(summary(&input))
            .build();
        match self.client.start_workflow(Migration::run, input, options).await {
            Ok(handle) => {
                Ok(handle.info().run_id.clone().or_else(|| handle.run_id().map(str::to_owned)).unwrap_or_default())
            }
            Err(WorkflowStartError::AlreadyStarted { .. }) => {
                let remedy =
                    format!("`changeover status {name}` shows it; give the spec another name for another migration");
                Err(Problem::new("CO0905", format!("a migration {name} runs already"), remedy).exit(Exit::Refused))
            }
            Err(error) => Err(self.rpc("starting the migration", &error)),
        }
    }

    /// The status, also of one that has ended.
    pub(crate) async fn status(&self, name: &str) -> Result<Status, Problem> {
        let handle = self.handle(name)?;
        if let Some(outcome) = self.ended(&handle, name).await? {
            return Ok(outcome.status);
        }
        self.asked(name, || handle.query(Migration::status, (), Default::default())).await
    }

    /// Who did what, also of one that has ended.
    pub(crate) async fn history(&self, name: &str) -> Result<History, Problem> {
        let handle = self.handle(name)?;
        if let Some(outcome) = self.ended(&handle, name).await? {
            return Ok(outcome.history);
        }
        self.asked(name, || handle.query(Migration::history, (), Default::default())).await
    }

    /// Gives an approval.
    pub(crate) async fn approve(&self, name: &str, approve: Approve) -> Result<Accepted, Problem> {
        let handle = self.handle(name)?;
        self.running(&handle, name).await?;
        let update = handle.execute_update(Migration::approve, approve, Default::default());
        self.answer(name, update).await?.map_err(|e| self.update(name, e))
    }

    /// Says something else.
    pub(crate) async fn control(&self, name: &str, verb: Verb, control: Control) -> Result<Accepted, Problem> {
        let handle = self.handle(name)?;
        self.running(&handle, name).await?;
        let options = Default::default();
        let answer = match verb {
            Verb::Cutover => self.answer(name, handle.execute_update(Migration::cutover, control, options)).await?,
            Verb::Rollback => self.answer(name, handle.execute_update(Migration::rollback, control, options)).await?,
            Verb::Retry => self.answer(name, handle.execute_update(Migration::retry, control, options)).await?,
            Verb::Abort => self.answer(name, handle.execute_update(Migration::abort, control, options)).await?,
            Verb::Finalize => self.answer(name, handle.execute_update(Migration::finalize, control, options)).await?,
            Verb::Pause => self.answer(name, handle.execute_update(Migration::pause, control, options)).await?,
            Verb::Resume => self.answer(name, handle.execute_update(Migration::resume, control, options)).await?,
        };
        answer.map_err(|e| self.update(name, e))
    }

    /// All migrations, the newest run of each, newest first.
    pub(crate) async fn list(&self) -> Result<Vec<Listed>, Problem> {
        let mut found: Vec<Listed> = Vec::new();
        let mut stream = self.client.list_workflows(format!("WorkflowType = '{WORKFLOW_TYPE}'"), Default::default());
        while let Some(item) = stream.next().await {
            let run = item.map_err(|e| self.rpc("listing migrations", &e))?;
            let name = run.id().rsplit('/').next().unwrap_or_default().to_owned();
            let time = |at: Option<std::time::SystemTime>| at.map(changeover_domain::rfc3339).unwrap_or_default();
            found.push(Listed {
                migration: name,
                workflow: format!("{:?}", run.status()).to_lowercase(),
                started_at: time(run.start_time()),
                ended_at: time(run.close_time()),
                run_id: run.run_id().to_owned(),
            });
        }
        found.sort_by(|a, b| b.started_at.cmp(&a.started_at));
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|run| seen.insert(run.migration.clone()));
        Ok(found)
    }

    /// The workers that poll the task queue, by their identity.
    pub(crate) async fn workers(&self) -> Result<Vec<String>, Problem> {
        let request = DescribeTaskQueueRequest {
            namespace: self.client.namespace(),
            task_queue: Some(TaskQueue { name: TASK_QUEUE.to_owned(), ..TaskQueue::default() }),
            task_queue_type: TaskQueueType::Workflow.into(),
            ..DescribeTaskQueueRequest::default()
        };
        let mut client = self.client.clone();
        let answer = WorkflowService::describe_task_queue(&mut client, request.into_request());
        let answer = answer.await.map_err(|e| self.rpc("asking for workers", &e))?;
        Ok(answer.into_inner().pollers.into_iter().map(|p| p.identity).collect())
    }

    async fn running(&self, handle: &Handle, name: &str) -> Result<(), Problem> {
        if self.ended(handle, name).await?.is_none() {
            return Ok(());
        }
        let remedy = format!("nothing is left to tell it; `changeover status {name}` shows how it ended");
        Err(Problem::new("CO0802", format!("the migration {name} has ended"), remedy).exit(Exit::Refused))
    }

    /// What it ended with; none while it runs.
    async fn ended(&self, handle: &Handle, name: &str) -> Result<Option<MigrationOutcome>, Problem> {
        let description = handle.describe(Default::default()).await.map_err(|error| match error {
            WorkflowInteractionError::NotFound(_) => self.unknown(name),
            other => self.rpc("looking for the migration", &other),
        })?;
        match description.status() {
            WorkflowExecutionStatus::Running
            | WorkflowExecutionStatus::Paused
            | WorkflowExecutionStatus::ContinuedAsNew => Ok(None),
            status => handle.get_result(Default::default()).await.map(Some).map_err(|error| {
                let word = format!("{status:?}").to_lowercase();
                let message = format!("the workflow of the migration {name} was {word} from outside: {error}");
                let remedy = "its undo has not run: see docs/errors/CO0909.md for what may be left on the servers";
                Problem::new("CO0909", message, remedy).exit(Exit::Parked)
            }),
        }
    }

    /// A query's answer. It's asked a second time: nobody answers in the moment in which one run goes on in another one's place.
    async fn asked<T, F>(&self, name: &str, query: impl Fn() -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, WorkflowQueryError>>,
    {
        let first = self.answer(name, query()).await?;
        let answer = match first {
            Err(WorkflowQueryError::Rpc(status)) if !is_for_want_of_a_worker(status.message()) => {
                tokio::time::sleep(ASK_AGAIN).await;
                self.answer(name, query()).await?
            }
            first => first,
        };
        answer.map_err(|e| self.query(name, e))
    }

    async fn answer<T>(&self, name: &str, asked: impl Future<Output = T>) -> Result<T, Problem> {
        tokio::time::timeout(ANSWER, asked).await.map_err(|_| self.nobody(name))
    }

    fn nobody(&self, name: &str) -> Problem {
        let message = format!("no worker has answered for the migration {name} within {} s", ANSWER.as_secs());
        let remedy = "start a worker (`changeover worker`), or look at the log of the one that runs; the migration goes on from where it was";
        Problem::new("CO0903", message, remedy)
    }

    fn unknown(&self, name: &str) -> Problem {
        let message = format!("there is no migration {name} in namespace {} at {}", self.namespace, self.address);
        Problem::new(
            "CO0904",
            message,
            "`changeover list` shows the names; `changeover doctor` shows which Temporal is used",
        )
    }

    fn query(&self, name: &str, error: WorkflowQueryError) -> Problem {
        match error {
            WorkflowQueryError::NotFound(_) => self.unknown(name),
            WorkflowQueryError::Rpc(status) if is_for_want_of_a_worker(status.message()) => self.nobody(name),
            other => self.rpc("asking the migration", &other),
        }
    }

    fn update(&self, name: &str, error: WorkflowUpdateError) -> Problem {
        match error {
            WorkflowUpdateError::NotFound(_) => self.unknown(name),
            WorkflowUpdateError::Failed(failure) => Problem::refusal(&failure.message),
            WorkflowUpdateError::Rpc(status) if is_for_want_of_a_worker(status.message()) => self.nobody(name),
            other => self.rpc("telling the migration", &other),
        }
    }

    fn rpc(&self, doing: &str, error: &dyn std::fmt::Display) -> Problem {
        let message = format!("{doing}: Temporal at {} answers: {error}", self.address);
        Problem::new("CO0911", message, "look at Temporal and its log; nothing has changed on the databases")
    }
}

/// The server's words for a query that no worker takes ("no poller seen for task queue recently", deadline exceeded).
fn is_for_want_of_a_worker(message: &str) -> bool {
    ["no poller", "deadline", "Deadline", "Timeout expired", "workflow task timed out"]
        .iter()
        .any(|words| message.contains(words))
}

fn summary(input: &MigrationInput) -> String {
    let host = |endpoint: &Option<changeover_domain::proto::Endpoint>| {
        endpoint.as_ref().map(|e| e.host.clone()).unwrap_or_default()
    };
    format!("{}: {} to {}", input.spec.name, host(&input.spec.source), host(&input.spec.target))
}
