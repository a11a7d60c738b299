//! The master's password: made by AWS, kept in Secrets Manager under the target's key, in our hands only while an instance is given it.

use std::fmt;

use aws_sdk_secretsmanager::types::Tag;
use changeover_domain::Failure;
use serde::{Deserialize, Serialize};

use crate::{error::Told, session::Session, tags};

/// Letters that RDS doesn't take in a password, and those that are a nuisance in a URL or a shell
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html>, `MasterUserPassword`).
const LEFT_OUT: &str = "/@\"'\\ %`$&:?#";
/// RDS takes 8 to 128.
const LENGTH: i64 = 40;

/// Where the master's password is. Holds no secret.
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

/// Makes the secret with a new password, or finds it. CO1008 if somebody else's stands under its name.
pub async fn ensure_master_secret(target: &Session, user: &str, key_arn: &str) -> Result<SecretEvidence, Failure> {
    if let Some(seen) = look(target).await? {
        return Ok(seen);
    }
    let password = random(target).await?;
    let content = Content { engine: "postgres".to_owned(), username: user.to_owned(), password: password.0 };
    // A text of three strings can always be written.
    let text = serde_json::to_string(&content).unwrap_or_default();
    let tags = target.names().tags(target.side()).map(|(key, value)| Tag::builder().key(key).value(value).build());
    let request = target
        .secrets
        .create_secret()
        .name(target.names().master_secret())
        .description(format!("Changeover: master of migration {}", target.names().migration()))
        .client_request_token(target.names().token("master-user"))
        .kms_key_id(key_arn)
        .secret_string(text)
        .set_tags(Some(tags.into()));
    // Made meanwhile by another attempt, whose password counts.
    request.send().await.unless(&["ResourceExistsException"], target.side(), "keeping the master's password")?;
    look(target).await?.ok_or_else(|| {
        Failure::transient("CO1007", "the secret on the target can't be seen yet", "nothing; it is looked for again")
    })
}

async fn look(target: &Session) -> Result<Option<SecretEvidence>, Failure> {
    let name = target.names().master_secret();
    let what = "looking for the master's secret";
    let answer = target.secrets.describe_secret().secret_id(&name).send().await;
    let Some(answer) = answer.unless(&["ResourceNotFoundException"], target.side(), what)? else { return Ok(None) };
    let owner = target.names().owner(answer.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value()?))));
    tags::check_owner(target, &format!("the secret {name}"), &owner)?;
    if answer.deleted_date().is_some() {
        let request = target.secrets.restore_secret().secret_id(&name);
        request.send().await.told(target.side(), "taking the master's secret back")?;
    }
    let current = answer.version_ids_to_stages().and_then(|versions| {
        versions.iter().find(|(_, stages)| stages.iter().any(|stage| stage == "AWSCURRENT")).map(|(id, _)| id.clone())
    });
    Ok(Some(SecretEvidence { arn: answer.arn().unwrap_or_default().to_owned(), version: current.unwrap_or_default() }))
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
    let seen = look(target).await?;
    let version = seen.map(|seen| seen.version).ok_or_else(|| {
        let name = target.names().master_secret();
        let message = format!("the secret {name} on the target isn't there");
        Failure::needs_human("CO1006", message, "restore the secret in Secrets Manager, then `changeover retry`")
    })?;
    password(target, &version).await
}

/// The master's password, for the request that gives it to an instance.
/// `version` is the secret's that the evidence names.
pub(crate) async fn password(target: &Session, version: &str) -> Result<Password, Failure> {
    let request = target.secrets.get_secret_value().secret_id(target.names().master_secret());
    let answer = request.version_id(version).send().await.told(target.side(), "reading the master's secret")?;
    let content: Option<Content> = answer.secret_string().and_then(|text| serde_json::from_str(text).ok());
    let unreadable = || {
        let message = "the master's secret on the target doesn't hold what Changeover has written";
        Failure::needs_human("CO1009", message, "put the secret back as it was, then `changeover retry`")
    };
    content.map(|content| Password(content.password)).ok_or_else(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_show_itself() {
        assert!(!format!("{:?}", Password("hidden".into())).contains("hidden"));
    }
}
