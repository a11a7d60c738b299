//! The target, modelled on the source's description: what is taken over, what the target's account gives, what may differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Failure;

/// An instance as RDS describes it, as far as it matters
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBInstance.html>).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceSeen {
    /// Its identifier.
    pub identifier: String,
    /// Its ARN.
    pub arn: String,
    /// What RDS calls it for as long as it lives, whatever name it has (`DbiResourceId`).
    pub resource_id: String,
    /// Its status, a word of AWS.
    pub status: String,
    /// Where it can be reached; `None` while it is made.
    pub host: Option<String>,
    /// The same.
    pub port: Option<i32>,
    /// The group that it has.
    pub parameter_group: String,
    /// How far it has taken it over, such as `in-sync` or `pending-reboot`.
    pub parameter_status: String,
    /// The key that it is encrypted with, by ARN.
    pub kms_key: Option<String>,
    /// The key of Performance Insights, by ARN.
    pub insights_key: Option<String>,
    /// The master's name.
    pub master_user: String,
    /// Its network.
    pub vpc: Option<String>,
    /// Changes that somebody has ordered for its next maintenance window.
    pub pending: Vec<String>,
    /// Its read replicas.
    pub replicas: Vec<String>,
    /// What it is like.
    pub shape: Shape,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl InstanceSeen {
    /// Where it can be reached: host and port; `None` while it has no address.
    pub fn address(&self) -> Option<(String, u16)> {
        self.host.clone().zip(self.port.and_then(|port| u16::try_from(port).ok()))
    }
}

/// What an instance is like: what the target is to have in common with the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shape {
    /// Such as `db.m6g.large`.
    pub class: String,
    /// `postgres`.
    pub engine: String,
    /// Such as `15.7`.
    pub engine_version: String,
    /// Disk, GiB.
    pub storage_gib: i32,
    /// Such as `gp3`.
    pub storage_type: String,
    /// Operations per second, where they are ordered.
    pub iops: Option<i32>,
    /// MiB per second, where they are ordered.
    pub throughput: Option<i32>,
    /// Up to where the disk grows by itself, GiB.
    pub max_storage_gib: Option<i32>,
    /// Whether there is a standby.
    pub multi_az: bool,
    /// Whether it has a public address.
    pub public: bool,
    /// The database's port.
    pub port: i32,
    /// Its subnet group.
    pub subnet_group: String,
    /// Its security groups, in the order of their names.
    pub security_groups: Vec<String>,
    /// Its option group.
    pub option_group: String,
    /// Seconds between two looks of enhanced monitoring; 0 for none.
    pub monitoring_seconds: i32,
    /// By which role.
    pub monitoring_role: Option<String>,
    /// Whether Performance Insights is on.
    pub insights: bool,
    /// How long it keeps its data, days.
    pub insights_days: Option<i32>,
    /// `standard` or `advanced`, where RDS says so.
    pub insights_mode: Option<String>,
    /// How long backups are kept, days.
    pub backup_days: i32,
    /// When they are made, UTC.
    pub backup_window: String,
    /// When it is maintained, UTC.
    pub maintenance_window: String,
    /// Whether minor versions come by themselves.
    pub minor_upgrades: bool,
    /// Whether it is protected against deletion.
    pub deletion_protection: bool,
    /// Whether snapshots get its tags.
    pub copy_tags: bool,
    /// Whether IAM may log people in.
    pub iam_login: bool,
    /// Which logs go to CloudWatch, in the order of their names.
    pub log_exports: Vec<String>,
    /// What becomes of it when its major version is no longer supported; empty where RDS doesn't say.
    pub lifecycle: String,
    /// The authority that signs its certificate; empty for the account's own choice.
    pub certificate: String,
    /// Whether its log has a volume of its own.
    pub log_volume: bool,
}

/// What the target's account gives, since names of one account mean nothing in another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Given {
    /// The target's identifier.
    pub identifier: String,
    /// Its subnet group.
    pub subnet_group: String,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// Its parameter group.
    pub parameter_group: String,
    /// Its option group; `None` for the engine's own.
    pub option_group: Option<String>,
    /// The key, by ARN.
    pub kms_key: String,
    /// The role of enhanced monitoring.
    pub monitoring_role: Option<String>,
    /// Another class than the source's.
    pub class: Option<String>,
    /// Another version than the source's; empty for the source's.
    pub engine_version: Option<String>,
}

/// The target as it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Its identifier.
    pub identifier: String,
    /// Its parameter group.
    pub parameter_group: String,
    /// The key, by ARN: of the instance, and of Performance Insights.
    pub kms_key: String,
    /// The master's name, as on the source.
    pub master_user: String,
    /// What it is like.
    pub shape: Shape,
    /// The source's tags that can be taken over.
    pub tags: BTreeMap<String, String>,
    /// What isn't as on the source, for people.
    pub notes: Vec<String>,
}

/// Models the target on the source.
pub fn modelled(source: &InstanceSeen, given: &Given) -> Result<Wanted, Failure> {
    check(source, given)?;
    let mut notes = Vec::new();
    let mut shape = source.shape.clone();
    shape.subnet_group.clone_from(&given.subnet_group);
    shape.security_groups = sorted(&given.security_groups);
    shape.option_group = given.option_group.clone().unwrap_or_default();
    if let Some(class) = given.class.as_ref().filter(|class| **class != shape.class) {
        notes.push(format!("class {class} instead of {}", shape.class));
        shape.class.clone_from(class);
    }
    if let Some(version) = given.engine_version.as_ref().filter(|version| **version != shape.engine_version) {
        notes.push(format!("PostgreSQL {version} instead of {}", shape.engine_version));
        shape.engine_version.clone_from(version);
    }
    monitored(&mut shape, given, &mut notes);
    certified(&mut shape, &mut notes);
    (shape.iops, shape.throughput) = ordered(&shape);
    Ok(Wanted {
        identifier: given.identifier.clone(),
        parameter_group: given.parameter_group.clone(),
        kms_key: given.kms_key.clone(),
        master_user: source.master_user.clone(),
        shape,
        tags: taken_over(&source.tags),
        notes,
    })
}

/// Operations and throughput, where they can be ordered: gp3 below 400 GiB has the 3000 and 125 that a description shows, and AWS refuses
/// to be asked for them (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#gp3-storage>).
fn ordered(shape: &Shape) -> (Option<i32>, Option<i32>) {
    if shape.storage_type == "gp3" && shape.storage_gib < GP3_ORDERED_FROM_GIB {
        return (None, None);
    }
    (shape.iops, shape.throughput)
}

/// From which size on gp3's operations can be ordered, with PostgreSQL.
const GP3_ORDERED_FROM_GIB: i32 = 400;

/// A role of the source's account can't be used: without one of the target's there is no enhanced monitoring.
fn monitored(shape: &mut Shape, given: &Given, notes: &mut Vec<String>) {
    shape.monitoring_role.clone_from(&given.monitoring_role);
    if shape.monitoring_seconds > 0 && given.monitoring_role.is_none() {
        notes.push("no enhanced monitoring: the spec names no role of the target's account for it".to_owned());
        shape.monitoring_seconds = 0;
    }
    if shape.monitoring_seconds == 0 {
        shape.monitoring_role = None;
    }
}

/// An authority that has ended, which AWS gives to no new instance
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL-certificate-rotation.html>).
const ENDED_AUTHORITIES: &[&str] = &["rds-ca-2015", "rds-ca-2019"];

fn certified(shape: &mut Shape, notes: &mut Vec<String>) {
    if ENDED_AUTHORITIES.contains(&shape.certificate.as_str()) {
        notes.push(format!("a certificate by the account's own authority: {} has ended", shape.certificate));
        shape.certificate.clear();
    }
}

fn check(source: &InstanceSeen, given: &Given) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for (what, value) in
        [("subnet group", &given.subnet_group), ("parameter group", &given.parameter_group), ("key", &given.kms_key)]
    {
        if value.is_empty() {
            missing.push(what);
        }
    }
    if given.security_groups.is_empty() {
        missing.push("security group");
    }
    if !missing.is_empty() {
        let message = format!("the target lacks a {}", missing.join(", a "));
        return Err(Failure::refused(
            "CO1021",
            message,
            "name them in the spec: those of the source mean nothing in another account",
        ));
    }
    if source.shape.engine != "postgres" {
        let message = format!("the source's engine is {}, not postgres", source.shape.engine);
        return Err(Failure::refused(
            "CO1021",
            message,
            "Changeover moves instances of RDS for PostgreSQL, not clusters of Aurora",
        ));
    }
    Ok(())
}

/// Tags that AWS keeps for itself can't be given
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.html>), and ours say whose a thing is.
fn taken_over(tags: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let ours = |key: &str| key.starts_with("aws:") || key.starts_with("changeover:");
    tags.iter().filter(|(key, _)| !ours(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn sorted(list: &[String]) -> Vec<String> {
    let mut list = list.to_vec();
    list.sort();
    list.dedup();
    list
}

/// Something in which the target isn't what it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What.
    pub what: String,
    /// What it is to be.
    pub wanted: String,
    /// What it is.
    pub seen: String,
    /// Whether the instance can be changed so, without being made anew.
    pub can_be_set: bool,
}

/// Compares the target with what it is to be. The port isn't compared: whoever needs it takes it from the endpoint.
pub fn differences(wanted: &Wanted, seen: &InstanceSeen) -> Vec<Difference> {
    let (a, b) = (&wanted.shape, &seen.shape);
    let mut found = Vec::new();
    let mut compare = |what: &str, wanted: String, seen: String, can_be_set: bool| {
        if wanted != seen {
            found.push(Difference { what: what.to_owned(), wanted, seen, can_be_set });
        }
    };
    compare("key", wanted.kms_key.clone(), seen.kms_key.clone().unwrap_or_default(), false);
    compare("engine", a.engine.clone(), b.engine.clone(), false);
    compare("subnet group", a.subnet_group.clone(), b.subnet_group.clone(), false);
    if !is_later_minor(&a.engine_version, &b.engine_version) {
        compare("version", a.engine_version.clone(), b.engine_version.clone(), false);
    }
    compare("parameter group", wanted.parameter_group.clone(), seen.parameter_group.clone(), true);
    if !a.option_group.is_empty() {
        compare("option group", a.option_group.clone(), b.option_group.clone(), true);
    }
    compare("class", a.class.clone(), b.class.clone(), true);
    compare("storage type", a.storage_type.clone(), b.storage_type.clone(), true);
    // Storage only grows; a target that has grown meanwhile is as good.
    compare("storage", a.storage_gib.max(b.storage_gib).to_string(), b.storage_gib.to_string(), true);
    compare("growth of storage", optional(a.max_storage_gib), optional(b.max_storage_gib), true);
    let ((iops, throughput), (iops_now, throughput_now)) = (ordered(a), ordered(b));
    // A target that has grown beyond 400 GiB by itself has what AWS gives.
    if iops.is_some() || throughput.is_some() {
        compare("IOPS", optional(iops), optional(iops_now), true);
        compare("throughput", optional(throughput), optional(throughput_now), true);
    }
    compare("standby", a.multi_az.to_string(), b.multi_az.to_string(), true);
    compare("public address", a.public.to_string(), b.public.to_string(), true);
    compare("security groups", a.security_groups.join(","), sorted(&b.security_groups).join(","), true);
    compare("monitoring", a.monitoring_seconds.to_string(), b.monitoring_seconds.to_string(), true);
    insights(wanted, seen, &mut compare);
    compare("backups", a.backup_days.to_string(), b.backup_days.to_string(), true);
    compare("backup window", a.backup_window.clone(), b.backup_window.clone(), true);
    compare("maintenance window", a.maintenance_window.to_lowercase(), b.maintenance_window.to_lowercase(), true);
    compare("minor upgrades", a.minor_upgrades.to_string(), b.minor_upgrades.to_string(), true);
    compare("deletion protection", a.deletion_protection.to_string(), b.deletion_protection.to_string(), true);
    compare("tags of snapshots", a.copy_tags.to_string(), b.copy_tags.to_string(), true);
    compare("login by IAM", a.iam_login.to_string(), b.iam_login.to_string(), true);
    compare("logs", a.log_exports.join(","), b.log_exports.join(","), true);
    if !a.lifecycle.is_empty() {
        compare("lifecycle", a.lifecycle.clone(), b.lifecycle.clone(), true);
    }
    if !a.certificate.is_empty() {
        compare("certificate", a.certificate.clone(), b.certificate.clone(), true);
    }
    compare("log volume", a.log_volume.to_string(), b.log_volume.to_string(), true);
    found
}

/// Its key can't be changed while it is on
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PerfInsights.Enabling.html>).
fn insights(wanted: &Wanted, seen: &InstanceSeen, compare: &mut impl FnMut(&str, String, String, bool)) {
    let (a, b) = (&wanted.shape, &seen.shape);
    compare("Performance Insights", a.insights.to_string(), b.insights.to_string(), true);
    if !a.insights || !b.insights {
        return;
    }
    let key = seen.insights_key.clone().unwrap_or_default();
    compare("key of Performance Insights", wanted.kms_key.clone(), key, false);
    if a.insights_days.is_some() {
        compare("days of Performance Insights", optional(a.insights_days), optional(b.insights_days), true);
    }
    if a.insights_mode.is_some() {
        let word = |mode: &Option<String>| mode.clone().unwrap_or_default();
        compare("mode of Performance Insights", word(&a.insights_mode), word(&b.insights_mode), true);
    }
}

/// Whether `seen` is a later minor version of the same major one, which AWS brings by itself.
fn is_later_minor(wanted: &str, seen: &str) -> bool {
    let parts = |version: &str| -> Option<(u32, u32)> {
        let (major, minor) = version.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let (Some((major, minor)), Some((now, now_minor))) = (parts(wanted), parts(seen)) else { return false };
    major == now && now_minor > minor
}

/// How often an instance is set right before a person is asked.
pub const MODIFICATIONS: u32 = 5;

/// Differences that come back whatever is asked for. CO1018 after [`MODIFICATIONS`] requests.
pub fn check_converges(identifier: &str, differences: &[Difference], modified: u32) -> Result<(), Failure> {
    if differences.is_empty() || modified < MODIFICATIONS {
        return Ok(());
    }
    let list: Vec<String> =
        differences.iter().map(|d| format!("{} is {} instead of {}", d.what, d.seen, d.wanted)).collect();
    let message = format!("{identifier} was set right {modified} times and still differs: {}", list.join("; "));
    Err(Failure::needs_human(
        "CO1018",
        message,
        "see its events for why; set it right by hand, then `changeover retry`",
    ))
}

fn optional(value: Option<i32>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

/// A failure that names what can't be set right, or `Ok` if all can.
pub fn check_differences(identifier: &str, differences: &[Difference]) -> Result<(), Failure> {
    let fixed: Vec<String> = differences
        .iter()
        .filter(|difference| !difference.can_be_set)
        .map(|d| format!("{} is {} instead of {}", d.what, d.seen, d.wanted))
        .collect();
    if fixed.is_empty() {
        return Ok(());
    }
    let message = format!("{identifier} isn't what it is to be, and can't be changed so: {}", fixed.join("; "));
    Err(Failure::needs_human(
        "CO1018",
        message,
        "`changeover abort` deletes what was made; then correct the spec and start again",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> InstanceSeen {
        InstanceSeen {
            identifier: "orders".into(),
            master_user: "master".into(),
            shape: Shape {
                class: "db.m6g.large".into(),
                engine: "postgres".into(),
                engine_version: "15.7".into(),
                storage_gib: 100,
                storage_type: "gp3".into(),
                max_storage_gib: Some(1_000),
                multi_az: true,
                port: 5432,
                subnet_group: "source-subnets".into(),
                security_groups: vec!["sg-source".into()],
                monitoring_seconds: 60,
                monitoring_role: Some("arn:aws:iam::111111111111:role/monitoring".into()),
                backup_days: 7,
                deletion_protection: true,
                ..Shape::default()
            },
            tags: [("team", "orders"), ("aws:cloudformation:stack-name", "x"), ("changeover:migration", "old")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..InstanceSeen::default()
        }
    }

    fn given() -> Given {
        Given {
            identifier: "changeover-shop".into(),
            subnet_group: "subnets".into(),
            security_groups: vec!["sg-2".into(), "sg-1".into()],
            parameter_group: "changeover-shop-target".into(),
            kms_key: "arn:key".into(),
            ..Given::default()
        }
    }

    fn made(wanted: &Wanted) -> InstanceSeen {
        InstanceSeen {
            shape: wanted.shape.clone(),
            kms_key: Some(wanted.kms_key.clone()),
            parameter_group: wanted.parameter_group.clone(),
            ..InstanceSeen::default()
        }
    }

    #[test]
    fn the_target_is_like_the_source_but_for_what_its_account_gives() {
        let wanted = modelled(&source(), &given()).unwrap();
        assert_eq!(wanted.shape.class, "db.m6g.large");
        assert!(wanted.shape.multi_az && wanted.shape.deletion_protection);
        assert_eq!(wanted.shape.subnet_group, "subnets");
        assert_eq!(wanted.shape.security_groups, ["sg-1", "sg-2"]);
        assert_eq!(wanted.tags.keys().collect::<Vec<_>>(), ["team"]);
        assert_eq!(wanted.master_user, "master");
    }

    #[test]
    fn monitoring_without_a_role_is_left_out_and_said() {
        let wanted = modelled(&source(), &given()).unwrap();
        assert_eq!((wanted.shape.monitoring_seconds, wanted.shape.monitoring_role), (0, None));
        assert_eq!(wanted.notes.len(), 1);
        let role = Some("arn:role".to_owned());
        let wanted = modelled(&source(), &Given { monitoring_role: role.clone(), ..given() }).unwrap();
        assert_eq!((wanted.shape.monitoring_seconds, wanted.shape.monitoring_role), (60, role));
    }

    #[test]
    fn insights_are_taken_over_under_the_targets_key() {
        let mut source = source();
        (source.shape.insights, source.shape.insights_days) = (true, Some(93));
        source.shape.insights_mode = Some("standard".into());
        source.insights_key = Some("arn:of-the-source".into());
        let wanted = modelled(&source, &given()).unwrap();
        let mut seen = made(&wanted);
        seen.insights_key = Some("arn:key".into());
        assert_eq!(differences(&wanted, &seen), []);
        seen.shape.insights_days = Some(7);
        seen.shape.insights_mode = Some("advanced".into());
        check_differences("t", &differences(&wanted, &seen)).unwrap();
        assert_eq!(differences(&wanted, &seen).len(), 2);
        seen.insights_key = source.insights_key;
        assert_eq!(check_differences("t", &differences(&wanted, &seen)).unwrap_err().code, "CO1018");
        // While it is off, nothing else of it counts.
        seen.shape.insights = false;
        assert_eq!(differences(&wanted, &seen).len(), 1);
    }

    #[test]
    fn lifecycle_authority_and_log_volume_are_the_sources() {
        let mut source = source();
        source.shape.lifecycle = "open-source-rds-extended-support-disabled".into();
        source.shape.certificate = "rds-ca-rsa2048-g1".into();
        source.shape.log_volume = true;
        let wanted = modelled(&source, &given()).unwrap();
        let mut seen = made(&wanted);
        assert_eq!(differences(&wanted, &seen), []);
        (seen.shape.lifecycle, seen.shape.certificate, seen.shape.log_volume) = Default::default();
        let found: Vec<String> = differences(&wanted, &seen).into_iter().map(|d| d.what).collect();
        assert_eq!(found, ["lifecycle", "certificate", "log volume"]);
    }

    #[test]
    fn an_authority_that_has_ended_is_left_out_and_said() {
        let mut source = source();
        source.shape.certificate = "rds-ca-2019".into();
        let wanted = modelled(&source, &given()).unwrap();
        assert_eq!(wanted.shape.certificate, "");
        assert!(wanted.notes.iter().any(|note| note.contains("rds-ca-2019")), "{:?}", wanted.notes);
        let mut seen = made(&wanted);
        seen.shape.certificate = "rds-ca-rsa2048-g1".into();
        assert_eq!(differences(&wanted, &seen), []);
    }

    #[test]
    fn what_the_account_has_to_give_is_asked_for() {
        let failure =
            modelled(&source(), &Given { subnet_group: String::new(), security_groups: Vec::new(), ..given() });
        let failure = failure.unwrap_err();
        assert_eq!(failure.code, "CO1021");
        assert!(failure.message.contains("subnet group") && failure.message.contains("security group"));
    }

    #[test]
    fn another_engine_is_refused() {
        let mut source = source();
        source.shape.engine = "aurora-postgresql".into();
        assert_eq!(modelled(&source, &given()).unwrap_err().code, "CO1021");
    }

    #[test]
    fn what_was_made_as_wanted_has_no_difference() {
        let wanted = modelled(&source(), &given()).unwrap();
        assert_eq!(differences(&wanted, &made(&wanted)), []);
        let mut grown = made(&wanted);
        grown.shape.storage_gib = 200;
        assert_eq!(differences(&wanted, &grown), []);
    }

    #[test]
    fn a_small_gp3_is_asked_for_no_operations() {
        let mut source = source();
        (source.shape.iops, source.shape.throughput) = (Some(3_000), Some(125));
        let wanted = modelled(&source, &given()).unwrap();
        assert_eq!((wanted.shape.iops, wanted.shape.throughput), (None, None));
        let mut seen = made(&wanted);
        (seen.shape.iops, seen.shape.throughput) = (Some(3_000), Some(125));
        assert_eq!(differences(&wanted, &seen), []);
        source.shape.storage_gib = 400;
        assert_eq!(modelled(&source, &given()).unwrap().shape.iops, Some(3_000));
    }

    #[test]
    fn a_later_minor_version_is_as_good() {
        let wanted = modelled(&source(), &given()).unwrap();
        let with = |version: &str| {
            let mut seen = made(&wanted);
            seen.shape.engine_version = version.into();
            differences(&wanted, &seen).len()
        };
        assert_eq!((with("15.8"), with("15.10"), with("15.6"), with("16.8")), (0, 0, 1, 1));
    }

    #[test]
    fn what_comes_back_again_and_again_needs_a_person() {
        let wanted = modelled(&source(), &given()).unwrap();
        let mut seen = made(&wanted);
        seen.shape.backup_days = 1;
        let found = differences(&wanted, &seen);
        check_converges("t", &found, MODIFICATIONS - 1).unwrap();
        let failure = check_converges("t", &found, MODIFICATIONS).unwrap_err();
        assert!(failure.code == "CO1018" && failure.message.contains("backups is 1 instead of 7"), "{failure}");
        check_converges("t", &[], MODIFICATIONS).unwrap();
    }

    #[test]
    fn another_key_needs_a_person_and_other_backups_do_not() {
        let wanted = modelled(&source(), &given()).unwrap();
        let mut seen = made(&wanted);
        seen.shape.backup_days = 1;
        let found = differences(&wanted, &seen);
        assert_eq!((found.len(), found[0].can_be_set), (1, true));
        check_differences("t", &found).unwrap();
        seen.kms_key = None;
        assert_eq!(check_differences("t", &differences(&wanted, &seen)).unwrap_err().code, "CO1018");
    }
}
