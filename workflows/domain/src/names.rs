//! Names of everything that a migration makes on the servers, all derived from its id, so that a second run finds what
//! the first one made and a person sees whose it is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Direction, Ident, Side};

/// The schema on both sides in which a migration keeps what it needs: epoch, decision, marker, canary, what to restore.
pub const HOME: &str = "changeover";

/// The trigger by which the fence `gate` keeps writers out, on every table.
pub const GATE: &str = "changeover_gate";

/// The same for TRUNCATE, which replication does with statement triggers.
pub const GATE_TRUNCATE: &str = "changeover_gate_truncate";

/// A migration's id: `[a-z][a-z0-9_]{0,23}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MigrationId(String);

/// A text that can't be a migration's id.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` can't name a migration: lower-case letters, digits and underscores, at most 24, starting with a letter")]
pub struct BadMigrationId(String);

impl MigrationId {
    /// Parses an id.
    pub fn parse(text: &str) -> Result<Self, BadMigrationId> {
        let fits = (1..=24).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if fits { Ok(Self(text.to_owned())) } else { Err(BadMigrationId(text.to_owned())) }
    }
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// `application_name` of our sessions: `changeover/<id>/<purpose>`.
    pub fn application_name(&self, purpose: &str) -> String {
        format!("changeover/{}/{purpose}", self.0)
    }
    /// Temporal's workflow id.
    pub fn workflow_id(&self) -> String {
        format!("changeover/migration/{}", self.0)
    }
    /// The pglogical node of a side.
    pub fn node(&self, side: Side) -> Ident {
        Ident::new(format!("changeover_{}_{side}", self.0))
    }
    /// The subscription of a direction; it lives on the side that rows go to.
    pub fn subscription(&self, direction: Direction) -> Ident {
        Ident::new(format!("changeover_{}_{direction}", self.0))
    }
    /// The replication set of tables with a key.
    pub fn set(&self) -> Ident {
        Ident::new(format!("changeover_{}", self.0))
    }
    /// The replication set of append-only tables without a key: inserts and truncates.
    pub fn insert_only_set(&self) -> Ident {
        Ident::new(format!("changeover_{}_insert_only", self.0))
    }
    /// The event trigger that refuses DDL.
    pub fn ddl_guard(&self) -> Ident {
        Ident::new(format!("changeover_{}", self.0))
    }
}

impl fmt::Display for MigrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for MigrationId {
    type Error = BadMigrationId;
    fn try_from(text: String) -> Result<Self, BadMigrationId> {
        Self::parse(&text)
    }
}

impl From<MigrationId> for String {
    fn from(id: MigrationId) -> String {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("shop", true)]
    #[case("a_1", true)]
    #[case("abcdefghijklmnopqrstuvwx", true)]
    #[case("abcdefghijklmnopqrstuvwxy", false)]
    #[case("", false)]
    #[case("1a", false)]
    #[case("Shop", false)]
    #[case("sh-op", false)]
    #[case("shöp", false)]
    fn an_id_is_short_and_plain(#[case] text: &str, #[case] fits: bool) {
        assert_eq!(MigrationId::parse(text).is_ok(), fits);
    }

    #[test]
    fn names_fit_into_63_bytes() {
        let id = MigrationId::parse("abcdefghijklmnopqrstuvwx").unwrap();
        for name in [id.node(Side::Target), id.subscription(Direction::Forward), id.insert_only_set(), id.ddl_guard()] {
            assert!(name.raw().len() <= 63, "{name}");
        }
    }
}
