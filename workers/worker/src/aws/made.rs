//! The password of a target's master that the migration made: read from Secrets Manager where it is needed, kept in memory for a while.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use changeover_aws::secret;
use changeover_domain::{
    Failure, Side,
    aws::provision::AwsFacts,
    proto::{Spec, secret_ref::From},
};
use changeover_postgres::{Migration, secret::Secret};

use super::{ca, ground::Ground};

/// For how long one that was read is believed: a look at replication comes every few seconds, and a switch must not wait for AWS.
const BELIEVED: Duration = Duration::from_secs(600);

static READ: LazyLock<Mutex<HashMap<String, (Instant, Secret)>>> = LazyLock::new(Mutex::default);

/// The migration with its secrets, wherever they are.
pub(crate) async fn resolve(spec: &Spec) -> Result<Migration, Failure> {
    let made = of(spec).await?;
    let mut spec = spec.clone();
    ca::with_ca_files(&mut spec)?;
    Migration::resolve_with(&spec, made.as_ref())
}

/// The password that a spec's target was made with; nothing where the spec names another one.
pub(super) async fn of(spec: &Spec) -> Result<Option<Secret>, Failure> {
    let reference = spec.target.as_ref().and_then(|target| target.password.as_ref()?.from.as_ref());
    let Some(From::Made(arn)) = reference else { return Ok(None) };
    let known = READ.lock().unwrap_or_else(PoisonError::into_inner).get(arn).cloned();
    match known {
        Some((at, secret)) if at.elapsed() < BELIEVED => Ok(Some(secret)),
        known => match (read(spec).await, known) {
            (Ok(secret), _) => {
                READ.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(arn.clone(), (Instant::now(), secret.clone()));
                Ok(Some(secret))
            }
            // Both databases may be well while AWS can't be asked: a switch or a rollback doesn't wait for it.
            (Err(failure), Some((_, secret))) => {
                tracing::warn!(%failure, "the target's password can't be read anew; the one that was read before is used");
                Ok(Some(secret))
            }
            (Err(failure), None) => Err(failure),
        },
    }
}

async fn read(spec: &Spec) -> Result<Secret, Failure> {
    let ground = Ground::new(spec, &AwsFacts::default(), "")?;
    let session = ground.session(Side::Target).await?;
    Ok(Secret::new(secret::current(&session).await?.expose()))
}
