//! Secrets: resolved from a reference inside the worker, never printed, never serialised.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use changeover_domain::{
    Failure,
    proto::{SecretRef, Stored, secret_ref::From},
};

/// A secret in memory. Neither `Debug` nor `Display` shows it, and it can't be serialised.
#[derive(Clone)]
pub struct Secret {
    text: String,
    /// Of one that is kept elsewhere and may be changed there: what came of it. Shared by all clones and parts.
    standing: Option<Arc<Mutex<Standing>>>,
}

/// Who has taken a secret, and who has refused it since when.
#[derive(Debug, Default)]
struct Standing {
    taken: BTreeSet<String>,
    refused: BTreeMap<String, Instant>,
}

/// For how long after it was refused one may still be changed where it is kept: a rotation changes it on the server first, or there first.
const GRACE: Duration = Duration::from_secs(120);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), standing: None }
    }
    /// The same of one that was read where somebody may change it.
    pub fn that_may_change(text: impl Into<String>) -> Self {
        Self { text: text.into(), standing: Some(Arc::default()) }
    }
    /// A part of it: where it is refused, the whole is to be read again.
    #[must_use]
    pub fn part(&self, text: impl Into<String>) -> Self {
        Self { text: text.into(), standing: self.standing.clone() }
    }
    /// The secret itself: for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.text
    }
    fn standing(&self) -> Option<MutexGuard<'_, Standing>> {
        Some(self.standing.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// `who`, such as `user@host`, has refused it. Says whether it may help to read it again: where it was good once, for a while.
    pub fn refuse(&self, who: &str) -> bool {
        let Some(mut standing) = self.standing() else { return false };
        let since = *standing.refused.entry(who.to_owned()).or_insert_with(Instant::now);
        standing.taken.contains(who) && since.elapsed() < GRACE
    }
    /// `who` has taken it.
    pub fn accept(&self, who: &str) {
        if let Some(mut standing) = self.standing() {
            standing.refused.remove(who);
            if !standing.taken.contains(who) {
                standing.taken.insert(who.to_owned());
            }
        }
    }
    /// Whether it is to be read again before it is used once more.
    pub fn is_refused(&self) -> bool {
        self.standing().is_some_and(|standing| !standing.refused.is_empty())
    }
    /// What was read again in its place: the same text keeps its standing, and another one that has served those who took this one is known
    /// to them.
    #[must_use]
    pub fn read_again(&self, now: Secret) -> Self {
        if now.text == self.text {
            return self.clone();
        }
        if let (Some(before), Some(mut after)) = (self.standing(), now.standing()) {
            after.taken.clone_from(&before.taken);
        }
        now
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
    fn one_that_was_good_and_is_refused_may_be_changed_for_a_while() {
        assert!(!Secret::new("of a file").refuse("a@h"));
        let first = Secret::that_may_change("one");
        // Nobody has ever taken it: it is wrong.
        assert!(!first.refuse("a@h") && first.is_refused());
        first.accept("a@h");
        assert!(!first.is_refused());
        // Whoever holds it or a part of it is told the same, and what another one takes changes nothing of it.
        let part = first.part("o");
        assert!(part.refuse("a@h") && first.refuse("a@h"));
        first.accept("b@h");
        let same = first.read_again(Secret::that_may_change("one"));
        assert!(same.is_refused() && same.refuse("a@h"));
        let long_ago = Instant::now().checked_sub(GRACE).unwrap();
        same.standing().unwrap().refused.insert("a@h".into(), long_ago);
        assert!(!same.refuse("a@h"));
        let other = same.read_again(Secret::that_may_change("two"));
        assert!(!other.is_refused() && other.refuse("a@h") && same.is_refused());
    }
}
