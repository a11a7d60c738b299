//! Secrets that a spec names by ARN, read where they are: in Secrets Manager or Parameter Store.

use changeover_domain::{
    Failure,
    aws::{
        errors,
        stored::{Store, StoredAt, secret_in},
    },
    proto::Stored,
};

use crate::{error::Told, secret::Password, session::Session};

/// Reads one, in the account that it is in. CO1006 if it isn't there, CO1009 if what is there holds no such secret.
pub async fn read(session: &Session, stored: &Stored) -> Result<Password, Failure> {
    let Stored { arn, field } = stored;
    let what = format!("reading {arn}");
    let text = match StoredAt::of(arn).map(|at| at.store) {
        Some(Store::SecretsManager) => {
            let answer = session.secrets.get_secret_value().secret_id(arn).send().await;
            answer.told(session.side(), &what)?.secret_string
        }
        Some(Store::ParameterStore) => {
            let answer = session.ssm.get_parameter().name(arn).with_decryption(true).send().await;
            answer.told(session.side(), &what)?.parameter.and_then(|parameter| parameter.value)
        }
        None => return Err(errors::answered(session.side(), &what, "ValidationException", "not a complete ARN")),
    };
    secret_in(&text.unwrap_or_default(), field).map(Password::new).map_err(|why| {
        let remedy = "put the secret there as text, or name its field as `field` in the spec; then `changeover retry`";
        Failure::needs_human("CO1009", format!("{what} on the {}: {why}", session.side()), remedy)
    })
}
