//! The one way by which an identifier gets into SQL text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An SQL identifier; `Display` quotes it always, so it can go into SQL text as it is.
///
/// Source of the rule: PostgreSQL documentation, 4.1.1 "Identifiers and Key Words": a quoted identifier holds any
/// character but NUL, and a double quote in it is written twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ident(String);

impl Ident {
    /// Wraps a raw (unquoted) name. A NUL, which no PostgreSQL name can hold, is dropped.
    pub fn new(raw: impl Into<String>) -> Self {
        let raw = raw.into();
        Self(if raw.contains('\0') { raw.replace('\0', "") } else { raw })
    }

    /// The raw name, for parameters and for people.
    pub fn raw(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

impl From<&str> for Ident {
    fn from(raw: &str) -> Self {
        Self::new(raw)
    }
}

/// A schema-qualified name; `Display` quotes both parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QualifiedName {
    /// The schema.
    pub schema: Ident,
    /// The object within it.
    pub name: Ident,
}

impl QualifiedName {
    /// From two raw names.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: Ident::new(schema), name: Ident::new(name) }
    }

    /// `schema.name` without quotes, for people and for matching the spec.
    pub fn raw(&self) -> String {
        format!("{}.{}", self.schema.raw(), self.name.raw())
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// An SQL string literal, for the statements that take no parameters (utility commands).
/// Uses the `E''` form when a backslash occurs, so that `standard_conforming_strings` doesn't matter (documentation, 4.1.2.1/2).
pub fn literal(value: &str) -> String {
    let value = value.replace('\0', "");
    let quoted = value.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_what_needs_quoting() {
        assert_eq!(Ident::new("a\"b").to_string(), "\"a\"\"b\"");
        assert_eq!(QualifiedName::new("Söme", "t").to_string(), "\"Söme\".\"t\"");
        assert_eq!(literal("o'x"), "'o''x'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }

    proptest! {
        #[test]
        fn a_quoted_identifier_reads_back(raw in "[^\0]{0,40}") {
            let quoted = Ident::new(raw.clone()).to_string();
            let inner = &quoted[1..quoted.len() - 1];
            prop_assert_eq!(inner.replace("\"\"", "\""), raw);
            // no lone quote ends the identifier early
            prop_assert!(!inner.replace("\"\"", "").contains('"'));
        }
    }
}
