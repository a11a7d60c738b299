//! What one search covers: how many databases and runs, who writes how often, which faults may strike.

use crate::{
    guard::{Guard, Guards},
    state::{
        DATABASES, Database, Direct, Faults, Kept, RUNS, Run, SOURCE, Saved, Server, State, TARGET, UNSTARTED, bit,
    },
    steps::Pc,
};

/// One run of the activity: its epoch and where it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// The epoch it was given.
    pub epoch: u8,
    /// `false`: the target opens; `true`: the source does.
    pub back: bool,
    /// It may begin only when all runs before it have told their outcome or have died.
    pub after: bool,
}

/// A run that may begin as soon as the one before has begun: that one was thought dead.
pub const fn forward(epoch: u8) -> Order {
    Order { epoch, back: false, after: false }
}

/// A rollback that begins when everything before it is over.
pub const fn back(epoch: u8) -> Order {
    Order { epoch, back: true, after: true }
}

/// One configuration of the model.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Its name in tables.
    pub name: &'static str,
    /// Databases of the instance.
    pub databases: usize,
    /// The runs, in the order in which they may begin.
    pub runs: &'static [Order],
    /// The client with its own connection writes and draws.
    pub direct: bool,
    /// A login may be half done when logins are closed.
    pub half_login: bool,
    /// The client behind the pooler writes.
    pub pooled: bool,
    /// Writes in all.
    pub writes: u8,
    /// Numbers drawn in all.
    pub draws: u8,
    /// The margin of sequences.
    pub margin: u8,
    /// Faults in all.
    pub faults: Faults,
    /// The last run can't be killed or stopped: somebody comes in the end.
    pub last_lives: bool,
    /// Also begin where the reverse link isn't there.
    pub without_reverse: bool,
    /// Also begin where a REVOKE takes nothing.
    pub idle_revoke: bool,
    /// The guards in place.
    pub guards: Guards,
}

/// No fault.
pub const CALM: Faults = Faults {
    crashes: 0,
    stops: 0,
    errors: 0,
    deadman: 0,
    source_restarts: 0,
    target_restarts: 0,
    cuts: 0,
    heals: 0,
    pooler_restarts: 0,
    hangs: 0,
};

/// The base of all configurations: one database, one run, a client with its own connection, one write, no fault.
pub const BASE: Config = Config {
    name: "base",
    databases: 1,
    runs: &[forward(1)],
    direct: true,
    half_login: false,
    pooled: false,
    writes: 1,
    draws: 0,
    margin: 1,
    faults: CALM,
    last_lives: true,
    without_reverse: false,
    idle_revoke: false,
    guards: Guards::ALL,
};

impl Config {
    /// A guard is in place.
    pub fn has(&self, guard: Guard) -> bool {
        self.guards.has(guard)
    }
    /// The same without a guard.
    pub fn without(self, guard: Guard) -> Config {
        Config { guards: self.guards.without(guard), ..self }
    }
    /// The side that an epoch closes.
    pub fn closing(&self, epoch: u8) -> usize {
        let back = self.runs.iter().any(|order| order.epoch == epoch && order.back);
        if back { TARGET } else { SOURCE }
    }
    /// The side that an epoch opens.
    pub fn opening(&self, epoch: u8) -> usize {
        1 - self.closing(epoch)
    }
    /// The states to begin with.
    pub fn begin(&self) -> Vec<State> {
        let mut states = vec![self.first()];
        if self.without_reverse {
            states.push(State { reverse: false, ..self.first() });
        }
        if self.idle_revoke {
            states.push(State { revokes: false, ..self.first() });
        }
        states
    }

    fn first(&self) -> State {
        let mut run = [Run { pc: Pc::Opened, ..UNSTARTED }; RUNS];
        for (slot, order) in run.iter_mut().zip(self.runs) {
            *slot = Run { pc: Pc::Waiting, epoch: order.epoch, ..UNSTARTED };
        }
        State {
            server: [server(true), server(false)],
            run,
            paused: false,
            route: 0,
            link: true,
            reverse: true,
            revokes: true,
            cut: false,
            direct: Direct::Away,
            writing: None,
            hung: false,
            pooled: None,
            writes: self.writes,
            draws: self.draws,
            drawn: 0,
            twice: false,
            uncovered: false,
            told_open: 0,
            told_abort: 0,
            stray: 0,
            cut_off: false,
            false_alarm: false,
            faults: self.faults,
        }
    }
}

fn server(serves: bool) -> Server {
    let kept = Kept { login: serves, saved_login: !serves, open: 0, rights: [true; DATABASES], fence: [0; DATABASES] };
    let database = Database {
        epoch: 0,
        barred: 0,
        share: 0,
        update: 0,
        locked: 0,
        saved: Saved::Nothing,
        out: 0,
        seen: 0,
        firm: 0,
    };
    Server { now: kept, durable: kept, db: [database; DATABASES], note: 0, sequence: 0 }
}

/// Which side serves by the decisions: the one that was opened by the latest epoch, in the beginning the source.
pub fn serves(state: &State) -> usize {
    let last = |side: usize| state.server[side].now.open;
    if last(TARGET) > last(SOURCE) { TARGET } else { SOURCE }
}

/// `open` of an epoch stands on a side.
pub fn opened(state: &State, side: usize, epoch: u8) -> bool {
    state.server[side].now.open & bit(epoch) != 0
}

/// One run.
pub const ONE: &[Order] = &[forward(1)];
/// The same attempt again, when the first run is thought dead.
pub const AGAIN: &[Order] = &[forward(1), forward(1)];
/// A new attempt, when the first is thought dead.
pub const NEWER: &[Order] = &[forward(1), forward(2)];
/// There and back.
pub const THERE_AND_BACK: &[Order] = &[forward(1), back(2)];
