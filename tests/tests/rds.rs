//! What the emulated RDS gives to a login that isn't a superuser is enough for pglogical, and nothing else runs as one.

use anyhow::{Context, Result};
use changeover_tests::stack::connect::{self, Login};
use changeover_tests::stack::{Cluster, Side, Stack, StackInfo, StackOptions, audit, process, rds, sample_login};
use std::time::Duration;
use tokio_postgres::Client;

async fn as_role(info: &StackInfo, cluster: &Cluster, user: &str, password: &str) -> Result<Client> {
    let login = Login { port: cluster.port, database: "shop", user, password, application_name: "test" };
    connect::as_login(login, &connect::tls(&info.ca)?).await
}

fn dsn(info: &StackInfo, cluster: &Cluster, user: &str, password: &str) -> String {
    format!(
        "host=127.0.0.1 port={} dbname=shop user={user} password={password} sslmode=verify-full sslrootcert={}",
        cluster.port,
        info.ca.display()
    )
}

async fn count(client: &Client, query: &str) -> i64 {
    match client.query_one(query, &[]).await {
        Ok(row) => row.get(0),
        Err(_) => -1,
    }
}

async fn provide(info: &StackInfo, owner: &Client, source: &Client) -> Result<()> {
    owner
        .batch_execute(
            "create schema app;
             create table app.t (id int primary key);
             insert into app.t select pg_catalog.generate_series(1, 1000);
             grant usage on schema app to changeover_repl;
             grant select on app.t to changeover_repl",
        )
        .await?;
    source.batch_execute("grant shop_owner to changeover").await?;
    source.execute("select rds_tools.escalate('create_extension_pglogical', null)", &[]).await?;
    let own = dsn(info, &info.source, rds::MASTER, &info.source_passwords.master);
    source.execute("select pglogical.create_node('source', $1)", &[&own]).await?;
    source
        .batch_execute(
            "select pglogical.create_replication_set('s'); select pglogical.replication_set_add_table('s', 'app.t')",
        )
        .await?;
    Ok(())
}

async fn subscribe(info: &StackInfo, target: &Client) -> Result<()> {
    target.batch_execute("create schema app; create table app.t (id int primary key)").await?;
    target.execute("select rds_tools.escalate('create_extension_pglogical', null)", &[]).await?;
    let own = dsn(info, &info.target, rds::MASTER, &info.target_passwords.master);
    target.execute("select pglogical.create_node('target', $1)", &[&own]).await?;
    let provider = dsn(info, &info.source, rds::REPLICATION, &info.source_passwords.replication);
    let subscribe = "select pglogical.create_subscription('s', $1, array['s'], false, true, '{}')";
    target.execute(subscribe, &[&provider]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pglogical_replicates_without_a_superuser_and_leaves_nothing() -> Result<()> {
    let options = StackOptions { temporal: None, create_source_databases: true, ..StackOptions::default() };
    let stack = Stack::start(options).await?;
    let info = stack.info();
    let owner = sample_login("shop_owner");
    let owner = as_role(info, &info.source, &owner.name, &owner.password).await?;
    let source = as_role(info, &info.source, rds::MASTER, &info.source_passwords.master).await?;
    let target = as_role(info, &info.target, rds::MASTER, &info.target_passwords.master).await?;
    provide(info, &owner, &source).await?;
    subscribe(info, &target).await?;

    let deadline = Duration::from_secs(60);
    process::wait_until("the initial copy has arrived", deadline, async || {
        count(&target, "select count(*) from app.t").await == 1000
    })
    .await?;
    owner.execute("insert into app.t values (0)", &[]).await?;
    process::wait_until("a change has arrived", deadline, async || {
        count(&target, "select count(*) from app.t where id = 0").await == 1
    })
    .await?;

    target.execute("select pglogical.drop_subscription('s')", &[]).await?;
    target.execute("select pglogical.drop_node('target')", &[]).await?;
    process::wait_until("the slot is gone", deadline, async || {
        count(&source, "select count(*) from pg_catalog.pg_replication_slots").await == 0
    })
    .await?;
    source.execute("select pglogical.drop_node('source')", &[]).await?;
    for client in [&source, &target] {
        client.execute("select rds_tools.escalate('drop_extension_pglogical', null)", &[]).await?;
    }
    for side in [Side::Source, Side::Target] {
        let foreign = audit::foreign_superuser_statements(info.cluster(side), &["rdsadmin".to_owned()])?;
        assert_eq!(foreign, Vec::new());
        let statements = audit::statements(info.cluster(side))?;
        let escalations = statements
            .iter()
            .filter(|statement| statement.user == rds::MASTER && statement.text.contains("rds_tools.escalate"))
            .count();
        assert_eq!(escalations, 2, "the log holds every statement of the login");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ddl_guard_is_made_and_removed_by_the_escalation() -> Result<()> {
    let options = StackOptions { temporal: None, create_source_databases: true, ..StackOptions::default() };
    let stack = Stack::start(options).await?;
    let info = stack.info();
    let source = as_role(info, &info.source, rds::MASTER, &info.source_passwords.master).await?;
    source.batch_execute("grant shop_owner to changeover").await?;
    source
        .batch_execute(
            "create schema changeover;
             create function changeover.refuse_ddl() returns event_trigger language plpgsql
                as 'begin raise exception ''no ddl'' using errcode = ''55000''; end'",
        )
        .await?;
    source.execute("select rds_tools.escalate('create_event_trigger', 'changeover_guard')", &[]).await?;
    let refused = source.batch_execute("create table public.t ()").await.err().context("DDL went through")?;
    assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("55000"));
    for _ in 0..2 {
        source.execute("select rds_tools.escalate('drop_event_trigger', 'changeover_guard')", &[]).await?;
    }
    source.batch_execute("create table public.t ()").await?;
    Ok(())
}
