//! `changeover-soak-test switch --seed N --count K`: switches there and back under load, each with a fault that the seed and its
//! index choose, judged by the ledger.

mod fault;
mod one;
mod state;
mod table;

use anyhow::{Context, Result, bail};
use changeover_domain::Direction;
use changeover_switch_tests::{Judgement, Lab, LabOptions};
use changeover_tests::stack::Side;
use clap::{Parser, Subcommand};
use fault::Plan;
use one::Line;
use state::{Checked, State};
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// Long runs of random faults.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Switches under load with random faults.
    Switch(SwitchArguments),
}

#[derive(Parser)]
struct SwitchArguments {
    /// Where all choices come from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many switches.
    #[arg(long, default_value_t = 12)]
    count: u64,
    /// Index of the first one; with `--count 1` a failed one is tried again alone.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// The side that serves before the first one: `source` or `target`.
    #[arg(long, default_value = "source")]
    serving: String,
    /// Keeps what was done in this file, and goes on from there.
    #[arg(long)]
    resume: Option<PathBuf>,
    /// Switches between two looks at the whole ledger.
    #[arg(long, default_value_t = 25)]
    check_every: u64,
    /// Writers; of six, four go through the pooler.
    #[arg(long, default_value_t = 6)]
    writers: usize,
    /// Transactions per second of each writer.
    #[arg(long, default_value_t = 15.0)]
    rate: f64,
    /// No server is restarted.
    #[arg(long)]
    no_restarts: bool,
    /// Where logs and the ledger go.
    #[arg(long, default_value = "target/soak")]
    directory: PathBuf,
    /// Adds a line to this table of all runs.
    #[arg(long)]
    note: Option<PathBuf>,
    /// Prints the totals as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Command::Switch(arguments) = Arguments::parse().command;
    let mut state = State::open(arguments.resume.as_deref(), arguments.seed, arguments.from)?;
    let begun = state.lines.len();
    let outcome = run(&arguments, &mut state).await;
    if let Some(note) = &arguments.note {
        state.note(note, begun)?;
    }
    let totals = state.totals();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&totals)?);
    } else {
        println!("\n{}", table::markdown(&totals));
    }
    match outcome {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("soak-test: {error:#}");
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn run(arguments: &SwitchArguments, state: &mut State) -> Result<()> {
    let directory = arguments.directory.join(format!("{}-{}", arguments.seed, std::process::id()));
    let options = LabOptions {
        directory: Some(directory.clone()),
        writers: arguments.writers,
        rate: arguments.rate,
        ..LabOptions::default()
    };
    eprintln!("preparing two clusters and a pooler; logs in {}", directory.display());
    let mut lab = Lab::start(options).await?;
    lab.load().await?;
    let mut serving = Side::Source;
    if arguments.serving == "target" {
        lab.switch_over(Direction::Forward, 8).await.context("bringing the target to serve")?;
        serving = Side::Target;
    }
    let (mut since_check, mut failure) = (0, None);
    for _ in 0..arguments.count {
        let plan = Plan::of(arguments.seed, state.next, !arguments.no_restarts);
        let direction = if serving == Side::Source { Direction::Forward } else { Direction::Reverse };
        let told = format!("--seed {} --from {} --count 1 --serving {}", arguments.seed, state.next, serving.name());
        match one::run(&mut lab, &plan, direction).await.with_context(|| format!("{plan}; again: soak-test {told}")) {
            Ok((line, now)) => {
                eprintln!("{line}");
                serving = now;
                state.push(line)?;
            }
            Err(error) => {
                failure = Some(error);
                state.push(Line::failed(&plan, direction, failure.as_ref()))?;
                break;
            }
        }
        since_check += 1;
        if since_check >= arguments.check_every {
            checked(state, &lab.check().await?)?;
            // The writers were held; the next switch's gaps must not reach back into that.
            lab.until_writes_flow(PATIENCE).await?;
            since_check = 0;
        }
    }
    let last = lab.judge().await;
    if failure.is_some() {
        keep_logs(&lab)?;
    }
    match (last, failure) {
        (Ok(judgement), None) => checked(state, &judgement),
        (Ok(judgement), Some(error)) => Err(error.context(
            checked(state, &judgement)
                .err()
                .map_or_else(|| "the ledger is clean".to_owned(), |fault| format!("{fault:#}")),
        )),
        (Err(error), Some(failure)) => Err(failure.context(format!("{error:#}"))),
        (Err(error), None) => Err(error),
    }
}

fn checked(state: &mut State, judgement: &Judgement) -> Result<()> {
    let ledger = &judgement.ledger;
    eprintln!(
        "      ledger: {} acknowledged, {} in doubt ({} of them there), {} lost, {} doubled; {} rows compared",
        ledger.acknowledged,
        ledger.in_doubt,
        ledger.in_doubt_present,
        ledger.lost,
        ledger.doubled,
        judgement.rows.source_rows
    );
    state.check(Checked::of(judgement))?;
    if judgement.is_clean() { Ok(()) } else { bail!("{}", judgement.faults.join("\n")) }
}

/// The clusters go with the lab; what they said is wanted after a failure.
fn keep_logs(lab: &Lab) -> Result<()> {
    let info = lab.info();
    for (name, log) in [("source", info.source.log()), ("target", info.target.log()), ("pooler", info.pooler.log())] {
        std::fs::copy(&log, lab.directory().join(format!("{name}.log")))?;
    }
    Ok(())
}

/// Longest wait for one step of a trial.
const PATIENCE: Duration = Duration::from_secs(90);
