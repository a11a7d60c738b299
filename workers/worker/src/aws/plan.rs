//! What a step would do: its undo, and what a person has to approve. Changes nothing.

use changeover_aws::{
    options::{self, OptionGroupSeen},
    pending, publish, reboot, source_parameters,
};
use changeover_domain::{
    Failure, Side,
    aws::{
        options::is_default_group,
        parameter_plan::ParameterPlan,
        parameters::Sizing,
        provision::{AwsFacts, AwsStep, undo_of},
        status::reboot_pending,
        target::InstanceSeen,
        undo::{AwsUndo, Kind},
    },
};
use changeover_postgres::provision;
use changeover_workflows::contract::{AwsInput, AwsPlanned};

use super::{ground::Ground, network};

/// Plans a step. `run` is this run's id, which counts where none has taken the source yet.
pub(crate) async fn plan(input: AwsInput, run: &str) -> Result<AwsPlanned, Failure> {
    let AwsInput { spec, step, mut facts, .. } = input;
    if facts.run.is_empty() {
        run.clone_into(&mut facts.run);
    }
    let ground = Ground::new(&spec, &facts, &facts.run)?;
    let mut undo = undo_of(step, &spec, &ground.names);
    let mut approve = None;
    match step {
        AwsStep::SourceParameters => undo.extend(Box::pin(source_parameters(&ground, &mut facts)).await?),
        AwsStep::Reboot => {
            facts.running_since = Some(provision::running_since(&ground.site(Side::Source).await?).await?);
            approve = Box::pin(reboot(&ground, &facts)).await?;
        }
        AwsStep::RebootBack => {
            facts.running_since = Some(provision::running_since(&ground.site(Side::Source).await?).await?);
        }
        AwsStep::Options if Box::pin(source_options(&ground)).await?.is_none() => undo.clear(),
        AwsStep::Peering => undo.extend(Box::pin(network::plan_peering(&ground, &mut facts)).await?),
        AwsStep::Ways => undo.extend(network::plan_ways(&facts)),
        AwsStep::Publish => undo.extend(Box::pin(publish(&ground, &mut facts)).await?),
        _ => {}
    }
    Ok(AwsPlanned { undo, facts, approve })
}

async fn source_parameters(ground: &Ground, facts: &mut AwsFacts) -> Result<Vec<AwsUndo>, Failure> {
    let (plan, set, sizing) = parameters(ground).await?;
    let undo = plan.undo(&set);
    facts.parameters = Some(plan);
    facts.sizing = Some(sizing);
    Ok(undo)
}

/// What is to be done about the source's parameters, and which of them somebody has set.
pub(super) async fn parameters(ground: &Ground) -> Result<(ParameterPlan, Vec<String>, Sizing), Failure> {
    let session = ground.session(Side::Source).await?;
    let seen = ground.source(&session).await?;
    let sizing = ground.measure(&seen).await?;
    let site = ground.site(Side::Source).await?;
    let running = provision::settings(&site).await?;
    let (mut plan, set) =
        source_parameters::plan_source_parameters(&session, &ground.aws.instance, &sizing, &running).await?;
    let planned = pending::Planned {
        before: &plan.before,
        changes: &plan.changes,
        replaced: plan.made_because.is_some(),
        was_pending: reboot_pending(&seen.parameter_status),
    };
    let others = pending::pending_of_others(&session, &planned, &running).await?;
    plan.pending.extend(others.iter().map(ToString::to_string));
    Ok((plan, set, sizing))
}

/// What the reboot is for and what it costs, in words for whoever approves; nothing where none is needed.
pub(super) async fn reboot(ground: &Ground, facts: &AwsFacts) -> Result<Option<String>, Failure> {
    let session = ground.session(Side::Source).await?;
    let seen = ground.source(&session).await?;
    let sizing = ground.sizing(&seen).await?;
    let lacking = ground.lacking(&ground.site(Side::Source).await?, &sizing).await?;
    let now = reboot::observe_reboot(&session, &ground.aws.instance, &lacking).await?;
    Ok(match now {
        reboot::Reboot::Done if lacking.is_empty() => None,
        _ => Some(reboot_words(ground, facts, &seen)),
    })
}

/// The approval's words.
pub(super) fn reboot_words(ground: &Ground, facts: &AwsFacts, seen: &InstanceSeen) -> String {
    let failover = ground.aws.failover && seen.shape.multi_az;
    let how = if failover { "with a failover to its standby" } else { "without a failover" };
    let plan = facts.parameters.as_ref();
    let waiting = plan.iter().flat_map(|plan| &plan.changes).filter(|change| change.waits_for_reboot);
    let waiting: Vec<String> = waiting.map(|change| format!("{} = {}", change.name, change.to)).collect();
    let waiting = if waiting.is_empty() { "its parameter group".to_owned() } else { waiting.join(", ") };
    let pending = plan.map(|plan| plan.pending.join(", ")).filter(|pending| !pending.is_empty());
    let pending = pending.map_or_else(String::new, |pending| {
        format!("; what others have ordered may come into force with it: {pending}")
    });
    format!(
        "the source {} has to be rebooted {how}: clients are without it for about a minute, or as long as its recovery takes; it brings into force {waiting}{pending}",
        ground.aws.instance
    )
}

/// The source's option group, where it has options of its own.
pub(super) async fn source_options(ground: &Ground) -> Result<Option<OptionGroupSeen>, Failure> {
    let session = ground.session(Side::Source).await?;
    let group = ground.source(&session).await?.shape.option_group;
    if group.is_empty() || is_default_group(&group) {
        return Ok(None);
    }
    Ok(options::look_at_options(&session, &group).await?.filter(|seen| !seen.options.is_empty()))
}

/// The first time, the version that was there before us is kept; a parameter that we make is deleted by an abort.
async fn publish(ground: &Ground, facts: &mut AwsFacts) -> Result<Vec<AwsUndo>, Failure> {
    let name = ground.aws.publish.clone();
    if facts.version_before.is_none() {
        let session = ground.session(Side::Target).await?;
        facts.version_before = Some(publish::latest_version(&session, &name).await?);
    }
    let ours = facts.version_before == Some(0);
    Ok(ours.then_some(AwsUndo::Delete { side: Side::Target, kind: Kind::Parameter, name }).into_iter().collect())
}
