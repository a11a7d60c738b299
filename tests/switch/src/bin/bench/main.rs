//! `changeover-bench-switch`: switches there and back without faults, under writers through the pooler, and in the same run the
//! physical floor and the method of another tool, so that ratios mean something on a machine that is shared.

mod floor;
mod machine;
mod method;
mod report;
mod sample;

use anyhow::{Context, Result};
use changeover_domain::Direction;
use changeover_switch_tests::{Lab, LabOptions};
use changeover_tests::{
    stack::Side,
    workload::{Path, WriterGroup},
};
use clap::Parser;
use floor::Floor;
use sample::{FloorSample, Run, SwitchSample};
use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

/// Times the switch.
#[derive(Parser)]
struct Arguments {
    /// How many switches, half of them there, half of them back.
    #[arg(long, default_value_t = 1_000)]
    switches: u64,
    /// Writers through the pooler; three of four write to `shop`.
    #[arg(long, default_value_t = 8)]
    writers: usize,
    /// Transactions per second of each writer.
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Switches between two samples of the other method.
    #[arg(long, default_value_t = 25)]
    method_every: u64,
    /// Switches between two samples of the floor with the writers held.
    #[arg(long, default_value_t = 5)]
    held_every: u64,
    /// Ends earlier when this time is over, in minutes.
    #[arg(long, default_value_t = 25)]
    minutes: u64,
    /// Further empty tables in `shop`.
    #[arg(long, default_value_t = 0)]
    tables: usize,
    /// Top-level line of the spec, such as `fence = "gate"`.
    #[arg(long, default_value = "")]
    spec_line: String,
    /// Further settings of both clusters, as `name=value`.
    #[arg(long)]
    setting: Vec<String>,
    /// Keep the clusters' directory, with their logs, after the end.
    #[arg(long)]
    keep: bool,
    /// Where `switch.json` and `switch.md` go; samples of an earlier run there are continued with `--resume`.
    #[arg(long, default_value = "target/bench")]
    directory: PathBuf,
    /// Goes on from the samples in `switch.json`.
    #[arg(long)]
    resume: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.directory)?;
    let path = arguments.directory.join("switch.json");
    let mut run = if arguments.resume && path.exists() { Run::load(&path)? } else { Run::default() };
    let outcome = measure(&arguments, &mut run, &path).await;
    run.save(&path)?;
    let text = report::markdown(&run);
    std::fs::write(arguments.directory.join("switch.md"), &text)?;
    println!("{text}");
    outcome
}

async fn measure(arguments: &Arguments, run: &mut Run, path: &std::path::Path) -> Result<()> {
    let group = |database: &str, writers| WriterGroup { path: Path::Bouncer, database: database.to_owned(), writers };
    let billing = (arguments.writers / 4).max(1);
    let options = LabOptions {
        groups: vec![group("shop", arguments.writers.saturating_sub(billing).max(1)), group("billing", billing)],
        rate: arguments.rate,
        more_tables: arguments.tables,
        settings: settings(&arguments.setting)?,
        keep: arguments.keep,
        spec_line: arguments.spec_line.clone(),
        ..LabOptions::default()
    };
    eprintln!("preparing two clusters and a pooler");
    let mut lab = Lab::start(options).await?;
    lab.load().await?;
    run.begin(machine::describe(), arguments.writers, arguments.rate, lab.tables().await?);
    let floor = Floor::open(lab.info(), &lab.migration().id.application_name("bench")).await?;
    let begun = Instant::now();
    let mut direction = Direction::Forward;
    while (run.switches.len() as u64) < arguments.switches {
        if begun.elapsed() > Duration::from_secs(arguments.minutes * 60) {
            eprintln!("the time is over after {} switches", run.switches.len());
            break;
        }
        let number = run.switches.len() as u64 + 1;
        if one(&mut lab, direction, run).await? {
            direction = direction.opposite();
        }
        let serving = direction.from_side();
        run.floors.push(FloorSample { held: false, ..floor.sample(serving).await? });
        if number.is_multiple_of(arguments.held_every) {
            lab.workload()?.pause().await;
            let sample = floor.sample(serving).await;
            lab.workload()?.resume();
            run.floors.push(FloorSample { held: true, ..sample? });
        }
        if number.is_multiple_of(arguments.method_every) {
            run.methods.push(method::sample(&lab, changeover_switch_tests::side(serving)).await?);
        }
        if number.is_multiple_of(50) {
            run.save(path)?;
            eprintln!("{}", report::line(run));
        }
    }
    let (summary, judgement) = lab.judge_with_summary().await?;
    run.end(&judgement, summary);
    judgement.expect_clean().context("the judgement at the end")
}

/// The settings of a run, with those that were asked for.
fn settings(asked: &[String]) -> Result<Vec<(String, String)>> {
    let one = |text: &String| {
        let (name, value) = text.split_once('=').with_context(|| format!("--setting {text}: name=value is meant"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    let first = Ok(("max_locks_per_transaction".to_owned(), "256".to_owned()));
    std::iter::once(first).chain(asked.iter().map(one)).collect()
}

/// One attempt, and what clients saw of it. Says whether it opened the other side.
async fn one(lab: &mut Lab, direction: Direction, run: &mut Run) -> Result<bool> {
    lab.until_ready(Duration::from_secs(60)).await?;
    let epoch = lab.next_epoch();
    let (load, cpu) = (machine::load(), machine::Cpu::now());
    let begun = SystemTime::now();
    let record = lab.switch(direction, epoch).await.with_context(|| format!("switching {direction}, epoch {epoch}"))?;
    lab.until_writes_flow(Duration::from_secs(30)).await?;
    let clients = lab.workload()?.window(begun, SystemTime::now());
    let opened = record.outcome == "open";
    run.switches.push(SwitchSample {
        direction: direction.word().to_owned(),
        outcome: record.outcome,
        refusal: record.refusal,
        pause_us: record.pause_us,
        steps: record.steps.into_iter().map(|step| (step.name, step.at_us)).collect(),
        gap_ms: clients.longest_gap_ms_by_path.values().copied().fold(0.0, f64::max),
        statement_ms: clients.slowest_statement_ms,
        errors: clients.errors,
        load,
        cpu: cpu.busy_since(),
        at: jiff::Timestamp::now().to_string(),
    });
    Ok(opened)
}

/// The product's side that the harness's stands for.
fn other(side: Side) -> Side {
    match side {
        Side::Source => Side::Target,
        Side::Target => Side::Source,
    }
}
