//! Two clients: one connects to a server itself, one comes through a pooler. Each commit of theirs is acknowledged; one that isn't
//! may be there or not, which asks less.

use crate::{
    config::Config,
    state::{Direct, State, TARGET},
};

/// What a client does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Deed {
    /// The direct one connects to a side: its login is checked.
    Connect(u8),
    /// And its session is there.
    Arrive,
    /// Both at once.
    Enter(u8),
    /// It writes in a transaction: database.
    Write(u8),
    /// It commits.
    Commit,
    /// Its transaction hangs.
    Hang,
    /// It draws a number from the sequence.
    Draw,
    /// The pooled one writes: database.
    PooledWrite(u8),
    /// And commits.
    PooledCommit,
    /// It is sent to a server that refuses it.
    PooledRefused,
}

/// What clients may do now.
pub fn deeds(config: &Config, state: &State) -> Vec<Deed> {
    let mut deeds = Vec::new();
    if config.direct {
        direct(config, state, &mut deeds);
    }
    if config.pooled {
        match state.pooled {
            Some(_) => deeds.push(Deed::PooledCommit),
            None if !state.paused && state.server[usize::from(state.route)].now.login => {
                let can = |d: &usize| may_write(state, state.route, *d);
                deeds.extend((0..config.databases).filter(can).map(|d| Deed::PooledWrite(d as u8)));
            }
            None => {}
        }
        if is_refused(config, state) {
            deeds.push(Deed::PooledRefused);
        }
    }
    deeds
}

/// Clients aren't held back, and where they are sent they can't log in or have no right.
fn is_refused(config: &Config, state: &State) -> bool {
    let now = &state.server[usize::from(state.route)].now;
    !state.cut_off && !state.paused && state.writes > 0 && (!now.login || !(0..config.databases).all(|d| now.rights[d]))
}

fn direct(config: &Config, state: &State, deeds: &mut Vec<Deed>) {
    match state.direct {
        Direct::Away if state.writes > 0 || state.draws > 0 => {
            let how = if config.half_login { Deed::Connect } else { Deed::Enter };
            deeds.extend((0..2).filter(|s| state.server[usize::from(*s)].now.login).map(how));
        }
        Direct::Away => {}
        Direct::Arriving(_) => deeds.push(Deed::Arrive),
        Direct::Here(side) => {
            let server = &state.server[usize::from(side)];
            if state.draws > 0 && server.now.rights[0] {
                deeds.push(Deed::Draw);
            }
            if state.writing.is_some() && !state.hung {
                deeds.push(Deed::Commit);
                deeds.extend((state.faults.hangs > 0).then_some(Deed::Hang));
            } else if state.writing.is_none() {
                let can = |d: &usize| may_write(state, side, *d);
                deeds.extend((0..config.databases).filter(can).map(|d| Deed::Write(d as u8)));
            }
        }
    }
}

/// A writer that waits for the lock is asked for its right after it has got it: measured, see the fence's tests.
fn may_write(state: &State, side: u8, d: usize) -> bool {
    let server = &state.server[usize::from(side)];
    state.writes > 0 && server.now.rights[d] && server.db[d].locked == 0
}

/// What comes of it.
pub fn next(mut state: State, deed: Deed) -> Option<State> {
    match deed {
        Deed::Connect(side) => state.direct = Direct::Arriving(side),
        Deed::Enter(side) => state.direct = Direct::Here(side),
        Deed::Arrive => {
            let Direct::Arriving(side) = state.direct else { return None };
            state.direct = Direct::Here(side);
        }
        Deed::Write(d) => {
            let Direct::Here(side) = state.direct else { return None };
            state.writes -= 1;
            state.writing = Some((side, d));
        }
        Deed::Commit => {
            let (side, d) = state.writing.take()?;
            commit(&mut state, side, d);
        }
        Deed::Hang => (state.hung, state.faults.hangs) = (true, state.faults.hangs - 1),
        Deed::Draw => {
            let Direct::Here(side) = state.direct else { return None };
            let server = &mut state.server[usize::from(side)];
            server.sequence += 1;
            state.twice |= server.sequence <= state.drawn;
            state.drawn = state.drawn.max(server.sequence);
            state.draws -= 1;
        }
        Deed::PooledRefused => state.cut_off = true,
        Deed::PooledWrite(d) => {
            state.writes -= 1;
            state.pooled = Some((state.route, d));
        }
        Deed::PooledCommit => {
            let (side, d) = state.pooled.take()?;
            commit(&mut state, side, d);
        }
    }
    Some(state)
}

/// Synchronous, like every application's here.
fn commit(state: &mut State, side: u8, d: u8) {
    let side = usize::from(side);
    state.server[side].db[usize::from(d)].out += 1;
    state.uncovered |= side == TARGET && !state.reverse;
    state.flush(side);
}

/// A server has been restarted: nobody is connected to it.
pub fn disconnect(mut state: State, side: usize) -> State {
    let elsewhere = |w: Option<(u8, u8)>| w.filter(|(s, _)| usize::from(*s) != side);
    if matches!(state.direct, Direct::Here(s) | Direct::Arriving(s) if usize::from(s) == side) {
        (state.direct, state.hung) = (Direct::Away, false);
    }
    (state.writing, state.pooled) = (elsewhere(state.writing), elsewhere(state.pooled));
    state
}
