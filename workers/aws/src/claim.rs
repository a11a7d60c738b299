//! One migration for a source: a parameter that can be made only once is the lock
//! (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>, `Overwrite`).

use aws_sdk_ssm::types::{ParameterType, Tag};
use changeover_domain::{Failure, aws::AwsNames};

use crate::{error::Told, session::Session};

/// Takes a source for this migration. CO1013 if another one has it. `source` is a session in the source's account.
pub async fn ensure_claim(source: &Session, instance: &str) -> Result<(), Failure> {
    let name = AwsNames::claim_parameter(instance);
    let mut request = source
        .ssm
        .put_parameter()
        .name(&name)
        .value(source.names().migration().as_str())
        .r#type(ParameterType::String)
        .description("which migration of Changeover has taken this instance")
        .overwrite(false);
    for (key, value) in source.names().tags(source.side()) {
        request = request.tags(tag(&key, &value)?);
    }
    let made = request.send().await.unless(&["ParameterAlreadyExists"], source.side(), "taking the source")?;
    if made.is_some() {
        return Ok(());
    }
    check_claim(source, instance).await
}

/// That the source is still ours. Asked before each change of it.
pub async fn check_claim(source: &Session, instance: &str) -> Result<(), Failure> {
    let ours = source.names().migration().as_str();
    match holder(source, instance).await? {
        Some(id) if id == ours => Ok(()),
        Some(id) => Err(Failure::refused(
            "CO1013",
            format!("{instance} has been taken by migration {id}"),
            format!(
                "finish or abort migration {id}; if it is long gone, delete the parameter {}",
                AwsNames::claim_parameter(instance)
            ),
        )),
        None => Err(Failure::needs_human(
            "CO1013",
            format!("{instance} isn't taken by this migration any more: the parameter that says so is gone"),
            "see who deleted it and whether another migration runs, then `changeover retry`",
        )),
    }
}

/// Which migration has taken an instance.
pub async fn holder(source: &Session, instance: &str) -> Result<Option<String>, Failure> {
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
