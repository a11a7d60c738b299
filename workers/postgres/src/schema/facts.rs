//! What the restore has to know of the source and its dump doesn't say.

use std::collections::{BTreeMap, BTreeSet};

use changeover_domain::{Failure, Side};
use serde::Deserialize;

use super::toc::Entry;
use crate::Session;

const FACTS: &str = include_str!("../../sql/schema_facts.sql");

/// Facts of one database of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Facts {
    /// Indexes of primary keys and replica identities.
    pub keys: Vec<Key>,
    /// (schema, owner of something in it).
    pub owners: Vec<(String, String)>,
    /// Extensions by name.
    pub extensions: BTreeMap<String, Extension>,
    /// (schema, name) of the members of extensions that a superuser of the source has made, named as a dump's rights name them;
    /// of functions the name up to their arguments.
    pub members: BTreeSet<(String, String)>,
    /// Indexes that a failed build left invalid: a dump leaves them out.
    pub invalid_indexes: Vec<String>,
    /// Materialized views that hold rows.
    pub populated: Vec<(String, String)>,
    /// Partitions' copies of triggers whose state isn't their parent's.
    pub clones: Vec<TriggerState>,
    /// Multirange types, whose owners a dump doesn't name.
    pub multiranges: Vec<Owned>,
    /// Whether the schema `public` belongs to a superuser of the source: the target's keeps the owner that it has.
    pub public_owner_stays: bool,
    /// Whether there is a schema `public`.
    pub has_public: bool,
}

/// An index that replication needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Key {
    /// OID of the index.
    pub index: u32,
    /// OID of its constraint, where it has one.
    pub constraint: Option<u32>,
    /// Schema of the index.
    pub schema: String,
    /// Name of the index.
    pub name: String,
    /// The partitioned table's index that it is attached to.
    pub parent: Option<u32>,
}

/// A partition's copy of its parent's trigger.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TriggerState {
    /// Schema of the partition.
    pub schema: String,
    /// The partition.
    pub table: String,
    /// The trigger.
    pub name: String,
    /// As in `pg_trigger.tgenabled`.
    pub state: String,
}

/// A type and its owner.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Owned {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
}

/// An extension of the source.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Extension {
    /// Its version.
    pub version: String,
    /// Its owner, unless it's one that nobody can become.
    pub owner: Option<String>,
}

impl Facts {
    /// Whether an entry is about rights that only a superuser may give: on the server's own objects, and on what belongs to an
    /// extension that a superuser has made.
    pub fn is_server_right(&self, entry: &Entry) -> bool {
        let Some(schema) = entry.schema.as_deref().filter(|_| entry.is_acl()) else {
            return entry.is_acl() && entry.tag.starts_with("LANGUAGE ");
        };
        // "FUNCTION f(integer)"; of a column "COLUMN t.c"
        let end = entry.tag.find('(').map_or(entry.tag.len(), |at| at + 1);
        let name = match entry.tag.strip_prefix("COLUMN ").and_then(|tag| tag.split_once('.')) {
            Some((table, _)) => format!("TABLE {table}"),
            None => entry.tag.get(..end).unwrap_or_default().to_owned(),
        };
        schema == "pg_catalog"
            || entry.tag.starts_with("LANGUAGE ")
            || self.members.contains(&(schema.to_owned(), name))
    }
}

/// Reads them.
pub async fn read(session: &Session) -> Result<Facts, Failure> {
    let row = session.query_one(FACTS, &[]).await.map_err(session.failed("reading facts about the schema"))?;
    serde_json::from_value(row.get(0)).map_err(|e| {
        Failure::invariant("CO0401", format!("facts about the schema of the {} can't be read: {e}", Side::Source))
    })
}
