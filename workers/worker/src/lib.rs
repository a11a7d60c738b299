//! The worker: activity implementations over PostgreSQL and the poolers, registered with Temporal.
//!
//! *Architecture Invariant:* activities touch the world and decide nothing; what they return is small and holds no secret.

mod activities;
mod aws;
mod beat;
mod finalize;
#[cfg(debug_assertions)]
pub mod points;
mod undo;

use std::{future::Future, time::Duration};

use anyhow::Context;
use changeover_postgres::failpoint;
use changeover_workflows::{Migration, SWITCH_QUEUE, TASK_QUEUE, contract::ACTIVITIES};
use temporalio_client::Client;
use temporalio_sdk::{
    Runtime, Worker, WorkerOptions,
    runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder},
};

pub use activities::{Activities, Switching};
pub use aws::{Outlook, known, outlook, with_ca_files};
pub use changeover_traffic::pause_guard;

/// How a worker runs.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Time that activities get to end by themselves when the worker is told to stop.
    pub grace: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { grace: Duration::from_secs(5) }
    }
}

/// Polls the task queues until `stop` resolves, then lets activities end within the grace.
/// The future isn't `Send`: await it from `main`.
pub async fn run(client: Client, settings: WorkerSettings, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    failpoint::check(&ACTIVITIES).map_err(anyhow::Error::msg)?;
    // Two TLS stacks are in the tree; which one is used is said once.
    let _first = rustls::crypto::ring::default_provider().install_default();
    let runtime = Runtime::from_current_tokio(Default::default())?;
    let mut worker = everything(&runtime, client.clone(), &settings).context("starting the worker")?;
    let mut switching = switches(&runtime, client, &settings).context("starting the worker for switches")?;
    let shut_down = (worker.shutdown_handle(), switching.shutdown_handle());
    tracing::info!(task_queue = TASK_QUEUE, switches = SWITCH_QUEUE, "worker started");
    let stopped = async {
        stop.await;
        tracing::info!("worker stops: activities may end within the grace");
        (shut_down.0)();
        (shut_down.1)();
    };
    let (ran, switched, ()) = tokio::join!(worker.run(), switching.run(), stopped);
    ran.and(switched).context("running the worker")
}

fn everything(runtime: &Runtime, client: Client, settings: &WorkerSettings) -> anyhow::Result<Worker> {
    let options = WorkerOptions::new(TASK_QUEUE)
        .register_workflow::<Migration>()
        .context("registering the workflow")?
        .register_activities(Activities)
        // A run that an earlier version began has scheduled it here.
        .register_activities(Switching)
        .graceful_shutdown_period(settings.grace)
        // By default a beat waits for up to four fifths of its timeout: too near to it when the machine is busy.
        .max_heartbeat_throttle_interval(beat::FAST)
        // When a worker dies, another one goes on with its workflows after this.
        .sticky_queue_schedule_to_start_timeout(Duration::from_secs(5))
        .build();
    Ok(Worker::new(runtime, client, options)?)
}

/// One switch at a time, and nobody polls for another one meanwhile: Temporal would give the next attempt to the poll of a worker
/// that stands still in the middle of a switch, and wait for it once more.
fn switches(runtime: &Runtime, client: Client, settings: &WorkerSettings) -> anyhow::Result<Worker> {
    let one = || FixedSizeSlotSupplier::new(1);
    let tuner = TunerHolder::builder()
        .activity_task_slot_supplier(one())
        .workflow_task_slot_supplier(one())
        .local_activity_task_slot_supplier(one())
        .nexus_task_slot_supplier(one())
        .build();
    let options = WorkerOptions::new(SWITCH_QUEUE)
        .register_activities(Switching)
        .tuner(tuner)
        .graceful_shutdown_period(settings.grace)
        .max_heartbeat_throttle_interval(beat::FAST)
        .build();
    Ok(Worker::new(runtime, client, options)?)
}
