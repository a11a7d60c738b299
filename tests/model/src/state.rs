//! What the model remembers: two servers, the poolers, the links, the clients and up to three runs of the switch.

use crate::steps::Pc;

/// Databases of the instance, at most.
pub const DATABASES: usize = 2;
/// Runs of the activity, at most.
pub const RUNS: usize = 3;
/// Index of the source.
pub const SOURCE: usize = 0;
/// Index of the target.
pub const TARGET: usize = 1;

/// What a commit of a server makes durable, and a crash takes back when it was committed asynchronously.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Kept {
    /// Application roles may log in (of the instance).
    pub login: bool,
    /// `changeover.saved_login` has rows.
    pub saved_login: bool,
    /// Epochs decided `open` here, one bit each.
    pub open: u8,
    /// Application roles may write, by database.
    pub rights: [bool; DATABASES],
    /// The epoch in the note `fence`, 0 for none, by database.
    pub fence: [u8; DATABASES],
}

/// What `changeover.saved_acl` holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Saved {
    /// No row.
    Nothing,
    /// The rights as they were while applications could write.
    Rights,
    /// Rights that were read when a fence had taken them: giving them back gives nothing.
    Ruin,
}

/// One database of one side.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Database {
    /// `changeover.migration.epoch`.
    pub epoch: u8,
    /// Epochs with `abort` in `changeover.decision`, one bit each.
    pub barred: u8,
    /// Who holds the epoch's row FOR SHARE: bits 0–3 by the router, 4–7 by a short transaction, 8–11 by a recovery's route lock.
    pub share: u16,
    /// Who holds the epoch's row FOR UPDATE beyond one step: run + 1.
    pub update: u8,
    /// Who holds the EXCLUSIVE lock on the tables: run + 1.
    pub locked: u8,
    /// The remembered rights.
    pub saved: Saved,
    /// Application commits of this side, which travel to the other.
    pub out: u8,
    /// Of the other side's commits: visible here.
    pub seen: u8,
    /// Of them: durable here.
    pub firm: u8,
}

/// One server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Server {
    /// As sessions see it.
    pub now: Kept,
    /// As a crash would leave it.
    pub durable: Kept,
    /// Its databases.
    pub db: [Database; DATABASES],
    /// The note `switch`: an epoch, 0 for none.
    pub note: u8,
    /// Position of a sequence.
    pub sequence: u8,
}

/// The client that connects to a server itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direct {
    /// Not connected.
    Away,
    /// Its login has been checked; the session isn't there yet.
    Arriving(u8),
    /// In a session.
    Here(u8),
}

/// A transaction of a client that has written: side and database.
pub type Writing = Option<(u8, u8)>;

/// One run of the activity: a worker process from its start to its end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Run {
    /// The next step.
    pub pc: Pc,
    /// The epoch that is being concluded: its own, or that of an earlier attempt.
    pub epoch: u8,
    /// What has been done, of steps that have no order.
    pub done: u16,
    /// Which sessions live.
    pub live: u8,
    /// Where the markers lie in the streams.
    pub marker: [u8; DATABASES],
    /// The opening side's sequence as the attempt saw it.
    pub sequence: u8,
    /// What it is about to set it to; 0 for nothing.
    pub set: u8,
}

/// Faults that are left.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Faults {
    /// A worker is killed.
    pub crashes: u8,
    /// A worker is stopped for good; its sessions live on.
    pub stops: u8,
    /// A statement is done and its answer lost, or it is not done.
    pub errors: u8,
    /// The dead man's handle ends a fence's session.
    pub deadman: u8,
    /// The source is restarted (immediate).
    pub source_restarts: u8,
    /// The target is restarted (immediate).
    pub target_restarts: u8,
    /// The target can't be reached.
    pub cuts: u8,
    /// It can be reached again.
    pub heals: u8,
    /// A pooler is killed and started again.
    pub pooler_restarts: u8,
    /// A client's transaction hangs.
    pub hangs: u8,
}

/// Everything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// Source and target.
    pub server: [Server; 2],
    /// The runs.
    pub run: [Run; RUNS],
    /// The poolers hold clients back.
    pub paused: bool,
    /// Where the poolers send clients.
    pub route: u8,
    /// The forward link lives.
    pub link: bool,
    /// The reverse link's slot exists.
    pub reverse: bool,
    /// A REVOKE takes what it should.
    pub revokes: bool,
    /// Workers can't reach the target.
    pub cut: bool,
    /// The client with a session of its own.
    pub direct: Direct,
    /// Its transaction.
    pub writing: Writing,
    /// Its transaction never ends by itself.
    pub hung: bool,
    /// The transaction of the client that comes through a pooler.
    pub pooled: Writing,
    /// Writes that clients may still begin.
    pub writes: u8,
    /// Numbers that clients may still draw.
    pub draws: u8,
    /// The highest number that was drawn anywhere.
    pub drawn: u8,
    /// A number was given twice.
    pub twice: bool,
    /// A write of the target was not covered by the reverse link.
    pub uncovered: bool,
    /// Epochs of which `open` was told.
    pub told_open: u8,
    /// Epochs of which `abort` was told.
    pub told_abort: u8,
    /// Runs that touched poolers when it wasn't their turn any more, and haven't repaired it: one bit each.
    pub stray: u8,
    /// A transaction through a pooler was ended by us.
    pub cut_off: bool,
    /// A person was called although the target could be reached.
    pub false_alarm: bool,
    /// Faults that are left.
    pub faults: Faults,
}

/// A session that lives on the source.
pub const ON_SOURCE: u8 = 1;
/// A session that lives on the target.
pub const ON_TARGET: u8 = 2;
/// The router's session.
pub const ROUTER: u8 = 4;
/// The fence's session of the first database; the second one's is the next bit.
pub const FENCE: u8 = 8;

/// Bit of an epoch.
pub fn bit(epoch: u8) -> u8 {
    1 << epoch
}

impl State {
    /// Takes everything away that a run holds on a side: its sessions there have ended.
    pub fn end_sessions(&mut self, run: usize, side: usize) {
        let mask = !(0x111 << run);
        for db in &mut self.server[side].db {
            db.share &= mask;
            db.update = if usize::from(db.update) == run + 1 { 0 } else { db.update };
            db.locked = if usize::from(db.locked) == run + 1 { 0 } else { db.locked };
        }
    }

    /// The sessions of an attempt end on a side; those of a recovery are left alone.
    pub fn end_attempt(&mut self, run: usize, side: usize, closing: usize) {
        let mask = !(0x11 << run);
        for db in &mut self.server[side].db {
            db.share &= mask;
            db.locked = if usize::from(db.locked) == run + 1 { 0 } else { db.locked };
        }
        if self.run[run].pc == Pc::Dead {
            // What else it held is let go when the server notices.
            return;
        }
        let live = &mut self.run[run].live;
        *live &= if side == SOURCE { !ON_SOURCE } else { !ON_TARGET };
        *live &= if side == closing { !(FENCE | FENCE << 1) } else { !ROUTER };
    }

    /// A synchronous commit: everything before it is durable.
    pub fn flush(&mut self, side: usize) {
        let server = &mut self.server[side];
        server.durable = server.now;
        for db in &mut server.db {
            db.firm = db.seen;
        }
    }

    /// An application write could be committed in some database of a side: now, or by who has been let in.
    pub fn accepts(&self, side: usize, databases: usize) -> bool {
        let server = &self.server[side];
        let inside = matches!(self.direct, Direct::Here(s) | Direct::Arriving(s) if usize::from(s) == side);
        let writing = [self.writing, self.pooled].into_iter().flatten().any(|(s, _)| usize::from(s) == side);
        let open = |d: usize| server.now.rights[d] && server.db[d].locked == 0;
        writing || ((server.now.login || inside) && (0..databases).any(open))
    }
}

/// A run before it begins.
pub const UNSTARTED: Run =
    Run { pc: Pc::Waiting, epoch: 0, done: 0, live: 0, marker: [0; DATABASES], sequence: 0, set: 0 };
