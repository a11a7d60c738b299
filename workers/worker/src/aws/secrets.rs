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
    proto::{AwsAccount, SecretRef, Spec, Stored, secret_ref::From},
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

/// By whom a secret was read, and where it is: what one migration's role may read is nothing that another's gets.
type Place = (AwsAccount, Stored);
/// A secret that was read.
#[derive(Clone)]
struct Read {
    secret: Secret,
    at: Instant,
    believed_until: Instant,
}

impl Read {
    fn now(secret: Secret) -> Self {
        let at = Instant::now();
        Self { secret, at, believed_until: at + BELIEVED }
    }
    fn is_believed(&self) -> bool {
        Instant::now() < self.believed_until
    }
}

static READ: LazyLock<Mutex<HashMap<Place, Read>>> = LazyLock::new(Mutex::default);

fn all_read() -> MutexGuard<'static, HashMap<Place, Read>> {
    READ.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The migration with its secrets, wherever they are.
pub(crate) async fn resolve(spec: &Spec) -> Result<Migration, Failure> {
    let known = known(spec, references(spec)).await;
    let mut spec = spec.clone();
    ca::with_ca_files(&mut spec)?;
    Migration::resolve_with(&spec, known)
}

/// A server has refused a login to an attempt that began then: what was read may have been changed since, and is read anew. Says whether
/// that may help, since something was read before the attempt.
pub(crate) fn doubt(began: Instant) -> bool {
    let mut read = all_read();
    let may_help = read.values().any(|read| read.is_believed() && read.at < began);
    let now = Instant::now();
    read.values_mut().for_each(|read| read.believed_until = now);
    may_help
}

/// Fails where one that the spec names can't be read.
pub(super) async fn check(spec: &Spec) -> Result<(), Failure> {
    let in_aws: Vec<&SecretRef> = references(spec).filter(|it| stored_at(it).is_some()).collect();
    let known = known(spec, in_aws.iter().copied()).await;
    in_aws.into_iter().try_for_each(|it| resolve_one(Some(it), "a secret of the spec", &known).map(drop))
}

/// Where in AWS a secret is, and nothing for one that is elsewhere.
fn stored_at(reference: &SecretRef) -> Option<Stored> {
    match reference.from.as_ref()? {
        From::Made(arn) => Some(Stored { arn: arn.clone(), field: String::new() }),
        From::Stored(stored) => Some(stored.clone()),
        From::Env(_) | From::File(_) => None,
    }
}

/// One that is to be read.
struct Unread<'a> {
    reference: &'a SecretRef,
    side: Side,
    place: Place,
    /// What was read before.
    older: Option<Read>,
}

/// What is found of those that are kept in AWS. Of the others it says nothing.
pub async fn known(spec: &Spec, references: impl Iterator<Item = &SecretRef>) -> Known {
    let mut known = Known::default();
    let mut unread: Vec<Unread> = Vec::new();
    for reference in references {
        let Some(stored) = stored_at(reference) else { continue };
        let (side, account) = whose(spec, &stored);
        let place = (account, stored);
        let read = all_read().get(&place).cloned();
        match read {
            Some(read) if read.is_believed() => known.add(reference.clone(), Ok(read.secret)),
            older => unread.push(Unread { reference, side, place, older }),
        }
    }
    for side in [Side::Source, Side::Target] {
        let of_side: Vec<Unread> = unread.extract_if(.., |it| it.side == side).collect();
        if !of_side.is_empty() {
            let found = Box::pin(read_or_older(spec, side, &of_side)).await;
            of_side.iter().zip(found).for_each(|(it, found)| known.add(it.reference.clone(), found));
        }
    }
    known
}

/// In which account it is. What the migration makes is in the target's; what is in neither is refused there.
fn whose(spec: &Spec, stored: &Stored) -> (Side, AwsAccount) {
    let aws = spec.aws.clone().unwrap_or_default();
    let side = side_of(&aws, &stored.arn).unwrap_or(Side::Target);
    let account = if side == Side::Source { aws.source } else { aws.target };
    (side, account.unwrap_or_default())
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
    let read = match (found, &unread.older) {
        (Ok(secret), _) => Read::now(secret),
        (Err(failure), Some(older)) => {
            tracing::warn!(%failure, "a secret can't be read anew; the one that was read before is used");
            Read { believed_until: Instant::now() + BELIEVED_ONCE_MORE, ..older.clone() }
        }
        (Err(failure), None) => return Err(failure),
    };
    all_read().insert(unread.place.clone(), read.clone());
    Ok(read.secret)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place(arn: &str) -> Place {
        (AwsAccount::default(), Stored { arn: arn.into(), field: String::new() })
    }

    #[test]
    fn an_older_one_is_believed_a_little_longer_and_a_refused_login_has_it_read_anew_once() {
        let reference = SecretRef::default();
        let unread = |older| Unread { reference: &reference, side: Side::Source, place: place("of-this-test"), older };
        let away = || Err(Failure::transient("CO1001", "away", "wait"));
        assert_eq!(kept(&unread(None), away()).unwrap_err().code, "CO1001");
        let read = Read::now(Secret::new("old"));
        let at = read.at;
        assert_eq!(kept(&unread(Some(read)), away()).unwrap().expose(), "old");
        let older = all_read()[&place("of-this-test")].clone();
        assert!(older.at == at && older.believed_until < at + BELIEVED);

        // An attempt that has read it itself can't be helped, a later one can, once.
        assert!(!doubt(at));
        kept(&unread(None), Ok(Secret::new("new"))).unwrap();
        let later = Instant::now();
        assert!(doubt(later) && !doubt(later));
        assert!(!all_read()[&place("of-this-test")].is_believed());
        assert_eq!(kept(&unread(None), Ok(Secret::new("newer"))).unwrap().expose(), "newer");
        assert!(!doubt(later));
    }

    #[tokio::test]
    async fn without_an_aws_half_a_secret_in_aws_is_a_failure_of_its_own() {
        let arn = "arn:aws:ssm:eu-central-1:111111111111:parameter/x".to_owned();
        let stored = SecretRef { from: Some(From::Stored(Stored { arn, field: String::new() })) };
        let elsewhere = SecretRef { from: Some(From::Env("HOME".into())) };
        let spec = Spec { name: "shop".into(), ..Spec::default() };
        let known = known(&spec, [&stored, &elsewhere].into_iter()).await;
        assert_eq!(resolve_one(Some(&stored), "x", &known).unwrap_err().code, "CO0101");
        assert!(resolve_one(Some(&elsewhere), "x", &known).is_ok());
    }
}
