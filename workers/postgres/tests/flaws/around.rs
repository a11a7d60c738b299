//! What is wrong around the tables: databases, poolers, the spec, what others and earlier migrations have left, owners, extensions.

use changeover_domain::proto::Severity::{Blocker, Info, Warning};

use super::flaw::{
    Flaw, NOT_THERE, S, SOURCE_UNTRIED, Step, T, TARGET_UNTRIED, blocker, flaw, in_target, pooler, source, spec,
    target, warning,
};

pub const FLAWS: &[Flaw] = &[
    flaw(
        "the target hasn't got the database",
        &[Step::On(T, "alter database shop rename to gone")],
        &[Step::On(T, "alter database gone rename to shop")],
        &[in_target("CO0362", Blocker, ""), NOT_THERE, TARGET_UNTRIED, SOURCE_UNTRIED],
    ),
    // Dropping a database hangs while pglogical is loaded: it is renamed and stays.
    flaw(
        "another encoding",
        &[Step::On(
            T,
            "alter database shop rename to kept;
            create database shop owner changeover template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'",
        )],
        &[Step::On(T, "alter database shop rename to latin;\nalter database kept rename to shop")],
        &[in_target("CO0364", Blocker, ""), NOT_THERE],
    ),
    flaw(
        "a database stays behind",
        &[Step::On(S, "alter database shop connection limit -1;\ncreate database other")],
        &[Step::On(S, "alter database other with is_template true")],
        &[source("CO0368", Warning, "")],
    ),
    Flaw {
        name: "the source's server doesn't reach the target",
        make: &[],
        unmake: &[],
        needs: None,
        spec: Some(|spec, _| spec.target.as_mut().unwrap().peer_port = 1),
        found: &[source("CO0382", Blocker, "")],
    },
    Flaw {
        name: "the servers don't have the CA's file",
        make: &[],
        unmake: &[],
        needs: None,
        spec: Some(|spec, _| spec.replication.as_mut().unwrap().server_ca_file = "/nowhere/ca.pem".into()),
        found: &[source("CO0382", Blocker, ""), target("CO0382", Blocker, "")],
    },
    Flaw {
        name: "the spec names a role that isn't there",
        make: &[],
        unmake: &[],
        needs: None,
        spec: Some(|spec, _| spec.roles.get_or_insert_default().keep_login = vec!["nobody".into()]),
        found: &[spec("CO0369", Warning, "nobody")],
    },
    Flaw {
        name: "the console's password is another one",
        make: &[],
        unmake: &[],
        needs: None,
        spec: Some(|spec, ground| spec.traffic.as_mut().unwrap().poolers[0].password = ground.secret("wrong", "wrong")),
        found: &[pooler("CO0371", Blocker, "")],
    },
    Flaw {
        name: "the worker can't write the pooler's databases file",
        make: &[],
        unmake: &[],
        needs: None,
        spec: Some(|spec, _| {
            spec.traffic.as_mut().unwrap().poolers[0].databases_file = "/nowhere/databases.ini".into()
        }),
        found: &[pooler("CO0374", Blocker, "")],
    },
    Flaw {
        name: "no pooler",
        make: &[],
        unmake: &[],
        needs: None,
        spec: Some(|spec, _| spec.traffic = None),
        found: &[spec("CO0378", Info, "")],
    },
    flaw(
        "a pooler that keeps sessions",
        &[Step::Routes("shop = {source} dbname=shop pool_mode=session")],
        &[Step::Routes("shop = {source} dbname=shop")],
        &[pooler("CO0372", Blocker, "shop")],
    ),
    flaw(
        "a pooler that waits after a failed login",
        &[Step::Pooler("set server_login_retry = '15'")],
        &[Step::Pooler("set server_login_retry = '0.05'")],
        &[pooler("CO0373", Warning, "")],
    ),
    flaw(
        "a pooler that doesn't verify servers",
        &[Step::Pooler("set server_tls_sslmode = 'require'")],
        &[Step::Pooler("set server_tls_sslmode = 'verify-full'")],
        &[pooler("CO0377", Warning, "")],
    ),
    flaw(
        "a pooler for something else",
        &[Step::Routes("other = {source} dbname=other")],
        &[Step::Routes("shop = {source} dbname=shop")],
        &[pooler("CO0375", Blocker, "")],
    ),
    flaw(
        "a pooler that leads to the target",
        &[Step::Routes("shop = {target} dbname=shop")],
        &[Step::Routes("shop = {source} dbname=shop")],
        &[pooler("CO0376", Blocker, "shop")],
    ),
    Flaw {
        name: "the WAL of the copy is beyond the budget",
        make: &[],
        unmake: &[],
        needs: None,
        spec: Some(|spec, _| spec.budgets.as_mut().unwrap().max_retained_wal_bytes = 1),
        found: &[source("CO0315", Warning, "max_retained_wal_bytes")],
    },
    flaw(
        "a subscription writes into the database",
        &[Step::In(S, "create subscription sub connection '' publication p with (connect = false)")],
        &[Step::In(
            S,
            "alter subscription sub disable;\nalter subscription sub set (slot_name = none);\ndrop subscription sub",
        )],
        &[blocker("CO0358", "sub")],
    ),
    flaw(
        "subscribers of the database",
        &[Step::In(S, "create publication pub")],
        &[Step::In(S, "drop publication pub")],
        &[warning("CO0357", "")],
    ),
    flaw(
        "an earlier migration has left its schema",
        &[Step::In(T, "create schema changeover")],
        &[Step::In(T, "drop schema changeover")],
        &[in_target("CO0360", Blocker, "")],
    ),
    flaw(
        "pglogical is installed, and the replication login may not read it",
        &[Step::In(
            T,
            "create extension pglogical;\ngrant usage on schema pglogical to changeover;\ngrant select on all tables in schema pglogical to changeover",
        )],
        &[],
        &[in_target("CO0359", Blocker, "")],
    ),
    flaw(
        "the login may not call its functions",
        &[Step::In(
            T,
            "grant usage on schema pglogical to changeover_repl;\ngrant select on pglogical.tables to changeover_repl;\nrevoke execute on all functions in schema pglogical from public",
        )],
        &[Step::In(T, "grant execute on all functions in schema pglogical to changeover")],
        &[in_target("CO0359", Blocker, ""), TARGET_UNTRIED],
    ),
    flaw("both may", &[], &[], &[in_target("CO0359", Info, "")]),
    flaw(
        "and has a node",
        &[Step::In(T, "select pglogical.create_node('somebodys', 'host=/nowhere dbname=shop')")],
        &[Step::In(T, "select pglogical.drop_node('somebodys');\ndrop extension pglogical;\ndrop schema pglogical")],
        &[in_target("CO0359", Blocker, ""), TARGET_UNTRIED],
    ),
    flaw(
        "the login isn't a member of an owner",
        &[Step::On(S, "revoke shop_owner from changeover")],
        &[Step::On(S, "grant shop_owner to changeover")],
        &[source("CO0323", Info, "shop_owner"), warning("CO0343", "")],
    ),
    flaw(
        "an extension of other objects",
        &[Step::In(S, "create extension pg_walinspect")],
        &[Step::In(S, "drop extension pg_walinspect")],
        &[in_target("CO0350", Blocker, "pg_walinspect")],
    ),
    flaw(
        "an extension is elsewhere",
        &[Step::In(S, "create extension pg_trgm schema app"), Step::In(T, "create extension pg_trgm")],
        &[Step::In(S, "drop extension pg_trgm"), Step::In(T, "drop extension pg_trgm")],
        &[in_target("CO0351", Blocker, "pg_trgm")],
    ),
    flaw(
        "the target isn't empty",
        &[Step::In(T, "create table public.mine (id int)")],
        &[Step::In(T, "drop table public.mine")],
        &[in_target("CO0363", Blocker, "")],
    ),
    flaw(
        "the login's own extension has rows",
        &[Step::In(
            S,
            "set allow_system_table_mods = on;
            update pg_extension set extconfig = array['app.customer'::regclass::oid], extcondition = array['']
             where extname = 'postgres_fdw'",
        )],
        &[Step::In(
            S,
            "set allow_system_table_mods = on;
            update pg_extension set extconfig = null, extcondition = null where extname = 'postgres_fdw'",
        )],
        &[warning("CO0381", "postgres_fdw")],
    ),
];
