//! The end of the old instance: its last snapshot, then a stop or its deletion. Each is called only with a person's approval, which the
//! caller holds; none is done by default.

use changeover_domain::{Failure, aws::status::Progress};

use crate::{
    claim,
    error::Told,
    instance,
    session::Session,
    snapshot::{self, SnapshotSeen},
};

/// Takes the last snapshot, or finds it. Returns at once.
pub async fn ensure_final_snapshot(source: &Session, identifier: &str) -> Result<SnapshotSeen, Failure> {
    snapshot::ensure_snapshot(source, identifier, &source.names().final_snapshot()).await
}

/// Stops the old instance. AWS starts it again after seven days
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html>). Returns at once.
pub async fn ensure_stopped(source: &Session, identifier: &str) -> Result<Progress, Failure> {
    claim::check_claim(source, identifier).await?;
    let now = instance::observe(source, identifier).await?;
    if now != Progress::Ready {
        return Ok(now);
    }
    let request = source.rds.stop_db_instance().db_instance_identifier(identifier);
    request.send().await.unless(&["InvalidDBInstanceState"], source.side(), &format!("stopping {identifier}"))?;
    instance::observe(source, identifier).await
}

/// Deletes the old instance, which only works with its last snapshot there and ready: CO1019 otherwise. `named` is the identifier as the
/// person who approved has written it. Automated backups stay until they expire. Returns at once.
pub async fn ensure_deleted(source: &Session, identifier: &str, named: &str) -> Result<Progress, Failure> {
    if named != identifier {
        let message = format!("the approval names {named}, and the old instance is {identifier}");
        return Err(Failure::refused("CO1019", message, "approve again, with the instance's own identifier"));
    }
    claim::check_claim(source, identifier).await?;
    let last = source.names().final_snapshot();
    if snapshot::observe_snapshot(source, &last).await? != Progress::Ready {
        let message = format!("{identifier} isn't deleted: its last snapshot {last} isn't there or isn't ready");
        return Err(Failure::refused("CO1019", message, "take the last snapshot first and wait for it"));
    }
    let Some(seen) = instance::look(source, identifier).await? else { return Ok(Progress::Absent) };
    if seen.shape.deletion_protection {
        let request = source.rds.modify_db_instance().db_instance_identifier(identifier).deletion_protection(false);
        let request = request.apply_immediately(true);
        request.send().await.told(source.side(), &format!("lifting the protection of {identifier}"))?;
    }
    let request = source.rds.delete_db_instance().db_instance_identifier(identifier);
    let request = request.skip_final_snapshot(true).delete_automated_backups(false);
    // Gone already, or going.
    let passes = &["DBInstanceNotFound", "InvalidDBInstanceState"];
    request.send().await.unless(passes, source.side(), &format!("deleting {identifier}"))?;
    instance::observe(source, identifier).await
}
