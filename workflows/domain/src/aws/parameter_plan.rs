//! What is to be done about the source's parameters, as data: it is kept before anything is changed.

use serde::{Deserialize, Serialize};

use super::{
    parameters::Change,
    undo::{AwsUndo, Kind},
};
use crate::Side;

/// What is to be done about the source's parameters. Small: some ten parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterPlan {
    /// The source.
    pub instance: String,
    /// The group that it has.
    pub before: String,
    /// The group that it is to have: the same, or one of ours where that can't or mustn't be changed.
    pub group: String,
    /// Why a group of ours is made; `None` if none is.
    pub made_because: Option<String>,
    /// Its family.
    pub family: String,
    /// What is set in it.
    pub changes: Vec<Change>,
    /// What somebody has ordered for the next maintenance window, which the approval of the reboot shows: a reboot may bring some of it
    /// into force. Nothing here asks for it to be applied.
    pub pending: Vec<String>,
}

impl ParameterPlan {
    /// Whether something comes into force only with a reboot: a static parameter, or another group.
    pub fn needs_reboot(&self) -> bool {
        self.made_because.is_some() || self.changes.iter().any(|change| change.waits_for_reboot)
    }
    /// What undoes it, to be kept before [`ensure_source_parameters`], first to last; they are undone last to first.
    pub fn undo(&self, set_before: &[String]) -> Vec<AwsUndo> {
        let side = Side::Source;
        if self.made_because.is_some() {
            let (instance, group) = (self.instance.clone(), self.group.clone());
            return vec![
                AwsUndo::Delete { side, kind: Kind::ParameterGroup, name: group.clone() },
                AwsUndo::Reattach { side, instance, ours: group, before: self.before.clone() },
            ];
        }
        if self.changes.is_empty() {
            return Vec::new();
        }
        let was_set = |name: &str| set_before.iter().any(|set| set == name);
        vec![AwsUndo::of_changes(side, &self.group, &self.changes, was_set)]
    }
}
