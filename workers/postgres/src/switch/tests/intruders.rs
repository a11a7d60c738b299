//! What a lock on tables doesn't stop: GRANT, new tables, new roles, large objects.

use std::time::Duration;

use rstest::rstest;

use super::ground::{Ground, HOLD};

const ROLES: &str = "create role shop_owner login createrole; create role app login; create role outsider";
const SCHEMA: &str = "
    grant create on schema public to shop_owner;
    create table a (id int primary key, v int);
    alter table a owner to shop_owner;
    grant insert (id) on a to app;
";

#[rstest]
#[case::right("grant insert on a to outsider")]
#[case::right_on_a_column("grant update (v) on a to outsider")]
#[case::table("create table more (id int)")]
#[tokio::test(flavor = "multi_thread")]
async fn what_changes_before_the_rights_are_taken_is_noticed(
    #[values(15, 16, 17, 18)] major: u32,
    #[case] change: &str,
) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let fence = ground.prepare_fence().await.unwrap();
    ground.login("shop_owner").await.batch_execute(change).await.unwrap();
    assert_eq!(fence.lock(Duration::from_millis(300)).await.unwrap_err().code, "CO0722");
}

/// A GRANT on a table waits for the rights that are held ready; what doesn't wait is noticed under the lock.
#[rstest]
#[case::right_on_a_column("grant update (v) on a to outsider")]
#[case::table("create table more (id int)")]
#[case::membership("grant outsider to app")]
#[tokio::test(flavor = "multi_thread")]
async fn what_changes_before_the_lock_is_noticed(#[values(15, 16, 17, 18)] major: u32, #[case] change: &str) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let fence = ground.prepare_fence().await.unwrap();
    fence.hold().await.unwrap();
    ground.sql(change).await;
    fence.fence.aim(Duration::from_millis(300)).await.unwrap();
    fence.lock_for(HOLD).await.unwrap();
    assert_eq!(fence.check().await.unwrap_err().code, "CO0722");
}

/// A role that is made before the logins are held closed is closed with the others; from 16 on its maker alone may close it, and
/// the membership by which it may is noticed.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_comes_in_time_is_closed(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let fence = ground.prepare_fence().await.unwrap();
    ground.login("shop_owner").await.batch_execute("create role more login").await.unwrap();
    let locked = fence.lock(Duration::from_millis(300)).await;
    if major == 15 {
        locked.unwrap();
        assert!(fence.finish().await.unwrap().contains(&"more".to_owned()));
    } else {
        assert_eq!(locked.unwrap_err().code, "CO0722");
    }
}

/// Until its session is ended an application may still make what no lock holds: then the fence isn't committed.
#[rstest]
#[case::table("create table more (id int); insert into more values (1)")]
#[case::table_of_a_query("create table more as select 1 as id")]
#[case::sequence("create sequence more")]
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_under_the_lock_is_noticed(#[values(15, 16, 17, 18)] major: u32, #[case] change: &str) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let owner = ground.login("shop_owner").await;
    let fence = ground.lock().await;
    fence.check().await.unwrap();
    owner.batch_execute(change).await.unwrap();
    fence.close_logins().await.unwrap();
    assert_eq!(fence.commit().await.unwrap_err().code, "CO0722");
}

/// A role that may log in, made by a session that is about to be ended, when the others have been closed.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_comes_late_is_noticed(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let fence = ground.lock().await;
    fence.check().await.unwrap();
    fence.close_logins().await.unwrap();
    ground.sql("create role more login").await;
    assert_eq!(fence.commit().await.unwrap_err().code, "CO0722");
}

/// A GRANT on a fenced table waits for the fence and fails with it, or gives nothing.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_under_the_lock_gives_nothing(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let owner = ground.login("shop_owner").await;
    let fence = ground.lock().await;
    fence.check().await.unwrap();
    let grant = tokio::spawn(async move { owner.batch_execute("grant insert, update on a to outsider").await });
    ground.until_waiting(1).await;
    fence.close_logins().await.unwrap();
    fence.commit().await.unwrap();
    let code = grant.await.unwrap().unwrap_err().code().map_or("cut off".to_owned(), |code| code.code().to_owned());
    assert!(["57P01", "cut off"].contains(&&*code), "{code}");
    let may = "select count(*) from pg_roles r \
                where not rolsuper and rolname <> 'changeover' and rolname !~ '^pg_' and has_table_privilege(r.oid, 'a', 'insert, update')";
    assert_eq!(ground.number(may).await, 0);
}

/// Large objects aren't in a table that could be locked; preflight refuses a database that has some (CO0337). Under the lock they
/// are made until the session ends, and not afterwards.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn large_objects_end_with_their_sessions(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let app = ground.login("app").await;
    let fence = ground.lock().await;
    app.batch_execute("select lo_create(0)").await.unwrap();
    fence.finish().await.unwrap();
    app.batch_execute("select lo_create(0)").await.unwrap_err();
    assert_eq!(ground.number("select count(*) from pg_largeobject_metadata").await, 1);
}
