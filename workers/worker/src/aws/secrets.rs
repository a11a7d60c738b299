//! Secrets that are kept in AWS: the password of a target's master that the migration made, and what a spec names by ARN. Read where they
//! are needed, kept in memory.
//!
//! What is in memory is used at once and read anew behind that, so that a switch or a rollback doesn't wait for AWS: both databases may be
//! well while AWS can't be asked. What somebody has refused is waited for, for moments; what isn't known yet, as long as it takes.

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
        stored::{of_roles, of_servers, references, side_of},
    },
    proto::{AwsAccount, SecretRef, Spec, Stored, secret_ref::From},
};
use changeover_postgres::{
    Migration,
    secret::{Known, Secret},
};
use futures::future::join_all;
use tokio::time::timeout;

use super::{ca, ground::Ground};

/// One that was read longer ago is read anew.
const BELIEVED: Duration = Duration::from_secs(600);
/// Between two attempts at that.
const AGAIN: Duration = Duration::from_secs(30);
/// One that nobody has asked for so long is read before it is used.
const OLD: Duration = Duration::from_secs(3_600);
/// One that nobody has asked for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(86_400);
/// Between two looks for another password in place of one that was refused.
const REFUSED_AGAIN: Duration = Duration::from_secs(5);
/// How long AWS is waited for where there is one in memory.
const MOMENTS: Duration = Duration::from_secs(5);

/// By whom it was read, under which ARN it is, and whether the migration has made it, so that it is the password alone. What one
/// migration's role may read is nothing that another's gets.
type Place = (AwsAccount, String, bool);

/// What was read, and when it is to be read anew.
#[derive(Clone)]
struct Read {
    text: Secret,
    due: Instant,
    /// When AWS was asked for it.
    asked: Instant,
}

impl Read {
    fn now(text: Secret) -> Self {
        let asked = Instant::now();
        Self { text, due: asked + BELIEVED, asked }
    }
    /// Whether it is to be used without waiting for AWS.
    fn is_usable(&self) -> bool {
        let fresh_enough = if self.text.is_refused() { REFUSED_AGAIN } else { OLD };
        self.asked.elapsed() < fresh_enough
    }
    fn asked_in_vain(&mut self) {
        self.asked = Instant::now();
        self.due = self.asked + AGAIN;
    }
}

static READ: LazyLock<Mutex<HashMap<Place, Read>>> = LazyLock::new(Mutex::default);

fn all_read() -> MutexGuard<'static, HashMap<Place, Read>> {
    READ.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The migration with the secrets that its servers and poolers ask for, wherever they are.
pub(crate) async fn resolve(spec: &Spec) -> Result<Migration, Failure> {
    with(spec, known(spec, of_servers(spec)).await)
}

/// The same with those of roles, as they are now.
pub(crate) async fn resolve_with_roles(spec: &Spec) -> Result<Migration, Failure> {
    let (servers, roles) = tokio::join!(known(spec, of_servers(spec)), anew(spec, of_roles(spec)));
    // The first that is found counts: a role gets what it has now, also where a server's login refers to the same.
    with(spec, roles.and(servers))
}

fn with(spec: &Spec, known: Known) -> Result<Migration, Failure> {
    let mut spec = spec.clone();
    ca::with_ca_files(&mut spec)?;
    Migration::resolve_with(&spec, known)
}

/// Forgets the password of a target's master, which is being made anew.
pub(super) fn forget_made() {
    all_read().retain(|(_, _, is_made), _| !is_made);
}

/// Fails where one that the spec names can't be read now; names all of them.
pub(super) async fn check(spec: &Spec) -> Result<(), Failure> {
    let failures = anew(spec, references(spec)).await.failures();
    let Some(first) = failures.first().cloned() else { return Ok(()) };
    let mut messages: Vec<String> = failures.into_iter().map(|failure| failure.message).collect();
    messages.dedup();
    Err(Failure { message: messages.join("; "), ..first })
}

/// What is found of those that are kept in AWS. Of the others it says nothing.
pub async fn known(spec: &Spec, references: impl Iterator<Item = &SecretRef>) -> Known {
    let mut all: Vec<Wanted> = references.filter_map(|reference| Wanted::of(spec, reference)).collect();
    for wanted in &mut all {
        // What holds no such secret may have been put right since.
        wanted.text = remembered(spec, wanted).filter(|text| wanted.secret(text).is_ok()).map(Ok);
    }
    found(spec, all, Else::Memory).await
}

/// The same as it is now: for what nobody will refuse, so that nobody would see that it was changed.
pub(super) async fn anew(spec: &Spec, references: impl Iterator<Item = &SecretRef>) -> Known {
    found(spec, references.filter_map(|reference| Wanted::of(spec, reference)).collect(), Else::Failure).await
}

/// What is given where it can't be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Else {
    /// What is in memory: a server says whether it still counts.
    Memory,
    Failure,
}

/// One that is in AWS.
struct Wanted<'a> {
    reference: &'a SecretRef,
    from: &'a From,
    side: Side,
    place: Place,
    text: Option<Result<Secret, Failure>>,
}

impl<'a> Wanted<'a> {
    fn of(spec: &Spec, reference: &'a SecretRef) -> Option<Self> {
        let from = reference.from.as_ref()?;
        let (From::Made(arn) | From::Stored(Stored { arn, .. })) = from else { return None };
        let aws = spec.aws.clone().unwrap_or_default();
        // What the migration makes is in the target's account; what is in neither is refused there.
        let side = side_of(&aws, arn).unwrap_or(Side::Target);
        let account = if side == Side::Source { aws.source } else { aws.target };
        let place = (account.unwrap_or_default(), arn.clone(), matches!(from, From::Made(_)));
        Some(Self { reference, from, side, place, text: None })
    }
    /// The secret in the text.
    fn secret(&self, text: &Secret) -> Result<Secret, Failure> {
        match self.from {
            From::Stored(stored) => Ok(text.part(stored::secret(self.side, stored, text.expose())?)),
            _ => Ok(text.clone()),
        }
    }
}

/// What is in memory and may be used. Where it is due, it is read anew behind this.
fn remembered(spec: &Spec, wanted: &Wanted<'_>) -> Option<Secret> {
    let mut all = all_read();
    let read = all.get_mut(&wanted.place).filter(|read| read.is_usable())?;
    if Instant::now() >= read.due && !read.text.is_refused() {
        read.due = Instant::now() + AGAIN;
        let (spec, side, place, from) = (spec.clone(), wanted.side, wanted.place.clone(), wanted.from.clone());
        tokio::spawn(async move {
            if let Some(Err(failure)) = read_all(&spec, side, &[(place, from)]).await.into_iter().next() {
                tracing::warn!(%failure, "a secret can't be read anew; the one that was read before is used");
            }
        });
    }
    Some(read.text.clone())
}

/// Reads those that have no text yet: each once, all of a side by one session, both sides side by side.
async fn found(spec: &Spec, mut all: Vec<Wanted<'_>>, or: Else) -> Known {
    let unread = |side: Side| {
        let mut places: Vec<(Place, From)> = Vec::new();
        for it in all.iter().filter(|it| it.side == side && it.text.is_none()) {
            if places.iter().all(|(place, _)| *place != it.place) {
                places.push((it.place.clone(), it.from.clone()));
            }
        }
        places
    };
    let (source, target) = (unread(Side::Source), unread(Side::Target));
    let (of_source, of_target) = tokio::join!(
        Box::pin(read_or_remember(spec, Side::Source, &source, or)),
        Box::pin(read_or_remember(spec, Side::Target, &target, or))
    );
    let places = source.into_iter().chain(target).map(|(place, _)| place);
    let texts: HashMap<Place, Result<Secret, Failure>> = places.zip(of_source.into_iter().chain(of_target)).collect();
    let mut known = Known::default();
    for it in &mut all {
        let text = it.text.take().or_else(|| texts.get(&it.place).cloned());
        if let Some(text) = text {
            known.add(it.reference.clone(), text.and_then(|text| it.secret(&text)));
        }
    }
    known
}

/// A refused password may be the right one nevertheless, and AWS away just now.
async fn read_or_remember(spec: &Spec, side: Side, places: &[(Place, From)], or: Else) -> Vec<Result<Secret, Failure>> {
    let older: Vec<Option<Secret>> = match or {
        Else::Failure => vec![None; places.len()],
        Else::Memory => places.iter().map(|(place, _)| Some(all_read().get(place)?.text.clone())).collect(),
    };
    let reading = read_all(spec, side, places);
    let read = if older.iter().all(Option::is_some) {
        let late = || {
            let message = format!("AWS hasn't answered within {} s on the {side}", MOMENTS.as_secs());
            vec![Err(Failure::transient("CO1001", message, "nothing; it is asked again")); places.len()]
        };
        timeout(MOMENTS, reading).await.unwrap_or_else(|_| late())
    } else {
        reading.await
    };
    let all = places.iter().zip(read).zip(older);
    all.map(|(((place, _), read), older)| match (read, older) {
        (Err(failure), Some(older)) => {
            tracing::warn!(%failure, "a secret can't be read anew; the one that was read before is used");
            all_read().get_mut(place).map(Read::asked_in_vain);
            Ok(older)
        }
        (read, _) => read,
    })
    .collect()
}

async fn read_all(spec: &Spec, side: Side, places: &[(Place, From)]) -> Vec<Result<Secret, Failure>> {
    if places.is_empty() {
        return Vec::new();
    }
    let session = match Ground::new(spec, &AwsFacts::default(), "") {
        Ok(ground) => ground.session(side).await,
        Err(failure) => Err(failure),
    };
    match session {
        Ok(session) => join_all(places.iter().map(|(place, from)| Box::pin(read_one(&session, place, from)))).await,
        Err(failure) => places.iter().map(|_| Err(failure.clone())).collect(),
    }
}

async fn read_one(session: &Session, place: &Place, from: &From) -> Result<Secret, Failure> {
    let password = match from {
        From::Stored(stored) => stored::text(session, &stored.arn).await?,
        _ => secret::current(session).await?,
    };
    Ok(remember(place, Secret::that_may_change(password.expose())))
}

/// Keeps what was read, and forgets what nobody asks for any more.
fn remember(place: &Place, now: Secret) -> Secret {
    let mut all = all_read();
    let text = match all.get(place) {
        Some(older) => older.text.read_again(now),
        None => now,
    };
    all.retain(|_, read| read.asked.elapsed() < FORGOTTEN);
    all.insert(place.clone(), Read::now(text.clone()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use changeover_postgres::secret::resolve as resolve_one;

    const ARN: &str = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:orders/app-AbC123";

    fn spec(role_arn: &str) -> Spec {
        let account = |id: &str| {
            let (region, account) = ("eu-central-1".into(), id.into());
            Some(AwsAccount { region, account, role_arn: role_arn.into(), ..AwsAccount::default() })
        };
        let aws = changeover_domain::proto::Aws {
            source: account("111111111111"),
            target: account("222222222222"),
            ..Default::default()
        };
        Spec { name: "shop".into(), aws: Some(aws), ..Spec::default() }
    }

    fn reference(field: &str) -> SecretRef {
        SecretRef { from: Some(From::Stored(Stored { arn: ARN.into(), field: field.into() })) }
    }

    #[tokio::test]
    async fn what_is_in_memory_is_used_at_once_by_its_own_migration_until_it_is_refused() {
        let (spec, app, report, none) =
            (spec("role/of-this-test"), reference("app"), reference("report"), reference("x"));
        let place = Wanted::of(&spec, &app).unwrap().place;
        remember(&place, Secret::that_may_change(r#"{"app":"a","report":"r"}"#));
        let all = known(&spec, [&app, &report].into_iter()).await;
        let text = |it: &SecretRef| resolve_one(Some(it), "it", &all).map(|secret| secret.expose().to_owned());
        assert_eq!((text(&app).unwrap().as_str(), text(&report).unwrap().as_str()), ("a", "r"));
        let without =
            Wanted::of(&spec, &none).unwrap().secret(&remembered(&spec, &Wanted::of(&spec, &none).unwrap()).unwrap());
        let without = without.unwrap_err();
        assert!(without.code == "CO1009" && !without.message.contains("report"), "{without}");

        let other = self::spec("role/of-somebody-else");
        let wanted = Wanted::of(&other, &app).unwrap();
        assert!(remembered(&other, &wanted).is_none());

        // Both parts are of one text: one that is refused has the whole read again, but not at each moment.
        let wanted = Wanted::of(&spec, &app).unwrap();
        let part = resolve_one(Some(&report), "it", &all).unwrap();
        part.accept("report@h");
        assert!(part.refuse("report@h"));
        assert!(remembered(&spec, &wanted).is_some());
        let while_ago = Instant::now().checked_sub(REFUSED_AGAIN).unwrap();
        all_read().get_mut(&place).unwrap().asked = while_ago;
        assert!(remembered(&spec, &wanted).is_none());
        remember(&place, Secret::that_may_change(r#"{"app":"b"}"#));
        assert_eq!(remembered(&spec, &wanted).unwrap().expose(), r#"{"app":"b"}"#);
    }

    #[tokio::test]
    async fn what_is_refused_is_used_nevertheless_where_aws_is_away_and_what_must_be_as_it_is_now_is_not() {
        let mut spec = spec("");
        for account in spec.aws.iter_mut().flat_map(|aws| [&mut aws.source, &mut aws.target]).flatten() {
            // Nobody listens there.
            account.endpoint = "http://127.0.0.1:9".into();
        }
        let app = reference("app");
        let place = Wanted::of(&spec, &app).unwrap().place;
        let text = remember(&place, Secret::that_may_change(r#"{"app":"a"}"#));
        text.accept("app@h");
        assert!(text.refuse("app@h"));
        all_read().get_mut(&place).unwrap().asked = Instant::now().checked_sub(REFUSED_AGAIN).unwrap();
        let found = known(&spec, [&app].into_iter()).await;
        assert_eq!(resolve_one(Some(&app), "it", &found).unwrap().expose(), "a");
        // What lacks it is asked for, and AWS is away.
        let asked = all_read()[&place].asked;
        let lacking = reference("nobody");
        let found = known(&spec, [&lacking].into_iter()).await;
        assert_eq!(resolve_one(Some(&lacking), "it", &found).unwrap_err().code, "CO1009");
        assert!(all_read()[&place].asked > asked);
        assert!(!anew(&spec, [&app].into_iter()).await.failures().is_empty());
    }

    #[tokio::test]
    async fn without_an_aws_half_a_secret_in_aws_is_a_failure_of_its_own() {
        let (stored, elsewhere) = (reference(""), SecretRef { from: Some(From::Env("HOME".into())) });
        let spec = Spec { name: "shop".into(), ..Spec::default() };
        let known = known(&spec, [&stored, &elsewhere].into_iter()).await;
        assert_eq!(resolve_one(Some(&stored), "x", &known).unwrap_err().code, "CO0101");
        assert!(resolve_one(Some(&elsewhere), "x", &known).is_ok());
    }
}
