//! The plan: what would happen, stage by stage.

use changeover_domain::{
    fence::Fence,
    plan::{plan_hash, short_hash},
    proto::{PreflightReport, Spec},
    stage::{Gate, Phase, Stage, StageName, stages_of},
};
use serde::Serialize;

use super::format::{bytes, plural};
use crate::ui::Paint;

/// A plan as `--json` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    pub(crate) migration: String,
    pub(crate) plan_hash: String,
    pub(crate) engine: String,
    /// `lock` or `gate`.
    pub(crate) fence: &'static str,
    /// Why this one, and what both cost.
    pub(crate) fence_choice: String,
    /// What the fence adds to the pause at most; the rest of the pause is draining and moving traffic.
    pub(crate) fence_pause_us: u64,
    /// After how long the fence is given up: the budget and what the locks take by themselves.
    pub(crate) fence_given_up_after_ms: u64,
    pub(crate) tables: u64,
    pub(crate) bytes: u64,
    pub(crate) stages: Vec<PlannedStage>,
    pub(crate) preflight: PreflightReport,
}

/// A stage of a plan.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlannedStage {
    pub(crate) stage: &'static str,
    pub(crate) title: &'static str,
    pub(crate) does: &'static str,
    pub(crate) traffic: &'static str,
    pub(crate) undo: &'static str,
    pub(crate) waits_for_approval: bool,
    pub(crate) after_switch: bool,
}

/// Makes the plan of a spec that preflight has looked at.
pub(crate) fn plan_of(spec: &Spec, report: PreflightReport) -> Plan {
    let tables = report.databases.iter().map(|d| d.tables).sum::<u64>();
    let sequences = report.databases.iter().map(|d| d.sequences).sum::<u64>();
    let fence = Fence::choose(&spec.fence, tables);
    Plan {
        migration: spec.name.clone(),
        plan_hash: plan_hash(spec),
        engine: report.engine.clone(),
        fence: fence.word(),
        fence_choice: Fence::explain(&spec.fence, tables, sequences),
        fence_pause_us: fence.pause_us(tables + sequences),
        fence_given_up_after_ms: fence
            .given_up_after_ms(spec.budgets.unwrap_or_default().fence_lock_ms, tables + sequences),
        tables,
        bytes: report.databases.iter().map(|d| d.bytes).sum(),
        stages: stages_of(spec).map(planned).collect(),
        preflight: report,
    }
}

pub(super) fn planned(stage: &Stage) -> PlannedStage {
    PlannedStage {
        stage: stage.word,
        title: stage.title,
        does: stage.does,
        traffic: stage.traffic,
        undo: stage.undo,
        waits_for_approval: stage.gate == Gate::Approval,
        after_switch: stage.phase == Phase::AfterSwitch,
    }
}

/// The plan as text.
pub(crate) fn plan(plan: &Plan, spec: &Spec, paint: Paint) -> String {
    let mut out = format!("{}  plan {}\n", paint.strong(&plan.migration), paint.strong(short_hash(&plan.plan_hash)));
    for (word, endpoint) in [("from", &spec.source), ("to", &spec.target)] {
        if let Some(endpoint) = endpoint {
            out.push_str(&format!("  {word:<5} {}:{} as {}\n", endpoint.host, endpoint.port, endpoint.user));
        }
    }
    out.push_str(&format!("  {}, {}, engine {}\n", bytes(plan.bytes), plural(plan.tables, "table"), plan.engine));
    for (index, stage) in plan.stages.iter().enumerate() {
        out.push_str(&stage_lines(index + 1, stage, paint));
    }
    let budgets = spec.budgets.unwrap_or_default();
    out.push_str(&format!(
        "\nthe switch: {}\n  the fence is given up after {} ms; draining after {} ms; {}\n",
        plan.fence_choice,
        plan.fence_given_up_after_ms,
        budgets.drain_ms,
        plural(u64::from(budgets.switch_attempts), "attempt"),
    ));
    out.push_str("an attempt that runs out of its budget leaves the source as it was, and is tried again\n");
    out
}

pub(super) fn stage_lines(number: usize, stage: &PlannedStage, paint: Paint) -> String {
    let gate = if stage.waits_for_approval { paint.warn("  waits for approval") } else { String::new() };
    let mut out = format!("\n{number:>2}. {}{gate}\n    {}\n", paint.strong(stage.title), stage.does);
    if stage.traffic != "none" {
        out.push_str(&format!("    users notice: {}\n", paint.warn(stage.traffic)));
    }
    if !stage.undo.is_empty() {
        let when = if stage.stage == StageName::Switch.word() { "if it fails" } else { "abort" };
        out.push_str(&format!("    {when}: {}\n", stage.undo));
    } else if stage.stage == StageName::Finalize.word() {
        out.push_str("    no way back once it has begun\n");
    } else if stage.after_switch {
        out.push_str("    no abort any more: `rollback` moves back and loses no write, until finalize begins\n");
    }
    out
}
