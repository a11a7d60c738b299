//! Workers that die again and again.

use crate::common::{self, on_stack};
use anyhow::{Context, Result, ensure};
use changeover_tests::{
    product::{Product, Status, Worker},
    scenario::{LONG, NAME, Scenario},
    stack::{StackInfo, connect},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::sync::watch;
use tokio_postgres::Client;

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
        let servers = Servers::open(stack.info()).await?;
        let (stop, stopped) = watch::channel(false);
        let run = async {
            whole_run(&mut scenario).await?;
            stop.send_replace(true);
            Ok(())
        };
        let ((worker, killed), ()) = tokio::try_join!(reap(product, servers, worker, stopped), run)?;
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

type Moment = (String, usize);
type Moments = BTreeSet<Moment>;

/// Kills the worker once in each moment and starts another one.
async fn reap(
    product: Product,
    servers: Servers,
    mut worker: Worker,
    mut stopped: watch::Receiver<bool>,
) -> Result<(Worker, Moments)> {
    let mut killed = Moments::new();
    loop {
        let now = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return Ok((worker, killed)),
            now = told_by_status(&product, &killed) => now,
            now = servers.shown(&killed) => now?,
        };
        worker.kill().await?;
        killed.insert(now);
        worker = product.worker(&format!("worker-{}", killed.len() + 1)).await?;
    }
}

fn is_wanted(now: &Moment, killed: &Moments) -> bool {
    !killed.contains(now) && MOMENTS.iter().any(|(word, done)| *word == now.0 && *done == now.1)
}

/// The next wanted moment by what status says: for stages that last.
async fn told_by_status(product: &Product, killed: &Moments) -> Moment {
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Ok(status) = product.status(NAME).await else { continue };
        let now = moment(&status);
        if status.state() == "RUNNING" && is_wanted(&now, killed) {
            // Not always at the same point of a stage.
            tokio::time::sleep(Duration::from_millis(killed.len() as u64 * 130 % 400)).await;
            return now;
        }
    }
}

/// Both servers, which show within milliseconds what the product is at. A switch is over before a status has been asked for.
struct Servers {
    source: Client,
    target: Client,
}

impl Servers {
    async fn open(info: &StackInfo) -> Result<Self> {
        let source = connect::as_superuser(&info.source, "shop").await?;
        Ok(Self { source, target: connect::as_superuser(&info.target, "shop").await? })
    }

    /// The next wanted moment by the product's sessions; it lasts still when this returns.
    async fn shown(&self, killed: &Moments) -> Result<Moment> {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let Some(now) = self.now().await? else { continue };
            if !is_wanted(&now, killed) {
                continue;
            }
            // Not always at the same point.
            tokio::time::sleep(Duration::from_millis(killed.len() as u64 * 7 % 40)).await;
            if self.now().await?.as_ref() == Some(&now) {
                return Ok(now);
            }
        }
    }

    async fn now(&self) -> Result<Option<Moment>> {
        let (source, target) = tokio::try_join!(sessions(&self.source), sessions(&self.target))?;
        let has = |names: &[String], purpose: &str| names.iter().any(|name| name.ends_with(purpose));
        let word = if has(&source, "/switch-fence") || has(&target, "/switch-fence") {
            "switching"
        } else if has(&source, "/subscriber") {
            // The source subscribes to nothing but the way back.
            "reverse"
        } else if has(&source, "/verify") {
            "verify"
        } else if has(&target, "/roles") {
            "roles"
        } else {
            return Ok(None);
        };
        let (source, target) = tokio::try_join!(opened(&self.source), opened(&self.target))?;
        let done = source + target;
        // With the target serving, the comparison is the soak's.
        let word = if word == "verify" && done % 2 == 1 { "soak" } else { word };
        Ok(Some((word.to_owned(), done)))
    }
}

async fn sessions(client: &Client) -> Result<Vec<String>> {
    let sql = "select application_name from pg_stat_activity where application_name like 'changeover/%'";
    Ok(client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Switches that opened this side.
async fn opened(client: &Client) -> Result<usize> {
    let there: bool = client.query_one("select to_regclass('changeover.decision') is not null", &[]).await?.get(0);
    if !there {
        return Ok(0);
    }
    let count: i64 =
        client.query_one("select count(*) from changeover.decision where outcome = 'open'", &[]).await?.get(0);
    Ok(usize::try_from(count)?)
}

fn moment(status: &Status) -> Moment {
    let switches = status.0["switches"].as_array().into_iter().flatten();
    let done = switches.filter(|switch| switch["outcome"] == "open").count();
    let word = if status.text("doing").starts_with("switching") { "switching" } else { status.stage() };
    (word.to_owned(), done)
}
