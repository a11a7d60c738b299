//! The endpoint in Parameter Store: a new version, encrypted under the target's key, under a label; compare-and-set.

use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::types::{ParameterHistory, ParameterType};
use changeover_domain::{
    Failure,
    aws::{
        names::Owner,
        publish::{Act, Published, check_written, decide},
        undo::{AwsUndo, Kind},
    },
};
use serde::{Deserialize, Serialize};

use crate::{claim::tag, error::Told, session::Session};

pub use crate::unpublish::ensure_as_before;

/// What is to be published where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The parameter.
    pub name: String,
    /// Its value: host, port and the like. No password.
    pub value: String,
    /// The version that was the latest when the plan was made; 0 for none.
    pub expected: i64,
}

impl Endpoint {
    /// What undoes it, to be kept before.
    pub fn undo(&self) -> AwsUndo {
        match self.expected {
            0 => AwsUndo::Delete {
                side: changeover_domain::Side::Target,
                kind: Kind::Parameter,
                name: self.name.clone(),
            },
            before => AwsUndo::Unpublish { name: self.name.clone(), before, ours: self.value.clone() },
        }
    }
}

/// What has been published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishEvidence {
    /// The parameter.
    pub name: String,
    /// The version that holds it.
    pub version: i64,
    /// Its label.
    pub label: String,
}

/// Publishes an endpoint. CO1016 if somebody else has written meanwhile, CO1024 if it is no SecureString.
pub async fn ensure_published(
    target: &Session,
    endpoint: &Endpoint,
    key_arn: &str,
) -> Result<PublishEvidence, Failure> {
    let label = target.names().endpoint_label();
    let now = look(target, endpoint).await?;
    let version = match decide(&endpoint.name, now.as_ref(), endpoint.expected, &label)? {
        Act::Done { version } => version,
        Act::Label { version } => version,
        Act::Create => put(target, endpoint, key_arn, 0).await?,
        Act::Write { after } => put(target, endpoint, key_arn, after).await?,
    };
    let what = format!("labelling {}", endpoint.name);
    let request = target.ssm.label_parameter_version().name(&endpoint.name).parameter_version(version).labels(&label);
    let answer = request.send().await.told(target.side(), &what)?;
    if let Some(refused) = answer.invalid_labels().first() {
        return Err(Failure::refused(
            "CO1009",
            format!("{what}: AWS takes no label {refused}"),
            "give the migration another name",
        ));
    }
    Ok(PublishEvidence { name: endpoint.name.clone(), version, label })
}

/// Whether an endpoint could be published as things are, for the plan. CO1016 and CO1024 as in [`ensure_published`]. Changes nothing.
pub async fn check_publishable(target: &Session, endpoint: &Endpoint) -> Result<(), Failure> {
    let now = look(target, endpoint).await?;
    decide(&endpoint.name, now.as_ref(), endpoint.expected, &target.names().endpoint_label()).map(drop)
}

/// The latest version of a parameter, for the plan; 0 for none.
pub async fn latest_version(target: &Session, name: &str) -> Result<i64, Failure> {
    Ok(get(target, name).await?.map_or(0, |(version, _)| version))
}

pub(crate) async fn get(target: &Session, name: &str) -> Result<Option<(i64, String)>, Failure> {
    let answer = target.ssm.get_parameter().name(name).with_decryption(true).send().await;
    let codes = &["ParameterNotFound", "ParameterVersionNotFound"];
    let answer = answer.unless(codes, target.side(), &format!("reading {name}"))?;
    let parameter = answer.and_then(|answer| answer.parameter);
    Ok(parameter.map(|parameter| (parameter.version(), parameter.value.unwrap_or_default())))
}

async fn look(target: &Session, endpoint: &Endpoint) -> Result<Option<Published>, Failure> {
    let Some((version, value)) = get(target, &endpoint.name).await? else { return Ok(None) };
    let entry = self::version(target, &endpoint.name, version).await?;
    let labels = entry.as_ref().map(|entry| entry.labels().to_vec()).unwrap_or_default();
    let secure = entry.is_none_or(|entry| entry.r#type() == Some(&ParameterType::SecureString));
    let owner = owner(target, &endpoint.name).await?;
    Ok(Some(Published { version, same: value == endpoint.value, labels, owner, secure }))
}

/// Labels of a version. They come with the history only.
pub(crate) async fn labels(target: &Session, name: &str, number: i64) -> Result<Vec<String>, Failure> {
    Ok(version(target, name, number).await?.map(|entry| entry.labels().to_vec()).unwrap_or_default())
}

/// A version, from the history.
pub(crate) async fn version(target: &Session, name: &str, number: i64) -> Result<Option<ParameterHistory>, Failure> {
    let mut pages = target.ssm.get_parameter_history().name(name).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.told(target.side(), &format!("reading the versions of {name}"))?;
        if let Some(entry) = page.parameters().iter().find(|entry| entry.version() == number) {
            return Ok(Some(entry.clone()));
        }
    }
    Ok(None)
}

/// Whose a parameter is.
pub(crate) async fn owner(target: &Session, name: &str) -> Result<Owner, Failure> {
    let request =
        target.ssm.list_tags_for_resource().resource_type(aws_sdk_ssm::types::ResourceTypeForTagging::Parameter);
    let answer = request.resource_id(name).send().await.told(target.side(), &format!("reading the tags of {name}"))?;
    Ok(target.names().owner(answer.tag_list().iter().map(|tag| (tag.key(), tag.value()))))
}

async fn put(target: &Session, endpoint: &Endpoint, key_arn: &str, after: i64) -> Result<i64, Failure> {
    let what = format!("publishing {}", endpoint.name);
    let mut request = target
        .ssm
        .put_parameter()
        .name(&endpoint.name)
        .value(&endpoint.value)
        .r#type(ParameterType::SecureString)
        .key_id(key_arn)
        .overwrite(after > 0);
    // Tags can't be given with a new version (API_PutParameter, `Tags`): only what we make is ours.
    if after == 0 {
        for (key, value) in target.names().tags(target.side()) {
            request = request.tags(tag(&key, &value)?);
        }
    }
    // A second request of the SDK's own would be a second version; ours looks first.
    let answer = request.customize().config_override(once()).send().await.told(target.side(), &what)?;
    check_written(&endpoint.name, after, answer.version())?;
    Ok(answer.version())
}

/// For a write: without the SDK's retries.
pub(crate) fn once() -> aws_sdk_ssm::config::Builder {
    aws_sdk_ssm::config::Builder::new().retry_config(RetryConfig::disabled())
}
