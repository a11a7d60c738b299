//! When an entry of the dump is restored, and which aren't. Pure.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::{
    facts::{Facts, Key},
    toc::{Entry, Section},
};

/// OID of `pg_class`.
const PG_CLASS: u32 = 1259;
/// OID of `pg_constraint`.
const PG_CONSTRAINT: u32 = 2606;

/// When an entry is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the first row: all of pre-data, rights, keys and replica identities.
    BeforeData,
    /// After the initial copy.
    AfterData,
    /// Never: it's Changeover's own, or pglogical's.
    Skip,
    /// Never: it has no meaning on another instance without a person's decision; reported.
    Report,
}

/// The keys of a database as a dump's entries name them.
#[derive(Debug, Default)]
pub struct Keys {
    indexes: BTreeSet<u32>,
    constraints: BTreeSet<u32>,
    /// Schema and name of partitions' keys that hang on another key: their attachment comes with both. One that hangs on a
    /// plain index (a partition's own replica identity) is attached when that is there.
    attached: BTreeSet<(String, String)>,
}

impl Keys {
    /// From the source's facts.
    pub fn new(facts: &Facts) -> Self {
        let indexes: BTreeSet<u32> = facts.keys.iter().map(|key| key.index).collect();
        let hangs_on_key = |key: &&Key| key.parent.is_some_and(|parent| indexes.contains(&parent));
        Self {
            constraints: facts.keys.iter().filter_map(|key| key.constraint).collect(),
            attached: facts
                .keys
                .iter()
                .filter(hangs_on_key)
                .map(|key| (key.schema.clone(), key.name.clone()))
                .collect(),
            indexes,
        }
    }

    fn holds(&self, entry: &Entry) -> bool {
        match entry.kind.as_str() {
            "CONSTRAINT" => entry.id.class == PG_CONSTRAINT && self.constraints.contains(&entry.id.oid),
            "INDEX" => entry.id.class == PG_CLASS && self.indexes.contains(&entry.id.oid),
            // Has no OID of its own; its tag is the name of the partition's index.
            "INDEX ATTACH" => {
                let schema = entry.schema.clone().unwrap_or_default();
                self.attached.contains(&(schema, entry.tag.clone()))
            }
            _ => false,
        }
    }
}

/// When an entry is restored.
pub fn phase(entry: &Entry, keys: &Keys) -> Phase {
    if is_own(entry) {
        return Phase::Skip;
    }
    if entry.kind == "SUBSCRIPTION" || entry.kind == "SUBSCRIPTION TABLE" {
        return Phase::Report;
    }
    // A right on something that post-data makes (a view over a grouping by key) has to wait for it.
    if entry.section == Section::PreData || keys.holds(entry) { Phase::BeforeData } else { Phase::AfterData }
}

/// pglogical and its comment; the guard against DDL; everything in their schemas.
fn is_own(entry: &Entry) -> bool {
    let named =
        |kind: &str| entry.tag.strip_prefix(kind).is_some_and(|name| name == "pglogical" || name == "changeover");
    let inside = matches!(entry.schema.as_deref(), Some("pglogical" | "changeover"));
    let event_trigger = entry.kind == "EVENT TRIGGER" && entry.tag.starts_with("changeover_");
    inside
        || event_trigger
        || (matches!(entry.kind.as_str(), "EXTENSION" | "SCHEMA") && named(""))
        || named("EXTENSION ")
        || named("SCHEMA ")
}

/// Names by which a restored entry is remembered: the same for the same statements, whatever their number in the archive.
/// Entries that are alike are numbered.
pub fn names(entries: &[Entry]) -> Vec<String> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    entries
        .iter()
        .map(|entry| {
            let mut hash = Sha256::new();
            for part in [&entry.kind, entry.schema.as_ref().unwrap_or(&String::new()), &entry.tag, &entry.sql] {
                hash.update(part.as_bytes());
                hash.update([0]);
            }
            let digest: String = hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
            let count = seen.entry(digest.clone()).or_insert(0);
            *count += 1;
            if *count == 1 { digest } else { format!("{digest}#{count}") }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::toc::Id;
    use rstest::rstest;

    fn entry(kind: &str, schema: Option<&str>, tag: &str, section: Section, class: u32, oid: u32) -> Entry {
        Entry {
            id: Id { entry: 1, class, oid },
            kind: kind.into(),
            tag: tag.into(),
            schema: schema.map(Into::into),
            owner: None,
            section,
            setup: String::new(),
            sql: "select 1".into(),
        }
    }

    fn keys() -> Keys {
        let facts = r#"{"keys":[{"index":10,"constraint":11,"schema":"s","name":"t_pkey","parent":30},{"index":30,"constraint":31,"schema":"s","name":"p_pkey","parent":null},
            {"index":20,"constraint":null,"schema":"s","name":"ri","parent":40}],
            "owners":[],"extensions":{},"members":[],"invalid_indexes":[],"populated":[],"clones":[],"multiranges":[],"public_owner_stays":false,"has_public":true}"#;
        Keys::new(&serde_json::from_str(facts).unwrap())
    }

    #[rstest]
    #[case("TABLE", "t", Section::PreData, 1259, 5, Phase::BeforeData)]
    #[case("CONSTRAINT", "t t_pkey", Section::PostData, 2606, 11, Phase::BeforeData)]
    #[case("CONSTRAINT", "t t_key", Section::PostData, 2606, 10, Phase::AfterData)]
    #[case("INDEX", "ri", Section::PostData, 1259, 20, Phase::BeforeData)]
    #[case("INDEX", "other", Section::PostData, 1259, 21, Phase::AfterData)]
    #[case("INDEX ATTACH", "t_pkey", Section::PostData, 0, 0, Phase::BeforeData)]
    #[case("INDEX ATTACH", "ri", Section::PostData, 0, 0, Phase::AfterData)]
    #[case("INDEX ATTACH", "t_x", Section::PostData, 0, 0, Phase::AfterData)]
    #[case("TRIGGER", "t x", Section::PostData, 2620, 1, Phase::AfterData)]
    #[case("SUBSCRIPTION", "x", Section::PostData, 6100, 1, Phase::Report)]
    fn an_entry_has_its_phase(
        #[case] kind: &str,
        #[case] tag: &str,
        #[case] section: Section,
        #[case] class: u32,
        #[case] oid: u32,
        #[case] expected: Phase,
    ) {
        assert_eq!(phase(&entry(kind, Some("s"), tag, section, class, oid), &keys()), expected);
    }

    #[rstest]
    #[case("EXTENSION", None, "pglogical", true)]
    #[case("COMMENT", None, "EXTENSION pglogical", true)]
    #[case("ACL", None, "SCHEMA pglogical", true)]
    #[case("ACL", Some("pglogical"), "TABLE node", true)]
    #[case("EVENT TRIGGER", None, "changeover_shop", true)]
    #[case("EVENT TRIGGER", None, "audit", false)]
    #[case("TABLE", Some("public"), "pglogical", false)]
    #[case("SCHEMA", None, "changeovers", false)]
    fn what_is_ours_stays_out(#[case] kind: &str, #[case] schema: Option<&str>, #[case] tag: &str, #[case] ours: bool) {
        assert_eq!(is_own(&entry(kind, schema, tag, Section::PreData, 0, 0)), ours);
    }

    #[test]
    fn twins_have_names_of_their_own() {
        let one = entry("TABLE", Some("s"), "t", Section::PreData, 1, 1);
        let names = names(&[one.clone(), Entry { sql: "select 2".into(), ..one.clone() }, one]);
        assert_eq!(names[2], format!("{}#2", names[0]));
        assert_ne!(names[1], names[0]);
    }
}
