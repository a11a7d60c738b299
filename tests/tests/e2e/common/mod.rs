//! What the tests share: a stack each, one test at a time, and the proofs that every run has to pass.

pub mod hold;
pub mod leaks;
pub mod sql;
pub mod workers;

use anyhow::{Context, Result, ensure};
use changeover_tests::{
    product::Status,
    scenario::{Scenario, ScenarioOptions, application_roles},
    stack::{Side, Stack, StackInfo, StackOptions, audit},
};
use leaks::Watch;
use std::path::{Path, PathBuf};
use tokio::sync::Mutex;

/// Two stacks at once would starve each other, and what is measured would mean nothing.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Runs a test on a stack of its own, and then looks whether a password or one of the `canaries` (row data) got where it has no
/// business, and whether anything but the audited escalation ran as a superuser.
pub async fn on_stack(
    name: &str,
    canaries: &[&str],
    test: impl AsyncFnOnce(&Stack, PathBuf) -> Result<()>,
) -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let directory = fresh_directory(name)?;
    // Prepared transactions are off by default; one of the tests has to make one.
    let settings = vec![("max_prepared_transactions".to_owned(), "5".to_owned())];
    let stack = Stack::start(StackOptions { settings, ..StackOptions::default() }).await?;
    let watch = Watch::start(stack.info(), &directory);
    let ended = test(&stack, directory.clone()).await;
    let proven = match &ended {
        Ok(()) => prove(stack.info(), watch, canaries).await,
        Err(_) => Ok(()),
    };
    keep_logs(stack.info(), &directory)?;
    ended.and(proven).with_context(|| format!("logs and transcript are in {}", directory.display()))?;
    stack.stop().await
}

fn fresh_directory(name: &str) -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e").join(name);
    if directory.exists() {
        std::fs::remove_dir_all(&directory).context("removing what an earlier run left")?;
    }
    std::fs::create_dir_all(&directory)?;
    Ok(directory.canonicalize()?)
}

fn keep_logs(info: &StackInfo, directory: &Path) -> Result<()> {
    for (name, log) in [("source", info.source.log()), ("target", info.target.log()), ("pooler", info.pooler.log())] {
        std::fs::copy(log, directory.join(format!("server-{name}.txt")))?;
    }
    Ok(())
}

async fn prove(info: &StackInfo, watch: Watch, canaries: &[&str]) -> Result<()> {
    watch.end(info, canaries).await?;
    for side in [Side::Source, Side::Target] {
        nothing_ran_as_superuser(info, side)?;
    }
    Ok(())
}

/// By the server's log. That it would show a superuser's statements is proven by those of the harness.
fn nothing_ran_as_superuser(info: &StackInfo, side: Side) -> Result<()> {
    let superusers = ["rdsadmin".to_owned(), "postgres".to_owned()];
    let cluster = info.cluster(side);
    let foreign = audit::foreign_superuser_statements(cluster, &superusers)?;
    ensure!(foreign.is_empty(), "ran as a superuser on the {}: {foreign:#?}", side.name());
    let harness = audit::statements(cluster)?.iter().any(|statement| statement.user == "rdsadmin");
    ensure!(harness, "the {}'s log doesn't show the harness's own statements", side.name());
    Ok(())
}

/// A scenario of this size and with this many writers.
pub fn options(directory: &Path, size_mb: u32, writers: usize) -> ScenarioOptions {
    ScenarioOptions { size_mb, writers, rate: 20.0, soak: "1s".to_owned(), directory: directory.to_owned() }
}

/// From the soak to the end: every row alike, nothing lost or doubled, nothing left.
pub async fn end_well(scenario: &mut Scenario<'_>) -> Result<Status> {
    let rows = scenario.compare().await?;
    ensure!(rows.diverged_rows == 0, "rows differ between the sides: {:#?}", rows.faults);
    ensure!(rows.source_rows > 1_000, "the oracle saw {} rows only", rows.source_rows);
    let status = scenario.finalize().await?;
    judge(scenario, Side::Target).await?;
    let faults = scenario.sequence_faults(Side::Source, Side::Target).await?;
    ensure!(faults.is_empty(), "sequences: {faults:#?}");
    let left = scenario.before.after_finalize(scenario.info, &application_roles()).await?;
    ensure!(left.is_empty(), "left over:\n{}", lines(&left));
    scenario.stop_worker().await?;
    Ok(status)
}

/// Stops the load; the ledger has to agree with the side that serves.
pub async fn judge(scenario: &mut Scenario<'_>, serving: Side) -> Result<()> {
    let verdict = scenario.judge(serving).await?;
    ensure!(verdict.is_clean(), "the ledger contradicts the {}: {verdict:#?}", serving.name());
    ensure!(verdict.acknowledged > 100, "{} acknowledged transactions prove nothing", verdict.acknowledged);
    Ok(())
}

/// Both sides are as they were before the migration, and no writer ever saw an error.
pub async fn is_undone(scenario: &Scenario<'_>) -> Result<()> {
    let left = scenario.before.after_abort(scenario.info).await?;
    ensure!(left.is_empty(), "not as before:\n{}", lines(&left));
    no_writer_saw_an_error(scenario)
}

/// So far.
pub fn no_writer_saw_an_error(scenario: &Scenario<'_>) -> Result<()> {
    if let Some(workload) = &scenario.workload {
        let stats = workload.stats();
        ensure!(stats.errors.is_empty() && stats.acknowledged > 0, "writers saw errors: {stats:?}");
    }
    Ok(())
}

/// One per line.
pub fn lines<T: ToString>(list: &[T]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
