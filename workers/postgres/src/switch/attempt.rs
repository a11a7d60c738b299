//! One attempt, from the claimed epoch to the decision and the traffic. Each step is a few lines; what must not be reordered is
//! said where it stands. Whatever fails before the decision ends in `undo`.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use changeover_domain::{Direction, Failure, Side, fence::Fence as Means, proto::Budgets};
use futures::future::{join_all, try_join_all};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::GenericClient;

use super::{
    acl::{self, Hold},
    ahead, decision,
    effect::{Change, Effect, perform, say},
    epoch,
    fence::{self, Fence},
    flag,
    login::{self, Whose},
    marker::Marker,
    record::Recorder,
    route::RouteLock,
    turn,
};
use crate::{Migration, Session, gate, note, sequences, traffic::Traffic};

/// Longest wait for a pooler to have no server login in progress.
const LOGINS: Duration = Duration::from_secs(2);
/// Longest wait for terminated sessions to be gone.
const EVICTION: Duration = Duration::from_secs(2);
/// Longest time that the fence's lock is held from when it was got, beyond the drain.
const HOLD: Duration = Duration::from_secs(6);

/// For so long it is taken for granted that a side which has answered still would.
const FRESH: Duration = Duration::from_millis(2);

/// Longest wait for a rollback.
const RELEASE: Duration = Duration::from_secs(1);

/// Longest wait for the closing side to say that clients may go on there.
const GUARD: Duration = Duration::from_secs(2);

/// Key of the note on the arbiter that tells a recovery since when writers may have waited.
pub(crate) const ATTEMPT: &str = "switch";

/// What is kept of an attempt for the case of a crash.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Note {
    pub(crate) epoch: u64,
    pub(crate) direction: Direction,
    pub(crate) pause_since_us: Option<u64>,
}

/// One database of the attempt: sessions opened and warmed before anybody waits.
struct Lane {
    fence: Fence,
    /// On the closing side: writes the marker.
    writer: Session,
    /// On the opening side: sees the marker, sets the sequences.
    watcher: Session,
    /// On the opening side, where triggers are to be turned over: its transaction keeps vacuum off their tables.
    turner: Option<turn::Turner>,
    closing_sequences: sequences::Watch,
    opening_sequences: sequences::States,
}

pub(crate) struct Attempt<'a> {
    migration: &'a Migration,
    direction: Direction,
    epoch: u64,
    traffic: &'a dyn Traffic,
    budgets: Budgets,
    lanes: Vec<Lane>,
    /// On the control database of the closing side: holds the logins closed, in a transaction that waits for its commit.
    guard: Session,
    /// On the control database of the opening side: holds the decision, in a transaction that waits for its commit.
    arbiter: Session,
    /// There as well: the right to touch the poolers.
    route: RouteLock,
    /// From here on the logins of the closing side may be closed: we can give them back, since only we could decide `open`.
    closing: AtomicBool,
    /// From here on its fences may be committed, and only an undo can give it back.
    committing: AtomicBool,
}

impl<'a> Attempt<'a> {
    /// Everything that writers don't notice. The epoch has been claimed.
    pub(crate) async fn prepare(
        migration: &'a Migration,
        direction: Direction,
        epoch: u64,
        traffic: &'a dyn Traffic,
    ) -> Result<Self, Failure> {
        let guard = migration.provider(direction).open(migration.control_database(), "switch-guard").await?;
        // What it commits is flushed by the fences' commits, without which it counts for nothing.
        say(&guard, "set synchronous_commit = off").await.map_err(guard.failed("preparing the fence"))?;
        let arbiter = decision::arbiter(migration, direction, "switch-arbiter").await?;
        prove_closed(&arbiter, migration).await?;
        prove_serving(&guard).await?;
        let note = Note { epoch, direction, pause_since_us: None };
        perform(Effect::Note, |change| put_note(change, &arbiter, migration, &note)).await?;
        perform(Effect::Stage, |_| traffic.stage(direction.to_side())).await?;
        let means = gate::chosen(&*guard, guard.side).await?;
        let router = migration.subscriber(direction).open(migration.control_database(), "switch-router").await?;
        let drafts =
            try_join_all(migration.databases().iter().map(|d| Draft::prepare(migration, direction, epoch, &d.name)))
                .await?;
        // Every session is open by now: logging in takes a while, in which the fences' beats might be late.
        let lanes = try_join_all(drafts.into_iter().map(|draft| draft.arm(migration, means, epoch))).await?;
        let route = perform(Effect::HoldRoute, |change| RouteLock::take(change, router, migration, epoch)).await?;
        let budgets = migration.spec.budgets.unwrap_or_default();
        let attempt = Self {
            migration,
            direction,
            epoch,
            traffic,
            budgets,
            lanes,
            guard,
            arbiter,
            route,
            closing: AtomicBool::new(false),
            committing: AtomicBool::new(false),
        };
        attempt.rehearse().await?;
        attempt.hold_ready().await?;
        Ok(attempt)
    }

    /// What the pause would spend time on and nobody sees before its commit: the taken rights, the closed logins, and the decision.
    async fn hold_ready(&self) -> Result<(), Failure> {
        let Self { migration, epoch, guard, arbiter, .. } = self;
        for session in [guard, arbiter] {
            say(session, fence::HELD_READY).await.map_err(session.failed("preparing the fence"))?;
        }
        let rights = try_join_all(self.lanes.iter().map(|lane| async {
            let hold = |change| lane.fence.hold_rights(change, migration, *epoch, &lane.writer);
            perform(Effect::HoldRights, hold).await
        }));
        let logins = perform(Effect::HoldLogins, |change| login::hold(change, guard, migration, *epoch));
        let decision = perform(Effect::HoldDecision, |change| decision::hold(change, arbiter, migration, *epoch));
        futures::try_join!(rights, logins, decision).map(drop)
    }

    /// Says beforehand what will be said during the pause, as far as it changes nothing: backends fill their caches, and a marker
    /// proves that the way is open.
    async fn rehearse(&self) -> Result<(), Failure> {
        let markers = try_join_all(self.lanes.iter().map(|lane| self.send_marker(Effect::Rehearse, lane)));
        let fences = try_join_all(self.lanes.iter().map(|lane| lane.fence.check(self.migration, &lane.writer)));
        let guard = perform(Effect::Rehearse, |change| login::evict(change, &self.guard, Whose::Nobody, EVICTION));
        let arbiter = perform(Effect::Rehearse, |change| login::evict(change, &self.arbiter, Whose::Nobody, EVICTION));
        let lockers = try_join_all(self.lanes.iter().map(|lane| {
            perform(Effect::Rehearse, |change| login::evict(change, lane.fence.session(), Whose::Nobody, EVICTION))
        }));
        futures::try_join!(markers, fences, guard, arbiter, lockers).map(drop)
    }

    /// From the pause to the open other side. After an error the outcome isn't known before `decision::settle` has told it.
    pub(crate) async fn run(self, recorder: &mut Recorder) -> Result<(), Failure> {
        let outcome = self.switch(recorder).await;
        if outcome.is_err() {
            self.abandon(recorder).await;
        }
        outcome
    }

    async fn switch(&self, recorder: &mut Recorder) -> Result<(), Failure> {
        self.await_logins().await?;
        self.note_pause().await?;
        recorder.begin_pause();
        let most = self.lock_budget() * 2 + self.drain_budget() + HOLD;
        match timeout(most, self.decide(recorder)).await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(super::stands_still("the way to the decision", most)),
        }
        if !self.route.is_held().await {
            return Err(epoch::overtaken(self.epoch));
        }
        perform(Effect::Resume, |_| self.traffic.resume()).await?;
        recorder.end_pause();
        recorder.step("resumed");
        Ok(())
    }

    /// Lets go of everything that is open, so that an undo finds no lock of ours. While no fence has been committed clients may go
    /// on at once: the epoch can't be decided `open` any more, since only we could have written it.
    async fn abandon(self, recorder: &mut Recorder) {
        let Self {
            migration, direction, epoch, traffic, lanes, mut guard, arbiter, route, closing, committing, ..
        } = self;
        let fences = join_all(
            lanes
                .into_iter()
                .map(|lane| async move { perform(Effect::ReleaseFence, |change| lane.fence.roll_back(change)).await }),
        );
        let (fences, decision) = futures::join!(fences, release(&arbiter));
        for failure in fences.into_iter().chain([decision]).filter_map(Result::err) {
            tracing::debug!(%failure, "letting go: the session's end does the same");
        }
        if committing.load(Ordering::Relaxed) {
            return;
        }
        let back = async {
            if closing.load(Ordering::Relaxed) {
                let reopen =
                    perform(Effect::ReopenAtOnce, |change| login::reopen(change, &mut guard, migration, epoch));
                super::within("giving logins back at once", GUARD, reopen).await?;
            } else if let Err(failure) = release(&guard).await {
                // Its commit was never sent, so the logins are as they were.
                tracing::debug!(%failure, "letting go of the logins that were held ready");
            }
            let _held = hold_either(route, guard, migration, epoch).await?;
            perform(Effect::RouteAtOnce, |_| traffic.move_to(direction.from_side())).await?;
            perform(Effect::ResumeAtOnce, |_| traffic.resume()).await
        };
        match back.await {
            Ok(()) => recorder.end_pause(),
            Err(failure) => tracing::warn!(%failure, "letting clients go on; the undo tries it again"),
        }
    }

    /// The pause, up to the commit that opens the other side.
    async fn decide(&self, recorder: &mut Recorder) -> Result<(), Failure> {
        self.lock(recorder).await?;
        // Clients are held back, so their new route may be laid before it is decided that they take it: it takes some time.
        let route = done_at(perform(Effect::Route, |_| self.traffic.move_to(self.direction.to_side())));
        let fence = async {
            self.drain_and_close(recorder, Instant::now()).await?;
            self.commit_fences(recorder).await
        };
        let ((), routed) = futures::try_join!(fence, route)?;
        recorder.step_at("routed", routed);
        perform(Effect::Decide, |change| decision::open(change, &self.arbiter)).await?;
        recorder.step("decided");
        Ok(())
    }

    /// A pause while a pooler logs in to a server makes it refuse clients later.
    async fn await_logins(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + LOGINS;
        while self.traffic.logins().await? > 0 {
            if Instant::now() >= deadline {
                let message = "a pooler has server logins in progress all the time";
                return Err(Failure::transient(
                    "CO0724",
                    message,
                    "it is tried again; give the pooler a min_pool_size",
                ));
            }
            sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    async fn note_pause(&self) -> Result<(), Failure> {
        for lane in &self.lanes {
            lane.fence.aim(self.lock_budget()).await?;
        }
        let since = jiff::Timestamp::now().as_microsecond().unsigned_abs();
        let note = Note { epoch: self.epoch, direction: self.direction, pause_since_us: Some(since) };
        // The arbiter's own session is within its transaction by now. The first lane is the control database's.
        let Some(lane) = self.lanes.first() else { return Ok(()) };
        perform(Effect::NotePause, |change| put_note(change, &lane.watcher, self.migration, &note)).await
    }

    fn lock_budget(&self) -> Duration {
        Duration::from_millis(self.budgets.fence_lock_ms)
    }

    fn drain_budget(&self) -> Duration {
        Duration::from_millis(self.budgets.drain_ms)
    }

    /// Poolers first: their transactions end in peace, before a lock could come between two of their statements.
    async fn lock(&self, recorder: &mut Recorder) -> Result<(), Failure> {
        perform(Effect::Pause, |_| self.traffic.pause(self.lock_budget())).await?;
        recorder.step("paused");
        let hold = self.drain_budget() + HOLD;
        let locked = join_all(self.lanes.iter().map(|lane| lane.lock(hold))).await;
        if let Some(failure) = locked.into_iter().find_map(Result::err) {
            return Err(self.name_blockers(failure).await);
        }
        recorder.step("locked");
        // What follows changes their way, and the logins of the side that they came from.
        self.traffic.keep().await
    }

    async fn send_marker(&self, effect: Effect, lane: &Lane) -> Result<(), Failure> {
        let marker = Marker::new(self.direction.from_side(), self.epoch)?;
        let budget = self.drain_budget();
        perform(effect, |change| marker.travel(change, &lane.writer, &lane.watcher, budget)).await
    }

    async fn name_blockers(&self, mut failure: Failure) -> Failure {
        if failure.code != "CO0710" {
            return failure;
        }
        for lane in &self.lanes {
            match lane.fence.blockers(&lane.writer).await {
                Ok(blockers) if !blockers.is_empty() => {
                    failure.message = format!("{}; {}", failure.message, blockers.join("; "))
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "looking for blockers"),
            }
        }
        failure
    }

    /// All locks are held: markers, and while they travel the catalog is looked at, triggers are silenced, which a rollback of the
    /// fence would undo, and the logins are closed, committed: the fence's commit must find nobody inside.
    async fn drain_and_close(&self, recorder: &mut Recorder, locked: Instant) -> Result<(), Failure> {
        let travel = try_join_all(self.lanes.iter().map(|lane| self.send_marker(Effect::Mark, lane)));
        let check = try_join_all(self.lanes.iter().map(|lane| lane.check(self.migration)));
        let (drained, checked, closed) =
            futures::try_join!(done_at(travel), done_at(check), done_at(self.close_logins(locked)))?;
        for (name, at) in [("drained", drained), ("checked", checked), ("closed", closed)] {
            recorder.step_at(name, at);
        }
        Ok(())
    }

    /// Sent at once: the second one finds whom the first one has closed. A side that has fallen silent under its locks frees them by
    /// itself, and clients can go on if its logins were left alone: so one that hasn't answered just now is heard first.
    async fn close_logins(&self, heard: Instant) -> Result<(), Failure> {
        if heard.elapsed() > FRESH {
            say(&self.guard, "select").await.map_err(self.guard.failed("closing logins"))?;
        }
        self.closing.store(true, Ordering::Relaxed);
        let close = perform(Effect::CloseLogins, |change| login::close(change, &self.guard));
        let evict = perform(Effect::Evict, |change| login::evict(change, &self.guard, Whose::Closed, EVICTION));
        futures::try_join!(close, evict).map(drop)
    }

    /// No session is left: the locking transactions, and what only can be done then on the opening side, before the first session is
    /// let in.
    async fn commit_fences(&self, recorder: &mut Recorder) -> Result<(), Failure> {
        self.committing.store(true, Ordering::Relaxed);
        let fenced = try_join_all(self.lanes.iter().map(|lane| lane.commit(self.migration, self.epoch))).await?;
        if let Some(last) = fenced.into_iter().max() {
            recorder.step_at("fenced", last);
        }
        recorder.step("turned");
        Ok(())
    }
}

/// When something was done that may be done beside other things.
async fn done_at<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<Instant, Failure> {
    work.await.map(|_| Instant::now())
}

/// Rolls back what a session holds ready. No answer is an end as well: the session is dropped soon.
async fn release(session: &Session) -> Result<(), Failure> {
    let rolled_back = timeout(RELEASE, say(session, "rollback")).await;
    match rolled_back {
        Ok(answer) => answer.map_err(session.failed("letting go of what was held ready")),
        Err(_) => Err(super::stands_still("letting go of what was held ready", RELEASE)),
    }
}

/// A lane whose fence doesn't hold anything yet.
struct Draft {
    /// On the closing side: the fence's, and that which takes the rights.
    lockers: [Session; 2],
    writer: Session,
    watcher: Session,
    turner: Option<turn::Turner>,
    closing_sequences: sequences::Watch,
    opening_sequences: sequences::States,
}

impl Draft {
    async fn prepare(migration: &Migration, direction: Direction, epoch: u64, database: &str) -> Result<Self, Failure> {
        let (closing, opening) = (migration.provider(direction), migration.subscriber(direction));
        let locker = closing.open(database, "switch-fence").await?;
        let second = closing.open(database, "switch-proof").await?;
        let writer = closing.open(database, "switch-writer").await?;
        let mut watcher = opening.open(database, "switch-watcher").await?;
        say(&writer, "set synchronous_commit = on").await.map_err(writer.failed("preparing the fence"))?;
        perform(Effect::RestoreRights, |change| acl::restore(change, &mut watcher, migration, Hold::Acting(epoch)))
            .await?;
        perform(Effect::OpenGate, |change| flag::open(change, &mut watcher, migration, Hold::Acting(epoch))).await?;
        let closing_reader = sequences::Reader::prepare(migration, &locker).await?;
        let opening_reader = sequences::Reader::prepare(migration, &watcher).await?;
        let margin = migration.spec.budgets.map_or(0, |budgets| budgets.sequence_margin);
        let closing = closing_reader.read(&locker).await?;
        let raise = |change| raise(change, migration, &watcher, epoch, &closing, &opening_reader, margin);
        perform(Effect::RaiseSequences, raise).await?;
        let opening_sequences = opening_reader.read(&watcher).await?;
        let closing_sequences =
            sequences::Watch::prepare(&closing_reader, &locker, &closing, &opening_sequences).await?;
        let turner =
            perform(Effect::HoldTriggers, |change| turn::prepare(change, migration, direction, database)).await?;
        Ok(Self { lockers: [locker, second], writer, watcher, turner, closing_sequences, opening_sequences })
    }

    /// From here on vacuum and DDL are kept out.
    async fn arm(mut self, migration: &Migration, means: Means, epoch: u64) -> Result<Lane, Failure> {
        let fence = Fence::prepare(migration, means, self.lockers, &mut self.writer, epoch).await?;
        let Draft { writer, watcher, turner, closing_sequences, opening_sequences, .. } = self;
        Ok(Lane { fence, writer, watcher, turner, closing_sequences, opening_sequences })
    }
}

impl Lane {
    async fn lock(&self, hold: Duration) -> Result<(), Failure> {
        perform(Effect::Lock, |change| self.fence.lock(change, hold)).await
    }

    /// The catalog is what the fence was prepared for, and triggers are silent.
    async fn check(&self, migration: &Migration) -> Result<(), Failure> {
        futures::try_join!(self.fence.look(migration, &self.writer), self.fence.silence()).map(drop)
    }

    /// Commits the rights, then the fence: this side is at rest, and the triggers of the other one may fire. On the fence's way,
    /// sent at once: a login that was half done when its role was closed has come to its end by now, so its session is ended; then
    /// nobody draws from the sequences any more, and they are read. Returns when the fence was committed.
    async fn commit(&self, migration: &Migration, epoch: u64) -> Result<Instant, Failure> {
        self.fence.shut(migration, epoch).await?;
        if self.fence.takes_rights() {
            perform(Effect::TakeRights, |change| self.fence.take_rights(change, migration, epoch)).await?;
        }
        let session = self.fence.session();
        let fence = async {
            perform(Effect::CommitFence, |change| self.fence.commit(change, epoch)).await?;
            let at = Instant::now();
            self.turn_triggers(migration, epoch).await.map(|()| at)
        };
        let (fenced, evicted, at_rest) = futures::join!(
            fence,
            perform(Effect::EvictLate, |change| login::evict(change, session, Whose::Closed, EVICTION)),
            self.closing_sequences.look(session)
        );
        let at = fenced?;
        evicted?;
        self.settle_sequences(migration, epoch, &at_rest?).await.map(|()| at)
    }

    async fn settle_sequences(
        &self,
        migration: &Migration,
        epoch: u64,
        at_rest: &sequences::States,
    ) -> Result<(), Failure> {
        let moves = sequences::moves_under_fence(&self.watcher, at_rest, &self.opening_sequences)?;
        perform(Effect::SettleSequences, |change| ahead::set(change, &self.watcher, migration, epoch, &moves)).await
    }

    async fn turn_triggers(&self, migration: &Migration, epoch: u64) -> Result<(), Failure> {
        match &self.turner {
            Some(turner) => perform(Effect::TurnTriggers, |change| turner.serve(change, migration, epoch)).await,
            None => Ok(()),
        }
    }
}

/// Moves the opening side's sequences ahead.
async fn raise(
    change: Change,
    migration: &Migration,
    watcher: &Session,
    epoch: u64,
    closing: &sequences::States,
    reader: &sequences::Reader,
    margin: u64,
) -> Result<(), Failure> {
    let moves = sequences::moves_ahead(watcher, closing, &reader.read(watcher).await?, margin)?;
    ahead::set(change, watcher, migration, epoch, &moves).await
}

/// The opening side is closed: no application role may log in there and none has a session.
async fn prove_closed(arbiter: &Session, migration: &Migration) -> Result<(), Failure> {
    let side = arbiter.side;
    let open = login::applications(&**arbiter, side, migration).await?;
    let mut roles = login::saved(&**arbiter, side).await?;
    roles.extend(login::strays(&**arbiter, side, migration).await?);
    let sessions = login::sessions(arbiter, &roles).await?;
    if open.is_empty() && sessions == 0 {
        return Ok(());
    }
    let message =
        format!("the {side} isn't closed: {} application roles may log in, {sessions} sessions exist", open.len());
    Err(Failure::needs_human(
        "CO0725",
        message,
        "close them (alter role … nologin), end the sessions, then `changeover retry`",
    ))
}

/// The closing side serves: no fence of an earlier attempt is left on it.
async fn prove_serving(guard: &Session) -> Result<(), Failure> {
    let closed = login::saved(&**guard, guard.side).await?;
    if closed.is_empty() {
        return Ok(());
    }
    let message = format!("the {} is closed: {} roles wait for their login there", guard.side, closed.len());
    Err(Failure::needs_human(
        "CO0719",
        message,
        "an earlier attempt has closed it: see its decision, then `changeover retry`",
    ))
}

/// The right to touch the poolers: where the opening side doesn't answer, the closing side's row does as well, since a newer
/// attempt claims it, too, before it pauses anybody.
async fn hold_either(
    route: RouteLock,
    guard: Session,
    migration: &Migration,
    epoch: u64,
) -> Result<RouteLock, Failure> {
    if route.is_held().await {
        return Ok(route);
    }
    let held = perform(Effect::HoldRoute, |change| RouteLock::take(change, guard, migration, epoch));
    timeout(GUARD, held).await.unwrap_or_else(|_| Err(epoch::overtaken(epoch)))
}

/// Writes the attempt's note, under its epoch's lock: a late attempt must not write over the note of the one at work.
async fn put_note(_: Change, arbiter: &Session, migration: &Migration, note: &Note) -> Result<(), Failure> {
    let failed = arbiter.failed("writing a note");
    say(arbiter, "begin isolation level read committed").await.map_err(&failed)?;
    epoch::hold(&**arbiter, arbiter.side, migration, note.epoch).await?;
    note::put(&**arbiter, arbiter.side, ATTEMPT, note).await?;
    arbiter.batch_execute("commit").await.map_err(&failed)
}

/// Removes an attempt's note; another attempt's stays.
pub(crate) async fn forget_note(_: Change, session: &Session, epoch: u64) -> Result<(), Failure> {
    let sql = "delete from changeover.note where key = $1 and value -> 'epoch' = pg_catalog.to_jsonb($2::bigint)";
    let (key, epoch) = (ATTEMPT, epoch::number(epoch)?);
    session.execute(sql, &[&key, &epoch]).await.map(drop).map_err(session.failed("removing a note"))
}

/// Reads the note that an attempt left.
pub(crate) async fn read_note(client: &impl GenericClient, side: Side, epoch: u64) -> Result<Option<Note>, Failure> {
    Ok(note::get::<Note>(client, side, ATTEMPT).await?.filter(|note| note.epoch == epoch))
}
