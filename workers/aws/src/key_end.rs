//! The end of a key that we made: whatever uses it is looked for, its deletion is scheduled, its alias is freed.

use aws_sdk_kms::types::GrantListEntry;
use aws_sdk_secretsmanager::types::SecretListEntry;
use aws_sdk_ssm::types::ParameterStringFilter;
use changeover_domain::{
    Failure,
    aws::{grant::Grant, key::DELETION_DAYS, names::Owner},
};

use crate::{
    error::Told,
    instance, key,
    session::Session,
    snapshot,
    undo::{Undone, working},
};

/// Schedules the deletion of the key that we made, where nothing uses it. CO1019 names what does.
pub(crate) async fn delete_key(target: &Session, alias: &str) -> Result<Undone, Failure> {
    if let Some(arn) = key::find_own(target, alias).await? {
        if let Some(user) = user(target, &arn).await? {
            return Err(Failure::needs_human(
                "CO1019",
                format!("the key {arn} isn't deleted: {user} with it"),
                "delete or re-encrypt what uses the key, then `changeover retry`",
            ));
        }
        let request = target.kms.schedule_key_deletion().key_id(&arn).pending_window_in_days(DELETION_DAYS);
        let passes = &["KMSInvalidStateException", "NotFoundException"];
        request.send().await.unless(passes, target.side(), "scheduling the key's deletion")?;
        // KMS may show the old state for a while; and there may be a second key, where the answer of making the first was lost.
        if key::find_own(target, alias).await?.is_some() {
            return Ok(working("the key's deletion is being scheduled"));
        }
    }
    delete_alias(target, alias).await?;
    Ok(Undone::Done)
}

/// What uses a key, for people; `None` if nothing does that we can see. What somebody has encrypted with it by themselves leaves no trace
/// but in the log of calls: for that the deletion waits.
async fn user(target: &Session, arn: &str) -> Result<Option<String>, Failure> {
    let uses = |key: &Option<String>| key.as_deref() == Some(arn);
    let instances = instance::all(target).await?;
    if let Some(seen) = instances.iter().find(|seen| uses(&seen.kms_key) || uses(&seen.insights_key)) {
        return Ok(Some(format!("the instance {} is encrypted", seen.identifier)));
    }
    if let Some(instance) = backups(target, arn).await? {
        return Ok(Some(format!("the automated backups of {instance} are encrypted")));
    }
    if let Some(name) = snapshot::under_key(target, arn).await? {
        return Ok(Some(format!("the snapshot {name} is encrypted")));
    }
    let names = names(target, arn).await?;
    if let Some(name) = secret(target, &names).await? {
        return Ok(Some(format!("the secret {name} is encrypted")));
    }
    if let Some(name) = parameter(target, &names).await? {
        return Ok(Some(format!("the parameter {name} is encrypted")));
    }
    let living: Vec<String> = instances.into_iter().map(|seen| seen.resource_id).collect();
    let grant = grants(target, arn).await?.into_iter().find(|grant| !grant.is_left_over(target.account(), &living));
    Ok(grant.map(|grant| format!("{} works by the grant {}", grant.grantee, grant.id)))
}

/// A service keeps a key as it was named to it: by ARN, id or alias.
async fn names(target: &Session, arn: &str) -> Result<Vec<String>, Failure> {
    let id = arn.rsplit('/').next().unwrap_or_default();
    let account = format!("arn:{}:kms:{}:{}", target.partition(), target.region(), target.account());
    let mut names = vec![arn.to_owned(), id.to_owned()];
    for alias in key::aliases(target, id).await? {
        names.extend([format!("{account}:{alias}"), alias]);
    }
    Ok(names)
}

/// Automated backups outlive their instance where whoever deletes it wants it so
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithAutomatedBackups.Retaining.html>).
async fn backups(target: &Session, arn: &str) -> Result<Option<String>, Failure> {
    let mut pages = target.rds.describe_db_instance_automated_backups().into_paginator().items().send();
    while let Some(backup) = pages.next().await {
        let backup = backup.told(target.side(), "listing automated backups")?;
        if backup.kms_key_id() == Some(arn) {
            return Ok(Some(backup.db_instance_identifier().unwrap_or_default().to_owned()));
        }
    }
    Ok(None)
}

/// A secret that isn't on its way out.
async fn secret(target: &Session, names: &[String]) -> Result<Option<String>, Failure> {
    let under = |secret: &&SecretListEntry| {
        secret.deleted_date().is_none() && secret.kms_key_id().is_some_and(|key| names.iter().any(|name| name == key))
    };
    let mut pages = target.secrets.list_secrets().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.told(target.side(), "listing secrets")?;
        if let Some(secret) = page.secret_list().iter().find(under) {
            return Ok(Some(secret.name().unwrap_or_default().to_owned()));
        }
    }
    Ok(None)
}

async fn parameter(target: &Session, names: &[String]) -> Result<Option<String>, Failure> {
    let what = "listing parameters under the key";
    let filter = ParameterStringFilter::builder().key("KeyId").option("Equals").set_values(Some(names.to_vec()));
    let filter = filter.build().map_err(|error| Failure::invariant("CO1025", format!("{what}: {error}")))?;
    let mut pages = target.ssm.describe_parameters().parameter_filters(filter).into_paginator().send();
    // A page may be empty and have a next one.
    while let Some(page) = pages.next().await {
        let page = page.told(target.side(), what)?;
        if let Some(parameter) = page.parameters().first() {
            return Ok(Some(parameter.name().unwrap_or_default().to_owned()));
        }
    }
    Ok(None)
}

async fn grants(target: &Session, arn: &str) -> Result<Vec<Grant>, Failure> {
    let mut pages = target.kms.list_grants().key_id(arn).into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(grant) = pages.next().await {
        found.push(seen(&grant.told(target.side(), "listing the key's grants")?));
    }
    Ok(found)
}

fn seen(grant: &GrantListEntry) -> Grant {
    let constraints = grant.constraints();
    let contexts = [
        constraints.and_then(|constraints| constraints.encryption_context_subset()),
        constraints.and_then(|constraints| constraints.encryption_context_equals()),
    ];
    Grant {
        id: grant.grant_id().unwrap_or_default().to_owned(),
        grantee: grant.grantee_principal().unwrap_or_default().to_owned(),
        issuer: grant.issuing_account().map(account_of),
        context: contexts.into_iter().flatten().flatten().map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}

/// KMS gives the account as the ARN of its root.
fn account_of(issuer: &str) -> String {
    issuer.split(':').nth(4).unwrap_or(issuer).to_owned()
}

/// Frees the alias where it names a key of ours whose deletion is scheduled; one that names another key stays.
async fn delete_alias(target: &Session, alias: &str) -> Result<(), Failure> {
    let named = key::under_alias(target, alias).await?;
    if !named.is_some_and(|named| named.ends && named.owner == Owner::Us) {
        return Ok(());
    }
    let request = target.kms.delete_alias().alias_name(alias);
    request.send().await.unless(&["NotFoundException"], target.side(), "deleting the key's alias").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_an_account_in_either_form() {
        assert_eq!(account_of("arn:aws:iam::222222222222:root"), "222222222222");
        assert_eq!(account_of("222222222222"), "222222222222");
    }
}
