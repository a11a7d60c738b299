//! Whatever dies, the migration ends the same: every stage before the switch, with every fault that can be had here, before,
//! within and after what its activities do; and then aborted and undone, until nothing is there that wasn't there before.
//!
//! By default a bounded share runs. `CHANGEOVER_FAULTS=full` runs everything, another value each fault whose name contains it, in a
//! run of its own. `CHANGEOVER_FAULTS_RESULTS` names a file to which results are added, `CHANGEOVER_FAULTS_TABLE` one for the page that
//! is made of it, `CHANGEOVER_FAULTS_RESUME` leaves out what the file has, `CHANGEOVER_FAULTS_MINUTES` begins nothing after so many,
//! `CHANGEOVER_FAULTS_LABS` says how many stacks are at work at once (`make faults`). Logs and the transcript are in
//! `target/tmp/faults`.

mod drive;
mod fault;
mod known;
mod lab;
mod matrix;
mod outside;
mod run;
mod table;
mod watched;

use anyhow::{Context, Result, bail, ensure};
use changeover_tests::stack::{Side, Stack, StackOptions};
use fault::Injection;
use futures::future::try_join_all;
use known::Known;
use lab::Lab;
use run::{Outcome, Run, TO_THE_END};
use std::{
    collections::{BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};
use table::{Kept, Line, Results};
use tokio::sync::{Mutex, OnceCell};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_the_migration_ends_the_same() -> Result<()> {
    let all = All::new()?;
    try_join_all((0..labs()?).map(|_| all.in_a_lab())).await?;
    println!("{} acknowledged writes judged", all.acknowledged.load(Ordering::SeqCst));
    let wrong = all.wrong.lock().await;
    ensure!(
        wrong.is_empty(),
        "{} runs went wrong, logs are in {}:\n{}",
        wrong.len(),
        all.directory.display(),
        wrong.join("\n")
    );
    Ok(())
}

/// How many stacks are at work at once. Most of the time is spent waiting for what Temporal waits for.
fn labs() -> Result<usize> {
    match std::env::var("CHANGEOVER_FAULTS_LABS") {
        Ok(count) => count.parse().with_context(|| format!("CHANGEOVER_FAULTS_LABS={count} is no number")),
        Err(_) => Ok(2),
    }
}

/// A disk that can run full. The servers need a fifth of it.
const DISK_MB: u32 = 600;

/// After so many the rest isn't tried.
const MOST_WRONG: usize = 25;

/// What an interrupted run has done already isn't done again.
fn without_the_done(runs: Vec<Run>) -> Result<Vec<Run>> {
    let Some(results) = std::env::var_os("CHANGEOVER_FAULTS_RESULTS") else { return Ok(runs) };
    if std::env::var_os("CHANGEOVER_FAULTS_RESUME").is_none() {
        return Ok(runs);
    }
    let done: BTreeSet<String> = Results::read(Path::new(&results))?.lines.iter().map(Line::name).collect();
    let is_done = |injection: &Injection| injection.sometimes || done.contains(&injection.to_string());
    Ok(runs.into_iter().filter(|run| !run.injections.iter().all(is_done)).collect())
}

fn chosen(known: &Known) -> Vec<Run> {
    match std::env::var("CHANGEOVER_FAULTS") {
        Ok(full) if full == "full" => matrix::full(known),
        Ok(part) if !part.is_empty() => matrix::alone(known, &part),
        _ => matrix::bounded(known),
    }
}

/// All runs, over as many stacks as they use up.
struct All {
    begun: Instant,
    directory: PathBuf,
    known: OnceCell<Known>,
    todo: Mutex<VecDeque<Run>>,
    wrong: Mutex<Vec<String>>,
    stacks: AtomicU32,
    acknowledged: AtomicU64,
}

impl All {
    fn new() -> Result<Self> {
        Ok(Self {
            begun: Instant::now(),
            directory: fresh_directory()?,
            known: OnceCell::new(),
            todo: Mutex::default(),
            wrong: Mutex::default(),
            stacks: AtomicU32::new(0),
            acknowledged: AtomicU64::new(0),
        })
    }

    /// One stack after the other, while there is something to do.
    async fn in_a_lab(&self) -> Result<()> {
        loop {
            let number = self.stacks.fetch_add(1, Ordering::SeqCst) + 1;
            let directory = self.directory.join(format!("stack-{number}"));
            std::fs::create_dir_all(&directory)?;
            let disks = self.only_disks_are_left().await;
            let disk_mb = disks.then_some(DISK_MB);
            let stack = Stack::start(StackOptions { disk_mb, ..StackOptions::default() }).await?;
            self.on_stack(&stack, disks, &directory).await.with_context(|| format!("stack {number}"))?;
            stack.stop().await?;
            if self.todo.lock().await.is_empty() || self.wrong.lock().await.len() >= MOST_WRONG {
                return Ok(());
            }
        }
    }

    /// What is left is about disks that run full.
    async fn only_disks_are_left(&self) -> bool {
        let todo = self.todo.lock().await;
        !todo.is_empty() && todo.iter().all(Run::wants_disks)
    }

    /// Runs one after the other until the stack is used up: by a run to the end, or by one that went wrong, after which it would
    /// say nothing about the next one.
    async fn on_stack(&self, stack: &Stack, disks: bool, directory: &Path) -> Result<()> {
        let mut lab = Lab::prepare(stack, directory).await?;
        let known = self.known.get_or_try_init(async || self.learn(&mut lab).await).await?;
        let mut serving = Side::Source;
        while serving == Side::Source {
            let Some(run) = self.next(disks).await? else { break };
            let begun = Instant::now();
            match one(&mut lab, known, &run).await {
                Ok(Outcome { came, passed }) => {
                    let parked = came.iter().filter(|one| one.parked.is_some()).count();
                    let seconds = begun.elapsed().as_secs();
                    println!("{:60} {:3} faults, {parked} parked, {seconds:3} s", run.name, came.len());
                    let mut all: Vec<Kept> = came.iter().map(Line::of).map(Kept::Fault).collect();
                    all.push(Kept::Run { run: run.name.clone(), wrong: None });
                    keep(&all)?;
                    for injection in passed {
                        println!("  a woken worker was faster, tried in a run of its own: {injection}");
                        self.todo.lock().await.push_back(matrix::one(injection));
                    }
                }
                Err(error) => {
                    println!("{:60} WRONG: {error:#}", run.name);
                    let wrong = format!("{error:#}").replace('\n', "; ");
                    keep(&[Kept::Run { run: run.name.clone(), wrong: Some(wrong) }])?;
                    let names: Vec<String> = run.injections.iter().map(ToString::to_string).collect();
                    let place = format!("logs in {}", directory.display());
                    self.wrong.lock().await.push(format!(
                        "{}: {error:#}\n  {place}, its faults: {}",
                        run.name,
                        names.join(" ")
                    ));
                    return Ok(());
                }
            }
            if run.to == TO_THE_END {
                serving = Side::Target;
            }
        }
        match lab.judge(serving).await {
            Ok(count) => {
                self.acknowledged.fetch_add(count, Ordering::SeqCst);
                keep(&[Kept::Judged { acknowledged: count }])?;
            }
            Err(error) => {
                let run = format!("after the runs in {}", directory.display());
                keep(&[Kept::Run { run: run.clone(), wrong: Some(format!("{error:#}")) }])?;
                self.wrong.lock().await.push(format!("{run}: {error:#}"));
            }
        }
        write_page(known)
    }

    /// The next run for a stack with disks that run full, or without, unless the time is over.
    async fn next(&self, disks: bool) -> Result<Option<Run>> {
        let mut todo = self.todo.lock().await;
        let fits = |todo: &VecDeque<Run>| todo.iter().position(|run| run.wants_disks() == disks);
        let next = |todo: &mut VecDeque<Run>| fits(todo).and_then(|index| todo.remove(index));
        let Ok(minutes) = std::env::var("CHANGEOVER_FAULTS_MINUTES") else { return Ok(next(&mut todo)) };
        let limit = Duration::from_secs(60) * minutes.parse().context("CHANGEOVER_FAULTS_MINUTES is no number")?;
        if self.begun.elapsed() > limit && !todo.is_empty() {
            println!("{} runs are left for another time", todo.len());
            todo.clear();
        }
        Ok(next(&mut todo))
    }

    async fn learn(&self, lab: &mut Lab<'_>) -> Result<Known> {
        let known = Known::learn(lab).await.context("a run that nothing happens to")?;
        expect_clean(lab, false).await.context("after a run that nothing happened to")?;
        let runs = chosen(&known);
        ensure!(!runs.is_empty(), "no fault has such a name");
        *self.todo.lock().await = without_the_done(runs)?.into();
        Ok(known)
    }
}

async fn one(lab: &mut Lab<'_>, known: &Known, run: &Run) -> Result<Outcome> {
    let outcome = drive::drive(lab, run, &known.stages).await?;
    expect_clean(lab, run.to == TO_THE_END).await?;
    Ok(outcome)
}

async fn expect_clean(lab: &Lab<'_>, at_the_end: bool) -> Result<()> {
    lab.clients_are_served().await?;
    let left = if at_the_end { lab.differences_at_the_end().await? } else { lab.differences().await? };
    let lines: Vec<String> = left.iter().map(ToString::to_string).collect();
    if lines.is_empty() { Ok(()) } else { bail!("not as before:\n{}", lines.join("\n")) }
}

fn keep(all: &[Kept]) -> Result<()> {
    let Some(path) = std::env::var_os("CHANGEOVER_FAULTS_RESULTS") else { return Ok(()) };
    table::keep(Path::new(&path), all)
}

fn write_page(known: &Known) -> Result<()> {
    let variable = |name| std::env::var_os(format!("CHANGEOVER_FAULTS_{name}"));
    let (Some(results), Some(page)) = (variable("RESULTS"), variable("TABLE")) else { return Ok(()) };
    let results = Results::read(Path::new(&results))?;
    std::fs::write(&page, table::page(known, &results)?).context("writing the page")
}

fn fresh_directory() -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
    if directory.exists() {
        std::fs::remove_dir_all(&directory).context("removing what an earlier run left")?;
    }
    std::fs::create_dir_all(&directory)?;
    Ok(directory.canonicalize()?)
}
