//! The workload itself: what it does when servers die, close or pause, and that what it measures is what happened.

use anyhow::{Result, ensure};
use changeover_tests::ledger::{self, Entry, check};
use changeover_tests::sample::{self, Access};
use changeover_tests::stack::{Side, Stack, StackInfo, StackOptions, connect, pooler, process};
use changeover_tests::workload::{Workload, WorkloadHandle, WorkloadOptions};
use std::path::Path;
use std::time::{Duration, SystemTime};

const PATIENCE: Duration = Duration::from_secs(60);

async fn loaded() -> Result<Stack> {
    let options = StackOptions { temporal: None, log_statement: "none".to_owned(), ..StackOptions::default() };
    let stack = Stack::start(options).await?;
    sample::load(&Access::master(stack.info(), Side::Source), 2).await?;
    Ok(stack)
}

async fn until_acknowledged(workload: &WorkloadHandle, more: u64) -> Result<()> {
    let wanted = workload.stats().acknowledged + more;
    let what = format!("{wanted} acknowledged transactions");
    process::wait_until(&what, PATIENCE, async || workload.stats().acknowledged >= wanted).await
}

fn acknowledged_ports(directory: &Path, client: i32) -> Result<Vec<i32>> {
    let text = std::fs::read_to_string(directory.join(format!("client-{client:04}.jsonl")))?;
    let mut ports = Vec::new();
    for line in text.lines() {
        if let Entry::Ack { port, .. } = serde_json::from_str(line)? {
            ports.push(port);
        }
    }
    Ok(ports)
}

async fn console(info: &StackInfo, command: &str) -> Result<()> {
    let login = connect::Login {
        port: info.pooler.port,
        database: "pgbouncer",
        user: pooler::ADMIN,
        password: &info.pooler.admin_password,
        application_name: "test",
    };
    connect::as_login(login, &connect::tls(&info.ca)?).await?.simple_query(command).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_missing_after_server_and_pooler_were_killed() -> Result<()> {
    let stack = loaded().await?;
    let info = stack.info();
    let directory = tempfile::tempdir()?;
    let options = WorkloadOptions { rate: 0.0, ..WorkloadOptions::on_stack(info, directory.path().to_path_buf()) };
    let workload = Workload::start(options.clone()).await?;
    until_acknowledged(&workload, 200).await?;
    info.source.kill().await?;
    info.source.start(stack.user()).await?;
    until_acknowledged(&workload, 200).await?;
    info.pooler.kill().await?;
    info.pooler.start(stack.user()).await?;
    until_acknowledged(&workload, 200).await?;
    let summary = workload.stop().await?;
    ensure!(summary.errors.keys().any(|state| state.starts_with("08")), "{:?}", summary.errors);
    ensure!(summary.anomalies.is_empty(), "{:?}", summary.anomalies);

    // Continued with the same ledger, as after the end of its process.
    let workload = Workload::start(options).await?;
    until_acknowledged(&workload, 100).await?;
    let second = workload.stop().await?;
    let report = check(directory.path(), &Access::superuser(&info.source)).await?;
    ensure!(report.is_clean(), "{report:#?}");
    ensure!(report.acknowledged == summary.acknowledged + second.acknowledged, "{report:#?}");
    ensure!(report.in_doubt == summary.in_doubt + second.in_doubt, "{report:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_the_pooler_is_measured_on_its_way_and_not_on_the_other() -> Result<()> {
    let stack = loaded().await?;
    let info = stack.info();
    let directory = tempfile::tempdir()?;
    let workload = Workload::start(WorkloadOptions::on_stack(info, directory.path().to_path_buf())).await?;
    until_acknowledged(&workload, 100).await?;
    let from = SystemTime::now();
    console(info, "pause").await?;
    // The length of the pause is what is measured here, not something waited for.
    tokio::time::sleep(Duration::from_millis(700)).await;
    console(info, "resume").await?;
    let to = SystemTime::now();
    until_acknowledged(&workload, 100).await?;
    let window = workload.window(from, to);
    for lane in ["bouncer/shop", "bouncer/billing"] {
        ensure!(window.longest_gap_ms_by_path[lane] >= 690.0, "{window:#?}");
    }
    ensure!(window.longest_gap_ms_by_path["direct/shop"] < 690.0, "{window:#?}");
    ensure!(window.longest_gap_ms < 690.0 && window.slowest_ms >= 600.0, "{window:#?}");
    ensure!(window.errors.is_empty(), "a pause isn't an error: {window:#?}");

    // Our own pause: nothing is written until it ends.
    workload.pause().await;
    let before = workload.stats().acknowledged;
    let report = check(directory.path(), &Access::superuser(&info.source)).await?;
    ensure!(report.is_clean() && report.acknowledged == before && report.in_doubt == 0, "{report:#?}");
    ensure!(workload.stats().acknowledged == before);
    workload.resume();
    until_acknowledged(&workload, 20).await?;
    workload.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_writers_go_to_the_side_that_is_open() -> Result<()> {
    let stack = loaded().await?;
    let info = stack.info();
    sample::load(&Access::master(info, Side::Target), 2).await?;
    let (source, target) =
        (connect::as_superuser(&info.source, "shop").await?, connect::as_superuser(&info.target, "shop").await?);
    let close = "alter role shop_app nologin; alter role billing_app nologin";
    let open = "alter role shop_app login; alter role billing_app login";
    target.batch_execute(close).await?;

    let directory = tempfile::tempdir()?;
    let mut options = WorkloadOptions::on_stack(info, directory.path().to_path_buf());
    // The pooler isn't moved here: it lets its clients wait for a login to the source.
    options.answer_deadline = Duration::from_secs(3);
    let groups = options.groups.clone();
    let workload = Workload::start(options).await?;
    until_acknowledged(&workload, 60).await?;
    let from = SystemTime::now();
    source.batch_execute(close).await?;
    source
        .batch_execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename in ('shop_app', 'billing_app')",
        )
        .await?;
    process::wait_until("logins are refused", PATIENCE, async || workload.stats().errors.contains_key("28000")).await?;
    target.batch_execute(open).await?;
    // Client 2 writes directly to `shop`: see the order of the default groups.
    let direct =
        groups.iter().take_while(|group| group.path.name() != "direct").map(|group| group.writers).sum::<usize>() + 1;
    let client = i32::try_from(direct)?;
    let target_port = i32::from(info.target.port);
    process::wait_until("a direct writer writes to the target", PATIENCE, async || {
        acknowledged_ports(directory.path(), client).is_ok_and(|ports| ports.contains(&target_port))
    })
    .await?;
    let window = workload.window(from, SystemTime::now());
    ensure!(window.errors_by_path["direct/shop"].contains_key("57P01"), "{window:#?}");
    workload.stop().await?;

    // The ledger says what the source alone can't: the transactions on the target are lost to it.
    let report = check(directory.path(), &Access::superuser(&info.source)).await?;
    ensure!(report.lost > 0, "{report:#?}");
    ensure!(ledger::read_ledger(directory.path())?.len() == 6);
    Ok(())
}
