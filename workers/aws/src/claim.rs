//! One migration for a source: a parameter that can be made only once is the lock
//! (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>, `Overwrite`).

use aws_sdk_ssm::types::{ParameterType, Tag};
use changeover_domain::{
    Failure,
    aws::{
        AwsNames,
        claim::{self, Claim},
        target::InstanceSeen,
    },
};

use crate::{error::Told, instance, session::Session};

/// Takes a source for this migration. CO1013 if another one, or another run, has it. `source` is a session in the source's account.
pub async fn ensure_claim(source: &Session, instance: &str) -> Result<InstanceSeen, Failure> {
    let seen = instance::look_at_existing(source, instance).await?;
    let mut request = source
        .ssm
        .put_parameter()
        .name(AwsNames::claim_parameter(instance))
        .value(ours(source, &seen).text())
        .r#type(ParameterType::String)
        .description("which migration of Changeover has taken this instance")
        .overwrite(false);
    for (key, value) in source.names().tags(source.side()) {
        request = request.tags(tag(&key, &value)?);
    }
    let made = request.send().await.unless(&["ParameterAlreadyExists"], source.side(), "taking the source")?;
    if made.is_some() {
        return Ok(seen);
    }
    check_claim(source, instance).await
}

/// That the source is still ours and still the instance that was taken. Asked before each change of it; gives it as it is now.
pub async fn check_claim(source: &Session, instance: &str) -> Result<InstanceSeen, Failure> {
    let seen = instance::look_at_existing(source, instance).await?;
    claim::check(instance, &ours(source, &seen), value(source, instance).await?.as_deref())?;
    Ok(seen)
}

fn ours(source: &Session, seen: &InstanceSeen) -> Claim {
    Claim {
        migration: source.names().migration().to_string(),
        run: source.run().to_owned(),
        resource: seen.resource_id.clone(),
    }
}

/// Who has taken an instance.
pub async fn holder(source: &Session, instance: &str) -> Result<Option<Claim>, Failure> {
    Ok(value(source, instance).await?.as_deref().and_then(Claim::parse))
}

async fn value(source: &Session, instance: &str) -> Result<Option<String>, Failure> {
    let name = AwsNames::claim_parameter(instance);
    let answer = source.ssm.get_parameter().name(&name).send().await;
    let answer = answer.unless(&["ParameterNotFound"], source.side(), "seeing who has taken the source")?;
    Ok(answer.and_then(|answer| answer.parameter?.value))
}

/// A tag of Parameter Store.
pub(crate) fn tag(key: &str, value: &str) -> Result<Tag, Failure> {
    Tag::builder()
        .key(key)
        .value(value)
        .build()
        .map_err(|error| Failure::invariant("CO1025", format!("a tag: {error}")))
}
