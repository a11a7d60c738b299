//! What a run does before and after an attempt, as `mod.rs`, `undo.rs`, `route.rs`, `epoch.rs` and `attempt.rs` (`abandon`) do it.

use crate::{
    attempt::{
        Answer::{self, Done, Failed, Waits},
        Worker, give_back,
    },
    config::{opened, serves},
    guard::Guard,
    state::{Direct, FENCE, ROUTER, Run, SOURCE, State, TARGET, UNSTARTED, bit},
    steps::*,
};

impl Worker<'_> {
    /// The next steps of a run.
    pub fn steps(&self, state: &State) -> Vec<Answer> {
        let pc = state.run[self.me].pc;
        if pc.is_attempt() {
            return self.attempt(state);
        }
        vec![match pc {
            Pc::Observe => self.observe(*state),
            Pc::EvictSource => self.evict_predecessor(*state, SOURCE, Pc::EvictTarget),
            Pc::EvictTarget => self.evict_predecessor(*state, TARGET, Pc::Win),
            Pc::Earlier => self.earlier(*state),
            Pc::Claim(n) => self.claim(*state, n),
            Pc::Gate => self.gate(*state),
            Pc::Abandon => self.abandon(*state),
            Pc::AbandonReopen => self.abandon_reopen(*state),
            Pc::AbandonHold => self.abandon_hold(*state),
            Pc::AbandonMove | Pc::AbandonResume => self.abandon_traffic(*state, pc),
            Pc::Win => self.win(*state),
            Pc::FinishTake => self.finish(*state),
            Pc::FinishMove | Pc::FinishResume | Pc::FinishRelease => self.finish_traffic(*state, pc),
            Pc::Bar(n) => self.bar(*state, n),
            Pc::Restore(d) => self.restore(*state, d.into()),
            Pc::Reopen => self.reopen(*state),
            Pc::BackTake => self.back(*state),
            Pc::BackMove | Pc::BackResume | Pc::BackRelease => self.back_traffic(*state, pc),
            Pc::Forget => self.forget(*state),
            Pc::ForgetEarlier => self.forget_earlier(*state),
            Pc::GoSource | Pc::GoTarget => self.go(*state, pc),
            Pc::GoMove | Pc::GoResume | Pc::GoRelease => self.go_traffic(*state, pc),
            _ => Waits,
        }]
    }

    /// The epoch that this run was given.
    pub fn own(&self) -> u8 {
        self.config.runs[self.me].epoch
    }

    /// All its sessions end; it begins again, as Temporal lets it.
    pub fn again(&self, mut state: State) -> State {
        for side in [SOURCE, TARGET] {
            state.end_sessions(self.me, side);
        }
        state.run[self.me] = Run { pc: Pc::Observe, epoch: self.own(), ..UNSTARTED };
        state
    }

    /// A step has failed, or seems to have.
    pub fn fails(&self, mut state: State) -> State {
        let pc = state.run[self.me].pc;
        if !pc.is_attempt() {
            return self.again(state);
        }
        // `Attempt::prepare` has no `abandon`; after the first fence's commit only an undo gives back.
        let untouched = pc >= Pc::Pause && pc < Pc::Fence;
        if untouched {
            state.run[self.me].pc = Pc::Abandon;
            return state;
        }
        let begun = if pc >= Pc::Fence { HOLDING } else { 0 };
        let mut state = self.leave(state, Pc::Win);
        state.run[self.me].done |= begun;
        state
    }

    /// All its sessions end; what it does next needs none of them.
    pub fn leave(&self, mut state: State, pc: Pc) -> State {
        for side in [SOURCE, TARGET] {
            state.end_sessions(self.me, side);
        }
        let done = state.run[self.me].done & PAUSED;
        state.run[self.me] = Run { pc, epoch: self.epoch, done, ..UNSTARTED };
        state
    }

    fn observe(&self, state: State) -> Answer {
        if state.cut {
            return self.goes(state, Pc::Alarm);
        }
        let rows = |side: usize| self.databases().map(move |d| state.server[side].db[d].epoch);
        let epochs: Vec<u8> = rows(SOURCE).chain(rows(TARGET)).collect();
        if epochs.iter().any(|e| *e > self.epoch) {
            return self.goes(state, if self.has(Guard::LetGo) { Pc::GoSource } else { Pc::Refused });
        }
        self.goes(state, if epochs.contains(&self.epoch) { Pc::EvictSource } else { Pc::Earlier })
    }

    fn evict_predecessor(&self, mut state: State, side: usize, next: Pc) -> Answer {
        if self.is_cut(&state, side) {
            return Failed(state);
        }
        if self.has(Guard::PredecessorEvicted) {
            for other in (0..self.config.runs.len()).filter(|other| *other != self.me) {
                let closing = self.config.closing(state.run[other].epoch);
                state.end_attempt(other, side, closing);
            }
        }
        self.goes(state, next)
    }

    fn earlier(&self, mut state: State) -> Answer {
        if state.cut {
            return Failed(state);
        }
        let gate_or_claim = if self.has(Guard::ToldIsBarred) { Pc::Claim(0) } else { Pc::Gate };
        if !self.has(Guard::EarlierConcluded) {
            return self.goes(state, gate_or_claim);
        }
        for side in [SOURCE, TARGET] {
            let note = state.server[side].note;
            if note == 0 || note >= self.own() {
                continue;
            }
            let newer = (0..2).any(|s| self.databases().any(|d| state.server[s].db[d].epoch > note));
            if newer {
                state.server[side].note = 0;
                return self.goes(state, Pc::Earlier);
            }
            state.run[self.me].epoch = note;
            return self.goes(state, Pc::EvictSource);
        }
        self.goes(state, gate_or_claim)
    }

    /// The side that opens first: there the epoch is claimed by one only.
    fn claim(&self, mut state: State, n: u8) -> Answer {
        let (side, d) = self.row(n, [self.opening, self.closing]);
        if self.is_cut(&state, side) {
            return Failed(state);
        }
        let db = &mut state.server[side].db[d];
        if db.share & !(0x111 << self.me) != 0 || db.update != 0 {
            return Waits;
        }
        if db.epoch > self.epoch {
            return self.goes(state, Pc::Refused);
        }
        if db.epoch == self.epoch {
            return Failed(state);
        }
        db.epoch = self.epoch;
        state.flush(side);
        let last = usize::from(n) + 1 == 2 * self.config.databases;
        let after = if self.has(Guard::ToldIsBarred) { Pc::Gate } else { Pc::Prove };
        self.goes(state, if last { after } else { Pc::Claim(n + 1) })
    }

    fn row(&self, n: u8, sides: [usize; 2]) -> (usize, usize) {
        let (n, databases) = (usize::from(n), self.config.databases);
        (sides[n / databases], n % databases)
    }

    fn gate(&self, mut state: State) -> Answer {
        if state.cut {
            return Failed(state);
        }
        let opening = &state.server[self.opening].now;
        let inside = matches!(state.direct, Direct::Here(s) if usize::from(s) == self.opening);
        let closed = !opening.login && !inside || !self.has(Guard::ProvedClosed);
        let ready = state.reverse || !self.has(Guard::ReverseReady);
        match (closed && ready, self.has(Guard::ToldIsBarred)) {
            (true, true) => self.goes(state, Pc::Prove),
            (true, false) => self.goes(state, Pc::Claim(0)),
            (false, true) => self.goes(state, Pc::Win),
            (false, false) => {
                state.told_abort |= bit(self.epoch);
                self.goes(state, Pc::Aborted)
            }
        }
    }

    /// What isn't committed is rolled back.
    fn abandon(&self, mut state: State) -> Answer {
        for d in self.databases() {
            let db = &mut state.server[self.closing].db[d];
            db.locked = if usize::from(db.locked) == self.me + 1 { 0 } else { db.locked };
            db.share &= !(0x10 << self.me);
            state.run[self.me].live &= !(FENCE << d);
        }
        if !self.is_cut(&state, self.opening) {
            state.server[self.opening].db[0].share &= !(0x10 << self.me);
        }
        let closed = state.run[self.me].done & CLOSED != 0 && self.has(Guard::ReopenedAtOnce);
        self.goes(state, if closed { Pc::AbandonReopen } else { Pc::AbandonHold })
    }

    /// No fence was committed, so that only we could have decided `open`: the logins are given back before `abort` is won.
    fn abandon_reopen(&self, mut state: State) -> Answer {
        if self.is_cut(&state, self.closing) {
            return Done(self.leave(state, Pc::Win));
        }
        match self.hold_to_undo(&state, self.closing, 0) {
            None => return Waits,
            Some(false) => return Done(self.leave(state, Pc::Win)),
            Some(true) => {}
        }
        let now = &mut state.server[self.closing].now;
        (now.login, now.saved_login) = (now.login || now.saved_login, false);
        state.flush(self.closing);
        self.goes(state, Pc::AbandonHold)
    }

    /// May clients go on before the decision is known?
    fn abandon_hold(&self, mut state: State) -> Answer {
        let router = state.run[self.me].live & ROUTER != 0 && !self.is_cut(&state, self.opening);
        let held = router || !self.has(Guard::RouteLocked);
        if held {
            return self.goes(state, Pc::AbandonMove);
        }
        let here = !self.is_cut(&state, self.closing) && self.has(Guard::UntouchedGoesOn);
        match here.then(|| self.hold(&state, self.closing, 0)) {
            Some(None) => Waits,
            Some(Some(true)) => {
                state.server[self.closing].db[0].share |= 0x100 << self.me;
                self.goes(state, Pc::AbandonMove)
            }
            _ => Done(self.leave(state, Pc::Win)),
        }
    }

    fn abandon_traffic(&self, mut state: State, pc: Pc) -> Answer {
        if state.server[self.closing].db[0].share & 0x100 << self.me == 0 {
            self.touch(&mut state);
        }
        if pc == Pc::AbandonMove {
            state.route = self.closing as u8;
            return self.goes(state, Pc::AbandonResume);
        }
        state.paused = false;
        Done(self.leave(state, Pc::Win))
    }

    /// For those who undo: `None` while the row is held by somebody else, else whether no newer attempt has begun.
    fn hold_to_undo(&self, state: &State, side: usize, d: usize) -> Option<bool> {
        let db = &state.server[side].db[d];
        let held = db.share & !(0x111 << self.me) != 0 || db.update != 0 && usize::from(db.update) != self.me + 1;
        if held && self.has(Guard::EpochLocked) {
            return None;
        }
        Some(db.epoch <= self.epoch || !self.has(Guard::UndoChecked))
    }

    /// Somebody newer is at work. Poolers that were paused after that are let go.
    fn overtaken(&self, state: State) -> Answer {
        if self.epoch != self.own() {
            return Failed(state);
        }
        Done(self.leave(state, if self.has(Guard::LetGo) { Pc::GoSource } else { Pc::Refused }))
    }

    fn win(&self, mut state: State) -> Answer {
        if self.is_cut(&state, self.opening) {
            let next = if self.has(Guard::ClosedWhenUnknown) { Pc::Alarm } else { Pc::Restore(0) };
            return self.goes(state, next);
        }
        match self.hold_to_undo(&state, self.opening, 0) {
            None if self.is_overtaken(&state) => return self.overtaken(state),
            None if self.has(Guard::RecoveryEvicted) => return self.evict_recoveries(state),
            None => return Waits,
            Some(false) => return self.overtaken(state),
            Some(true) => {}
        }
        if opened(&state, self.opening, self.epoch) {
            return self.goes(state, Pc::FinishTake);
        }
        if self.has(Guard::AbortWon) {
            state.server[self.opening].db[0].barred |= bit(self.epoch);
            state.flush(self.opening);
        }
        self.goes(state, if self.has(Guard::AbortEverywhere) { Pc::Bar(0) } else { Pc::Restore(0) })
    }

    /// A look without a lock: an epoch never goes back.
    fn is_overtaken(&self, state: &State) -> bool {
        state.server[self.opening].db[0].epoch > self.epoch && self.has(Guard::UndoChecked)
    }

    /// Whoever keeps the row from us: its sessions end, also those of a recovery that stands still.
    fn evict_recoveries(&self, mut state: State) -> Answer {
        for other in (0..self.config.runs.len()).filter(|other| *other != self.me) {
            let closing = self.config.closing(state.run[other].epoch);
            state.end_attempt(other, self.opening, closing);
            if state.run[other].pc != Pc::Dead {
                state.end_sessions(other, self.opening);
            }
        }
        let waits = self.hold_to_undo(&state, self.opening, 0).is_none();
        if waits { Waits } else { Done(state) }
    }

    fn finish(&self, mut state: State) -> Answer {
        if self.is_cut(&state, self.opening) {
            return Failed(state);
        }
        match self.hold(&state, self.opening, 0) {
            None => Waits,
            Some(false) => self.overtaken(state),
            Some(true) => {
                if self.has(Guard::RouteBackLocked) {
                    state.server[self.opening].db[0].share |= 0x100 << self.me;
                }
                self.goes(state, Pc::FinishMove)
            }
        }
    }

    fn finish_traffic(&self, mut state: State, pc: Pc) -> Answer {
        let lost = state.server[self.opening].db[0].share & (0x100 << self.me) == 0 && self.has(Guard::RouteBackLocked);
        state.stray |= u8::from(lost) << self.me;
        match pc {
            Pc::FinishMove => {
                state.route = self.opening as u8;
                self.goes(state, Pc::FinishResume)
            }
            Pc::FinishResume => {
                state.paused = false;
                self.goes(state, Pc::FinishRelease)
            }
            _ => {
                if lost || self.is_cut(&state, self.opening) {
                    return Failed(state);
                }
                state.stray &= !(1 << self.me);
                state.told_open |= bit(self.epoch);
                let next = if self.epoch == self.own() { Pc::Opened } else { Pc::ForgetEarlier };
                Done(self.leave(state, next))
            }
        }
    }

    fn bar(&self, mut state: State, n: u8) -> Answer {
        let (side, d) = self.row(n, [self.closing, self.opening]);
        if self.is_cut(&state, side) {
            return Failed(state);
        }
        match self.hold_to_undo(&state, side, d) {
            None => return Waits,
            Some(false) => return self.overtaken(state),
            Some(true) => {}
        }
        state.server[side].db[d].barred |= bit(self.epoch);
        state.flush(side);
        if usize::from(n) + 1 < 2 * self.config.databases {
            return self.goes(state, Pc::Bar(n + 1));
        }
        let elsewhere = serves(&state) == self.opening && self.has(Guard::UndoWhereServing);
        self.goes(state, if elsewhere { Pc::BackTake } else { Pc::Restore(0) })
    }

    fn restore(&self, mut state: State, d: usize) -> Answer {
        if self.is_cut(&state, self.closing) {
            return Failed(state);
        }
        match self.hold_to_undo(&state, self.closing, d) {
            None => return Waits,
            Some(false) => return self.overtaken(state),
            Some(true) => {}
        }
        if self.has(Guard::RightsRestored) {
            give_back(&mut state, self.closing, d);
            state.flush(self.closing);
        }
        self.goes(state, if d + 1 < self.config.databases { Pc::Restore(1) } else { Pc::Reopen })
    }

    fn reopen(&self, mut state: State) -> Answer {
        if self.is_cut(&state, self.closing) {
            return Failed(state);
        }
        match self.hold_to_undo(&state, self.closing, 0) {
            None => return Waits,
            Some(false) => return self.overtaken(state),
            Some(true) => {}
        }
        if self.has(Guard::LoginsRestored) && state.server[self.closing].now.saved_login {
            let now = &mut state.server[self.closing].now;
            (now.login, now.saved_login) = (true, false);
        }
        state.flush(self.closing);
        self.goes(state, Pc::BackTake)
    }

    fn back(&self, mut state: State) -> Answer {
        if self.is_cut(&state, self.opening) {
            return Failed(state);
        }
        match self.hold_to_undo(&state, self.opening, 0) {
            None => return Waits,
            Some(false) => return self.overtaken(state),
            Some(true) => {}
        }
        if self.has(Guard::RouteBackLocked) {
            state.server[self.opening].db[0].update = self.me as u8 + 1;
        }
        self.goes(state, Pc::BackMove)
    }

    fn back_traffic(&self, mut state: State, pc: Pc) -> Answer {
        let lost = usize::from(state.server[self.opening].db[0].update) != self.me + 1;
        let lost = lost && self.has(Guard::RouteBackLocked);
        state.stray |= u8::from(lost) << self.me;
        match pc {
            Pc::BackMove => {
                let elsewhere = serves(&state) == self.opening && self.has(Guard::UndoWhereServing);
                state.route = if elsewhere { self.opening } else { self.closing } as u8;
                self.goes(state, Pc::BackResume)
            }
            Pc::BackResume => {
                state.paused = false;
                self.goes(state, Pc::BackRelease)
            }
            _ => {
                if lost || self.is_cut(&state, self.opening) {
                    return Failed(state);
                }
                state.server[self.opening].db[0].update = 0;
                state.stray &= !(1 << self.me);
                self.goes(state, Pc::Forget)
            }
        }
    }

    fn forget(&self, mut state: State) -> Answer {
        if self.is_cut(&state, self.opening) {
            return Failed(state);
        }
        let note = &mut state.server[self.opening].note;
        if *note == self.epoch || !self.has(Guard::NoteUnderEpoch) {
            *note = 0;
        }
        if self.epoch != self.own() {
            return Done(self.leave(state, Pc::ForgetEarlier));
        }
        let elsewhere = serves(&state) == self.opening && self.has(Guard::UndoWhereServing);
        if elsewhere {
            state.told_open |= bit(self.epoch);
            return Done(self.leave(state, Pc::Opened));
        }
        state.told_abort |= bit(self.epoch);
        Done(self.leave(state, Pc::Aborted))
    }

    /// An earlier attempt has come to its end. If it switched what is asked for now, that is the answer.
    fn forget_earlier(&self, mut state: State) -> Answer {
        if self.is_cut(&state, self.opening) {
            return Failed(state);
        }
        let note = &mut state.server[self.opening].note;
        if *note == self.epoch || !self.has(Guard::NoteUnderEpoch) {
            *note = 0;
        }
        let same = self.config.opening(self.own()) == self.opening;
        if same && opened(&state, self.opening, self.epoch) {
            return self.goes(state, Pc::Opened);
        }
        state.run[self.me].epoch = self.own();
        self.goes(state, Pc::Earlier)
    }

    /// Both sides' rows are locked before poolers are let go.
    fn go(&self, mut state: State, pc: Pc) -> Answer {
        let (side, next) = if pc == Pc::GoSource { (SOURCE, Pc::GoTarget) } else { (TARGET, Pc::GoMove) };
        if self.is_cut(&state, side) {
            return Failed(state);
        }
        let db = &mut state.server[side].db[0];
        let held = db.share & !(0x111 << self.me) != 0 || db.update != 0;
        if held && pc == Pc::GoTarget && self.has(Guard::LetGoNoWait) {
            state.end_sessions(self.me, SOURCE);
            return self.goes(state, Pc::GoSource);
        }
        if held {
            return Waits;
        }
        db.update = self.me as u8 + 1;
        self.goes(state, next)
    }

    fn go_traffic(&self, mut state: State, pc: Pc) -> Answer {
        let held = |side: usize| usize::from(state.server[side].db[0].update) == self.me + 1;
        let lost = !(held(SOURCE) && held(TARGET)) || state.cut;
        state.stray |= u8::from(lost) << self.me;
        match pc {
            Pc::GoMove => {
                if self.has(Guard::LetGoServes) {
                    state.route = serves(&state) as u8;
                }
                self.goes(state, Pc::GoResume)
            }
            Pc::GoResume => {
                state.paused = false;
                self.goes(state, Pc::GoRelease)
            }
            _ if lost => Failed(state),
            _ => {
                state.stray &= !(1 << self.me);
                Done(self.leave(state, Pc::Refused))
            }
        }
    }
}
