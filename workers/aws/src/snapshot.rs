//! Snapshots: taken of the source, shared with the target's account, copied there under its key.

use aws_sdk_rds::types::DbSnapshot;
use changeover_domain::{
    Failure,
    aws::{
        names::Owner,
        status::{self, Progress},
    },
};
use serde::{Deserialize, Serialize};

use crate::{claim, error::Told, session::Session, tags};

/// A snapshot as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotSeen {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// How far it is.
    pub progress: Progress,
    /// The key that it is encrypted with, by ARN.
    pub kms_key: Option<String>,
    /// Of which instance it is, by RDS' own id.
    pub resource_id: String,
    /// When it was taken, seconds since 1970; `None` while it isn't ready.
    pub created: Option<i64>,
}

/// A snapshot, with its owner; `None` if there is none of this name.
pub(crate) async fn look(session: &Session, name: &str) -> Result<Option<(SnapshotSeen, Owner)>, Failure> {
    let what = format!("looking at the snapshot {name}");
    let answer = session.rds.describe_db_snapshots().db_snapshot_identifier(name).send().await;
    let answer = answer.unless(&["DBSnapshotNotFound"], session.side(), &what)?;
    let first = answer.as_ref().and_then(|answer| answer.db_snapshots().first());
    Ok(first.map(|snapshot| (seen(snapshot), tags::owner(session, snapshot.tag_list()))))
}

/// How far a snapshot is.
pub async fn observe_snapshot(session: &Session, name: &str) -> Result<Progress, Failure> {
    Ok(look(session, name).await?.map_or(Progress::Absent, |(seen, _)| seen.progress))
}

/// How far a snapshot is and whose.
pub(crate) async fn look_with_owner(session: &Session, name: &str) -> Result<Option<(Progress, Owner)>, Failure> {
    Ok(look(session, name).await?.map(|(seen, owner)| (seen.progress, owner)))
}

/// A snapshot in this account that is encrypted with a key, if there is one.
pub(crate) async fn under_key(session: &Session, key_arn: &str) -> Result<Option<String>, Failure> {
    let mut pages = session.rds.describe_db_snapshots().into_paginator().items().send();
    while let Some(snapshot) = pages.next().await {
        let snapshot = seen(&snapshot.told(session.side(), "listing snapshots")?);
        if snapshot.kms_key.as_deref() == Some(key_arn) {
            return Ok(Some(snapshot.name));
        }
    }
    Ok(None)
}

fn seen(snapshot: &DbSnapshot) -> SnapshotSeen {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    SnapshotSeen {
        name: text(snapshot.db_snapshot_identifier()),
        arn: text(snapshot.db_snapshot_arn()),
        progress: status::snapshot(snapshot.status().unwrap_or_default(), snapshot.percent_progress()),
        kms_key: snapshot.kms_key_id().map(str::to_owned),
        resource_id: text(snapshot.dbi_resource_id()),
        created: snapshot.snapshot_create_time().map(|time| time.secs()),
    }
}

/// A snapshot of ours; CO1008 if it is somebody else's, CO1015 if it has failed.
async fn ours(session: &Session, name: &str) -> Result<Option<SnapshotSeen>, Failure> {
    let Some((seen, owner)) = look(session, name).await? else { return Ok(None) };
    tags::check_owner(session, &format!("the snapshot {name}"), &owner)?;
    if let Progress::Failed { status } = &seen.progress {
        return Err(failed(session, name, status));
    }
    Ok(Some(seen))
}

fn failed(session: &Session, name: &str, status: &str) -> Failure {
    Failure::needs_human(
        "CO1015",
        format!("the snapshot {name} on the {} is {status}", session.side()),
        "see the events in the console of RDS for the cause, delete the snapshot, then `changeover retry`",
    )
}

/// Takes a snapshot of the source, or finds the one that was taken of it. Returns at once; a durable timer calls it again while it works.
pub async fn ensure_snapshot(source: &Session, instance: &str, name: &str) -> Result<SnapshotSeen, Failure> {
    let of = claim::check_claim(source, instance).await?.resource_id;
    if let Some(seen) = ours(source, name).await? {
        return if seen.resource_id == of { Ok(seen) } else { Err(of_another(&seen, instance, &of)) };
    }
    let request = source.rds.create_db_snapshot().db_instance_identifier(instance).db_snapshot_identifier(name);
    let request = request.set_tags(Some(tags::rds(source)));
    let what = format!("taking the snapshot {name}");
    request.send().await.unless(&["DBSnapshotAlreadyExists"], source.side(), &what)?;
    found(source, name).await
}

/// Shares a snapshot of ours with one account, and with nobody else. CO1017 if it is shared with the whole world: not by us.
pub async fn ensure_shared(source: &Session, name: &str, account: &str) -> Result<(), Failure> {
    found(source, name).await?;
    let with = shared_with(source, name).await?;
    if with.iter().any(|other| other == "all") {
        let message = format!("the snapshot {name} is shared with everybody");
        return Err(Failure::refused("CO1017", message, "take the sharing back at once, and find out who did it"));
    }
    if with.iter().any(|other| other == account) {
        return Ok(());
    }
    let request = source.rds.modify_db_snapshot_attribute().db_snapshot_identifier(name).attribute_name("restore");
    request.values_to_add(account).send().await.told(source.side(), &format!("sharing the snapshot {name}")).map(drop)
}

/// With which accounts a snapshot is shared.
pub async fn shared_with(source: &Session, name: &str) -> Result<Vec<String>, Failure> {
    let what = format!("seeing whom {name} is shared with");
    let answer = source.rds.describe_db_snapshot_attributes().db_snapshot_identifier(name).send().await;
    let answer = answer.told(source.side(), &what)?;
    let attributes =
        answer.db_snapshot_attributes_result().map(|result| result.db_snapshot_attributes()).unwrap_or_default();
    let restore = attributes.iter().find(|attribute| attribute.attribute_name() == Some("restore"));
    Ok(restore.map(|attribute| attribute.attribute_values().to_vec()).unwrap_or_default())
}

/// Copies a shared snapshot under the target's key, or finds the copy. Returns at once.
pub async fn ensure_copy(
    target: &Session,
    shared_arn: &str,
    name: &str,
    key_arn: &str,
) -> Result<SnapshotSeen, Failure> {
    let copy = match ours(target, name).await? {
        Some(seen) => seen,
        None => {
            let request = target
                .rds
                .copy_db_snapshot()
                .source_db_snapshot_identifier(shared_arn)
                .target_db_snapshot_identifier(name)
                .kms_key_id(key_arn)
                // Tags of a shared snapshot stay with its owner.
                .copy_tags(false)
                .set_tags(Some(tags::rds(target)));
            let what = format!("copying the snapshot {shared_arn}");
            request.send().await.unless(&["DBSnapshotAlreadyExists"], target.side(), &what)?;
            found(target, name).await?
        }
    };
    if copy.progress == Progress::Ready && copy.kms_key.as_deref() != Some(key_arn) {
        let key = copy.kms_key.as_deref().unwrap_or("no key");
        let message = format!("the copy {name} is encrypted with {key}, not with {key_arn}");
        return Err(Failure::needs_human("CO1018", message, "delete the copy, then `changeover retry`"));
    }
    Ok(copy)
}

fn of_another(seen: &SnapshotSeen, instance: &str, of: &str) -> Failure {
    let message = format!("the snapshot {} is of {}, and {instance} is {of}", seen.name, seen.resource_id);
    Failure::needs_human("CO1018", message, "see whether it is still needed, delete it, then `changeover retry`")
}

async fn found(session: &Session, name: &str) -> Result<SnapshotSeen, Failure> {
    ours(session, name).await?.ok_or_else(|| {
        let message = format!("the snapshot {name} on the {} can't be seen yet", session.side());
        Failure::transient("CO1007", message, "nothing; it is looked for again")
    })
}
