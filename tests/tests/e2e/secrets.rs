//! Errors of PostgreSQL quote rows. They, and passwords, stay where they belong; and a failure that a person mends isn't the end.

use crate::common::{self, on_stack, sql};
use anyhow::{Result, ensure};
use changeover_tests::{
    scenario::{LONG, NAME, SHORT, Scenario},
    stack::{Cluster, Side, StackInfo, process},
};
use std::time::Duration;

/// In a row that nothing is wrong with, in one that an index can't be built over, in one that replication can't apply, and in
/// one that differs.
const ROW: &str = "canary-row-5d1c";
const RESTORE: &str = "canary-restore-5d1c@example.org";
const APPLY: &str = "canary-apply-5d1c@example.org";
const DIFFERENCE: &str = "canary-difference-5d1c";

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_passwords_stay_out_of_sight_and_a_rollback_brings_back_thousands_of_writes() -> Result<()> {
    on_stack("secrets", &[ROW, RESTORE, APPLY, DIFFERENCE], async |stack, directory| {
        let info = stack.info();
        let mut scenario = Scenario::prepare(info, &common::options(&directory, 4, 6), false).await?;
        let rows = format!(
            "update sales.customer set name = '{ROW}' where id = 1;
             update sales.customer set email = '{RESTORE}' where id = 2"
        );
        sql::run(&info.source, "shop", &rows).await?;
        let spec = scenario.spec.clone();
        scenario.say(&["start", &spec]).await?;
        an_index_that_cannot_be_built(&scenario).await?;
        a_row_that_differs(&scenario).await?;
        scenario.cut_over("all was mended").await?;
        a_row_that_cannot_be_applied(&scenario).await?;
        thousands_of_writes(&mut scenario).await?;
        scenario.roll_back("after many writes").await?;
        scenario.until_waiting("approval", LONG).await?;
        the_source_has_everything(&mut scenario).await?;
        scenario.abort().await?;
        let left = scenario.before.after_abort(info).await?;
        ensure!(left.is_empty(), "not as before:\n{}", common::lines(&left));
        scenario.stop_worker().await
    })
    .await
}

/// Parked by this; what the person reads names the place, not the row.
async fn parked(scenario: &Scenario<'_>, codes: &str, named: &str) -> Result<()> {
    let code = scenario.until_parked(SHORT).await?;
    let failure = scenario.product.status(NAME).await?.0["failure"].clone();
    ensure!(code.starts_with(codes), "parked by {code} instead of {codes}: {failure}");
    ensure!(failure["message"].as_str().is_some_and(|text| text.contains(named)), "{named} isn't named: {failure}");
    Ok(())
}

async fn retry(scenario: &Scenario<'_>) -> Result<()> {
    scenario.say(&["retry", NAME, "--actor", "ada", "--reason", "mended"]).await?;
    scenario.product.wait_for(NAME, "it to go on", SHORT, |status| !status.is_parked()).await.map(drop)
}

/// The row comes in while the copy is under way: before it, the table has to be empty.
async fn an_index_that_cannot_be_built(scenario: &Scenario<'_>) -> Result<()> {
    let target = &scenario.info.target;
    let begun = "select count(*) from pg_catalog.pg_class
        where oid = pg_catalog.to_regclass('sales.customer') and pg_catalog.pg_relation_size(oid) > 0";
    process::wait_until("the table is being copied", Duration::from_secs(60), async || {
        sql::number(target, "shop", begun).await.is_ok_and(|found| found == 1)
    })
    .await?;
    let row = format!("insert into sales.customer (id, name, email) values (-1, '{ROW}', '{RESTORE}')");
    sql::run(target, "shop", &row).await?;
    parked(scenario, "CO04", "customer_email_key").await?;
    sql::run(target, "shop", "delete from sales.customer where id = -1").await
}

/// Planted while it is parked before the comparison.
async fn a_row_that_differs(scenario: &Scenario<'_>) -> Result<()> {
    let remark =
        |text: &str| format!(r#"update "Größe & Maß"."Kunden-Äußerungen" set "select" = {text} where "Nr" = 1"#);
    sql::run(&scenario.info.target, "shop", &remark(&format!("'{DIFFERENCE}'"))).await?;
    retry(scenario).await?;
    parked(scenario, "CO0601", "Kunden-Äußerungen").await?;
    sql::run(&scenario.info.target, "shop", &remark("null")).await?;
    retry(scenario).await
}

/// The way back meets a row that nobody but its planter knows.
async fn a_row_that_cannot_be_applied(scenario: &Scenario<'_>) -> Result<()> {
    let info = scenario.info;
    let row = |id: i32| format!("insert into sales.customer (id, name, email) values ({id}, '{ROW}', '{APPLY}')");
    unseen(&info.source, &row(-2)).await?;
    sql::run(&info.target, "shop", &row(-3)).await?;
    parked(scenario, "CO0816", "shop").await?;
    unseen(&info.source, "delete from sales.customer where id = -2").await?;
    retry(scenario).await?;
    scenario.until_waiting("soak", SHORT).await?;
    process::wait_until("the row is applied", Duration::from_secs(60), async || {
        let rows = "select count(*) from sales.customer where id = -3";
        sql::number(&info.source, "shop", rows).await.is_ok_and(|count| count == 1)
    })
    .await
}

/// A change that replication takes for one that came from elsewhere, and doesn't carry on.
async fn unseen(cluster: &Cluster, statement: &str) -> Result<()> {
    let session = sql::past_the_guard(cluster, "shop").await?;
    session
        .batch_execute(
            "select pg_catalog.pg_replication_origin_create('harness');
             select pg_catalog.pg_replication_origin_session_setup('harness')",
        )
        .await?;
    session.batch_execute(statement).await?;
    session
        .batch_execute(
            "select pg_catalog.pg_replication_origin_session_reset();
             select pg_catalog.pg_replication_origin_drop('harness')",
        )
        .await?;
    Ok(())
}

async fn thousands_of_writes(scenario: &mut Scenario<'_>) -> Result<()> {
    scenario.change_load(Side::Target, 0.0).await?;
    if let Some(load) = &scenario.workload {
        process::wait_until("3000 writes on the target", Duration::from_secs(90), async || {
            load.stats().acknowledged >= 3_000
        })
        .await?;
    }
    scenario.change_load(Side::Target, 20.0).await
}

async fn the_source_has_everything(scenario: &mut Scenario<'_>) -> Result<()> {
    let rows = scenario.compare().await?;
    ensure!(rows.diverged_rows == 0, "rows differ between the sides: {:#?}", rows.faults);
    let faults = scenario.sequence_faults(Side::Target, Side::Source).await?;
    ensure!(faults.is_empty(), "sequences: {faults:#?}");
    common::judge(scenario, Side::Source).await?;
    ensure!(customers_canary(scenario.info).await? == 2, "the rows with the canaries aren't there");
    Ok(())
}

async fn customers_canary(info: &StackInfo) -> Result<i64> {
    let rows = format!("select count(*) from sales.customer where name = '{ROW}'");
    sql::number(&info.source, "shop", &rows).await
}
