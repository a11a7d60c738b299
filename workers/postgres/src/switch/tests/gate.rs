//! The other means: nobody writes through a shut gate, replication does, a fence that dies lets go of it, and it goes without a
//! trace.

use std::time::{Duration, Instant};

use changeover_domain::{Side, fence::Fence as Means};
use rstest::rstest;
use tokio_postgres::Client;

use super::{
    ground::{AWAY, DATABASE, Ground},
    kinds::KINDS,
    queued::{Writer, unexpected, until_all_wait},
    shop::{self, Source},
};
use crate::{gate, home};

const WRITER: Source = Source { name: "direct", login: "", columns_only: false };
/// In this mode ordinary triggers don't fire.
const REPLICA: Source = Source { login: "set session_replication_role = replica", ..WRITER };

/// One for each way to write, three times: by an application, by a superuser, and by one who calls himself a replica. Row locks
/// aren't writes, and pass.
async fn writers(ground: &Ground) -> Vec<Writer> {
    let mut writers = Vec::new();
    for (role, source) in [("w_direct", &WRITER), ("rdsadmin", &WRITER), ("rdsadmin", &REPLICA)] {
        for kind in KINDS.iter().filter(|kind| !kind.name.starts_with("for ")) {
            writers.push(Writer::prepare(ground, role, source, kind, 100 + writers.len()).await);
        }
    }
    writers
}

async fn refused(client: &Client, sql: &str) {
    let error = client.batch_execute(sql).await.unwrap_err();
    assert_eq!(error.code().map(|code| code.code().to_owned()).as_deref(), Some("25006"), "{sql}: {error:?}");
}

/// Rights don't matter here, and sessions live on: the gate alone refuses everyone, for good, until it is opened.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn queued_writers_are_refused_at_the_gate(#[values(15, 16, 17, 18)] major: u32) {
    let mut ground = Ground::prepare(major, shop::ROLES, &shop::schema()).await;
    ground.keep_logins(shop::SOURCES.iter().map(|source| format!("w_{}", source.name)));
    ground.make_gate().await;
    let rows = ground.rows().await;
    let writers = writers(&ground).await;
    let fence = ground.lock_by(Means::Gate).await;
    let writers: Vec<_> = writers.into_iter().map(Writer::go).collect();
    until_all_wait(&ground, &writers).await;

    fence.check().await.unwrap();
    fence.commit().await.unwrap();
    assert_eq!(unexpected(writers, &["25006"]).await, []);
    assert_eq!(ground.rows().await, rows);
    let app = ground.login("w_direct").await;
    refused(&app, "insert into direct.t values (99, 0)").await;
    refused(&ground.superuser().await, "truncate direct.t").await;

    drop(fence);
    ground.undo().await.unwrap();
    app.batch_execute("insert into direct.t values (99, 0)").await.unwrap();
}

/// `setval` isn't undone with its transaction: a fence that dies behind it leaves the gate shut until the undo.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_whose_fence_died_is_opened_again(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, shop::ROLES, &shop::schema()).await;
    ground.make_gate().await;
    let app = ground.login("w_direct").await;
    // One that dies before it leaves nothing.
    let fence = ground.lock_by(Means::Gate).await;
    fence.check().await.unwrap();
    drop(fence);
    app.batch_execute("insert into direct.t values (98, 0)").await.unwrap();

    let fence = ground.lock_by(Means::Gate).await;
    fence.check().await.unwrap();
    fence.shut().await.unwrap();
    drop(fence);
    refused(&app, "insert into direct.t values (99, 0)").await;
    assert_eq!(ground.prepare_fence_by(Means::Gate).await.err().unwrap().code, "CO0719");
    ground.undo().await.unwrap();
    app.batch_execute("insert into direct.t values (99, 0)").await.unwrap();
    ground.lock_by(Means::Gate).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_transaction_holds_the_gate_open_and_is_named(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, shop::ROLES, &shop::schema()).await;
    ground.make_gate().await;
    let app = ground.login("w_direct").await;
    app.batch_execute("begin; insert into direct.t values (99, 0); prepare transaction 'order 17'").await.unwrap();
    let fence = ground.prepare_fence_by(Means::Gate).await.unwrap();
    let asked = Instant::now();
    assert_eq!(fence.lock(Duration::from_millis(300)).await.unwrap_err().code, "CO0710");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let named = fence.blockers().await;
    assert!(named.starts_with("prepared transaction order 17 (w_direct) has been writing for "), "{named}");
    drop(fence);
    app.batch_execute("commit prepared 'order 17'").await.unwrap();
    ground.lock_by(Means::Gate).await;
}

/// What comes or goes before the lock is found under it.
#[rstest]
#[case::off("alter table direct.t disable trigger changeover_gate")]
#[case::off_in_a_mode("alter table direct.t enable trigger changeover_gate_truncate")]
#[case::table("create table direct.more (id int)")]
#[case::partition("create table direct.part_c partition of direct.part for values from (-9) to (0)")]
#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_the_gate_is_noticed(#[values(15, 16, 17, 18)] major: u32, #[case] change: &str) {
    let ground = Ground::prepare(major, shop::ROLES, &shop::schema()).await;
    ground.make_gate().await;
    let fence = ground.prepare_fence_by(Means::Gate).await.unwrap();
    ground.sql(change).await;
    fence.lock(Duration::from_millis(300)).await.unwrap();
    fence.check().await.unwrap();
    assert_eq!(fence.commit().await.unwrap_err().code, "CO0760");
    let flag = ground.number("select last_value from changeover.gate_flag").await;
    assert_eq!(flag, 1, "it was shut nevertheless");
    drop(fence);
    assert_eq!(ground.prepare_fence_by(Means::Gate).await.err().unwrap().code, "CO0760");
}

/// What does no harm makes it look at each table again, and nothing else.
#[rstest]
#[case::table_goes("drop table direct.child")]
#[case::view_comes("create view direct.more as select 1 as id")]
#[case::table_changes_its_name("alter table direct.child rename to more")]
#[case::temporary_table("create temporary table more (id int)")]
#[tokio::test(flavor = "multi_thread")]
async fn other_changes_do_not_stop_the_fence(#[values(15, 18)] major: u32, #[case] change: &str) {
    let ground = Ground::prepare(major, shop::ROLES, &shop::schema()).await;
    ground.make_gate().await;
    let fence = ground.prepare_fence_by(Means::Gate).await.unwrap();
    let other = ground.superuser().await;
    other.batch_execute(change).await.unwrap();
    fence.lock(Duration::from_millis(300)).await.unwrap();
    fence.check().await.unwrap();
    fence.close_logins().await.unwrap();
    fence.commit().await.unwrap();
}

/// The servers' own replication: rows, and TRUNCATE, which is applied with statement triggers.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn replication_passes_a_shut_gate(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, shop::ROLES, &shop::schema()).await;
    ground.sql(&format!("create database {AWAY}")).await;
    let away = changeover_tests::stack::connect::as_superuser(ground.cluster(), AWAY).await.unwrap();
    let provider = "create schema direct; create table direct.t (id int primary key, v int); create publication all_of_it for all tables; \
                    alter table direct.t replica identity full";
    away.batch_execute(provider).await.unwrap();
    away.batch_execute("select pg_create_logical_replication_slot('there', 'pgoutput')").await.unwrap();
    let (socket, port) = (ground.cluster().socket(), ground.cluster().port);
    let subscribe = format!(
        "create subscription here connection 'host={} port={port} dbname={AWAY} user=rdsadmin' publication all_of_it \
         with (create_slot = false, slot_name = 'there', copy_data = false)",
        socket.display()
    );
    ground.sql("truncate direct.t").await;
    ground.sql(&subscribe).await;
    ground.make_gate().await;
    let fence = ground.lock_by(Means::Gate).await;
    fence.finish().await.unwrap();
    refused(&ground.superuser().await, "insert into direct.t values (99, 0)").await;

    for (sql, stands) in [
        ("insert into direct.t select i, 0 from generate_series(1, 50) i", "count(*) = 50"),
        ("delete from direct.t where id > 20; update direct.t set v = 7", "count(*) = 20 and min(v) = 7"),
        ("truncate direct.t", "count(*) = 0"),
        ("insert into direct.t values (1, 1)", "count(*) = 1"),
    ] {
        away.batch_execute(sql).await.unwrap();
        ground.until(&format!("`{sql}` arrives behind the gate"), &format!("select {stands} from direct.t")).await;
    }
    refused(&ground.superuser().await, "truncate direct.t").await;
}

/// As abort and finalize take it away: also behind a switch, while it is shut.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_gate_is_left(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, shop::ROLES, &shop::schema()).await;
    let triggers = "select count(*) from pg_trigger where not tgisinternal";
    let before = ground.number(triggers).await;
    for shut in [false, true] {
        ground.make_gate().await;
        assert!(ground.number(triggers).await >= before + 2 * 8 * shop::SOURCES.len() as i64);
        let fence = ground.lock_by(Means::Gate).await;
        if shut {
            fence.finish().await.unwrap();
        }
        drop(fence);
        assert!(gate::remove(&ground.migration, Side::Source).await.unwrap() >= 8 * shop::SOURCES.len() as u64);
        assert_eq!(gate::remove(&ground.migration, Side::Source).await.unwrap(), 0);
        assert_eq!(ground.number(triggers).await, before);
        let left = "select (select count(*) from pg_proc where proname = 'gate' and pronamespace = 'changeover'::regnamespace) \
                         + (select count(*) from pg_class where relname = 'gate_flag')";
        assert_eq!(ground.number(left).await, 0);
        ground.sql("insert into direct.t values (99, 0); delete from direct.t where id = 99").await;
    }
    home::remove(&ground.migration, &ground.migration.source).await.unwrap();
    assert_eq!(ground.number("select count(*) from pg_namespace where nspname = 'changeover'").await, 0, "{DATABASE}");
}
