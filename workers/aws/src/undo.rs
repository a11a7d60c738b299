//! Undoing, one thing at a time. What doesn't carry our tag is never deleted, and what somebody else has changed since isn't set back.

use std::collections::BTreeMap;

use changeover_domain::{
    Failure, Side,
    aws::{
        AwsNames,
        names::TAG_SERVED,
        status::{Progress, reboot_pending},
        undo::{AwsUndo, Back, Kind, Was, back},
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    claim,
    error::Told,
    groups, instance, key_end, options, publish, retire,
    session::Session,
    snapshot, source_parameters,
    tags::{self, check_owner},
    unpublish::unpublish,
};

/// How far an undo is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "undone")]
pub enum Undone {
    /// It is undone.
    Done,
    /// Something is on its way; a durable timer calls again.
    Working {
        /// What.
        status: String,
    },
    /// It is undone, and comes into force with the next reboot, which is a person's to ask for.
    PendingReboot {
        /// Of which instance.
        instance: String,
        /// What stays nevertheless: values that somebody else has changed since.
        left: Vec<String>,
    },
    /// What stays: values that somebody else has changed since, or what isn't ours.
    Left {
        /// Their names.
        names: Vec<String>,
    },
}

/// How long a secret can be taken back, days.
const SECRET_DAYS: i64 = 7;

pub(crate) fn working(status: &str) -> Undone {
    Undone::Working { status: status.to_owned() }
}

/// Undoes one thing. Safe to be done twice, and before its act was done.
pub async fn undo(session: &Session, undo: &AwsUndo) -> Result<Undone, Failure> {
    if session.side() != undo.side() {
        let message = format!("an undo of the {} was given a session of the {}", undo.side(), session.side());
        return Err(Failure::invariant("CO1025", message));
    }
    match undo {
        AwsUndo::Delete { kind, name, .. } => delete(session, *kind, name).await,
        AwsUndo::SetBack { group, values, .. } => set_back(session, group, values).await,
        AwsUndo::Reattach { instance, ours, before, .. } => reattach(session, instance, ours, before).await,
        AwsUndo::Unpublish { name, before, ours } => unpublish(session, name, *before, ours).await,
        AwsUndo::Unshare { snapshot, account } => unshare(session, snapshot, account).await,
    }
}

/// What stands under the name and isn't ours is nothing that we made: it stays, and is named.
async fn delete(session: &Session, kind: Kind, name: &str) -> Result<Undone, Failure> {
    match delete_ours(session, kind, name).await {
        Err(failure) if failure.code == FOREIGN => Ok(Undone::Left { names: vec![name.to_owned()] }),
        result => result,
    }
}

async fn delete_ours(session: &Session, kind: Kind, name: &str) -> Result<Undone, Failure> {
    match kind {
        Kind::Claim => delete_claim(session, name).await,
        Kind::Key => key_end::delete_key(session, name).await,
        Kind::ParameterGroup => delete_parameter_group(session, name).await,
        Kind::OptionGroup => delete_option_group(session, name).await,
        Kind::Secret => delete_secret(session, name).await,
        Kind::Snapshot => delete_snapshot(session, name).await,
        Kind::Instance => delete_instance(session, name).await,
        Kind::Parameter => delete_parameter(session, name).await,
        Kind::Peering | Kind::Routes | Kind::SecurityRules => {
            let message = format!("the {} {name} is the network's to undo", kind.title());
            Err(Failure::invariant("CO1025", message))
        }
    }
}

/// The code of [`check_owner`].
const FOREIGN: &str = "CO1008";

async fn delete_claim(source: &Session, name: &str) -> Result<Undone, Failure> {
    let instance = name.rsplit('/').next().unwrap_or_default();
    match claim::holder(source, instance).await? {
        Some(claim) if claim.is_by(source.names().migration().as_str(), source.run()) => {}
        // Nobody's, another migration's or another run's: not ours to give up.
        _ => return Ok(Undone::Done),
    }
    let request = source.ssm.delete_parameter().name(AwsNames::claim_parameter(instance));
    request.send().await.unless(&["ParameterNotFound"], source.side(), "giving the source up")?;
    Ok(Undone::Done)
}

async fn delete_parameter(target: &Session, name: &str) -> Result<Undone, Failure> {
    let what = format!("looking at {name}");
    let there =
        target.ssm.get_parameter().name(name).send().await.unless(&["ParameterNotFound"], target.side(), &what)?;
    if there.is_none() {
        return Ok(Undone::Done);
    }
    check_owner(target, &format!("the parameter {name}"), &publish::owner(target, name).await?)?;
    let request = target.ssm.delete_parameter().name(name);
    request.send().await.unless(&["ParameterNotFound"], target.side(), &format!("deleting {name}"))?;
    Ok(Undone::Done)
}

async fn delete_parameter_group(session: &Session, name: &str) -> Result<Undone, Failure> {
    if groups::family(session, name).await?.is_none() {
        return Ok(Undone::Done);
    }
    check_owner(session, &format!("the parameter group {name}"), &tags::owner_of(session, "pg", name).await?)?;
    let request = session.rds.delete_db_parameter_group().db_parameter_group_name(name);
    let what = format!("deleting the parameter group {name}");
    request.send().await.unless(&["DBParameterGroupNotFound"], session.side(), &what)?;
    Ok(Undone::Done)
}

async fn delete_option_group(session: &Session, name: &str) -> Result<Undone, Failure> {
    if options::look_at_options(session, name).await?.is_none() {
        return Ok(Undone::Done);
    }
    check_owner(session, &format!("the option group {name}"), &tags::owner_of(session, "og", name).await?)?;
    let request = session.rds.delete_option_group().option_group_name(name);
    let what = format!("deleting the option group {name}");
    request.send().await.unless(&["OptionGroupNotFound"], session.side(), &what)?;
    Ok(Undone::Done)
}

/// With seven days of recovery: a snapshot of the target may have been taken by others, and its master's password is this one. Another
/// attempt takes the secret back.
async fn delete_secret(target: &Session, name: &str) -> Result<Undone, Failure> {
    let what = format!("looking at the secret {name}");
    let seen = target.secrets.describe_secret().secret_id(name).send().await;
    let Some(seen) = seen.unless(&["ResourceNotFoundException"], target.side(), &what)? else {
        return Ok(Undone::Done);
    };
    let owner = target.names().owner(seen.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value()?))));
    check_owner(target, &format!("the secret {name}"), &owner)?;
    if seen.deleted_date().is_some() {
        return Ok(Undone::Done);
    }
    // Before the instance's own undo, which says the same.
    instance::check_none_has_served(target, &format!("the secret {name} isn't deleted")).await?;
    let request = target.secrets.delete_secret().secret_id(name).recovery_window_in_days(SECRET_DAYS);
    let what = format!("deleting the secret {name}");
    request.send().await.unless(&["ResourceNotFoundException"], target.side(), &what)?;
    Ok(Undone::Done)
}

pub(crate) async fn delete_snapshot(session: &Session, name: &str) -> Result<Undone, Failure> {
    let Some((progress, owner)) = snapshot::look_with_owner(session, name).await? else { return Ok(Undone::Done) };
    check_owner(session, &format!("the snapshot {name}"), &owner)?;
    if progress.goes_on() {
        return Ok(working("the snapshot isn't ready yet, and can't be deleted before"));
    }
    let request = session.rds.delete_db_snapshot().db_snapshot_identifier(name);
    let what = format!("deleting the snapshot {name}");
    let passes = &["DBSnapshotNotFound", "InvalidDBSnapshotState"];
    request.send().await.unless(passes, session.side(), &what)?;
    Ok(if snapshot::look_with_owner(session, name).await?.is_none() { Undone::Done } else { working("deleting") })
}

async fn delete_instance(target: &Session, name: &str) -> Result<Undone, Failure> {
    if target.side() == Side::Source {
        return Err(Failure::invariant("CO1025", format!("an undo would delete {name}, the source")));
    }
    let Some(seen) = instance::look(target, name).await? else { return Ok(Undone::Done) };
    check_owner(target, &format!("the instance {name}"), &instance::owner(target, &seen))?;
    if seen.status == "deleting" {
        return Ok(working("deleting"));
    }
    if let Some(since) = seen.tags.get(TAG_SERVED) {
        return Err(has_served(name, since));
    }
    if instance::progress(&seen).goes_on() {
        return Ok(working(&seen.status));
    }
    if seen.shape.deletion_protection {
        retire::lift_protection(target, name).await?;
        return Ok(working("protection is being lifted"));
    }
    let request = target.rds.delete_db_instance().db_instance_identifier(name);
    let request = request.skip_final_snapshot(true).delete_automated_backups(true);
    let passes = &["DBInstanceNotFound", "InvalidDBInstanceState"];
    request.send().await.unless(passes, target.side(), &format!("deleting the instance {name}"))?;
    let now = instance::observe(target, name).await?;
    Ok(if now == Progress::Absent { Undone::Done } else { working("deleting") })
}

/// What users have written into it may be nowhere else.
fn has_served(name: &str, since: &str) -> Failure {
    Failure::needs_human(
        "CO1060",
        format!(
            "the instance {name} isn't deleted: it has served since {since}, and rows may be in it that are nowhere else"
        ),
        format!("if nothing in it is needed any more, take the tag {TAG_SERVED} off it, then `changeover retry`"),
    )
}

async fn set_back(session: &Session, group: &str, values: &BTreeMap<String, Was>) -> Result<Undone, Failure> {
    let now = groups::parameters(session, group).await?;
    let (mut set, mut reset, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for (name, was) in values {
        let seen = now.iter().find(|parameter| parameter.name == *name);
        let value = seen.and_then(|parameter| parameter.value.as_deref());
        match back(was, value, seen.is_some_and(|parameter| parameter.is_set())) {
            Back::Set(value) => set.push(groups::parameter(name, Some(&value), was.waits_for_reboot)),
            Back::Reset => reset.push(groups::parameter(name, None, was.waits_for_reboot)),
            Back::Nothing => {}
            Back::Foreign(_) => left.push(name.clone()),
        }
    }
    if !set.is_empty() {
        let request = session.rds.modify_db_parameter_group().db_parameter_group_name(group).set_parameters(Some(set));
        request.send().await.told(session.side(), &format!("setting parameters of {group} back"))?;
    }
    if !reset.is_empty() {
        let request = session.rds.reset_db_parameter_group().db_parameter_group_name(group).reset_all_parameters(false);
        let request = request.set_parameters(Some(reset));
        request.send().await.told(session.side(), &format!("resetting parameters of {group}"))?;
    }
    let waits = instance::which(session, |seen| {
        seen.parameter_group == group && (reboot_pending(&seen.parameter_status) || seen.parameter_status == "applying")
    });
    Ok(match waits.await?.into_iter().next() {
        Some(instance) => Undone::PendingReboot { instance, left },
        None if left.is_empty() => Undone::Done,
        None => Undone::Left { names: left },
    })
}

async fn reattach(session: &Session, identifier: &str, ours: &str, before: &str) -> Result<Undone, Failure> {
    let Some(seen) = instance::look(session, identifier).await? else { return Ok(Undone::Done) };
    // Somebody has given it a third group since: that stays.
    if seen.parameter_group == ours {
        if instance::progress(&seen).goes_on() {
            return Ok(working(&seen.status));
        }
        claim::check_claim(session, identifier).await?;
        source_parameters::ensure_attached(session, identifier, before).await?;
    }
    let seen = instance::look_at_existing(session, identifier).await?;
    let pending = seen.parameter_group == before && reboot_pending(&seen.parameter_status);
    if !pending && instance::progress(&seen).goes_on() {
        return Ok(working(&seen.status));
    }
    let waits = || Undone::PendingReboot { instance: identifier.to_owned(), left: Vec::new() };
    Ok(if pending { waits() } else { Undone::Done })
}

pub(crate) async fn unshare(source: &Session, name: &str, account: &str) -> Result<Undone, Failure> {
    let Some((_, owner)) = snapshot::look_with_owner(source, name).await? else { return Ok(Undone::Done) };
    check_owner(source, &format!("the snapshot {name}"), &owner)?;
    if snapshot::shared_with(source, name).await?.iter().any(|with| with == account) {
        let request = source.rds.modify_db_snapshot_attribute().db_snapshot_identifier(name).attribute_name("restore");
        let what = format!("taking the sharing of {name} back");
        request.values_to_remove(account).send().await.told(source.side(), &what)?;
    }
    Ok(Undone::Done)
}
