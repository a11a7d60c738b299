//! Option groups: what the source has and the target lacks
//! (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithOptionGroups.html>).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An option with its settings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OptionSeen {
    /// Its name.
    pub name: String,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// What somebody has set, by name.
    pub settings: BTreeMap<String, String>,
}

/// What makes two option groups differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Options that are missing on the target, or are set otherwise there.
    pub add: Vec<OptionSeen>,
    /// Names of options that only the target has.
    pub extra: Vec<String>,
}

impl Difference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.extra.is_empty()
    }
}

/// Compares two groups.
pub fn difference(source: &[OptionSeen], target: &[OptionSeen]) -> Difference {
    let add = source.iter().filter(|option| !target.contains(option)).cloned().collect();
    let extra = target
        .iter()
        .filter(|option| source.iter().all(|other| other.name != option.name))
        .map(|option| option.name.clone())
        .collect();
    Difference { add, extra }
}

/// Whether a group is the one that AWS keeps for an engine.
pub fn is_default_group(name: &str) -> bool {
    name.starts_with("default:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(name: &str, setting: &str) -> OptionSeen {
        let settings = BTreeMap::from([("s".to_owned(), setting.to_owned())]);
        OptionSeen { name: name.into(), version: None, settings }
    }

    #[test]
    fn equal_groups_have_no_difference_whatever_their_order() {
        let (a, b) = (option("a", "1"), option("b", "1"));
        assert!(difference(&[a.clone(), b.clone()], &[b, a]).is_empty());
        assert!(difference(&[], &[]).is_empty());
    }

    #[test]
    fn what_is_missing_or_set_otherwise_is_added_and_what_is_too_much_is_named() {
        let found = difference(&[option("a", "1"), option("b", "1")], &[option("b", "2"), option("c", "1")]);
        assert_eq!(found.add, [option("a", "1"), option("b", "1")]);
        assert_eq!(found.extra, ["c"]);
    }
}
