//! What an abort does in AWS: data, pushed before the act. What was made is deleted, by name and only with our tag; what was changed
//! is set back, where it is still what we made of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::parameters::Change;
use crate::Side;

/// Something that we make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The claim on the source.
    Claim,
    /// A key; its deletion is scheduled, where nothing uses it.
    Key,
    /// A parameter group.
    ParameterGroup,
    /// An option group.
    OptionGroup,
    /// A secret.
    Secret,
    /// A snapshot.
    Snapshot,
    /// An instance.
    Instance,
    /// A parameter of Parameter Store.
    Parameter,
    /// A peering of two networks, by their ids with a slash between, who asked first.
    Peering,
    /// The routes over a peering of ours, by its id.
    Routes,
    /// Our rules in a security group, by its id.
    SecurityRules,
}

impl Kind {
    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Claim => "claim",
            Kind::Key => "key",
            Kind::ParameterGroup => "parameter group",
            Kind::OptionGroup => "option group",
            Kind::Secret => "secret",
            Kind::Snapshot => "snapshot",
            Kind::Instance => "instance",
            Kind::Parameter => "parameter",
            Kind::Peering => "peering",
            Kind::Routes => "routes over peering",
            Kind::SecurityRules => "rules of security group",
        }
    }
}

/// One thing to undo. Each means "make sure that it isn't so", because the act may have happened, half happened or not happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "undo")]
pub enum AwsUndo {
    /// Delete what was made, if it carries our tag.
    Delete {
        /// Where.
        side: Side,
        /// What.
        kind: Kind,
        /// Its name; of a key, its alias.
        name: String,
    },
    /// Set parameters of a group of somebody else's back. Static ones are pending then until the next reboot, which we don't make.
    SetBack {
        /// Where.
        side: Side,
        /// Which group.
        group: String,
        /// What each of them was and what we made of it.
        values: BTreeMap<String, Was>,
    },
    /// Give an instance the group that it had.
    Reattach {
        /// Where.
        side: Side,
        /// Which instance.
        instance: String,
        /// The group that we gave.
        ours: String,
        /// The group that it had.
        before: String,
    },
    /// Take our label off a parameter of somebody else's, and write the version that was the latest again, if ours came after it.
    Unpublish {
        /// Which parameter.
        name: String,
        /// The version that was the latest.
        before: i64,
        /// What we wrote, by which our version is known: an endpoint, no secret.
        ours: String,
    },
    /// Take the sharing of a snapshot back.
    Unshare {
        /// Which snapshot.
        snapshot: String,
        /// With which account.
        account: String,
    },
}

/// What a parameter was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Was {
    /// The value that somebody had set; `None` if the engine's own held.
    pub before: Option<String>,
    /// What we set. A value that isn't this any more was changed by somebody else since, and stays.
    pub ours: String,
    /// What else we may have set: a plan that was made anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Whether setting it back waits for a reboot.
    pub waits_for_reboot: bool,
}

impl AwsUndo {
    /// What undoes a change of parameters, from what the group said before: `set` tells which of them somebody had set.
    pub fn of_changes(side: Side, group: &str, changes: &[Change], set: impl Fn(&str) -> bool) -> Self {
        let values = changes
            .iter()
            .map(|change| {
                let before = change.from.clone().filter(|_| set(&change.name));
                let was = Was {
                    before,
                    ours: change.to.clone(),
                    also: Vec::new(),
                    waits_for_reboot: change.waits_for_reboot,
                };
                (change.name.clone(), was)
            })
            .collect();
        AwsUndo::SetBack { side, group: group.to_owned(), values }
    }
    /// Whether it is the network's, which has a crate of its own.
    pub fn is_of_network(&self) -> bool {
        matches!(self, AwsUndo::Delete { kind: Kind::Peering | Kind::Routes | Kind::SecurityRules, .. })
    }
    /// On which side it is done.
    pub fn side(&self) -> Side {
        match self {
            AwsUndo::Delete { side, .. } | AwsUndo::SetBack { side, .. } | AwsUndo::Reattach { side, .. } => *side,
            AwsUndo::Unpublish { .. } => Side::Target,
            AwsUndo::Unshare { .. } => Side::Source,
        }
    }
    /// For status.
    pub fn describe(&self) -> String {
        let side = self.side();
        match self {
            AwsUndo::Delete { kind, name, .. } => format!("delete the {} {name} on the {side}", kind.title()),
            AwsUndo::SetBack { group, values, .. } => {
                format!("set {} parameters of {group} on the {side} back", values.len())
            }
            AwsUndo::Reattach { instance, before, .. } => {
                format!("give {instance} on the {side} its group {before} back")
            }
            AwsUndo::Unpublish { name, before, .. } => format!("write version {before} of {name} again"),
            AwsUndo::Unshare { snapshot, account } => format!("take the sharing of {snapshot} with {account} back"),
        }
    }
}

impl Was {
    /// Whether a value is one that we have set.
    pub fn is_ours(&self, value: &str) -> bool {
        self.ours == value || self.also.iter().any(|also| also == value)
    }
    /// Takes in what a later plan sets.
    pub fn again(&mut self, later: &Was) {
        if !self.is_ours(&later.ours) {
            self.also.push(later.ours.clone());
        }
    }
}

/// What setting a parameter back takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Back {
    /// Set the value that it had.
    Set(String),
    /// Let the engine's own value hold again.
    Reset,
    /// It is as before.
    Nothing,
    /// Somebody else has changed it since.
    Foreign(String),
}

/// Decides it from what the group says now: `value`, and whether somebody has set it.
pub fn back(was: &Was, value: Option<&str>, is_set: bool) -> Back {
    match (value, &was.before) {
        (Some(value), _) if is_set && was.is_ours(value) => was.before.clone().map_or(Back::Reset, Back::Set),
        (Some(value), Some(before)) if value == before => Back::Nothing,
        (_, None) if !is_set => Back::Nothing,
        (value, _) => Back::Foreign(value.unwrap_or_default().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn change(name: &str, from: Option<&str>, to: &str) -> Change {
        Change {
            name: name.into(),
            from: from.map(Into::into),
            to: to.into(),
            waits_for_reboot: true,
            why: String::new(),
        }
    }

    #[test]
    fn a_value_of_the_engine_is_reset_not_set() {
        let changes = [change("a", Some("1"), "2"), change("b", Some("1"), "2")];
        let undo = AwsUndo::of_changes(Side::Source, "orders", &changes, |name| name == "a");
        let AwsUndo::SetBack { values, .. } = &undo else { panic!("{undo:?}") };
        assert_eq!(values["a"].before.as_deref(), Some("1"));
        assert_eq!(values["b"].before, None);
        assert_eq!(undo.describe(), "set 2 parameters of orders on the source back");
    }

    #[rstest]
    #[case(Some("1"), Some("2"), true, Back::Set("1".into()))]
    #[case(None, Some("2"), true, Back::Reset)]
    #[case(Some("1"), Some("1"), true, Back::Nothing)]
    #[case(None, Some("1"), false, Back::Nothing)]
    #[case(None, None, false, Back::Nothing)]
    #[case(Some("1"), Some("3"), true, Back::Foreign("3".into()))]
    #[case(None, Some("3"), true, Back::Foreign("3".into()))]
    fn only_what_we_made_of_it_is_set_back(
        #[case] before: Option<&str>,
        #[case] now: Option<&str>,
        #[case] is_set: bool,
        #[case] expected: Back,
    ) {
        let mut was =
            Was { before: before.map(Into::into), ours: "0".into(), also: Vec::new(), waits_for_reboot: true };
        was.again(&Was { ours: "2".into(), ..was.clone() });
        assert_eq!(back(&was, now, is_set), expected);
    }

    #[test]
    fn undo_survives_json() {
        let undo = AwsUndo::Delete { side: Side::Target, kind: Kind::Key, name: "alias/changeover/shop".into() };
        let text = serde_json::to_string(&undo).unwrap();
        assert_eq!(text, r#"{"undo":"delete","side":"target","kind":"key","name":"alias/changeover/shop"}"#);
        assert_eq!(serde_json::from_str::<AwsUndo>(&text).unwrap(), undo);
        assert!(!undo.is_of_network());
        let undo = AwsUndo::Delete { side: Side::Source, kind: Kind::SecurityRules, name: "sg-1".into() };
        assert!(serde_json::to_string(&undo).unwrap().contains(r#""kind":"security_rules""#));
    }
}
