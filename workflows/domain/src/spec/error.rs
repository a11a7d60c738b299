//! One mistake in a spec.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One mistake in a spec: where, what, and what to do about it. Never holds the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecError {
    /// Line in the file, from 1.
    pub line: usize,
    /// Full key, such as `source.host` or `databases[1].name`; empty when the text is no TOML.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// Such as `CO0102`; explained by `changeover explain`.
    pub code: String,
}

/// Not TOML.
pub(crate) const SYNTAX: &str = "CO0100";
/// A value that doesn't have the form it needs.
pub(crate) const VALUE: &str = "CO0101";
/// A key that no spec has.
pub(crate) const UNKNOWN: &str = "CO0102";
/// A value of another type.
pub(crate) const TYPE: &str = "CO0103";
/// A key or section that has to be there.
pub(crate) const MISSING: &str = "CO0104";
/// A secret written into the spec.
pub(crate) const CLEAR: &str = "CO0105";
/// The same thing twice.
pub(crate) const DUPLICATE: &str = "CO0106";
/// Source and target are one.
pub(crate) const SAME: &str = "CO0107";
/// Two settings, or a setting and PostgreSQL, that don't go together.
pub(crate) const CONFLICT: &str = "CO0108";

impl SpecError {
    pub(crate) fn new(
        code: &str,
        line: usize,
        key: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { line, key: key.to_owned(), message: message.into(), remedy: remedy.into(), code: code.to_owned() }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {} {}", self.line, self.code, self.message)
    }
}

impl std::error::Error for SpecError {}
