//! What is done to a run, and where.

use std::fmt;

/// A fault. The first ones a failpoint does by itself; for the others the worker is stopped at the place, the harness does its
/// work, and the worker goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The worker is killed; another one is started.
    Kill,
    /// The worker stands still until another one has taken over, and then wakes up.
    Freeze,
    /// The worker stands still until the migration has ended, and then wakes up.
    FreezeToTheEnd,
    /// The activity fails before it does anything, with an error that passes.
    Error,
    /// The work is done and its answer lost.
    Lost,
    /// The activity fails for good: somebody says `retry`.
    Refuse,
    /// The activity fails for good: somebody says `abort`.
    Abort,
    /// A crash of the source: immediate stop, and a start.
    Source,
    /// A crash of the target.
    Target,
    /// PgBouncer dies and is started.
    Pooler,
    /// Temporal dies and is started over the same file.
    Temporal,
    /// All sessions of the worker and of replication are ended, on both sides.
    Sessions,
    /// The link from the worker to the source is cut for some seconds.
    CutSource,
    /// The link from the worker to the target is cut for some seconds.
    CutTarget,
    /// The link by which the target reads the source is cut for some seconds.
    CutPeer,
    /// All connections from the worker to the source are reset; new ones are served.
    ResetSource,
    /// All connections from the worker to the target are reset.
    ResetTarget,
    /// All connections by which the target reads the source are reset.
    ResetPeer,
    /// The link from the worker to the source takes long for some seconds.
    SlowSource,
    /// The link from the worker to the target takes long for some seconds.
    SlowTarget,
    /// The link by which the target reads the source takes long for some seconds.
    SlowPeer,
    /// The link from the worker to the source is silent for some seconds, and nobody is told.
    SilentSource,
    /// The link from the worker to the target is silent for some seconds.
    SilentTarget,
    /// The link by which the target reads the source is silent for some seconds.
    SilentPeer,
    /// A session holds a lock on a table of each side for some seconds.
    Lock,
    /// The source's disk is full for some seconds.
    FullSource,
    /// The target's disk is full for some seconds.
    FullTarget,
    /// The source gives up the slots of a target that doesn't read for a while: their WAL is gone.
    SlotsLost,
    /// The target gives up the slots of a source that doesn't read for a while.
    WayBackLost,
    /// The source is down until the run has parked for it.
    GoneSource,
    /// The target is down until the run has parked for it.
    GoneTarget,
    /// The password of the source's login is changed; somebody brings the new one and says `retry`.
    Password,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 32] = [
        Fault::Kill,
        Fault::Freeze,
        Fault::FreezeToTheEnd,
        Fault::Error,
        Fault::Lost,
        Fault::Refuse,
        Fault::Abort,
        Fault::Source,
        Fault::Target,
        Fault::Pooler,
        Fault::Temporal,
        Fault::Sessions,
        Fault::CutSource,
        Fault::CutTarget,
        Fault::CutPeer,
        Fault::ResetSource,
        Fault::ResetTarget,
        Fault::ResetPeer,
        Fault::SlowSource,
        Fault::SlowTarget,
        Fault::SlowPeer,
        Fault::SilentSource,
        Fault::SilentTarget,
        Fault::SilentPeer,
        Fault::Lock,
        Fault::FullSource,
        Fault::FullTarget,
        Fault::SlotsLost,
        Fault::WayBackLost,
        Fault::GoneSource,
        Fault::GoneTarget,
        Fault::Password,
    ];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Freeze => "freeze",
            Fault::FreezeToTheEnd => "freeze_to_the_end",
            Fault::Error => "error",
            Fault::Lost => "lost",
            Fault::Refuse => "refuse",
            Fault::Abort => "abort",
            Fault::Source => "crash_source",
            Fault::Target => "crash_target",
            Fault::Pooler => "crash_pooler",
            Fault::Temporal => "crash_temporal",
            Fault::Sessions => "end_sessions",
            Fault::CutSource => "cut_source",
            Fault::CutTarget => "cut_target",
            Fault::CutPeer => "cut_peer",
            Fault::ResetSource => "reset_source",
            Fault::ResetTarget => "reset_target",
            Fault::ResetPeer => "reset_peer",
            Fault::SlowSource => "slow_source",
            Fault::SlowTarget => "slow_target",
            Fault::SlowPeer => "slow_peer",
            Fault::SilentSource => "silent_source",
            Fault::SilentTarget => "silent_target",
            Fault::SilentPeer => "silent_peer",
            Fault::Lock => "lock",
            Fault::FullSource => "full_source",
            Fault::FullTarget => "full_target",
            Fault::SlotsLost => "slots_lost",
            Fault::WayBackLost => "way_back_lost",
            Fault::GoneSource => "gone_source",
            Fault::GoneTarget => "gone_target",
            Fault::Password => "password",
        }
    }

    /// A title for the table, with the class of faults that it belongs to.
    pub fn title(self) -> &'static str {
        match self {
            Fault::Kill => "worker killed",
            Fault::Freeze => "worker stopped, woken when overtaken",
            Fault::FreezeToTheEnd => "worker stopped, woken after the end",
            Fault::Error => "an error that passes",
            Fault::Lost => "done, the answer lost",
            Fault::Refuse => "refused, `retry`",
            Fault::Abort => "refused, `abort`",
            Fault::Source => "source crashes",
            Fault::Target => "target crashes",
            Fault::Pooler => "PgBouncer dies",
            Fault::Temporal => "Temporal dies",
            Fault::Sessions => "sessions ended",
            Fault::CutSource => "link worker to source cut",
            Fault::CutTarget => "link worker to target cut",
            Fault::CutPeer => "link target to source cut",
            Fault::ResetSource => "link worker to source reset",
            Fault::ResetTarget => "link worker to target reset",
            Fault::ResetPeer => "link target to source reset",
            Fault::SlowSource => "link worker to source slow",
            Fault::SlowTarget => "link worker to target slow",
            Fault::SlowPeer => "link target to source slow",
            Fault::SilentSource => "link worker to source half-open",
            Fault::SilentTarget => "link worker to target half-open",
            Fault::SilentPeer => "link target to source half-open",
            Fault::Lock => "locks held",
            Fault::FullSource => "source's disk full",
            Fault::FullTarget => "target's disk full",
            Fault::SlotsLost => "slots without their WAL, `abort`",
            Fault::WayBackLost => "the way back without its WAL",
            Fault::GoneSource => "source away until it parks",
            Fault::GoneTarget => "target away until it parks",
            Fault::Password => "password changed",
        }
    }

    /// What the failpoint is told.
    fn action(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Error => "error",
            Fault::Lost => "lost",
            Fault::Refuse | Fault::Abort => "refuse",
            _ => "stop",
        }
    }

    /// Whether the failpoint stops the worker, and the harness acts.
    pub fn stops(self) -> bool {
        self.action() == "stop"
    }

    /// The worker stands still, and another one takes over.
    pub fn stands_still(self) -> bool {
        matches!(self, Fault::Freeze | Fault::FreezeToTheEnd)
    }

    /// Nothing but an abort is left.
    pub fn ends_it(self) -> bool {
        matches!(self, Fault::Abort | Fault::SlotsLost)
    }

    /// It takes a disk that can run full.
    pub fn wants_a_disk(self) -> bool {
        matches!(self, Fault::FullSource | Fault::FullTarget)
    }

    /// A fault of the worker alone: nothing else is broken, so nobody may have to help.
    pub fn passes_by_itself(self) -> bool {
        matches!(self, Fault::Kill | Fault::Freeze | Fault::FreezeToTheEnd | Fault::Error | Fault::Lost)
    }
}

/// A fault at a place of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The stage, or `abort`.
    pub stage: String,
    /// The failpoint, such as `activity.ensure_roles.before` or `engine.node.after`.
    pub place: String,
    /// At which arrival.
    pub at: u32,
    /// What happens there.
    pub fault: Fault,
    /// An earlier stage comes to the same place: the failpoint is armed when this one has begun to wait.
    pub late: bool,
    /// The stage doesn't always come there: it looks again only when the first look doesn't suffice.
    pub sometimes: bool,
}

impl Injection {
    /// At the first arrival.
    pub fn new(stage: &str, place: impl Into<String>, fault: Fault) -> Self {
        Self { stage: stage.to_owned(), place: place.into(), at: 1, fault, late: false, sometimes: false }
    }

    /// What the worker is told.
    pub fn failpoint(&self) -> String {
        format!("{}={}@{}", self.place, self.fault.action(), self.at)
    }

    /// `before`, `after`, or the place within.
    pub fn side(&self) -> &'static str {
        match (self.place.starts_with("activity."), self.place.ends_with(".before")) {
            (true, true) => "before",
            (true, false) => "after",
            (false, _) => "within",
        }
    }
}

/// The name by which it is run again alone.
impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stage, self.place)?;
        if self.at > 1 {
            write!(f, "@{}", self.at)?;
        }
        write!(f, "/{}", self.fault.word())
    }
}
