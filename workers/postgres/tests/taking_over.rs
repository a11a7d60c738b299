//! What a company's set-up has besides the application's own objects: the login belongs to the owner, and an extension that
//! only an administrator can create lives in a schema of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use changeover_domain::{
    Side,
    proto::{Database, Endpoint, Replication, SecretRef, Spec, secret_ref::From},
};
use changeover_postgres::{Migration, membership, preflight, roles, schema};
use changeover_tests::stack::{Cluster, Stack, StackInfo, StackOptions, connect};
use tokio_postgres::Client;

const DATABASE: &str = "shop";
const SOURCE: &str = "create role take_owner login; grant take_owner to changeover; \
    grant create on database shop to take_owner; \
    create schema tools authorization take_owner; create extension pg_walinspect schema tools; \
    grant execute on all functions in schema tools to take_owner; \
    set role take_owner; create schema app; create table app.t (id int primary key); reset role";
/// The remedy of CO0350, as preflight prints it.
const TARGET: &str = "create schema if not exists tools authorization changeover; \
    create extension pg_walinspect schema tools cascade";

fn endpoint(info: &StackInfo, cluster: &Cluster, secrets: &Path) -> Endpoint {
    let file = secrets.join(format!("{}.password", cluster.side.name()));
    std::fs::write(&file, &info.passwords(cluster.side).master).unwrap();
    Endpoint {
        host: cluster.host.clone(),
        port: cluster.port.into(),
        user: "changeover".into(),
        password: Some(SecretRef { from: Some(From::File(file.display().to_string())) }),
        maintenance_database: "postgres".into(),
        ca_file: info.ca.display().to_string(),
        escalation: "rds_tools.escalate".into(),
        ..Endpoint::default()
    }
}

fn spec(info: &StackInfo) -> Spec {
    let file = info.directory.join("replication.password");
    std::fs::write(&file, &info.source_passwords.replication).unwrap();
    Spec {
        name: "taking_over".into(),
        source: Some(endpoint(info, &info.source, &info.directory)),
        target: Some(endpoint(info, &info.target, &info.directory)),
        databases: vec![Database { name: DATABASE.into(), insert_only_tables: Vec::new() }],
        replication: Some(Replication {
            user: "changeover_repl".into(),
            password: Some(SecretRef { from: Some(From::File(file.display().to_string())) }),
            server_ca_file: info.ca.display().to_string(),
            poll_ms: 200,
        }),
        ..Spec::default()
    }
}

async fn text(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

const MEMBER: &str = "select coalesce(string_agg(m.roleid::regrole || ' ' || m.admin_option, ','), '') \
    from pg_auth_members m where m.member = 'changeover'::regrole and m.roleid::regrole::text = 'take_owner'";
const OWNER: &str = "select nspowner::regrole::text from pg_namespace where nspname = 'tools'";

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_extension_and_the_logins_memberships_are_taken_over_and_given_back() {
    let options = StackOptions {
        databases: vec![DATABASE.into()],
        create_source_databases: true,
        temporal: None,
        log_statement: "none".into(),
        ..StackOptions::default()
    };
    let stack = Stack::start(options).await.unwrap();
    let info = stack.info();
    let source = connect::as_superuser(&info.source, DATABASE).await.unwrap();
    let target = connect::as_superuser(&info.target, DATABASE).await.unwrap();
    source.batch_execute(SOURCE).await.unwrap();
    target.batch_execute(TARGET).await.unwrap();
    let migration = Migration::resolve(&spec(info)).unwrap();

    let report = preflight::run(&migration).await.unwrap();
    let occupied: Vec<&str> =
        report.findings.iter().filter(|f| f.code == "CO0363").map(|f| f.message.as_str()).collect();
    assert!(occupied.is_empty(), "{occupied:?}");

    roles::ensure(&migration).await.unwrap();
    let restored = schema::ensure_before_data(&migration).await.unwrap();
    assert_eq!(text(&target, OWNER).await, "take_owner");
    let rights: Vec<&String> = restored.reported.iter().filter(|line| line.contains("rights on ")).collect();
    assert!(matches!(rights[..], [line] if line.contains("tools.FUNCTION")), "{:?}", restored.reported);
    let again = schema::ensure_before_data(&migration).await.unwrap();
    assert_eq!(again.reported, restored.reported, "what was passed over is told by a second run, too");
    let rest = schema::ensure_after_data(&migration, &|_| {}).await.unwrap();
    let twice: Vec<&String> = rest.reported.iter().filter(|line| restored.reported.contains(line)).collect();
    assert!(twice.is_empty(), "told by both stages: {twice:?}");

    // What the migration lent itself goes at the end; what the login had on the source stays.
    membership::undo(&migration, Side::Target).await.unwrap();
    assert_eq!(text(&target, MEMBER).await, "take_owner false");

    membership::ensure(&migration, Side::Target).await.unwrap();
    schema::undo(&migration).await.unwrap();
    assert_eq!(text(&target, OWNER).await, "changeover");
    roles::undo(&migration).await.unwrap();
    let left = "select count(*)::text from pg_roles where rolname = 'take_owner'";
    assert_eq!(text(&target, left).await, "0");
    assert_eq!(text(&source, MEMBER).await, "take_owner false");
    stack.stop().await.unwrap();
}
