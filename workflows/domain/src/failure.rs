//! Failures: what went wrong, who has to act, and under which code it is explained.
//!
//! Each code is a page in `docs/errors/`, which `changeover explain CODE` prints. Ranges: CO01 spec, CO02 connection,
//! CO03 preflight, CO04 roles and schema, CO05 replication, CO06 verification, CO07 switch and traffic, CO08 control of the
//! workflow, CO09 command line, CO10 AWS.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who has to act on a failure. `NeedsHuman` is the default: only what is known to pass by itself is `Transient`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Passes by itself: tried again with backoff up to the stage's deadline.
    Transient,
    /// The plan or a precondition is wrong: nothing to retry until it is mended.
    Refused,
    /// Somebody has to look; the run parks and goes on by `retry`.
    NeedsHuman,
    /// Should be impossible: stop, keep the evidence, never unwind by itself.
    Invariant,
}

impl Class {
    /// The word used in JSON, logs and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Class::Transient => "transient",
            Class::Refused => "refused",
            Class::NeedsHuman => "needs_human",
            Class::Invariant => "invariant",
        }
    }
}

/// A failure as it travels through Temporal and to a person. Holds no row data and no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Such as `CO0201`.
    pub code: String,
    /// Who has to act.
    pub class: Class,
    /// What happened, where; one sentence, no DETAIL of the server.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// The server's SQLSTATE, where there is one.
    #[serde(default)]
    pub sqlstate: Option<String>,
}

impl Failure {
    /// A failure with all that a person needs.
    pub fn new(code: &str, class: Class, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code: code.to_owned(), class, message: message.into(), remedy: remedy.into(), sqlstate: None }
    }
    /// Short for a class `Refused`.
    pub fn refused(code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(code, Class::Refused, message, remedy)
    }
    /// Short for a class `NeedsHuman`.
    pub fn needs_human(code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(code, Class::NeedsHuman, message, remedy)
    }
    /// Short for a class `Transient`.
    pub fn transient(code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(code, Class::Transient, message, remedy)
    }
    /// Short for a class `Invariant`.
    pub fn invariant(code: &str, message: impl Into<String>) -> Self {
        let remedy = "keep everything as it is and report it with the output of `changeover history`";
        Self::new(code, Class::Invariant, message, remedy)
    }
    /// Puts words such as "while creating the node on the target" before the message.
    #[must_use]
    pub fn during(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
    /// The wire form, with the stage that it happened in.
    pub fn to_proto(&self, stage: &str) -> crate::proto::Failure {
        crate::proto::Failure {
            code: self.code.clone(),
            class: self.class.word().to_owned(),
            message: self.message.clone(),
            remedy: self.remedy.clone(),
            stage: stage.to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)?;
        if let Some(state) = &self.sqlstate {
            write!(f, " (SQLSTATE {state})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// What a SQLSTATE means for who has to act (documentation, Appendix A). Total: what isn't listed needs a person.
pub fn class_of_sqlstate(sqlstate: &str) -> Class {
    match sqlstate {
        // Connection exceptions, except 08P01 (protocol violation).
        "08000" | "08001" | "08003" | "08004" | "08006" => Class::Transient,
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => Class::Transient,
        // too_many_connections, configuration_limit_exceeded's kin stay with a person
        "53300" => Class::Transient,
        // admin_shutdown, crash_shutdown, cannot_connect_now, idle_session_timeout
        "57P01" | "57P02" | "57P03" | "57P05" => Class::Transient,
        // idle_in_transaction_session_timeout, transaction_timeout
        "25P03" | "25P04" => Class::Transient,
        // object_in_use: a slot still held by a walsender that is about to end
        "55006" => Class::Transient,
        // wrong password, no such role, no such database, missing right: the plan is wrong
        "28000" | "28P01" | "3D000" | "42501" => Class::Refused,
        _ => Class::NeedsHuman,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("40P01", Class::Transient)]
    #[case("57P01", Class::Transient)]
    #[case("55P03", Class::Transient)]
    #[case("42501", Class::Refused)]
    #[case("53100", Class::NeedsHuman)]
    #[case("23505", Class::NeedsHuman)]
    #[case("XX000", Class::NeedsHuman)]
    #[case("08P01", Class::NeedsHuman)]
    #[case("", Class::NeedsHuman)]
    fn sqlstates_have_a_class(#[case] sqlstate: &str, #[case] class: Class) {
        assert_eq!(class_of_sqlstate(sqlstate), class);
    }

    #[test]
    fn a_failure_survives_json() {
        let failure = Failure::refused("CO0201", "no", "do").during("x");
        let text = serde_json::to_string(&failure).unwrap();
        assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), failure);
        assert_eq!(failure.to_string(), "CO0201 x: no");
    }
}
