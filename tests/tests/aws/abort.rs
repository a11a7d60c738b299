//! An abort when everything has been made, and another start after it.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use changeover_tests::{
    aws::{
        AwsSpec, AwsStack, AwsStackOptions, Found, PUBLISHED, TARGET, keep_secrets, kept_logins, past_provision,
        prepare,
    },
    scenario::{LONG, NAME, SHORT, Scenario},
    stack::{SAMPLE_LOGINS, Side},
};

use crate::common::{self, judge, lines, lose_answers, meet_target, on_aws, once_each};

/// What is carried out once, though its answer is lost.
const MADE_ONCE: [(&str, &str, &str); 5] = [
    ("target", "kms", "CreateKey"),
    ("source", "rds", "RebootDBInstance"),
    ("target", "rds", "CreateDBParameterGroup"),
    ("target", "ec2", "CreateVpcPeeringConnection"),
    ("target", "rds", "CreateDBInstance"),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_leaves_both_accounts_as_they_were_but_for_a_key_that_is_being_deleted() -> Result<()> {
    let options = AwsStackOptions { own_group: true, pace: 0.2, ..AwsStackOptions::default() };
    on_aws("abort", options, async |stack, directory| {
        let secrets = Some(keep_secrets(stack).await?);
        let spec = AwsSpec { publish: PUBLISHED.to_owned(), join: true, secrets, ..AwsSpec::default() };
        let before = Found::look(&stack.stand_in).await?;
        let at_first = stack.info().clone();
        let mut scenario = prepare(stack, &at_first, &common::options(&directory), &spec, false).await?;
        stack.limit_to_printed(&scenario.product, &scenario.spec).await?;
        refused_by_amazons_authorities(&scenario, &directory).await?;
        lose_answers(stack, &MADE_ONCE.map(|(_, service, action)| (service, action))).await?;
        scenario.say(&["start", &scenario.spec]).await?;
        past_provision(&scenario).await?;
        stack.see_target(TARGET).await?;
        let info = stack.info().clone();
        meet_target(&mut scenario, &info).await?;
        scenario.until_waiting("approval", LONG).await?;
        let calls = MADE_ONCE.map(|(side, service, action)| format!("{side}: {service} {action}"));
        once_each(stack, &calls.each_ref().map(String::as_str)).await?;

        abort(&scenario).await?;
        as_before(stack, &before, 1).await?;
        let unlike = scenario.before.source_after_abort(&info).await?;
        ensure!(unlike.is_empty(), "not as before:\n{}", lines(&unlike));

        // Another start has a key of its own, and takes the secrets back, which wait for their end under a key that does as well.
        scenario.say(&["start", &scenario.spec]).await?;
        past_provision(&scenario).await?;
        scenario.until_waiting("approval", LONG).await?;
        let found = Found::look(&stack.stand_in).await?;
        let logins = kept_logins(&stack.stand_in, &found.target.secrets).await?;
        ensure!(logins.len() == SAMPLE_LOGINS.len(), "applications find only these logins: {logins:?}");
        abort(&scenario).await?;
        as_before(stack, &before, 2).await?;
        judge(&mut scenario, Side::Source).await?;
        scenario.stop_worker().await
    })
    .await
}

/// What was set in the source's group is set back, and a person says when the source is rebooted for it.
async fn abort(scenario: &Scenario<'_>) -> Result<()> {
    scenario.say(&["abort", NAME, "--actor", "ada", "--reason", "test"]).await?;
    ensure!(scenario.until_parked(SHORT).await? == "CO1080");
    scenario.approve("reboot", "at once").await?;
    scenario.say(&["retry", NAME, "--actor", "ada", "--reason", "approved"]).await?;
    scenario.product.wait_for(NAME, "its abort", SHORT, |status| status.state() == "ABORTED").await.map(drop)
}

/// Both accounts, but for so many keys that are being deleted.
async fn as_before(stack: &AwsStack, before: &Found, keys: usize) -> Result<()> {
    let after = Found::look(&stack.stand_in).await?;
    ensure!(after.source == before.source, "not as before: {:#?}\nbut {:#?}", before.source, after.source);
    let left: Vec<String> = after.target.names().difference(&before.target.names()).cloned().collect();
    // One name for all of them: an alias is gone with its key.
    ensure!(left.iter().all(|name| name.ends_with("(PendingDeletion)")), "left over:\n{}", lines(&left));
    let deleted = after.target.keys.iter().filter(|key| key.state == "PendingDeletion").count();
    ensure!(deleted == keys, "{deleted} keys are being deleted: {:#?}", after.target.keys);
    ensure!(before.target.names().is_subset(&after.target.names()), "something of the target's owner is gone");
    Ok(())
}

/// A spec that names no authorities has servers verified by Amazon's, which haven't signed the certificates of the local AWS.
async fn refused_by_amazons_authorities(scenario: &Scenario<'_>, directory: &Path) -> Result<()> {
    let text = std::fs::read_to_string(&scenario.spec)?;
    let line = |text: &str| text.lines().find(|line| line.starts_with("ca_file")).map(|line| format!("{line}\n"));
    let of_both = line(&text).context("the spec names no authorities")?;
    let spec = directory.join("amazons-authorities.toml");
    std::fs::write(&spec, text.replacen(&of_both, "", 2))?;
    let plan = scenario.product.run(&["plan", &spec.display().to_string()]).await?;
    let refused = plan.code != 0 && plan.stderr.contains("CO0203");
    ensure!(refused, "not refused for its certificate: {}\n{}", plan.stdout, plan.stderr);
    Ok(())
}
