//! The whole way: there, back, there again, and the old instance stopped.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use changeover_tests::{
    aws::{AwsStack, AwsStackOptions, SOURCE, TARGET, master_password, migrate},
    stack::Side,
};
use serde_json::json;

use crate::common::{self, on_aws};

#[tokio::test(flavor = "multi_thread")]
async fn an_unencrypted_instance_becomes_an_encrypted_one_of_another_account() -> Result<()> {
    let options = AwsStackOptions { own_group: true, pace: 0.2, ..AwsStackOptions::default() };
    on_aws("whole", options, async |stack, directory| {
        let report = migrate(stack, &common::options(&directory), false).await?;
        report.write(&directory)?;
        ensure!(report.is_good(), "see report.md:\n{}", common::lines(report.aws.faults()));
        let (before, after) = (&report.aws.before, &report.aws.after);
        let target = after.target.instance(TARGET).context("there is no target")?;
        ensure!(target.applied == "in-sync", "{target:#?}");
        ensure!(
            target.tags.get("team").is_some_and(|team| team == SOURCE),
            "the source's tags aren't on it: {target:#?}"
        );
        // What the owner has set is on both sides, and was left alone.
        for group in after.source.parameter_groups.iter().chain(&after.target.parameter_groups) {
            let theirs = &before.source.parameter_groups[0].set;
            let kept = theirs.iter().all(|(name, value)| group.set.get(name) == Some(value));
            ensure!(kept, "{} lacks something of {theirs:?}: {:?}", group.name, group.set);
        }
        let key = after.target.keys.first().context("there is no key")?;
        let policy = json!({ "KeyId": key.arn, "PolicyName": "default" });
        let policy = stack.stand_in.ask_one(Side::Target, "kms", "get_key_policy", policy).await?.to_string();
        for named in ["arn:aws:iam::333333333333:root", &stack.accounts.roles[1]] {
            ensure!(policy.contains(named), "{named} isn't in the key's policy: {policy}");
        }
        no_secret_anywhere(stack, &directory).await
    })
    .await
}

/// The password that Changeover made for the target's master, and those that it has found in AWS, are there and nowhere else.
async fn no_secret_anywhere(stack: &AwsStack, directory: &Path) -> Result<()> {
    let info = stack.info();
    let made = master_password(&stack.stand_in).await?;
    let passwords =
        [&made, &info.source_passwords.master, &info.source_passwords.replication, &info.pooler.admin_password];
    ensure!(passwords.iter().all(|password| password.len() >= 12), "one isn't a password to look for");
    let mut places = files(directory)?;
    places.extend(files(&info.temporal.as_ref().context("there is no Temporal")?.directory)?);
    places.extend([info.source.log(), info.target.log(), stack.stand_in.directory.join("s/calls.jsonl")]);
    // The spec's name is in all that was said: it proves that a text would be found.
    let said: Vec<bool> = places.iter().map(|place| holds(place, TARGET)).collect::<Result<_>>()?;
    ensure!(said.iter().filter(|found| **found).count() >= 3, "the search finds nothing at all");
    for place in &places {
        for (at, password) in passwords.iter().enumerate() {
            ensure!(!holds(place, password)?, "the password number {at} is in {}", place.display());
        }
    }
    Ok(())
}

fn files(directory: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_file()).collect())
}

fn holds(path: &Path, text: &str) -> Result<bool> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}
