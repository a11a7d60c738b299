//! The seed's end: once the target is ready, the source's snapshot isn't shared any more, and it and its copy are gone.

use changeover_domain::{Failure, aws::status::Progress};

use crate::{
    instance,
    session::Session,
    tags,
    undo::{Undone, delete_snapshot, unshare},
};

/// Takes the sharing back and deletes the seed and its copy, where the target is ready; before that it does nothing and says how far the
/// target is. `Absent` says that both are gone. CO1008 if something else stands under their names. Returns at once.
pub async fn ensure_seed_gone(source: &Session, target: &Session, identifier: &str) -> Result<Progress, Failure> {
    let seen = instance::look_at_existing(target, identifier).await?;
    tags::check_owner(target, &format!("the instance {identifier}"), &instance::owner(target, &seen))?;
    let ready = instance::progress(&seen);
    if ready != Progress::Ready {
        return Ok(ready);
    }
    let (seed, copy) = (source.names().seed_snapshot(), target.names().seed_copy());
    unshare(source, &seed, target.account()).await?;
    let ends = [delete_snapshot(source, &seed).await?, delete_snapshot(target, &copy).await?];
    Ok(ends.into_iter().find_map(still).unwrap_or(Progress::Absent))
}

fn still(end: Undone) -> Option<Progress> {
    match end {
        Undone::Working { status } => Some(Progress::Working { status, percent: None }),
        _ => None,
    }
}
