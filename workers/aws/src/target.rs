//! The target: made like the source, of a snapshot or empty; looked at until it is ready; set right where it differs.

use aws_sdk_rds::types::{CloudwatchLogsExportConfiguration, DatabaseInsightsMode, Tag};
use changeover_domain::{
    Failure,
    aws::{
        names::TAG_SERVED,
        status::{InForce, Progress, in_force},
        target::{Difference, InstanceSeen, Shape, Wanted, check_converges, check_differences, differences},
    },
};
use serde::{Deserialize, Serialize};

use crate::{error::Told, instance, reboot, secret, session::Session, tags};

/// The tag that says which version of the secret the target's master has: a password can't be read back.
const TAG_PASSWORD: &str = "changeover:password-version";

/// What the target begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "begin")]
pub enum Begin {
    /// Nothing; the engine copies.
    Empty,
    /// A snapshot in the target's account, under its key.
    Snapshot {
        /// Its name.
        name: String,
    },
}

/// How far the target is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetProgress {
    /// Of the instance. Ready only when nothing differs any more.
    pub progress: Progress,
    /// In what it isn't yet what it is to be; not empty means that it has just been set right once more.
    pub differences: Vec<Difference>,
    /// Where it can be reached.
    pub endpoint: Option<(String, u16)>,
    /// Its ARN.
    pub arn: Option<String>,
}

/// Makes the target or finds it, and brings it a step nearer to what it is to be. Returns at once; a durable timer calls it again while
/// it works. `modified` is how often it has been set right so far, which the answer says when it was: CO1018 if that is of no use. `secret_version` is the version of the master's secret that it is to have; `lacking` is what the target's server itself doesn't
/// have yet of what replication needs, `None` while nobody has asked it: then it isn't ready.
pub async fn ensure_target(
    target: &Session,
    wanted: &Wanted,
    begin: &Begin,
    secret_version: &str,
    lacking: Option<&[String]>,
    modified: u32,
) -> Result<TargetProgress, Failure> {
    let Some(seen) = instance::look(target, &wanted.identifier).await? else {
        make(target, wanted, begin, secret_version).await?;
        let status = "creating".to_owned();
        let progress = Progress::Working { status, percent: None };
        return Ok(TargetProgress { progress, differences: Vec::new(), endpoint: None, arn: None });
    };
    tags::check_owner(target, &format!("the instance {}", wanted.identifier), &instance::owner(target, &seen))?;
    let endpoint = seen.address();
    let arn = Some(seen.arn.clone());
    let progress = match instance::progress(&seen) {
        Progress::Failed { status } => return Err(instance::failed(target, &wanted.identifier, &status)),
        Progress::Stopped => return Err(instance::failed(target, &wanted.identifier, "stopped")),
        progress => progress,
    };
    let differences = if progress == Progress::Ready { differences(wanted, &seen) } else { Vec::new() };
    check_differences(&wanted.identifier, &differences)?;
    check_converges(&wanted.identifier, &differences, modified)?;
    let progress = match progress {
        Progress::Ready => next_step(target, wanted, &seen, &differences, secret_version, lacking).await?,
        other => other,
    };
    Ok(TargetProgress { progress, differences, endpoint, arn })
}

/// What is to be done next about a target that is available: settings, then the password, then a reboot, then nothing.
async fn next_step(
    target: &Session,
    wanted: &Wanted,
    seen: &InstanceSeen,
    differences: &[Difference],
    secret_version: &str,
    lacking: Option<&[String]>,
) -> Result<Progress, Failure> {
    let working = |status: &str| Progress::Working { status: status.to_owned(), percent: None };
    if !differences.is_empty() {
        modify(target, wanted, seen).await?;
        return Ok(working("modifying"));
    }
    if seen.tags.get(TAG_PASSWORD).map(String::as_str) != Some(secret_version) {
        give_password(target, &seen.identifier, secret_version).await?;
        return Ok(working("resetting-master-credentials"));
    }
    match in_force(&seen.parameter_status, lacking.unwrap_or_default()) {
        InForce::WithReboot => {
            reboot::reboot(target, &seen.identifier).await?;
            Ok(working("rebooting"))
        }
        InForce::NotYet(status) => Ok(working(&status)),
        InForce::All if lacking.is_none() => Ok(working("its parameters are to be read")),
        InForce::All => Ok(Progress::Ready),
    }
}

fn all_tags(target: &Session, wanted: &Wanted) -> Vec<Tag> {
    let mut all = tags::rds(target);
    all.extend(wanted.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()));
    all
}

/// Without protection against deletion, which comes when the instance is ready: a creation that fails has to be deleted.
async fn make(target: &Session, wanted: &Wanted, begin: &Begin, secret_version: &str) -> Result<(), Failure> {
    match begin {
        Begin::Empty => create(target, wanted, secret_version).await,
        Begin::Snapshot { name } => restore(target, wanted, name).await,
    }
}

/// What create, restore and modify set alike, for the three builders of the SDK, which share no trait.
macro_rules! with_settings {
    ($request:expr, $wanted:expr, $log_volume:expr) => {
        $request
            .db_parameter_group_name(&$wanted.parameter_group)
            .set_option_group_name(some(&$wanted.shape.option_group))
            .set_vpc_security_group_ids(Some($wanted.shape.security_groups.clone()))
            .multi_az($wanted.shape.multi_az)
            .publicly_accessible($wanted.shape.public)
            .auto_minor_version_upgrade($wanted.shape.minor_upgrades)
            .backup_retention_period($wanted.shape.backup_days)
            .set_preferred_backup_window(some(&$wanted.shape.backup_window))
            .copy_tags_to_snapshot($wanted.shape.copy_tags)
            .enable_iam_database_authentication($wanted.shape.iam_login)
            .set_engine_lifecycle_support(some(&$wanted.shape.lifecycle))
            .set_ca_certificate_identifier(some(&$wanted.shape.certificate))
            .set_dedicated_log_volume($log_volume)
    };
}

/// What a new instance has beside that, from the beginning or from a snapshot.
macro_rules! with_beginnings {
    ($request:expr, $wanted:expr, $tags:expr) => {
        with_settings!($request, $wanted, $wanted.shape.log_volume.then_some(true))
            .db_instance_identifier(&$wanted.identifier)
            .engine(&$wanted.shape.engine)
            .db_instance_class(&$wanted.shape.class)
            .storage_type(&$wanted.shape.storage_type)
            .set_iops($wanted.shape.iops)
            .set_storage_throughput($wanted.shape.throughput)
            .db_subnet_group_name(&$wanted.shape.subnet_group)
            .port($wanted.shape.port)
            .set_enable_cloudwatch_logs_exports(list(&$wanted.shape.log_exports))
            .set_tags(Some($tags))
    };
}

/// What a restore doesn't take: create sets it, and modify after a restore.
macro_rules! with_later_settings {
    ($request:expr, $wanted:expr) => {
        $request
            .set_max_allocated_storage($wanted.shape.max_storage_gib)
            .set_preferred_maintenance_window(some(&$wanted.shape.maintenance_window))
            .monitoring_interval($wanted.shape.monitoring_seconds)
            .set_monitoring_role_arn($wanted.shape.monitoring_role.clone())
            .enable_performance_insights($wanted.shape.insights)
            .set_performance_insights_kms_key_id(on(&$wanted.shape, || Some($wanted.kms_key.clone())))
            .set_performance_insights_retention_period(on(&$wanted.shape, || $wanted.shape.insights_days))
            .set_database_insights_mode(on(&$wanted.shape, || {
                $wanted.shape.insights_mode.as_deref().map(DatabaseInsightsMode::from)
            }))
    };
}

/// What belongs to Performance Insights, where it is on.
fn on<T>(shape: &Shape, value: impl FnOnce() -> Option<T>) -> Option<T> {
    if shape.insights { value() } else { None }
}

async fn create(target: &Session, wanted: &Wanted, secret_version: &str) -> Result<(), Failure> {
    let shape = &wanted.shape;
    let password = secret::password(target, secret_version).await?;
    let mut tags = all_tags(target, wanted);
    tags.push(Tag::builder().key(TAG_PASSWORD).value(secret_version).build());
    let request = with_later_settings!(with_beginnings!(target.rds.create_db_instance(), wanted, tags), wanted)
        .engine_version(&shape.engine_version)
        .allocated_storage(shape.storage_gib)
        .storage_encrypted(true)
        .kms_key_id(&wanted.kms_key)
        .master_username(&wanted.master_user)
        .master_user_password(password.expose());
    let what = format!("making the instance {}", wanted.identifier);
    request.send().await.unless(&["DBInstanceAlreadyExists"], target.side(), &what).map(drop)
}

async fn restore(target: &Session, wanted: &Wanted, snapshot: &str) -> Result<(), Failure> {
    let tags = all_tags(target, wanted);
    let request = with_beginnings!(target.rds.restore_db_instance_from_db_snapshot(), wanted, tags)
        .db_snapshot_identifier(snapshot);
    let what = format!("making the instance {} of the snapshot {snapshot}", wanted.identifier);
    request.send().await.unless(&["DBInstanceAlreadyExists"], target.side(), &what).map(drop)
}

/// Sets what a restore doesn't take, and what somebody has changed since.
async fn modify(target: &Session, wanted: &Wanted, seen: &InstanceSeen) -> Result<(), Failure> {
    let (shape, now) = (&wanted.shape, &seen.shape);
    // Named only where it differs: it takes storage that can have one, and a restart.
    let log_volume = (shape.log_volume != now.log_volume).then_some(shape.log_volume);
    let request = target.rds.modify_db_instance().db_instance_identifier(&wanted.identifier).apply_immediately(true);
    let mut request = with_later_settings!(with_settings!(request, wanted, log_volume), wanted)
        .deletion_protection(shape.deletion_protection);
    // Storage and class are named only where they differ: AWS refuses another change of storage for six hours after one.
    if shape.class != now.class {
        request = request.db_instance_class(&shape.class);
    }
    if shape.storage_gib > now.storage_gib || shape.storage_type != now.storage_type || shape.iops != now.iops {
        request = request
            .allocated_storage(shape.storage_gib.max(now.storage_gib))
            .storage_type(&shape.storage_type)
            .set_iops(shape.iops)
            .set_storage_throughput(shape.throughput);
    }
    if let Some(logs) = logs(&shape.log_exports, &now.log_exports) {
        request = request.cloudwatch_logs_export_configuration(logs);
    }
    let what = format!("setting the instance {} right", wanted.identifier);
    // Something else goes on: it is looked at again.
    request.send().await.unless(&["InvalidDBInstanceState"], target.side(), &what).map(drop)
}

fn logs(wanted: &[String], now: &[String]) -> Option<CloudwatchLogsExportConfiguration> {
    let without = |a: &[String], b: &[String]| a.iter().filter(|log| !b.contains(log)).cloned().collect::<Vec<_>>();
    let (on, off) = (without(wanted, now), without(now, wanted));
    let build = || {
        CloudwatchLogsExportConfiguration::builder()
            .set_enable_log_types(list(&on))
            .set_disable_log_types(list(&off))
            .build()
    };
    (!on.is_empty() || !off.is_empty()).then(build)
}

/// A restored instance has the source's password. The tag comes after the change: done twice, it is the same password.
async fn give_password(target: &Session, identifier: &str, secret_version: &str) -> Result<(), Failure> {
    let password = secret::password(target, secret_version).await?;
    let request = target.rds.modify_db_instance().db_instance_identifier(identifier).apply_immediately(true);
    let request = request.master_user_password(password.expose());
    let given = request.send().await;
    if given.unless(&["InvalidDBInstanceState"], target.side(), "giving the master its password")?.is_none() {
        return Ok(());
    }
    let tag = Tag::builder().key(TAG_PASSWORD).value(secret_version).build();
    let request = target.rds.add_tags_to_resource().resource_name(target.rds_arn("db", identifier)).tags(tag);
    request.send().await.told(target.side(), "noting which password the master has").map(drop)
}

/// Notes on the target that it is about to serve, before the first switch to it: from then on nothing of ours deletes it. Keeps the first
/// time. CO1006 if it isn't there, CO1008 if it isn't ours.
pub async fn mark_served(target: &Session, identifier: &str) -> Result<String, Failure> {
    let seen = instance::look_at_existing(target, identifier).await?;
    tags::check_owner(target, &format!("the instance {identifier}"), &instance::owner(target, &seen))?;
    if let Some(since) = seen.tags.get(TAG_SERVED) {
        return Ok(since.clone());
    }
    let now = served_from(std::time::SystemTime::now())?;
    let tag = Tag::builder().key(TAG_SERVED).value(&now).build();
    let request = target.rds.add_tags_to_resource().resource_name(&seen.arn).tags(tag);
    request.send().await.told(target.side(), "noting that the target serves")?;
    Ok(now)
}

/// The value of the tag of what has served.
fn served_from(now: std::time::SystemTime) -> Result<String, Failure> {
    let seconds = aws_smithy_types::DateTime::from_secs(aws_smithy_types::DateTime::from(now).secs());
    // Letters, digits and :.-, all of which RDS takes in a tag.
    seconds
        .fmt(aws_smithy_types::date_time::Format::DateTime)
        .map_err(|error| Failure::invariant("CO1025", format!("a time: {error}")))
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn list(items: &[String]) -> Option<Vec<String>> {
    (!items.is_empty()).then(|| items.to_vec())
}
