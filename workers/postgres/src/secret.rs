//! Secrets: resolved from a reference inside the worker, never printed, never serialised.

use std::fmt;

use changeover_domain::{
    Failure,
    proto::{SecretRef, Stored, secret_ref::From},
};

/// A secret in memory. Neither `Debug` nor `Display` shows it, and it can't be serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }
    /// The secret itself: for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What was found of secrets that are kept elsewhere than with the worker. One that couldn't be read is a failure only for who needs it.
#[derive(Clone, Debug, Default)]
pub struct Known(Vec<(SecretRef, Result<Secret, Failure>)>);

impl Known {
    /// Takes in what was found of a reference.
    pub fn add(&mut self, reference: SecretRef, found: Result<Secret, Failure>) {
        self.0.push((reference, found));
    }
    fn find(&self, reference: Option<&SecretRef>) -> Option<Result<Secret, Failure>> {
        self.0.iter().find(|(known, _)| Some(known) == reference).map(|(_, found)| found.clone())
    }
}

/// Finds the secret that a reference names. `what` says whose it is, for the error. `known` has those that are kept elsewhere, which the
/// caller has read.
pub fn resolve(reference: Option<&SecretRef>, what: &str, known: &Known) -> Result<Secret, Failure> {
    match reference.and_then(|r| r.from.as_ref()) {
        Some(From::Env(name)) => std::env::var(name).map(Secret::new).map_err(|_| {
            let message = format!("{what}: the environment variable {name} isn't set for the worker");
            Failure::refused("CO0201", message, format!("set {name} where the worker is started, and start it again"))
        }),
        Some(From::File(path)) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Secret::new(text.trim_end_matches(['\r', '\n']))),
            Err(error) => {
                let message = format!("{what}: the secret file {path} can't be read: {error}");
                Err(Failure::refused("CO0201", message, "make the file readable for the worker"))
            }
        },
        Some(From::Made(arn) | From::Stored(Stored { arn, .. })) => {
            let unread = || {
                let message = format!("{what}: the secret is kept in {arn}, which wasn't read");
                Err(Failure::refused("CO0201", message, "have a worker do this: it can read what is in AWS"))
            };
            let whose = |failure: Failure| Failure { message: format!("{what}: {}", failure.message), ..failure };
            known.find(reference).unwrap_or_else(unread).map_err(whose)
        }
        None => {
            let message = format!("{what}: the spec gives no reference to a password");
            Err(Failure::refused("CO0201", message, "give `password = { env = \"NAME\" }` or `{ file = \"PATH\" }`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_it() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }

    #[test]
    fn a_file_is_read_without_its_line_break() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "pa ss\n").unwrap();
        let reference = SecretRef { from: Some(From::File(file.path().display().to_string())) };
        assert_eq!(resolve(Some(&reference), "x", &Known::default()).unwrap().expose(), "pa ss");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let reference = SecretRef { from: Some(From::Env("CHANGEOVER_NO_SUCH".into())) };
        let failure = resolve(Some(&reference), "source", &Known::default()).unwrap_err();
        assert_eq!(failure.code, "CO0201");
        assert!(failure.message.contains("CHANGEOVER_NO_SUCH"));
    }

    #[test]
    fn one_that_cannot_be_read_fails_only_for_who_needs_it() {
        let stored = |arn: &str, field: &str| SecretRef {
            from: Some(From::Stored(Stored { arn: arn.into(), field: field.into() })),
        };
        let mut known = Known::default();
        known.add(stored("arn:a", ""), Ok(Secret::new("good")));
        known.add(stored("arn:a", "f"), Err(Failure::refused("CO1002", "no right", "give it")));
        assert_eq!(resolve(Some(&stored("arn:a", "")), "x", &known).unwrap().expose(), "good");
        let refused = resolve(Some(&stored("arn:a", "f")), "role app", &known).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.message.as_str()), ("CO1002", "role app: no right"));
        assert_eq!(resolve(Some(&stored("arn:b", "")), "x", &known).unwrap_err().code, "CO0201");
    }
}
