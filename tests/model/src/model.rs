//! The model as stateright sees it: who may do what next.

use stateright::{Model, Property};

use crate::{
    attempt::{Answer, Worker},
    client,
    config::Config,
    guard::Guard,
    property,
    state::{FENCE, ON_SOURCE, ON_TARGET, SOURCE, State, TARGET},
    steps::{Pc, TAKEN},
};

/// Something that happens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// A run begins.
    Start(usize),
    /// A run takes one of the steps that it may take.
    Step(usize, usize),
    /// It takes the step, and is told that it failed.
    AnswerLost(usize, usize),
    /// It doesn't take the step, and is told that it failed.
    NotDone(usize),
    /// It has waited long enough.
    Timeout(usize),
    /// It is killed.
    Kill(usize),
    /// It is stopped and never woken. (A run that is woken is one that was slow.)
    Stop(usize),
    /// A server notices that a killed worker's sessions are gone.
    Notice(usize, usize),
    /// A server ends the session of a fence that has said nothing: run, database.
    DeadMan(usize, usize),
    /// A person calls `changeover retry` after an alarm.
    Retry(usize),
    /// A side is restarted at once; `true`: it loses what was not durable.
    Restart(usize, bool),
    /// The target can't be reached by workers.
    Cut,
    /// It can be reached again.
    Heal,
    /// A pooler is killed and starts again: nobody is paused.
    PoolerRestart,
    /// Replication applies one transaction: the side that receives, the database.
    Apply(usize, usize),
    /// A client does something.
    Client(client::Deed),
}

/// One configuration to be searched.
#[derive(Clone, Copy, Debug)]
pub struct Switch(pub Config);

impl Switch {
    fn runs(&self) -> std::ops::Range<usize> {
        0..self.0.runs.len()
    }

    fn may_start(&self, state: &State, run: usize) -> bool {
        let before = &state.run[..run];
        state.run[run].pc == Pc::Waiting
            && before.iter().all(|r| r.pc != Pc::Waiting)
            && (!self.0.runs[run].after || before.iter().all(|r| r.pc.is_over()))
    }

    fn answers(&self, state: &State, run: usize) -> Vec<Answer> {
        Worker::new(&self.0, state, run).steps(state)
    }

    /// A wait that the code bounds: for a lock, for poolers, for a marker that doesn't come.
    fn may_time_out(&self, state: &State, run: usize) -> bool {
        let waits = match state.run[run].pc {
            Pc::Lock | Pc::Pause => self.0.has(Guard::LockTimeout),
            Pc::Drain => !state.link,
            // A row lock is waited for for so long; only a stopped worker keeps one for longer.
            _ => state.run[..self.0.runs.len()].iter().any(|r| r.pc == Pc::Stopped),
        };
        waits && !self.answers(state, run).iter().any(|a| !matches!(a, Answer::Waits))
    }

    fn workers(&self, state: &State, actions: &mut Vec<Action>) {
        let faults = &state.faults;
        for run in self.runs() {
            if self.may_start(state, run) {
                actions.push(Action::Start(run));
            }
            let pc = state.run[run].pc;
            self.aftermath(state, run, actions);
            if !pc.is_running() {
                continue;
            }
            for (n, answer) in self.answers(state, run).iter().enumerate() {
                if !matches!(answer, Answer::Waits) {
                    actions.push(Action::Step(run, n));
                }
                if faults.errors > 0 && matches!(answer, Answer::Done(next) if !next.run[run].pc.is_over()) {
                    actions.push(Action::AnswerLost(run, n));
                }
            }
            if faults.errors > 0 {
                actions.push(Action::NotDone(run));
            }
            if self.may_time_out(state, run) {
                actions.push(Action::Timeout(run));
            }
            let mortal = !self.0.last_lives || run + 1 < self.0.runs.len();
            if mortal && faults.crashes > 0 {
                actions.push(Action::Kill(run));
            }
            if mortal && faults.stops > 0 {
                actions.push(Action::Stop(run));
            }
        }
    }

    /// What servers do about a run's sessions.
    fn aftermath(&self, state: &State, run: usize, actions: &mut Vec<Action>) {
        let (pc, live) = (state.run[run].pc, state.run[run].live);
        if pc == Pc::Dead {
            let sides = [(SOURCE, ON_SOURCE), (TARGET, ON_TARGET)];
            actions.extend(sides.iter().filter(|(_, bit)| live & bit != 0).map(|(s, _)| Action::Notice(run, *s)));
        }
        if pc == Pc::Alarm && !state.cut {
            actions.push(Action::Retry(run));
        }
        let late = pc == Pc::Stopped || state.faults.deadman > 0 && pc.is_attempt();
        for d in 0..self.0.databases {
            if late && pc != Pc::Dead && live & FENCE << d != 0 && self.0.has(Guard::DeadMan) {
                actions.push(Action::DeadMan(run, d));
            }
        }
    }

    fn world(&self, state: &State, actions: &mut Vec<Action>) {
        let faults = &state.faults;
        for (side, left) in [(SOURCE, faults.source_restarts), (TARGET, faults.target_restarts)] {
            if left > 0 {
                actions.push(Action::Restart(side, true));
                if (0..self.0.databases).any(|d| state.server[side].db[d].firm < state.server[side].db[d].seen) {
                    actions.push(Action::Restart(side, false));
                }
            }
            actions
                .extend((0..self.0.databases).filter(|d| may_apply(state, side, *d)).map(|d| Action::Apply(side, d)));
        }
        if !state.cut && faults.cuts > 0 {
            actions.push(Action::Cut);
        }
        if state.cut && faults.heals > 0 {
            actions.push(Action::Heal);
        }
        if state.paused && faults.pooler_restarts > 0 {
            actions.push(Action::PoolerRestart);
        }
    }

    /// Nothing that runs can go on, and nothing that is sure to happen will free it.
    pub fn is_stuck(&self, state: &State) -> bool {
        let mut running = self.runs().filter(|run| state.run[*run].pc.is_running()).peekable();
        if running.peek().is_none() || self.runs().any(|run| self.may_start(state, run)) {
            return false;
        }
        let moves = |run: usize| {
            self.may_time_out(state, run) || self.answers(state, run).iter().any(|a| !matches!(a, Answer::Waits))
        };
        let noticed = |run: usize| {
            let mut actions = Vec::new();
            self.aftermath(state, run, &mut actions);
            !actions.is_empty()
        };
        let applied = (0..2).any(|side| (0..self.0.databases).any(|d| may_apply(state, side, d)));
        let ended = state.pooled.is_some() || state.writing.is_some() && !state.hung;
        !running.any(moves) && !self.runs().any(noticed) && !applied && !ended
    }

    fn fault(&self, mut state: State, action: Action) -> Option<State> {
        match action {
            Action::Kill(run) => {
                state.faults.crashes -= 1;
                let live = ON_SOURCE | ON_TARGET;
                state.run[run] =
                    crate::state::Run { pc: Pc::Dead, epoch: state.run[run].epoch, live, ..crate::state::UNSTARTED };
            }
            Action::Stop(run) => {
                state.faults.stops -= 1;
                state.run[run].pc = Pc::Stopped;
            }
            Action::Notice(run, side) => {
                state.end_sessions(run, side);
                state.run[run].live &= if side == SOURCE { !ON_SOURCE } else { !ON_TARGET };
            }
            Action::DeadMan(run, d) => {
                state.faults.deadman -= u8::from(state.run[run].pc != Pc::Stopped);
                let closing = self.0.closing(state.run[run].epoch);
                let db = &mut state.server[closing].db[d];
                db.locked = if usize::from(db.locked) == run + 1 { 0 } else { db.locked };
                // The rights' session holds the row until its commit; from then on the fence's does.
                if state.run[run].done & TAKEN << d != 0 {
                    db.share &= !(0x10 << run);
                }
                state.run[run].live &= !(FENCE << d);
            }
            Action::Cut => (state.cut, state.faults.cuts) = (true, state.faults.cuts - 1),
            Action::Heal => (state.cut, state.faults.heals) = (false, state.faults.heals - 1),
            Action::PoolerRestart => {
                (state.paused, state.faults.pooler_restarts) = (false, state.faults.pooler_restarts - 1)
            }
            Action::Restart(side, loses) => return Some(self.restart(state, side, loses)),
            _ => return None,
        }
        Some(state)
    }

    fn restart(&self, mut state: State, side: usize, loses: bool) -> State {
        let left = if side == SOURCE { &mut state.faults.source_restarts } else { &mut state.faults.target_restarts };
        *left -= 1;
        for run in self.runs() {
            let closing = self.0.closing(state.run[run].epoch);
            state.end_attempt(run, side, closing);
            state.end_sessions(run, side);
        }
        let server = &mut state.server[side];
        server.now = server.durable;
        for db in &mut server.db {
            db.seen = if loses { db.firm } else { db.seen };
            db.firm = db.seen;
        }
        client::disconnect(state, side)
    }
}

/// Replication has something for a side, and nothing keeps it from applying it.
fn may_apply(state: &State, side: usize, d: usize) -> bool {
    let link = if side == TARGET { state.link } else { state.reverse };
    let db = &state.server[side].db[d];
    link && db.seen < state.server[1 - side].db[d].out && db.locked == 0
}

impl Model for Switch {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.0.begin()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.workers(state, actions);
        self.world(state, actions);
        actions.extend(client::deeds(&self.0, state).into_iter().map(Action::Client));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let state = *last;
        match action {
            Action::Start(run) | Action::Retry(run) => Some(Worker::new(&self.0, &state, run).again(state)),
            Action::Step(run, n) => match self.answers(last, run).into_iter().nth(n)? {
                Answer::Waits => None,
                Answer::Done(next) => Some(next),
                Answer::Failed(next) => Some(Worker::new(&self.0, &state, run).fails(next)),
            },
            Action::AnswerLost(run, n) => match self.answers(last, run).into_iter().nth(n)? {
                Answer::Done(mut next) => {
                    next.run[run].pc = state.run[run].pc;
                    next.faults.errors -= 1;
                    Some(Worker::new(&self.0, &state, run).fails(next))
                }
                _ => None,
            },
            Action::NotDone(run) => {
                let mut next = state;
                next.faults.errors -= 1;
                Some(Worker::new(&self.0, &state, run).fails(next))
            }
            Action::Timeout(run) if state.run[run].pc == Pc::Win => {
                let mut next = state;
                (next.run[run].pc, next.false_alarm) = (Pc::Alarm, true);
                Some(next)
            }
            Action::Timeout(run) => Some(Worker::new(&self.0, &state, run).fails(state)),
            Action::Apply(side, d) => {
                let mut next = state;
                next.server[side].db[d].seen += 1;
                Some(next)
            }
            Action::Client(deed) => client::next(state, deed),
            fault => self.fault(state, fault),
        }
        .filter(|next| next != last)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        property::all()
    }
}
