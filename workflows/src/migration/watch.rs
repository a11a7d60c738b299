//! What watches slots while no stage does: during a copy, a comparison, the building of indexes, a deployment, and while the run is parked or
//! paused. A slot that holds back WAL fills the disk of a side that serves, whoever sleeps meanwhile.
//!
//! A watch is one long look: its activity answers when a limit is passed, or after some hours. So it leaves few events behind.

use std::{
    convert::Infallible,
    time::{Duration, UNIX_EPOCH},
};

use changeover_domain::{
    Direction, Failure,
    proto::{Control, LinkHealth, Severity, State as Phase},
    stage::StageName,
    undo::{Regime, Undo},
    wal::{self, Level},
};
use temporalio_workflow::{WorkflowContext, workflows::join};

use super::{
    Migration,
    call::{Limits, Stop, call_until, tick},
    stages::spec,
    state::{ITSELF, State},
    wait::{pause, until},
};
use crate::{
    contract::{Directed, LookAtLinks, Watch},
    patches,
};

/// How long one watch lasts.
const WATCH_SECONDS: u64 = 3_600;
/// The same while a run is parked or paused, which may last for weeks within one history.
const IDLE_WATCH_SECONDS: u64 = 6 * 3_600;
/// The first pause after one that came back early without any reason; each more in a row is twice as long.
const REST: Duration = Duration::from_secs(10);
/// The longest one, where that goes on.
const LONGEST_REST: Duration = Duration::from_secs(3_600);

/// Watches both directions, for ever.
pub(super) async fn watch(ctx: &WorkflowContext<Migration>) -> Infallible {
    if !patches::watch_wal(ctx) {
        return std::future::pending().await;
    }
    let (forward, _) = join!(one(ctx, Direction::Forward), one(ctx, Direction::Reverse));
    forward
}

async fn one(ctx: &WorkflowContext<Migration>, direction: Direction) -> Infallible {
    let mut rest = REST;
    loop {
        until(ctx, |state| is_due(state, direction)).await;
        let (begun, before) = ctx.state(|m| (m.state.now, level_of(&m.state, direction)));
        look(ctx, direction).await;
        let (now, after) = ctx.state(|m| (m.state.now, level_of(&m.state, direction)));
        let early = now.duration_since(begun).unwrap_or_default() < Duration::from_secs(WATCH_SECONDS / 2);
        if early && before == after {
            pause(ctx, rest, |state| !is_due(state, direction)).await;
        }
        // A side that can't be reached for weeks doesn't fill the history.
        let again = early && before == after && ctx.state(|m| is_due(&m.state, direction));
        rest = if again { (rest * 2).min(LONGEST_REST) } else { REST };
    }
}

/// Nobody else looks, and there is a slot to look at.
fn is_due(state: &State, direction: Direction) -> bool {
    let copying = state.stage == StageName::Copy && state.status.progress.is_some();
    let unwatched = copying || state.comparing || state.deploying || state.stage == StageName::FinishSchema;
    let switches = state.asked.cutover.is_some() || state.asked.rollback.is_some();
    let ends =
        switches || state.ended || state.taken_down || state.source_lost || state.status.state() == Phase::Aborting;
    (unwatched || state.looks.calm || is_idle(state)) && !ends && replicates(state, direction)
}

fn is_idle(state: &State) -> bool {
    state.paused || state.status.state() == Phase::Parked
}

fn replicates(state: &State, direction: Direction) -> bool {
    match (&state.regime, direction) {
        (Regime::Before(stack), _) => {
            let begun = direction == Direction::Reverse || state.status.progress.is_some();
            begun && stack.holds(Undo::RemoveReplication { direction })
        }
        // What the source holds back for the target is of no use any more, and goes at the end; the source serves nobody.
        (Regime::After(_), direction) => direction == Direction::Reverse,
    }
}

/// One watch; what it saw stands in status. That it couldn't look is a warning, since nobody else would notice.
async fn look(ctx: &WorkflowContext<Migration>, direction: Direction) {
    let (held_bytes, idle) = ctx.state(|m| (next_limit(&m.state, direction), is_idle(&m.state)));
    let seconds = if idle { IDLE_WATCH_SECONDS } else { WATCH_SECONDS };
    let input = Directed { spec: spec(ctx), direction, watch: Some(Watch { seconds, held_bytes }) };
    let limits = Limits { attempts: 3, ..Limits::stage(seconds + 300) };
    // One that was chosen for a run that stands still is too long for one that goes on.
    let over = |state: &State| !is_due(state, direction) || is_idle(state) != idle;
    let result = call_until(ctx, LookAtLinks, input, limits, over).await;
    tick(ctx);
    let lost = result.as_ref().and_then(|look| lost(ctx, direction, &look.as_ref().ok()?.links));
    ctx.state_mut(|m| match result {
        Some(Ok(mut look)) => {
            let full = match weigh(&mut m.state, direction, &mut look.links) {
                Some(Stop::Failed(failure)) => Some(failure),
                _ => None,
            };
            if let Some(failure) = lost.or(full).filter(|failure| !is_parked_for(&m.state, failure)) {
                m.state.asked.wal_is_full = Some(failure);
            }
        }
        Some(Err(failure)) => {
            let warning =
                format!("{} the WAL that slots hold back can't be watched: {}", failure.code, failure.message);
            m.state.warn_about(&object(direction), &[warning]);
        }
        None => {}
    });
}

/// A slot has lost its WAL: before the switch nothing of the way there is of use any more; after it the way back is gone, which a
/// person has to hear of once.
pub(super) fn lost(ctx: &WorkflowContext<Migration>, direction: Direction, links: &[LinkHealth]) -> Option<Failure> {
    let (name, after) = ctx.state(|m| (m.state.spec.name.clone(), matches!(m.state.regime, Regime::After(_))));
    let failure = wal::lost(&name, direction, links, after)?;
    if !patches::lost_slots(ctx) {
        return None;
    }
    let known = after && ctx.state_mut(|m| std::mem::replace(&mut m.state.way_back_is_lost, true));
    (!known).then_some(failure)
}

fn is_parked_for(state: &State, failure: &Failure) -> bool {
    state.status.failure.as_ref().is_some_and(|parked| parked.code == failure.code)
}

/// The next limit that is worth an answer: half of the budget, then all of it, then none.
fn next_limit(state: &State, direction: Direction) -> u64 {
    let limit = state.spec.budgets.map_or(0, |budgets| budgets.max_retained_wal_bytes);
    match level_of(state, direction) {
        _ if limit == 0 => u64::MAX,
        0 => limit / 2,
        1 => limit,
        _ => u64::MAX,
    }
}

/// Which of the limits the last look had passed.
pub(super) fn level_of(state: &State, direction: Direction) -> u8 {
    let links = state.status.links.iter().filter(|link| link.direction == direction.word());
    let (held, limit) =
        links.map(|link| (link.retained_wal_bytes, link.max_retained_wal_bytes)).max().unwrap_or_default();
    if limit == 0 { 0 } else { u8::from(held > limit / 2) + u8::from(held > limit) }
}

/// What warnings about the WAL of a direction are filed under.
fn object(direction: Direction) -> String {
    format!("WAL of {direction} replication")
}

/// Takes a look at the links into status, with rates and forecast, and weighs the WAL that they hold back. Returns how to stop when
/// it is more than the budget allows: the run parks, or, if the spec says so and the source serves, is undone.
pub(super) fn weigh(state: &mut State, direction: Direction, links: &mut [LinkHealth]) -> Option<Stop> {
    let at = state.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let copying = state.stage == StageName::Copy;
    let ends_in = state.status.progress.and_then(|progress| progress.eta_seconds).filter(|_| copying);
    let budgets = state.spec.budgets.unwrap_or_default();
    let pile = state.piles.entry(direction.word().to_owned()).or_default();
    let level = wal::judge(&state.spec.name, direction, &budgets, pile, links, at, ends_in);
    if copying {
        // Nothing is ready yet, and the copy has problems of its own.
        links.iter_mut().for_each(|link| link.problems.clear());
    }
    state.status.links.retain(|link| link.direction != direction.word());
    state.status.links.extend(links.iter().cloned());
    let object = object(direction);
    let known = state.status.warnings.iter().any(|w| w.object == object && w.severity() == Severity::Warning);
    match level {
        Level::Calm => {
            state.warn_about(&object, &[]);
            None
        }
        Level::Alarm(warning) => {
            if !known {
                state.record(ITSELF, "wal_alarm", warning.clone());
            }
            state.warn_about(&object, &[warning]);
            None
        }
        Level::Full(failure) => {
            state.warn_about(&object, &[format!("{} {}", failure.code, failure.message)]);
            Some(stop(state, budgets.abort_at_max_retained_wal, failure))
        }
    }
}

fn stop(state: &mut State, abort: bool, failure: Failure) -> Stop {
    if !abort || matches!(state.regime, Regime::After(_)) || state.stage == StageName::Switch {
        return Stop::Failed(failure);
    }
    if state.asked.abort.is_none() {
        let reason = format!("budgets.at_max_retained_wal is abort: {failure}");
        state.record(ITSELF, "abort", reason.clone());
        state.asked.abort = Some(Control { actor: ITSELF.to_owned(), reason, ..Control::default() });
    }
    Stop::Abort
}
