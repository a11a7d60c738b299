//! Before the switch everything can be undone, and a changed schema isn't overlooked.

use crate::common::{self, hold::Hold, on_stack, sql};
use anyhow::{Context, Result, ensure};
use changeover_tests::{
    product::Status,
    scenario::{LONG, NAME, SHORT, Scenario},
    stack::{StackInfo, connect, process},
};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_in_the_middle_of_the_copy_and_at_the_approval_leaves_both_sides_as_they_were() -> Result<()> {
    on_stack("abort", &[], async |stack, directory| {
        let info = stack.info();
        let mut scenario = Scenario::prepare(info, &common::options(&directory, 40, 6), false).await?;
        let spec = scenario.spec.clone();
        scenario.say(&["start", &spec]).await?;
        let hold = Hold::take(info).await?;
        hold.until_it_stands().await?;
        drift_parks(&scenario, "copy", DRIFT_OF_THE_COPY).await?;
        abort_in_the_middle(&scenario, hold).await?;
        common::is_undone(&scenario).await?;

        // The same name again: nothing of the first run is in its way.
        scenario.say(&["start", &spec]).await?;
        let status = scenario.until_waiting("approval", LONG).await?;
        ensure!(undo(&status) > 5, "everything is set up, and yet little would be undone: {}", status.0["undo"]);
        the_guard_refuses_the_applications_ddl(info).await?;
        a_row_that_the_target_refuses_parks(&scenario).await?;
        drift_parks(&scenario, "approval", DRIFT_OF_THE_APPROVAL).await?;
        scenario.abort().await?;
        common::is_undone(&scenario).await?;
        the_application_may_change_its_schema_again(info).await?;
        scenario.stop_worker().await?;
        no_session_is_left(info).await
    })
    .await
}

/// Named by what can be seen without the server's log: the table and the key, and no value besides.
async fn a_row_that_the_target_refuses_parks(scenario: &Scenario<'_>) -> Result<()> {
    let (info, database) = (scenario.info, &scenario.info.databases[0]);
    let refuse = "alter table crm.department add constraint refuses check (id <> 900) not valid";
    sql::run(&info.target, database, refuse).await?;
    let client = connect::as_superuser(&info.source, database).await?;
    client.batch_execute("insert into crm.department values (900, 'unsaid')").await?;
    let code = scenario.until_parked(SHORT).await?;
    let status = scenario.product.status(NAME).await?;
    let message = status.0["failure"]["message"].as_str().context("a failure without words")?;
    let named = ["CO0521", "crm.department", "id=900"].iter().all(|word| message.contains(word));
    ensure!(code == "CO0816" && named && !message.contains("unsaid"), "{}", status.0["failure"]);
    sql::run(&info.target, database, "alter table crm.department drop constraint refuses").await?;
    scenario.say(&["retry", NAME, "--actor", "ada", "--reason", "the constraint is gone"]).await?;
    scenario.until_waiting("approval", LONG).await?;
    client.batch_execute("delete from crm.department where id = 900").await?;
    Ok(())
}

fn undo(status: &Status) -> usize {
    status.0["undo"].as_array().map_or(0, Vec::len)
}

async fn abort_in_the_middle(scenario: &Scenario<'_>, hold: Hold) -> Result<()> {
    let status = scenario.product.wait_for(NAME, "the copy to go on", SHORT, |s| s.stage() == "copy").await?;
    let percent = status.copied_percent().unwrap_or(0.0);
    ensure!((20.0..=80.0).contains(&percent), "missed the middle of the copy: {percent} %");
    scenario.say(&["abort", NAME, "--actor", "ada", "--reason", "changed our mind"]).await?;
    // The lock of this test goes when the copy it holds has been ended, or else the copy would go on.
    until_the_copy_has_ended(scenario.info).await?;
    hold.release().await?;
    scenario.product.wait_for(NAME, "its abort", SHORT, |s| s.state() == "ABORTED").await.map(drop)
}

async fn until_the_copy_has_ended(info: &StackInfo) -> Result<()> {
    let engine = "select count(*) from pg_catalog.pg_extension where extname = 'pglogical'";
    process::wait_until("replication is gone from the target", Duration::from_secs(60), async || {
        sql::number(&info.target, &info.databases[0], engine).await.is_ok_and(|count| count == 0)
    })
    .await
}

/// What somebody does past the guard, and how it's taken back; what the failure has to name.
type Drift = [(&'static str, &'static str, &'static str); 2];

/// The copy holds locks on what it has read: only new objects can come.
const DRIFT_OF_THE_COPY: Drift = [
    ("create table sales.drift (id integer primary key)", "drop table sales.drift", "table sales.drift"),
    ("create type sales.drift as enum ('a')", "drop type sales.drift", "type sales.drift"),
];
const DRIFT_OF_THE_APPROVAL: Drift = [
    (
        "alter table sales.price_list add column drift integer",
        "alter table sales.price_list drop column drift",
        "table sales.price_list",
    ),
    (
        "create table stock.movement_x partition of stock.movement for values in ('Nirgends')",
        "drop table stock.movement_x",
        "table stock.movement_x",
    ),
];

async fn drift_parks(scenario: &Scenario<'_>, stage: &str, drift: Drift) -> Result<()> {
    let (source, database) = (&scenario.info.source, &scenario.info.databases[0]);
    for (change, back, named) in drift {
        sql::run(source, database, change).await?;
        let code = scenario.until_parked(SHORT).await?;
        let status = scenario.product.status(NAME).await?;
        let failure = &status.0["failure"];
        ensure!(code == "CO0817" && status.stage() == stage, "after `{change}`: {failure}");
        let message = failure["message"].as_str().context("a failure without words")?;
        ensure!(message.contains(named), "the change of {named} isn't named: {message}");
        sql::run(source, database, back).await?;
        scenario.say(&["retry", NAME, "--actor", "ada", "--reason", "taken back"]).await?;
        scenario
            .product
            .wait_for(NAME, "it to go on", SHORT, |s| s.stage() == stage && ["RUNNING", "WAITING"].contains(&s.state()))
            .await?;
    }
    Ok(())
}

async fn the_guard_refuses_the_applications_ddl(info: &StackInfo) -> Result<()> {
    for (cluster, database, role) in [(&info.source, "shop", "shop_owner"), (&info.source, "billing", "billing_owner")]
    {
        let owner = sql::as_role(info, cluster, database, role).await?;
        for ddl in ["create table workload.mine (id integer)", "alter table workload.ledger add column mine integer"] {
            let error = owner.batch_execute(ddl).await.err().with_context(|| format!("`{ddl}` went through"))?;
            let state = error.code().map(tokio_postgres::error::SqlState::code);
            ensure!(state == Some("55006"), "`{ddl}` was refused by something else: {error:?}");
        }
        // pglogical asks whoever drops something for rights of its own.
        owner.batch_execute("create temporary table mine (id integer); drop table mine").await?;
        no_function_of_pglogical_is_open(&owner).await?;
    }
    Ok(())
}

async fn no_function_of_pglogical_is_open(application: &tokio_postgres::Client) -> Result<()> {
    let open = "select count(*) from pg_catalog.pg_proc
        where pronamespace = 'pglogical'::regnamespace and has_function_privilege(oid, 'execute')";
    let count: i64 = application.query_one(open, &[]).await?.get(0);
    ensure!(count == 0, "the application may call {count} functions of pglogical");
    Ok(())
}

async fn the_application_may_change_its_schema_again(info: &StackInfo) -> Result<()> {
    let owner = sql::as_role(info, &info.source, "shop", "shop_owner").await?;
    owner.batch_execute("create table workload.mine (id integer); drop table workload.mine").await?;
    Ok(())
}

async fn no_session_is_left(info: &StackInfo) -> Result<()> {
    let sessions = "select count(*) from pg_catalog.pg_stat_activity where application_name like 'changeover/%'";
    for cluster in [&info.source, &info.target] {
        process::wait_until("the worker's sessions are gone", Duration::from_secs(20), async || {
            sql::number(cluster, "postgres", sessions).await.is_ok_and(|count| count == 0)
        })
        .await?;
    }
    Ok(())
}
