//! The end of the old instance: its last snapshot, then a stop or its deletion. Each is called only with a person's approval, which the
//! caller holds; none is done by default. The instance is known by RDS' own id, which the claim holds, never by its name alone.

use std::time::SystemTime;

use changeover_domain::{
    Failure,
    aws::{
        snapshot::{Last, check_last},
        status::{Progress, check_approved},
        target::InstanceSeen,
    },
};

use crate::{
    claim,
    error::Told,
    instance,
    session::Session,
    snapshot::{self, SnapshotSeen},
};

/// Takes the last snapshot, or finds it. `switched_at` is when the switch was over, seconds since 1970: CO1019 for one of before. Returns
/// at once.
pub async fn ensure_final_snapshot(
    source: &Session,
    identifier: &str,
    switched_at: i64,
) -> Result<SnapshotSeen, Failure> {
    let seen = snapshot::ensure_snapshot(source, identifier, &source.names().final_snapshot()).await?;
    if seen.created.is_some() {
        check(source, &seen.resource_id, switched_at).await?;
    }
    Ok(seen)
}

/// Stops the old instance. `until` is when the approval ends, looked at right before what it allows is asked for: what has begun under it, or
/// is done, goes on after it. CO1089 where it doesn't count any more. AWS starts it again after seven days
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html>). Returns at once.
pub async fn ensure_stopped(
    source: &Session,
    identifier: &str,
    until: Option<SystemTime>,
) -> Result<Progress, Failure> {
    let now = instance::progress(&claim::check_claim(source, identifier).await?);
    if now != Progress::Ready {
        return Ok(now);
    }
    check_approved(&format!("the stop of {identifier}"), until, SystemTime::now())?;
    let request = source.rds.stop_db_instance().db_instance_identifier(identifier);
    request.send().await.unless(&["InvalidDBInstanceState"], source.side(), &format!("stopping {identifier}"))?;
    instance::observe(source, identifier).await
}

/// Deletes the old instance, which only works with its last snapshot there and ready: CO1019 otherwise. `named` is the identifier as the
/// person who approved has written it; `until` and CO1089 as in [`ensure_stopped`]. Automated backups stay until they expire. Returns at once.
pub async fn ensure_deleted(
    source: &Session,
    identifier: &str,
    named: &str,
    switched_at: i64,
    until: Option<SystemTime>,
) -> Result<Progress, Failure> {
    if named != identifier {
        let message = format!("the approval names {named}, and the old instance is {identifier}");
        return Err(Failure::refused("CO1019", message, "approve again, with the instance's own identifier"));
    }
    if instance::look(source, identifier).await?.is_none() {
        return Ok(Progress::Absent);
    }
    let seen = claim::check_claim(source, identifier).await?;
    check(source, &seen.resource_id, switched_at).await?;
    if instance::progress(&seen).goes_on() {
        return Ok(instance::progress(&seen));
    }
    check_approved(&format!("the deletion of {identifier}"), until, SystemTime::now())?;
    if seen.shape.deletion_protection {
        return lift_protection(source, identifier).await;
    }
    delete(source, &seen).await?;
    instance::observe(source, identifier).await
}

async fn check(source: &Session, resource: &str, switched_at: i64) -> Result<(), Failure> {
    let found = snapshot::look(source, &source.names().final_snapshot()).await?;
    let last = found.as_ref().map(|(seen, owner)| Last {
        name: &seen.name,
        owner: owner.clone(),
        resource: &seen.resource_id,
        created: seen.created.filter(|_| seen.progress == Progress::Ready),
    });
    check_last(last.as_ref(), resource, switched_at)
}

/// The deletion follows when a later look shows it lifted: until then AWS refuses it. Not with `ApplyImmediately`, which protection doesn't
/// need and which would carry out whatever else waits for the maintenance window
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ModifyInstance.Settings.html>).
pub(crate) async fn lift_protection(session: &Session, identifier: &str) -> Result<Progress, Failure> {
    let request = session.rds.modify_db_instance().db_instance_identifier(identifier).deletion_protection(false);
    let request = request.apply_immediately(false);
    let what = format!("lifting the protection of {identifier}");
    request.send().await.unless(&["InvalidDBInstanceState"], session.side(), &what)?;
    Ok(Progress::Working { status: "protection is being lifted".to_owned(), percent: None })
}

async fn delete(source: &Session, seen: &InstanceSeen) -> Result<(), Failure> {
    let request = source.rds.delete_db_instance().db_instance_identifier(&seen.identifier);
    let request = request.skip_final_snapshot(true).delete_automated_backups(false);
    // Gone already, or going.
    let passes = &["DBInstanceNotFound", "InvalidDBInstanceState"];
    request.send().await.unless(passes, source.side(), &format!("deleting {}", seen.identifier)).map(drop)
}
