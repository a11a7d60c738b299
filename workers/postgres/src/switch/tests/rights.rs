//! Rights are given back exactly as they were, or nothing is taken.

use rstest::rstest;

use super::ground::Ground;

const ROLES: &str = r#"
    create role shop_owner; create role "Owner ""x""";
    create role first; create role second; create role third; create role poor; create role "we ird" login; create role app login;
"#;

/// Chains of grantors, on tables, columns and sequences; owners without rights of their own; names that need quotes.
const SCHEMA: &str = r#"
    grant create on database shop to shop_owner, "Owner ""x""";
    set role shop_owner;
    create schema shop;
    grant usage on schema shop to public;
    create table shop.untouched (id int);
    create table shop.chain (id int, v int);
    create table shop."Ta ""ble" (id int, "co l" int);
    create table shop.own_rights_revoked (id serial);
    create sequence shop.numbers;
    grant insert, update on shop.chain to first with grant option;
    grant select, delete on shop.chain to public;
    grant update ("co l"), insert (id) on shop."Ta ""ble" to first with grant option;
    grant all on shop.numbers to first with grant option;
    grant truncate, references, trigger on shop.chain to app;
    revoke insert, update on shop.own_rights_revoked from shop_owner;
    set role first;
    grant insert, update on shop.chain to second with grant option;
    grant insert on shop.chain to third;
    grant update ("co l") on shop."Ta ""ble" to second with grant option;
    grant usage, update on shop.numbers to second with grant option;
    set role second;
    grant insert, update on shop.chain to public;
    grant update (v) on shop.chain to third;
    grant update ("co l") on shop."Ta ""ble" to "we ird";
    grant usage on shop.numbers to "we ird" with grant option;
    -- a grantor that is a member of the owner
    reset role; grant shop_owner to second; set role second;
    grant insert on shop.chain to app;
    set role "Owner ""x""";
    create schema "Sche ma";
    grant usage on schema "Sche ma" to public;
    create table "Sche ma".part (id int) partition by range (id);
    create table "Sche ma".leaf partition of "Sche ma".part for values from (0) to (9);
    grant all on "Sche ma".leaf to app with grant option;
    grant insert on "Sche ma".part to public;
    reset role;
    -- an owner that may not use the schema
    create schema closed authorization shop_owner;
    create table closed.t (id int); alter table closed.t owner to poor;
    grant insert on closed.t to app;
"#;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn rights_are_given_back_with_grantor_and_option(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let before = ground.rights().await;
    assert!(before.iter().any(|line| line.contains(" by second to ")) && before.iter().any(|line| line.ends_with('*')));
    for _ in 0..2 {
        let fence = ground.lock().await;
        fence.finish().await.unwrap();
        drop(fence);
        let left: Vec<String> = ground.rights().await.into_iter().filter(|line| writes(line)).collect();
        assert_eq!(left, Vec::<String>::new());
        // Twice: an undo may be cut off after its commit.
        ground.undo().await.unwrap();
        ground.undo().await.unwrap();
        assert_eq!(ground.rights().await, before);
    }
}

/// A right to write, but of the migration's own login.
fn writes(line: &str) -> bool {
    let word = |word: &&str| line.contains(&format!(" {word} by "));
    ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "USAGE"].iter().any(word) && !line.contains("to changeover")
}

/// A fence that isn't committed leaves the rights as they are.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_is_let_go_leaves_nothing(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    let before = ground.rights().await;
    let fence = ground.lock().await;
    fence.check().await.unwrap();
    drop(fence);
    let gone = "select not exists (select from pg_locks where mode = 'ExclusiveLock' and locktype = 'relation')";
    ground.until("the locks are gone", gone).await;
    assert_eq!(ground.rights().await, before);
    ground.undo().await.unwrap();
    assert_eq!(ground.rights().await, before);
}

/// From 16 on a login can't add itself to a role that it has no ADMIN OPTION on: then nothing is taken that such a role granted.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_given_back_is_not_taken(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, ROLES, SCHEMA).await;
    ground
        .sql(
            "create role stranger; grant insert on shop.untouched to stranger with grant option; \
             set role stranger; grant insert on shop.untouched to app",
        )
        .await;
    let before = ground.rights().await;
    let prepared = ground.prepare_fence().await;
    if major == 15 {
        // CREATEROLE is enough there: it is a member for the time of the GRANT.
        let fence = prepared.unwrap();
        fence.lock(std::time::Duration::from_millis(300)).await.unwrap();
        fence.finish().await.unwrap();
        drop(fence);
        ground.undo().await.unwrap();
    } else {
        assert_eq!(prepared.err().unwrap().code, "CO0731");
        ground.sql("grant stranger to changeover with inherit true, set false").await;
        assert_eq!(ground.prepare_fence().await.err().unwrap().code, "CO0731");
        ground.sql("grant stranger to changeover with admin option").await;
        let fence = ground.lock().await;
        fence.finish().await.unwrap();
        drop(fence);
        ground.undo().await.unwrap();
    }
    assert_eq!(ground.rights().await, before);
}
