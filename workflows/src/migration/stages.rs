//! The stages before the switch.

use std::time::{Duration, UNIX_EPOCH};

use changeover_domain::{
    Direction, Failure, Side,
    progress::{self, Sample},
    proto::{Finding, LinkHealth, Severity, Spec},
    stage::StageName,
    undo::Undo,
};
use temporalio_workflow::WorkflowContext;

use super::{
    Migration, aws,
    call::{Limits, Stop, call},
    drive::Step,
    patience::bear,
    unwind::{SIDES, push},
    wait::{between_looks, calm},
    watch,
};
use crate::contract::{
    Directed, EnsureForward, EnsureHome, EnsureReverse, EnsureRoles, EnsureSchema, Evidence, FinishSchema, LookAtLinks,
    LookAtSync, LookForDrift, Preflight, Verify,
};

/// The code of a run that preflight refused.
pub(super) const BLOCKED: &str = "CO0813";

pub(super) fn spec(ctx: &WorkflowContext<Migration>) -> Spec {
    ctx.state(|m| m.state.spec.clone())
}

fn done(ctx: &WorkflowContext<Migration>, evidence: impl Into<String>) -> Result<Step, Stop> {
    let evidence = evidence.into();
    let next = ctx.state_mut(|m| {
        let stage = m.state.stage;
        m.state.done(stage, evidence);
        stage.next().unwrap_or(stage)
    });
    Ok(Step::To(next))
}

fn limits(ctx: &WorkflowContext<Migration>) -> Limits {
    Limits::stage(ctx.state(|m| m.state.stage.row().timeout_seconds))
}

pub(super) async fn preflight(ctx: &WorkflowContext<Migration>) -> Result<Step, Stop> {
    let report = call(ctx, Preflight, spec(ctx), limits(ctx)).await?;
    let of = |severity: Severity| report.findings.iter().filter(move |f| f.severity() == severity);
    let blockers = of(Severity::Blocker).count();
    let warnings = of(Severity::Warning).count();
    // Status carries what a person should see, bounded: the whole report is `changeover preflight`'s.
    let kept: Vec<Finding> = of(Severity::Blocker).chain(of(Severity::Warning)).take(50).cloned().collect();
    ctx.state_mut(|m| {
        m.state.status.warnings.retain(|finding| finding.object.starts_with(aws::WARNED));
        m.state.status.warnings.extend(kept);
    });
    if blockers > 0 {
        let first = of(Severity::Blocker).next().map(|f| format!("{} {}", f.code, f.message)).unwrap_or_default();
        let message = format!("preflight found {blockers} blockers, the first: {first}");
        // A target that was made stays until an abort: the stage is tried again.
        let remedy = match ctx.state(|m| m.state.aws.is_some()) {
            true => "see them all with `changeover status`, mend them, then `changeover retry`",
            false => "see them all with `changeover preflight`, mend them, start again",
        };
        return Err(Failure::refused(BLOCKED, message, remedy).into());
    }
    let bytes: u64 = report.databases.iter().map(|d| d.bytes).sum();
    let tables: u64 = report.databases.iter().map(|d| d.tables).sum();
    done(ctx, format!("{} databases, {tables} tables, {bytes} bytes; {warnings} warnings", report.databases.len()))
}

pub(super) async fn roles(ctx: &WorkflowContext<Migration>) -> Result<Step, Stop> {
    for side in SIDES {
        push(ctx, Undo::RemoveHome { side });
    }
    for side in SIDES {
        push(ctx, Undo::TakeBackMemberships { side });
    }
    push(ctx, Undo::DropRoles);
    call(ctx, EnsureHome, spec(ctx), limits(ctx)).await?;
    let outcome = call(ctx, EnsureRoles, spec(ctx), limits(ctx)).await?;
    ctx.state_mut(|m| {
        m.state.status.roles_without_password = outcome.without_password;
        m.state.warn_about("roles", &outcome.evidence.warnings);
    });
    aws::role_secrets(ctx).await?;
    done(ctx, outcome.evidence.detail)
}

pub(super) async fn schema(ctx: &WorkflowContext<Migration>) -> Result<Step, Stop> {
    push(ctx, Undo::EmptyTarget);
    let evidence = call(ctx, EnsureSchema, spec(ctx), limits(ctx)).await?;
    ctx.state_mut(|m| m.state.warn_about("schema before the copy", &evidence.warnings));
    done(ctx, evidence.detail)
}

async fn begin_forward(ctx: &WorkflowContext<Migration>) -> Result<(), Stop> {
    for side in SIDES {
        push(ctx, Undo::RemoveDdlGuard { side });
    }
    push(ctx, Undo::RemoveEngine);
    push(ctx, Undo::RemoveReplication { direction: Direction::Forward });
    let evidence = call(ctx, EnsureForward, spec(ctx), limits(ctx)).await?;
    note_warnings(ctx, Direction::Forward, &evidence);
    Ok(())
}

pub(super) async fn copy(ctx: &WorkflowContext<Migration>, goes_on: bool) -> Result<Step, Stop> {
    if !goes_on {
        begin_forward(ctx).await?;
    }
    let interval = poll_interval(ctx);
    loop {
        let look = call(ctx, LookAtSync, spec(ctx), Limits::short()).await?;
        let told = ctx.state_mut(|m| {
            let at = m.state.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            m.state.rate.look(Sample { at, bytes: look.progress.bytes_done });
            let told = progress::with_rate(look.progress, &m.state.rate);
            m.state.status.progress = Some(told);
            told
        });
        if look.ready {
            return done(
                ctx,
                format!("{} tables, {} rows, {} bytes", told.tables_total, told.rows_total, told.bytes_total),
            );
        }
        bear(ctx, "CO0814", "the initial copy", &look.problems)?;
        park_on_drift(ctx).await?;
        let time = match told.eta_seconds {
            _ if !look.problems.is_empty() => interval,
            Some(eta) if eta > 0 => progress::next_look(interval, Some(eta)),
            // Nobody knows, or more comes than was estimated.
            _ => ctx.state(|m| m.state.next_look(interval)),
        };
        between_looks(ctx, time).await?;
    }
}

pub(super) async fn finish_schema(ctx: &WorkflowContext<Migration>) -> Result<Step, Stop> {
    push(ctx, Undo::RestoreTriggers { side: Side::Target });
    let evidence = call(ctx, FinishSchema, spec(ctx), limits(ctx)).await?;
    ctx.state_mut(|m| m.state.warn_about("schema", &evidence.warnings));
    done(ctx, evidence.detail)
}

pub(super) async fn catch_up(ctx: &WorkflowContext<Migration>, direction: Direction) -> Result<Step, Stop> {
    let evidence = wait_for_links(ctx, direction).await?;
    done(ctx, evidence)
}

pub(super) async fn verify(ctx: &WorkflowContext<Migration>) -> Result<Step, Stop> {
    let evidence = compare(ctx, Direction::Forward).await?;
    done(ctx, evidence)
}

async fn begin_reverse(ctx: &WorkflowContext<Migration>) -> Result<(), Stop> {
    push(ctx, Undo::RestoreTriggers { side: Side::Source });
    push(ctx, Undo::RemoveReplication { direction: Direction::Reverse });
    let begun = call(ctx, EnsureReverse, spec(ctx), limits(ctx)).await?;
    note_warnings(ctx, Direction::Reverse, &begun);
    Ok(())
}

pub(super) async fn reverse(ctx: &WorkflowContext<Migration>, goes_on: bool) -> Result<Step, Stop> {
    if !goes_on {
        begin_reverse(ctx).await?;
    }
    let evidence = wait_for_links(ctx, Direction::Reverse).await?;
    let begun = ctx.state(|m| m.state.last_detail(BEGUN));
    done(ctx, format!("{begun}; {evidence}"))
}

/// What the beginning of replication is called in the audit trail.
const BEGUN: &str = "replication_begun";

/// What the engine warns of stands in status until the end, and in the audit trail.
fn note_warnings(ctx: &WorkflowContext<Migration>, direction: Direction, evidence: &Evidence) {
    ctx.state_mut(|m| {
        m.state.warn_about(&format!("{direction} replication"), &evidence.warnings);
        m.state.record(super::state::ITSELF, BEGUN, evidence.detail.clone());
    });
}

/// Compares every row, the serving side being where `direction` comes from. A difference parks.
pub(super) async fn compare(ctx: &WorkflowContext<Migration>, direction: Direction) -> Result<String, Stop> {
    let input = Directed { spec: spec(ctx), direction, watch: None };
    let began = ctx.state(|m| m.state.now);
    ctx.state_mut(|m| m.state.comparing = true);
    let compared = call(ctx, Verify, input, Limits::stage(StageName::Verify.row().timeout_seconds)).await;
    ctx.state_mut(|m| m.state.comparing = false);
    let mut totals = compared?;
    totals.began_at = super::state::time(began);
    ctx.state_mut(|m| {
        m.state.verified_at = (totals.differences == 0).then_some(began);
        m.state.status.verified = Some(totals.clone());
    });
    changeover_domain::verify::may_go_on(&totals)?;
    Ok(format!(
        "{} rows of {} tables compared, {} keys looked at again, no difference",
        totals.rows, totals.tables, totals.rechecked_keys
    ))
}

/// Looks until every database's link is healthy and close behind.
pub(super) async fn wait_for_links(ctx: &WorkflowContext<Migration>, direction: Direction) -> Result<String, Stop> {
    loop {
        let links = look_at_links(ctx, direction).await?;
        let most = ctx.state(|m| m.state.spec.gates.as_ref().map_or(0, |g| g.max_lag_bytes));
        let problems: Vec<String> = problems(&links);
        let lag: u64 = links.iter().map(|l| l.lag_bytes).max().unwrap_or(u64::MAX);
        if problems.is_empty() && lag <= most && links.iter().all(|l| l.canary_ms.is_some()) {
            let canary = links.iter().filter_map(|l| l.canary_ms).max().unwrap_or(0);
            return Ok(format!("{direction}: lag {lag} bytes, canary {canary} ms"));
        }
        bear(ctx, "CO0816", &format!("{direction} replication"), &problems)?;
        let time = calm(ctx, poll_interval(ctx));
        between_looks(ctx, time).await?;
    }
}

/// One look at replication, kept for status. Stops where a slot holds back more WAL than it may, or has lost
/// its own.
pub(super) async fn look_at_links(
    ctx: &WorkflowContext<Migration>,
    direction: Direction,
) -> Result<Vec<LinkHealth>, Stop> {
    let input = Directed { spec: spec(ctx), direction, watch: None };
    let mut look = call(ctx, LookAtLinks, input, Limits::short()).await?;
    let lost = watch::lost(ctx, direction, &look.links);
    match (ctx.state_mut(|m| watch::weigh(&mut m.state, direction, &mut look.links)), lost) {
        (_, Some(lost)) => Err(lost.into()),
        (Some(stop), None) => Err(stop),
        (None, None) => Ok(look.links),
    }
}

pub(super) fn problems(links: &[LinkHealth]) -> Vec<String> {
    links.iter().flat_map(|l| l.problems.iter().map(move |p| format!("{}: {p}", l.database))).collect()
}

/// DDL on the serving side is seen and parks the run.
pub(super) async fn park_on_drift(ctx: &WorkflowContext<Migration>) -> Result<(), Stop> {
    let input = Directed { spec: spec(ctx), direction: Direction::Forward, watch: None };
    let look = call(ctx, LookForDrift, input, Limits::short()).await?;
    if look.total == 0 {
        return Ok(());
    }
    let message = format!(
        "the schema has changed since the migration began ({} changes): {}",
        look.total,
        look.changes.join("; ")
    );
    let remedy = "take the change back on the source, or abort and start again; then `changeover retry` (a column that rows have been written with is needed on the target, too, until they have arrived: CO0521)";
    Err(Failure::needs_human("CO0817", message, remedy).into())
}

pub(super) fn poll_interval(ctx: &WorkflowContext<Migration>) -> Duration {
    Duration::from_millis(ctx.state(|m| m.state.spec.replication.as_ref().map_or(0, |r| r.poll_ms)).max(500))
}
