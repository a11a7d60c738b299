//! The switch: at every instant at most one side takes application writes, no acknowledged write is lost or doubled, and an
//! attempt that doesn't reach its decision leaves the side that served as it was.
//!
//! The same code in both directions. The *closing* side serves until the fence, the *opening* side from the decision on:
//!
//! 1. gate: a fresh measurement, judged by `changeover_domain::gate`;
//! 2. the epoch is claimed everywhere; what an earlier fence took on the opening side is given back while nobody can log in;
//!    sequences are moved ahead; vacuum and DDL are kept out; rights are remembered;
//! 3. poolers pause, every table of every database is locked (a dead man's handle);
//! 4. a marker per database is committed, seen on the other side, and made durable there;
//! 5. logins are closed and sessions ended under the lock, then the rights go with the locking transaction's commit;
//! 6. sequences and triggers are settled, and the decision is written: the one commit that opens the other side;
//! 7. poolers are sent there and resume.
//!
//! An attempt has an epoch of its own. Calling [`run`] again with the same epoch (a worker died) finishes what was decided, or
//! undoes what wasn't, and says which in the record's outcome; a new try needs a new epoch.

mod acl;
mod ahead;
mod attempt;
mod canary;
mod close;
mod decision;
mod effect;
mod epoch;
mod fence;
mod flag;
mod login;
mod marker;
mod measure;
mod proof;
mod record;
pub(crate) mod relations;
mod route;
#[cfg(test)]
mod tests;
mod turn;
mod undo;

use std::time::{Duration, SystemTime};

use changeover_domain::{
    Direction, Failure,
    gate::{self, Limits, Reason},
    proto::SwitchRecord,
};
use tokio::time::{Instant, sleep, timeout};

pub use close::{close_for_good, close_without_source, drain_back};
pub use decision::Outcome;
pub use effect::{Effect, Part, Path};
pub use measure::measure;
pub use undo::housekeeping;

#[cfg(test)]
pub(crate) use flag::KEY as GATE_KEY;

use crate::{Migration, traffic::Traffic};
use attempt::Attempt;
use record::Recorder;

/// How long the gate is asked again while all that speaks against a switch may pass by itself.
const GATE_PATIENCE: Duration = Duration::from_secs(5);
const GATE_PAUSE: Duration = Duration::from_millis(100);

/// Longest time of everything before the pause: a fence's beats end after 30 s.
const PREPARING: Duration = Duration::from_secs(60);

/// What is to be switched, and under which epoch.
#[derive(Clone, Copy, Debug)]
pub struct SwitchRequest {
    /// `Forward` opens the target, `Reverse` the source.
    pub direction: Direction,
    /// The attempt's own epoch; greater than any used before.
    pub epoch: u64,
    /// When the last comparison of all rows without a difference began; `None` when it isn't known.
    pub verified_at: Option<SystemTime>,
}

/// Tries once to switch. The record's `outcome` is `open` or `abort`; after `abort` the side that served serves on, `refusal`
/// says why, and the next try takes a new epoch.
///
/// # Errors
/// `Transient`: the attempt is neither finished nor undone yet; call it again with the same request.
/// `NeedsHuman`, `Invariant`: somebody has to look first, then the same.
/// `Refused` CO0211: a newer attempt has taken over.
pub async fn run(
    migration: &Migration,
    request: &SwitchRequest,
    traffic: &dyn Traffic,
) -> Result<SwitchRecord, Failure> {
    let SwitchRequest { direction, epoch, .. } = *request;
    let known = recover(migration, direction, epoch, traffic).await;
    if let Some(record) = or_let_go(migration, traffic, known).await? {
        return Ok(record);
    }
    let earlier = undo::conclude_earlier(migration, epoch, traffic).await;
    let earlier = or_let_go(migration, traffic, earlier).await?;
    if let Some(record) = earlier.filter(|record| record.is_open_to(direction)) {
        return Ok(record.0);
    }
    let mut recorder = Recorder::new(direction, epoch);
    // Before the gate: what it sees no older attempt can change any more, and what is told of a refusal stays true.
    // Whoever can't claim the epoch has done nothing, and somebody else is at work.
    match epoch::claim(migration, direction, epoch).await {
        Err(failure) if failure.code == "CO0211" => return Err(failure),
        claimed => claimed?,
    }
    if let Err(reasons) = pass_gate(migration, request, traffic).await? {
        let refusal = reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        return undo::conclude(migration, direction, epoch, traffic, recorder, refusal).await;
    }
    match attempt(migration, direction, epoch, traffic, &mut recorder).await {
        Ok(()) => Ok(recorder.finish(Outcome::Open, String::new())),
        Err(failure) => {
            tracing::warn!(%failure, epoch, "the attempt is undone");
            let concluded = undo::conclude(migration, direction, epoch, traffic, recorder, failure.to_string()).await;
            or_let_go(migration, traffic, concluded).await
        }
    }
}

/// A run of an attempt that was overtaken may have touched poolers after that.
async fn or_let_go<T>(migration: &Migration, traffic: &dyn Traffic, outcome: Result<T, Failure>) -> Result<T, Failure> {
    if outcome.as_ref().is_err_and(|failure| failure.code == "CO0211") {
        route::let_go(migration, traffic).await?;
    }
    outcome
}

async fn attempt(
    migration: &Migration,
    direction: Direction,
    epoch: u64,
    traffic: &dyn Traffic,
    recorder: &mut Recorder,
) -> Result<(), Failure> {
    let prepare = Attempt::prepare(migration, direction, epoch, traffic);
    within("preparing the attempt", PREPARING, prepare).await?.run(recorder).await
}

/// A server that is silent must not hold an attempt for ever: after `limit` it is a failure that passes by itself.
async fn within<T>(what: &str, limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(stands_still(what, limit)))
}

fn stands_still(what: &str, limit: Duration) -> Failure {
    let message = format!("{what} did not end within {limit:?}: a server or the network stands still");
    Failure::transient("CO0727", message, "it is tried again; look at both servers")
}

/// Asks the gate until it says Go, says something that doesn't pass by itself, or the patience is over.
async fn pass_gate(
    migration: &Migration,
    request: &SwitchRequest,
    traffic: &dyn Traffic,
) -> Result<Result<(), Vec<Reason>>, Failure> {
    let gates = migration.spec.gates.unwrap_or_default();
    let limits = Limits::of(request.direction, &gates, &migration.spec.budgets.unwrap_or_default());
    let deadline = Instant::now() + GATE_PATIENCE;
    loop {
        let mut measured = measure(migration, request.direction, traffic).await?;
        measured.verification_age_ms = request.verified_at.map(age);
        match gate::may_switch(&measured, &limits) {
            Ok(_) => return Ok(Ok(())),
            Err(reasons) if reasons.iter().all(Reason::passes_by_itself) && Instant::now() < deadline => {
                sleep(GATE_PAUSE).await
            }
            Err(reasons) => return Ok(Err(reasons)),
        }
    }
}

/// Milliseconds since a time. One that lies ahead by a clock's fault was just now.
fn age(at: SystemTime) -> u64 {
    let age = SystemTime::now().duration_since(at).unwrap_or_default();
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
}

/// Brings an attempt whose end isn't known to it, and begins nothing. The record's outcome says which.
///
/// # Errors
/// As [`run`].
pub async fn settle(
    migration: &Migration,
    request: &SwitchRequest,
    traffic: &dyn Traffic,
) -> Result<SwitchRecord, Failure> {
    let SwitchRequest { direction, epoch, .. } = *request;
    let known = recover(migration, direction, epoch, traffic).await;
    if let Some(record) = or_let_go(migration, traffic, known).await? {
        return Ok(record);
    }
    // Claimed, so that a run of it that comes late can't begin any more: what is told here stays true.
    epoch::claim(migration, direction, epoch).await?;
    let refusal = "the attempt had changed nothing yet".to_owned();
    undo::conclude(migration, direction, epoch, traffic, Recorder::new(direction, epoch), refusal).await
}

/// Looks whether this epoch has been begun before (a worker died): then it is finished or undone, and the record says which.
/// `None`: it hasn't.
pub async fn recover(
    migration: &Migration,
    direction: Direction,
    epoch: u64,
    traffic: &dyn Traffic,
) -> Result<Option<SwitchRecord>, Failure> {
    let seen = epoch::observe(migration, epoch).await?;
    if let Some(newer) = seen.newer {
        let message = format!("epoch {newer} has begun, this attempt is of epoch {epoch}: another one has taken over");
        return Err(Failure::refused("CO0211", message, "nothing: the newer attempt goes on"));
    }
    if !seen.claimed {
        return Ok(None);
    }
    undo::evict_predecessor(migration).await?;
    let recorder = Recorder::new(direction, epoch);
    undo::conclude(migration, direction, epoch, traffic, recorder, undo::INTERRUPTED.to_owned()).await.map(Some)
}
