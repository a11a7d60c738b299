//! Secrets that are kept in AWS: the password of a target's master that the migration made, and what a spec names by ARN. Read where they
//! are needed, kept in memory for a while.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use changeover_aws::{Session, secret, stored};
use changeover_domain::{
    Failure, Side,
    aws::{
        provision::AwsFacts,
        stored::{references, side_of},
    },
    proto::{SecretRef, Spec, Stored, secret_ref::From},
};
use changeover_postgres::{
    Migration,
    secret::{Known, Secret, resolve as resolve_one},
};
use tokio::time::timeout;

use super::{ca, ground::Ground};

/// For how long one that was read is believed: a look at replication comes every few seconds.
const BELIEVED: Duration = Duration::from_secs(600);
/// The same of one that couldn't be read anew.
const BELIEVED_ONCE_MORE: Duration = Duration::from_secs(30);
/// How long AWS is waited for where an older one is known: both databases may be well while AWS can't be asked, and a switch or a
/// rollback doesn't wait for it.
const ANEW: Duration = Duration::from_secs(2);

/// A secret that was read, and until when it is believed.
type Read = (Instant, Secret);

static READ: LazyLock<Mutex<HashMap<Stored, Read>>> = LazyLock::new(Mutex::default);

fn all_read() -> MutexGuard<'static, HashMap<Stored, Read>> {
    READ.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The migration with its secrets, wherever they are.
pub(crate) async fn resolve(spec: &Spec) -> Result<Migration, Failure> {
    let known = known(spec, references(spec)).await;
    let mut spec = spec.clone();
    ca::with_ca_files(&mut spec)?;
    Migration::resolve_with(&spec, known)
}

/// A server has refused a login: what was read may have been changed since, and is read anew.
pub(crate) fn doubt() {
    let now = Instant::now();
    all_read().values_mut().for_each(|(until, _)| *until = now);
}

/// Fails where one that the spec names can't be read.
pub(super) async fn check(spec: &Spec) -> Result<(), Failure> {
    let in_aws: Vec<&SecretRef> = references(spec).filter(|it| place(it).is_some()).collect();
    let known = known(spec, in_aws.iter().copied()).await;
    in_aws.into_iter().try_for_each(|it| resolve_one(Some(it), "a secret of the spec", &known).map(drop))
}

/// Where in AWS a secret is, and nothing for one that is elsewhere.
fn place(reference: &SecretRef) -> Option<Stored> {
    match reference.from.as_ref()? {
        From::Made(arn) => Some(Stored { arn: arn.clone(), field: String::new() }),
        From::Stored(stored) => Some(stored.clone()),
        From::Env(_) | From::File(_) => None,
    }
}

/// What is found of those that are kept in AWS. Of the others it says nothing.
pub async fn known(spec: &Spec, references: impl Iterator<Item = &SecretRef>) -> Known {
    let mut known = Known::default();
    let mut unread: Vec<Unread> = Vec::new();
    for reference in references {
        let Some(place) = place(reference) else { continue };
        match all_read().get(&place).cloned() {
            Some((until, secret)) if Instant::now() < until => known.add(reference.clone(), Ok(secret)),
            older => unread.push(Unread { reference, place, older: older.map(|(_, secret)| secret) }),
        }
    }
    for side in [Side::Source, Side::Target] {
        let here = |it: &Unread| it.side(spec) == side;
        let of_side: Vec<Unread> = unread.extract_if(.., |it| here(it)).collect();
        if !of_side.is_empty() {
            let found = Box::pin(read_or_older(spec, side, &of_side)).await;
            of_side.iter().zip(found).for_each(|(it, found)| known.add(it.reference.clone(), found));
        }
    }
    known
}

/// One that is to be read.
struct Unread<'a> {
    reference: &'a SecretRef,
    place: Stored,
    /// What was read before.
    older: Option<Secret>,
}

impl Unread<'_> {
    /// What the migration makes is in the target's account; what is in neither is refused there.
    fn side(&self, spec: &Spec) -> Side {
        let side = spec.aws.as_ref().and_then(|aws| side_of(aws, &self.place.arn));
        side.unwrap_or(Side::Target)
    }
}

async fn read_or_older(spec: &Spec, side: Side, unread: &[Unread<'_>]) -> Vec<Result<Secret, Failure>> {
    let reading = read(spec, side, unread);
    let found = if unread.iter().all(|it| it.older.is_some()) {
        let late = || {
            let message = format!("AWS hasn't answered within {} s on the {side}", ANEW.as_secs());
            let failure = Failure::transient("CO1001", message, "nothing; it is asked again");
            unread.iter().map(|_| Err(failure.clone())).collect()
        };
        timeout(ANEW, reading).await.unwrap_or_else(|_| late())
    } else {
        reading.await
    };
    unread.iter().zip(found).map(|(it, found)| kept(it, found)).collect()
}

/// Keeps what was read, or believes an older one for a little longer.
fn kept(unread: &Unread<'_>, found: Result<Secret, Failure>) -> Result<Secret, Failure> {
    let (until, secret) = match (found, &unread.older) {
        (Ok(secret), _) => (BELIEVED, secret),
        (Err(failure), Some(older)) => {
            tracing::warn!(%failure, "a secret can't be read anew; the one that was read before is used");
            (BELIEVED_ONCE_MORE, older.clone())
        }
        (Err(failure), None) => return Err(failure),
    };
    all_read().insert(unread.place.clone(), (Instant::now() + until, secret.clone()));
    Ok(secret)
}

/// By one session for all of a side.
async fn read(spec: &Spec, side: Side, unread: &[Unread<'_>]) -> Vec<Result<Secret, Failure>> {
    let session = match Ground::new(spec, &AwsFacts::default(), "") {
        Ok(ground) => ground.session(side).await,
        Err(failure) => Err(failure),
    };
    let mut found = Vec::new();
    for it in unread {
        found.push(match &session {
            Ok(session) => read_one(session, it.reference).await,
            Err(failure) => Err(failure.clone()),
        });
    }
    found
}

async fn read_one(session: &Session, reference: &SecretRef) -> Result<Secret, Failure> {
    let password = match &reference.from {
        Some(From::Stored(stored)) => stored::read(session, stored).await?,
        _ => secret::current(session).await?,
    };
    Ok(Secret::new(password.expose()))
}
