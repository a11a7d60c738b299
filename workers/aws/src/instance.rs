//! Instances as they are.

use std::collections::BTreeMap;

use aws_sdk_rds::types::{DbInstance, PendingModifiedValues};
use changeover_domain::{
    Failure,
    aws::{
        names::{Owner, TAG_SERVED},
        status::{self, Progress},
        target::{InstanceSeen, Shape},
    },
};

use crate::{error::Told, session::Session};

/// An instance; `None` if there is none of this name.
pub async fn look(session: &Session, identifier: &str) -> Result<Option<InstanceSeen>, Failure> {
    let what = format!("looking at the instance {identifier}");
    let answer = session.rds.describe_db_instances().db_instance_identifier(identifier).send().await;
    let answer = answer.unless(&["DBInstanceNotFound"], session.side(), &what)?;
    Ok(answer.as_ref().and_then(|answer| answer.db_instances().first()).map(seen))
}

/// The same where it has to be there. CO1006 if it isn't.
pub async fn look_at_existing(session: &Session, identifier: &str) -> Result<InstanceSeen, Failure> {
    look(session, identifier).await?.ok_or_else(|| {
        let message = format!("there is no instance {identifier} on the {}", session.side());
        Failure::refused("CO1006", message, "correct the name, region or account in the spec")
    })
}

/// How far an instance is: for a durable timer that looks again while it works.
pub async fn observe(session: &Session, identifier: &str) -> Result<Progress, Failure> {
    Ok(look(session, identifier).await?.map_or(Progress::Absent, |seen| progress(&seen)))
}

/// By its status. An instance that is available and has no address yet isn't ready.
pub fn progress(seen: &InstanceSeen) -> Progress {
    match status::instance(&seen.status) {
        Progress::Ready if seen.host.is_none() => {
            Progress::Working { status: "available, without an address".to_owned(), percent: None }
        }
        progress => progress,
    }
}

/// Whose an instance is.
pub fn owner(session: &Session, seen: &InstanceSeen) -> Owner {
    session.names().owner(seen.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

/// The failure of an instance that won't be ready. CO1015.
pub fn failed(session: &Session, identifier: &str, status: &str) -> Failure {
    Failure::needs_human(
        "CO1015",
        format!("the instance {identifier} on the {} is {status}", session.side()),
        "see its events in the console of RDS for the cause, mend it, then `changeover retry`; `changeover abort` deletes what we made",
    )
}

/// Identifiers of all instances that fit, such as those that have a parameter group.
pub(crate) async fn which(session: &Session, fits: impl Fn(&InstanceSeen) -> bool) -> Result<Vec<String>, Failure> {
    Ok(all(session).await?.into_iter().filter(fits).map(|seen| seen.identifier).collect())
}

/// All instances of the account and region.
pub(crate) async fn all(session: &Session) -> Result<Vec<InstanceSeen>, Failure> {
    let mut pages = session.rds.describe_db_instances().into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(instance) = pages.next().await {
        found.push(seen(&instance.told(session.side(), "listing instances")?));
    }
    Ok(found)
}

/// An instance of the account that a migration of this name has made and that has served, whatever it is called by now. CO1060: what else
/// that migration has made, secrets among it, may be lived on. `what` says what isn't done.
pub async fn check_none_has_served(target: &Session, what: &str) -> Result<(), Failure> {
    let seen = all(target).await?;
    let served = |seen: &InstanceSeen| seen.tags.get(TAG_SERVED).filter(|_| owner(target, seen) == Owner::Us).cloned();
    let Some((instance, since)) = seen.iter().find_map(|seen| Some((&seen.identifier, served(seen)?))) else {
        return Ok(());
    };
    let message = format!("{what}: the instance {instance}, of a migration of this name, has served since {since}");
    let remedy = format!(
        "give the migration another name; if nothing of that one is needed any more, take the tag {TAG_SERVED} off the instance, then `changeover retry`"
    );
    Err(Failure::needs_human("CO1060", message, remedy))
}

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

/// Takes over what matters of RDS' description.
fn seen(instance: &DbInstance) -> InstanceSeen {
    let endpoint = instance.endpoint();
    let group = instance.db_parameter_groups().first();
    let tags: BTreeMap<String, String> = instance
        .tag_list()
        .iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .collect();
    InstanceSeen {
        identifier: text(instance.db_instance_identifier()),
        arn: text(instance.db_instance_arn()),
        resource_id: text(instance.dbi_resource_id()),
        status: text(instance.db_instance_status()),
        host: endpoint.and_then(|endpoint| endpoint.address()).map(str::to_owned),
        port: endpoint.and_then(|endpoint| endpoint.port()),
        parameter_group: text(group.and_then(|group| group.db_parameter_group_name())),
        parameter_status: text(group.and_then(|group| group.parameter_apply_status())),
        kms_key: instance.kms_key_id().map(str::to_owned),
        insights_key: instance.performance_insights_kms_key_id().map(str::to_owned),
        master_user: text(instance.master_username()),
        vpc: instance.db_subnet_group().and_then(|group| group.vpc_id()).map(str::to_owned),
        pending: instance.pending_modified_values().map(pending).unwrap_or_default(),
        replicas: [instance.read_replica_db_instance_identifiers(), instance.read_replica_db_cluster_identifiers()]
            .concat(),
        shape: shape(instance),
        tags,
    }
}

/// What waits for the next maintenance window, for people. A password is named and not shown.
fn pending(values: &PendingModifiedValues) -> Vec<String> {
    let number = |value: Option<i32>| value.map(|value| value.to_string());
    let flag = |value: Option<bool>| value.map(|value| value.to_string());
    let word = |value: Option<&str>| value.map(str::to_owned);
    let all = [
        ("class", word(values.db_instance_class())),
        ("storage", number(values.allocated_storage())),
        ("storage type", word(values.storage_type())),
        ("IOPS", number(values.iops())),
        ("throughput", number(values.storage_throughput())),
        ("version", word(values.engine_version())),
        ("standby", flag(values.multi_az())),
        ("port", number(values.port())),
        ("backups", number(values.backup_retention_period())),
        ("identifier", word(values.db_instance_identifier())),
        ("certificate", word(values.ca_certificate_identifier())),
        ("subnet group", word(values.db_subnet_group_name())),
        ("login by IAM", flag(values.iam_database_authentication_enabled())),
        ("log volume", flag(values.dedicated_log_volume())),
        ("logs", values.pending_cloudwatch_logs_exports().map(|_| "others".to_owned())),
        ("master's password", values.master_user_password().map(|_| "another".to_owned())),
    ];
    all.into_iter().filter_map(|(what, to)| Some(format!("{what}: {}", to?))).collect()
}

fn shape(instance: &DbInstance) -> Shape {
    let mut security_groups: Vec<String> = instance
        .vpc_security_groups()
        .iter()
        .filter_map(|group| group.vpc_security_group_id().map(str::to_owned))
        .collect();
    security_groups.sort();
    let mut log_exports = instance.enabled_cloudwatch_logs_exports().to_vec();
    log_exports.sort();
    Shape {
        class: text(instance.db_instance_class()),
        engine: text(instance.engine()),
        engine_version: text(instance.engine_version()),
        storage_gib: instance.allocated_storage().unwrap_or_default(),
        storage_type: text(instance.storage_type()),
        iops: instance.iops(),
        throughput: instance.storage_throughput().filter(|throughput| *throughput > 0),
        max_storage_gib: instance.max_allocated_storage(),
        multi_az: instance.multi_az().unwrap_or_default(),
        public: instance.publicly_accessible().unwrap_or_default(),
        // While an instance is made it has no endpoint; RDS says 0 then in the other place.
        port: instance
            .endpoint()
            .and_then(|endpoint| endpoint.port())
            .or(instance.db_instance_port())
            .unwrap_or_default(),
        subnet_group: text(instance.db_subnet_group().and_then(|group| group.db_subnet_group_name())),
        security_groups,
        option_group: text(instance.option_group_memberships().first().and_then(|group| group.option_group_name())),
        monitoring_seconds: instance.monitoring_interval().unwrap_or_default(),
        monitoring_role: instance.monitoring_role_arn().map(str::to_owned),
        insights: instance.performance_insights_enabled().unwrap_or_default(),
        insights_days: instance.performance_insights_retention_period(),
        insights_mode: instance.database_insights_mode().map(|mode| mode.as_str().to_owned()),
        backup_days: instance.backup_retention_period().unwrap_or_default(),
        backup_window: text(instance.preferred_backup_window()),
        maintenance_window: text(instance.preferred_maintenance_window()),
        minor_upgrades: instance.auto_minor_version_upgrade().unwrap_or_default(),
        deletion_protection: instance.deletion_protection().unwrap_or_default(),
        copy_tags: instance.copy_tags_to_snapshot().unwrap_or_default(),
        iam_login: instance.iam_database_authentication_enabled().unwrap_or_default(),
        log_exports,
        lifecycle: text(instance.engine_lifecycle_support()),
        certificate: text(instance.ca_certificate_identifier()),
        log_volume: instance.dedicated_log_volume().unwrap_or_default(),
    }
}
