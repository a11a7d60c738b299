//! `changeover`: the command line. Data goes to stdout, everything else to stderr.
//!
//! *Architecture Invariant:* this crate decides nothing about a migration. It reads what a person types, asks the domain,
//! the workflow or a preflight, and shows the answer.

mod client;
mod commands;
mod connect;
mod devserver;
mod exit;
mod look;
mod pages;
mod problem;
mod render;
mod spec_file;
mod ui;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::{commands::Cli, exit::Exit};

/// Of each thread, bytes: without optimisation a poll of the SDKs' futures takes more than the usual 2 MiB. What isn't touched costs nothing.
const STACK: usize = 8 << 20;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = ui::Ui::new(cli.json);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(commands::run(cli, &ui));
            // A query that hangs on a dead server mustn't hold the process.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(problem::Problem::new(
            "CO0900",
            format!("the runtime can't be started: {error}"),
            "free memory or raise the process limit",
        )),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(problem) => {
            ui.problem(&problem);
            problem.exit.into()
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
