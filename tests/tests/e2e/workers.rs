//! Workers that die again and again.

use crate::common::{self, on_stack};
use anyhow::{Context, Result, ensure};
use changeover_tests::{
    product::{Product, Status, Worker},
    scenario::{LONG, NAME, Scenario},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::sync::watch;

/// Stages with the number of switches done before them. `switching` is the switch itself, in either direction.
const MOMENTS: [(&str, usize); 11] = [
    ("roles", 0),
    ("schema", 0),
    ("copy", 0),
    ("finish_schema", 0),
    ("verify", 0),
    ("reverse", 0),
    ("switching", 0),
    ("soak", 1),
    ("switching", 1),
    ("switching", 2),
    ("finalize", 3),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_worker_dies_in_each_stage_loses_nothing_and_leaves_nothing() -> Result<()> {
    on_stack("workers", &[], async |stack, directory| {
        let mut scenario = Scenario::prepare(stack.info(), &common::options(&directory, 10, 6), false).await?;
        let worker = scenario.worker.take().context("there is no worker")?;
        let product = scenario.product.clone();
        let (stop, stopped) = watch::channel(false);
        let run = async {
            whole_run(&mut scenario).await?;
            stop.send_replace(true);
            Ok(())
        };
        let ((worker, killed), ()) = tokio::try_join!(reap(product, worker, stopped), run)?;
        worker.stop().await?;
        let missed: Vec<_> =
            MOMENTS.iter().filter(|(word, done)| !killed.contains(&((*word).to_owned(), *done))).collect();
        ensure!(missed.is_empty(), "no worker died in {missed:?}");
        Ok(())
    })
    .await
}

async fn whole_run(scenario: &mut Scenario<'_>) -> Result<()> {
    let spec = scenario.spec.clone();
    scenario.say(&["start", &spec]).await?;
    scenario.cut_over("workers die").await?;
    scenario.roll_back("workers die").await?;
    scenario.until_waiting("approval", LONG).await?;
    scenario.cut_over("workers die").await?;
    common::end_well(scenario).await.map(drop)
}

type Moments = BTreeSet<(String, usize)>;

/// Kills the worker once in each moment and starts another one.
async fn reap(product: Product, mut worker: Worker, stopped: watch::Receiver<bool>) -> Result<(Worker, Moments)> {
    let mut killed = Moments::new();
    while !*stopped.borrow() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Ok(status) = product.status(NAME).await else { continue };
        let now = moment(&status);
        let wanted = MOMENTS.iter().any(|(word, done)| *word == now.0 && *done == now.1);
        if status.state() != "RUNNING" || !wanted || killed.contains(&now) {
            continue;
        }
        // Not always at the same point of a stage.
        tokio::time::sleep(Duration::from_millis(killed.len() as u64 * 370 % 1_500)).await;
        worker.kill().await?;
        killed.insert(now);
        worker = product.worker(&format!("worker-{}", killed.len() + 1)).await?;
    }
    Ok((worker, killed))
}

fn moment(status: &Status) -> (String, usize) {
    let switches = status.0["switches"].as_array().into_iter().flatten();
    let done = switches.filter(|switch| switch["outcome"] == "open").count();
    let word = if status.text("doing").starts_with("switching") { "switching" } else { status.stage() };
    (word.to_owned(), done)
}
