//! The verbs, one file each, and what they share.

mod approve;
mod completions;
mod confirm;
mod control;
mod doctor;
mod explain;
mod finalize;
mod history;
mod iam_policy;
mod init;
mod list;
mod plan;
mod preflight;
mod rollback;
mod start;
mod status;
mod worker;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{client::Verb, exit::Exit, problem::Problem, ui::Ui};

/// Moves live PostgreSQL databases to another instance without their users noticing.
#[derive(Debug, Parser)]
#[command(name = "changeover", version, propagate_version = true, max_term_width = 110, after_help = AFTER)]
pub(crate) struct Cli {
    /// Show data as JSON, and errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "Data goes to stdout, everything else to stderr. Temporal is found by TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the\n\
    SDK's other variables or its configuration file; with none set, a development server is found or started.\n\
    Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 parked, 5 aborted, 6 timed out, 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented spec
    Init(init::Args),
    /// Check what a run on this machine needs
    Doctor(doctor::Args),
    /// Look at both sides and report what would stop or endanger a migration; changes nothing
    Preflight(SpecArgs),
    /// Show what a migration would do, stage by stage; changes nothing
    Plan(SpecArgs),
    /// Start a migration
    Start(start::Args),
    /// Show where a migration stands
    Status(status::Args),
    /// List all migrations
    List,
    /// Give a named person's approval, for a cutover, a rollback or for finalizing
    Approve(approve::Args),
    /// Switch traffic to the target (needs an approval)
    Cutover(control::Confirmed),
    /// Switch traffic back to the source, with every write of the target (with its approval, or after one)
    Rollback(rollback::RollbackArgs),
    /// Try the stage again that has parked
    Retry(control::Args),
    /// Undo everything, while the source serves
    Abort(control::Args),
    /// Remove replication and all else but the data; ends the migration (needs an approval)
    Finalize(finalize::FinalizeArgs),
    /// Hold a migration before its next stage; replication goes on
    Pause(control::Args),
    /// Let a paused migration go on
    Resume(control::Args),
    /// Show who did what, when, with what evidence
    History(history::Args),
    /// Explain an error code
    Explain(explain::Args),
    /// Print the IAM policy with every call to AWS that a migration makes on a side, and nothing else
    IamPolicy(iam_policy::Args),
    /// Run a worker, which does the work of all migrations on its Temporal
    Worker(worker::Args),
    /// Write completions for a shell
    Completions(completions::Args),
    /// Guard a switch's pause for the worker that calls this
    #[command(hide = true)]
    PauseGuard,
    /// List the failpoints of this build, as JSON
    #[cfg(debug_assertions)]
    #[command(hide = true)]
    Failpoints,
}

/// A spec, for those who need nothing else.
#[derive(Debug, clap::Args)]
struct SpecArgs {
    /// The spec
    #[arg(value_name = "SPEC")]
    spec: PathBuf,
}

/// Does what was typed.
pub(crate) async fn run(cli: Cli, ui: &Ui) -> Result<Exit, Problem> {
    match cli.command {
        Command::Init(args) => init::run(ui, &args),
        Command::Doctor(args) => doctor::run(ui, &args).await,
        Command::Preflight(args) => preflight::run(ui, &args.spec).await,
        Command::Plan(args) => plan::run(ui, &args.spec).await,
        Command::Start(args) => start::run(ui, &args).await,
        Command::Status(args) => status::run(ui, &args).await,
        Command::List => list::run(ui).await,
        Command::Approve(args) => approve::run(ui, &args).await,
        Command::Cutover(args) => args.run(ui, Verb::Cutover).await,
        Command::Rollback(args) => rollback::run(ui, &args).await,
        Command::Finalize(args) => finalize::run(ui, &args).await,
        Command::Retry(args) => control::run(ui, Verb::Retry, &args).await,
        Command::Abort(args) => control::run(ui, Verb::Abort, &args).await,
        Command::Pause(args) => control::run(ui, Verb::Pause, &args).await,
        Command::Resume(args) => control::run(ui, Verb::Resume, &args).await,
        Command::History(args) => history::run(ui, &args).await,
        Command::Explain(args) => explain::run(ui, &args),
        Command::IamPolicy(args) => iam_policy::run(ui, &args),
        Command::Worker(args) => worker::run(ui, &args).await,
        Command::PauseGuard => worker::guard_pause().await,
        Command::Completions(args) => completions::run(&args),
        #[cfg(debug_assertions)]
        Command::Failpoints => ui.print_json(&changeover_worker::points::points()).map(|()| Exit::Done),
    }
}

/// A duration such as `500ms` or `24h`, for clap.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    humantime::parse_duration(text).map_err(|_| "give a number with its unit, such as 500ms, 10s, 24h".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
