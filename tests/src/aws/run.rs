//! The parts of a migration that only one with an AWS half has.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::{AwsSpec, AwsStack, SOURCE, StandIn, Version, secrets::needless_variables, spec_text, versions};
use crate::{
    oracle::{Difference, Snapshot},
    product::Status,
    scenario::{
        LONG, NAME, Pair, SHORT, Scenario, ScenarioOptions, application_roles, load_sample, spec_options, write_text,
    },
    stack::{StackInfo, process},
    workload::WindowStats,
};

/// The instance that Changeover makes for the scenario's migration.
pub const TARGET: &str = "changeover-demo";
/// Where the endpoint is published.
pub const PUBLISHED: &str = "/shop/db/endpoint";
/// A publication follows the switch within a second or two.
const PUBLICATION: Duration = Duration::from_secs(60);

/// Loads the sample into the source, starts load and worker, writes the spec.
pub async fn prepare<'a>(
    stack: &AwsStack,
    info: &'a StackInfo,
    options: &ScenarioOptions,
    aws: &AwsSpec,
    loud: bool,
) -> Result<Scenario<'a>> {
    load_sample(info, options).await?;
    let source = Snapshot::take(&info.source).await?;
    let (of_spec, without) = match &aws.secrets {
        None => (spec_options(&options.soak), Vec::new()),
        Some(kept) => (kept.refer(spec_options(&options.soak)), needless_variables(info)),
    };
    let spec = write_text(&options.directory, &spec_text(stack, aws, &of_spec))?;
    Scenario::begin(info, options, loud, Pair::new(source, stack.empty.clone()), spec, &without).await
}

/// From the start to the end of the stage `provision`: approves the reboot once it is waited for. Returns what clients saw of it.
pub async fn past_provision(scenario: &Scenario<'_>) -> Result<Option<WindowStats>> {
    scenario.until_waiting("provision", LONG).await?;
    let begun = SystemTime::now();
    scenario.approve("reboot", "in the quiet hour").await?;
    let passed = |status: &Status| status.stage() != "provision";
    scenario.product.wait_for(NAME, "the target to be made", LONG, passed).await?;
    Ok(scenario.workload.as_ref().map(|load| load.window(begun, SystemTime::now())))
}

/// Waits until the latest version says where this cluster is, and returns all versions.
pub async fn published_as(stand_in: &StandIn, port: u16) -> Result<Vec<Version>> {
    let value = format!("127.0.0.1:{port}");
    let mut found = Ok(Vec::new());
    let what = format!("{PUBLISHED} says {value}");
    process::wait_until(&what, PUBLICATION, async || {
        found = versions(stand_in, PUBLISHED).await;
        found.as_ref().is_ok_and(|all| all.last().is_some_and(|last| last.value == value))
    })
    .await
    .with_context(|| format!("last found: {found:?}"))?;
    found
}

/// Approves and finalizes, and waits until everything is done but what wants an approval of its own: the old instance's stop or deletion.
/// The source can still be looked into by then.
pub async fn finalize_but_for_the_end(scenario: &Scenario<'_>) -> Result<()> {
    scenario.approve("finalize", "soaked long enough").await?;
    scenario.say(&["finalize", NAME, "--yes", "--actor", "ada", "--reason", "done"]).await?;
    scenario.until_waiting("finalize", SHORT).await.map(drop)
}

/// What becomes of the old instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldOne {
    /// It is stopped.
    Stopped,
    /// It is deleted.
    Deleted,
}

/// Approves what becomes of the old instance, and waits for the migration's end.
pub async fn end_the_old_one(scenario: &Scenario<'_>, old: OldOne) -> Result<Status> {
    let reason = "nobody asks for it any more";
    let mut arguments = vec!["approve", NAME, "--approver", "ada", "--reason", reason, "--for"];
    match old {
        OldOne::Stopped => arguments.push("stop"),
        OldOne::Deleted => arguments.extend(["delete", "--object", SOURCE]),
    }
    scenario.say(&arguments).await?;
    if scenario.loud {
        scenario.say(&["status", NAME, "--watch"]).await?;
    }
    scenario.product.wait_for(NAME, "its end", SHORT, |status| status.state() == "FINISHED").await
}

/// What isn't as a finished migration has to leave it. Settings are left out: Changeover sets parameters on both sides, and says which.
pub async fn leftovers(scenario: &Scenario<'_>) -> Result<Vec<Difference>> {
    let found = scenario.before.after_finalize(scenario.info, &application_roles()).await?;
    Ok(found.into_iter().filter(|difference| difference.place != "cluster: settings").collect())
}
