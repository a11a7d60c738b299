//! The oracle finds what it is there to find: faults are planted one by one, each has to be seen, and after each repair all has
//! to be clean again.

use anyhow::{Context, Result, ensure};
use changeover_tests::oracle::{Difference, Snapshot, arrived, compare_rows, compare_sequences, retired, unchanged};
use changeover_tests::stack::{Cluster, Side, Stack, StackOptions, rds, sample_login};
use std::collections::BTreeSet;

const SCHEMA: &str = include_str!("../sql/oracle/planted.sql");

/// A stack with the same schema and rows on both sides, loaded by the superuser, all owned as on a source.
async fn twins() -> Result<Stack> {
    let options = StackOptions {
        temporal: None,
        databases: vec!["shop".to_owned()],
        create_source_databases: true,
        log_statement: "none".to_owned(),
        settings: vec![("max_prepared_transactions".to_owned(), "5".to_owned())],
        ..StackOptions::default()
    };
    let stack = Stack::start(options).await?;
    rds::psql(&stack.info().source, "shop", SCHEMA).await?;
    Ok(stack)
}

/// What a perfect migration would have made of the target.
async fn move_to_target(target: &Cluster) -> Result<()> {
    let owner = sample_login("shop_owner");
    rds::create_login(target, &owner.name, &owner.password).await?;
    rds::psql(target, "postgres", "alter database shop owner to shop_owner").await?;
    rds::create_login(target, "billing_owner", "x").await?;
    rds::psql(target, "postgres", "drop role billing_owner").await?;
    rds::psql(target, "shop", SCHEMA).await
}

fn shop() -> Vec<String> {
    vec!["shop".to_owned()]
}

struct Fault {
    name: &'static str,
    plant: &'static str,
    repair: &'static str,
    /// Part of the place and of the fact where it has to show.
    seen_in: &'static str,
}

const fn fault(name: &'static str, plant: &'static str, repair: &'static str, seen_in: &'static str) -> Fault {
    Fault { name, plant, repair, seen_in }
}

/// Catalog faults: each is a script for the superuser in database `shop`.
const CATALOG_FAULTS: [Fault; 33] = [
    fault(
        "slot",
        "select pg_create_logical_replication_slot('left', 'test_decoding')",
        "select pg_drop_replication_slot('left')",
        "cluster: replication: slot left",
    ),
    fault(
        "origin",
        "select pg_replication_origin_create('left')",
        "select pg_replication_origin_drop('left')",
        "cluster: replication: origin left",
    ),
    fault(
        "prepared transaction",
        "begin; insert into app.\"Item\" values (999, 'x'); prepare transaction 'left'",
        "rollback prepared 'left'",
        "cluster: replication: prepared transaction left",
    ),
    fault(
        "subscription",
        "create subscription stray connection 'dbname=x' publication p with (connect = false)",
        "alter subscription stray set (slot_name = none); drop subscription stray",
        "cluster: replication: subscription stray",
    ),
    fault(
        "publication",
        "create publication stray for table app.\"Item\"",
        "drop publication stray",
        "shop: logical: publication stray",
    ),
    fault("role", "create role left_over", "drop role left_over", "cluster: roles: left_over"),
    fault("login taken", "alter role shop_app nologin", "alter role shop_app login", "cluster: roles: shop_app"),
    fault(
        "password",
        "alter role shop_app password 'other'",
        "alter role shop_app password null",
        "cluster: passwords: shop_app",
    ),
    fault(
        "membership",
        "grant shop_app to changeover",
        "revoke shop_app from changeover",
        "cluster: memberships: changeover in shop_app",
    ),
    fault(
        "admin option",
        "grant shop_readers to shop_app with admin option",
        "revoke admin option for shop_readers from shop_app",
        "cluster: memberships: shop_app in shop_readers",
    ),
    fault(
        "role setting",
        "alter role shop_app set lock_timeout = '7s'",
        "alter role shop_app reset lock_timeout",
        "cluster: role settings: role shop_app",
    ),
    fault(
        "database setting",
        "alter database shop set work_mem = '7MB'",
        "alter database shop reset work_mem",
        "cluster: role settings: role *, database shop",
    ),
    fault(
        "database's limit",
        "alter database shop connection limit 7",
        "alter database shop connection limit -1",
        "cluster: databases: shop",
    ),
    fault(
        "right on the database",
        "revoke connect on database shop from public",
        "grant connect on database shop to public",
        "cluster: database rights: database shop: public",
    ),
    fault(
        "server setting",
        "alter system set wal_sender_timeout = '77s'",
        "alter system reset wal_sender_timeout",
        "cluster: settings: wal_sender_timeout",
    ),
    fault(
        "comment on a role",
        "comment on role shop_app is 'x'",
        "comment on role shop_app is null",
        "cluster: comments: ",
    ),
    fault(
        "right on a table",
        "grant delete on app.\"Item\" to shop_app",
        "revoke delete on app.\"Item\" from shop_app",
        "shop: rights: table app.\"Item\": shop_app",
    ),
    fault(
        "lost right",
        "revoke insert on app.\"Item\" from shop_app",
        "grant insert on app.\"Item\" to shop_app",
        "shop: rights: table app.\"Item\": shop_app",
    ),
    fault(
        "right on a column",
        "grant update (name) on app.\"Item\" to shop_readers",
        "revoke update (name) on app.\"Item\" from shop_readers",
        "shop: rights: column app.\"Item\".name: shop_readers",
    ),
    fault(
        "grant option",
        "grant select on app.\"Item\" to shop_readers with grant option",
        "revoke grant option for select on app.\"Item\" from shop_readers",
        "shop: rights: table app.\"Item\": shop_readers",
    ),
    fault(
        "right on a sequence",
        "revoke usage on sequence app.numbers from shop_app",
        "grant usage on sequence app.numbers to shop_app",
        "shop: rights: sequence app.numbers: shop_app",
    ),
    fault(
        "right on a function",
        "revoke execute on function app.twice(int) from public",
        "grant execute on function app.twice(int) to public",
        "shop: rights: function app.twice(integer): public",
    ),
    fault(
        "default right",
        "alter default privileges for role shop_owner in schema app grant select on tables to public",
        "alter default privileges for role shop_owner in schema app revoke select on tables from public",
        "shop: rights: default for shop_owner",
    ),
    fault(
        "right on the system's function",
        "grant execute on function pg_catalog.pg_read_file(text) to shop_app",
        "revoke execute on function pg_catalog.pg_read_file(text) from shop_app",
        "shop: rights: function pg_read_file(text): shop_app",
    ),
    fault(
        "index gone",
        "drop index app.item_name",
        "create index item_name on app.\"Item\" (name)",
        "shop: indexes: app.item_name",
    ),
    fault(
        "invalid index",
        "update pg_index set indisvalid = false where indexrelid = 'app.item_name'::regclass",
        "update pg_index set indisvalid = true where indexrelid = 'app.item_name'::regclass",
        "shop: indexes: app.item_name",
    ),
    fault(
        "trigger off",
        "alter table app.\"Item\" disable trigger stamp",
        "alter table app.\"Item\" enable always trigger stamp",
        "shop: triggers: stamp on app.\"Item\"",
    ),
    fault(
        "foreign key off",
        "alter table app.part disable trigger all",
        "alter table app.part enable trigger all",
        "shop: triggers: foreign key part_item_fkey",
    ),
    fault(
        "column",
        "alter table app.part add column extra int",
        "alter table app.part drop column extra",
        "shop: dump: part; Type: TABLE",
    ),
    fault(
        "constraint not valid",
        "alter table app.part add constraint c check (item > 0) not valid",
        "alter table app.part drop constraint c",
        "shop: dump: part c; Type: CHECK CONSTRAINT",
    ),
    fault(
        "replica identity",
        "alter table app.part replica identity full",
        "alter table app.part replica identity default",
        "shop: relations: app.part",
    ),
    fault(
        "event trigger",
        "create function app.e() returns event_trigger language plpgsql as 'begin end';
        create event trigger changeover_left on ddl_command_end execute function app.e()",
        "drop event trigger changeover_left; drop function app.e()",
        "shop: logical: event trigger changeover_left",
    ),
    fault(
        "schema of a migration",
        "create schema changeover; create table changeover.t (id int)",
        "drop schema changeover cascade",
        "shop: dump: changeover; Type: SCHEMA",
    ),
];

fn shows(differences: &[Difference], part: &str) -> bool {
    differences.iter().any(|difference| difference.to_string().contains(part))
}

fn list(differences: &[Difference]) -> String {
    differences.iter().map(|difference| format!("\n  {difference}")).collect()
}

/// Scripts of several statements run one by one: some refuse to be in a transaction.
async fn run(cluster: &Cluster, script: &str) -> Result<()> {
    rds::psql(cluster, "shop", script).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_planted_in_the_catalogs_is_found_and_named() -> Result<()> {
    let stack = twins().await?;
    let source = &stack.info().source;
    let before = Snapshot::take(source).await?;
    for fault in &CATALOG_FAULTS {
        run(source, fault.plant).await.with_context(|| format!("planting: {}", fault.name))?;
        let found = unchanged(&before, &Snapshot::take(source).await?);
        ensure!(shows(&found, fault.seen_in), "{} wasn't found as {:?}: {}", fault.name, fault.seen_in, list(&found));
        run(source, fault.repair).await.with_context(|| format!("repairing: {}", fault.name))?;
        let found = unchanged(&before, &Snapshot::take(source).await?);
        ensure!(found.is_empty(), "after the repair of {}: {}", fault.name, list(&found));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pglogical_left_in_a_database_is_found_and_its_removal_leaves_nothing() -> Result<()> {
    let stack = twins().await?;
    let source = &stack.info().source;
    let before = Snapshot::take(source).await?;
    run(source, "create extension pglogical; select pglogical.create_node('n', 'dbname=shop')").await?;
    let found = unchanged(&before, &Snapshot::take(source).await?);
    for part in ["shop: logical: extension pglogical", "shop: pglogical: node n"] {
        ensure!(shows(&found, part), "{part}: {}", list(&found));
    }
    run(source, "select pglogical.drop_node('n'); drop extension pglogical").await?;
    let found = unchanged(&before, &Snapshot::take(source).await?);
    ensure!(shows(&found, "shop: dump: pglogical; Type: SCHEMA"), "the empty schema: {}", list(&found));
    run(source, "drop schema pglogical").await?;
    let found = unchanged(&before, &Snapshot::take(source).await?);
    ensure!(found.is_empty(), "{}", list(&found));
    Ok(())
}

/// Faults in the rows of the target, and how many rows each makes diverge.
/// In a table without a key a changed row is one that is missing and one too many.
const ROW_FAULTS: [(&str, &str, u64); 8] = [
    ("changed row", "update app.\"Item\" set name = name || 'x' where id = 7", 1),
    ("missing rows", "delete from app.part where id in (3, 4)", 2),
    ("row too many", "insert into app.part (id, item) values (1000, 1)", 1),
    ("moved key", "update app.part set id = -id where id = 9", 2),
    (
        "missing one of two equal rows",
        "delete from app.log where ctid = (select min(ctid) from app.log where line = 'same')",
        1,
    ),
    ("null for an empty text", "update app.log set line = null where line = ''", 2),
    ("row of a partition", "update app.event_2 set what = 'other' where id = 2", 1),
    ("lost table", "drop table app.log", 4),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_planted_in_the_rows_is_counted_and_named() -> Result<()> {
    let stack = twins().await?;
    let info = stack.info();
    move_to_target(&info.target).await?;
    let clean = compare_rows(&info.source, &info.target, &shop()).await?;
    ensure!(clean.diverged_rows == 0 && clean.faults.is_empty(), "{clean:?}");
    assert_eq!((clean.tables, clean.source_rows, clean.target_rows), (7, 211, 211));

    for (name, plant, rows) in ROW_FAULTS {
        let undo = format!("begin; set local session_replication_role = replica; {plant}; commit;");
        run(&info.target, &undo).await.with_context(|| format!("planting: {name}"))?;
        let found = compare_rows(&info.source, &info.target, &shop()).await?;
        ensure!(found.diverged_rows == rows, "{name}: {rows} rows, found {found:?}");
        ensure!(found.faults.len() == 1, "{name}: {found:?}");
        run(&info.target, "drop schema app cascade; drop owned by shop_app, shop_readers").await?;
        run(&info.target, SCHEMA).await?;
    }
    run(&info.target, "select lo_create(4711)").await?;
    run(&info.target, "select lo_put(4711, 0, 'x')").await?;
    let found = compare_rows(&info.source, &info.target, &shop()).await?;
    ensure!(found.diverged_rows == 1, "large object: {found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_moved_back_is_found() -> Result<()> {
    let stack = twins().await?;
    let info = stack.info();
    move_to_target(&info.target).await?;
    assert_eq!(compare_sequences(&info.source, &info.target, &shop()).await?, Vec::new());
    for plant in [
        "select setval('app.numbers', 9)",
        "select setval('app.numbers', 100, false)",
        "select setval('app.down', -4)",
        "drop sequence app.down",
    ] {
        run(&info.target, plant).await?;
        let found = compare_sequences(&info.source, &info.target, &shop()).await?;
        ensure!(found.len() == 1, "{plant}: {found:?}");
        run(&info.target, "create sequence if not exists app.down increment -1; select setval('app.numbers', 100), setval('app.down', -5)")
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_has_all_of_the_source_and_nothing_else_has_arrived() -> Result<()> {
    let stack = twins().await?;
    let info = stack.info();
    let source_before = Snapshot::take(info.cluster(Side::Source)).await?;
    let target_before = Snapshot::take(&info.target).await?;
    let found = arrived(&source_before, &target_before, &target_before, &shop());
    ensure!(
        shows(&found, "shop: dump: Item; Type: TABLE") && shows(&found, "missing"),
        "an empty target: {}",
        list(&found)
    );

    move_to_target(&info.target).await?;
    let found = arrived(&source_before, &target_before, &Snapshot::take(&info.target).await?, &shop());
    ensure!(found.is_empty(), "{}", list(&found));

    for (plant, part) in [
        ("create schema changeover", "shop: dump: changeover; Type: SCHEMA"),
        ("grant shop_owner to changeover", "cluster: memberships: changeover in shop_owner"),
        ("select pg_replication_origin_create('left')", "cluster: replication: origin left"),
        ("alter system set work_mem = '9MB'", "cluster: settings: work_mem"),
        ("alter role shop_app nologin", "cluster: roles: shop_app"),
        ("grant insert on app.part to shop_readers", "shop: rights: table app.part: shop_readers"),
    ] {
        run(&info.target, plant).await?;
        let found = arrived(&source_before, &target_before, &Snapshot::take(&info.target).await?, &shop());
        ensure!(shows(&found, part), "{part}: {}", list(&found));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_source_may_be_closed_and_nothing_more() -> Result<()> {
    let stack = twins().await?;
    let source = &stack.info().source;
    let closed: BTreeSet<String> = ["shop_owner", "shop_app"].map(str::to_owned).into();
    let before = Snapshot::take(source).await?;
    run(
        source,
        "alter role shop_owner nologin; alter role shop_app nologin;
         revoke insert, update, delete, truncate on all tables in schema app from shop_owner, shop_app, public;
         revoke usage, update on all sequences in schema app from shop_owner, shop_app;
         revoke create on schema app from shop_owner",
    )
    .await?;
    let found = retired(&before, &Snapshot::take(source).await?, &closed);
    ensure!(found.is_empty(), "{}", list(&found));

    for (plant, part) in [
        ("revoke select on app.part from shop_readers", "shop: rights: table app.part: shop_readers"),
        ("grant insert on app.part to shop_readers", "shop: rights: table app.part: shop_readers"),
        ("alter role shop_app createdb", "cluster: roles: shop_app"),
        ("create schema changeover", "shop: dump: changeover"),
        ("revoke usage on schema app from shop_app", "shop: rights: schema app: shop_app"),
        ("alter role changeover nologin", "cluster: roles: changeover"),
    ] {
        run(source, plant).await?;
        let found = retired(&before, &Snapshot::take(source).await?, &closed);
        ensure!(shows(&found, part), "{part}: {}", list(&found));
    }
    Ok(())
}
