//! Secrets that a spec names by ARN, read where they are: in Secrets Manager or Parameter Store.

use aws_sdk_ssm::types::ParameterType;
use changeover_domain::{
    Failure, Side,
    aws::{
        errors,
        stored::{Store, StoredAt, secret_in},
    },
    proto::Stored,
};

use crate::{error::Told, secret::Password, session::Session};

/// The whole text under an ARN, in the account that it is in. CO1006 if it isn't there, CO1009 if it can't hold a secret.
pub async fn text(session: &Session, arn: &str) -> Result<Password, Failure> {
    let what = format!("reading {arn}");
    match StoredAt::of(arn).map(|at| at.store) {
        Some(Store::SecretsManager) => of_secret(session, arn, &what).await,
        Some(Store::ParameterStore) => of_parameter(session, arn, &what).await,
        None => Err(errors::answered(session.side(), &what, "ValidationException", "not a complete ARN")),
    }
}

async fn of_secret(session: &Session, arn: &str, what: &str) -> Result<Password, Failure> {
    let side = session.side();
    let answer = session.secrets.get_secret_value().secret_id(arn).send().await;
    let answer = answer.unless(&["InvalidRequestException"], side, what)?.ok_or_else(|| {
        let message = format!("{what} on the {side}: the secret is being deleted, or its key can't be used");
        let remedy = "`aws secretsmanager restore-secret`, or enable its key; then `changeover retry`";
        Failure::needs_human("CO1006", message, remedy)
    })?;
    if answer.arn().is_some_and(|of| of != arn) {
        return Err(unreadable(
            session.side(),
            what,
            "the ARN isn't the complete one of the secret, with six characters at its end",
        ));
    }
    let none = || unreadable(session.side(), what, "it holds bytes and no text");
    answer.secret_string.map(Password::new).ok_or_else(none)
}

async fn of_parameter(session: &Session, arn: &str, what: &str) -> Result<Password, Failure> {
    let answer = session.ssm.get_parameter().name(arn).with_decryption(true).send().await;
    let parameter = answer.told(session.side(), what)?.parameter;
    let parameter = parameter.ok_or_else(|| unreadable(session.side(), what, "there is nothing in it"))?;
    if parameter.r#type() != Some(&ParameterType::SecureString) {
        return Err(unreadable(
            session.side(),
            what,
            "it is no SecureString: whoever may see the parameter sees it in clear",
        ));
    }
    Ok(Password::new(parameter.value.unwrap_or_default()))
}

/// The secret in the text. CO1009 if there is none.
pub fn secret(side: Side, stored: &Stored, text: &str) -> Result<String, Failure> {
    let Stored { arn, field } = stored;
    secret_in(text, field).map_err(|why| unreadable(side, &format!("reading {arn}"), &why.to_string()))
}

fn unreadable(side: Side, what: &str, why: &str) -> Failure {
    let remedy = "put the secret there as text, or name its field as `field` in the spec; then `changeover retry`";
    Failure::needs_human("CO1009", format!("{what} on the {side}: {why}"), remedy)
}
