//! `changeover worker`

use std::{io::IsTerminal, time::Duration};

use changeover_worker::{WorkerSettings, pause_guard};
use clap::ValueEnum;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{connect, exit::Exit, problem::Problem, ui::Ui};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Time that running work gets to end when the worker is told to stop (SIGTERM, Ctrl-C); what doesn't end is taken up
    /// by another worker
    #[arg(long, value_name = "DURATION", value_parser = super::duration, default_value = "5s")]
    grace: Duration,
    /// What is logged, as in RUST_LOG
    #[arg(
        long,
        value_name = "FILTER",
        env = "CHANGEOVER_LOG",
        default_value = "warn,changeover=info,changeover_worker=info,changeover_postgres=info,changeover_traffic=info"
    )]
    log: String,
    /// How it is logged; JSON by default where stderr is no terminal
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

pub(super) async fn run(ui: &Ui, args: &Args) -> Result<Exit, Problem> {
    log(args)?;
    pause_guard::guard_pauses_by_this_program();
    let temporal = connect::connect(ui, connect::Missing::Start).await?;
    ui.say(&format!(
        "worker polls {} in namespace {} at {}; Ctrl-C stops it",
        changeover_workflows::TASK_QUEUE,
        temporal.namespace,
        temporal.address
    ));
    let broken = |error: &dyn std::fmt::Display| {
        let remedy = "look at the log above; the migrations go on with the next worker";
        Problem::new("CO0916", format!("the worker has stopped: {error}"), remedy)
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| broken(&e))?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let settings = WorkerSettings { grace: args.grace };
    changeover_worker::run(temporal.client, settings, stop).await.map_err(|e| broken(&format!("{e:#}")))?;
    Ok(Exit::Done)
}

/// `changeover pause-guard`, called by a worker.
pub(super) async fn guard_pause() -> Result<Exit, Problem> {
    pause_guard::run().await?;
    Ok(Exit::Done)
}

fn log(args: &Args) -> Result<(), Problem> {
    let filter = EnvFilter::try_new(&args.log).map_err(|e| {
        Problem::new(
            "CO0917",
            format!("`{}` is no log filter: {e}", args.log),
            "use words such as `info` or `warn,changeover_postgres=debug`",
        )
        .exit(Exit::Usage)
    })?;
    let json = match args.log_format {
        Some(format) => matches!(format, LogFormat::Json),
        None => !std::io::stderr().is_terminal(),
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if json { subscriber.json().try_init() } else { subscriber.try_init() };
    set.map_err(|e| {
        Problem::new("CO0900", format!("logging can't be set up: {e}"), "report this with the command that you typed")
    })
}
