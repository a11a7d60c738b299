//! What stands in the way of the lock: vacuum, DDL, writers of two tables, prepared transactions.

use std::time::{Duration, Instant};

use changeover_domain::gate::{self, Limits, Reason};
use rstest::rstest;

use super::ground::Ground;
use crate::switch::{
    effect::{Effect, perform},
    measure,
};

/// As in a spec that says nothing.
const BUDGET: Duration = Duration::from_millis(300);

const ROLES: &str = "create role shop_owner login; create role app login";
const SCHEMA: &str = "
    create table a (id int primary key, v int);
    create table b (id int primary key, v int);
    alter table a owner to shop_owner; alter table b owner to shop_owner;
    grant select, insert, update, delete on a, b to app;
    insert into a select i, 0 from generate_series(1, 1000) i;
";

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn autovacuum_gives_way_before_the_pause(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let slow = "insert into a select i, 0 from generate_series(1001, 20000) i; \
                alter table a set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, \
                                   autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0); \
                update a set v = 1";
    ground.sql(slow).await;
    let at_work = "select exists (select from pg_stat_progress_vacuum v join pg_stat_activity s on s.pid = v.pid \
                    where v.relid = 'a'::regclass and s.backend_type = 'autovacuum worker')";
    ground.until("autovacuum is at work", at_work).await;
    let fence = ground.prepare_fence().await.unwrap();
    let asked = Instant::now();
    fence.lock(BUDGET).await.unwrap();
    assert!(asked.elapsed() < BUDGET / 2, "{:?}", asked.elapsed());
    // It comes again and again meanwhile, and passes over a table that it can't lock.
    fence.finish().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn ddl_and_vacuum_wait_while_writers_go_on(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let fence = ground.prepare_fence().await.unwrap();
    let mut waiting = Vec::new();
    for sql in ["vacuum a", "analyze b", "comment on table b is 'x'", "alter table a set (autovacuum_enabled = off)"] {
        let owner = ground.login("shop_owner").await;
        waiting.push(tokio::spawn(async move { owner.batch_execute(sql).await }));
    }
    ground.until_waiting(waiting.len()).await;
    ground.login("app").await.batch_execute("insert into b values (1, 1); update a set v = 2").await.unwrap();
    let asked = Instant::now();
    fence.lock(BUDGET).await.unwrap();
    assert!(asked.elapsed() < BUDGET / 2, "{:?}", asked.elapsed());
    perform(Effect::ReleaseFence, |change| fence.fence.roll_back(change)).await.unwrap();
    for ddl in waiting {
        ddl.await.unwrap().unwrap();
    }
}

/// The fence has `a` and wants `b`, the writer has `b` and wants `a`: the fence gives up before the server looks for deadlocks.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_of_two_tables_outlives_the_fence(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let app = ground.login("app").await;
    let fence = ground.prepare_fence().await.unwrap();
    app.batch_execute("begin; insert into b values (1, 1)").await.unwrap();
    let asked = Instant::now();
    let write = async {
        ground.until("the fence waits", FENCE_WAITS).await;
        app.batch_execute("insert into a values (-1, 1); commit").await
    };
    let (locked, written) = futures::join!(fence.lock(BUDGET), write);
    let (took, failure) = (asked.elapsed(), locked.unwrap_err());
    assert_eq!((&*failure.code, failure.sqlstate), ("CO0710", None));
    written.unwrap();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(ground.number("select count(*) from a where id = -1").await, 1);
    // And it is had when it's tried again.
    drop(fence);
    ground.lock().await;
}

const FENCE_WAITS: &str = "select exists (select from pg_stat_activity where application_name like '%switch-fence' and wait_event_type = 'Lock')";

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_transaction_is_refused_and_named(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let app = ground.login("app").await;
    app.batch_execute("begin; insert into b values (1, 1); prepare transaction 'order 17'").await.unwrap();

    let measured = measure::closing_side(&ground.migration).await.unwrap();
    let limits =
        Limits { forward: None, max_lag_bytes: 1, max_transaction_age_ms: 1, max_canary_age_ms: 1, fence_lock_ms: 1 };
    let reasons = gate::may_switch(&measured, &limits).unwrap_err();
    assert!(reasons.contains(&Reason::Prepared(1)), "{reasons:?}");

    let fence = ground.prepare_fence().await.unwrap();
    let asked = Instant::now();
    assert_eq!(fence.lock(BUDGET).await.unwrap_err().code, "CO0710");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let named = fence.blockers().await;
    assert!(named.starts_with("prepared transaction order 17 (app) holds RowExclusiveLock on "), "{named}");
    drop(fence);

    app.batch_execute("commit prepared 'order 17'").await.unwrap();
    ground.lock().await;
}
