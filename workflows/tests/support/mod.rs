//! A real Temporal server and a worker whose activities are fakes that follow a script.
// What is forbidden to workflow code is what its tests are made of.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod server;
pub mod time;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use changeover_domain::{
    Direction, Failure, MigrationId, Side,
    aws::{
        AwsNames,
        provision::{AwsFacts, AwsStep, undo_of},
    },
    proto::{
        ApprovalKind, Approve, AuditEvent, Budgets, Control, Database, Finding, Gates, LinkHealth, PreflightReport,
        Progress, Replication, Severity, Soak, Spec, State, Status, SwitchRecord, VerifyTotals,
    },
};
use changeover_workflows::{
    Migration, MigrationInput, SWITCH_QUEUE, TASK_QUEUE,
    contract::{
        self, AwsDone, AwsInput, AwsPlanned, AwsUndoInput, AwsUndone, Directed, DriftLook, Evidence, FinalizeInput,
        HealthLook, HousekeepingInput, RolesDone, SwitchInput, SyncLook, UndoInput,
    },
};
use temporalio_client::{Client, WorkflowHandle, WorkflowStartOptions};
use temporalio_common::{WorkflowDefinition, error::ApplicationFailure};
use temporalio_macros::activities;
use temporalio_sdk::{
    Runtime, Worker, WorkerOptions,
    activities::{ActivityContext, ActivityError},
    workflows::WorkflowImplementation,
};

pub use server::Server;

/// What the fakes answer: a queue of failures by activity name, taken before success.
#[derive(Default)]
pub struct Script {
    pub failures: Mutex<BTreeMap<String, Vec<Failure>>>,
    pub switches: Mutex<Vec<String>>,
    /// What the attempts were told of the last comparison.
    pub verified_at: Mutex<Vec<Option<String>>>,
    pub calls: Mutex<Vec<String>>,
    pub blockers: Mutex<u32>,
    pub differences: Mutex<u64>,
    pub drift: Mutex<u64>,
    pub drift_of_target: Mutex<u64>,
    pub warnings: Mutex<Vec<String>>,
    pub looks_until_ready: Mutex<u32>,
    /// WAL that slots hold back.
    pub held_bytes: Mutex<u64>,
    /// What a slot says of its WAL.
    pub wal_status: Mutex<String>,
    /// The next undo in AWS leaves this instance with a reboot pending.
    pub pending_reboot: Mutex<Option<String>>,
    /// Deployments don't end by themselves.
    pub deployments_hang: Mutex<bool>,
    /// Nor can they be begun.
    pub deployments_fail: Mutex<bool>,
    /// How long the copy lasts by Temporal's time, in place of a number of looks.
    pub copy_lasts: Option<Duration>,
    pub copy_began: Mutex<Option<SystemTime>>,
}

impl Script {
    /// The next call of `activity` fails so; several queue up.
    pub fn fail(&self, activity: &str, failure: Failure) {
        self.failures.lock().unwrap().entry(activity.to_owned()).or_default().push(failure);
    }
    /// The next switch has this outcome (`open` when nothing is queued).
    pub fn next_switch(&self, outcome: &str) {
        self.switches.lock().unwrap().push(outcome.to_owned());
    }
    /// Calls so far whose text starts with `prefix`.
    pub fn called(&self, prefix: &str) -> Vec<String> {
        self.calls.lock().unwrap().iter().filter(|c| c.starts_with(prefix)).cloned().collect()
    }
    /// How far a copy is that lasts so long.
    fn copied_after(&self, now: SystemTime, lasts: Duration) -> SyncLook {
        const BYTES: u64 = 1_000_000_000_000;
        let began = *self.copy_began.lock().unwrap().get_or_insert(now);
        let gone = now.duration_since(began).unwrap().as_secs_f64() / lasts.as_secs_f64();
        let bytes_done = (BYTES as f64 * gone.min(1.0)) as u64;
        let progress = Progress { bytes_done, bytes_total: BYTES, ..Progress::default() };
        SyncLook { progress, ready: gone >= 1.0, problems: vec![] }
    }
    fn enter(&self, activity: &str, detail: &str) -> Result<(), ActivityError> {
        self.calls.lock().unwrap().push(if detail.is_empty() {
            activity.to_owned()
        } else {
            format!("{activity} {detail}")
        });
        let failure =
            self.failures.lock().unwrap().get_mut(activity).filter(|list| !list.is_empty()).map(|list| list.remove(0));
        match failure {
            None => Ok(()),
            Some(failure) => Err(ActivityError::application(
                ApplicationFailure::builder(failure.to_string())
                    .type_name(failure.code.clone())
                    .non_retryable(failure.class != changeover_domain::Class::Transient)
                    .details(failure)
                    .build(),
            )),
        }
    }
}

pub struct Fakes(pub Arc<Script>);

/// Until Temporal cancels it.
async fn hang(ctx: &ActivityContext) -> Result<(), ActivityError> {
    loop {
        tokio::select! {
            () = ctx.cancelled() => return Err(ActivityError::cancelled()),
            () = tokio::time::sleep(Duration::from_millis(100)) => ctx.record_heartbeat(()).await?,
        }
    }
}

fn evidence() -> Evidence {
    Evidence { detail: "fake".into(), attempt: 1, warnings: vec![] }
}

#[activities]
impl Fakes {
    #[activity(definition = contract::Preflight)]
    pub async fn preflight(
        self: Arc<Self>,
        _ctx: ActivityContext,
        _spec: Spec,
    ) -> Result<PreflightReport, ActivityError> {
        self.0.enter("preflight", "")?;
        let blocker = Finding { code: "CO0301".into(), severity: Severity::Blocker.into(), ..Finding::default() };
        let findings = vec![blocker; *self.0.blockers.lock().unwrap() as usize];
        Ok(PreflightReport { findings, ..PreflightReport::default() })
    }
    #[activity(definition = contract::EnsureHome)]
    pub async fn ensure_home(self: Arc<Self>, _ctx: ActivityContext, _spec: Spec) -> Result<Evidence, ActivityError> {
        self.0.enter("ensure_home", "").map(|()| evidence())
    }
    #[activity(definition = contract::EnsureRoles)]
    pub async fn ensure_roles(self: Arc<Self>, _ctx: ActivityContext, _spec: Spec) -> Result<RolesDone, ActivityError> {
        self.0
            .enter("ensure_roles", "")
            .map(|()| RolesDone { evidence: evidence(), without_password: vec!["app".into()] })
    }
    #[activity(definition = contract::EnsureSchema)]
    pub async fn ensure_schema(self: Arc<Self>, _ctx: ActivityContext, _spec: Spec) -> Result<Evidence, ActivityError> {
        self.0.enter("ensure_schema", "").map(|()| evidence())
    }
    #[activity(definition = contract::EnsureForward)]
    pub async fn ensure_forward(
        self: Arc<Self>,
        _ctx: ActivityContext,
        _spec: Spec,
    ) -> Result<Evidence, ActivityError> {
        self.0.enter("ensure_forward", "")?;
        Ok(Evidence { warnings: self.0.warnings.lock().unwrap().clone(), ..evidence() })
    }
    #[activity(definition = contract::LookAtSync)]
    pub async fn look_at_sync(self: Arc<Self>, ctx: ActivityContext, _spec: Spec) -> Result<SyncLook, ActivityError> {
        self.0.enter("look_at_sync", "")?;
        if let Some(lasts) = self.0.copy_lasts {
            return Ok(self.0.copied_after(ctx.info().scheduled_time.unwrap(), lasts));
        }
        let mut left = self.0.looks_until_ready.lock().unwrap();
        let ready = *left == 0;
        *left = left.saturating_sub(1);
        let bytes_done = if ready { 1_000 } else { 1_000 / (u64::from(*left) + 2) };
        Ok(SyncLook {
            progress: Progress { bytes_done, bytes_total: 1_000, ..Progress::default() },
            ready,
            problems: vec![],
        })
    }
    #[activity(definition = contract::FinishSchema)]
    pub async fn finish_schema(self: Arc<Self>, _ctx: ActivityContext, _spec: Spec) -> Result<Evidence, ActivityError> {
        self.0.enter("finish_schema", "").map(|()| evidence())
    }
    #[activity(definition = contract::LookAtLinks)]
    pub async fn look_at_links(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: Directed,
    ) -> Result<HealthLook, ActivityError> {
        let watch = if input.watch.is_some() { "watch" } else { "look" };
        self.0.enter("look_at_links", &format!("{} {watch}", input.direction.word()))?;
        let link = LinkHealth {
            direction: input.direction.word().into(),
            canary_ms: Some(1),
            retained_wal_bytes: *self.0.held_bytes.lock().unwrap(),
            wal_status: self.0.wal_status.lock().unwrap().clone(),
            ..LinkHealth::default()
        };
        Ok(HealthLook { links: vec![link] })
    }
    #[activity(definition = contract::LookForDrift)]
    pub async fn look_for_drift(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: Directed,
    ) -> Result<DriftLook, ActivityError> {
        self.0.enter("look_for_drift", input.direction.word())?;
        let drift = if input.direction == Direction::Forward { &self.0.drift } else { &self.0.drift_of_target };
        Ok(DriftLook { changes: vec![], total: *drift.lock().unwrap() })
    }
    #[activity(definition = contract::Verify)]
    pub async fn verify(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: Directed,
    ) -> Result<VerifyTotals, ActivityError> {
        self.0.enter("verify", input.direction.word())?;
        Ok(VerifyTotals { rows: 7, differences: *self.0.differences.lock().unwrap(), ..VerifyTotals::default() })
    }
    #[activity(definition = contract::EnsureReverse)]
    pub async fn ensure_reverse(
        self: Arc<Self>,
        _ctx: ActivityContext,
        _spec: Spec,
    ) -> Result<Evidence, ActivityError> {
        self.0.enter("ensure_reverse", "")?;
        Ok(Evidence { warnings: self.0.warnings.lock().unwrap().clone(), ..evidence() })
    }
    #[activity(definition = contract::Switch)]
    pub async fn switch(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: SwitchInput,
    ) -> Result<SwitchRecord, ActivityError> {
        let settle = if input.settle { " settle" } else { "" };
        self.0.enter("switch", &format!("{} {}{settle}", input.direction, input.epoch))?;
        self.0.verified_at.lock().unwrap().push(input.verified_at);
        let mut queued = self.0.switches.lock().unwrap();
        let outcome = if queued.is_empty() { "open".to_owned() } else { queued.remove(0) };
        Ok(SwitchRecord { epoch: input.epoch, outcome, refusal: "a fake one".into(), ..SwitchRecord::default() })
    }
    #[activity(definition = contract::Housekeeping)]
    pub async fn housekeeping(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: HousekeepingInput,
    ) -> Result<Evidence, ActivityError> {
        self.0.enter("housekeeping", &format!("{} {}", input.direction, input.epoch)).map(|()| evidence())
    }
    #[activity(definition = contract::UndoActivity)]
    pub async fn undo(self: Arc<Self>, _ctx: ActivityContext, input: UndoInput) -> Result<Evidence, ActivityError> {
        self.0.enter("undo", &input.undo.describe()).map(|()| evidence())
    }
    #[activity(definition = contract::Finalize)]
    pub async fn finalize(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: FinalizeInput,
    ) -> Result<Evidence, ActivityError> {
        let lost = if input.source_is_lost { " without the source" } else { "" };
        self.0.enter("finalize", &format!("{:?}{lost}", input.step)).map(|()| evidence())
    }
    #[activity(definition = contract::AwsPlan)]
    pub async fn aws_plan(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: AwsInput,
    ) -> Result<AwsPlanned, ActivityError> {
        self.0.enter("aws_plan", input.step.word())?;
        let names = AwsNames::new(&MigrationId::parse("fake").unwrap());
        let undo = undo_of(input.step, &input.spec, &names);
        let approve = (input.step == AwsStep::Reboot).then(|| "it has to be rebooted".to_owned());
        Ok(AwsPlanned { undo, facts: AwsFacts { run: "first".into(), ..input.facts }, approve })
    }
    #[activity(definition = contract::AwsAct)]
    pub async fn aws_act(self: Arc<Self>, ctx: ActivityContext, input: AwsInput) -> Result<AwsDone, ActivityError> {
        let AwsInput { step, mut facts, serving, .. } = input;
        self.0.enter("aws_act", &format!("{} {serving}", step.word()))?;
        if step == AwsStep::Deploy && *self.0.deployments_hang.lock().unwrap() {
            hang(&ctx).await?;
        }
        if step == AwsStep::Deploy && *self.0.deployments_fail.lock().unwrap() {
            self.0.fail("failing", Failure::transient("CO1086", "nobody answers", "see the log"));
            self.0.enter("failing", "")?;
        }
        assert_eq!(facts.run, "first", "the facts of one step reach the next one");
        if step == AwsStep::Instance && facts.target.is_none() {
            facts.target = Some(("made".into(), 5433));
            facts.secret = Some(("arn:secret".into(), "1".into()));
            return Ok(AwsDone { facts, goes_on: Some("creating".into()), ..AwsDone::default() });
        }
        if step == AwsStep::Publish {
            facts.published = Some((1, if serving == Side::Target { "made:5433" } else { ":0" }.into()));
        }
        Ok(AwsDone { detail: "fake".into(), facts, ..AwsDone::default() })
    }
    #[activity(definition = contract::AwsUndoActivity)]
    pub async fn aws_undo(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: AwsUndoInput,
    ) -> Result<AwsUndone, ActivityError> {
        assert_eq!(input.run, "first");
        self.0.enter("aws_undo", &input.undo.describe())?;
        let pending_reboot = self.0.pending_reboot.lock().unwrap().take();
        Ok(AwsUndone { detail: "fake".into(), goes_on: None, pending_reboot })
    }
}

/// A worker with fakes on a thread of its own; dropping it stops it.
pub struct FakeWorker {
    stop: Option<Box<dyn Fn() + Send>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FakeWorker {
    pub async fn start(server: &Server, script: &Arc<Script>) -> Self {
        Self::start_as::<Migration>(server, script).await
    }

    /// With another build of the workflow.
    pub async fn start_as<W>(server: &Server, script: &Arc<Script>) -> Self
    where
        W: WorkflowImplementation,
        <W::Run as WorkflowDefinition>::Input: Send,
    {
        let (tell, told) = tokio::sync::oneshot::channel();
        let (client, script) = (server.client().await, Arc::clone(script));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let core = Runtime::from_current_tokio(Default::default()).unwrap();
                let options = WorkerOptions::new(TASK_QUEUE)
                    .register_workflow::<W>()
                    .unwrap()
                    .register_activities(Fakes(Arc::clone(&script)))
                    .graceful_shutdown_period(Duration::from_millis(200))
                    .build();
                let switches = WorkerOptions::new(SWITCH_QUEUE)
                    .register_activities(Fakes(script))
                    .graceful_shutdown_period(Duration::from_millis(200))
                    .build();
                let mut worker = Worker::new(&core, client.clone(), options).unwrap();
                let mut switching = Worker::new(&core, client, switches).unwrap();
                let (stop, stop_switching) = (worker.shutdown_handle(), switching.shutdown_handle());
                let both: Box<dyn Fn() + Send> = Box::new(move || {
                    stop();
                    stop_switching();
                });
                let _sent = tell.send(both);
                let (ran, switched) = tokio::join!(worker.run(), switching.run());
                ran.and(switched).unwrap();
            });
        });
        Self { stop: told.await.ok(), thread: Some(thread) }
    }
}

impl Drop for FakeWorker {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
        if let Some(thread) = self.thread.take() {
            let _joined = thread.join();
        }
    }
}

/// A running migration with fakes.
pub struct Run {
    pub script: Arc<Script>,
    pub handle: WorkflowHandle<Client, Migration>,
    pub worker: Option<FakeWorker>,
    pub server: Server,
}

pub fn spec() -> Spec {
    Spec {
        name: "fake".into(),
        databases: vec![Database { name: "shop".into(), ..Database::default() }],
        replication: Some(Replication { poll_ms: 500, ..Replication::default() }),
        budgets: Some(Budgets { switch_attempts: 3, switch_backoff_ms: 100, ..Budgets::default() }),
        soak: Some(Soak { duration_ms: 100, poll_ms: 500 }),
        gates: Some(Gates { max_verification_age_ms: 86_400_000, ..Gates::default() }),
        ..Spec::default()
    }
}

impl Run {
    /// Starts a migration with a script.
    pub async fn start(script: Script) -> Self {
        Self::start_with(spec(), script).await
    }

    /// The same with a spec of the test's own.
    pub async fn start_with(spec: Spec, script: Script) -> Self {
        let (server, script) = (Server::start().await, Arc::new(script));
        let worker = FakeWorker::start(&server, &script).await;
        Self::start_on(server, worker, spec, script).await
    }

    /// The same on a server and a worker that are there.
    pub async fn start_on(server: Server, worker: FakeWorker, spec: Spec, script: Arc<Script>) -> Self {
        let input = MigrationInput { spec, plan_hash: "hash".into(), carried: None };
        Self::start_from(server, worker, input, script).await
    }

    /// With an input as another run gave it.
    pub async fn start_from(server: Server, worker: FakeWorker, input: MigrationInput, script: Arc<Script>) -> Self {
        let options = WorkflowStartOptions::new(TASK_QUEUE, "changeover/migration/fake").build();
        let client = server.client().await;
        client.start_workflow(Migration::run, input, options).await.unwrap();
        let handle = client.get_workflow_handle::<Migration>("changeover/migration/fake");
        Self { script, handle, worker: Some(worker), server }
    }

    /// The audit trail, also of one that has ended.
    pub async fn audit_events(&self) -> Vec<AuditEvent> {
        self.handle.query(Migration::history, (), Default::default()).await.unwrap().events
    }

    /// The same as `actor event: detail`.
    pub async fn audit(&self) -> Vec<String> {
        self.audit_events().await.into_iter().map(|e| format!("{} {}: {}", e.actor, e.event, e.detail)).collect()
    }

    pub async fn status(&self) -> Status {
        self.handle.query(Migration::status, (), Default::default()).await.unwrap()
    }

    /// Waits until status fulfils the condition.
    pub async fn until(&self, what: &str, condition: impl Fn(&Status) -> bool) -> Status {
        let begun = Instant::now();
        loop {
            let status = self.status().await;
            if condition(&status) {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "waited 60 s for {what}; the last status: {status:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn until_waiting(&self, stage: &str) -> Status {
        self.until(&format!("waiting at {stage}"), |s| s.state() == State::Waiting && s.stage == stage).await
    }

    pub async fn until_parked(&self) -> Status {
        self.until("parked", |s| s.state() == State::Parked).await
    }

    pub async fn approve(&self, kind: ApprovalKind) -> Result<(), String> {
        let epoch = self.status().await.epoch;
        self.approve_with(approval(kind, epoch)).await
    }

    pub async fn approve_with(&self, approve: Approve) -> Result<(), String> {
        self.handle
            .execute_update(Migration::approve, approve, Default::default())
            .await
            .map(drop)
            .map_err(|e| format!("{e:?}"))
    }

    pub async fn cutover(&self) -> Result<(), String> {
        self.handle
            .execute_update(Migration::cutover, control(), Default::default())
            .await
            .map(drop)
            .map_err(|e| format!("{e:?}"))
    }
    /// With its approval in the same breath.
    pub async fn rollback(&self) -> Result<(), String> {
        let epoch = self.status().await.epoch;
        self.rollback_with(Some(approval(ApprovalKind::Rollback, epoch))).await
    }
    pub async fn rollback_with(&self, approval: Option<Approve>) -> Result<(), String> {
        self.handle
            .execute_update(Migration::rollback, Control { approval, ..control() }, Default::default())
            .await
            .map(drop)
            .map_err(|e| format!("{e:?}"))
    }
    pub async fn retry(&self) -> Result<(), String> {
        self.handle
            .execute_update(Migration::retry, control(), Default::default())
            .await
            .map(drop)
            .map_err(|e| format!("{e:?}"))
    }
    pub async fn pause(&self) -> Result<(), String> {
        self.handle
            .execute_update(Migration::pause, control(), Default::default())
            .await
            .map(drop)
            .map_err(|e| format!("{e:?}"))
    }
    pub async fn resume(&self) -> Result<(), String> {
        self.handle
            .execute_update(Migration::resume, control(), Default::default())
            .await
            .map(drop)
            .map_err(|e| format!("{e:?}"))
    }
    pub async fn abort(&self) -> Result<(), String> {
        self.handle
            .execute_update(Migration::abort, control(), Default::default())
            .await
            .map(drop)
            .map_err(|e| format!("{e:?}"))
    }
    pub async fn finalize(&self) -> Result<(), String> {
        self.finalize_with(control()).await
    }
    pub async fn finalize_with(&self, control: Control) -> Result<(), String> {
        self.handle
            .execute_update(Migration::finalize, control, Default::default())
            .await
            .map(drop)
            .map_err(|e| format!("{e:?}"))
    }
    pub async fn end(&self) -> Status {
        let outcome = tokio::time::timeout(Duration::from_secs(60), self.handle.get_result(Default::default()));
        match outcome.await {
            Ok(ended) => ended.unwrap().status,
            Err(_) => panic!("it doesn't end within 60 s: {:#?}", self.status().await),
        }
    }
}

impl Run {
    /// Writes the history as a fixture when `CHANGEOVER_RECORD` names a directory.
    pub async fn record(&self, name: &str) {
        if let Some(directory) = std::env::var_os("CHANGEOVER_RECORD") {
            let json = self.handle.fetch_history(Default::default()).to_json().await.unwrap();
            std::fs::write(std::path::Path::new(&directory).join(format!("{name}.json")), json).unwrap();
        }
    }
}

pub fn control() -> Control {
    Control { actor: "ada".into(), reason: "test".into(), ..Control::default() }
}

pub fn approval(kind: ApprovalKind, epoch: u64) -> Approve {
    Approve {
        approver: "ada".into(),
        reason: "read".into(),
        plan_hash: "hash".into(),
        epoch,
        expires_at: "2999-01-01T00:00:00Z".into(),
        kind: kind.into(),
        object: String::new(),
    }
}
