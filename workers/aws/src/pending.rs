//! What else a reboot of the source brings into force, for its approval.

use std::collections::BTreeMap;

use changeover_domain::{
    Failure,
    aws::{
        parameters::Change,
        pending::{Group, PendingValue, of_others},
    },
};

use crate::{groups, session::Session};

/// What of the plan this question takes.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    /// The group that the source had before us.
    pub before: &'a str,
    /// What we set.
    pub changes: &'a [Change],
    /// Whether a group of ours takes its place.
    pub replaced: bool,
    /// Whether the source waited for a reboot before we changed anything.
    pub was_pending: bool,
}

/// Values that come into force with the source's reboot though we didn't set them, with their names. `running` is all that the server says
/// of itself (`pg_settings`), not only what replication needs. Changes nothing.
pub async fn pending_of_others(
    source: &Session,
    planned: &Planned<'_>,
    running: &BTreeMap<String, String>,
) -> Result<Vec<PendingValue>, Failure> {
    let parameters = groups::parameters(source, planned.before).await?;
    let Planned { changes, replaced, was_pending, .. } = *planned;
    Ok(of_others(&Group { parameters: &parameters, changes, replaced, was_pending }, running))
}
