//! From the approval on: the switch, the soak, the rollback and the end.

use std::time::Duration;

use changeover_domain::{
    Direction, Failure,
    proto::{State as Phase, SwitchRecord},
    stage::StageName,
    undo::Regime,
};
use temporalio_workflow::WorkflowContext;

use super::{
    Migration, aws,
    call::{Limits, Stop, call, call_through, stop_asked},
    drive::{Step, park},
    patience::bear,
    stages::{compare, look_at_links, park_on_drift, poll_interval, problems, spec},
    state::{ITSELF, State},
    wait::{between_looks, calm, continue_when_long, pause, stop_or_continue, stop_wanted},
};
use crate::{
    contract::{
        Directed, FINALIZE_STEPS, Finalize, FinalizeInput, Housekeeping, HousekeepingInput, LookForDrift, Switch,
        SwitchInput,
    },
    patches,
};

/// Waits for an approval and the command, and watches meanwhile.
pub(super) async fn approval(ctx: &WorkflowContext<Migration>, goes_on: bool) -> Result<Step, Stop> {
    if !goes_on {
        ctx.state_mut(|m| m.state.asked.cutover = None);
    }
    let every = poll_interval(ctx).max(Duration::from_secs(1)) * 5;
    loop {
        compare_again_when_old(ctx).await?;
        ctx.state_mut(|m| say_what_is_missing(&mut m.state));
        pause(ctx, until_next_look_at_approval(ctx, every), |s| stop_wanted(s) || s.asked.cutover.is_some()).await;
        if ctx.state(|m| stop_wanted(&m.state)) {
            return Err(stop_asked(ctx));
        }
        tidy(ctx).await?;
        if ctx.state(|m| m.state.asked.cutover.is_some()) {
            if patches::calm_looks(ctx) {
                // The last look may lie minutes back.
                park_on_drift(ctx).await?;
            }
            ctx.state_mut(|m| m.state.done(StageName::Approval, "approved, and told to cut over"));
            return Ok(Step::To(StageName::Switch));
        }
        let mut links = look_at_links(ctx, Direction::Forward).await?;
        links.extend(look_at_links(ctx, Direction::Reverse).await?);
        bear(ctx, "CO0816", "replication", &problems(&links))?;
        park_on_drift(ctx).await?;
        continue_when_long(ctx)?;
    }
}

/// Rows are compared anew as soon as that is due: a `cutover` that comes then would be refused by the gate.
fn until_next_look_at_approval(ctx: &WorkflowContext<Migration>, every: Duration) -> Duration {
    let time = calm(ctx, every);
    match ctx.state(|m| m.state.verification_lasts()) {
        Some(left) if left < time && patches::calm_looks(ctx) => left.max(Duration::from_secs(1)),
        _ => time,
    }
}

/// The gate refuses a comparison that is too old, so that whoever says `cutover` then doesn't have to wait for a new one.
async fn compare_again_when_old(ctx: &WorkflowContext<Migration>) -> Result<(), Stop> {
    if ctx.state(|m| m.state.verification_is_old()) {
        let doing = "comparing every row again: the last comparison is older than gates.max_verification_age";
        ctx.state_mut(|m| m.state.set(Phase::Running, doing, "", ""));
        let evidence = compare(ctx, Direction::Forward).await?;
        ctx.state_mut(|m| m.state.record(ITSELF, "verified_again", evidence));
    }
    Ok(())
}

fn say_what_is_missing(state: &mut State) {
    let name = state.spec.name.clone();
    let approved = state.valid_approval(changeover_domain::proto::ApprovalKind::Cutover).is_ok();
    let (waiting, next) = if approved {
        ("a person: cutover", format!("changeover cutover {name}"))
    } else {
        ("a person: approval for the cutover", format!("changeover approve {name} --for cutover"))
    };
    state.set(Phase::Waiting, "the target is ready; watching lag, canary and schema", waiting, &next);
}

/// The switch to the target.
pub(super) async fn switch(ctx: &WorkflowContext<Migration>) -> Result<Step, Stop> {
    aws::mark_served(ctx).await?;
    let record = attempts(ctx, Direction::Forward).await?;
    ctx.state_mut(|m| {
        m.state.asked.cutover = None;
        m.state.done(StageName::Switch, told(&record));
    });
    Ok(Step::To(StageName::Soak))
}

fn told(record: &SwitchRecord) -> String {
    format!("epoch {}, writes waited {:.1} ms at the fence", record.epoch, record.pause_us as f64 / 1_000.0)
}

/// Tries until a side opens or the attempts are used up. Each attempt has an epoch of its own, never used again.
async fn attempts(ctx: &WorkflowContext<Migration>, direction: Direction) -> Result<SwitchRecord, Failure> {
    let (most, backoff) = ctx.state(|m| {
        let budgets = m.state.spec.budgets.unwrap_or_default();
        (budgets.switch_attempts.max(1), Duration::from_millis(budgets.switch_backoff_ms.max(100)))
    });
    let mut refusal = String::new();
    for attempt in 1..=most {
        let epoch = ctx.state_mut(|m| {
            m.state.epoch += 1;
            m.state.status.doing = format!("switching {direction}, attempt {attempt} of {most}");
            m.state.epoch
        });
        let verified_at = ctx.state(|m| m.state.verified_at.map(super::state::time));
        let input = SwitchInput { spec: spec(ctx), direction, epoch, settle: false, verified_at };
        let limits = Limits::switch(StageName::Switch.row().timeout_seconds);
        let mut record = match call_through(ctx, Switch, input, limits).await {
            Ok(record) => record,
            Err(failure) => {
                ctx.state_mut(|m| m.state.unsettled = Some((direction, epoch)));
                return Err(failure);
            }
        };
        record.attempts = attempt;
        let opened = record.outcome == "open";
        refusal.clone_from(&record.refusal);
        ctx.state_mut(|m| m.state.switched(direction, record.clone()));
        if opened {
            return Ok(record);
        }
        if attempt < most {
            pause(ctx, backoff, |_| false).await;
        }
    }
    let message = format!("no attempt of {most} could switch; the last: {refusal}");
    let remedy = "writes go on where they were; mend what it names, approve for the new epoch, then `changeover retry`";
    Err(Failure::needs_human("CO0818", message, remedy))
}

/// Brings an attempt whose end isn't known to it: until then neither an undo nor a new attempt may begin. Where it has opened a
/// side after all, the way goes on from there, whatever was asked for.
pub(super) async fn settle(ctx: &WorkflowContext<Migration>) -> Result<Option<Step>, Failure> {
    let Some((direction, epoch)) = ctx.state(|m| m.state.unsettled) else { return Ok(None) };
    let input = SwitchInput { spec: spec(ctx), direction, epoch, settle: true, verified_at: None };
    let record = call_through(ctx, Switch, input, Limits::switch(StageName::Switch.row().timeout_seconds)).await?;
    let opened = record.outcome == "open";
    Ok(ctx.state_mut(|m| {
        m.state.unsettled = None;
        m.state.switched(direction, record.clone());
        if !opened {
            return None;
        }
        m.state.forget_what_was_asked("the attempt in doubt has switched");
        Some(match direction {
            Direction::Forward => {
                m.state.done(StageName::Switch, told(&record));
                Step::To(StageName::Soak)
            }
            Direction::Reverse => {
                m.state.reopen_from(StageName::CatchUp);
                Step::To(StageName::CatchUp)
            }
        })
    }))
}

/// What warnings about what follows a switch are filed under.
const HOUSEKEEPING: &str = "housekeeping";
/// The same for changes of the schema seen while the target serves.
const DRIFT: &str = "schema of the target";

/// What follows a switch, as far as it is still to be done.
pub(super) async fn tidy(ctx: &WorkflowContext<Migration>) -> Result<(), Stop> {
    // First: clients that find their side by it wait for nothing else.
    aws::publish(ctx).await;
    keep_house(ctx).await?;
    // Last: it may take minutes.
    aws::deploy(ctx).await;
    Ok(())
}

/// Tidies up on the servers. A failure is shown and tried again at the next look: traffic and the run have nothing to do with it.
async fn keep_house(ctx: &WorkflowContext<Migration>) -> Result<(), Stop> {
    let due = ctx.state(|m| m.state.untidied.filter(|_| !m.state.source_lost));
    let Some((direction, epoch)) = due else { return Ok(()) };
    let input = HousekeepingInput { spec: spec(ctx), direction, epoch };
    match call(ctx, Housekeeping, input, Limits::at_leisure()).await {
        Ok(evidence) => ctx.state_mut(|m| {
            m.state.untidied = None;
            m.state.warn_about(HOUSEKEEPING, &[]);
            m.state.record(ITSELF, "tidied", evidence.detail);
        }),
        Err(Stop::Failed(failure)) => ctx.state_mut(|m| {
            let warning = format!("{} after the switch: {}; it is tried again", failure.code, failure.message);
            m.state.warn_about(HOUSEKEEPING, &[warning]);
        }),
        Err(stop) => return Err(stop),
    }
    Ok(())
}

/// A change of the serving target's schema isn't on the source: a rollback would miss it. That is said, and stops nothing.
async fn note_drift(ctx: &WorkflowContext<Migration>) -> Result<(), Stop> {
    let input = Directed { spec: spec(ctx), direction: Direction::Reverse, watch: None };
    let warnings = match call(ctx, LookForDrift, input, Limits::at_leisure()).await {
        Ok(look) if look.total == 0 => Vec::new(),
        Ok(look) => {
            let first = look.changes.join("; ");
            vec![format!(
                "CO0817 the target's schema has changed since the switch ({} changes), the source doesn't have that: {first}",
                look.total
            )]
        }
        Err(Stop::Failed(failure)) => vec![format!("{} {}", failure.code, failure.message)],
        Err(stop) => return Err(stop),
    };
    ctx.state_mut(|m| {
        let news = !warnings.is_empty() && m.state.status.warnings.iter().all(|finding| finding.object != DRIFT);
        m.state.warn_about(DRIFT, &warnings);
        if news {
            m.state.record(ITSELF, "schema_changed", warnings.join("; "));
        }
    });
    Ok(())
}

/// Where `retry` goes on: a switch that was not done needs a new approval, since the epoch has moved.
pub(super) fn stage_to_retry(state: &State) -> StageName {
    match (&state.regime, state.stage) {
        (Regime::Before(_), StageName::Switch) => StageName::Approval,
        (_, stage) => stage,
    }
}

/// Every how many looks of the soak the target's catalog is compared.
const LOOKS_PER_DRIFT: u32 = 5;

/// Watches the target, compares every row once more, and waits for a person to end it.
pub(super) async fn soak(ctx: &WorkflowContext<Migration>, goes_on: bool) -> Result<Step, Stop> {
    let wanted = ctx.state(|m| m.state.spec.soak.unwrap_or_default());
    let every = Duration::from_millis(wanted.poll_ms.max(500));
    ctx.state_mut(|m| {
        let until = m.state.now + Duration::from_millis(wanted.duration_ms);
        m.state.soak_until.get_or_insert(until);
        if !goes_on {
            m.state.asked.finalize = None;
        }
    });
    loop {
        let links = look_at_links(ctx, Direction::Reverse).await?;
        let way_back_is_lost = say_that_the_way_back_is_lost(ctx);
        if !way_back_is_lost {
            bear(ctx, "CO0816", "reverse replication", &problems(&links))?;
        }
        tidy(ctx).await?;
        let looks = ctx.state(|m| m.state.looks.number);
        if looks.is_multiple_of(LOOKS_PER_DRIFT) && ctx.state(|m| m.state.untidied.is_none()) {
            note_drift(ctx).await?;
            aws::watch(ctx).await?;
        }
        ctx.state_mut(|m| m.state.looks.number = looks.wrapping_add(1));
        if !way_back_is_lost && !ctx.state(|m| m.state.soak_verified) {
            compare(ctx, Direction::Reverse).await?;
            ctx.state_mut(|m| m.state.soak_verified = true);
        }
        let over = ctx.state_mut(|m| say_how_the_soak_goes(&mut m.state));
        if over && ctx.state(|m| m.state.asked.finalize.is_some()) {
            ctx.state_mut(|m| m.state.done(StageName::Soak, "soaked, and told to finalize"));
            return Ok(Step::To(StageName::Finalize));
        }
        let calm = calm(ctx, every);
        let until_next = ctx.state(|m| until_soaked(&m.state, every).map_or(calm, |left| left.min(calm)));
        pause(ctx, until_next, |s| stop_wanted(s) || s.asked.finalize.is_some()).await;
        if patches::calm_looks(ctx) {
            stop_or_continue(ctx)?;
        } else {
            between_looks(ctx, Duration::from_millis(1)).await?;
        }
    }
}

/// Stands in status from then on. Rows can't be compared any more, since the source doesn't follow.
fn say_that_the_way_back_is_lost(ctx: &WorkflowContext<Migration>) -> bool {
    ctx.state_mut(|m| {
        if m.state.way_back_is_lost {
            let warning =
                "CO0514 there is no way back any more: the target's slot of the reverse replication has lost its WAL";
            m.state.warn_about("the way back", &[warning.to_owned()]);
        }
        m.state.way_back_is_lost
    })
}

/// The end of the soak is told when it comes.
fn until_soaked(state: &State, every: Duration) -> Option<Duration> {
    let left = state.soak_until.and_then(|until| until.duration_since(state.now).ok());
    left.filter(|left| !left.is_zero()).map(|left| left.max(every))
}

/// What is waited for changes with an approval, at once.
pub(super) fn say_again(state: &mut State) {
    if state.paused || state.status.state() != Phase::Waiting {
        return;
    }
    match state.stage {
        StageName::Approval => say_what_is_missing(state),
        StageName::Soak => {
            say_how_the_soak_goes(state);
        }
        _ => {}
    }
}

fn say_how_the_soak_goes(state: &mut State) -> bool {
    let name = state.spec.name.clone();
    let until = state.soak_until.unwrap_or(state.now);
    if state.now < until {
        let waiting = format!("the soak to end at {}", super::state::time(until));
        let next = format!("changeover rollback {name} --approver WHO --reason WHY   (if the target disappoints)");
        state.set(Phase::Running, "soaking: the target serves, the source follows", &waiting, &next);
        return false;
    }
    let approved = state.valid_approval(changeover_domain::proto::ApprovalKind::Finalize).is_ok();
    let (waiting, next) = if approved {
        ("a person: finalize", format!("changeover finalize {name}"))
    } else {
        (
            "a person: approval to finalize",
            format!(
                "changeover approve {name} --for finalize   (or: changeover rollback {name} --approver WHO --reason WHY)"
            ),
        )
    };
    state.set(Phase::Waiting, "soaked: the target serves, the source follows", waiting, &next);
    true
}

/// The switch back; its own gate waits for the reverse link. It parks like a stage when no attempt could switch.
pub(super) async fn roll_back(ctx: &WorkflowContext<Migration>) -> Step {
    ctx.state_mut(|m| {
        m.state.asked.rollback = None;
        m.state.looks.calm = false;
        m.state.set(Phase::Running, "rolling back to the source", "", "");
    });
    match attempts(ctx, Direction::Reverse).await {
        Ok(_) => {
            ctx.state_mut(|m| m.state.reopen_from(StageName::CatchUp));
            Step::To(StageName::CatchUp)
        }
        Err(failure) => Box::pin(park(ctx, &failure)).await,
    }
}

/// A person has said that the source is gone: finalize begins with what is left, whatever stage it was in.
pub(super) fn give_up_source(ctx: &WorkflowContext<Migration>) -> Step {
    ctx.state_mut(|m| {
        m.state.asked.finalize = None;
        m.state.source_lost = true;
        m.state.done(StageName::Soak, "ended: the source is lost");
    });
    Step::To(StageName::Finalize)
}

/// The code of a finalize that was told that the source is lost, and found it alive.
const NOT_LOST: &str = "CO0730";

/// The source lives, so nothing was taken down without it. A soak that was ended for it goes on at `retry`, with its way back.
fn take_lost_source_back(state: &mut State) {
    state.source_lost = false;
    if !state.taken_down {
        state.reopen(&[StageName::Soak, StageName::Finalize]);
        state.stage = StageName::Soak;
    }
}

/// Removes everything but the data, step by step.
pub(super) async fn finalize(ctx: &WorkflowContext<Migration>) -> Result<Step, Stop> {
    let mut told = Vec::new();
    // The old instance may be gone by now, and can't be asked once more.
    let left = if aws::is_ending(ctx) { &[][..] } else { &FINALIZE_STEPS[..] };
    for step in left.iter().copied() {
        let input = FinalizeInput { spec: spec(ctx), step, source_is_lost: ctx.state(|m| m.state.source_lost) };
        let limits = Limits::taking_down(StageName::Finalize.row().timeout_seconds);
        if !input.source_is_lost {
            ctx.state_mut(|m| m.state.taken_down = true);
        }
        let evidence = match call_through(ctx, Finalize, input, limits).await {
            Err(failure) if failure.code == NOT_LOST => {
                ctx.state_mut(|m| take_lost_source_back(&mut m.state));
                return Err(failure.into());
            }
            done => done?,
        };
        ctx.state_mut(|m| m.state.taken_down = true);
        ctx.state_mut(|m| m.state.record(super::state::ITSELF, "finalized", evidence.detail.clone()));
        told.push(evidence.detail);
    }
    told.extend(aws::end(ctx).await?);
    ctx.state_mut(|m| m.state.done(StageName::Finalize, told.join("; ")));
    Ok(Step::End(Phase::Finished))
}
