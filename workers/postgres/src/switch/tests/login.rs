//! Against a real cluster: whoever writes by `pg_write_all_data`, which no REVOKE on a table takes, is closed or named.

use std::time::Duration;

use changeover_domain::proto::{Database, Endpoint, Replication, SecretRef, Spec, secret_ref::From};
use changeover_tests::stack::{
    Stack, StackOptions,
    connect::{self, Login},
    rds,
};

use super::{Whose, close, evict, hold, strays};
use crate::{
    Migration, home,
    switch::{
        acl,
        effect::{Effect, perform},
        relations,
    },
};

fn spec(stack: &Stack, secrets: &std::path::Path) -> Spec {
    let info = stack.info();
    let secret = |name: &str, value: &str| {
        let path = secrets.join(name);
        std::fs::write(&path, value).unwrap();
        Some(SecretRef { from: Some(From::File(path.display().to_string())) })
    };
    let endpoint = |port: u16, name: &str, password: &str| Endpoint {
        host: "127.0.0.1".into(),
        port: port.into(),
        user: rds::MASTER.into(),
        password: secret(name, password),
        maintenance_database: "postgres".into(),
        ca_file: info.ca.display().to_string(),
        escalation: "rds_tools.escalate".into(),
        ..Endpoint::default()
    };
    Spec {
        name: "trial".into(),
        source: Some(endpoint(info.source.port, "source", &info.source_passwords.master)),
        target: Some(endpoint(info.target.port, "target", &info.target_passwords.master)),
        databases: vec![Database { name: "shop".into(), ..Database::default() }],
        replication: Some(Replication {
            user: rds::REPLICATION.into(),
            password: secret("replication", &info.source_passwords.replication),
            ..Replication::default()
        }),
        ..Spec::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_by_pg_write_all_data_is_closed_or_named() {
    let options = StackOptions { temporal: None, create_source_databases: true, ..StackOptions::default() };
    let stack = Stack::start(options).await.unwrap();
    let secrets = tempfile::tempdir().unwrap();
    let m = Migration::resolve(&spec(&stack, secrets.path())).unwrap();
    let source = &stack.info().source;
    let admin = connect::as_superuser(source, "shop").await.unwrap();
    admin
        .batch_execute(
            "create table public.lonely (i int);
             create role stray login password 'stray' in role pg_write_all_data; grant connect on database shop to stray; grant create on database shop to changeover;
             create role rds_writer login in role pg_write_all_data;
             create role group_writer nologin in role pg_write_all_data",
        )
        .await
        .unwrap();
    home::ensure(&m, &m.source).await.unwrap();
    admin.batch_execute("update changeover.migration set epoch = 1").await.unwrap();
    let login =
        Login { port: source.port, database: "shop", user: "stray", password: "stray", application_name: "held" };
    let tls = connect::tls(&stack.info().ca).unwrap();
    let held = connect::as_login(login, &tls).await.unwrap();
    admin.batch_execute("alter role stray nologin").await.unwrap();
    held.batch_execute("insert into public.lonely values (1)").await.unwrap();

    // The table is nobody's but a superuser's: only pg_write_all_data reaches it. A name like one of RDS's own is never closed, so
    // the proof must name it.
    let control = m.source.open("shop", "test").await.unwrap();
    let all = relations::list(&m, &control).await.unwrap();
    let lonely: Vec<_> = all.into_iter().filter(|r| r.name.raw() == "public.lonely").collect();
    let failure = acl::prove_gone(&control, &m, &lonely).await.unwrap_err();
    assert!(failure.code == "CO0720" && failure.message.contains("rds_writer on "), "{failure}");
    admin.batch_execute("revoke pg_write_all_data from rds_writer").await.unwrap();
    acl::prove_gone(&control, &m, &lonely).await.unwrap();

    // Its login was taken before, its session was not.
    perform(Effect::HoldLogins, |change| hold(change, &control, &m, 1)).await.unwrap();
    perform(Effect::CloseLogins, |change| close(change, &control)).await.unwrap();
    assert_eq!(strays(&*control, control.side, &m).await.unwrap(), ["stray"]);
    let patience = Duration::from_secs(10);
    perform(Effect::Evict, |change| evict(change, &control, Whose::Closed, patience)).await.unwrap();
    assert!(held.batch_execute("insert into public.lonely values (2)").await.is_err(), "it still writes");
    assert_eq!(strays(&*control, control.side, &m).await.unwrap(), Vec::<String>::new());
    let saved = admin.query("select role from changeover.saved_login where role = 'stray'", &[]).await.unwrap();
    assert!(saved.is_empty(), "its login wasn't ours to take, so it isn't ours to give back");
}
