//! Parameter groups: what logical replication needs, what differs, what waits for a reboot.
//!
//! RDS: <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.FeatureSupport.LogicalReplication.html> and
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html>; what the numbers are for:
//! <https://www.postgresql.org/docs/current/logical-replication-config.html>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Failure, Side};

/// How many parameters one call may set
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBParameterGroup.html>).
pub const PER_CALL: usize = 20;

/// A parameter as a group shows it
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Parameter.html>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its value, where the group or the engine's defaults have one.
    pub value: Option<String>,
    /// `user`, `system` or `engine-default`.
    pub source: String,
    /// `static` ones come into force with a reboot, `dynamic` ones at once.
    pub apply_type: String,
    /// Whether it can be changed at all.
    pub modifiable: bool,
}

impl Parameter {
    /// Whether somebody has set it, so that it isn't what AWS gives by itself.
    pub fn is_set(&self) -> bool {
        self.source == "user"
    }
    /// Whether a change waits for a reboot. What isn't known is taken to.
    pub fn waits_for_reboot(&self) -> bool {
        self.apply_type != "dynamic"
    }
}

/// Which engine of replication runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// The extension.
    Pglogical,
    /// Publications and subscriptions.
    Native,
}

/// What the numbers are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizing {
    /// Databases that move, each with a subscription there and one back.
    pub databases: u32,
    /// Slots that others use already.
    pub slots_used: u32,
    /// WAL senders that others use already.
    pub senders_used: u32,
    /// Which engine.
    pub engine: Engine,
    /// PostgreSQL's major version.
    pub major: u32,
    /// Disk of the instance, GiB.
    pub storage_gib: u32,
    /// The most WAL that a slot of somebody else's holds back, MB: a limit below it would break that slot.
    pub retained_mb: u32,
}

/// A subscription copies its tables with up to this many workers beside itself (`max_sync_workers_per_subscription`).
const SYNC: u32 = 2;
/// What stays free for whoever else needs a slot or a worker meanwhile.
const RESERVE: u32 = 4;
/// Parallel queries and the rest of the server.
const OTHER_WORKERS: u32 = 8;
/// A sender that says nothing for so long is given up, ms; a busy apply worker is silent for longer than RDS' own default.
const SENDER_TIMEOUT_MS: u32 = 60_000;
/// Which part of the disk WAL may take that a slot holds back.
const WAL_SHARE: u32 = 5;

/// What a parameter has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Just this.
    Is(&'static str),
    /// This number or a greater one.
    AtLeast(u32),
    /// The same, where 0 means without limit.
    AtLeastOrZero(u32),
    /// Among others, in a list.
    Holds(&'static str),
    /// Some limit; this one, where there is none.
    Limited(u32),
}

/// A parameter that replication needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: &'static str,
    /// What it has to be.
    pub need: Need,
    /// Why.
    pub why: &'static str,
}

/// What replication needs of a side. Both sides send and receive, since the way back runs before the switch.
pub fn wanted(sizing: &Sizing) -> Vec<Wanted> {
    // A slot for each database and its copying workers, one way; as many origins, which share the number, the other way.
    let streams = sizing.databases.saturating_mul(2 * (1 + SYNC));
    let slots = streams.saturating_add(sizing.slots_used).saturating_add(RESERVE);
    let senders = streams.saturating_add(sizing.senders_used).saturating_add(RESERVE);
    let apply = sizing.databases.saturating_mul(1 + SYNC).saturating_add(RESERVE);
    // pglogical's own: a supervisor, and a manager for each database.
    let managers = sizing.databases.saturating_add(1);
    let workers = apply.saturating_add(managers).saturating_add(OTHER_WORKERS);
    let want = |name, need, why| Wanted { name, need, why };
    let mut all = vec![
        want("rds.logical_replication", Need::Is("1"), "sets wal_level to logical"),
        want(
            "max_replication_slots",
            Need::AtLeast(slots),
            "a slot for each database and copying worker, an origin for each on the way back",
        ),
        want("max_wal_senders", Need::AtLeast(senders), "a sender for each slot"),
        want("max_logical_replication_workers", Need::AtLeast(apply), "a worker for each subscription and for copying"),
        want("max_worker_processes", Need::AtLeast(workers), "all of them, and parallel queries"),
        want(
            "wal_sender_timeout",
            Need::AtLeastOrZero(SENDER_TIMEOUT_MS),
            "a large transaction keeps the other side silent",
        ),
    ];
    if sizing.engine == Engine::Pglogical {
        let preload =
            want("shared_preload_libraries", Need::Holds("pglogical"), "pglogical runs from the server's start");
        let commits = want("track_commit_timestamp", Need::Is("1"), "conflicts of both directions are settled by it");
        all.splice(1..1, [preload, commits]);
    }
    if sizing.major >= 13 {
        let limit = (disk_mb(sizing) / WAL_SHARE).max(sizing.retained_mb.saturating_mul(2));
        all.push(want(
            "max_slot_wal_keep_size",
            Need::Limited(limit),
            "a slot that stands still must not fill the disk; MB",
        ));
    }
    all
}

fn disk_mb(sizing: &Sizing) -> u32 {
    sizing.storage_gib.max(20).saturating_mul(1024)
}

/// Refuses a source on which a slot holds back so much WAL that no limit would spare both that slot and the disk. CO1014.
pub fn check_slots(side: Side, sizing: &Sizing) -> Result<(), Failure> {
    if sizing.retained_mb.saturating_mul(2) <= disk_mb(sizing) / 2 {
        return Ok(());
    }
    let why = format!(
        "can't be limited: a slot holds back {} MB, and twice that is more than half of the disk",
        sizing.retained_mb
    );
    let remedy = "have the slot's reader catch up, or drop the slot if nobody reads it; then start again";
    Err(Failure::refused("CO1014", format!("max_slot_wal_keep_size on the {side} {why}"), remedy))
}

/// A parameter to be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What the group says now.
    pub from: Option<String>,
    /// What it is to say.
    pub to: String,
    /// Whether it comes into force only with a reboot.
    pub waits_for_reboot: bool,
    /// Why.
    pub why: String,
}

/// What has to be changed in a group. `running` is what the server itself says (`pg_settings`), for values that are formulas of the
/// instance's size; a number is only ever raised.
pub fn difference(
    side: Side,
    wanted: &[Wanted],
    group: &[Parameter],
    running: &BTreeMap<String, String>,
) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    for want in wanted {
        let seen = group.iter().find(|parameter| parameter.name == want.name).ok_or_else(|| absent(side, want))?;
        let Some(to) = change_of(side, want, seen, running)? else { continue };
        if !seen.modifiable {
            return Err(unfit(side, want.name, "can't be changed on this engine"));
        }
        let (name, from, why) = (want.name.to_owned(), seen.value.clone(), want.why.to_owned());
        changes.push(Change { name, from, to, waits_for_reboot: seen.waits_for_reboot(), why });
    }
    Ok(changes)
}

fn change_of(
    side: Side,
    want: &Wanted,
    seen: &Parameter,
    running: &BTreeMap<String, String>,
) -> Result<Option<String>, Failure> {
    let value = seen.value.as_deref().unwrap_or_default().trim();
    let number = || number_of(side, want.name, value, running);
    Ok(match &want.need {
        Need::Is(is) => (value != *is && !(*is == "1" && value == "on")).then(|| (*is).to_owned()),
        Need::Holds(word) => with_word(value, word),
        Need::AtLeast(least) => (number()? < i64::from(*least)).then(|| least.to_string()),
        Need::AtLeastOrZero(least) => {
            let now = number()?;
            (now != 0 && now < i64::from(*least)).then(|| least.to_string())
        }
        // -1 is PostgreSQL's own default: without limit.
        Need::Limited(limit) => (value.is_empty() || number()? < 0).then(|| limit.to_string()),
    })
}

/// What a standby needs at least as much of as its primary; one with less ends
/// (<https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-ADMIN>).
const NO_LOWER_ON_A_STANDBY: &[&str] = &[
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
];

/// Refuses to raise on a source with read replicas what they need as much of. CO1014.
pub fn check_replicas(replicas: &[String], changes: &[Change]) -> Result<(), Failure> {
    let raised: Vec<&str> =
        changes.iter().map(|change| change.name.as_str()).filter(|name| NO_LOWER_ON_A_STANDBY.contains(name)).collect();
    if replicas.is_empty() || raised.is_empty() {
        return Ok(());
    }
    let (raised, replicas) = (raised.join(", "), replicas.join(", "));
    Err(Failure::refused(
        "CO1014",
        format!("{raised} can't be raised on the source alone: its read replicas {replicas} would end with its reboot"),
        "raise them on the replicas first, then on the source, each with its reboot; then start again",
    ))
}

/// What of all that is wanted the running server doesn't have yet, by its own values (`pg_settings`). RDS' word on an instance's parameters
/// may come later than the change: a change that it hasn't noticed yet is `in-sync` as well.
pub fn lacking(wanted: &[Wanted], running: &BTreeMap<String, String>) -> Vec<String> {
    wanted.iter().filter(|want| !has(want, running)).map(|want| want.name.to_owned()).collect()
}

fn has(want: &Wanted, running: &BTreeMap<String, String>) -> bool {
    let text = |name: &str| running.get(name).map_or("", |value| value.trim());
    let value = text(want.name);
    let number = value.parse::<i64>();
    match &want.need {
        Need::Is(_) if want.name == "rds.logical_replication" => text("wal_level") == "logical",
        // The server says `on` where a parameter group says 1.
        Need::Is(is) => value == *is || (*is == "1" && value == "on"),
        Need::Holds(word) => with_word(value, word).is_none(),
        Need::AtLeast(least) => number.is_ok_and(|now| now >= i64::from(*least)),
        Need::AtLeastOrZero(least) => number.is_ok_and(|now| now == 0 || now >= i64::from(*least)),
        Need::Limited(_) => number.is_ok_and(|now| now >= 0),
    }
}

/// The list with the word in it, or `None` if it is there.
fn with_word(list: &str, word: &str) -> Option<String> {
    let mut words: Vec<&str> = list.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    if words.contains(&word) {
        return None;
    }
    words.push(word);
    Some(words.join(","))
}

fn number_of(side: Side, name: &str, value: &str, running: &BTreeMap<String, String>) -> Result<i64, Failure> {
    let text = if value.parse::<i64>().is_ok() { value } else { running.get(name).map_or("", |value| value.trim()) };
    text.parse().map_err(|_| {
        let shown = if value.is_empty() { "no value" } else { value };
        unfit(side, name, &format!("is a formula or isn't set ({shown}), and the server's own value isn't known"))
    })
}

fn absent(side: Side, want: &Wanted) -> Failure {
    unfit(side, want.name, "isn't among the parameters of this engine")
}

fn unfit(side: Side, name: &str, why: &str) -> Failure {
    let remedy = "set the parameter in the instance's own group, or look why it can't be read, then start again";
    Failure::refused("CO1014", format!("{name} on the {side} {why}"), remedy)
}

/// Whether a group is one that AWS keeps and nobody can change
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.Overview.html>).
pub fn is_default_group(name: &str) -> bool {
    name.starts_with("default.")
}

/// What the target's group begins with: everything that somebody has set on the source and that the target's engine knows and lets
/// be changed. The rest is named, so that a person sees what stays behind.
pub fn carried(source: &[Parameter], target: &[Parameter]) -> (Vec<Change>, Vec<String>) {
    let mut changes = Vec::new();
    let mut left = Vec::new();
    for set in source.iter().filter(|parameter| parameter.is_set()) {
        let Some(value) = &set.value else { continue };
        match target.iter().find(|parameter| parameter.name == set.name) {
            Some(there) if there.value.as_ref() == Some(value) => {}
            Some(there) if there.modifiable => changes.push(Change {
                name: set.name.clone(),
                from: there.value.clone(),
                to: value.clone(),
                waits_for_reboot: there.waits_for_reboot(),
                why: "as on the source".to_owned(),
            }),
            _ => left.push(set.name.clone()),
        }
    }
    (changes, left)
}

/// A group as it would be after changes, for a second look at what replication needs.
pub fn after(group: &[Parameter], changes: &[Change]) -> Vec<Parameter> {
    let mut group = group.to_vec();
    for parameter in &mut group {
        if let Some(change) = changes.iter().find(|change| change.name == parameter.name) {
            parameter.value = Some(change.to.clone());
            parameter.source = "user".to_owned();
        }
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn parameter(name: &str, value: Option<&str>, apply_type: &str) -> Parameter {
        Parameter {
            name: name.into(),
            value: value.map(Into::into),
            source: "engine-default".into(),
            apply_type: apply_type.into(),
            modifiable: true,
        }
    }

    /// As a fresh `default.postgres15` shows them.
    fn fresh() -> Vec<Parameter> {
        vec![
            parameter("rds.logical_replication", Some("0"), "static"),
            parameter("shared_preload_libraries", Some("pg_stat_statements"), "static"),
            parameter("track_commit_timestamp", None, "static"),
            parameter("max_replication_slots", Some("20"), "static"),
            parameter("max_wal_senders", Some("20"), "static"),
            parameter("max_logical_replication_workers", None, "static"),
            parameter("max_worker_processes", Some("GREATEST(${DBInstanceVCPU*2},8)"), "static"),
            parameter("wal_sender_timeout", Some("30000"), "dynamic"),
            parameter("max_slot_wal_keep_size", None, "dynamic"),
        ]
    }

    fn running() -> BTreeMap<String, String> {
        [("max_logical_replication_workers", "4"), ("max_worker_processes", "8")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn sizing(databases: u32) -> Sizing {
        Sizing {
            databases,
            slots_used: 1,
            senders_used: 2,
            engine: Engine::Pglogical,
            major: 15,
            storage_gib: 100,
            retained_mb: 0,
        }
    }

    fn to(changes: &[Change], name: &str) -> Option<String> {
        changes.iter().find(|change| change.name == name).map(|change| change.to.clone())
    }

    #[test]
    fn a_fresh_group_lacks_the_usual_things() {
        let changes = difference(Side::Source, &wanted(&sizing(1)), &fresh(), &running()).unwrap();
        assert_eq!(to(&changes, "rds.logical_replication").unwrap(), "1");
        assert_eq!(to(&changes, "shared_preload_libraries").unwrap(), "pg_stat_statements,pglogical");
        assert_eq!(to(&changes, "wal_sender_timeout").unwrap(), "60000");
        assert_eq!(to(&changes, "max_slot_wal_keep_size").unwrap(), "20480");
        assert_eq!(to(&changes, "max_replication_slots"), None);
        let at_once: Vec<_> = changes.iter().filter(|c| !c.waits_for_reboot).map(|c| c.name.as_str()).collect();
        assert_eq!(at_once, ["wal_sender_timeout", "max_slot_wal_keep_size"]);
    }

    #[test]
    fn a_limit_spares_the_slots_of_others() {
        let limit = |retained_mb| {
            let changes = difference(Side::Source, &wanted(&Sizing { retained_mb, ..sizing(1) }), &fresh(), &running());
            to(&changes.unwrap(), "max_slot_wal_keep_size").unwrap()
        };
        assert_eq!((limit(0).as_str(), limit(20_000).as_str()), ("20480", "40000"));
        check_slots(Side::Source, &Sizing { retained_mb: 20_000, ..sizing(1) }).unwrap();
        let failure = check_slots(Side::Source, &Sizing { retained_mb: 30_000, ..sizing(1) }).unwrap_err();
        assert_eq!(failure.code, "CO1014");
    }

    #[test]
    fn what_was_changed_needs_no_change() {
        let wanted = wanted(&sizing(5));
        let changes = difference(Side::Source, &wanted, &fresh(), &running()).unwrap();
        assert_eq!(difference(Side::Source, &wanted, &after(&fresh(), &changes), &BTreeMap::new()).unwrap(), []);
    }

    #[rstest]
    #[case(1, 11)]
    #[case(10, 65)]
    fn numbers_grow_with_the_databases(#[case] databases: u32, #[case] slots: u32) {
        let wanted = wanted(&sizing(databases));
        let need = &wanted.iter().find(|w| w.name == "max_replication_slots").unwrap().need;
        assert_eq!(need, &Need::AtLeast(slots));
    }

    #[test]
    fn a_number_is_never_lowered_nor_a_limit_widened() {
        let mut group = fresh();
        for parameter in &mut group {
            match parameter.name.as_str() {
                "max_replication_slots" | "max_wal_senders" => parameter.value = Some("500".into()),
                "max_slot_wal_keep_size" => parameter.value = Some("1000".into()),
                "wal_sender_timeout" => parameter.value = Some("0".into()),
                _ => {}
            }
        }
        let changes = difference(Side::Source, &wanted(&sizing(10)), &group, &running()).unwrap();
        for name in ["max_replication_slots", "max_wal_senders", "max_slot_wal_keep_size", "wal_sender_timeout"] {
            assert_eq!(to(&changes, name), None, "{name}");
        }
    }

    #[test]
    fn a_source_with_replicas_is_not_raised_above_them() {
        let raised = [Change {
            name: "max_worker_processes".into(),
            from: None,
            to: "30".into(),
            waits_for_reboot: true,
            why: String::new(),
        }];
        let failure = check_replicas(&["orders-replica".into()], &raised).unwrap_err();
        assert!(failure.code == "CO1014" && failure.message.contains("orders-replica"), "{failure}");
        check_replicas(&[], &raised).unwrap();
        let harmless = [Change { name: "rds.logical_replication".into(), ..raised[0].clone() }];
        check_replicas(&["orders-replica".into()], &harmless).unwrap();
    }

    #[test]
    fn only_the_server_itself_says_what_is_in_force() {
        let wanted = wanted(&sizing(1));
        assert_eq!(lacking(&wanted, &BTreeMap::new()).len(), wanted.len());
        let mut running: BTreeMap<String, String> = [
            ("wal_level", "replica"),
            ("shared_preload_libraries", "rdsutils, pglogical"),
            ("track_commit_timestamp", "on"),
            ("max_replication_slots", "20"),
            ("max_wal_senders", "20"),
            ("max_logical_replication_workers", "10"),
            ("max_worker_processes", "30"),
            ("wal_sender_timeout", "0"),
            ("max_slot_wal_keep_size", "20480"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        assert_eq!(lacking(&wanted, &running), ["rds.logical_replication"]);
        running.insert("wal_level".into(), "logical".into());
        assert_eq!(lacking(&wanted, &running), Vec::<String>::new());
        running.insert("max_worker_processes".into(), "8".into());
        assert_eq!(lacking(&wanted, &running), ["max_worker_processes"]);
    }

    #[test]
    fn a_formula_is_read_from_the_server_or_refused() {
        let failure = difference(Side::Source, &wanted(&sizing(1)), &fresh(), &BTreeMap::new()).unwrap_err();
        assert_eq!(failure.code, "CO1014");
        let mut large = running();
        large.insert("max_worker_processes".into(), "128".into());
        let changes = difference(Side::Source, &wanted(&sizing(1)), &fresh(), &large).unwrap();
        assert_eq!(to(&changes, "max_worker_processes"), None);
    }

    #[test]
    fn a_parameter_that_is_absent_or_fixed_is_refused() {
        let mut group = fresh();
        group[0].modifiable = false;
        assert_eq!(difference(Side::Target, &wanted(&sizing(1)), &group, &running()).unwrap_err().code, "CO1014");
        group.remove(0);
        assert_eq!(difference(Side::Target, &wanted(&sizing(1)), &group, &running()).unwrap_err().code, "CO1014");
    }

    #[test]
    fn the_engine_and_the_version_decide_what_is_asked_for() {
        let names = |engine, major| -> Vec<&str> {
            wanted(&Sizing { engine, major, ..sizing(1) }).iter().map(|want| want.name).collect()
        };
        assert!(!names(Engine::Native, 15).contains(&"shared_preload_libraries"));
        assert!(!names(Engine::Pglogical, 12).contains(&"max_slot_wal_keep_size"));
    }

    #[test]
    fn the_target_gets_what_somebody_has_set_and_the_rest_is_named() {
        let set =
            |name: &str, value: &str| Parameter { source: "user".into(), ..parameter(name, Some(value), "dynamic") };
        let source =
            [set("work_mem", "65536"), set("gone", "1"), set("same", "1"), parameter("x", Some("1"), "dynamic")];
        let target = [parameter("work_mem", Some("4096"), "dynamic"), parameter("same", Some("1"), "dynamic")];
        let (changes, left) = carried(&source, &target);
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].name.as_str(), changes[0].to.as_str()), ("work_mem", "65536"));
        assert_eq!(left, ["gone"]);
    }

    #[rstest]
    #[case("default.postgres15", true)]
    #[case("orders", false)]
    fn default_groups_are_known_by_name(#[case] name: &str, #[case] default: bool) {
        assert_eq!(is_default_group(name), default);
    }
}
