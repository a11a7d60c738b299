//! What is wrong with a database: its tables, sequences and other objects.

use changeover_domain::proto::Severity::{Blocker, Warning};

use super::flaw::{Flaw, Found, S, Step, blocker, flaw, info, source, warning};

const fn table(name: &'static str, make: &'static [Step], unmake: &'static [Step], found: &'static [Found]) -> Flaw {
    flaw(name, make, unmake, found)
}

/// The spec says that it is only ever appended to.
fn appended(spec: &mut changeover_domain::proto::Spec, _: &super::ground::Ground) {
    spec.databases[0].insert_only_tables = vec!["app.flaw".into()];
}

const DROP: &[Step] = &[Step::Owner("drop table app.flaw")];

pub const FLAWS: &[Flaw] = &[
    table("no key", &[Step::Owner("create table app.flaw (a int)")], DROP, &[blocker("CO0331", "app.flaw")]),
    table(
        "an identity that isn't the key",
        &[Step::Owner("create table app.flaw (a int primary key);\nalter table app.flaw replica identity full")],
        DROP,
        &[blocker("CO0331", "app.flaw")],
    ),
    table(
        "an identity of nothing",
        &[Step::Owner("create table app.flaw (a int primary key);\nalter table app.flaw replica identity nothing")],
        DROP,
        &[blocker("CO0331", "app.flaw")],
    ),
    table(
        "a partition without a key",
        &[Step::Owner(
            "create table app.flaw (a int) partition by list (a);\ncreate table app.flaw_1 partition of app.flaw for values in (1)",
        )],
        DROP,
        &[blocker("CO0331", "app.flaw_1")],
    ),
    Flaw {
        spec: Some(appended),
        ..flaw("a list of tables that aren't there", &[], &[], &[blocker("CO0332", "app.flaw")])
    },
    Flaw {
        spec: Some(appended),
        ..flaw(
            "a listed table has a key",
            &[Step::Owner("create table app.flaw (a int primary key)")],
            DROP,
            &[warning("CO0332", "app.flaw")],
        )
    },
    Flaw {
        spec: Some(appended),
        ..flaw(
            "a listed table was changed",
            &[Step::Owner(
                "create table app.flaw (a int);
                insert into app.flaw values (1);
                update app.flaw set a = 2;
                select pg_stat_force_next_flush();
                select 1",
            )],
            DROP,
            &[blocker("CO0333", "app.flaw")],
        )
    },
    table(
        "a generated column",
        &[Step::Owner("create table app.flaw (a int primary key, b int generated always as (a + 1) stored)")],
        DROP,
        &[blocker("CO0334", "app.flaw")],
    ),
    table(
        "an unlogged table",
        &[Step::Owner("create unlogged table app.flaw (a int primary key)")],
        DROP,
        &[blocker("CO0335", "app.flaw")],
    ),
    table(
        "a constraint that is checked later",
        &[Step::Owner("create table app.flaw (a int primary key, b int unique deferrable)")],
        DROP,
        &[blocker("CO0336", "app.flaw")],
    ),
    flaw(
        "a large object",
        &[Step::Owner("select lo_create(4711)")],
        &[Step::Owner("select lo_unlink(4711)")],
        &[blocker("CO0337", "")],
    ),
    flaw(
        "a foreign server",
        &[Step::Owner("create server elsewhere foreign data wrapper postgres_fdw")],
        &[],
        &[warning("CO0352", "elsewhere")],
    ),
    flaw(
        "and a foreign table",
        &[Step::Owner("create foreign table app.flaw (a int) server elsewhere")],
        &[Step::Owner("drop foreign table app.flaw;\ndrop server elsewhere")],
        &[warning("CO0338", "app.flaw"), warning("CO0352", "elsewhere")],
    ),
    table(
        "a column of object numbers",
        &[Step::Owner("create table app.flaw (a int primary key, b regclass)")],
        DROP,
        &[blocker("CO0339", "app.flaw")],
    ),
    table(
        "an index that failed to be made",
        &[
            Step::Owner("create table app.flaw (a int primary key, b int);\ncreate index flaw_b on app.flaw (b)"),
            Step::In(
                S,
                "set allow_system_table_mods = on;
                update pg_index set indisvalid = false where indexrelid = 'app.flaw_b'::regclass",
            ),
        ],
        DROP,
        &[warning("CO0340", "app.flaw")],
    ),
    table(
        "a tablespace that the target hasn't got",
        &[
            Step::In(
                S,
                "set allow_in_place_tablespaces = on;
                create tablespace fast location '';
                grant create on tablespace fast to shop_owner",
            ),
            Step::Owner("create table app.flaw (a int primary key) tablespace fast"),
        ],
        // The tablespace stays: dropping it hangs as dropping a database does while pglogical is loaded.
        DROP,
        &[blocker("CO0341", "app.flaw")],
    ),
    flaw(
        "a sequence near its end",
        &[Step::Owner("create sequence app.flaw maxvalue 100")],
        &[Step::Owner("drop sequence app.flaw")],
        &[blocker("CO0342", "app.flaw")],
    ),
    flaw(
        "a sequence that begins again",
        &[Step::Owner("create sequence app.flaw cycle")],
        &[Step::Owner("drop sequence app.flaw")],
        &[info("CO0342", "app.flaw")],
    ),
    flaw(
        "a sequence that can't be read",
        &[Step::In(S, "create role stranger;\ncreate sequence app.flaw;\nalter sequence app.flaw owner to stranger")],
        &[Step::In(S, "drop sequence app.flaw;\ndrop role stranger")],
        &[warning("CO0343", ""), source("CO0323", changeover_domain::proto::Severity::Info, "stranger")],
    ),
    flaw(
        "triggers that fire on what arrives",
        &[Step::Owner(
            "create function app.flaw() returns trigger language plpgsql as 'begin return new; end';
            create trigger flaw before insert on app.entry for each row execute function app.flaw();
            alter table app.entry enable always trigger flaw",
        )],
        &[Step::Owner("drop function app.flaw cascade")],
        &[info("CO0344", "")],
    ),
    flaw(
        "a materialized view",
        &[Step::Owner("create materialized view app.flaw as select 1 as a")],
        &[Step::Owner("drop materialized view app.flaw")],
        &[info("CO0345", "")],
    ),
    flaw(
        "an event trigger",
        &[Step::In(
            S,
            "create function rds_tools.flaw() returns event_trigger language plpgsql as 'begin end';
            create event trigger flaw on ddl_command_start execute function rds_tools.flaw()",
        )],
        &[Step::In(S, "drop event trigger flaw")],
        &[warning("CO0346", "flaw")],
    ),
    flaw(
        "a guard that an earlier migration left",
        &[Step::In(S, "create event trigger changeover_old on ddl_command_start execute function rds_tools.flaw()")],
        &[Step::In(S, "drop event trigger changeover_old;\ndrop function rds_tools.flaw()")],
        &[blocker("CO0360", "changeover_old")],
    ),
    flaw(
        "a function that runs as a superuser",
        &[Step::In(S, "create function app.flaw() returns int language sql security definer as 'select 1'")],
        &[Step::In(S, "drop function app.flaw()")],
        // It belongs to one.
        &[blocker("CO0329", "rdsadmin"), warning("CO0347", "app.flaw")],
    ),
    flaw(
        "a function that only a superuser can make",
        &[Step::In(
            S,
            "create function app.flaw() returns timestamptz language internal as 'now';
            alter function app.flaw() owner to shop_owner",
        )],
        &[Step::In(S, "drop function app.flaw()")],
        &[blocker("CO0348", "app.flaw")],
    ),
    flaw(
        "a superuser's table",
        &[Step::In(S, "create table app.flaw (a int primary key)")],
        &[Step::In(S, "drop table app.flaw")],
        &[blocker("CO0329", "rdsadmin")],
    ),
    flaw(
        "a collation of another library",
        &[
            Step::Owner("create collation app.flaw (provider = icu, locale = 'de')"),
            Step::In(
                S,
                "set allow_system_table_mods = on;
                update pg_collation set collversion = '1' where collname = 'flaw'",
            ),
        ],
        &[Step::Owner("drop collation app.flaw")],
        &[Found { severity: Warning, ..info("CO0365", "") }],
    ),
    table(
        "rows that policies hide, members or not",
        &[Step::Owner(
            "create table app.flaw (a int primary key);
            alter table app.flaw enable row level security;
            alter table app.flaw force row level security",
        )],
        DROP,
        &[Found { severity: Blocker, ..info("CO0330", "app.flaw") }],
    ),
    table(
        "rows that policies hide from others",
        &[Step::Owner("create table app.flaw (a int primary key);\nalter table app.flaw enable row level security")],
        DROP,
        &[info("CO0330", "")],
    ),
    table(
        "an owner who took a right from itself",
        &[Step::Owner("create table app.flaw (a int primary key);\nrevoke select on app.flaw from shop_owner")],
        DROP,
        &[blocker("CO0379", "app.flaw")],
    ),
];
