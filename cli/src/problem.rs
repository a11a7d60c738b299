//! What went wrong, as a person reads it: one sentence, one help line, one code.

use changeover_domain::{Class, Failure, spec::SpecError};
use serde::Serialize;

use crate::exit::Exit;

/// An error at the edge.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    /// Such as `CO0901`.
    pub(crate) code: String,
    /// What happened.
    pub(crate) message: String,
    /// What to do.
    pub(crate) remedy: String,
    /// The single mistakes, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) mistakes: Vec<SpecError>,
    /// What the process ends with.
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl Problem {
    pub(crate) fn new(code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            remedy: remedy.into(),
            mistakes: Vec::new(),
            exit: Exit::Failed,
        }
    }
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
    /// A refusal by the migration: `CO0803 the approval …`.
    pub(crate) fn refusal(text: &str) -> Self {
        let (code, message) = match text.split_once(' ') {
            Some((code, rest)) if code.len() == 6 && code.starts_with("CO") => (code, rest),
            _ => ("CO0914", text),
        };
        Self::new(code, message, "`changeover status` shows where it stands and what comes next").exit(Exit::Refused)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let exit = match failure.class {
            Class::Refused => Exit::Refused,
            Class::NeedsHuman | Class::Invariant => Exit::Parked,
            Class::Transient => Exit::Failed,
        };
        Self::new(&failure.code, failure.message, failure.remedy).exit(exit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_code() {
        let problem = Problem::refusal("CO0803 the approval is refused: it expired");
        assert_eq!((problem.code.as_str(), problem.exit), ("CO0803", Exit::Refused));
        assert_eq!(problem.message, "the approval is refused: it expired");
        assert_eq!(Problem::refusal("no").code, "CO0914");
    }
}
