//! The plan of a migration with an AWS half.

use changeover_domain::{
    aws::plan::{Planned, text},
    plan::{plan_hash, short_hash},
    proto::Spec,
    stage::stages_of,
};
use changeover_worker::Outlook;
use serde::Serialize;

use super::plan::{PlannedStage, planned, stage_lines};
use crate::ui::Paint;

/// It as `--json` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    pub(crate) migration: String,
    pub(crate) plan_hash: String,
    pub(crate) aws: Outlook,
    pub(crate) stages: Vec<PlannedStage>,
}

/// Makes the plan of a spec whose AWS half has been looked at.
pub(crate) fn plan_of(spec: &Spec, aws: Outlook) -> Plan {
    Plan {
        migration: spec.name.clone(),
        plan_hash: plan_hash(spec),
        aws,
        stages: stages_of(spec).map(planned).collect(),
    }
}

/// It as text.
pub(crate) fn plan(plan: &Plan, paint: Paint) -> String {
    let aws = &plan.aws;
    let mut out = format!("{}  plan {}\n", paint.strong(&plan.migration), paint.strong(short_hash(&plan.plan_hash)));
    out.push_str(&format!("  from  {}\n  to    {}\n", aws.source, aws.target));
    out.push_str(&parameters(plan));
    if let Some(reboot) = &aws.reboot {
        out.push_str(&format!("\n{}\n  {reboot}\n", paint.warn("waits for approval: reboot")));
    }
    if !aws.network.is_empty() {
        out.push_str(&format!("\nbetween the two networks\n  {}\n", aws.network.join("\n  ")));
    }
    out.push_str(&calls("calls that change something in AWS, in order", &aws.calls));
    out.push_str(&calls("calls that an abort may make", &aws.undo));
    for (index, stage) in plan.stages.iter().enumerate() {
        out.push_str(&stage_lines(index + 1, stage, paint));
    }
    out
}

fn parameters(plan: &Plan) -> String {
    let parameters = &plan.aws.parameters;
    if parameters.changes.is_empty() {
        return format!("\nthe source's parameters in {} are as replication needs them\n", parameters.group);
    }
    let why = parameters.made_because.as_ref().map_or_else(String::new, |why| format!(" (new: {why})"));
    let mut out = format!("\nparameters of the source, in {}{why}\n", parameters.group);
    for change in &parameters.changes {
        let from = change.from.as_deref().unwrap_or("the engine's own");
        let waits = if change.waits_for_reboot { ", with the reboot" } else { "" };
        out.push_str(&format!("  {}: {from} -> {}{waits}; {}\n", change.name, change.to, change.why));
    }
    out
}

fn calls(title: &str, calls: &[Planned]) -> String {
    format!("\n{title}\n{}", text(calls))
}
