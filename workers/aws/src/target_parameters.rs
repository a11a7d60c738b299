//! The target's parameter group: what somebody has set on the source, and what replication needs.

use std::collections::BTreeMap;

use changeover_domain::{
    Failure, Side,
    aws::{
        parameters::{Change, Parameter, Sizing, after, carried, difference, wanted},
        sized::{fitting, instead_of_formulas},
    },
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
    let (group, now) = made(target, family).await?;
    let (changes, left) = carried(source, &now);
    fill(target, group, &now, (changes, left), sizing, running).await
}

/// The same where the target has another class than the source: numbers of the source's size don't fit, and a formula gives another one.
/// `running` is still what the source's server says of itself.
pub async fn ensure_group_of_other_class(
    target: &Session,
    family: &str,
    source: &[Parameter],
    sizing: &Sizing,
    running: &BTreeMap<String, String>,
) -> Result<TargetGroup, Failure> {
    let (group, now) = made(target, family).await?;
    let (fits, unfit) = fitting(source);
    let (mut changes, mut left) = carried(&fits, &now);
    left.extend(unfit);
    let numbers = instead_of_formulas(&wanted(sizing), &after(&now, &changes), running);
    changes.retain(|change| numbers.iter().all(|number| number.name != change.name));
    changes.extend(numbers);
    fill(target, group, &now, (changes, left), sizing, running).await
}

async fn made(target: &Session, family: &str) -> Result<(String, Vec<Parameter>), Failure> {
    let group = target.names().parameter_group(Side::Target);
    groups::ensure_group(target, &group, family).await?;
    let now = groups::parameters(target, &group).await?;
    Ok((group, now))
}

async fn fill(
    target: &Session,
    group: String,
    now: &[Parameter],
    (mut changes, left): (Vec<Change>, Vec<String>),
    sizing: &Sizing,
    running: &BTreeMap<String, String>,
) -> Result<TargetGroup, Failure> {
    let needs = difference(Side::Target, &wanted(sizing), &after(now, &changes), running)?;
    changes.retain(|change| needs.iter().all(|need| need.name != change.name));
    changes.extend(needs);
    groups::ensure_values(target, &group, &changes, Before::Whatever).await?;
    let set = groups::parameters(target, &group).await?.iter().filter(|parameter| parameter.is_set()).count();
    Ok(TargetGroup { group, set, left })
}
