//! Secrets that we keep in Secrets Manager under the target's key: the master's password, made by AWS and in our hands only while an
//! instance is given it; the logins of applications.

use std::fmt;

use aws_sdk_secretsmanager::{operation::describe_secret::DescribeSecretOutput, types::Tag};
use changeover_domain::{Failure, aws::stored::with_login};
use serde::{Deserialize, Serialize};

use crate::{error::Told, key, session::Session, tags};

/// Letters that RDS doesn't take in a password, and those that are a nuisance in a URL or a shell
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html>, `MasterUserPassword`).
const LEFT_OUT: &str = "/@\"'\\ %`$&:?#";
/// RDS takes 8 to 128.
const LENGTH: i64 = 40;

/// Where a secret is. Holds none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretEvidence {
    /// The secret's ARN.
    pub arn: String,
    /// The version that holds it.
    pub version: String,
}

/// A password. Doesn't show itself, and can't be serialised.
pub struct Password(String);

impl Password {
    /// The text, for the one request that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
    /// Wraps one.
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What the secret holds, in the form that AWS' own rotation functions take
/// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html>).
#[derive(Serialize, Deserialize)]
struct Content {
    engine: String,
    username: String,
    password: String,
}

/// Makes the secret with a new password, or finds it. One that an aborted run has left gets a new password under the new key: its own
/// key is being deleted, and nothing can be read under that. CO1008 if somebody else's stands under its name.
pub async fn ensure_master_secret(target: &Session, user: &str, key_arn: &str) -> Result<SecretEvidence, Failure> {
    let name = target.names().master_secret();
    let seen = look(target, &name).await?;
    if let Some(seen) = seen.as_ref().filter(|seen| seen.is_under(key_arn)) {
        return Ok(seen.evidence.clone());
    }
    let password = random(target).await?;
    let content = Content { engine: "postgres".to_owned(), username: user.to_owned(), password: password.0 };
    // A text of three strings can always be written.
    let text = serde_json::to_string(&content).unwrap_or_default();
    // The same for each attempt under this key: the first one's password counts.
    let purpose = if seen.is_some() { format!("master-user/{}", id_of(key_arn)) } else { "master-user".to_owned() };
    let token = Some(target.names().token(&purpose));
    let new = New { name: &name, text, key_arn, of: "master", token };
    match seen {
        Some(_) => update(target, new).await?,
        None => create(target, new).await?,
    }
    let seen = made(look(target, &name).await?)?;
    if seen.is_under(key_arn) {
        return Ok(seen.evidence);
    }
    let message = format!("the secret {name} on the target is still under another key");
    Err(Failure::needs_human("CO1009", message, "delete it without recovery, then `changeover retry`"))
}

/// Keeps a role's login for applications. One that an earlier attempt has made with another password is set right; what somebody else has
/// put into it beside the login stays. CO1008 if somebody else's secret stands under the name, CO1009 if somebody has put something else
/// than a JSON object there.
pub async fn ensure_role_secret(
    target: &Session,
    name: &str,
    role: &str,
    password: &Password,
    key_arn: &str,
) -> Result<SecretEvidence, Failure> {
    let new = |before: Option<&str>| {
        let text = with_login(before, role, &password.0).ok_or_else(|| no_object(name))?;
        Ok::<_, Failure>(New { name, text, key_arn, of: "an application's login", token: None })
    };
    if look(target, name).await?.is_none() {
        create(target, new(None)?).await?;
    }
    let seen = made(look(target, name).await?)?;
    let before = readable_text(target, name, &seen, key_arn).await?;
    let new = new(before.as_deref())?;
    if before.as_ref() == Some(&new.text) && seen.is_under(key_arn) {
        return Ok(seen.evidence);
    }
    update(target, new).await?;
    Ok(made(look(target, name).await?)?.evidence)
}

/// What is under a key that is being deleted can't be read any more.
async fn readable_text(target: &Session, name: &str, seen: &Seen, key_arn: &str) -> Result<Option<String>, Failure> {
    if !seen.is_under(key_arn) && !seen.key.is_empty() && key::is_being_deleted(target, &seen.key).await? {
        return Ok(None);
    }
    text_of(target, name, &seen.evidence.version).await.map(Some)
}

fn no_object(name: &str) -> Failure {
    let message = format!("somebody has put something else than a JSON object into the secret {name} on the target");
    Failure::needs_human("CO1009", message, "put a JSON object there, or delete it, then `changeover retry`")
}

/// Whether a secret for an application could be made, for the plan: CO1008 if somebody else's stands under the name. Changes nothing.
pub async fn check_role_secret(target: &Session, name: &str) -> Result<(), Failure> {
    describe(target, name).await.map(drop)
}

struct New<'a> {
    name: &'a str,
    text: String,
    key_arn: &'a str,
    of: &'a str,
    /// Without one, the SDK makes one of its own for each request.
    token: Option<String>,
}

async fn create(target: &Session, new: New<'_>) -> Result<(), Failure> {
    let tags = target.names().tags(target.side()).map(|(key, value)| Tag::builder().key(key).value(value).build());
    let request = target
        .secrets
        .create_secret()
        .name(new.name)
        .description(format!("Changeover: {} of migration {}", new.of, target.names().migration()))
        .set_client_request_token(new.token)
        .kms_key_id(new.key_arn)
        .secret_string(new.text)
        .set_tags(Some(tags.into()));
    // Made meanwhile by another attempt, whose content counts, or is looked at.
    let what = format!("making the secret {}", new.name);
    request.send().await.unless(&["ResourceExistsException"], target.side(), &what).map(drop)
}

/// A new version, under a key that may be another one than before.
async fn update(target: &Session, new: New<'_>) -> Result<(), Failure> {
    let request = target.secrets.update_secret().secret_id(new.name).kms_key_id(new.key_arn).secret_string(new.text);
    let request = request.set_client_request_token(new.token);
    let what = format!("setting the secret {} right", new.name);
    // Another attempt has made this version, and its content counts.
    request.send().await.unless(&["ResourceExistsException"], target.side(), &what).map(drop)
}

/// One that is there.
struct Seen {
    evidence: SecretEvidence,
    key: String,
}

impl Seen {
    fn of(seen: &DescribeSecretOutput) -> Self {
        let is_current = |stages: &[String]| stages.iter().any(|stage| stage == "AWSCURRENT");
        let current = seen
            .version_ids_to_stages()
            .and_then(|all| all.iter().find(|(_, stages)| is_current(stages)).map(|(id, _)| id.clone()));
        let arn = seen.arn().unwrap_or_default().to_owned();
        Self {
            evidence: SecretEvidence { arn, version: current.unwrap_or_default() },
            key: seen.kms_key_id().unwrap_or_default().to_owned(),
        }
    }
    /// By its id: Secrets Manager may name the key otherwise than by its ARN.
    fn is_under(&self, key_arn: &str) -> bool {
        id_of(&self.key) == id_of(key_arn)
    }
}

fn id_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}

fn made(seen: Option<Seen>) -> Result<Seen, Failure> {
    seen.ok_or_else(|| {
        Failure::transient("CO1007", "the secret on the target can't be seen yet", "nothing; it is looked for again")
    })
}

/// One that is ours. CO1008.
async fn describe(target: &Session, name: &str) -> Result<Option<DescribeSecretOutput>, Failure> {
    let what = format!("looking for the secret {name}");
    let answer = target.secrets.describe_secret().secret_id(name).send().await;
    let Some(answer) = answer.unless(&["ResourceNotFoundException"], target.side(), &what)? else { return Ok(None) };
    let owner = target.names().owner(answer.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value()?))));
    tags::check_owner(target, &format!("the secret {name}"), &owner)?;
    Ok(Some(answer))
}

async fn look(target: &Session, name: &str) -> Result<Option<Seen>, Failure> {
    let Some(answer) = describe(target, name).await? else { return Ok(None) };
    if answer.deleted_date().is_some() {
        let request = target.secrets.restore_secret().secret_id(name);
        request.send().await.told(target.side(), &format!("taking the secret {name} back"))?;
    }
    Ok(Some(Seen::of(&answer)))
}

async fn random(target: &Session) -> Result<Password, Failure> {
    let request = target.secrets.get_random_password().password_length(LENGTH).exclude_characters(LEFT_OUT);
    let answer = request.send().await.told(target.side(), "having AWS make a password")?;
    match answer.random_password() {
        Some(password) if !password.is_empty() => Ok(Password(password.to_owned())),
        _ => Err(Failure::needs_human("CO1010", "AWS has made an empty password", "`changeover retry`")),
    }
}

/// The master's password as it is now, for a session with the server.
pub async fn current(target: &Session) -> Result<Password, Failure> {
    let name = target.names().master_secret();
    let seen = look(target, &name).await?;
    let version = seen.map(|seen| seen.evidence.version).ok_or_else(|| {
        let message = format!("the secret {name} on the target isn't there");
        Failure::needs_human("CO1006", message, "restore the secret in Secrets Manager, then `changeover retry`")
    })?;
    password(target, &version).await
}

/// The master's password, for the request that gives it to an instance.
/// `version` is the secret's that the evidence names.
pub(crate) async fn password(target: &Session, version: &str) -> Result<Password, Failure> {
    let text = text_of(target, &target.names().master_secret(), version).await?;
    let content: Option<Content> = serde_json::from_str(&text).ok();
    let unreadable = || {
        let message = "the master's secret on the target doesn't hold what Changeover has written";
        Failure::needs_human("CO1009", message, "put the secret back as it was, then `changeover retry`")
    };
    content.map(|content| Password(content.password)).ok_or_else(unreadable)
}

async fn text_of(target: &Session, name: &str, version: &str) -> Result<String, Failure> {
    let request = target.secrets.get_secret_value().secret_id(name).version_id(version);
    let answer = request.send().await.told(target.side(), &format!("reading the secret {name}"))?;
    Ok(answer.secret_string.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_show_itself() {
        assert!(!format!("{:?}", Password("hidden".into())).contains("hidden"));
    }
}
