//! `changeover-dev`: the local stack and the oracle by hand. Data goes to stdout, everything else to stderr.

mod oracle;
mod part;
mod stack;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The local stack (two PostgreSQL clusters, PgBouncer, Temporal) and the judge of what happens on it.
#[derive(Parser)]
#[command(name = "changeover-dev", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a stack, print its addresses, and keep it until Ctrl-C.
    Up(stack::Up),
    /// Stop a stack that was detached or left behind, and remove its directory.
    Down(stack::Down),
    /// Print a stack's addresses and passwords as shell exports: `eval "$(changeover-dev env)"`.
    Env(stack::Which),
    /// Lay out a stack for containers: certificates, configuration, passwords, addresses by host name.
    Prepare(part::Prepare),
    /// Run one server of a stack that `prepare` has laid out, in the foreground.
    Part(part::RunPart),
    /// Ask the oracle.
    #[command(subcommand)]
    Oracle(oracle::Oracle),
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("changeover-dev: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(up) => up.run().await,
        Command::Down(down) => down.run(),
        Command::Env(which) => stack::print_environment(&which.find()?),
        Command::Prepare(prepare) => prepare.run().await,
        Command::Part(part) => part.run().await,
        Command::Oracle(oracle) => oracle.run().await,
    }
}
