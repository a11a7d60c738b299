//! The steps of a run. Each is one side effect of `workers/postgres/src/switch/`, or one look that decides.

/// What a run does next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Pc {
    /// Not started.
    Waiting,
    /// `epoch::observe`.
    Observe,
    /// `undo::evict_predecessor` on the source; then on the target.
    EvictSource,
    /// The same on the target.
    EvictTarget,
    /// `undo::conclude_earlier`: the notes of both sides.
    Earlier,
    /// `epoch::claim` when it comes before the gate, the n-th row.
    Claim(u8),
    /// `pass_gate`.
    Gate,
    /// Sessions are opened, `prove_closed`, `prove_serving`.
    Prove,
    /// `note::put` with the epoch.
    Note,
    /// `acl::restore` and `raise` on the opening side, by database.
    Ready(u8),
    /// `acl::save` on the closing side, by database.
    Save(u8),
    /// `RouteLock::take`.
    Route,
    /// `hold_ready`: the rights of each database, the logins, then the decision, each in a transaction that waits for its commit.
    HoldReady(u8),
    /// `note_pause`.
    NotePause,
    /// `Traffic::pause`.
    Pause,
    /// `Fence::lock` of every database, in any order.
    Lock,
    /// Markers, `login::close` and `login::evict`, and the route, in any order.
    Drain,
    /// `Fence::take_rights`, then `Fence::commit`, of every database, in any order.
    Fence,
    /// `login::evict` once more.
    EvictAgain,
    /// The closing side's sequences are read.
    Measure,
    /// And set on the opening side.
    Settle,
    /// `decision::open`: the commit that opens.
    Decide,
    /// `RouteLock::is_held`.
    Held,
    /// `Traffic::resume`.
    Resume,
    /// `abandon`: fences are rolled back; may clients go on at once?
    Abandon,
    /// Logins that were closed are given back.
    AbandonReopen,
    /// May clients go on?
    AbandonHold,
    /// They may: the route is laid back.
    AbandonMove,
    /// And they go on.
    AbandonResume,
    /// `decision::settle`.
    Win,
    /// `undo::finish`: the route's lock.
    FinishTake,
    /// The route.
    FinishMove,
    /// Clients go on.
    FinishResume,
    /// The lock is let go.
    FinishRelease,
    /// `epoch::bar`, the n-th database of both sides.
    Bar(u8),
    /// `acl::restore` for an undo, by database.
    Restore(u8),
    /// `login::reopen`.
    Reopen,
    /// `route::back`: the lock.
    BackTake,
    /// The route.
    BackMove,
    /// Clients go on.
    BackResume,
    /// The lock is let go.
    BackRelease,
    /// The note is removed.
    Forget,
    /// The note of an earlier attempt is removed.
    ForgetEarlier,
    /// `route::let_go`: the source's row.
    GoSource,
    /// The target's row.
    GoTarget,
    /// The route is laid to the side that serves.
    GoMove,
    /// Clients go on.
    GoResume,
    /// The rows are let go: were they held until now?
    GoRelease,
    /// Told `open`.
    Opened,
    /// Told `abort`.
    Aborted,
    /// A newer attempt has taken over.
    Refused,
    /// Nobody knows the outcome: a person is called.
    Alarm,
    /// Killed.
    Dead,
    /// Stopped and never woken.
    Stopped,
}

impl Pc {
    /// An attempt that undoes itself when something goes wrong.
    pub fn is_attempt(self) -> bool {
        self >= Pc::Prove && self <= Pc::Resume
    }
    /// It has ended one way or another.
    pub fn is_over(self) -> bool {
        self >= Pc::Opened
    }
    /// Its process lives and has something to do.
    pub fn is_running(self) -> bool {
        self != Pc::Waiting && !self.is_over()
    }
}

// Bits of `Run::done`.
/// Fence locked, by database.
pub const LOCKED: u16 = 1;
/// Marker committed, by database.
pub const MARKED: u16 = 1 << 2;
/// Marker seen, by database.
pub const ARRIVED: u16 = 1 << 4;
/// The route is laid.
pub const LAID: u16 = 1 << 6;
/// The fences may be committed.
pub const HOLDING: u16 = 1 << 7;
/// Logins are closed.
pub const CLOSED: u16 = 1 << 8;
/// Sessions are evicted.
pub const EMPTY: u16 = 1 << 9;
/// The rights are taken, by database.
pub const TAKEN: u16 = 1 << 11;
/// The fence is committed, by database.
pub const FENCED: u16 = 1 << 13;
/// Clients may have been held back.
pub const PAUSED: u16 = 1 << 15;
