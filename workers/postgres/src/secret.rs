//! Secrets: resolved from a reference inside the worker, never printed, never serialised.

use std::fmt;

use changeover_domain::{
    Failure,
    proto::{SecretRef, secret_ref::From},
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

/// Finds the secret that a reference names. `what` says whose it is, for the error.
pub fn resolve(reference: Option<&SecretRef>, what: &str) -> Result<Secret, Failure> {
    resolve_with(reference, what, None)
}

/// The same where the reference may name a secret that the migration made: `made`, which the caller has read.
pub fn resolve_with(reference: Option<&SecretRef>, what: &str, made: Option<&Secret>) -> Result<Secret, Failure> {
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
        Some(From::Made(name)) => made.cloned().ok_or_else(|| {
            let message = format!("{what}: the password is kept in {name}, which wasn't read");
            Failure::refused("CO0201", message, "have a worker do this: it can read what the migration made")
        }),
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
        assert_eq!(resolve(Some(&reference), "x").unwrap().expose(), "pa ss");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let reference = SecretRef { from: Some(From::Env("CHANGEOVER_NO_SUCH".into())) };
        let failure = resolve(Some(&reference), "source").unwrap_err();
        assert_eq!(failure.code, "CO0201");
        assert!(failure.message.contains("CHANGEOVER_NO_SUCH"));
    }
}
