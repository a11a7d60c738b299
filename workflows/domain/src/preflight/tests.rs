//! Each rule by itself: a healthy migration with one thing spoiled has exactly one finding.

use rstest::rstest;

use super::{facts::*, testing::*};
use crate::{
    Side::{self, Source, Target},
    proto::{
        Finding, RolePassword, Roles,
        Severity::{self, Blocker, Info, Warning},
        Spec,
    },
};

type Spoil = fn(&mut Spec, &mut Facts);

fn spoiled(spoil: Spoil, code: &str, severity: Severity) -> Finding {
    let (mut spec, mut facts) = (spec(), facts());
    spoil(&mut spec, &mut facts);
    only(&spec, &facts, code, severity)
}

#[test]
fn a_healthy_migration_has_no_findings_but_the_usual() {
    assert_eq!(found(&spec(), &facts()), []);
    let report = super::report(&spec(), &facts());
    assert!(!super::is_blocked(&report));
    assert_eq!((report.source_version, report.engine.as_str()), (150_020, "pglogical"));
    assert_eq!((report.databases[0].tables, report.databases[0].bytes, report.databases[0].sequences), (1, 1000, 1));
}

#[rstest]
#[case::newer("CO0303", Blocker, |_: &mut Spec, f: &mut Facts| { f.side(Target).version = Some(160_004) })]
#[case::standby("CO0304", Blocker, |_: &mut Spec, f: &mut Facts| f.server(Source).in_recovery = true)]
#[case::wal_level("CO0305", Blocker, |_: &mut Spec, f: &mut Facts| f.set(Target, "wal_level", "replica"))]
#[case::not_preloaded("CO0306", Blocker, |_: &mut Spec, f: &mut Facts| f.set(Source, "shared_preload_libraries", ""))]
#[case::no_supervisor("CO0306", Blocker, |_: &mut Spec, f: &mut Facts| f.activity(Target).supervisor = false)]
#[case::not_installed("CO0306", Blocker, |_: &mut Spec, f: &mut Facts| { f.catalog(Source).available_extensions.retain(|e| e.name != "pglogical") })]
#[case::preload_unseen("CO0302", Blocker, |_: &mut Spec, f: &mut Facts| f.unset(Source, "shared_preload_libraries"))]
#[case::timestamps("CO0307", Blocker, |_: &mut Spec, f: &mut Facts| f.set(Source, "track_commit_timestamp", "off"))]
#[case::plugins("CO0308", Blocker, |_: &mut Spec, f: &mut Facts| f.set(Target, "output_plugin_libraries", "pgoutput, test_decoding"))]
#[case::md5("CO0313", Warning, |_: &mut Spec, f: &mut Facts| f.set(Target, "password_encryption", "md5"))]
#[case::no_sender_timeout("CO0314", Warning, |_: &mut Spec, f: &mut Facts| f.set(Source, "wal_sender_timeout", "0"))]
#[case::short_sender_timeout("CO0314", Warning, |_: &mut Spec, f: &mut Facts| f.set(Source, "wal_sender_timeout", "9999"))]
#[case::same_cluster("CO0317", Blocker, |_: &mut Spec, f: &mut Facts| f.catalog(Target).system_identifier = Some("1".into()))]
#[case::fsync("CO0318", Warning, |_: &mut Spec, f: &mut Facts| f.set(Target, "fsync", "off"))]
#[case::talkative("CO0380", Warning, |_: &mut Spec, f: &mut Facts| f.set(Target, "log_error_verbosity", "default"))]
#[case::clocks("CO0319", Warning, |_: &mut Spec, f: &mut Facts| f.server(Target).clock += 6.0)]
#[case::read_only_instance("CO0316", Blocker, |_: &mut Spec, f: &mut Facts| f.set(Target, "default_transaction_read_only", "on"))]
#[case::idle_instance("CO0316", Warning, |_: &mut Spec, f: &mut Facts| f.set(Target, "idle_session_timeout", "1000"))]
#[case::library("CO0349", Warning, |_: &mut Spec, f: &mut Facts| f.set(Source, "shared_preload_libraries", "pglogical,pg_stat_statements"))]
fn settings(#[case] code: &str, #[case] severity: Severity, #[case] spoil: Spoil) {
    spoiled(spoil, code, severity);
}

#[test]
fn a_server_without_the_list_of_plugins_allows_all() {
    let mut facts = facts();
    facts.unset(Source, "output_plugin_libraries");
    assert_eq!(found(&spec(), &facts), []);
}

#[test]
fn lists_are_set_element_by_element() {
    let finding = spoiled(|_, f| f.set(Target, "shared_preload_libraries", "auto_explain"), "CO0306", Blocker);
    assert!(finding.remedy.contains("= 'auto_explain', 'pglogical';"), "{}", finding.remedy);
}

fn role_setting(role: Option<&str>, database: Option<&str>, name: &str, value: &str) -> RoleSetting {
    RoleSetting {
        role: role.map(Into::into),
        database: database.map(Into::into),
        name: name.into(),
        value: value.into(),
    }
}

#[rstest]
#[case::for_all(role_setting(None, Some("shop"), "default_transaction_read_only", "on"), Some(Blocker))]
#[case::for_us(role_setting(Some("changeover"), None, "session_replication_role", "replica"), Some(Blocker))]
#[case::idle(role_setting(Some("repl"), None, "idle_session_timeout", "5min"), Some(Warning))]
#[case::locks(role_setting(None, Some("shop"), "lock_timeout", "1s"), Some(Warning))]
#[case::no_lock_timeout(role_setting(None, Some("shop"), "lock_timeout", "0"), None)]
#[case::harmless_value(role_setting(None, None, "idle_session_timeout", "0"), None)]
#[case::nodes_override(role_setting(Some("repl"), None, "default_transaction_read_only", "on"), None)]
#[case::other_database(role_setting(None, Some("other"), "default_transaction_read_only", "on"), None)]
fn settings_of_roles(#[case] setting: RoleSetting, #[case] severity: Option<Severity>) {
    let mut facts = facts();
    facts.server(Source).role_settings.push(setting);
    match severity {
        Some(severity) => drop(only(&spec(), &facts, "CO0316", severity)),
        None => assert_eq!(found(&spec(), &facts), []),
    }
}

// One database needs 2 slots, origins and senders, 4 workers, 14 sessions.
#[rstest]
#[case::slots_fit("max_replication_slots", "2", None)]
#[case::slots("max_replication_slots", "1", Some(("CO0309", Blocker)))]
#[case::senders_fit("max_wal_senders", "2", None)]
#[case::senders("max_wal_senders", "1", Some(("CO0310", Blocker)))]
#[case::workers_fit("max_worker_processes", "13", None)]
#[case::workers_shared("max_worker_processes", "12", Some(("CO0311", Warning)))]
#[case::workers_least("max_worker_processes", "5", Some(("CO0311", Warning)))]
#[case::workers("max_worker_processes", "4", Some(("CO0311", Blocker)))]
#[case::connections_fit("max_connections", "17", None)]
#[case::connections("max_connections", "16", Some(("CO0312", Warning)))]
fn head_room_is_counted(#[case] setting: &str, #[case] value: &str, #[case] expected: Option<(&str, Severity)>) {
    let mut facts = facts();
    facts.set(Target, setting, value);
    let found: Vec<_> = found(&spec(), &facts).into_iter().map(|f| (f.code.clone(), f.severity())).collect();
    let mut expected: Vec<_> = expected.into_iter().map(|(c, s)| (c.to_owned(), s)).collect();
    if setting == "max_replication_slots" && !expected.is_empty() {
        // slots and origins are bounded by the same setting
        expected.push(expected[0].clone());
    }
    assert_eq!(found, expected);
}

#[rstest]
#[case::in_use("CO0310", Blocker, |_: &mut Spec, f: &mut Facts| f.activity(Source).wal_senders = 9)]
#[case::origins("CO0309", Blocker, |_: &mut Spec, f: &mut Facts| f.replication(Source).origins = vec!["x".into(); 9])]
#[case::locks("CO0320", Blocker, |_: &mut Spec, f: &mut Facts| { f.set(Target, "max_locks_per_transaction", "1"); *f.tables() = (0..84).map(|n| table(&n.to_string())).collect() })]
#[case::role_limit("CO0312", Warning, |_: &mut Spec, f: &mut Facts| f.login(Source).connection_limit = 5)]
#[case::database_limit("CO0312", Warning, |_: &mut Spec, f: &mut Facts| f.catalog(Source).databases[1].connection_limit = 2)]
#[case::keep_size("CO0315", Blocker, |_: &mut Spec, f: &mut Facts| { f.server(Source).wal_bytes = 1e10; f.shop().bytes = Some(400_000_000); f.set(Source, "max_slot_wal_keep_size", "1000000"); })]
#[case::keep_size_below_park("CO0315", Warning, |_: &mut Spec, f: &mut Facts| f.set(Source, "max_slot_wal_keep_size", "1000000"))]
#[case::parks("CO0315", Warning, |_: &mut Spec, f: &mut Facts| { f.server(Source).wal_bytes = 1e12; f.shop().bytes = Some(400_000_000) })]
fn capacity(#[case] code: &str, #[case] severity: Severity, #[case] spoil: Spoil) {
    spoiled(spoil, code, severity);
}

#[test]
fn just_enough_locks_are_enough() {
    let mut facts = facts();
    facts.set(Target, "max_locks_per_transaction", "1");
    *facts.tables() = (0..83).map(|n| table(&n.to_string())).collect();
    assert_eq!(found(&spec(), &facts), []);
}

/// With the gate no switch locks them, but pg_dump does, on the source and one database at a time.
#[rstest]
#[case::source(Source, 84, Some("CO0320"))]
#[case::fits(Source, 83, None)]
#[case::target(Target, 84, None)]
fn the_gate_needs_locks_for_the_dump(#[case] side: Side, #[case] tables: usize, #[case] code: Option<&str>) {
    let (mut spec, mut facts) = (spec(), facts());
    spec.fence = "gate".to_owned();
    facts.set(side, "max_locks_per_transaction", "1");
    *facts.tables() = (0..tables).map(|n| table(&n.to_string())).collect();
    let found = found(&spec, &facts);
    assert_eq!(found.iter().map(|f| &*f.code).collect::<Vec<_>>(), Vec::from_iter(code), "{found:?}");
}

fn owner(kind: &str, superuser: bool) -> Owner {
    Owner { role: "o'wner".into(), superuser, kind: kind.into(), count: 1, example: "app.x".into(), member: false }
}

#[rstest]
#[case::create_role("CO0322", Blocker, |_: &mut Spec, f: &mut Facts| f.login(Target).create_role = false)]
#[case::monitor("CO0327", Blocker, |_: &mut Spec, f: &mut Facts| f.login(Source).monitor = false)]
#[case::hidden("CO0327", Blocker, |_: &mut Spec, f: &mut Facts| f.activity(Source).hidden = 3)]
#[case::signal("CO0328", Blocker, |_: &mut Spec, f: &mut Facts| f.login(Source).signal = false)]
#[case::slots("CO0325", Blocker, |_: &mut Spec, f: &mut Facts| f.login(Source).replication = false)]
#[case::no_replication_login("CO0325", Blocker, |_: &mut Spec, f: &mut Facts| f.server(Target).replication_login = None)]
#[case::replication_connect("CO0325", Blocker, |_: &mut Spec, f: &mut Facts| f.catalog(Source).databases[1].replication_may_connect = false)]
#[case::connect("CO0324", Blocker, |_: &mut Spec, f: &mut Facts| f.catalog(Source).databases[1].may_connect = false)]
#[case::closed("CO0324", Blocker, |_: &mut Spec, f: &mut Facts| f.catalog(Target).databases[1].allows_connections = false)]
#[case::origin_functions("CO0326", Blocker, |_: &mut Spec, f: &mut Facts| f.login(Target).origin_functions = false)]
#[case::origin_status("CO0326", Blocker, |_: &mut Spec, f: &mut Facts| f.login(Target).origin_status = false)]
#[case::replication_role("CO0326", Blocker, |_: &mut Spec, f: &mut Facts| f.login(Target).set_replication_role = false)]
#[case::no_escalation("CO0326", Blocker, |s: &mut Spec, _: &mut Facts| s.source.as_mut().unwrap().escalation.clear())]
#[case::escalation_missing("CO0326", Blocker, |_: &mut Spec, f: &mut Facts| { f.objects_of(Source).escalation = Some(Escalation { exists: false, executable: false }) })]
#[case::escalation_closed("CO0326", Blocker, |_: &mut Spec, f: &mut Facts| { f.objects_of(Source).escalation = Some(Escalation { exists: true, executable: false }) })]
#[case::rds("CO0326", Blocker, |_: &mut Spec, f: &mut Facts| { f.server(Source).is_rds = true; f.login(Source).rds_superuser = false })]
#[case::owner("CO0323", Info, |_: &mut Spec, f: &mut Facts| { f.shop().source_owners = Some(vec![owner("table", false)]) })]
#[case::superusers_table("CO0329", Blocker, |_: &mut Spec, f: &mut Facts| { f.shop().source_owners = Some(vec![owner("table", true)]) })]
#[case::superusers_function("CO0329", Blocker, |_: &mut Spec, f: &mut Facts| { f.shop().source_owners = Some(vec![owner("function", true)]) })]
#[case::database_owner("CO0323", Info, |_: &mut Spec, f: &mut Facts| f.catalog(Target).databases[1].owner_member = false)]
#[case::database_of_superuser("CO0324", Blocker, |_: &mut Spec, f: &mut Facts| { let d = &mut f.catalog(Target).databases[1]; d.owner_member = false; d.owner_superuser = true })]
fn rights(#[case] code: &str, #[case] severity: Severity, #[case] spoil: Spoil) {
    spoiled(spoil, code, severity);
}

#[test]
fn a_superuser_needs_no_grants() {
    let mut facts = facts();
    let mut spec = spec();
    for side in [Source, Target] {
        let name = facts.login(side).name.clone();
        *facts.login(side) = Login { name, superuser: true, connection_limit: -1, ..Login::default() };
    }
    spec.source.as_mut().unwrap().escalation.clear();
    spec.target.as_mut().unwrap().escalation.clear();
    assert_eq!(found(&spec, &facts), []);
}

#[test]
fn rds_needs_no_escalation() {
    let (mut spec, mut facts) = (spec(), facts());
    for side in [Source, Target] {
        facts.server(side).is_rds = true;
        let login = facts.login(side);
        (login.origin_functions, login.origin_status, login.set_replication_role, login.replication) =
            (false, false, false, false);
    }
    spec.source.as_mut().unwrap().escalation.clear();
    spec.target.as_mut().unwrap().escalation.clear();
    assert_eq!(found(&spec, &facts), []);
}

#[test]
fn a_grant_is_printed_quoted_and_only_a_blocker_when_the_login_cannot_run_it() {
    let spoil: Spoil = |_, f| f.shop().source_owners = Some(vec![owner("table", false), owner("grant", false)]);
    let info = spoiled(spoil, "CO0323", Info);
    assert!(info.remedy.ends_with("grant \"o'wner\" to \"changeover\";"), "{}", info.remedy);
    let (mut spec, mut facts) = (spec(), facts());
    spoil(&mut spec, &mut facts);
    facts.login(Source).create_role = false;
    let codes: Vec<_> = found(&spec, &facts).into_iter().map(|f| (f.code.clone(), f.severity())).collect();
    assert_eq!(codes, [("CO0322".to_owned(), Blocker), ("CO0323".to_owned(), Blocker)]);
}

#[rstest]
#[case::plain(true, false, false, Some(Info))]
#[case::forced(true, true, false, Some(Blocker))]
#[case::forced_but_bypassed(true, true, true, None)]
#[case::bypassed(true, false, true, None)]
#[case::forced_but_off(false, true, false, None)]
fn row_level_security(
    #[case] on: bool,
    #[case] forced: bool,
    #[case] bypass: bool,
    #[case] severity: Option<Severity>,
) {
    let mut facts = facts();
    (facts.tables()[0].row_security, facts.tables()[0].force_row_security) = (on, forced);
    for side in [Source, Target] {
        facts.login(side).bypass_rls = bypass;
        facts.server(side).replication_login.as_mut().unwrap().bypass_rls = bypass;
    }
    match severity {
        Some(severity) => drop(only(&spec(), &facts, "CO0330", severity)),
        None => assert_eq!(found(&spec(), &facts), []),
    }
}

#[rstest]
#[case::keyless("CO0331", Blocker, |_: &mut Spec, f: &mut Facts| f.tables().push(keyless("log")))]
#[case::full("CO0331", Blocker, |_: &mut Spec, f: &mut Facts| f.tables()[0].replica_identity = "f".into())]
#[case::nothing("CO0331", Blocker, |_: &mut Spec, f: &mut Facts| f.tables()[0].replica_identity = "n".into())]
#[case::index_gone("CO0331", Blocker, |_: &mut Spec, f: &mut Facts| { f.tables().push(Table { replica_identity: "i".into(), ..keyless("t") }) })]
#[case::listed_gone("CO0332", Blocker, |s: &mut Spec, _: &mut Facts| list(s, "app.gone"))]
#[case::listed_keyed("CO0332", Warning, |s: &mut Spec, _: &mut Facts| list(s, "app.orders"))]
#[case::listed_parent("CO0332", Warning, |s: &mut Spec, f: &mut Facts| { list(s, "app.p"); f.tables().push(Table { kind: "p".into(), ..keyless("p") }) })]
#[case::updated("CO0333", Blocker, |s: &mut Spec, f: &mut Facts| { list(s, "app.log"); f.tables().push(Table { updates: 1, ..keyless("log") }) })]
#[case::deleted("CO0333", Blocker, |s: &mut Spec, f: &mut Facts| { list(s, "app.log"); f.tables().push(Table { deletes: 1, ..keyless("log") }) })]
#[case::generated("CO0334", Blocker, |_: &mut Spec, f: &mut Facts| f.tables()[0].generated = vec!["g".into()])]
#[case::unlogged("CO0335", Blocker, |_: &mut Spec, f: &mut Facts| f.tables()[0].persistence = "u".into())]
#[case::deferrable("CO0336", Blocker, |_: &mut Spec, f: &mut Facts| { f.tables()[0].deferrable = vec!["k".into()]; f.tables()[0].primary_key_deferrable = true })]
#[case::large_objects("CO0337", Blocker, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).large_objects = 5)]
#[case::foreign("CO0338", Warning, |_: &mut Spec, f: &mut Facts| f.tables().push(Table { kind: "f".into(), ..keyless("f") }))]
#[case::numbered("CO0339", Blocker, |_: &mut Spec, f: &mut Facts| f.tables()[0].numbered = vec!["my col regclass".into()])]
#[case::owner_without_rights("CO0379", Blocker, |_: &mut Spec, f: &mut Facts| f.tables()[0].owner_lacks = vec!["INSERT".into()])]
#[case::invalid("CO0340", Warning, |_: &mut Spec, f: &mut Facts| f.tables()[0].invalid_indexes = vec!["i".into()])]
#[case::tablespace("CO0341", Blocker, |_: &mut Spec, f: &mut Facts| f.tables()[0].tablespaces = vec!["fast".into()])]
fn tables(#[case] code: &str, #[case] severity: Severity, #[case] spoil: Spoil) {
    spoiled(spoil, code, severity);
}

fn list(spec: &mut Spec, table: &str) {
    spec.databases[0].insert_only_tables.push(table.to_owned());
}

#[test]
fn keys_and_listings_that_fit_are_no_findings() {
    let (mut spec, mut facts) = (spec(), facts());
    list(&mut spec, "app.log");
    facts.tables().push(keyless("log"));
    facts.tables().push(Table {
        replica_identity: "i".into(),
        identity_index: Some("u".into()),
        ..keyless("by_index")
    });
    facts.tables().push(Table { kind: "p".into(), ..keyless("parent") });
    assert_eq!(found(&spec, &facts), []);
}

#[test]
fn a_tablespace_that_the_target_has_is_no_finding() {
    let mut facts = facts();
    facts.tables()[0].tablespaces = vec!["fast".into()];
    facts.catalog(Target).tablespaces = vec!["fast".into()];
    assert_eq!(found(&spec(), &facts), []);
}

// The target's replication login reads no tables: only the stream goes back, and decoding needs no right.
#[test]
fn forced_row_security_matters_to_three_of_the_four_logins() {
    let mut facts = facts();
    (facts.tables()[0].row_security, facts.tables()[0].force_row_security) = (true, true);
    facts.login(Source).bypass_rls = true;
    facts.login(Target).bypass_rls = true;
    let finding = only(&spec(), &facts, "CO0330", Blocker);
    assert!(finding.message.contains("from repl,"), "{}", finding.message);
    facts.server(Source).replication_login.as_mut().unwrap().bypass_rls = true;
    assert_eq!(found(&spec(), &facts), []);
}

#[test]
fn a_partition_is_not_told_to_add_a_column() {
    let spoil: Spoil = |_, f| f.tables().push(Table { root: Some("app.p".into()), ..keyless("leaf") });
    let finding = spoiled(spoil, "CO0331", Blocker);
    assert!(finding.remedy.contains("add one to its parent app.p"), "{}", finding.remedy);
    assert!(!finding.remedy.contains("add column"), "{}", finding.remedy);
}

#[test]
fn an_extension_in_a_schema_of_its_own_wants_that_schema_first() {
    let spoil: Spoil = |_, f| {
        let own = Extension { schema: "own".into(), ..extension("pg_trgm", "1.6") };
        f.objects_of(Source).extensions.push(own);
        f.catalog(Target).available_extensions[1].anyone = false;
    };
    let remedy = spoiled(spoil, "CO0350", Blocker).remedy;
    let expected =
        "create schema if not exists \"own\" authorization \"changeover\"; create extension \"pg_trgm\" schema \"own\"";
    assert!(remedy.contains(expected), "{remedy}");
}

#[test]
fn a_unique_index_is_suggested_as_identity() {
    let spoil: Spoil = |_, f| f.tables().push(Table { candidates: vec!["u\"x".into()], ..keyless("T") });
    let finding = spoiled(spoil, "CO0331", Blocker);
    assert!(
        finding.remedy.starts_with("alter table \"app\".\"T\" replica identity using index \"u\"\"x\";"),
        "{}",
        finding.remedy
    );
    assert_eq!((finding.database.as_str(), finding.object.as_str()), ("shop", "app.T"));
}

#[test]
fn a_column_with_a_space_is_named_whole() {
    let finding = spoiled(|_, f| f.tables()[0].numbered = vec!["my col regclass".into()], "CO0339", Blocker);
    assert!(finding.remedy.contains("\"my col\""), "{}", finding.remedy);
}

// Four switches by 1000 must fit.
#[rstest]
#[case::fits("1", None, "5000", "1000", false, None)]
#[case::near("1", None, "5000", "1001", false, Some(Blocker))]
#[case::fresh("1", None, "4001", "", false, None)]
#[case::fresh_small("1", None, "4000", "", false, Some(Blocker))]
#[case::steps_count_in_increments("10", None, "50000", "10001", false, Some(Blocker))]
#[case::cycling_far("1", None, "50000", "1", true, Some(Info))]
#[case::cycling_near("1", None, "5000", "4000", true, Some(Blocker))]
#[case::descending("-1", Some("-5000"), "-1", "-1000", false, None)]
#[case::descending_near("-1", Some("-5000"), "-1", "-1001", false, Some(Blocker))]
fn a_margin_must_fit(
    #[case] increment: &str,
    #[case] min: Option<&str>,
    #[case] max: &str,
    #[case] last: &str,
    #[case] cycle: bool,
    #[case] severity: Option<Severity>,
) {
    let mut facts = facts();
    let last = (!last.is_empty()).then(|| last.to_owned());
    let spoiled = Sequence { increment: increment.into(), max: max.into(), last, cycle, ..sequence("s") };
    facts.shop().sequences = Some(vec![Sequence { min: min.unwrap_or("1").into(), ..spoiled }]);
    match severity {
        Some(severity) => drop(only(&spec(), &facts, "CO0342", severity)),
        None => assert_eq!(found(&spec(), &facts), []),
    }
}

#[rstest]
#[case::obtainable(true, Warning)]
#[case::not_obtainable(false, Blocker)]
fn a_sequence_that_cannot_be_read_is_never_silence(#[case] create_role: bool, #[case] severity: Severity) {
    let mut facts = facts();
    facts.login(Source).create_role = create_role;
    facts.shop().sequences = Some(vec![Sequence { visible: false, ..sequence("s") }]);
    let finding = found(&spec(), &facts).into_iter().find(|f| f.code == "CO0343").unwrap();
    assert_eq!(finding.severity(), severity);
}

fn trigger(enabled: &str, name: &str) -> EventTrigger {
    EventTrigger { name: name.into(), event: "ddl_command_end".into(), enabled: enabled.into(), owner: "o".into() }
}

fn function(definer: bool) -> Function {
    Function {
        name: "app.f".into(),
        owner: "su".into(),
        language: "c".into(),
        definer,
        untrusted: !definer,
        leakproof: false,
    }
}

#[rstest]
#[case::always_trigger("CO0344", Info, |_: &mut Spec, f: &mut Facts| { f.objects_of(Source).triggers = vec![Trigger { table: "t".into(), name: "n".into(), enabled: "A".into() }] })]
#[case::matviews("CO0345", Info, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).materialized_views = 1)]
#[case::event_trigger("CO0346", Warning, |_: &mut Spec, f: &mut Facts| f.objects_of(Target).event_triggers = vec![trigger("O", "x")])]
#[case::old_guard("CO0360", Blocker, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).event_triggers = vec![trigger("O", "changeover_old")])]
#[case::definer("CO0347", Warning, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).functions = vec![function(true)])]
#[case::untrusted("CO0348", Blocker, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).functions = vec![function(false)])]
#[case::leakproof("CO0348", Blocker, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).functions = vec![Function { leakproof: true, ..function(false) }])]
#[case::operator_class("CO0348", Blocker, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).superuser_only = vec![Named { kind: "operator class".into(), name: "app.o".into() }])]
#[case::other_schema("CO0351", Blocker, |_: &mut Spec, f: &mut Facts| { f.objects_of(Source).extensions.push(extension("pg_trgm", "1.6")); f.objects_of(Target).extensions.push(Extension { schema: "x".into(), ..extension("pg_trgm", "1.6") }) })]
#[case::not_offered("CO0350", Blocker, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).extensions.push(extension("postgis", "3.3")))]
#[case::untrusted_extension("CO0350", Blocker, |_: &mut Spec, f: &mut Facts| { f.objects_of(Source).extensions.push(extension("pg_trgm", "1.6")); f.catalog(Target).available_extensions[1].anyone = false })]
#[case::own_rows("CO0381", Warning, |_: &mut Spec, f: &mut Facts| { f.objects_of(Source).extensions.push(Extension { kept: vec![Kept { table: "public.c".into(), rows: Some(2) }], ..extension("pg_trgm", "1.6") }) })]
#[case::own_rows_unseen("CO0381", Warning, |_: &mut Spec, f: &mut Facts| { f.objects_of(Source).extensions.push(Extension { kept: vec![Kept { table: "public.c".into(), rows: None }], ..extension("pg_trgm", "1.6") }) })]
#[case::language("CO0350", Blocker, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).languages.push("plfoo".into()))]
#[case::older_offered("CO0351", Warning, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).extensions.push(extension("pg_trgm", "1.7")))]
#[case::other_installed("CO0351", Warning, |_: &mut Spec, f: &mut Facts| { f.objects_of(Source).extensions.push(extension("pg_trgm", "1.6")); f.objects_of(Target).extensions.push(extension("pg_trgm", "1.5")) })]
#[case::server("CO0352", Warning, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).foreign_servers.push(ForeignServer { name: "s".into(), wrapper: "w".into() }))]
#[case::publication("CO0357", Warning, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).publications = vec!["p".into()])]
#[case::collations("CO0365", Warning, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).collations = vec!["c".into()])]
fn objects(#[case] code: &str, #[case] severity: Severity, #[case] spoil: Spoil) {
    spoiled(spoil, code, severity);
}

#[test]
fn a_trusted_extension_and_a_disabled_event_trigger_are_no_findings() {
    let mut facts = facts();
    facts.objects_of(Source).extensions.push(extension("pg_trgm", "1.6"));
    facts.objects_of(Source).event_triggers = vec![trigger("D", "x")];
    assert_eq!(found(&spec(), &facts), []);
}

fn slot(plugin: &str, database: &str, active: bool, retained: f64) -> Slot {
    let kind = if plugin.is_empty() { "physical" } else { "logical" };
    let database = (!database.is_empty()).then(|| database.to_owned());
    Slot {
        name: "s".into(),
        plugin: plugin.into(),
        kind: kind.into(),
        database,
        active,
        temporary: false,
        wal_status: "reserved".into(),
        retained,
    }
}

fn session(role: &str, superuser: bool) -> SessionCount {
    SessionCount { role: role.into(), database: Some("shop".into()), superuser, count: 1 }
}

fn prepared(seconds: f64) -> Prepared {
    Prepared { gid: "g'1".into(), owner: "app".into(), database: "shop".into(), seconds }
}

fn open(seconds: f64) -> LongTransaction {
    LongTransaction {
        pid: 7,
        role: Some("app".into()),
        database: Some("shop".into()),
        state: "active".into(),
        writes: true,
        seconds,
    }
}

#[rstest]
#[case::prepared("CO0353", Warning, |_: &mut Spec, f: &mut Facts| f.activity(Source).prepared = vec![prepared(59.0)])]
#[case::forgotten("CO0353", Blocker, |_: &mut Spec, f: &mut Facts| f.activity(Target).prepared = vec![prepared(60.0)])]
#[case::long("CO0354", Warning, |_: &mut Spec, f: &mut Facts| f.activity(Source).long_transactions = vec![open(60.0)])]
#[case::superuser("CO0361", Warning, |_: &mut Spec, f: &mut Facts| f.activity(Source).sessions = vec![session("su", true)])]
#[case::superuser_on_target("CO0361", Warning, |_: &mut Spec, f: &mut Facts| f.activity(Target).sessions = vec![session("su", true)])]
#[case::app_on_target("CO0367", Blocker, |_: &mut Spec, f: &mut Facts| f.activity(Target).sessions = vec![session("app", false)])]
#[case::consumer("CO0355", Warning, |_: &mut Spec, f: &mut Facts| f.replication(Source).slots = vec![slot("wal2json", "shop", true, 0.0)])]
#[case::standby("CO0355", Warning, |_: &mut Spec, f: &mut Facts| f.replication(Source).slots = vec![slot("", "", true, 0.0)])]
#[case::holding("CO0356", Warning, |_: &mut Spec, f: &mut Facts| f.replication(Target).slots = vec![slot("pgoutput", "other", false, 1e9)])]
#[case::left_slot("CO0359", Blocker, |_: &mut Spec, f: &mut Facts| f.replication(Target).slots = vec![slot("pglogical_output", "shop", false, 0.0)])]
#[case::left_origin("CO0359", Blocker, |_: &mut Spec, f: &mut Facts| f.replication(Target).origins = vec!["pgl_a_b".into()])]
#[case::nodes("CO0359", Blocker, |_: &mut Spec, f: &mut Facts| f.shop().nodes = vec![(Target, "n".into())])]
#[case::nodes_unseen("CO0359", Blocker, |_: &mut Spec, f: &mut Facts| f.objects_of(Source).pglogical_nodes = Some(Readable { readable: false }))]
#[case::denied("CO0359", Blocker, |_: &mut Spec, f: &mut Facts| f.objects_of(Target).pglogical_denied = vec!["usage on schema pglogical to changeover".into()])]
#[case::installed("CO0359", Info, |_: &mut Spec, f: &mut Facts| f.objects_of(Target).extensions.push(extension("pglogical", "2.4")))]
#[case::own_home("CO0360", Blocker, |_: &mut Spec, f: &mut Facts| f.shop().homes = vec![(Source, Some("move".into()))])]
#[case::other_home("CO0360", Blocker, |_: &mut Spec, f: &mut Facts| f.shop().homes = vec![(Target, Some("other".into()))])]
#[case::strange_home("CO0360", Blocker, |_: &mut Spec, f: &mut Facts| f.shop().homes = vec![(Target, None)])]
#[case::subscription("CO0358", Blocker, |_: &mut Spec, f: &mut Facts| { f.replication(Source).subscriptions = vec![Subscription { name: "s".into(), database: "shop".into(), enabled: false }] })]
fn others_at_work(#[case] code: &str, #[case] severity: Severity, #[case] spoil: Spoil) {
    spoiled(spoil, code, severity);
}

#[rstest]
#[case::our_login("changeover")]
#[case::replication("repl")]
#[case::rds("rds_monitor")]
#[case::kept("monitoring")]
fn sessions_of_tools_on_the_target_are_no_applications(#[case] role: &str) {
    let (mut spec, mut facts) = (spec(), facts());
    spec.roles = Some(Roles { keep_login: vec!["monitoring".into()], ..Roles::default() });
    facts.catalog(Source).roles.push(testing_role("monitoring"));
    facts.activity(Target).sessions = vec![session(role, false)];
    assert_eq!(found(&spec, &facts), []);
}

fn testing_role(name: &str) -> Role {
    role(name)
}

#[test]
fn other_consumers_of_other_databases_and_short_transactions_do_not_matter() {
    let mut facts = facts();
    facts.replication(Source).slots = vec![slot("pgoutput", "other", true, 1e9)];
    facts.activity(Source).long_transactions = vec![open(59.0)];
    assert_eq!(found(&spec(), &facts), []);
}

#[test]
fn a_prepared_transaction_is_named_as_a_literal() {
    let finding = spoiled(|_, f| f.activity(Source).prepared = vec![prepared(90.0)], "CO0353", Blocker);
    assert!(finding.remedy.contains("rollback prepared 'g''1';"), "{}", finding.remedy);
}

#[rstest]
#[case::missing_on_target("CO0362", Blocker, |_: &mut Spec, f: &mut Facts| f.catalog(Target).databases.retain(|d| d.name != "shop"))]
#[case::missing_on_source("CO0362", Blocker, |_: &mut Spec, f: &mut Facts| f.catalog(Source).databases.retain(|d| d.name != "shop"))]
#[case::occupied("CO0363", Blocker, |_: &mut Spec, f: &mut Facts| { f.shop().occupied = Some(vec![Occupied { kind: "table".into(), count: 3, example: "a.b".into() }]) })]
#[case::encoding("CO0364", Blocker, |_: &mut Spec, f: &mut Facts| f.catalog(Target).databases[1].encoding = "LATIN1".into())]
#[case::collation("CO0364", Blocker, |_: &mut Spec, f: &mut Facts| f.catalog(Target).databases[1].collate = "C".into())]
#[case::provider("CO0364", Blocker, |_: &mut Spec, f: &mut Facts| f.catalog(Target).databases[1].provider = "i".into())]
#[case::library("CO0365", Warning, |_: &mut Spec, f: &mut Facts| f.catalog(Target).databases[1].actual_collation_version = "2.40".into())]
#[case::stale("CO0365", Warning, |_: &mut Spec, f: &mut Facts| f.catalog(Source).databases[1].collation_version = "2.30".into())]
#[case::tablespace("CO0341", Warning, |_: &mut Spec, f: &mut Facts| f.catalog(Source).databases[1].tablespace = "fast".into())]
#[case::closed_roles("CO0366", Info, |_: &mut Spec, f: &mut Facts| f.catalog(Target).roles.push(testing_role("clerk")))]
#[case::left_behind("CO0368", Warning, |_: &mut Spec, f: &mut Facts| f.catalog(Source).databases.push(entry("other")))]
#[case::keep_unknown("CO0369", Warning, |s: &mut Spec, _: &mut Facts| { s.roles = Some(Roles { keep_login: vec!["nobody".into()], ..Roles::default() }) })]
#[case::unreachable("CO0382", Blocker, |_: &mut Spec, f: &mut Facts| f.reach[0].refused = Some("Connection refused".into()))]
#[case::untried("CO0370", Info, |_: &mut Spec, f: &mut Facts| drop(f.reach.pop()))]
#[case::password_unknown("CO0369", Warning, |s: &mut Spec, _: &mut Facts| { s.roles = Some(Roles { passwords: vec![RolePassword { role: "nobody".into(), password: None }], ..Roles::default() }) })]
fn target(#[case] code: &str, #[case] severity: Severity, #[case] spoil: Spoil) {
    spoiled(spoil, code, severity);
}

#[test]
fn a_missing_database_comes_with_its_exact_statement() {
    let finding = spoiled(|_, f| f.catalog(Target).databases.retain(|d| d.name != "shop"), "CO0362", Blocker);
    let expected = "create database \"shop\" owner \"changeover\" template template0 encoding 'UTF8' lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8';";
    assert!(finding.remedy.ends_with(expected), "{}", finding.remedy);
}

fn pooler() -> Pooler {
    let config = [("pool_mode", "transaction"), ("server_login_retry", "0.05"), ("server_tls_sslmode", "verify-full")];
    let shop = PoolerDatabase {
        name: "shop".into(),
        host: "old".into(),
        port: 5432,
        database: "shop".into(),
        leads_to: Some(Source),
        ..PoolerDatabase::default()
    };
    Pooler {
        name: "pb:6432".into(),
        version: "PgBouncer 1.21.0".into(),
        config: config.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
        databases: vec![shop],
        ..Pooler::default()
    }
}

#[rstest]
#[case::healthy(None, |_: &mut Pooler| {})]
#[case::unreachable(Some(("CO0371", Blocker)), |p: &mut Pooler| p.unreachable = Some(("m".into(), "r".into())))]
#[case::session(Some(("CO0372", Blocker)), |p: &mut Pooler| { p.config.insert("pool_mode".into(), "session".into()); })]
#[case::session_database(Some(("CO0372", Blocker)), |p: &mut Pooler| p.databases[0].pool_mode = "session".into())]
#[case::session_user(Some(("CO0372", Blocker)), |p: &mut Pooler| p.user_modes = vec![("u".into(), "session".into())])]
#[case::statement(None, |p: &mut Pooler| { p.config.insert("pool_mode".into(), "statement".into()); })]
#[case::retry(Some(("CO0373", Warning)), |p: &mut Pooler| { p.config.insert("server_login_retry".into(), "15".into()); })]
#[case::slow_reload(Some(("CO0373", Warning)), |p: &mut Pooler| { p.config.insert("client_tls_sslmode".into(), "require".into()); })]
#[case::quick_reload(None, |p: &mut Pooler| {
    p.config.insert("client_tls_sslmode".into(), "require".into());
    p.config.insert("client_tls_ca_file".into(), "/etc/pgbouncer/ca.pem".into());
})]
#[case::old(Some(("CO0373", Warning)), |p: &mut Pooler| p.version = "PgBouncer 1.17.0".into())]
#[case::no_prepared(Some(("CO0373", Info)), |p: &mut Pooler| p.version = "PgBouncer 1.18.0".into())]
#[case::file(Some(("CO0374", Blocker)), |p: &mut Pooler| p.file_problem = Some("can't be written".into()))]
#[case::serves_nothing(Some(("CO0375", Blocker)), |p: &mut Pooler| p.databases.clear())]
#[case::elsewhere(Some(("CO0376", Blocker)), |p: &mut Pooler| p.databases[0].leads_to = None)]
#[case::target_already(Some(("CO0376", Blocker)), |p: &mut Pooler| p.databases[0].leads_to = Some(Target))]
#[case::no_tls(Some(("CO0377", Warning)), |p: &mut Pooler| { p.config.insert("server_tls_sslmode".into(), "prefer".into()); })]
fn poolers(#[case] expected: Option<(&str, Severity)>, #[case] spoil: fn(&mut Pooler)) {
    let mut facts = facts();
    let mut pooler = pooler();
    spoil(&mut pooler);
    facts.poolers = vec![pooler];
    match expected {
        Some((code, severity)) => drop(only(&spec(), &facts, code, severity)),
        None => assert_eq!(found(&spec(), &facts), []),
    }
}

#[test]
fn a_pooler_that_serves_some_of_the_databases_is_a_warning() {
    let (mut spec, mut facts) = (spec(), facts());
    facts.poolers = vec![pooler()];
    let second = crate::proto::Database { name: "billing".into(), insert_only_tables: Vec::new() };
    spec.databases.push(second);
    for side in [Source, Target] {
        facts.catalog(side).databases.push(entry("billing"));
    }
    facts.databases.push(Database { name: "billing".into(), ..Database::default() });
    only(&spec, &facts, "CO0375", Warning);
}

#[rstest]
#[case("CO0301", Source)]
#[case("CO0302", Target)]
#[case("CO0325", Source)]
fn what_could_not_be_seen_is_a_blocker(#[case] code: &'static str, #[case] side: Side) {
    let mut facts = facts();
    let database = "shop".to_owned();
    facts.unseen.push(Unseen {
        code,
        side,
        database,
        what: "tables".into(),
        message: "m".into(),
        remedy: "r".into(),
        passing: false,
    });
    assert_eq!(facts.worth_another_attempt(), None);
    let finding = only(&spec(), &facts, code, Blocker);
    assert_eq!((finding.side.as_str(), finding.object.as_str()), (side.word(), "tables"));
}

#[test]
fn nothing_seen_at_all_does_not_pass() {
    let unseen = |side| Unseen {
        code: "CO0301",
        side,
        database: String::new(),
        what: String::new(),
        message: "m".into(),
        remedy: "r".into(),
        passing: false,
    };
    let facts = Facts { unseen: vec![unseen(Source), unseen(Target)], ..Facts::default() };
    let report = super::report(&spec(), &facts);
    assert!(super::is_blocked(&report));
    assert_eq!(report.findings.iter().filter(|f| f.severity() == Blocker).count(), 2);
}

#[test]
fn what_may_pass_by_itself_is_worth_another_attempt() {
    let mut facts = facts();
    assert_eq!(facts.worth_another_attempt(), None);
    facts.reach[0].refused = Some("timeout expired".into());
    assert_eq!(facts.worth_another_attempt(), None, "a closed way stays closed");
    facts.reach[0].refused = Some("server closed the connection unexpectedly".into());
    let cut = facts.worth_another_attempt().unwrap();
    assert_eq!((cut.code.as_str(), cut.class), ("CO0382", crate::Class::Transient));
    facts.unseen.push(Unseen {
        code: "CO0301",
        side: Target,
        database: "shop".into(),
        what: "CO0202".into(),
        message: "connection closed".into(),
        remedy: "r".into(),
        passing: true,
    });
    let unseen = facts.worth_another_attempt().unwrap();
    assert_eq!((unseen.code.as_str(), unseen.message.as_str()), ("CO0301", "connection closed"));
}

#[test]
fn a_way_that_is_closed_names_who_tried_and_where_to() {
    let (mut spec, mut facts) = (spec(), facts());
    let target = spec.target.as_mut().unwrap();
    (target.peer_host, target.peer_port) = ("10.0.2.10".into(), 5433);
    facts.reach[0].refused = Some("timeout expired".into());
    let finding = only(&spec, &facts, "CO0382", Blocker);
    assert_eq!(finding.side, "source");
    assert!(finding.message.contains("timeout expired") && finding.remedy.contains("10.0.2.10:5433"), "{finding:?}");
}

#[test]
fn tools_schemas_are_known() {
    let mut spec = spec();
    spec.target.as_mut().unwrap().escalation = "admin.escalate".to_owned();
    assert_eq!(super::tool_schemas(&spec), ["changeover", "pglogical", "rds_tools", "changeover_escalation", "admin"]);
}
