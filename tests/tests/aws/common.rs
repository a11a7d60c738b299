//! What the tests share: an AWS each, one test at a time.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use changeover_tests::{
    aws::{AwsStack, AwsStackOptions, call_counts},
    scenario::{Scenario, ScenarioOptions},
    stack::{Side, StackInfo, process},
};
use serde_json::json;
use tokio::sync::Mutex;

/// Two of them at once would starve each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Runs a test on an AWS of its own.
pub async fn on_aws(
    name: &str,
    options: AwsStackOptions,
    test: impl AsyncFnOnce(&mut AwsStack, PathBuf) -> Result<()>,
) -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let _no_other_run = no_other_run().await?;
    let directory = fresh_directory(name)?;
    let mut stack = AwsStack::start(options).await?;
    let ended = test(&mut stack, directory.clone()).await;
    for kept in ["log", "s/calls.jsonl"] {
        let from = stack.stand_in.directory.join(kept);
        std::fs::copy(&from, directory.join(format!("aws-{}", kept.replace('/', "-"))))?;
    }
    stack.stop();
    ended.with_context(|| format!("logs and transcript are in {}", directory.display()))
}

/// Two runs at once would write into each other's ledger: clones share a build directory, and this is below it.
async fn no_other_run() -> Result<File> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aws");
    std::fs::create_dir_all(&directory)?;
    let lock = File::create(directory.join("lock"))?;
    process::wait_until("no other run of these tests is there", Duration::from_secs(600), async || {
        lock.try_lock().is_ok()
    })
    .await?;
    Ok(lock)
}

fn fresh_directory(name: &str) -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aws").join(name);
    if directory.exists() {
        std::fs::remove_dir_all(&directory).context("removing what an earlier run left")?;
    }
    std::fs::create_dir_all(&directory)?;
    Ok(directory.canonicalize()?)
}

/// A small scenario under load.
pub fn options(directory: &Path) -> ScenarioOptions {
    ScenarioOptions { size_mb: 10, writers: 6, rate: 20.0, soak: "1s".to_owned(), directory: directory.to_owned() }
}

/// Knows the target by now, and lets the writers without a pooler know it.
pub async fn meet_target<'a>(scenario: &mut Scenario<'a>, info: &'a StackInfo) -> Result<()> {
    scenario.info = info;
    scenario.change_load(Side::Source, 20.0).await
}

/// Stops the load; the ledger has to agree with the side that serves.
pub async fn judge(scenario: &mut Scenario<'_>, serving: Side) -> Result<()> {
    let verdict = scenario.judge(serving).await?;
    ensure!(verdict.is_clean(), "the ledger contradicts the {}: {verdict:#?}", serving.name());
    ensure!(verdict.acknowledged > 100, "{} acknowledged transactions prove nothing", verdict.acknowledged);
    Ok(())
}

/// The next of each of these calls is carried out, and its answer is lost; reads are throttled for a while.
pub async fn lose_answers(stack: &AwsStack, calls: &[(&str, &str)]) -> Result<()> {
    for (service, action) in calls {
        let fault = json!({ "service": service, "action": action, "kind": "lose-answer", "times": 1 });
        stack.stand_in.control("faults", Some(&fault)).await?;
    }
    let throttled = json!({ "service": "rds", "action": "DescribeDBInstances", "kind": "throttle", "times": 6 });
    stack.stand_in.control("faults", Some(&throttled)).await.map(drop)
}

/// Each of these calls was carried out exactly once.
pub async fn once_each(stack: &AwsStack, calls: &[&str]) -> Result<()> {
    let counts = call_counts(&stack.stand_in).await?;
    for call in calls {
        let times = counts.get(*call).map_or(0, |count| count.done);
        ensure!(times == 1, "`{call}` was carried out {times} times");
    }
    Ok(())
}

/// One per line.
pub fn lines<T: ToString>(list: impl IntoIterator<Item = T>) -> String {
    list.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join("\n")
}
