//! The demo: the whole job on real parts, with the judge's word at its end.

mod report;
mod temporal_history;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{
    scenario::{LONG, NAME, Scenario, ScenarioOptions, application_roles},
    stack::{Side, Stack, StackInfo, StackOptions, TemporalOptions},
};

pub use report::Report;
pub use temporal_history::{measure, payload, show as temporal_history};

/// Runs the demo; the report says whether all was well. `keep` leaves the stack running.
pub async fn run(options: &ScenarioOptions, keep: bool) -> Result<Report> {
    say("starting two PostgreSQL servers, PgBouncer and Temporal");
    let temporal = Some(TemporalOptions { ui: true, ..TemporalOptions::default() });
    let stack = Stack::start(StackOptions { keep, temporal, ..StackOptions::default() }).await?;
    let report = migrate(stack.info(), options).await?;
    report.write(&options.directory)?;
    println!("\n{}", report.markdown());
    say(&format!("report: {}", options.directory.join("report.md").display()));
    if keep {
        what_to_try(&stack.detach()?);
    } else {
        say("stopping what was started");
        stack.stop().await?;
    }
    Ok(report)
}

async fn migrate(info: &StackInfo, options: &ScenarioOptions) -> Result<Report> {
    say(&format!(
        "loading the sample databases ({} MB) and putting them under load ({} writers)",
        options.size_mb, options.writers
    ));
    let mut scenario = Scenario::prepare(info, options, true).await?;
    let spec = scenario.spec.clone();
    for verb in ["preflight", "plan", "start"] {
        scenario.say(&[verb, &spec]).await?;
    }
    scenario.until_waiting("approval", LONG).await?;
    scenario.cut_over("the plan was read").await?;
    scenario.roll_back("to show that it loses nothing").await?;
    scenario.cut_over("once more, for good").await?;
    say("holding the writers to compare every table of both sides, byte for byte");
    let rows = scenario.compare().await?;
    let status = scenario.finalize().await?;
    say("stopping the writers and checking the ledger against the target");
    let verdict = scenario.judge(Side::Target).await?;
    let sequences = scenario.sequence_faults(Side::Source, Side::Target).await?;
    let leftovers = scenario.before.after_finalize(info, &application_roles()).await?;
    let history = scenario.product.json(&["history", NAME]).await?;
    let temporal = temporal_history::measure(info, NAME).await?;
    scenario.stop_worker().await?;
    Ok(Report::new(&status, history, verdict, scenario.switches, rows, &sequences, &leftovers, temporal))
}

/// One line of the demo's own.
pub(crate) fn say(text: &str) {
    println!("\u{2022} {text}");
}

/// Addresses and commands of a stack that stays.
pub(crate) fn what_to_try(info: &StackInfo) {
    println!("\nThe stack stays up in {}.", info.directory.display());
    if let Some(temporal) = &info.temporal {
        println!("  Temporal    {}", temporal.address());
        if let Some(port) = temporal.ui_port {
            println!("  Temporal UI http://127.0.0.1:{port}");
        }
    }
    println!(
        "  source      127.0.0.1:{}   target 127.0.0.1:{}   PgBouncer 127.0.0.1:{}",
        info.source.port, info.target.port, info.pooler.port
    );
    println!("\nTry:");
    println!("  eval \"$(changeover-dev env --directory {})\"", info.directory.display());
    println!("  changeover worker &   changeover history {NAME}");
    println!("  psql -h {} -p {} -U rdsadmin shop", info.target.socket().display(), info.target.port);
    println!("  make down        # stops it");
}

/// Where the report goes when nothing else is said.
pub fn default_directory() -> PathBuf {
    Path::new("target").join("demo-without-aws")
}
