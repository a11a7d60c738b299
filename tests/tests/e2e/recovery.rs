//! Within the critical section the worker dies, stands still and wakes up as a zombie, or Temporal dies; another worker runs beside
//! it. Writes are possible again within five seconds, one side is open, nothing is lost or doubled.
//!
//! The table of docs/switch.md is what this prints: `cargo test --package changeover-tests --test e2e -- recovery --nocapture`.

use crate::common::{
    self, on_stack,
    workers::{Struck, Workers},
};
use anyhow::{Context, Result, ensure};
use changeover_tests::{
    probe::{self, Answer},
    product::Status,
    scenario::{LONG, NAME, SHORT, Scenario, ScenarioOptions},
    stack::{Side, StackInfo},
};
use std::time::{Duration, Instant, SystemTime};

/// Writes are possible again within this time of the fault, and no client waits longer.
const WITHIN: Duration = Duration::from_secs(5);
/// The same while only the lock is held: nobody has to come, as the pause has a guard. Measured are 0.4 s (tests/switch/tests/pause_guard.rs
/// bounds them); here two workers, Temporal and all writers share the machine.
const WHILE_LOCKED: Duration = Duration::from_secs(2);
const MINUTE: Duration = Duration::from_secs(60);

/// Where a worker is struck, and what comes of that attempt.
const STRUCK: [(&str, &str); 6] = [
    // Only the lock is held.
    ("switch.lock.after=kill", "abort"),
    // The source has committed the fence, and nothing is decided.
    ("switch.commit_fence.after=kill", "abort"),
    ("switch.decide.after=kill", "open"),
    ("switch.lock.after=stop", "abort"),
    ("switch.commit_fence.after=stop", "abort"),
    ("switch.decide.after=stop", "open"),
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_worker_or_temporal_in_the_section_writes_go_on_within_seconds() -> Result<()> {
    on_stack("recovery", &[], async |stack, directory| {
        let options = ScenarioOptions { soak: "1h".to_owned(), ..common::options(&directory, 2, 6) };
        let mut scenario = Scenario::prepare(stack.info(), &options, false).await?;
        scenario.stop_worker().await?;
        let mut workers = Workers::start(&scenario.product).await?;
        scenario.say(&["start", &scenario.spec]).await?;
        scenario.until_waiting("approval", LONG).await?;
        let mut serving = Side::Source;
        println!("| fault | that attempt | writes possible again | longest gap | slowest client | outcome told |");
        for (failpoint, outcome) in STRUCK {
            serving = struck(&scenario, &mut workers, serving, failpoint, outcome)
                .await
                .with_context(|| format!("{failpoint}, to be the end of the {}", serving.name()))?;
        }
        serving = temporal_dies(&scenario, &workers, serving).await.context("Temporal dies in the section")?;
        serving = told_to_stop(&scenario, &mut workers, serving).await.context("a worker is told to stop")?;
        common::judge(&mut scenario, serving).await?;
        workers.stop().await
    })
    .await
}

/// A worker is struck; the other one takes over.
async fn struck(
    scenario: &Scenario<'_>,
    workers: &mut Workers,
    serving: Side,
    failpoint: &str,
    outcome: &str,
) -> Result<Side> {
    let before = records(&scenario.product.status(NAME).await?).len();
    workers.arm(failpoint)?;
    ask_for_switch(scenario, serving).await?;
    let struck = match workers.struck(MINUTE).await {
        Ok(struck) => struck,
        Err(error) => {
            let status = scenario.product.status(NAME).await?;
            return Err(error.context(format!("{} at {}: {}", status.state(), status.stage(), status.0["failure"])));
        }
    };
    let flowing = until_writes_flow(scenario, struck.at).await?;
    let stopped = failpoint.ends_with("=stop");
    // One that is stopped after the decision sleeps on until everything has been told without it.
    if stopped && outcome == "abort" {
        wake(scenario, workers, struck).await?;
    }
    let (told, status) = until_it_serves(scenario, other(serving), struck).await?;
    let attempts = interrupted(&status).split_off(before);
    // On a busy machine an attempt may have been given up before it came to the failpoint.
    let undone = attempts.iter().any(|interrupted| *interrupted);
    ensure!(undone == (outcome == "abort"), "the attempt ended otherwise than {outcome}: {}", status.0["switches"]);
    one_side_is_open(scenario.info, other(serving)).await?;
    report(scenario, failpoint, outcome, struck.at, flowing, told)?;
    if !stopped {
        workers.replace(struck).await?;
    } else if outcome == "open" {
        wake(scenario, workers, struck).await?;
        one_side_is_open(scenario.info, other(serving)).await.context("after the zombie woke up")?;
    }
    Ok(other(serving))
}

/// A zombie finds that somebody else has taken over, or after the decision that nothing is left to do; writers don't wait for it.
async fn wake(scenario: &Scenario<'_>, workers: &Workers, struck: Struck) -> Result<()> {
    let woken = SystemTime::now();
    workers.wake_and_hear(struck, &["the attempt is undone", r#""step":"resumed""#]).await?;
    until_writes_flow(scenario, SystemTime::now()).await.context("after the zombie woke up")?;
    let seen = scenario.workload.as_ref().context("nobody writes")?.window(woken, SystemTime::now());
    ensure!(seen.longest_gap_ms < 1_000.0, "writers waited when the zombie woke up: {seen:?}");
    Ok(())
}

/// The worker stands before the section until Temporal is dead, and goes through it alone.
async fn temporal_dies(scenario: &Scenario<'_>, workers: &Workers, serving: Side) -> Result<Side> {
    let temporal = scenario.info.temporal.as_ref().context("the stack has no Temporal")?;
    workers.arm("switch.claim.after=stop")?;
    ask_for_switch(scenario, serving).await?;
    let struck = workers.struck(SHORT).await?;
    temporal.kill().await?;
    workers.wake(struck).await?;
    let woken = Struck { at: SystemTime::now(), ..struck };
    until_it_is_open(scenario.info, other(serving)).await?;
    let flowing = until_writes_flow(scenario, SystemTime::now()).await?;
    ensure!(temporal.pid().is_none(), "Temporal lives: this proves nothing");
    temporal.start().await?;
    let back = Struck { at: SystemTime::now(), ..struck };
    let (told, _) = until_it_serves(scenario, other(serving), back).await?;
    one_side_is_open(scenario.info, other(serving)).await?;
    report(scenario, "Temporal killed before the section, started after it", "open", woken.at, flowing, told)?;
    Ok(other(serving))
}

/// SIGTERM in the section: the worker ends it first.
async fn told_to_stop(scenario: &Scenario<'_>, workers: &mut Workers, serving: Side) -> Result<Side> {
    let before = records(&scenario.product.status(NAME).await?).len();
    workers.arm("switch.claim.after=stop")?;
    ask_for_switch(scenario, serving).await?;
    let struck = workers.struck(SHORT).await?;
    let stopping = Instant::now();
    changeover_tests::stack::process::signal(struck.pid, "TERM").await?;
    workers.wake(struck).await?;
    workers.replace_in_order(struck).await?;
    let flowing = until_writes_flow(scenario, struck.at).await?;
    let (told, status) = until_it_serves(scenario, other(serving), struck).await?;
    one_side_is_open(scenario.info, other(serving)).await?;
    ensure!(stopping.elapsed() < MINUTE, "it took {:?}", stopping.elapsed());
    let outcome = records(&status)[before..].join(", ");
    report(scenario, "SIGTERM before the section", &outcome, struck.at, flowing, told)?;
    Ok(other(serving))
}

fn other(side: Side) -> Side {
    if side == Side::Source { Side::Target } else { Side::Source }
}

async fn ask_for_switch(scenario: &Scenario<'_>, serving: Side) -> Result<()> {
    match serving {
        Side::Source => {
            scenario.until_waiting("approval", LONG).await?;
            scenario.approve("cutover", "to see what happens").await?;
            scenario.say(&["cutover", NAME, "--yes", "--actor", "ada"]).await
        }
        Side::Target => {
            scenario.product.wait_for(NAME, "the soak", SHORT, |s| s.stage() == "soak").await?;
            scenario.say(&["rollback", NAME, "--yes", "--approver", "ada", "--reason", "to see what happens"]).await
        }
    }
}

/// Of each attempt so far, whether it was undone because its worker was interrupted: by another one, or by itself when it woke up and
/// heard that the guard of its pause had acted.
fn interrupted(status: &Status) -> Vec<bool> {
    let switches = status.0["switches"].as_array().into_iter().flatten();
    let undone = |refusal: &str| ["was interrupted", "CO0734"].iter().any(|word| refusal.contains(word));
    switches.map(|record| undone(record["refusal"].as_str().unwrap_or_default())).collect()
}

/// The outcome of each attempt so far.
fn records(status: &Status) -> Vec<String> {
    let switches = status.0["switches"].as_array().into_iter().flatten();
    switches.map(|record| record["outcome"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Until every kind of client has been acknowledged for a transaction that it began after `moment`.
async fn until_writes_flow(scenario: &Scenario<'_>, moment: SystemTime) -> Result<Duration> {
    let workload = scenario.workload.as_ref().context("nobody writes")?;
    let begun = Instant::now();
    loop {
        let answers = workload.first_answers(moment);
        let waiting: Vec<&String> = answers.iter().filter(|(_, at)| at.is_none()).map(|(lane, _)| lane).collect();
        if waiting.is_empty() {
            return Ok(answers.values().flatten().max().copied().unwrap_or_default());
        }
        ensure!(begun.elapsed() < MINUTE, "no write of {waiting:?} was acknowledged within {MINUTE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Until status says so; returns how long after the fault that was.
async fn until_it_serves(scenario: &Scenario<'_>, side: Side, struck: Struck) -> Result<(Duration, Status)> {
    let what = format!("the {} to serve", side.name());
    let status = scenario.product.wait_for(NAME, &what, SHORT, |s| s.text("serving") == side.name()).await?;
    Ok((struck.at.elapsed().unwrap_or_default(), status))
}

/// Every login of the application writes on that side, and none on the other one.
async fn one_side_is_open(info: &StackInfo, open: Side) -> Result<()> {
    let (here, there) = tokio::try_join!(probe::who_writes(info, open), probe::who_writes(info, other(open)))?;
    let opened = here.iter().all(|one| one.answer == Answer::Wrote);
    let closed = there.iter().all(|one| matches!(one.answer, Answer::Refused(_)));
    ensure!(opened && closed, "the {} isn't the one open side: {here:?}; the other: {there:?}", open.name());
    Ok(())
}

async fn until_it_is_open(info: &StackInfo, open: Side) -> Result<()> {
    let begun = Instant::now();
    loop {
        match one_side_is_open(info, open).await {
            Ok(()) => return Ok(()),
            Err(error) => ensure!(begun.elapsed() < MINUTE, "{error:#}"),
        }
    }
}

/// A row of the table; fails where clients waited for longer than they may.
fn report(
    scenario: &Scenario<'_>,
    fault: &str,
    outcome: &str,
    since: SystemTime,
    flowing: Duration,
    told: Duration,
) -> Result<()> {
    let workload = scenario.workload.as_ref().context("nobody writes")?;
    let seen = workload.window(since, since + told.max(flowing));
    let worst = seen.longest_gap_ms_by_path.values().fold(0.0_f64, |most, gap| most.max(*gap));
    println!(
        "| `{fault}` | {outcome} | {:.1} s | {:.1} s | {:.1} s | {:.1} s |",
        flowing.as_secs_f64(),
        seen.longest_gap_ms / 1_000.0,
        worst / 1_000.0,
        told.as_secs_f64()
    );
    let within = if fault.starts_with("switch.lock.") { WHILE_LOCKED } else { WITHIN };
    ensure!(flowing <= within, "writes were possible again after {flowing:?} only: {seen:?}");
    Ok(())
}
