//! An attempt's steps, as `attempt.rs`, `fence.rs`, `login.rs`, `marker.rs` and `decision.rs` of the product take them.

use crate::{
    config::Config,
    guard::Guard,
    state::{Direct, FENCE, ON_SOURCE, ON_TARGET, ROUTER, Saved, State, TARGET, bit},
    steps::*,
};

/// What came of a step.
pub enum Answer {
    /// It waits for something.
    Waits,
    /// It is done.
    Done(State),
    /// It said no, or its session has ended.
    Failed(State),
}
use Answer::{Done, Failed, Waits};

/// One run at work in one configuration.
pub struct Worker<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Which run.
    pub me: usize,
    /// Its epoch, or that of the attempt that it concludes.
    pub epoch: u8,
    /// The side that closes.
    pub closing: usize,
    /// The side that opens.
    pub opening: usize,
}

impl<'a> Worker<'a> {
    /// The run `me` as it stands in `state`.
    pub fn new(config: &'a Config, state: &State, me: usize) -> Self {
        let epoch = state.run[me].epoch;
        Self { config, me, epoch, closing: config.closing(epoch), opening: config.opening(epoch) }
    }
    /// A guard is in place.
    pub fn has(&self, guard: Guard) -> bool {
        self.config.has(guard)
    }
    /// The databases.
    pub fn databases(&self) -> std::ops::Range<usize> {
        0..self.config.databases
    }
    /// The next step is `pc`.
    pub fn goes(&self, mut state: State, pc: Pc) -> Answer {
        state.run[self.me].pc = pc;
        Done(state)
    }
    /// The target is needed and can't be reached.
    pub fn is_cut(&self, state: &State, side: usize) -> bool {
        side == TARGET && state.cut
    }
    fn lives(&self, state: &State, session: u8) -> bool {
        let side = if session == ROUTER { self.opening } else { self.closing };
        state.run[self.me].live & session != 0 && !self.is_cut(state, side)
    }
    fn group(&self, state: &State, side: usize) -> bool {
        let session = if side == TARGET { ON_TARGET } else { ON_SOURCE };
        state.run[self.me].live & session != 0 && !self.is_cut(state, side)
    }
    fn did(&self, state: &State, bits: u16) -> bool {
        state.run[self.me].done & bits == bits
    }
    fn all(&self, bits: u16) -> u16 {
        if self.config.databases == 2 { bits | bits << 1 } else { bits }
    }
    fn with(&self, mut state: State, bits: u16) -> State {
        state.run[self.me].done |= bits;
        state
    }

    /// `epoch::hold`: `None` while somebody else holds the row, else whether this epoch may act here.
    pub fn hold(&self, state: &State, side: usize, d: usize) -> Option<bool> {
        let db = &state.server[side].db[d];
        if self.has(Guard::EpochLocked) && db.update != 0 && usize::from(db.update) != self.me + 1 {
            return None;
        }
        let mine = !self.has(Guard::EpochChecked) || db.epoch == self.epoch;
        let aborted = self.has(Guard::AbortSeen) && db.barred & bit(self.epoch) != 0;
        Some(mine && !aborted)
    }
    fn take(&self, state: &mut State, side: usize, d: usize, shift: usize) {
        if self.has(Guard::EpochLocked) {
            state.server[side].db[d].share |= 1 << (shift + self.me);
        }
    }
    fn release(&self, state: &mut State, side: usize, d: usize, shift: usize) {
        state.server[side].db[d].share &= !(1 << (shift + self.me));
    }

    /// Poolers are touched. They know no epoch: was it still this run's turn?
    pub fn touch(&self, state: &mut State) {
        if state.run[self.me].live & ROUTER == 0 {
            state.stray |= 1 << self.me;
        }
    }

    /// The next steps of an attempt: more than one where their order is free.
    pub fn attempt(&self, state: &State) -> Vec<Answer> {
        let pc = state.run[self.me].pc;
        let mut answers = self.ordered(state, pc);
        // Clients are held back, so the route may be laid at any time before the decision.
        if pc >= Pc::Drain && pc <= Pc::Decide && !self.did(state, LAID) {
            let mut next = self.with(*state, LAID);
            self.touch(&mut next);
            next.route = self.opening as u8;
            answers.push(Done(next));
        }
        answers
    }

    fn ordered(&self, state: &State, pc: Pc) -> Vec<Answer> {
        match pc {
            Pc::Lock => self.databases().filter_map(|d| self.lock(state, d)).collect(),
            Pc::Drain => self.drain(state),
            Pc::Fence => self.databases().filter_map(|d| self.fence(state, d)).collect(),
            pc => vec![self.single(state, pc)],
        }
    }

    fn single(&self, state: &State, pc: Pc) -> Answer {
        match pc {
            Pc::Prove => self.prove(*state),
            Pc::Note => self.note(*state, Pc::Ready(0)),
            Pc::Ready(d) => self.ready(*state, d.into()),
            Pc::Save(d) => self.save(*state, d.into()),
            Pc::Route => self.route(*state),
            Pc::HoldReady(n) => self.hold_ready(*state, n.into()),
            Pc::NotePause => self.rehearsed(*state),
            Pc::Pause => self.pause(*state),
            Pc::EvictAgain => self.evict_again(*state),
            Pc::Measure => self.measure(*state),
            Pc::Settle => self.settle(*state),
            Pc::Decide => self.decide(*state),
            Pc::Held => self.is_held(*state),
            Pc::Resume => self.resume(*state),
            _ => Waits,
        }
    }

    fn prove(&self, mut state: State) -> Answer {
        if self.is_cut(&state, self.opening) || self.is_cut(&state, self.closing) {
            return Failed(state);
        }
        state.run[self.me].live = ON_SOURCE | ON_TARGET;
        let (opening, closing) = (&state.server[self.opening].now, &state.server[self.closing].now);
        let inside = matches!(state.direct, Direct::Here(s) if usize::from(s) == self.opening);
        let closed = !opening.login && !inside || !self.has(Guard::ProvedClosed);
        let serving = !closing.saved_login || !self.has(Guard::ProvedServing);
        if closed && serving { self.goes(state, Pc::Note) } else { Failed(state) }
    }

    fn note(&self, mut state: State, next: Pc) -> Answer {
        if !self.group(&state, self.opening) {
            return Failed(state);
        }
        if self.has(Guard::NoteUnderEpoch) {
            match self.hold(&state, self.opening, 0) {
                None => return Waits,
                Some(false) => return Failed(state),
                Some(true) => {}
            }
        }
        state.server[self.opening].note = self.epoch;
        state.flush(self.opening);
        self.goes(state, next)
    }

    /// The opening side gets its rights back while nobody can log in there, and its sequence goes ahead.
    fn ready(&self, mut state: State, d: usize) -> Answer {
        if !self.group(&state, self.opening) || !self.group(&state, self.closing) {
            return Failed(state);
        }
        match self.hold(&state, self.opening, d) {
            None => return Waits,
            Some(false) => return Failed(state),
            Some(true) => {}
        }
        if self.has(Guard::OpeningRestored) {
            give_back(&mut state, self.opening, d);
        }
        if d == 0 {
            let margin = if self.has(Guard::SequencesMargin) { self.config.margin } else { 0 };
            let ahead = state.server[self.closing].sequence + margin;
            let there = &mut state.server[self.opening].sequence;
            *there = (*there).max(ahead);
            state.run[self.me].sequence = *there;
        }
        state.flush(self.opening);
        let next = if d + 1 < self.config.databases { Pc::Ready(1) } else { Pc::Save(0) };
        self.goes(state, next)
    }

    fn save(&self, mut state: State, d: usize) -> Answer {
        if !self.group(&state, self.closing) {
            return Failed(state);
        }
        match self.hold(&state, self.closing, d) {
            None => return Waits,
            Some(false) => return Failed(state),
            Some(true) => {}
        }
        let now = state.server[self.closing].now;
        if self.has(Guard::SavedOnce) && now.fence[d] != 0 {
            return Failed(state);
        }
        state.server[self.closing].db[d].saved = if now.rights[d] { Saved::Rights } else { Saved::Ruin };
        state.flush(self.closing);
        state.run[self.me].live |= FENCE << d;
        self.goes(state, if d + 1 < self.config.databases { Pc::Save(1) } else { Pc::Route })
    }

    fn route(&self, mut state: State) -> Answer {
        if self.is_cut(&state, self.opening) {
            return Failed(state);
        }
        match self.hold(&state, self.opening, 0) {
            None => Waits,
            Some(false) => Failed(state),
            Some(true) => {
                state.run[self.me].live |= ROUTER;
                self.take(&mut state, self.opening, 0, 0);
                self.goes(state, Pc::HoldReady(0))
            }
        }
    }

    /// Everything that is committed later locks the epoch's row from here on, and nobody sees it.
    fn hold_ready(&self, mut state: State, n: usize) -> Answer {
        let decision = n == self.config.databases;
        let (side, d) = if decision { (self.opening, 0) } else { (self.closing, n) };
        if !self.group(&state, side) {
            return Failed(state);
        }
        match self.hold(&state, side, d) {
            None => return Waits,
            Some(false) => return Failed(state),
            Some(true) => {}
        }
        let unproven = !decision && !state.revokes && self.has(Guard::ProofOfRights);
        let barred = decision && self.is_barred(&state);
        if unproven || barred {
            return Failed(state);
        }
        self.take(&mut state, side, d, 4);
        self.goes(state, if decision { Pc::NotePause } else { Pc::HoldReady(n as u8 + 1) })
    }

    /// The row of the decision is there already.
    fn is_barred(&self, state: &State) -> bool {
        self.has(Guard::WriteOnce) && state.server[self.opening].db[0].barred & bit(self.epoch) != 0
    }

    /// Every session has said something (`rehearse`), and the note tells of the pause.
    fn rehearsed(&self, mut state: State) -> Answer {
        if !self.has(Guard::MarkerAfterLock) {
            // Too early: what is committed from here to the lock isn't covered.
            state.run[self.me].marker = state.server[self.closing].db.map(|db| db.out);
        }
        let fences = self.databases().all(|d| self.lives(&state, FENCE << d));
        if !fences || !self.group(&state, self.closing) {
            return Failed(state);
        }
        self.note(state, if self.has(Guard::Pooled) { Pc::Pause } else { Pc::Lock })
    }

    /// From here on clients may be held back; PAUSE answers when no transaction runs.
    fn pause(&self, state: State) -> Answer {
        let mut state = self.with(state, PAUSED);
        if state.pooled.is_some() {
            return Waits;
        }
        self.touch(&mut state);
        state.paused = true;
        self.goes(state, Pc::Lock)
    }

    fn lock(&self, state: &State, d: usize) -> Option<Answer> {
        if self.did(state, LOCKED << d) {
            return None;
        }
        if !self.lives(state, FENCE << d) {
            return Some(Failed(*state));
        }
        let here = Some((self.closing as u8, d as u8));
        let taken = state.server[self.closing].db[d].locked;
        let busy = state.writing == here || state.pooled == here || taken != 0;
        if busy && self.has(Guard::TableLock) {
            return Some(Waits);
        }
        let mut next = self.with(*state, LOCKED << d);
        if self.has(Guard::TableLock) {
            next.server[self.closing].db[d].locked = self.me as u8 + 1;
        }
        if self.did(&next, self.all(LOCKED)) {
            next.run[self.me].pc = Pc::Drain;
            next.link &= self.has(Guard::LinkKept);
        }
        Some(Done(next))
    }

    fn drain(&self, state: &State) -> Vec<Answer> {
        let mut answers = Vec::new();
        for d in self.databases().filter(|d| self.has(Guard::MarkerPerDatabase) || *d == 0) {
            answers.extend(self.marker(state, d));
        }
        if !self.did(state, CLOSED) {
            answers.push(self.close_logins(*state));
        } else if !self.did(state, EMPTY) {
            answers.push(self.evict(*state));
        }
        let arrived = if self.has(Guard::MarkerPerDatabase) { self.all(ARRIVED) } else { ARRIVED };
        if self.did(state, arrived | EMPTY) {
            answers.push(self.goes(*state, Pc::Fence));
        }
        answers
    }

    fn marker(&self, state: &State, d: usize) -> Option<Answer> {
        if self.did(state, ARRIVED << d) {
            return None;
        }
        let mut next = *state;
        if !self.did(state, MARKED << d) {
            if !self.group(state, self.closing) {
                return Some(Failed(next));
            }
            if self.has(Guard::MarkerAfterLock) {
                next.run[self.me].marker[d] = next.server[self.closing].db[d].out;
            }
            next.flush(self.closing);
            return Some(Done(self.with(next, MARKED << d)));
        }
        if !self.group(state, self.opening) {
            return Some(Failed(next));
        }
        let seen = state.server[self.opening].db[d].seen >= state.run[self.me].marker[d];
        if !seen && self.has(Guard::MarkerSeen) {
            return Some(Waits);
        }
        Some(Done(self.with(next, ARRIVED << d)))
    }

    fn close_logins(&self, mut state: State) -> Answer {
        if !self.group(&state, self.closing) {
            return Failed(state);
        }
        if self.has(Guard::LoginClosed) {
            // Not flushed: the guard's session has synchronous_commit off.
            let now = &mut state.server[self.closing].now;
            (now.login, now.saved_login) = (false, true);
        }
        Done(self.with(state, CLOSED))
    }

    fn evict(&self, state: State) -> Answer {
        if !self.group(&state, self.closing) {
            return Failed(state);
        }
        Done(self.with(self.without_clients(state), EMPTY))
    }

    fn without_clients(&self, mut state: State) -> State {
        let here = |w: Option<(u8, u8)>| w.filter(|(s, _)| usize::from(*s) != self.closing);
        if self.has(Guard::Eviction) {
            if matches!(state.direct, Direct::Here(s) if usize::from(s) == self.closing) {
                (state.direct, state.writing, state.hung) = (Direct::Away, here(state.writing), false);
            }
            state.cut_off |= here(state.pooled) != state.pooled;
            state.pooled = here(state.pooled);
        }
        state
    }

    fn fence(&self, state: &State, d: usize) -> Option<Answer> {
        let skipped = d > 0 && !self.has(Guard::AllFences);
        if self.did(state, FENCED << d) || skipped {
            return None;
        }
        let alive = self.lives(state, FENCE << d);
        if !self.did(state, TAKEN << d) {
            return Some(self.taken(*state, d, alive));
        }
        if !alive && (self.has(Guard::FenceConfirmed) || self.is_cut(state, self.closing)) {
            return Some(Failed(*state));
        }
        Some(Done(self.fenced(*state, d, alive)))
    }

    /// The commit of the rights, and beside it a look at the fence's own session.
    fn taken(&self, state: State, d: usize, alive: bool) -> Answer {
        if !self.group(&state, self.closing) {
            return Failed(state);
        }
        let mut state = self.with(state, TAKEN << d);
        let now = &mut state.server[self.closing].now;
        now.rights[d] &= !(state.revokes && self.config.has(Guard::Revoke));
        now.fence[d] = self.epoch;
        if self.has(Guard::SynchronousFence) {
            state.flush(self.closing);
        }
        if alive || !self.has(Guard::FenceConfirmed) { Done(state) } else { Failed(state) }
    }

    fn fenced(&self, state: State, d: usize, alive: bool) -> State {
        let mut state = self.with(state, FENCED << d);
        if alive {
            self.release(&mut state, self.closing, d, 4);
            state.server[self.closing].db[d].locked = 0;
        }
        let all = if self.has(Guard::AllFences) { self.all(FENCED) } else { FENCED };
        if self.did(&state, all) {
            state.run[self.me].pc = Pc::EvictAgain;
        }
        state
    }

    fn evict_again(&self, state: State) -> Answer {
        if !self.group(&state, self.closing) {
            return Failed(state);
        }
        let next = if self.has(Guard::SequencesSettled) && self.config.draws > 0 { Pc::Measure } else { Pc::Decide };
        self.goes(self.without_clients(state), next)
    }

    fn measure(&self, mut state: State) -> Answer {
        if !self.group(&state, self.closing) {
            return Failed(state);
        }
        let at_rest = state.server[self.closing].sequence;
        let behind = state.run[self.me].sequence < at_rest;
        state.run[self.me].set = if behind { at_rest } else { 0 };
        self.goes(state, if behind { Pc::Settle } else { Pc::Decide })
    }

    fn settle(&self, mut state: State) -> Answer {
        if !self.group(&state, self.opening) {
            return Failed(state);
        }
        state.server[self.opening].sequence = state.run[self.me].set;
        // Not flushed: without the decision's commit it counts for nothing.
        self.goes(state, Pc::Decide)
    }

    fn decide(&self, mut state: State) -> Answer {
        if !self.did(&state, LAID) {
            return Waits;
        }
        let there = self.group(&state, self.opening);
        let again = !self.has(Guard::ArbiterKept) && !self.is_cut(&state, self.opening);
        if !there && !again || self.is_barred(&state) {
            return Failed(state);
        }
        self.release(&mut state, self.opening, 0, 4);
        let server = &mut state.server[self.opening];
        server.now.open |= bit(self.epoch);
        if self.has(Guard::DecisionWithLogin) {
            (server.now.login, server.now.saved_login) = (true, false);
        }
        if self.has(Guard::SynchronousDecision) {
            state.flush(self.opening);
        }
        self.goes(state, Pc::Held)
    }

    fn is_held(&self, mut state: State) -> Answer {
        if !self.has(Guard::DecisionWithLogin) {
            let now = &mut state.server[self.opening].now;
            (now.login, now.saved_login) = (true, false);
            state.flush(self.opening);
        }
        let held = self.lives(&state, ROUTER) || !self.has(Guard::RouteLocked);
        if held { self.goes(state, Pc::Resume) } else { Failed(state) }
    }

    fn resume(&self, mut state: State) -> Answer {
        self.touch(&mut state);
        state.paused = false;
        state.told_open |= bit(self.epoch);
        Done(self.leave(state, Pc::Opened))
    }
}

/// `acl::restore`: nothing where there is no fence.
pub fn give_back(state: &mut State, side: usize, d: usize) {
    let server = &mut state.server[side];
    if server.now.fence[d] != 0 {
        server.now.rights[d] |= server.db[d].saved == Saved::Rights;
        server.now.fence[d] = 0;
        server.db[d].saved = Saved::Nothing;
    }
}
