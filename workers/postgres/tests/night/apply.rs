//! What keeps the target from applying, one after the other on one link.

use changeover_domain::{Direction, Side};
use changeover_postgres::{pglogical, predecessor};

use super::{
    ground::DATABASE,
    link::{Link, until},
};

/// Stands in a row that must stay where it is.
const CANARY: &str = "only-the-row-knows-this";

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_the_apply_is_named_and_it_goes_on_when_that_is_mended() {
    let link = Link::prepare(&[]).await;
    link.begin().await;
    another_attempt_beside_the_watch(&link).await;
    a_kick_that_was_cut_short(&link).await;
    a_row_that_a_constraint_refuses(&link).await;
    a_column_that_was_added(&link).await;
    a_column_that_was_there_for_a_while(&link).await;
    a_truncate_of_a_table_that_others_refer_to(&link).await;
    a_login_that_finds_no_place(&link).await;
    a_worker_that_dies_again_and_again(&link).await;
    a_table_whose_copy_crashes_while_all_else_replicates(&link).await;
    link.ground.stack.stop().await.unwrap();
}

/// Whoever is tried again ends what its earlier attempt left, and lets the watch of replication be; an undo ends that, too.
async fn another_attempt_beside_the_watch(link: &Link) {
    for side in [Side::Source, Side::Target] {
        let site = link.migration.site(side);
        let mut sessions = Vec::new();
        for purpose in ["dump", "compare", "watch", "health", "preflight"] {
            sessions.push((purpose, site.open(DATABASE, purpose).await.unwrap()));
        }
        let alive = async || {
            let mut alive = Vec::new();
            for (purpose, session) in &sessions {
                if session.simple_query("select 1").await.is_ok() {
                    alive.push(*purpose);
                }
            }
            alive
        };
        predecessor::evict(&link.migration).await.unwrap();
        assert_eq!(alive().await, ["watch", "health", "preflight"], "on the {side}");
        predecessor::evict_all(&link.migration).await.unwrap();
        assert_eq!(alive().await, ["preflight"], "on the {side}");
    }
}

/// Whoever kicked died between its two halves; a subscription that somebody else has disabled stays so.
async fn a_kick_that_was_cut_short(link: &Link) {
    let disable = format!(
        "select pglogical.alter_subscription_disable('{}', true)",
        link.migration.id.subscription(Direction::Forward).raw()
    );
    let noted = |completed: &str| {
        format!(
            "insert into changeover.note (key, value) values ('pglogical.kicked.forward', '{completed}')
             on conflict (key) do update set value = excluded.value"
        )
    };
    link.by_hand(Side::Target, &noted("true")).await;
    link.by_hand(Side::Target, &disable).await;
    let (told, _) = link.until_told(&["disabled"]).await;
    assert!(!told.contains("kicked"), "{told}");
    link.by_hand(Side::Target, &noted("false")).await;
    link.until_well().await;
}

async fn a_row_that_a_constraint_refuses(link: &Link) {
    link.by_hand(Side::Target, "alter table app.customer add constraint refuses check (id <> 471100)").await;
    link.write(&format!("begin;\nupdate app.entry set customer = 2 where id = 1;\ninsert into app.customer values (471100, '{CANARY}');\ncommit")).await;
    // Which of the two is the culprit isn't seen without the log: told are the first one and their number.
    let (told, found) = link.until_told(&["CO0521", "app.entry", "id=1", "one of 2 changes", "server log"]).await;
    assert!(!told.contains(CANARY), "a value of a row is told: {told}");
    assert!(!found.slot_active, "{found:?}");
    link.by_hand(Side::Target, "alter table app.customer drop constraint refuses").await;
    link.until_well().await;
    assert_eq!(link.number(Side::Target, DATABASE, "select count(*) from app.customer where id = 471100").await, 1);
}

async fn a_column_that_was_added(link: &Link) {
    link.by_hand(Side::Source, "alter table app.customer add column \"Größe\" numeric(8, 2)").await;
    link.write("insert into app.customer values (471200, 'x', 1.5)").await;
    let (told, _) = link.until_told(&["CO0521", "app.customer", "id=471200", "Größe"]).await;
    let remedy = told.split_once("owner: ").unwrap().1;
    assert!(remedy.ends_with("add column \"Größe\" numeric(8,2);"), "{told}");
    link.follow(remedy).await;
    link.until_well().await;
    assert_eq!(link.number(Side::Target, DATABASE, "select count(*) from app.customer where \"Größe\" = 1.5").await, 1);
}

/// Taken back on the source, it is still in what was written meanwhile.
async fn a_column_that_was_there_for_a_while(link: &Link) {
    link.by_hand(Side::Source, "alter table app.customer add column short int").await;
    link.write("insert into app.customer values (471300, 'x', 1, 2)").await;
    link.by_hand(Side::Source, "alter table app.customer drop column short").await;
    link.until_told(&["CO0521", "app.customer", "id=471300", "add column \"short\" …", "the source has it no more"])
        .await;
    link.follow("set application_name = 'changeover/by hand'; alter table app.customer add column short int").await;
    link.until_well().await;
    link.follow("set application_name = 'changeover/by hand'; alter table app.customer drop column short").await;
    link.write("insert into app.customer values (471301, 'x', 1)").await;
    link.until_well().await;
    let arrived = "select count(*) from app.customer where id in (471300, 471301)";
    assert_eq!(link.number(Side::Target, DATABASE, arrived).await, 2);
}

async fn a_truncate_of_a_table_that_others_refer_to(link: &Link) {
    link.write("truncate app.entry, app.customer").await;
    let (told, _) = link.until_told(&["CO0521", "a TRUNCATE of app.customer", "entry_customer"]).await;
    let remedy = told.split_once("owner: ").unwrap().1;
    let (statements, _) = remedy.split_once(" and make them again").unwrap();
    link.follow(statements).await;
    link.until_well().await;
    for table in ["app.customer", "app.entry"] {
        assert_eq!(link.number(Side::Target, DATABASE, &format!("select count(*) from {table}")).await, 0, "{table}");
    }
    link.follow(
        "set application_name = 'changeover/by hand';
        alter table app.entry add constraint entry_customer foreign key (customer) references app.customer (id) not valid;
        alter table app.entry validate constraint entry_customer",
    )
    .await;
}

/// The connection is lost, and the login's connections are used up.
async fn a_login_that_finds_no_place(link: &Link) {
    link.by_hand(Side::Source, "alter role changeover_repl connection limit 0").await;
    // More than once: a worker that is just being replaced has no connection to lose.
    let lose = "select pg_terminate_backend(active_pid) from pg_replication_slots where active";
    until("the refusal is told", async || {
        link.by_hand(Side::Source, lose).await;
        let links = link.look().await.unwrap();
        let told =
            |told: &String| told.starts_with("CO0206 ") && told.contains("changeover_repl can't enter the source");
        links.iter().flat_map(|found| &found.problems).any(told)
    })
    .await;
    link.by_hand(Side::Source, "alter role changeover_repl connection limit -1").await;
    link.until_well().await;
}

/// As one that a library or the kernel kills: each look finds a worker, and each time it is another one.
async fn a_worker_that_dies_again_and_again(link: &Link) {
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity where backend_type like 'pglogical apply%' and datname = 'shop'";
    until("a worker that dies at each look is noticed", async || {
        let links = link.look().await.unwrap();
        if links.iter().all(|found| found.status == "replicating") {
            link.by_hand(Side::Target, kill).await;
        }
        links.iter().flat_map(|found| &found.problems).any(|told| told.starts_with("CO0524 "))
    })
    .await;
    link.until_well().await;
}

/// pglogical's status says `replicating` all the while: only the table's own state tells.
async fn a_table_whose_copy_crashes_while_all_else_replicates(link: &Link) {
    let set = link.migration.id.set();
    link.by_hand(Side::Source, "create table app.late (id bigint primary key);\nalter table app.late owner to shop_owner;\ninsert into app.late values (1)")
        .await;
    let add = format!("select pglogical.replication_set_add_table('{}', 'app.late', true)", set.raw());
    link.by_hand(Side::Source, &add).await;
    let (_, found) = link.until_told(&["tables are not ready", "app.late"]).await;
    assert_eq!(found.status, "replicating", "its status tells it, too: {found:?}");
    let copy = pglogical::sync_progress(&link.migration).await.unwrap();
    assert!(!copy.ready, "{copy:?}");
    let make = "set application_name = 'changeover/by hand'; create table app.late (id bigint primary key)";
    link.follow(make).await;
    link.until_well().await;
    assert_eq!(link.number(Side::Target, DATABASE, "select count(*) from app.late").await, 1);
}
