//! The worker: activity implementations over PostgreSQL and the poolers, registered with Temporal.
//!
//! *Architecture Invariant:* activities touch the world and decide nothing; what they return is small and holds no secret.

mod activities;
mod beat;
mod finalize;
mod undo;

use std::{future::Future, time::Duration};

use anyhow::Context;
use changeover_workflows::{Migration, TASK_QUEUE};
use temporalio_client::Client;
use temporalio_sdk::{Runtime, Worker, WorkerOptions};

pub use activities::Activities;

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

/// Polls the task queue until `stop` resolves, then lets activities end within the grace.
/// The future isn't `Send`: await it from `main`.
pub async fn run(client: Client, settings: WorkerSettings, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    // Two TLS stacks are in the tree; which one is used is said once.
    let _first = rustls::crypto::ring::default_provider().install_default();
    let runtime = Runtime::from_current_tokio(Default::default())?;
    let options = WorkerOptions::new(TASK_QUEUE)
        .register_workflow::<Migration>()
        .context("registering the workflow")?
        .register_activities(Activities)
        .graceful_shutdown_period(settings.grace)
        // By default a beat waits for up to four fifths of its timeout: too near to it when the machine is busy.
        .max_heartbeat_throttle_interval(beat::FAST)
        // When a worker dies, another one goes on with its workflows after this.
        .sticky_queue_schedule_to_start_timeout(Duration::from_secs(5))
        .build();
    let mut worker = Worker::new(&runtime, client, options).context("starting the worker")?;
    let shut_down = worker.shutdown_handle();
    tracing::info!(task_queue = TASK_QUEUE, "worker started");
    let stopped = async {
        stop.await;
        tracing::info!("worker stops: activities may end within the grace");
        shut_down();
    };
    let (ran, ()) = tokio::join!(worker.run(), stopped);
    ran.context("running the worker")
}
