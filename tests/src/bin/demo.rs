//! `changeover-demo`: the whole job on local real parts; exit code 0 when nothing was lost, doubled, diverged or left.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use changeover_tests::{
    demo::{self, default_directory},
    scenario::ScenarioOptions,
};
use clap::Parser;

#[derive(Parser)]
#[command(about = "A whole migration on a local stack: copy, switch, roll back, switch again, finalize")]
struct Arguments {
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
    let directory = arguments.directory.unwrap_or_else(default_directory);
    std::fs::create_dir_all(&directory)?;
    let options = ScenarioOptions {
        size_mb: arguments.size_mb,
        writers: arguments.writers,
        rate: arguments.rate,
        soak: arguments.soak,
        directory: directory.canonicalize()?,
    };
    let report = demo::run(&options, arguments.keep).await?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
