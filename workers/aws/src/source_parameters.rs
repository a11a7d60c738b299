//! The source's parameters: read and planned first, so that the undo can be kept before anything is changed; then set.

use std::collections::BTreeMap;

use changeover_domain::{
    Failure, Side,
    aws::{
        parameters::{
            self, Change, Sizing, carried, check_replicas, check_slots, difference, is_default_group, wanted,
        },
        status::reboot_pending,
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    claim,
    error::Told,
    groups::{self, Before},
    instance,
    session::Session,
};

pub use changeover_domain::aws::parameter_plan::ParameterPlan;

/// What has been done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterEvidence {
    /// The group that the source has now.
    pub group: String,
    /// How many parameters differ from before.
    pub changed: usize,
    /// Whether a reboot is pending.
    pub reboot_pending: bool,
}

/// Reads the source's group and plans. `running` is what the server says of itself, for values that are formulas. Changes nothing.
/// Also returns the names of parameters that somebody has set, for the undo.
pub async fn plan_source_parameters(
    source: &Session,
    identifier: &str,
    sizing: &Sizing,
    running: &BTreeMap<String, String>,
) -> Result<(ParameterPlan, Vec<String>), Failure> {
    let seen = instance::look_at_existing(source, identifier).await?;
    let before = seen.parameter_group.clone();
    let ours = source.names().parameter_group(Side::Source);
    let family = groups::family(source, &before).await?.unwrap_or_default();
    let now = groups::parameters(source, &before).await?;
    let set = now.iter().filter(|parameter| parameter.is_set()).map(|parameter| parameter.name.clone()).collect();
    check_slots(Side::Source, sizing)?;
    let needs = difference(Side::Source, &wanted(sizing), &now, running)?;
    // An attempt before this one may have given the source our group already.
    let made_because =
        if needs.is_empty() || before == ours { None } else { why_another_group(source, identifier, &before).await? };
    let (group, changes) = if made_because.is_some() { (ours, merged(&now, &needs)) } else { (before.clone(), needs) };
    let instance = identifier.to_owned();
    check_replicas(&seen.replicas, &changes)?;
    Ok((ParameterPlan { instance, before, group, made_because, family, changes, pending: seen.pending }, set))
}

/// A `default.*` group can't be changed; one that other instances share mustn't: they would take the values over with their next reboot.
async fn why_another_group(source: &Session, identifier: &str, group: &str) -> Result<Option<String>, Failure> {
    if is_default_group(group) {
        return Ok(Some(format!("{group} is AWS's own and can't be changed")));
    }
    let others =
        instance::which(source, |other| other.parameter_group == group && other.identifier != identifier).await?;
    Ok((!others.is_empty()).then(|| format!("{group} is used by {} as well", others.join(", "))))
}

/// What a new group needs to be the old one with the changes in it.
fn merged(now: &[parameters::Parameter], needs: &[Change]) -> Vec<Change> {
    // The new group begins with the engine's values, so that everything that somebody has set has to be set again.
    let fresh: Vec<_> =
        now.iter().cloned().map(|parameter| parameters::Parameter { value: None, ..parameter }).collect();
    let (mut changes, _) = carried(now, &fresh);
    changes.retain(|change| needs.iter().all(|need| need.name != change.name));
    changes.extend(needs.iter().cloned());
    changes
}

/// Does what was planned. Safe to be done twice; checks the claim first.
pub async fn ensure_source_parameters(source: &Session, plan: &ParameterPlan) -> Result<ParameterEvidence, Failure> {
    claim::check_claim(source, &plan.instance).await?;
    if plan.made_because.is_some() {
        groups::ensure_group(source, &plan.group, &plan.family).await?;
        groups::ensure_values(source, &plan.group, &plan.changes, Before::Whatever).await?;
        ensure_attached(source, &plan.instance, &plan.group).await?;
    } else {
        groups::ensure_values(source, &plan.group, &plan.changes, Before::AsPlanned).await?;
    }
    let seen = instance::look_at_existing(source, &plan.instance).await?;
    Ok(ParameterEvidence {
        group: seen.parameter_group,
        changed: plan.changes.len(),
        reboot_pending: reboot_pending(&seen.parameter_status),
    })
}

/// Gives an instance a group. It takes it over with its next reboot; the name changes at once, even without `ApplyImmediately`, which would
/// carry out whatever else waits for the maintenance window
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ModifyInstance.Settings.html>).
pub(crate) async fn ensure_attached(session: &Session, identifier: &str, group: &str) -> Result<(), Failure> {
    let seen = instance::look_at_existing(session, identifier).await?;
    if seen.parameter_group == group {
        return Ok(());
    }
    let request = session.rds.modify_db_instance().db_instance_identifier(identifier);
    let request = request.db_parameter_group_name(group).apply_immediately(false);
    request.send().await.told(session.side(), &format!("giving {identifier} the parameter group {group}")).map(drop)
}
