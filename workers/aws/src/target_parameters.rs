//! The target's parameter group: what somebody has set on the source, and what replication needs.

use std::collections::BTreeMap;

use changeover_domain::{
    Failure, Side,
    aws::parameters::{Parameter, Sizing, after, carried, difference, wanted},
};
use serde::{Deserialize, Serialize};

use crate::{
    groups::{self, Before},
    session::Session,
};

/// The target's group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Its name.
    pub group: String,
    /// How many parameters are set in it.
    pub set: usize,
    /// What somebody has set on the source and the target's engine doesn't have or lets nobody change.
    pub left: Vec<String>,
}

/// Makes and fills it. `source` are the source's parameters, read by [`groups::parameters`]; `running` as for the source: the target has
/// its size.
pub async fn ensure_target_group(
    target: &Session,
    family: &str,
    source: &[Parameter],
    sizing: &Sizing,
    running: &BTreeMap<String, String>,
) -> Result<TargetGroup, Failure> {
    let group = target.names().parameter_group(Side::Target);
    groups::ensure_group(target, &group, family).await?;
    let now = groups::parameters(target, &group).await?;
    let (mut changes, left) = carried(source, &now);
    let needs = difference(Side::Target, &wanted(sizing), &after(&now, &changes), running)?;
    changes.retain(|change| needs.iter().all(|need| need.name != change.name));
    changes.extend(needs);
    groups::ensure_values(target, &group, &changes, Before::Whatever).await?;
    let set = groups::parameters(target, &group).await?.iter().filter(|parameter| parameter.is_set()).count();
    Ok(TargetGroup { group, set, left })
}
