//! The local stack itself: it comes up as promised, its parts die and return, and nothing stays behind.

use anyhow::{Context, Result};
use changeover_tests::stack::connect::{self, Login};
use changeover_tests::stack::{
    Cluster, Part, PoolerLogin, Side, Stack, StackInfo, StackOptions, StopMode, audit, guard, prepare, process, rds,
    sample_login,
};
use std::path::PathBuf;
use std::time::Duration;

/// The number that a query of one row and one column answers, by the simple protocol, as the pooler needs it.
async fn number(client: &tokio_postgres::Client, query: &str) -> Result<i64> {
    for message in client.simple_query(query).await? {
        if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
            return Ok(row.get(0).context("null")?.parse()?);
        }
    }
    anyhow::bail!("no row from {query}")
}

fn with_source_databases() -> StackOptions {
    StackOptions { create_source_databases: true, ..StackOptions::default() }
}

async fn through_pooler(info: &StackInfo, login: &PoolerLogin) -> Result<tokio_postgres::Client> {
    let login = Login {
        port: info.pooler.port,
        database: "shop",
        user: &login.name,
        password: &login.password,
        application_name: "test",
    };
    connect::as_login(login, &connect::tls(&info.ca)?).await
}

async fn as_master(info: &StackInfo, cluster: &Cluster, database: &str) -> Result<tokio_postgres::Client> {
    let login = Login {
        port: cluster.port,
        database,
        user: rds::MASTER,
        password: &info.passwords(cluster.side).master,
        application_name: "test",
    };
    connect::as_login(login, &connect::tls(&info.ca)?).await
}

fn servers(info: &StackInfo) -> Vec<u32> {
    let temporal = info.temporal.as_ref().and_then(changeover_tests::stack::Temporal::pid);
    [info.source.postmaster_pid(), info.target.postmaster_pid(), info.pooler.pid(), temporal]
        .into_iter()
        .flatten()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_serves_survives_the_death_of_each_part_and_leaves_nothing() -> Result<()> {
    let stack = Stack::start(with_source_databases()).await?;
    let info = stack.info().clone();
    assert_eq!(servers(&info).len(), 4);

    let client = through_pooler(&info, &sample_login("shop_owner")).await?;
    client.batch_execute("create table t (id int primary key); insert into t values (1)").await?;
    assert_eq!(number(&client, "select inet_server_port()").await?, i64::from(info.source.port));

    info.source.kill().await?;
    assert!(!info.source.is_running());
    info.source.start(stack.user()).await?;
    info.target.stop(stack.user(), StopMode::Immediate).await?;
    info.target.start(stack.user()).await?;
    info.pooler.kill().await?;
    info.pooler.start(stack.user()).await?;
    let temporal = info.temporal.clone().context("a stack has Temporal unless told otherwise")?;
    temporal.kill().await?;
    temporal.start().await?;
    assert_eq!(servers(&info).len(), 4);

    let client = through_pooler(&info, &sample_login("shop_owner")).await?;
    assert_eq!(number(&client, "select count(*) from t").await?, 1);

    let servers = servers(&info);
    stack.stop().await?;
    assert!(servers.iter().all(|pid| !process::is_alive(*pid)));
    assert!(!info.directory.exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pooler_follows_its_databases_file_after_a_reload() -> Result<()> {
    let stack = Stack::start(StackOptions { temporal: None, ..with_source_databases() }).await?;
    let info = stack.info();
    let owner = sample_login("shop_owner");
    rds::create_login(&info.target, &owner.name, &owner.password).await?;
    let client = through_pooler(info, &owner).await?;
    assert_eq!(number(&client, "select inet_server_port()").await?, i64::from(info.source.port));

    let moved = changeover_tests::stack::pooler::databases_section(&info.databases, &info.target)?;
    std::fs::write(info.pooler.databases_file(), moved)?;
    let admin = PoolerLogin {
        name: changeover_tests::stack::pooler::ADMIN.to_owned(),
        password: info.pooler.admin_password.clone(),
    };
    let login = Login {
        port: info.pooler.port,
        database: "pgbouncer",
        user: &admin.name,
        password: &admin.password,
        application_name: "test",
    };
    let console = connect::as_login(login, &connect::tls(&info.ca)?).await?;
    for command in ["pause", "reload", "resume"] {
        console.simple_query(command).await?;
    }
    assert_eq!(number(&client, "select inet_server_port()").await?, i64::from(info.target.port));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_takes_tls_only_and_no_superuser_from_the_network() -> Result<()> {
    let stack = Stack::start(StackOptions { temporal: None, ..StackOptions::default() }).await?;
    let info = stack.info();
    for side in [Side::Source, Side::Target] {
        let cluster = info.cluster(side);
        let mut plain = tokio_postgres::Config::new();
        plain.host("127.0.0.1").port(cluster.port).dbname("postgres").user(rds::MASTER);
        plain.password(&info.passwords(side).master).ssl_mode(tokio_postgres::config::SslMode::Disable);
        let refusal =
            plain.connect(tokio_postgres::NoTls).await.err().context("a connection without TLS was let in")?;
        assert_eq!(refusal.code().map(tokio_postgres::error::SqlState::code), Some("28000"));

        let superuser = Login {
            port: cluster.port,
            database: "postgres",
            user: "rdsadmin",
            password: "",
            application_name: "test",
        };
        assert!(connect::as_login(superuser, &connect::tls(&info.ca)?).await.is_err());

        let client = as_master(info, cluster, "postgres").await?;
        let row =
            client.query_one("select rolsuper from pg_catalog.pg_roles where rolname = current_user", &[]).await?;
        assert!(!row.get::<_, bool>(0));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_escalation_does_its_closed_list_records_it_and_refuses_the_rest() -> Result<()> {
    let stack = Stack::start(StackOptions { temporal: None, ..StackOptions::default() }).await?;
    let info = stack.info();
    let client = as_master(info, &info.target, "shop").await?;
    // `shop` was created from template1; template0 has the door too, for databases with a locale of their own.
    client.batch_execute("create database other template template0").await?;
    let other = as_master(info, &info.target, "other").await?;
    other.execute("select rds_tools.escalate('drop_event_trigger', 'changeover_none')", &[]).await?;

    for action in ["alter system", "create_extension_pglogical; drop role rdsadmin"] {
        let error =
            client.execute("select rds_tools.escalate($1, null)", &[&action]).await.err().context("not refused")?;
        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("0A000"), "{error:?}");
    }
    for name in ["rds_own", "changeover_x on ddl_command_end execute function f(); --", ""] {
        let error = client
            .execute("select rds_tools.escalate('create_event_trigger', $1)", &[&name])
            .await
            .err()
            .context("not refused")?;
        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("42602"), "{error:?}");
    }
    for _ in 0..2 {
        client.execute("select rds_tools.escalate('create_extension_pglogical', null)", &[]).await?;
    }
    client.query("select pglogical.create_node('n', 'host=127.0.0.1 dbname=shop')", &[]).await?;
    client.query("select pglogical.drop_node('n')", &[]).await?;
    for _ in 0..2 {
        client.execute("select rds_tools.escalate('drop_extension_pglogical', null)", &[]).await?;
    }
    let left =
        client.query_one("select count(*) from pg_catalog.pg_namespace where nspname = 'pglogical'", &[]).await?;
    assert_eq!(left.get::<_, i64>(0), 0);
    assert!(client.query("select * from rds_tools.audit", &[]).await.is_err(), "the audit is the superuser's alone");

    let superuser = connect::as_superuser(&info.target, "shop").await?;
    let rows = superuser.query("select login::text, action from rds_tools.audit order by id", &[]).await?;
    let actions: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected = ["create_extension_pglogical"; 2].into_iter().chain(["drop_extension_pglogical"; 2]);
    assert_eq!(actions, expected.map(|action| (rds::MASTER.to_owned(), action.to_owned())).collect::<Vec<_>>());

    // A superuser's session that isn't the harness's shows in the audit of the log.
    let superusers = vec!["rdsadmin".to_owned()];
    assert_eq!(audit::foreign_superuser_statements(&info.target, &superusers)?, Vec::new());
    superuser.batch_execute("set application_name = 'somebody'; select 'planted'").await?;
    superuser.batch_execute("select 'planted too'").await?;
    let found = audit::foreign_superuser_statements(&info.target, &superusers)?;
    assert_eq!(found.iter().filter(|statement| statement.text.contains("planted")).count(), 1, "{found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rds_provides_does_not_show_as_the_applications_rights_in_a_dump() -> Result<()> {
    let stack = Stack::start(StackOptions { temporal: None, ..StackOptions::default() }).await?;
    let target = &stack.info().target;
    let mut command = tokio::process::Command::new(format!("{}/pg_dump", changeover_tests::stack::cluster::PG_BIN));
    command.args(["-s", "-N", "rds_tools", "-U", "rdsadmin", "-h"]).arg(target.socket());
    command.arg("-p").arg(target.port.to_string()).arg("shop");
    let output = process::run(command, Duration::from_secs(30)).await?;
    let dump = String::from_utf8(output.stdout)?;
    assert!(!dump.contains("rds_superuser") && !dump.contains("pg_replication_origin"), "{dump}");
    Ok(())
}

/// The helper process of the next test: starts a stack, says where, and waits to be killed.
#[tokio::test(flavor = "multi_thread")]
async fn helper_that_is_killed() -> Result<()> {
    let Some(directory) = std::env::var_os("CHANGEOVER_TEST_DOOMED_STACK") else { return Ok(()) };
    let options = StackOptions { directory: Some(PathBuf::from(directory)), ..StackOptions::default() };
    let stack = Stack::start(options).await?;
    std::fs::write(stack.info().directory.join("up"), "")?;
    std::future::pending::<()>().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_harness_takes_its_servers_with_it() -> Result<()> {
    let directory = std::env::temp_dir().join(format!("changeover-doomed-{}", std::process::id()));
    let mut helper = tokio::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "helper_that_is_killed", "--nocapture"])
        .env("CHANGEOVER_TEST_DOOMED_STACK", &directory)
        .kill_on_drop(true)
        .spawn()?;
    process::wait_until("the helper's stack is up", Duration::from_secs(90), async || directory.join("up").exists())
        .await?;
    let info = StackInfo::load(&directory)?;
    let servers = servers(&info);
    assert_eq!(servers.len(), 4);

    helper.kill().await?;
    process::wait_until("the servers are gone", Duration::from_secs(30), async || {
        servers.iter().all(|pid| !process::is_alive(*pid)) && !directory.exists()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_stack_is_found_and_taken_down_by_its_directory() -> Result<()> {
    let stack = Stack::start(StackOptions { temporal: None, ..StackOptions::default() }).await?;
    let info = stack.detach()?;
    let servers = servers(&info);
    assert_eq!(servers.len(), 3);
    assert!(guard::stacks()?.contains(&info.directory));
    assert_eq!(StackInfo::load(&info.directory)?.source.port, info.source.port);

    guard::take_down(&info.directory, false)?;
    assert!(servers.iter().all(|pid| !process::is_alive(*pid)));
    assert!(!info.directory.exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_runs_by_itself_is_made_once_and_keeps_its_data() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut options = StackOptions { temporal: None, ..with_source_databases() };
    "localhost".clone_into(&mut options.hosts.source);
    let info = prepare(directory.path(), &options).await?;
    assert_eq!(prepare(directory.path(), &options).await?.source.port, info.source.port);
    let user = process::ServerUser::detect()?;

    // A creation that was cut off leaves a data directory, and no note that it is made.
    std::fs::create_dir(info.source.data())?;
    Part::Source.start(&info, user, &options).await?;
    assert!(Part::Source.is_running(&info) && !Part::Target.is_running(&info));
    rds::psql(&info.source, "shop", "create table t ()").await?;

    info.source.kill().await?;
    assert!(!Part::Source.is_running(&info));
    Part::Source.start(&info, user, &options).await?;
    rds::psql(&info.source, "shop", "drop table t").await?;
    Part::Source.stop(&info, user).await?;
    assert!(!Part::Source.is_running(&info));
    Ok(())
}
