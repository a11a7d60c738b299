//! What is wrong with an instance: settings, logins and their rights, other consumers, who is connected.

use changeover_domain::proto::Severity::{Blocker, Info, Warning};

use super::flaw::{
    Flaw, Found, NOT_THERE, S, SOURCE_UNTRIED, Step, T, TARGET_UNTRIED, Who, blocker, flaw, in_target, source, target,
    warning,
};

const UNMAKE_T: &[Step] = &[Step::Reset(T)];
const UNMAKE_S: &[Step] = &[Step::Reset(S)];

/// Those that no open transaction may be beside: a logical slot can't be made then, and its session is a finding on a target.
pub const ALONE: &[Flaw] = &[
    flaw(
        "somebody else reads the source's changes",
        &[Step::In(S, "select pg_create_logical_replication_slot('other', 'pgoutput')")],
        &[Step::In(S, "select pg_drop_replication_slot('other')")],
        &[warning("CO0355", "other")],
    ),
    flaw(
        "a slot of pglogical was left behind",
        &[Step::In(T, "select pg_create_logical_replication_slot('pgl_left', 'pglogical_output')")],
        &[Step::In(T, "select pg_drop_replication_slot('pgl_left')")],
        &[in_target("CO0359", Blocker, "pgl_left")],
    ),
    flaw(
        "a transaction was prepared just now",
        &[Step::In(T, "begin;\nselect pg_current_xact_id();\nprepare transaction 'fresh'")],
        &[Step::In(T, "rollback prepared 'fresh'")],
        &[in_target("CO0353", Warning, "fresh")],
    ),
    Flaw {
        name: "both sides are one cluster",
        make: &[],
        unmake: &[],
        needs: None,
        spec: Some(|spec, _| spec.target = spec.source.clone()),
        // It holds the application, and its login is one.
        found: &[target("CO0317", Blocker, ""), in_target("CO0363", Blocker, ""), target("CO0366", Info, "")],
    },
];

pub const FLAWS: &[Flaw] = &[
    Flaw {
        needs: Some("output_plugin_libraries"),
        ..flaw(
            "an output plugin that isn't allowed",
            &[Step::Set(T, &[("output_plugin_libraries", "'pgoutput', 'test_decoding'")])],
            UNMAKE_T,
            &[target("CO0308", Blocker, "output_plugin_libraries")],
        )
    },
    flaw(
        "passwords as md5",
        &[Step::Set(T, &[("password_encryption", "'md5'")])],
        UNMAKE_T,
        &[target("CO0313", Warning, "password_encryption")],
    ),
    flaw(
        "a subscriber that vanishes isn't noticed",
        &[Step::Set(S, &[("wal_sender_timeout", "0")])],
        UNMAKE_S,
        &[source("CO0314", Warning, "wal_sender_timeout")],
    ),
    flaw(
        "a subscriber that is busy is cut off",
        &[Step::Set(S, &[("wal_sender_timeout", "'5s'")])],
        UNMAKE_S,
        &[source("CO0314", Warning, "wal_sender_timeout")],
    ),
    flaw(
        "the slot would be lost before the run parks",
        &[Step::Set(S, &[("max_slot_wal_keep_size", "'64MB'")])],
        UNMAKE_S,
        &[source("CO0315", Warning, "max_slot_wal_keep_size")],
    ),
    flaw(
        "torn pages",
        &[Step::Set(T, &[("full_page_writes", "off")])],
        UNMAKE_T,
        &[target("CO0318", Warning, "full_page_writes")],
    ),
    flaw(
        "the log gets connection strings",
        &[Step::Set(T, &[("log_error_verbosity", "'default'")])],
        UNMAKE_T,
        &[target("CO0380", Warning, "log_error_verbosity")],
    ),
    flaw(
        "an instance that only reads",
        &[Step::Set(T, &[("default_transaction_read_only", "on")])],
        UNMAKE_T,
        &[target("CO0316", Blocker, "default_transaction_read_only")],
    ),
    flaw(
        "idle sessions are ended",
        &[Step::Set(S, &[("idle_session_timeout", "'1h'")])],
        UNMAKE_S,
        &[source("CO0316", Warning, "idle_session_timeout")],
    ),
    flaw(
        "our idle sessions are ended",
        &[Step::On(T, "alter role changeover set idle_session_timeout = '1h'")],
        &[Step::On(T, "alter role changeover reset idle_session_timeout")],
        &[target("CO0316", Warning, "changeover")],
    ),
    flaw(
        "the workers in this database don't wait for locks",
        &[Step::On(T, "alter database shop set lock_timeout = '1s'")],
        &[Step::On(T, "alter database shop reset lock_timeout")],
        &[in_target("CO0316", Warning, "every role")],
    ),
    flaw(
        "triggers don't fire in this database",
        &[Step::On(S, "alter database shop set session_replication_role = replica")],
        &[Step::On(S, "alter database shop reset session_replication_role")],
        &[blocker("CO0316", "every role")],
    ),
    flaw(
        "the worker's login can't log in",
        &[Step::On(T, "alter role changeover nologin")],
        &[Step::On(T, "alter role changeover login")],
        &[Found { database: "postgres", ..target("CO0301", Blocker, "CO0204") }, TARGET_UNTRIED, SOURCE_UNTRIED],
    ),
    flaw(
        "a function that preflight asks is closed",
        &[Step::On(T, "revoke execute on function pg_control_system() from public")],
        &[Step::On(T, "grant execute on function pg_control_system() to public")],
        &[Found { database: "postgres", ..target("CO0302", Blocker, "databases and roles") }],
    ),
    flaw(
        "no right to make roles",
        &[Step::On(T, "alter role changeover nocreaterole")],
        &[Step::On(T, "alter role changeover createrole")],
        &[target("CO0322", Blocker, "changeover")],
    ),
    flaw(
        "no right to see others",
        &[Step::On(S, "revoke pg_monitor from rds_superuser")],
        &[Step::On(S, "grant pg_monitor to rds_superuser with admin option")],
        // What only such a login sees can't be looked at either.
        &[
            source("CO0302", Blocker, "shared_preload_libraries"),
            source("CO0327", Blocker, "changeover"),
            source("CO0327", Blocker, ""),
            source("CO0361", Warning, "rdsadmin"),
        ],
    ),
    flaw(
        "no right to end sessions",
        &[Step::On(T, "revoke pg_signal_backend from rds_superuser")],
        &[Step::On(T, "grant pg_signal_backend to rds_superuser with admin option")],
        &[target("CO0328", Blocker, "changeover")],
    ),
    flaw(
        "no right to use slots",
        &[Step::On(S, "alter role changeover noreplication")],
        &[Step::On(S, "alter role changeover replication")],
        &[source("CO0325", Blocker, "changeover")],
    ),
    flaw(
        "the replication login may not replicate",
        &[Step::On(T, "alter role changeover_repl noreplication")],
        &[Step::On(T, "alter role changeover_repl replication")],
        &[target("CO0325", Blocker, "changeover_repl")],
    ),
    flaw(
        "the replication login isn't there",
        &[Step::On(T, "alter role changeover_repl rename to somebody")],
        &[Step::On(T, "alter role somebody rename to changeover_repl")],
        &[target("CO0325", Blocker, "changeover_repl"), target("CO0366", Info, "")],
    ),
    Flaw {
        name: "the replication login's password is another one",
        make: &[],
        unmake: &[],
        needs: None,
        spec: Some(|spec, ground| spec.replication.as_mut().unwrap().password = ground.secret("wrong", "wrong")),
        found: &[blocker("CO0325", "changeover_repl"), in_target("CO0325", Blocker, "changeover_repl")],
    },
    flaw(
        "few sessions for the login",
        &[Step::On(S, "alter role changeover_repl connection limit 5")],
        &[Step::On(S, "alter role changeover_repl connection limit -1")],
        &[source("CO0312", Warning, "changeover_repl")],
    ),
    flaw(
        "few sessions for the database",
        &[Step::On(S, "alter database shop connection limit 7")],
        &[Step::On(S, "alter database shop connection limit -1")],
        &[warning("CO0312", "")],
    ),
    flaw(
        "no connections to the database",
        &[Step::On(T, "alter database shop allow_connections false")],
        &[Step::On(T, "alter database shop allow_connections true")],
        &[in_target("CO0324", Blocker, ""), NOT_THERE, TARGET_UNTRIED, SOURCE_UNTRIED],
    ),
    flaw(
        "a superuser's database on the target",
        &[Step::On(T, "alter database shop owner to rdsadmin")],
        &[Step::On(T, "alter database shop owner to changeover")],
        &[in_target("CO0324", Blocker, "")],
    ),
    flaw(
        "a superuser's database on the source",
        &[Step::On(S, "alter database shop owner to rdsadmin")],
        &[Step::On(S, "alter database shop owner to shop_owner")],
        // Its schema public is the database owner's.
        &[blocker("CO0324", ""), blocker("CO0329", "rdsadmin")],
    ),
    flaw(
        "no replication origins",
        &[Step::On(T, "revoke execute on function pg_replication_origin_create(text) from rds_superuser")],
        &[Step::On(T, "grant execute on function pg_replication_origin_create(text) to rds_superuser")],
        &[target("CO0326", Blocker, "changeover")],
    ),
    flaw(
        "triggers can't be kept quiet in a copy",
        &[Step::On(T, "revoke set on parameter session_replication_role from rds_superuser")],
        &[Step::On(T, "grant set on parameter session_replication_role to rds_superuser")],
        &[target("CO0326", Blocker, "changeover")],
    ),
    flaw(
        "the escalation function isn't there",
        &[Step::In(T, "alter function rds_tools.escalate(text, text) rename to elsewhere")],
        &[Step::In(T, "alter function rds_tools.elsewhere(text, text) rename to escalate")],
        &[in_target("CO0326", Blocker, "rds_tools.escalate"), TARGET_UNTRIED],
    ),
    Flaw {
        name: "the spec names no escalation function",
        make: &[],
        unmake: &[],
        needs: None,
        spec: Some(|spec, _| spec.target.as_mut().unwrap().escalation.clear()),
        found: &[target("CO0326", Blocker, ""), TARGET_UNTRIED],
    },
    flaw(
        "an origin of pglogical was left behind",
        &[Step::On(T, "select pg_replication_origin_create('pgl_left')")],
        &[Step::On(T, "select pg_replication_origin_drop('pgl_left')")],
        &[target("CO0359", Blocker, "pgl_left")],
    ),
    flaw(
        "a slot that nobody reads keeps WAL",
        &[Step::On(
            T,
            "select pg_create_physical_replication_slot('standby', true);
            select pg_switch_wal();
            checkpoint;
            select pg_switch_wal();
            checkpoint;
            select pg_switch_wal();
            checkpoint;
            select pg_switch_wal();
            checkpoint;
            select pg_switch_wal();
            checkpoint",
        )],
        &[Step::On(T, "select pg_drop_replication_slot('standby')")],
        &[target("CO0356", Warning, "standby")],
    ),
    flaw(
        "superusers are connected to the source",
        &[Step::Connect(S, Who::Superuser)],
        &[Step::Disconnect],
        &[warning("CO0361", "rdsadmin")],
    ),
    flaw(
        "superusers are connected to the target",
        &[Step::Connect(T, Who::Superuser)],
        &[Step::Disconnect],
        &[target("CO0361", Warning, "")],
    ),
    flaw(
        "an application is connected to the target",
        &[Step::Connect(T, Who::Application)],
        &[Step::Disconnect],
        &[in_target("CO0367", Blocker, "clerk"), target("CO0366", Info, "")],
    ),
    flaw(
        "an application may log in to the target",
        &[],
        &[Step::On(T, "drop role clerk")],
        &[target("CO0366", Info, "")],
    ),
];
