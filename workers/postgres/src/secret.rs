//! Secrets: resolved from a reference inside the worker, never printed, never serialised.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use changeover_domain::{
    Failure,
    proto::{SecretRef, Stored, secret_ref::From},
};

/// A secret in memory. Neither `Debug` nor `Display` shows it, and it can't be serialised.
#[derive(Clone)]
pub struct Secret {
    text: String,
    /// Of one that is kept elsewhere and may be changed there: what came of it. Shared by all clones.
    standing: Option<Arc<AtomicU8>>,
}

/// Nobody has refused it since it was read.
const GOOD: u8 = 0;
/// Somebody has, and it may have been changed since it was read.
const REFUSED: u8 = 1;
/// It was read again after that, and is the same.
const UNCHANGED: u8 = 2;

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), standing: None }
    }
    /// The same of one that was read where somebody may change it.
    pub fn that_may_change(text: impl Into<String>) -> Self {
        Self { text: text.into(), standing: Some(Arc::new(AtomicU8::new(GOOD))) }
    }
    /// A part of it: refused and accepted together with the whole.
    #[must_use]
    pub fn part(&self, text: impl Into<String>) -> Self {
        Self { text: text.into(), standing: self.standing.clone() }
    }
    /// The secret itself: for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.text
    }
    /// Somebody has refused it. Says whether it may help to read it again.
    pub fn refuse(&self) -> bool {
        let Some(standing) = &self.standing else { return false };
        standing.compare_exchange(GOOD, REFUSED, Ordering::Relaxed, Ordering::Relaxed) != Err(UNCHANGED)
    }
    /// Somebody has taken it.
    pub fn accept(&self) {
        if let Some(standing) = &self.standing {
            standing.store(GOOD, Ordering::Relaxed);
        }
    }
    /// Whether it is to be read again before it is used once more.
    pub fn is_refused(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.load(Ordering::Relaxed) != GOOD)
    }
    /// Takes in what was read again: the same text keeps its standing, and one that was refused is known to be unchanged.
    #[must_use]
    pub fn read_again(&self, now: Secret) -> Self {
        if now.text != self.text {
            return now;
        }
        if let Some(standing) = &self.standing {
            let _was_good = standing.compare_exchange(REFUSED, UNCHANGED, Ordering::Relaxed, Ordering::Relaxed);
        }
        self.clone()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Secret {}

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
    /// With what was found elsewhere.
    #[must_use]
    pub fn and(mut self, more: Known) -> Self {
        self.0.extend(more.0);
        self
    }
    /// Of those that couldn't be read, why.
    pub fn failures(&self) -> Vec<Failure> {
        self.0.iter().filter_map(|(_, found)| found.as_ref().err().cloned()).collect()
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
            Err(Failure::refused(
                "CO0201",
                message,
                "give `password = { env = \"NAME\" }`, `{ file = \"PATH\" }`, or with an AWS half `{ secret = \"ARN\" }`",
            ))
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

    #[test]
    fn one_that_is_refused_is_read_again_and_believed_refused_when_it_is_the_same() {
        assert!(!Secret::new("of a file").refuse());
        let first = Secret::that_may_change("one");
        let part = first.part("o");
        // Whoever holds it is told the same, until somebody has read it again.
        assert!(part.refuse() && first.refuse() && first.is_refused());
        let same = first.read_again(Secret::that_may_change("one"));
        assert!(!same.refuse() && same.is_refused());
        let other = same.read_again(Secret::that_may_change("two"));
        assert!(!other.is_refused() && other.refuse());
        same.accept();
        assert!(!part.is_refused() && part.refuse());
    }
}
