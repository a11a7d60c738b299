//! After an attempt: make the epoch decided, then undo it or finish it. Every step means "make sure", so that it may be cut off
//! anywhere and begun again.

use std::time::Duration;

use changeover_domain::{Direction, Failure, Side, proto::SwitchRecord};
use futures::future::try_join_all;

use super::{
    acl::{self, Hold},
    attempt, canary, close,
    decision::{self, Outcome},
    effect::{Change, Effect, perform},
    epoch, flag,
    login::{self, Whose},
    marker,
    record::Recorder,
    route,
    turn::{self, Turn},
    within,
};
use crate::{Migration, Session, note, patience, traffic::Traffic};

/// The refusal in the record of an attempt that a later call has undone.
pub(crate) const INTERRUPTED: &str = "the worker was interrupted; the attempt has been undone";
/// How long the side that decides is tried to be reached before somebody is called.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest time of a finish or an undo; a next run begins it again.
const LONGEST: Duration = Duration::from_secs(60);
/// Tries to bar a database.
const BARS: u32 = 5;
/// Longest wait for clients after a resume.
const SETTLING: Duration = Duration::from_secs(3);

/// Decides the epoch (`abort` unless it is open) and brings everything into the state that the decision asks for.
pub(crate) async fn conclude(
    migration: &Migration,
    direction: Direction,
    epoch: u64,
    traffic: &dyn Traffic,
    mut recorder: Recorder,
    cause: String,
) -> Result<SwitchRecord, Failure> {
    match decision::settle(migration, direction, epoch, PATIENCE).await? {
        Outcome::Open => {
            within("finishing the attempt", LONGEST, finish(migration, direction, epoch, traffic, &mut recorder))
                .await?;
            Ok(recorder.finish(Outcome::Open, String::new()))
        }
        Outcome::Abort => {
            let outcome = within("undoing the attempt", LONGEST, undo(migration, direction, epoch, traffic)).await?;
            recorder.end_pause();
            recorder.step("undone");
            Ok(recorder.finish(outcome, if outcome == Outcome::Open { String::new() } else { cause }))
        }
    }
}

/// A record of an earlier attempt that this run brought to its end.
pub(crate) struct Earlier(pub(crate) SwitchRecord, Direction);

impl Earlier {
    /// It has switched already what is asked for now.
    pub(crate) fn is_open_to(&self, direction: Direction) -> bool {
        self.1 == direction && self.0.outcome == Outcome::Open.word()
    }
}

/// Brings an attempt of an earlier epoch, which somebody had to look at first, to its end: nobody else does.
pub(crate) async fn conclude_earlier(
    migration: &Migration,
    epoch: u64,
    traffic: &dyn Traffic,
) -> Result<Option<Earlier>, Failure> {
    let mut last = None;
    for side in [Side::Source, Side::Target] {
        let session = migration.site(side).open(migration.control_database(), "recover").await?;
        let Some(note) =
            note::get::<attempt::Note>(&*session, side, attempt::ATTEMPT).await?.filter(|n| n.epoch < epoch)
        else {
            continue;
        };
        if !epoch::is_latest(migration, note.epoch).await? {
            forget_note(&session, note.epoch).await?;
            continue;
        }
        evict_predecessor(migration).await?;
        let recorder = Recorder::new(note.direction, note.epoch);
        let record = conclude(migration, note.direction, note.epoch, traffic, recorder, INTERRUPTED.to_owned()).await?;
        forget_note(&session, note.epoch).await?;
        last = Some(Earlier(record, note.direction));
    }
    Ok(last)
}

/// The decision is `open`: traffic goes to the side that serves.
async fn finish(
    migration: &Migration,
    direction: Direction,
    epoch: u64,
    traffic: &dyn Traffic,
    recorder: &mut Recorder,
) -> Result<(), Failure> {
    let arbiter = decision::arbiter(migration, direction, "recover").await?;
    let note = attempt::read_note(&*arbiter, arbiter.side, epoch).await?;
    route::open(arbiter, migration, direction, epoch, traffic).await?;
    recorder.pause_was(note.and_then(|note| note.pause_since_us));
    recorder.step("resumed");
    Ok(())
}

/// The decision is `abort`: the side that served serves on, as if nothing had been. It isn't the side that this attempt would
/// have closed when an earlier attempt opened the other one after all, before this one claimed its epoch: then there is nothing to
/// give back, and what was asked for is the case.
async fn undo(
    migration: &Migration,
    direction: Direction,
    epoch: u64,
    traffic: &dyn Traffic,
) -> Result<Outcome, Failure> {
    let (closing, opening) = (direction.from_side(), direction.to_side());
    let (mut closings, mut openings) = futures::try_join!(sessions(migration, closing), sessions(migration, opening))?;
    // First of all nobody may act for this epoch any more, then what it did is taken back.
    try_join_all(closings.iter_mut().chain(&mut openings).map(|session| bar(session, migration, epoch))).await?;
    let serving = serving(closings.first(), openings.first()).await?;
    if serving == opening {
        let Some(arbiter) = openings.first_mut() else { return Ok(Outcome::Open) };
        route::back(arbiter, migration, serving, epoch, traffic).await?;
        forget_note(arbiter, epoch).await?;
        return Ok(Outcome::Open);
    }
    let silence = |session| {
        perform(Effect::SilenceTriggers, move |change| turn::back(change, session, migration, epoch, Turn::Applies))
    };
    let applies = try_join_all(openings.iter_mut().map(silence));
    let serves = try_join_all(closings.iter_mut().map(|session| async move {
        let hold = Hold::Undoing(epoch);
        perform(Effect::GiveRightsBack, |change| acl::restore(change, &mut *session, migration, hold)).await?;
        perform(Effect::OpenGateAgain, |change| flag::open(change, &mut *session, migration, hold)).await?;
        perform(Effect::WakeTriggers, |change| turn::back(change, session, migration, epoch, Turn::Serves)).await
    }));
    futures::try_join!(applies, serves)?;
    // The first database of the spec is the control database.
    let (Some(control), Some(arbiter)) = (closings.first_mut(), openings.first_mut()) else {
        return Ok(Outcome::Abort);
    };
    perform(Effect::Reopen, |change| login::reopen(change, control, migration, epoch)).await?;
    route::back(arbiter, migration, closing, epoch, traffic).await?;
    forget_note(arbiter, epoch).await?;
    Ok(Outcome::Abort)
}

/// Which side serves, by what stands in the control databases of two sides.
async fn serving(one: Option<&Session>, other: Option<&Session>) -> Result<Side, Failure> {
    match (one, other) {
        (Some(source), Some(target)) if source.side == Side::Source => close::serving(source, target).await,
        (Some(target), Some(source)) => close::serving(source, target).await,
        _ => Ok(Side::Source),
    }
}

async fn forget_note(session: &Session, epoch: u64) -> Result<(), Failure> {
    perform(Effect::ForgetNote, |change| attempt::forget_note(change, session, epoch)).await
}

async fn sessions(migration: &Migration, side: Side) -> Result<Vec<Session>, Failure> {
    try_join_all(migration.databases().iter().map(|d| migration.site(side).open(&d.name, "recover"))).await
}

/// Bars a database. Whoever keeps its row for longer than a moment is a recovery whose worker is stopped, and is ended: after this
/// none of its locks is left there.
async fn bar(session: &mut Session, migration: &Migration, epoch: u64) -> Result<(), Failure> {
    let mut tries = 0;
    loop {
        tries += 1;
        match perform(Effect::Bar, |change| epoch::bar(change, &mut *session, migration, epoch)).await {
            Err(failure) if patience::is_lock(&failure) && tries < BARS => {
                evict_still(migration, session.side).await?;
            }
            outcome => return outcome,
        }
    }
}

/// Ends the sessions that a predecessor of this attempt may still have, so that none of its locks is waited for.
pub(crate) async fn evict_predecessor(migration: &Migration) -> Result<(), Failure> {
    let pattern = migration.id.application_name("switch-");
    let one = async |side| {
        let session = migration.site(side).open_maintenance("recover").await?;
        perform(Effect::EvictPredecessor, |change| evict_sessions(change, &session, &pattern)).await
    };
    // Writers may be waiting.
    futures::try_join!(one(Side::Source), one(Side::Target)).map(drop)
}

async fn evict_sessions(_: Change, session: &Session, pattern: &str) -> Result<(), Failure> {
    let sql = "select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity \
               where pg_catalog.starts_with(application_name, $1) and usename = current_user";
    session.execute(sql, &[&pattern]).await.map(drop).map_err(session.failed("ending a predecessor's sessions"))
}

/// Ends whatever may keep the epoch's row of a side from us: sessions of an attempt that were opened after its predecessor's were
/// ended, and recoveries that stand still in a transaction, because their worker is stopped.
pub(crate) async fn evict_still(migration: &Migration, side: Side) -> Result<(), Failure> {
    let session = migration.site(side).open_maintenance("recover").await?;
    let (attempts, recovery) = (migration.id.application_name("switch-"), migration.id.application_name("recover"));
    perform(Effect::EvictPredecessor, |change| evict_sessions(change, &session, &attempts)).await?;
    perform(Effect::EvictPredecessor, |change| evict_idle(change, &session, &recovery)).await
}

async fn evict_idle(_: Change, session: &Session, name: &str) -> Result<(), Failure> {
    let sql = "select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity \
               where application_name = $1 and usename = current_user and state like 'idle in transaction%' \
                 and state_change < clock_timestamp() - interval '1 second'";
    session.execute(sql, &[&name]).await.map(drop).map_err(session.failed("ending recoveries that stand still"))
}

/// What may follow a switch at leisure: no session is left on the side that was closed, clients are served, the link back works,
/// old markers are gone. It can't undo the switch, and its failure doesn't touch traffic. Safe to run again.
///
/// The attempt's note goes first: it stands for "traffic may still have to be moved", which a switch that has ended with `open`
/// has done. So whatever else fails in here, an abort or a finalize later needs no pooler.
pub async fn housekeeping(
    migration: &Migration,
    direction: Direction,
    epoch: u64,
    traffic: &dyn Traffic,
) -> Result<(), Failure> {
    let (closed, open) = (direction.from_side(), direction.to_side());
    let arbiter = migration.site(open).open(migration.control_database(), "housekeeping").await?;
    if note::get::<attempt::Note>(&*arbiter, open, attempt::ATTEMPT).await?.is_some_and(|note| note.epoch == epoch) {
        perform(Effect::ForgetNotes, |_| note::forget(&*arbiter, open, attempt::ATTEMPT)).await?;
    }
    let control = migration.site(closed).open(migration.control_database(), "housekeeping").await?;
    perform(Effect::EvictLeft, |change| login::evict(change, &control, Whose::Closed, SETTLING)).await?;
    try_join_all(migration.databases().iter().map(|d| try_back(migration, direction, epoch, &d.name))).await?;
    traffic.settle(SETTLING).await
}

/// Takes old markers away and sends a canary back.
async fn try_back(migration: &Migration, direction: Direction, epoch: u64, database: &str) -> Result<(), Failure> {
    let (closed, open) = (direction.from_side(), direction.to_side());
    let limit =
        Duration::from_millis(migration.spec.gates.as_ref().map_or(0, |gates| gates.max_canary_age_ms)).max(SETTLING);
    let from = migration.site(open).open(database, "housekeeping").await?;
    let to = migration.site(closed).open(database, "housekeeping").await?;
    perform(Effect::Prune, |change| marker::prune(change, &from, epoch)).await?;
    let took = canary::beat(&from, &to, limit).await?;
    if took <= u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) {
        return Ok(());
    }
    let message = format!("a row of {database} written on the {open} did not reach the {closed} within {limit:?}");
    Err(Failure::transient("CO0726", message, "look at the health of the link; a rollback needs it"))
}
