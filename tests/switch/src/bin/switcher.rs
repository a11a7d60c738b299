//! One switch in a process of its own: `changeover-switcher run|settle SPEC forward|reverse EPOCH`.
//! Prints the record as JSON and ends with 0, or the failure as JSON and ends with 2. Its log, JSON lines, goes to stderr.

use changeover_domain::{Direction, Failure, proto::SwitchRecord, spec};
use changeover_postgres::{
    Migration,
    switch::{self, SwitchRequest},
};
use changeover_switch_tests::Verb;
use changeover_traffic::{PgBouncer, pause_guard};
use clap::Parser;
use std::{path::PathBuf, process::ExitCode};

#[derive(Parser)]
struct Arguments {
    #[arg(value_enum)]
    verb: Verb,
    spec: PathBuf,
    direction: String,
    epoch: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some(pause_guard::VERB) {
        pause_guard::run().await?;
        return Ok(ExitCode::SUCCESS);
    }
    pause_guard::guard_pauses_by_this_program();
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    Ok(match once(&arguments).await {
        Ok(record) => {
            println!("{}", serde_json::to_string(&record)?);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{}", serde_json::to_string(&failure)?);
            ExitCode::from(2)
        }
    })
}

async fn once(arguments: &Arguments) -> Result<SwitchRecord, Failure> {
    let wrong = |what: String| Failure::refused("CO0101", what, "correct the arguments");
    let text = std::fs::read_to_string(&arguments.spec)
        .map_err(|error| wrong(format!("{}: {error}", arguments.spec.display())))?;
    let spec = spec::parse(&text).map_err(|errors| wrong(format!("{errors:?}")))?;
    let direction = match arguments.direction.as_str() {
        "forward" => Direction::Forward,
        "reverse" => Direction::Reverse,
        other => return Err(wrong(format!("`{other}` is no direction"))),
    };
    let migration = Migration::resolve(&spec)?;
    let traffic = PgBouncer::new(&migration)?;
    let request = SwitchRequest { direction, epoch: arguments.epoch, verified_at: Some(std::time::SystemTime::now()) };
    match arguments.verb {
        Verb::Run => switch::run(&migration, &request, &traffic).await,
        Verb::Settle => switch::settle(&migration, &request, &traffic).await,
    }
}
