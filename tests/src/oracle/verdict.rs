//! What two snapshots say about each other.

use super::snapshot::{Facts, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One fact that isn't as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Difference {
    /// `cluster` or a database's name, then the section.
    pub place: String,
    /// The fact's name.
    pub fact: String,
    /// What was expected; `None`: nothing of this name.
    pub expected: Option<String>,
    /// What is there; `None`: nothing of this name.
    pub found: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.place, self.fact)?;
        match (&self.expected, &self.found) {
            (None, Some(found)) => write!(f, "left over: {found}"),
            (Some(expected), None) => write!(f, "missing: {expected}"),
            (Some(expected), Some(found)) => write!(f, "expected: {expected}; found: {found}"),
            (None, None) => write!(f, "no difference"),
        }
    }
}

/// Every fact that differs: what an aborted migration must leave empty, on both sides.
pub fn unchanged(before: &Snapshot, after: &Snapshot) -> Vec<Difference> {
    let mut found = compare_sections("cluster", &before.cluster, &after.cluster);
    let names: BTreeSet<&String> = before.databases.keys().chain(after.databases.keys()).collect();
    let none = BTreeMap::new();
    for name in names {
        let (before, after) = (before.databases.get(name).unwrap_or(&none), after.databases.get(name).unwrap_or(&none));
        found.extend(compare_sections(name, before, after));
    }
    found
}

/// What differs on a source that was fenced for good and retired, beyond the closed state that is meant to stay: the roles in
/// `closed` may no longer log in, and rights to write, anybody's, are gone. A right that appeared is a difference all the same.
pub fn retired(before: &Snapshot, after: &Snapshot, closed: &BTreeSet<String>) -> Vec<Difference> {
    unchanged(before, after).into_iter().filter(|difference| !belongs_to_closing(difference, closed)).collect()
}

fn belongs_to_closing(difference: &Difference, closed: &BTreeSet<String>) -> bool {
    match (&difference.expected, &difference.found) {
        (Some(expected), Some(found)) if difference.place == "cluster: roles" => {
            closed.contains(&difference.fact) && expected.replace("login=t ", "login=f ") == *found
        }
        (Some(_), None)
            if difference.place.ends_with(": rights") || difference.place.ends_with(": database rights") =>
        {
            let right = difference.fact.rsplit(": ").next().unwrap_or_default();
            // USAGE only where it is the right to take a sequence's next value.
            WRITING.contains(&right) || (right == "USAGE" && difference.fact.starts_with("sequence "))
        }
        _ => false,
    }
}

const WRITING: [&str; 5] = ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "CREATE"];

/// What on the target isn't as it was on the source, once everything has moved and been finalised. What belongs to a cluster
/// and not to the application on it (settings, slots, passwords) has to be as it was on the target.
///
/// `databases` are those that moved.
pub fn arrived(
    source_before: &Snapshot,
    target_before: &Snapshot,
    target_after: &Snapshot,
    databases: &[String],
) -> Vec<Difference> {
    let mut found = Vec::new();
    for (section, after) in &target_after.cluster {
        let empty = Facts::new();
        let before = target_before.cluster.get(section).unwrap_or(&empty);
        let expected = match source_before.cluster.get(section) {
            Some(source) if MOVES.contains(&section.as_str()) => expected_on_target(section, source, before, databases),
            _ => before.clone(),
        };
        if section != "passwords" && section != "membership grantors" {
            found.extend(compare_facts(&format!("cluster: {section}"), &expected, after));
        }
    }
    let none = BTreeMap::new();
    for (name, after) in &target_after.databases {
        let origin = if databases.contains(name) { source_before } else { target_before };
        found.extend(compare_sections(name, origin.databases.get(name).unwrap_or(&none), after));
    }
    for name in databases.iter().filter(|name| !target_after.databases.contains_key(*name)) {
        found.push(Difference {
            place: name.clone(),
            fact: "the database itself".to_owned(),
            expected: Some("on the target".to_owned()),
            found: None,
        });
    }
    found
}

/// The sections of a cluster that the application brings along.
const MOVES: [&str; 6] = ["roles", "memberships", "role settings", "comments", "databases", "database rights"];

/// The source's facts, and those of the target that the source doesn't know.
fn expected_on_target(section: &str, source: &Facts, target: &Facts, databases: &[String]) -> Facts {
    let mut expected = target.clone();
    // Rights on a database that moved are the source's alone; the empty target's own are replaced.
    if section == "database rights" {
        expected
            .retain(|name, _| !databases.iter().any(|database| name.starts_with(&format!("database {database}: "))));
    }
    expected.extend(source.iter().map(|(name, value)| (name.clone(), value.clone())));
    expected
}

fn compare_sections(
    place: &str,
    expected: &BTreeMap<String, Facts>,
    found: &BTreeMap<String, Facts>,
) -> Vec<Difference> {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let none = Facts::new();
    names
        .into_iter()
        .flat_map(|name| {
            let (expected, found) = (expected.get(name).unwrap_or(&none), found.get(name).unwrap_or(&none));
            compare_facts(&format!("{place}: {name}"), expected, found)
        })
        .collect()
}

fn compare_facts(place: &str, expected: &Facts, found: &Facts) -> Vec<Difference> {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    names
        .into_iter()
        .filter(|name| expected.get(*name) != found.get(*name))
        .map(|name| Difference {
            place: place.to_owned(),
            fact: name.clone(),
            expected: expected.get(name).cloned(),
            found: found.get(name).cloned(),
        })
        .collect()
}
