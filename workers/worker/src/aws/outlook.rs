//! What a migration would do in AWS, for `changeover plan`: looked at, with nothing changed.

use changeover_domain::{
    Failure, Side,
    aws::{
        Place,
        key::partition,
        network::Ends,
        parameter_plan::ParameterPlan,
        plan::{Planned, Route, planned, undone},
        provision::AwsFacts,
        target::InstanceSeen,
    },
    proto::Spec,
};
use serde::Serialize;

use super::{
    ground::{Ground, access, some},
    network,
    plan::{parameters, reboot, reboot_words, source_options},
    secrets,
};

/// The AWS half of a plan.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outlook {
    /// The source as RDS has it, in words.
    pub source: String,
    /// The target to be made, in words.
    pub target: String,
    /// What is set in which parameter group of the source.
    pub parameters: ParameterPlan,
    /// What is made between the two networks, a line for each thing; nothing where the spec doesn't have them joined.
    pub network: Vec<String>,
    /// What the reboot's approval will say; nothing where none is needed.
    pub reboot: Option<String>,
    /// Every call that changes something, in order.
    pub calls: Vec<Planned>,
    /// What an abort may do.
    pub undo: Vec<Planned>,
}

/// Looks at the source through RDS and SQL. Needs what a worker needs: credentials for both accounts and the source's login.
pub async fn outlook(spec: &Spec) -> Result<Outlook, Failure> {
    let mut facts = AwsFacts::default();
    let unknown = Ground::new(spec, &facts, "plan")?;
    let (source, target) = tokio::try_join!(unknown.session(Side::Source), unknown.session(Side::Target))?;
    let seen = unknown.source(&source).await?;
    secrets::check(spec).await?;
    unknown.check_place(&target).await?;
    facts.source = seen.address();
    let ground = Ground::new(spec, &facts, "plan")?;
    let (parameters, _, _) = parameters(&ground).await?;
    facts.parameters = Some(parameters.clone());
    let reboot = if parameters.needs_reboot() {
        Some(reboot_words(&ground, &facts, &seen))
    } else {
        reboot(&ground, &facts).await?
    };
    let network = if ground.aws.join_networks {
        Some(Box::pin(network::outlook(&ground, (&source, &target), &seen)).await?)
    } else {
        None
    };
    let route = Route {
        network_is_joined: network.as_ref().is_some_and(|(_, plan)| !plan.is_needless()),
        reboot_needed: reboot.is_some(),
        has_options: source_options(&ground).await?.is_some(),
        ..route(&ground, &seen, &parameters)
    };
    let (here, there) = (place(&ground, Side::Source, &parameters), place(&ground, Side::Target, &parameters));
    Ok(Outlook {
        source: words(&ground, &seen),
        target: target_words(&ground, &seen),
        network: network.map(|(ends, plan)| network_lines(&ground, &ends, &plan)).unwrap_or_default(),
        reboot,
        calls: planned(&route, &here, &there),
        undo: undone(&route, &here, &there),
        parameters,
    })
}

fn network_lines(ground: &Ground, ends: &Ends, plan: &network::NetworkPlan) -> Vec<String> {
    let mut lines = plan.lines(ends);
    if !plan.is_needless() {
        let parted = ground.aws.end.is_some_and(|end| end.part_networks);
        let end = if parted { "is taken away again, by the calls that an abort makes for it" } else { "stays" };
        lines.push(format!("after finalize all of it {end}"));
    }
    lines
}

fn words(ground: &Ground, seen: &InstanceSeen) -> String {
    let encrypted = seen.kms_key.as_deref().map_or("not encrypted".to_owned(), |key| format!("encrypted with {key}"));
    format!(
        "{} in account {}: {} {}, {}, {} GiB, {encrypted}",
        seen.identifier,
        ground.account(Side::Source),
        seen.shape.engine,
        seen.shape.engine_version,
        seen.shape.class,
        seen.shape.storage_gib
    )
}

fn target_words(ground: &Ground, seen: &InstanceSeen) -> String {
    let made = ground.made();
    let class = if made.class.is_empty() { seen.shape.class.clone() } else { made.class };
    let key = if made.kms_key.is_empty() { "a key that is made".to_owned() } else { made.kms_key };
    let name = ground.target();
    format!("{name} in account {}: {class}, encrypted with {key}", ground.account(Side::Target))
}

/// What of it the spec and the source's description tell.
fn route(ground: &Ground, seen: &InstanceSeen, plan: &ParameterPlan) -> Route {
    let end = ground.aws.end.unwrap_or_default();
    Route {
        key_is_made: ground.made().kms_key.is_empty(),
        source_group_is_default: plan.made_because.is_some(),
        parameters_differ: !plan.changes.is_empty(),
        source_is_encrypted: seen.kms_key.is_some(),
        monitored: seen.shape.monitoring_seconds > 0,
        published: !ground.aws.publish.is_empty(),
        final_snapshot: end.final_snapshot,
        stopped: end.stop,
        deleted: end.delete,
        ..Route::default()
    }
}

fn place(ground: &Ground, side: Side, plan: &ParameterPlan) -> Place {
    let (here, there) = (access(&ground.aws, side), access(&ground.aws, side.other()));
    let made = ground.made();
    Place {
        partition: partition(&here.region).to_owned(),
        region: here.region,
        account: here.account,
        other_account: there.account,
        other_region: there.region,
        names: Some(ground.names.clone()),
        source_instance: ground.aws.instance.clone(),
        target_instance: some(made.instance),
        source_group: plan.before.clone(),
        subnet_group: made.subnet_group,
        published: some(ground.aws.publish.clone()),
        monitoring_role: some(made.monitoring_role),
        key: some(made.kms_key),
        ..Place::anywhere(side)
    }
    .with_secrets_of(&ground.spec)
}
