//! `changeover-demo`: the whole job on local real parts; exit code 0 when nothing was lost, doubled, diverged or left.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use changeover_tests::{aws, demo, scenario::ScenarioOptions};
use clap::Parser;

#[derive(Parser)]
#[command(
    about = "A whole migration on local real parts: from an unencrypted RDS instance of one account to an encrypted one of another"
)]
struct Arguments {
    /// Between two servers that are there already
    #[arg(long)]
    without_aws: bool,
    /// Leave the stack running at the end and say what to try
    #[arg(long)]
    keep: bool,
    /// Size of the sample database in MB
    #[arg(long, default_value_t = 200)]
    size_mb: u32,
    /// Writers of the workload
    #[arg(long, default_value_t = 6)]
    writers: usize,
    /// Transactions per second of each writer
    #[arg(long, default_value_t = 25.0)]
    rate: f64,
    /// How long each soak lasts
    #[arg(long, default_value = "5s")]
    soak: String,
    /// Where the report and the logs go
    #[arg(long)]
    directory: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let directory = arguments.directory.unwrap_or_else(if arguments.without_aws {
        demo::default_directory
    } else {
        aws::default_directory
    });
    std::fs::create_dir_all(&directory)?;
    let options = ScenarioOptions {
        size_mb: arguments.size_mb,
        writers: arguments.writers,
        rate: arguments.rate,
        soak: arguments.soak,
        directory: directory.canonicalize()?,
    };
    let good = if arguments.without_aws {
        demo::run(&options, arguments.keep).await?.is_good()
    } else {
        aws::run_demo(&options, arguments.keep).await?.is_good()
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
