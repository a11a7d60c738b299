//! The key of the target: given, or made with its alias, policy and rotation.

use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyUsageType, Tag};
use changeover_domain::{
    Failure,
    aws::{
        errors,
        key::{self, KeySeen},
        names::Owner,
    },
};
use serde::{Deserialize, Serialize};

use crate::{error::Told, session::Session};

/// A key that can encrypt the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEvidence {
    /// Its ARN.
    pub arn: String,
    /// Whether we made it.
    pub ours: bool,
    /// Whether it is rotated each year; `None` where we may not see it.
    pub rotated: Option<bool>,
}

/// Looks at a key that the spec gives, by ARN, id or alias. CO1011 for a default key, CO1012 for another one that doesn't serve.
pub async fn check_given_key(target: &Session, reference: &str) -> Result<KeyEvidence, Failure> {
    key::check_reference(reference)?;
    let seen = describe(target, reference).await?;
    key::check(&seen, target.region())?;
    let rotated = rotation(target, &seen.arn).await.ok();
    Ok(KeyEvidence { arn: seen.arn, ours: false, rotated })
}

/// Makes the key with all that belongs to it, or finds the one that was made. `users` are accounts that may use snapshots under it.
pub async fn ensure_key(target: &Session, users: &[String]) -> Result<KeyEvidence, Failure> {
    let policy = key::policy(&key::Keeping {
        partition: target.partition(),
        region: target.region(),
        account: target.account(),
        keeper: target.keeper(),
        users,
    });
    let arn = match find(target).await? {
        Some(arn) => arn,
        None => create(target, &policy).await?,
    };
    let age = age(target, &arn).await?;
    complete(target, &arn, &policy).await.map_err(|failure| key::young(failure, age))
}

/// Gives the key what belongs to it.
async fn complete(target: &Session, arn: &str, policy: &serde_json::Value) -> Result<KeyEvidence, Failure> {
    ensure_alias(target, arn).await?;
    ensure_policy(target, arn, policy).await?;
    ensure_rotation(target, arn).await?;
    let seen = describe(target, arn).await?;
    key::check(&seen, target.region())?;
    Ok(KeyEvidence { arn: arn.to_owned(), ours: true, rotated: Some(rotation(target, &seen.arn).await?) })
}

/// Seconds since a key was made; 0 where it can't be seen yet.
async fn age(target: &Session, arn: &str) -> Result<i64, Failure> {
    let answer = target.kms.describe_key().key_id(arn).send().await;
    let answer = answer.unless(&["NotFoundException"], target.side(), "seeing how old the key is")?;
    let made = answer.as_ref().and_then(|answer| answer.key_metadata()?.creation_date()).map(|date| date.secs());
    let now = aws_smithy_types::DateTime::from(std::time::SystemTime::now()).secs();
    Ok(made.map_or(0, |made| now - made))
}

/// Whether a key is on its way out, or gone.
pub(crate) async fn is_being_deleted(target: &Session, reference: &str) -> Result<bool, Failure> {
    let what = format!("looking at the key {reference}");
    let answer = target.kms.describe_key().key_id(reference).send().await;
    let answer = answer.unless(&["NotFoundException"], target.side(), &what)?;
    Ok(answer.is_none_or(|answer| is_ending(answer.key_metadata())))
}

/// What an alias names.
pub(crate) struct Named {
    /// The key, by ARN.
    pub(crate) arn: String,
    /// Whose it is.
    pub(crate) owner: Owner,
    /// Whether its deletion is scheduled.
    pub(crate) ends: bool,
}

/// What the migration's alias names; `None` if there is no such alias. A key that we may not see the tags of is a failure: it may be ours.
pub(crate) async fn under_alias(target: &Session, alias: &str) -> Result<Option<Named>, Failure> {
    let answer = target.kms.describe_key().key_id(alias).send().await;
    let answer = answer.unless(&["NotFoundException"], target.side(), "looking for the migration's key")?;
    let Some(key) = answer.as_ref().and_then(|answer| answer.key_metadata()) else { return Ok(None) };
    let arn = key.arn().unwrap_or_default().to_owned();
    Ok(Some(Named { owner: owner(target, &arn).await?, ends: is_ending(Some(key)), arn }))
}

/// The key that this migration made, by its alias, or by its tag where the answer of making it was lost. One whose deletion is scheduled
/// isn't found.
async fn find(target: &Session) -> Result<Option<String>, Failure> {
    let alias = target.names().alias();
    match under_alias(target, &alias).await? {
        Some(named) if named.owner != Owner::Us => {
            Err(errors::not_ours(target.side(), &format!("the key under {alias}"), &named.owner))
        }
        Some(named) if !named.ends => Ok(Some(named.arn)),
        _ => find_by_tag(target).await,
    }
}

/// The same for its end, for which an alias that names another key is no hindrance.
pub(crate) async fn find_own(target: &Session, alias: &str) -> Result<Option<String>, Failure> {
    match under_alias(target, alias).await? {
        Some(named) if named.owner == Owner::Us && !named.ends => Ok(Some(named.arn)),
        _ => find_by_tag(target).await,
    }
}

async fn find_by_tag(target: &Session) -> Result<Option<String>, Failure> {
    let what = "looking for a key with the migration's tag";
    let mut pages = target.kms.list_keys().into_paginator().items().send();
    while let Some(key) = pages.next().await {
        let key = key.told(target.side(), what)?;
        let arn = key.key_arn().unwrap_or_default();
        // A key whose policy hides its tags from us isn't ours: ours lets IAM decide.
        let denied = &["AccessDeniedException", "NotFoundException"];
        let tags = target.kms.list_resource_tags().key_id(arn).send().await.unless(denied, target.side(), what)?;
        let Some(tags) = tags else { continue };
        if target.names().owner(tags.tags().iter().map(|tag| (tag.tag_key(), tag.tag_value()))) != Owner::Us {
            continue;
        }
        let seen = target.kms.describe_key().key_id(arn).send().await.told(target.side(), what)?;
        if !is_ending(seen.key_metadata()) {
            return Ok(Some(arn.to_owned()));
        }
    }
    Ok(None)
}

/// A key of an earlier run of the same name that was aborted.
fn is_ending(key: Option<&KeyMetadata>) -> bool {
    key.and_then(KeyMetadata::key_state).is_some_and(|state| state.as_str().starts_with("PendingDeletion"))
}

async fn owner(target: &Session, arn: &str) -> Result<Owner, Failure> {
    let answer = target.kms.list_resource_tags().key_id(arn).send().await;
    let answer = answer.told(target.side(), "reading the tags of the key")?;
    Ok(target.names().owner(answer.tags().iter().map(|tag| (tag.tag_key(), tag.tag_value()))))
}

async fn create(target: &Session, policy: &serde_json::Value) -> Result<String, Failure> {
    let id = target.names().migration();
    let mut request = target
        .kms
        .create_key()
        .description(format!("Changeover: migration {id}"))
        .policy(policy.to_string())
        .key_usage(KeyUsageType::EncryptDecrypt)
        .key_spec(KeySpec::SymmetricDefault);
    for (key, value) in target.names().tags(target.side()) {
        let tag = Tag::builder().tag_key(key).tag_value(value).build();
        request = request.tags(tag.map_err(|error| Failure::invariant("CO1025", format!("a tag: {error}")))?);
    }
    // KMS has no token by which a second request is known: the SDK mustn't send one after an answer that was lost. The activity's next
    // attempt looks first, by the tag.
    let once = aws_sdk_kms::config::Builder::new().retry_config(RetryConfig::disabled());
    let answer = request.customize().config_override(once).send().await.told(target.side(), "making the key")?;
    let arn = answer.key_metadata().and_then(KeyMetadata::arn).unwrap_or_default();
    Ok(arn.to_owned())
}

async fn ensure_alias(target: &Session, arn: &str) -> Result<(), Failure> {
    let alias = target.names().alias();
    let what = format!("giving the key the name {alias}");
    if alias_target(target, &alias).await?.is_some_and(|id| arn.ends_with(&id)) {
        return Ok(());
    }
    let answer = target.kms.create_alias().alias_name(&alias).target_key_id(arn).send().await;
    match answer.unless(&["AlreadyExistsException"], target.side(), &what)? {
        Some(_) => Ok(()),
        // Another attempt of ours may have made it meanwhile.
        None if alias_target(target, &alias).await?.is_some_and(|id| arn.ends_with(&id)) => Ok(()),
        None => Err(errors::not_ours(target.side(), &format!("the alias {alias}"), &Owner::Somebody)),
    }
}

async fn alias_target(target: &Session, alias: &str) -> Result<Option<String>, Failure> {
    let mut pages = target.kms.list_aliases().into_paginator().items().send();
    while let Some(entry) = pages.next().await {
        let entry = entry.told(target.side(), "listing aliases")?;
        if entry.alias_name() == Some(alias) {
            return Ok(entry.target_key_id().map(str::to_owned));
        }
    }
    Ok(None)
}

async fn ensure_policy(target: &Session, arn: &str, wanted: &serde_json::Value) -> Result<(), Failure> {
    let answer = target.kms.get_key_policy().key_id(arn).policy_name("default").send().await;
    let answer = answer.told(target.side(), "reading the key's policy")?;
    let now = answer.policy().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(serde_json::Value::Null);
    if key::same_policy(&now, wanted) {
        return Ok(());
    }
    let request = target.kms.put_key_policy().key_id(arn).policy_name("default").policy(wanted.to_string());
    request.send().await.told(target.side(), "setting the key's policy").map(drop)
}

async fn ensure_rotation(target: &Session, arn: &str) -> Result<(), Failure> {
    if rotation(target, arn).await? {
        return Ok(());
    }
    target.kms.enable_key_rotation().key_id(arn).send().await.told(target.side(), "having the key rotated").map(drop)
}

async fn rotation(target: &Session, arn: &str) -> Result<bool, Failure> {
    let answer = target.kms.get_key_rotation_status().key_id(arn).send().await;
    Ok(answer.told(target.side(), "seeing whether the key is rotated")?.key_rotation_enabled())
}

async fn describe(target: &Session, reference: &str) -> Result<KeySeen, Failure> {
    let what = format!("looking at the key {reference}");
    let answer = target.kms.describe_key().key_id(reference).send().await.told(target.side(), &what)?;
    let key = answer.key_metadata();
    let word = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let id = word(key.map(KeyMetadata::key_id));
    Ok(KeySeen {
        arn: word(key.and_then(KeyMetadata::arn)),
        manager: word(key.and_then(KeyMetadata::key_manager).map(aws_sdk_kms::types::KeyManagerType::as_str)),
        state: word(key.and_then(KeyMetadata::key_state).map(aws_sdk_kms::types::KeyState::as_str)),
        usage: word(key.and_then(KeyMetadata::key_usage).map(aws_sdk_kms::types::KeyUsageType::as_str)),
        spec: word(key.and_then(KeyMetadata::key_spec).map(aws_sdk_kms::types::KeySpec::as_str)),
        aliases: aliases(target, &id).await?,
    })
}

/// By which names a key is known.
pub(crate) async fn aliases(target: &Session, id: &str) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    let mut pages = target.kms.list_aliases().into_paginator().items().send();
    while let Some(entry) = pages.next().await {
        let entry = entry.told(target.side(), "listing aliases")?;
        if entry.target_key_id() == Some(id) {
            found.extend(entry.alias_name().map(str::to_owned));
        }
    }
    Ok(found)
}
