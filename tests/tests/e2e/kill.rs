//! A worker that dies in the middle of the copy.

use crate::common::{self, hold::Hold, on_stack};
use anyhow::{Context, Result, ensure};
use changeover_tests::{
    product::Status,
    scenario::{LONG, NAME, Scenario},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_the_middle_of_the_copy_is_followed_by_another() -> Result<()> {
    on_stack("kill", &[], async |stack, directory| {
        let mut scenario = Scenario::prepare(stack.info(), &common::options(&directory, 60, 6), false).await?;
        let spec = scenario.spec.clone();
        scenario.say(&["start", &spec]).await?;
        let hold = Hold::take(stack.info()).await?;
        hold.until_it_stands().await?;
        // The status shows the last look, at most some seconds ago.
        scenario.product.wait_for(NAME, "20 % of the bytes", LONG, |s| percent(s) >= 20.0).await?;
        let status = scenario.product.status(NAME).await?;
        scenario.worker.take().context("there is no worker")?.kill().await?;
        let percent = percent(&status);
        ensure!(
            status.stage() == "copy" && (20.0..=80.0).contains(&percent),
            "missed the middle of the copy: {percent} % at the stage {}",
            status.stage()
        );
        hold.release().await?;
        scenario.worker = Some(scenario.product.worker("worker-2").await?);
        scenario.cut_over("after a worker was killed").await?;
        common::end_well(&mut scenario).await.map(drop)
    })
    .await
}

fn percent(status: &Status) -> f64 {
    status.copied_percent().unwrap_or(0.0)
}
