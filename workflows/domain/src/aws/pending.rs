//! What else a reboot brings into force: static values in the source's group that somebody has set and that wait for the next reboot,
//! whoever makes it. The approval names them.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::parameters::{Change, Parameter};

/// A value that comes into force with the reboot though we didn't set it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingValue {
    /// The parameter.
    pub name: String,
    /// What holds now; `None` where the server doesn't say, or the value is a formula.
    pub from: Option<String>,
    /// What the group says.
    pub to: String,
}

impl fmt::Display for PendingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Some(from) => write!(f, "{} from {from} to {}", self.name, self.to),
            None => write!(f, "{} to {}", self.name, self.to),
        }
    }
}

/// How the group stands that the instance had before us.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// Its parameters.
    pub parameters: &'a [Parameter],
    /// What we set: in it, or in a group of ours that takes its place.
    pub changes: &'a [Change],
    /// Whether a group of ours takes its place, in which its values are set again.
    pub replaced: bool,
    /// Whether the instance waited for a reboot before we changed anything.
    pub was_pending: bool,
}

/// Those values. `running` is all that the server says of itself (`pg_settings`). A value that can't be compared, such as a formula, is
/// named only if the instance waited for a reboot before us.
pub fn of_others(group: &Group<'_>, running: &BTreeMap<String, String>) -> Vec<PendingValue> {
    let set = group.parameters.iter().filter(|parameter| parameter.is_set() && parameter.waits_for_reboot());
    set.filter_map(|parameter| {
        let to = parameter.value.clone()?;
        if is_ours(group, &parameter.name, &to) {
            return None;
        }
        let from = running.get(&parameter.name).filter(|_| can_be_compared(&to)).cloned();
        let differs = from.as_ref().map_or(group.was_pending, |from| !same(from, &to));
        differs.then(|| PendingValue { name: parameter.name.clone(), from, to })
    })
    .collect()
}

/// In a group of ours the old one's values are set again, which doesn't make them ours.
fn is_ours(group: &Group<'_>, name: &str, value: &str) -> bool {
    let change = group.changes.iter().find(|change| change.name == name);
    change.is_some_and(|change| !(group.replaced && change.to == value))
}

fn can_be_compared(value: &str) -> bool {
    !super::sized::is_formula(value)
}

/// A group says 1 where the server says `on`, and writes lists with and without blanks.
fn same(running: &str, value: &str) -> bool {
    plain(running) == plain(value)
}

fn plain(value: &str) -> String {
    let value: String = value.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    match value.as_str() {
        "on" | "true" | "yes" => "1".to_owned(),
        "off" | "false" | "no" => "0".to_owned(),
        number => number.parse::<f64>().map_or_else(|_| number.to_owned(), |number| number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str, apply_type: &str) -> Parameter {
        Parameter {
            name: name.into(),
            value: Some(value.into()),
            source: "user".into(),
            apply_type: apply_type.into(),
            modifiable: true,
        }
    }

    fn change(name: &str, to: &str) -> Change {
        Change { name: name.into(), from: None, to: to.into(), waits_for_reboot: true, why: String::new() }
    }

    fn running() -> BTreeMap<String, String> {
        [("max_connections", "100"), ("huge_pages", "off"), ("track_commit_timestamp", "on"), ("max_wal_senders", "10")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn names(group: &Group<'_>) -> Vec<String> {
        of_others(group, &running()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_somebody_has_set_and_waits_is_named_with_both_values() {
        let parameters = [
            set("max_connections", "500", "static"),
            set("track_commit_timestamp", "1", "static"),
            set("work_mem", "4096", "dynamic"),
            set("max_wal_senders", "30", "static"),
            Parameter { source: "engine-default".into(), ..set("huge_pages", "1", "static") },
        ];
        let changes = [change("max_wal_senders", "30")];
        let group = Group { parameters: &parameters, changes: &changes, replaced: false, was_pending: false };
        assert_eq!(names(&group), ["max_connections from 100 to 500"]);
    }

    #[test]
    fn what_a_group_of_ours_takes_over_is_still_somebody_elses() {
        let parameters = [set("max_connections", "500", "static"), set("max_wal_senders", "20", "static")];
        let changes = [change("max_connections", "500"), change("max_wal_senders", "30")];
        let group = Group { parameters: &parameters, changes: &changes, replaced: true, was_pending: false };
        assert_eq!(names(&group), ["max_connections from 100 to 500"]);
        assert_eq!(names(&Group { replaced: false, ..group }), Vec::<String>::new());
    }

    #[test]
    fn a_formula_is_named_where_the_instance_waited_before_us() {
        let parameters = [set("max_connections", "LEAST({DBInstanceClassMemory/9531392},5000)", "static")];
        let group = Group { parameters: &parameters, changes: &[], replaced: false, was_pending: false };
        assert_eq!(names(&group), Vec::<String>::new());
        let waited = names(&Group { was_pending: true, ..group });
        assert_eq!(waited, ["max_connections to LEAST({DBInstanceClassMemory/9531392},5000)"]);
    }
}
