//! Parameter groups as they are, and making and filling our own.

use aws_sdk_rds::types::{ApplyMethod, Parameter as RdsParameter};
use changeover_domain::{
    Failure,
    aws::parameters::{Change, PER_CALL, Parameter},
};

use crate::{error::Told, session::Session, tags};

/// The family of a group, such as `postgres15`; `None` if there is no such group.
pub async fn family(session: &Session, group: &str) -> Result<Option<String>, Failure> {
    let what = format!("looking at the parameter group {group}");
    let answer = session.rds.describe_db_parameter_groups().db_parameter_group_name(group).send().await;
    let answer = answer.unless(&["DBParameterGroupNotFound"], session.side(), &what)?;
    let family = answer.as_ref().and_then(|answer| answer.db_parameter_groups().first()?.db_parameter_group_family());
    Ok(family.map(str::to_owned))
}

/// Every parameter of a group.
pub async fn parameters(session: &Session, group: &str) -> Result<Vec<Parameter>, Failure> {
    let what = format!("reading the parameters of {group}");
    let mut pages = session.rds.describe_db_parameters().db_parameter_group_name(group).into_paginator().items().send();
    let mut all = Vec::new();
    while let Some(parameter) = pages.next().await {
        all.push(seen(&parameter.told(session.side(), &what)?));
    }
    Ok(all)
}

fn seen(parameter: &RdsParameter) -> Parameter {
    Parameter {
        name: parameter.parameter_name().unwrap_or_default().to_owned(),
        value: parameter.parameter_value().map(str::to_owned),
        source: parameter.source().unwrap_or_default().to_owned(),
        apply_type: parameter.apply_type().unwrap_or_default().to_owned(),
        modifiable: parameter.is_modifiable().unwrap_or(false),
    }
}

/// Makes a group of ours, or finds it. CO1008 if somebody else's stands there.
pub async fn ensure_group(session: &Session, group: &str, family: &str) -> Result<(), Failure> {
    if self::family(session, group).await?.is_none() {
        let request = session
            .rds
            .create_db_parameter_group()
            .db_parameter_group_name(group)
            .db_parameter_group_family(family)
            .description(format!("Changeover: migration {}", session.names().migration()))
            .set_tags(Some(tags::rds(session)));
        let what = format!("making the parameter group {group}");
        request.send().await.unless(&["DBParameterGroupAlreadyExists"], session.side(), &what)?;
    }
    tags::check_owner(session, &format!("the parameter group {group}"), &tags::owner_of(session, "pg", group).await?)
}

/// What a value may be before it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// What it was when the change was planned: the group is somebody else's.
    AsPlanned,
    /// Anything: the group is ours.
    Whatever,
}

/// Sets parameters that aren't set so yet. CO1026 if one is neither what it was when the change was planned nor what it is to be.
pub async fn ensure_values(session: &Session, group: &str, changes: &[Change], before: Before) -> Result<(), Failure> {
    let now = parameters(session, group).await?;
    let value = |name: &str| now.iter().find(|parameter| parameter.name == name).and_then(|p| p.value.clone());
    let mut to_set = Vec::new();
    for change in changes {
        let seen = value(&change.name);
        if seen.as_ref() == Some(&change.to) {
            continue;
        }
        if before == Before::AsPlanned && seen != change.from {
            return Err(changed_meanwhile(session, group, change, seen.as_deref()));
        }
        to_set.push(change);
    }
    for part in to_set.chunks(PER_CALL) {
        let set =
            part.iter().map(|change| parameter(&change.name, Some(&change.to), change.waits_for_reboot)).collect();
        let request = session.rds.modify_db_parameter_group().db_parameter_group_name(group).set_parameters(Some(set));
        request.send().await.told(session.side(), &format!("setting parameters of {group}"))?;
    }
    Ok(())
}

fn changed_meanwhile(session: &Session, group: &str, change: &Change, seen: Option<&str>) -> Failure {
    let shown = |value: Option<&str>| value.unwrap_or("unset").to_owned();
    Failure::needs_human(
        "CO1026",
        format!(
            "{} in {group} on the {} was changed meanwhile: it was {}, and is {}",
            change.name,
            session.side(),
            shown(change.from.as_deref()),
            shown(seen)
        ),
        "see who changed it; set it as it was, or abort and start again with what is right now",
    )
}

/// A parameter for a request.
pub(crate) fn parameter(name: &str, value: Option<&str>, waits_for_reboot: bool) -> RdsParameter {
    let method = if waits_for_reboot { ApplyMethod::PendingReboot } else { ApplyMethod::Immediate };
    RdsParameter::builder()
        .parameter_name(name)
        .set_parameter_value(value.map(str::to_owned))
        .apply_method(method)
        .build()
}
