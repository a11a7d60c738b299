//! Sequences know no locks: their numbers stop with the rights, and none is given twice.

use rstest::rstest;

use super::ground::{AWAY, DATABASE, Ground};
use crate::sequences::{self, Reader};

const ROLES: &str = "create role shop_owner; create role app login";
const SCHEMA: &str = "
    create sequence plain; create sequence cached cache 20; create sequence down increment -3;
    alter sequence plain owner to shop_owner; alter sequence cached owner to shop_owner; alter sequence down owner to shop_owner;
    grant usage, update on sequence plain, cached, down to app;
";

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn no_number_is_taken_behind_the_fence_nor_given_twice(#[values(15, 16, 17, 18)] major: u32) {
    let mut ground = Ground::prepare(major, ROLES, SCHEMA).await;
    // its session outlives the fence
    ground.keep_logins(["app".to_owned()]);
    ground.sql(&format!("create database {AWAY} template template1 owner changeover")).await;
    let opening = ground.migration.source.open(AWAY, "switch-watcher").await.unwrap();
    opening
        .batch_execute("create sequence public.plain; create sequence public.cached cache 20; create sequence public.down increment -3")
        .await
        .unwrap();
    let app = ground.login("app").await;
    let next = async |name: &str| -> Result<i64, tokio_postgres::Error> {
        app.query_one(&format!("select nextval('{name}')"), &[]).await.map(|row| row.get(0))
    };

    let fence = ground.lock().await;
    let reader = Reader::prepare(&ground.migration, &fence.writer).await.unwrap();
    fence.check().await.unwrap();
    // The lock and the uncommitted REVOKE don't hold it up.
    let mut last = std::collections::BTreeMap::new();
    for name in ["plain", "cached", "down"] {
        for _ in 0..25 {
            last.insert(name, next(name).await.unwrap());
        }
    }
    fence.commit().await.unwrap();
    for name in last.keys() {
        for sql in [format!("select nextval('{name}')"), format!("select setval('{name}', 99)")] {
            let refused = app.batch_execute(&sql).await.unwrap_err();
            assert_eq!(refused.code().unwrap().code(), "42501", "{sql}");
        }
    }

    let at_rest = reader.read(&fence.writer).await.unwrap();
    let there = Reader::prepare(&ground.migration, &opening).await.unwrap().read(&opening).await.unwrap();
    let moves = sequences::moves_under_fence(&opening, &at_rest, &there).unwrap();
    assert_eq!(moves.len(), 3);
    sequences::apply(&opening, &moves).await.unwrap();
    for (name, given) in &last {
        let first: i64 = opening.query_one(&format!("select nextval('public.{name}')"), &[]).await.unwrap().get(0);
        assert!(if *name == "down" { first < *given } else { first > *given }, "{name}: {first} after {given}");
    }
    drop(fence);
    assert_eq!(opening.database, AWAY);
    ground.undo().await.unwrap();
    let onward = ground.login("app").await;
    onward.batch_execute("select nextval('plain')").await.unwrap_or_else(|e| panic!("{DATABASE}: {e:?}"));
}
