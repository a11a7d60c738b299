//! Slots and the WAL that they hold back; settings and limits that others have set.

use std::time::{Duration, Instant};

use changeover_domain::{
    Class, Direction, Side,
    proto::Budgets,
    wal::{Level, Pile, judge},
};
use changeover_postgres::{drift, pglogical};
use changeover_tests::stack::StopMode;
use tokio_postgres::SimpleQueryMessage;

use super::{
    ground::{self, DATABASE},
    link::{DATABASES, DEADLINE, IDLE, Link, until},
};

/// Nothing that replication needs takes so little.
const HASTE: [&str; 3] =
    ["statement_timeout = '1ms'", "idle_in_transaction_session_timeout = '1ms'", "lock_timeout = '1ms'"];

#[tokio::test(flavor = "multi_thread")]
async fn slots_are_made_move_and_are_stopped_in_time() {
    // Without a timeout the walsender asks for no answer by itself: what moves an idle slot is our beat alone.
    let link = Link::prepare(&[("wal_sender_timeout", "0")]).await;
    timeouts_for_everybody(&link).await;
    a_slot_waits_for_an_old_transaction(&link).await;
    // The copy ran under those timeouts.
    link.begin().await;
    no_snapshot_is_held(&link).await;
    an_idle_database_moves_on(&link).await;
    wal_is_forecast_and_stopped(&link).await;
    no_connection_is_free(&link).await;
    what_changes_the_schema_is_named(&link).await;
    link.ground.stack.stop().await.unwrap();
}

/// On the logins and on the databases, of both sides. Only the harness keeps its time, but for locks: pglogical's workers run as the
/// same superuser.
async fn timeouts_for_everybody(link: &Link) {
    for side in [Side::Source, Side::Target] {
        let session = ground::unseen(link.cluster(side), "postgres").await;
        for setting in HASTE {
            for who in ["role changeover", "role changeover_repl", "database shop", "database billing"] {
                session.batch_execute(&format!("alter {who} set {setting}")).await.unwrap();
            }
        }
        let ours = "alter role rdsadmin set statement_timeout = 0;
            alter role rdsadmin set idle_in_transaction_session_timeout = 0";
        ground::each(&session, ours).await;
    }
    // They are real: who doesn't say otherwise is cut off.
    let error = link.application().await.batch_execute("select pg_sleep(1)").await.unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("57014"), "{error:?}");
    let application = "alter role shop_owner set statement_timeout = 0;
        alter role shop_owner set idle_in_transaction_session_timeout = 0";
    ground::each(&ground::unseen(link.cluster(Side::Source), "postgres").await, application).await;
}

async fn a_slot_waits_for_an_old_transaction(link: &Link) {
    let application = link.application().await;
    application.batch_execute("begin; select pg_current_xact_id()").await.unwrap();
    let pid: i32 = application.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let begun = Instant::now();
    let failure = pglogical::ensure_forward(&link.migration).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("CO0510", Class::NeedsHuman), "{failure}");
    for word in [&format!("session {pid} of \"shop_owner\""), "\"nightly\"", "transaction of "] {
        assert!(failure.message.contains(word), "{word} isn't named: {}", failure.message);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "it waited {:?} instead of the 2 s of the spec",
        begun.elapsed()
    );
    application.batch_execute("rollback").await.unwrap();
}

/// Neither a session of the copy nor a slot keeps vacuum off the application's rows.
async fn no_snapshot_is_held(link: &Link) {
    let held = "select (select count(*) from pg_replication_slots where xmin is not null)
        + (select count(*) from pg_stat_activity where application_name like any (array['%\\_copy', '%\\_snap']))";
    assert_eq!(link.number(Side::Source, DATABASE, held).await, 0);
}

/// WAL of another database piles up for the slot of one that nobody writes to, until something is written in that one, too.
async fn an_idle_database_moves_on(link: &Link) {
    let source = ground::unseen(link.cluster(Side::Source), "postgres").await;
    let behind = "select count(*) from pg_replication_slots where database = 'billing' and confirmed_flush_lsn < $1::text::pg_lsn";
    // In one go with the noise: whoever asks a moment later may find that a look of an earlier test's, which writes, has moved it.
    let noise = "create table noise as select repeat('x', 500) from generate_series(1, 20000); drop table noise; \
        select pg_current_wal_lsn() as wanted, confirmed_flush_lsn < pg_current_wal_lsn() as stands \
          from pg_replication_slots where database = 'billing'";
    let told = source.simple_query(noise).await.unwrap();
    let told = told.iter().find_map(|m| if let SimpleQueryMessage::Row(row) = m { Some(row) } else { None }).unwrap();
    let (wanted, stands) = (told.get("wanted").unwrap().to_owned(), told.get("stands").unwrap());
    assert_eq!(stands, "t", "{IDLE} has moved by itself");
    let begun = Instant::now();
    while source.query_one(behind, &[&wanted]).await.unwrap().get::<_, i64>(0) == 1 {
        assert!(begun.elapsed() < DEADLINE, "the slot of {IDLE} stands still");
        link.until_well().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The copy's looks beat, too: a database that is ready waits for others, for days.
    let beats = "select coalesce(max(beat), 0) from changeover.canary where side = 'source'";
    let before = link.number(Side::Source, IDLE, beats).await;
    pglogical::sync_progress(&link.migration).await.unwrap();
    assert!(link.number(Side::Source, IDLE, beats).await > before, "a look at the copy doesn't move {IDLE}");
}

/// The target has stopped taking anything.
async fn wal_is_forecast_and_stopped(link: &Link) {
    let target = ground::unseen(link.cluster(Side::Target), DATABASE).await;
    let subscription = link.migration.id.subscription(Direction::Forward);
    let turn = |how: &str| format!("select pglogical.alter_subscription_{how}('{}', true)", subscription.raw());
    target.batch_execute(&turn("disable")).await.unwrap();
    let now = pglogical::health(&link.migration, Direction::Forward).await.unwrap();
    let held = now.iter().map(|link| link.retained_wal_bytes).max().unwrap();
    let budgets = Budgets { max_retained_wal_bytes: 2 * held + (16 << 20), ..Budgets::default() };
    let (mut pile, begun) = (Pile::default(), Instant::now());
    let mut look = async || {
        let mut links = pglogical::health(&link.migration, Direction::Forward).await.unwrap();
        let at = begun.elapsed().as_secs_f64();
        let level = judge("night", Direction::Forward, &budgets, &mut pile, &mut links, at, None);
        (level, links)
    };
    let mut levels = Vec::new();
    let forecast = loop {
        let (level, links) = look().await;
        let forecast = links.iter().find_map(|link| link.wal_full_in_seconds.zip(link.wal_bytes_per_second));
        match level {
            Level::Calm => levels.push("calm"),
            Level::Alarm(text) => {
                assert!(text.starts_with("CO0522 ") && text.contains("source"), "{text}");
                levels.push("alarm");
                if let Some(forecast) = forecast {
                    break forecast;
                }
            }
            Level::Full(failure) => panic!("full before an alarm: {failure}, after {levels:?}"),
        }
        assert!(begun.elapsed() < DEADLINE, "no alarm: {levels:?}");
        link.write("insert into app.entry select i, null from generate_series((select max(id) + 1 from app.entry), (select max(id) + 5000 from app.entry)) i").await;
    };
    assert!(levels[0] == "calm" && forecast.1 > 0.0, "{levels:?} {forecast:?}");

    // A watch returns as soon as it is beyond its limit, and not before; that the target has gone altogether doesn't blind it.
    link.cluster(Side::Target).stop(link.ground.stack.user(), StopMode::Immediate).await.unwrap();
    let watching = pglogical::watch(&link.migration, Direction::Forward, DEADLINE, budgets.max_retained_wal_bytes);
    let (seen, ()) = tokio::join!(watching, async {
        let noise = "create table public.noise as select repeat('x', 500) from generate_series(1, 100000)";
        link.by_hand(Side::Source, noise).await;
    });
    let mut seen = seen.unwrap();
    assert!(seen.iter().all(|link| link.status == "unreachable"), "{seen:#?}");
    let at = begun.elapsed().as_secs_f64();
    let level = judge("night", Direction::Forward, &budgets, &mut pile, &mut seen, at, None);
    let Level::Full(failure) = level else { panic!("it isn't stopped: {level:?}") };
    assert_eq!(failure.code, "CO0523");

    link.cluster(Side::Target).start(link.ground.stack.user()).await.unwrap();
    let target = ground::unseen(link.cluster(Side::Target), DATABASE).await;
    target.batch_execute(&turn("enable")).await.unwrap();
    link.until_well().await;
    until("the WAL is let go of", async || {
        // Where the slot begins to read moves with checkpoints and running transactions.
        ground::each(&ground::unseen(link.cluster(Side::Source), "postgres").await, "checkpoint").await;
        link.until_well().await;
        let mut links = link.look().await.unwrap();
        let at = begun.elapsed().as_secs_f64();
        judge("night", Direction::Forward, &budgets, &mut pile, &mut links, at, None) == Level::Calm
    })
    .await;
}

async fn no_connection_is_free(link: &Link) {
    for (lock, open) in [
        ("alter role changeover connection limit 0", "alter role changeover connection limit -1"),
        ("alter database shop connection limit 0", "alter database shop connection limit -1"),
    ] {
        link.by_hand(Side::Source, lock).await;
        let failure = link.look().await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.class), ("CO0206", Class::Transient), "after `{lock}`: {failure}");
        assert!(failure.message.contains("source"), "{failure}");
        link.by_hand(Side::Source, open).await;
        link.until_well().await;
    }
}

/// What got past the guard: a key that is removed, a partition, a column, a table. Nobody may switch over it.
async fn what_changes_the_schema_is_named(link: &Link) {
    link.by_hand(Side::Source, "drop table public.noise").await;
    for (change, named) in [
        ("alter table app.entry drop constraint entry_pkey", "Changed table app.entry"),
        ("create table app.part_1 partition of app.part for values from (1000) to (2000)", "Added table app.part_1"),
        ("alter table app.customer add column more int", "Changed table app.customer"),
        ("create table app.another (id int primary key)", "Added table app.another"),
    ] {
        link.by_hand(Side::Source, change).await;
        let drift = drift::check(&link.migration, Side::Source).await.unwrap();
        let named_now: Vec<String> = drift.iter().map(|d| format!("{:?} {}", d.change, d.object)).collect();
        assert!(named_now.iter().any(|text| text == named), "after `{change}`: {named_now:?}");
    }
    assert_eq!(DATABASES.len(), link.spec.databases.len());
}
