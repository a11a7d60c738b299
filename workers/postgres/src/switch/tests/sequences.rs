//! Sequences know no locks: their numbers stop with the rights, and none is given twice.

use std::time::{Duration, Instant};

use rstest::rstest;

use super::ground::{AWAY, DATABASE, EPOCH, Ground};
use crate::{
    Session,
    sequences::{self, Reader, States, Watch},
    switch::{
        ahead,
        effect::{Effect, perform},
    },
};

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
    let there = read(&ground, &opening).await;
    let watch = watch(&ground, &fence.writer, &there).await;
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

    let at_rest = watch.look(&fence.writer).await.unwrap();
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

async fn read(ground: &Ground, session: &Session) -> States {
    Reader::prepare(&ground.migration, session).await.unwrap().read(session).await.unwrap()
}

async fn watch(ground: &Ground, closing: &Session, there: &States) -> Watch {
    let reader = Reader::prepare(&ground.migration, closing).await.unwrap();
    let here = reader.read(closing).await.unwrap();
    Watch::prepare(&reader, closing, &here, there).await.unwrap()
}

/// One sequence for each way to stand after the margin was set, which is 100 numbers here: its definition, what is said before the
/// margin, what is said afterwards, and whether it must be told under the fence.
const WAYS: &[(&str, &str, &str, &str, bool)] = &[
    ("within", "", "select nextval('within')", "select nextval('within') from generate_series(1, 50)", false),
    (
        "at_the_edge",
        "",
        "select nextval('at_the_edge')",
        "select nextval('at_the_edge') from generate_series(1, 100)",
        false,
    ),
    ("beyond", "", "select nextval('beyond')", "select nextval('beyond') from generate_series(1, 101)", true),
    ("cached", "cache 200", "select nextval('cached')", "select nextval('cached') from generate_series(1, 200)", true),
    ("down", "increment -3", "select nextval('down')", "select nextval('down') from generate_series(1, 90)", false),
    (
        "far_down",
        "increment -3",
        "select nextval('far_down')",
        "select nextval('far_down') from generate_series(1, 101)",
        true,
    ),
    ("set_far", "", "select nextval('set_far')", "select setval('set_far', 5000)", true),
    ("set_far_uncalled", "", "", "select setval('set_far_uncalled', 5000, false)", true),
    ("set_back", "", "select setval('set_back', 700)", "select setval('set_back', 3)", false),
    (
        "set_back_uncalled",
        "",
        "select setval('set_back_uncalled', 700)",
        "select setval('set_back_uncalled', 3, false)",
        true,
    ),
    ("never_called", "", "", "", true),
    (
        "cycling",
        "minvalue 1 maxvalue 9 cycle",
        "select nextval('cycling')",
        "select nextval('cycling') from generate_series(1, 12)",
        true,
    ),
    (
        "lowest",
        "increment -1 minvalue -9223372036854775808 start -9223372036854775800",
        "select nextval('lowest')",
        "select nextval('lowest') from generate_series(1, 8)",
        true,
    ),
];

/// What the server doesn't tell needs no move, and what it tells is where the sequence stands.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_the_margin_does_not_cover_is_told(#[values(15, 16, 17, 18)] major: u32) {
    let ground = Ground::prepare(major, "", "").await;
    ground.sql(&format!("create database {AWAY} template template1 owner changeover")).await;
    let closing = ground.migration.source.open(DATABASE, "switch-fence").await.unwrap();
    let opening = ground.migration.source.open(AWAY, "switch-watcher").await.unwrap();
    let app = ground.migration.source.open(DATABASE, "switch-writer").await.unwrap();
    for session in [&closing, &opening, &app] {
        session.batch_execute("set search_path = public").await.unwrap();
    }
    for (name, definition, before, ..) in WAYS {
        for session in [&app, &opening] {
            session.batch_execute(&format!("create sequence public.{name} {definition}")).await.unwrap();
        }
        app.batch_execute(before).await.unwrap();
    }
    let moves =
        sequences::moves_ahead(&opening, &read(&ground, &app).await, &read(&ground, &opening).await, 100).unwrap();
    perform(Effect::RaiseSequences, |_| sequences::apply(&opening, &moves)).await.unwrap();
    let there = read(&ground, &opening).await;
    let watch = watch(&ground, &closing, &there).await;
    for (_, _, _, after, _) in WAYS {
        app.batch_execute(after).await.unwrap();
    }

    let told = watch.look(&closing).await.unwrap();
    let at_rest = read(&ground, &app).await;
    let names: Vec<String> = told.keys().map(|name| name.raw()).collect();
    let mut wanted: Vec<String> =
        WAYS.iter().filter(|(.., told)| *told).map(|(name, ..)| format!("public.{name}")).collect();
    wanted.sort();
    assert_eq!(names, wanted);
    assert!(told.iter().all(|(name, state)| at_rest[name] == *state));
    let needed = sequences::moves_under_fence(&opening, &at_rest, &there).unwrap();
    assert_eq!(sequences::moves_under_fence(&opening, &told, &there).unwrap(), needed);
    assert!(needed.len() >= 6, "{needed:?}");
}

/// A cycling sequence is set to where the other side's stands, maybe back: not by an attempt that was overtaken.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn who_was_overtaken_moves_no_sequence(#[values(15, 18)] major: u32) {
    let ground = Ground::prepare(major, "", "").await;
    let opening = ground.migration.source.open(DATABASE, "switch-watcher").await.unwrap();
    let here = "create sequence public.round maxvalue 9 cycle; select setval('public.round', 3)";
    opening.batch_execute(here).await.unwrap();
    let closing = read(&ground, &opening).await;
    let stands = "select last_value from public.round";
    let set = async |value: i64, wanted: Result<(), &str>| {
        opening.batch_execute(&format!("select setval('public.round', {value})")).await.unwrap();
        let moves = sequences::moves_under_fence(&opening, &closing, &read(&ground, &opening).await).unwrap();
        assert_eq!(moves.len(), 1);
        let change = |change| ahead::set(change, &opening, &ground.migration, EPOCH, &moves);
        let outcome = perform(Effect::SettleSequences, change).await;
        assert_eq!(outcome.as_ref().map_err(|failure| &*failure.code).copied(), wanted, "{outcome:?}");
        ground.number(stands).await
    };
    assert_eq!(set(8, Ok(())).await, 3);
    ground.sql("insert into changeover.decision values (1, 'abort')").await;
    assert_eq!(set(7, Err("CO0711")).await, 7);
    ground.sql("delete from changeover.decision; update changeover.migration set epoch = 2").await;
    assert_eq!(set(6, Err("CO0211")).await, 6);
    // And its session is none the worse for it.
    ground.sql("update changeover.migration set epoch = 1").await;
    assert_eq!(set(5, Ok(())).await, 3);
}

/// How long the look takes, and that a SELECT from each takes longer. `CHANGEOVER_SEQUENCES` says how many.
#[tokio::test(flavor = "multi_thread")]
async fn many_sequences_are_looked_at_quickly() {
    let many: u32 = std::env::var("CHANGEOVER_SEQUENCES").map_or(1_000, |text| text.parse().unwrap());
    let ground = Ground::prepare(15, "", "").await;
    let make = format!(
        "do $$ begin for i in 1..{many} loop \
           execute format('create sequence public.s%s', i); perform nextval(format('public.s%s', i)); \
           if i % 500 = 0 then commit; end if; end loop; end $$"
    );
    ground.migration.source.open(DATABASE, "sequences").await.unwrap().batch_execute(&make).await.unwrap();
    let session = ground.migration.source.open(DATABASE, "switch-fence").await.unwrap();
    let reader = Reader::prepare(&ground.migration, &session).await.unwrap();
    let stand = reader.read(&session).await.unwrap();
    assert_eq!(stand.len(), many as usize);
    let watch = Watch::prepare(&reader, &session, &stand, &stand).await.unwrap();
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..7 {
        let begun = Instant::now();
        assert_eq!(reader.read(&session).await.unwrap().len(), stand.len());
        took[0].push(begun.elapsed());
        let begun = Instant::now();
        assert!(watch.look(&session).await.unwrap().is_empty());
        took[1].push(begun.elapsed());
    }
    took.iter_mut().for_each(|took| took.sort());
    let [read, look] = took.map(|took| (took[0], took[3]));
    println!("{many} sequences: SELECT of each {read:?}, look {look:?} (shortest, median)");
    assert!(look.0 < read.0.max(Duration::from_millis(1)), "{look:?} against {read:?}");
    ground.sql("select nextval('public.s7')").await;
    assert_eq!(watch.look(&session).await.unwrap().len(), 1);
}
