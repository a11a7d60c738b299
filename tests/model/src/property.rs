//! What must hold.

use stateright::Property;

use crate::{
    config::serves,
    model::Switch,
    state::{Direct, SOURCE, State, TARGET, bit},
    steps::{HOLDING, Pc},
};

/// I1.
pub const ONE_SIDE: &str = "I1 one side accepts writes";
/// I2.
pub const COMPLETE: &str = "I2 no acknowledged write is missing";
/// I3.
pub const DURABLE: &str = "I3 what arrived is durable at the opening";
/// I4.
pub const COVERED: &str = "I4 the reverse link covers every write";
/// I5.
pub const RESTORED: &str = "I5 an abort leaves the source as it was";
/// In the end one side serves.
pub const SERVED: &str = "in the end one side serves";
/// And poolers send clients there.
pub const ROUTED: &str = "in the end poolers send clients there";
/// Only with the target out of reach nobody serves.
pub const ALARMED: &str = "closed only behind a durable fence";
/// What the workflow was told is so.
pub const TRUE: &str = "what was told is true";
/// Sequences.
pub const ONCE: &str = "no number is given twice";
/// The note by which an attempt is found again.
pub const NOTED: &str = "the note tells of the attempt at work";
/// Sessions.
pub const EMPTY: &str = "nobody is left on the side that was closed";
/// Clients behind a pooler.
pub const GENTLE: &str = "clients of poolers see no error";
/// Locks.
pub const FREE: &str = "nobody waits for who doesn't move";

/// All properties.
pub fn all() -> Vec<Property<Switch>> {
    vec![
        Property::always(ONE_SIDE, |m: &Switch, s: &State| {
            !(s.accepts(SOURCE, m.0.databases) && s.accepts(TARGET, m.0.databases))
        }),
        Property::always(COMPLETE, |m: &Switch, s: &State| arrived(m, s, |db| db.seen)),
        Property::always(DURABLE, |m: &Switch, s: &State| arrived(m, s, |db| db.firm)),
        Property::always(COVERED, |_, s: &State| !s.uncovered),
        Property::always(RESTORED, |m: &Switch, s: &State| !is_over(m, s) || restored(m, s)),
        Property::always(SERVED, |m: &Switch, s: &State| !is_over(m, s) || served(m, s)),
        Property::always(ROUTED, |m: &Switch, s: &State| !is_over(m, s) || !is_known(m, s) || routed(m, s)),
        Property::always(ALARMED, |m: &Switch, s: &State| {
            !s.false_alarm && (!is_over(m, s) || is_known(m, s) || is_double(m) || alarmed(m, s))
        }),
        Property::always(TRUE, |m: &Switch, s: &State| told_truth(m, s)),
        Property::always(ONCE, |_, s: &State| !s.twice),
        Property::always(NOTED, |m: &Switch, s: &State| is_noted(m, s)),
        Property::always(EMPTY, |m: &Switch, s: &State| m.0.half_login || !is_left(s)),
        Property::always(GENTLE, |m: &Switch, s: &State| !s.cut_off || is_rough(m)),
        Property::always(FREE, |m: &Switch, s: &State| !m.is_stuck(s)),
    ]
}

fn arrived(model: &Switch, state: &State, count: fn(&crate::state::Database) -> u8) -> bool {
    (0..2).filter(|side| state.accepts(*side, model.0.databases)).all(|side| {
        let (here, there) = (&state.server[side], &state.server[1 - side]);
        // Beyond the opening, what the closed side gets from the open one is the reverse link's business.
        serves(state) != side || (0..model.0.databases).all(|d| count(&here.db[d]) >= there.db[d].out)
    })
}

/// Every run has ended, and servers have noticed.
fn is_over(model: &Switch, state: &State) -> bool {
    state.run[..model.0.runs.len()].iter().all(|run| match run.pc {
        Pc::Dead => run.live == 0,
        Pc::Stopped => run.live & (crate::state::FENCE * 3) == 0 || !model.0.has(crate::guard::Guard::DeadMan),
        Pc::Alarm => state.cut,
        pc => pc.is_over(),
    })
}

/// Somebody came to an end and knows it.
fn is_known(model: &Switch, state: &State) -> bool {
    let runs = &state.run[..model.0.runs.len()];
    !runs.iter().any(|r| r.pc == Pc::Alarm) && runs.iter().any(|r| matches!(r.pc, Pc::Opened | Pc::Aborted))
}

fn is_whole(model: &Switch, state: &State, side: usize) -> bool {
    let server = &state.server[side];
    let whole = |d: usize| server.now.rights[d] && server.now.fence[d] == 0 && server.db[d].locked == 0;
    server.now.login && !server.now.saved_login && (0..model.0.databases).all(whole)
}

fn restored(model: &Switch, state: &State) -> bool {
    let switched = state.server.iter().any(|server| server.now.open != 0);
    if switched || !is_known(model, state) {
        return true;
    }
    let target = &state.server[TARGET].now;
    is_whole(model, state, SOURCE) && state.link && !target.login && target.saved_login
}

fn served(model: &Switch, state: &State) -> bool {
    let side = serves(state);
    let locked = state.server[SOURCE].db.iter().chain(&state.server[TARGET].db).any(|db| db.locked != 0);
    if !is_known(model, state) {
        return !locked;
    }
    is_whole(model, state, side) && !state.server[1 - side].now.login
}

/// Poolers know no epoch. What a worker does to them between its look at its lock and its death can't be refused (ADR 5).
fn routed(model: &Switch, state: &State) -> bool {
    let gone = |run: usize| matches!(state.run[run].pc, Pc::Dead | Pc::Stopped);
    let excused = (0..model.0.runs.len()).any(|run| state.stray & (1 << run) != 0 && gone(run));
    excused || !state.paused && usize::from(state.route) == serves(state)
}

/// Nobody knows the outcome: then the source is closed by a commit, or it goes on.
fn alarmed(model: &Switch, state: &State) -> bool {
    let mut called = state.run[..model.0.runs.len()].iter().filter(|r| r.pc == Pc::Alarm).peekable();
    // A run that was cut off while it sent the fences' commits can't know that nothing came of it.
    if called.peek().is_none() || called.any(|r| r.done & HOLDING != 0) {
        return true;
    }
    let source = &state.server[SOURCE].now;
    let opened = state.server[TARGET].now.open != 0;
    let fenced = opened || source.fence.iter().any(|epoch| *epoch != 0);
    fenced || source.login && !state.paused && usize::from(state.route) == SOURCE
}

fn told_truth(model: &Switch, state: &State) -> bool {
    model.0.runs.iter().all(|order| {
        let told = |told: u8| told & bit(order.epoch) != 0;
        let opening = &state.server[model.0.opening(order.epoch)].now;
        (!told(state.told_abort) || opening.open & bit(order.epoch) == 0)
            && (!told(state.told_open) || opening.open != 0 || model.0.opening(order.epoch) == SOURCE)
    })
}

/// A side serves by a decision, and a client has a session on the other: there are writes that no right on a table keeps it from
/// (large objects, functions of other owners).
fn is_left(state: &State) -> bool {
    let side = serves(state);
    state.server[side].now.open != 0 && matches!(state.direct, Direct::Here(s) if usize::from(s) != side)
}

/// With a worker that comes too late, or a pooler that dies while it is paused, clients may see an error; nothing is lost.
fn is_rough(model: &Switch) -> bool {
    let late = model.0.runs.iter().skip(1).any(|order| !order.after);
    late || model.0.faults.pooler_restarts > 0
}

/// The target is out of reach and something else fails as well: clients of poolers wait for the target.
fn is_double(model: &Switch) -> bool {
    model.0.faults.crashes + model.0.faults.stops + model.0.faults.errors > 0
}

/// Who holds the route is the attempt at work; the next one must find it.
fn is_noted(model: &Switch, state: &State) -> bool {
    state.run[..model.0.runs.len()].iter().enumerate().all(|(me, run)| {
        let opening = &state.server[model.0.opening(run.epoch)];
        opening.db[0].share & (1 << me) == 0 || opening.note == run.epoch
    })
}
