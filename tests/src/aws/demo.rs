//! The demo with AWS: from an unencrypted instance of one account to an encrypted one of another.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    AwsReport, AwsSpec, AwsStack, AwsStackOptions, Found, OldOne, PUBLISHED, SOURCE, TARGET, call_counts,
    end_the_old_one, finalize_but_for_the_end, keep_secrets, kept_logins, leftovers, past_provision, prepare,
    published_as,
    report::{AwsFacts, PublishedAfter},
};
use crate::{
    demo::{Report, measure, say, what_to_try},
    scenario::{NAME, SHORT, Scenario, ScenarioOptions},
    stack::{Side, StackOptions, TemporalOptions, process},
};

/// What deployments were told.
const DEPLOYED: &str = "deployed";

/// Runs it; the report says whether all was well. `keep` leaves everything running.
pub async fn run(options: &ScenarioOptions, keep: bool) -> Result<AwsReport> {
    say("starting a local AWS with two accounts and an unencrypted instance in the first, PgBouncer and Temporal");
    let temporal = Some(TemporalOptions { ui: true, ..TemporalOptions::default() });
    let options_of_stack = StackOptions { keep, temporal, ..StackOptions::default() };
    let started = AwsStackOptions { stack: options_of_stack, own_group: true, ..AwsStackOptions::default() };
    let mut stack = AwsStack::start(started).await?;
    let report = migrate(&mut stack, options, true).await?;
    report.write(&options.directory)?;
    println!("\n{}", report.markdown());
    say(&format!("report: {}", options.directory.join("report.md").display()));
    if keep {
        let endpoint = stack.stand_in.endpoint.clone();
        what_to_try(&stack.stack.detach()?);
        println!("  curl {endpoint}/_stand-in/calls   # what was called");
    } else {
        say("stopping what was started");
        stack.stop();
    }
    Ok(report)
}

/// The whole way there, back and there again, under the policies that Changeover prints; the old instance is stopped at the end.
pub async fn migrate(stack: &mut AwsStack, options: &ScenarioOptions, loud: bool) -> Result<AwsReport> {
    say(&format!(
        "loading the sample databases ({} MB) and putting them under load ({} writers)",
        options.size_mb, options.writers
    ));
    let secrets = Some(keep_secrets(stack).await?);
    let accounts_before = Found::look(&stack.stand_in).await?;
    let spec = AwsSpec {
        secrets,
        publish: PUBLISHED.to_owned(),
        deploy: deployment(&options.directory)?,
        join: true,
        final_snapshot: true,
        stop: true,
        ..AwsSpec::default()
    };
    let at_first = stack.info().clone();
    let mut scenario = prepare(stack, &at_first, options, &spec, loud).await?;
    say("from now on Changeover's roles may do what `changeover iam-policy` prints for it, and nothing else");
    stack.limit_to_printed(&scenario.product, &scenario.spec).await?;
    for verb in ["plan", "start"] {
        scenario.say(&[verb, &scenario.spec]).await?;
    }
    let reboot = past_provision(&scenario).await?.context("there is no load")?;
    say(&format!("the source's reboot: longest gap between acknowledged writes {:.1} ms", reboot.longest_gap_ms));

    stack.see_target(TARGET).await?;
    let info = stack.info().clone();
    scenario.info = &info;
    // From now on the writers without a pooler know both.
    scenario.change_load(Side::Source, options.rate).await?;
    let mut published = Vec::new();
    for direction in ["forward", "rollback", "forward"] {
        switch(&mut scenario, direction).await?;
        let serving = info.cluster(if direction == "forward" { Side::Target } else { Side::Source });
        let versions = published_as(&stack.stand_in, serving.port).await?;
        published.push(PublishedAfter { direction: direction.to_owned(), versions });
        let told = published.len();
        process::wait_until("the deployment is told", SHORT, async || {
            deployed(&options.directory).is_ok_and(|all| all.len() == told)
        })
        .await?;
    }
    say("holding the writers to compare every table of both sides, byte for byte");
    let rows = scenario.compare().await?;
    finalize_but_for_the_end(&scenario).await?;
    say("stopping the writers and checking the ledger against the target");
    let verdict = scenario.judge(Side::Target).await?;
    let sequences = scenario.sequence_faults(Side::Source, Side::Target).await?;
    let leftovers = leftovers(&scenario).await?;
    let status = end_the_old_one(&scenario, OldOne::Stopped).await?;
    let history = scenario.product.json(&["history", NAME]).await?;
    let temporal = measure(&info, NAME).await?;
    scenario.stop_worker().await?;
    let reboots = stack.instance(Side::Source, SOURCE).await?.and_then(|seen| seen["reboots"].as_array().map(Vec::len));
    let after = Found::look(&stack.stand_in).await?;
    let aws = AwsFacts {
        before: accounts_before,
        logins: kept_logins(&stack.stand_in, &after.target.secrets).await?,
        after,
        reboot,
        reboots: reboots.unwrap_or_default(),
        published,
        deployed: deployed(&options.directory)?,
        calls: call_counts(&stack.stand_in).await?,
    };
    let switches = std::mem::take(&mut scenario.switches);
    let demo = Report::new(&status, history, verdict, switches, rows, &sequences, &leftovers, temporal);
    Ok(AwsReport { demo, aws })
}

async fn switch(scenario: &mut Scenario<'_>, direction: &str) -> Result<()> {
    match direction {
        "forward" => scenario.cut_over("the plan was read").await,
        _ => scenario.roll_back("to show that it loses nothing").await,
    }
}

/// A program that deploys nothing, and writes down what it was told.
fn deployment(directory: &Path) -> Result<String> {
    let (program, told) = (directory.join("deploy"), directory.join(DEPLOYED));
    let _none_of_an_earlier_run = std::fs::remove_file(&told);
    let line = "$CHANGEOVER_SERVING $CHANGEOVER_ENDPOINT $CHANGEOVER_KEY";
    let script = format!("#!/bin/sh\necho \"{line}\" >> '{}'\necho rolled out\n", told.display());
    std::fs::write(&program, script).context("writing the deployment's program")?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(program.display().to_string())
}

/// What it was told, in order: which side serves, where, and by which key.
fn deployed(directory: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(directory.join(DEPLOYED)).context("no deployment was called")?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Where the report goes when nothing else is said.
pub fn default_directory() -> PathBuf {
    Path::new("target").join("demo")
}
