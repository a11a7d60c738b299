//! Everything that a switch changes anywhere, as a list. A change is made through [`perform`] with its entry, and nowhere else:
//! helpers that change something ask for a [`Change`], which only `perform` makes, and a test walks the sources of the switch for
//! statements beside it. From the list failpoints are made (see [`failpoint`]), and the tests of recovery.

#[cfg(test)]
mod walk;

use changeover_domain::{Failure, fence::Fence};

use crate::{
    Session,
    failpoint::{self, When},
};

/// On what an effect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The side that serves before the switch.
    Closing,
    /// The side that serves after it.
    Opening,
    /// Both sides.
    Sides,
    /// The poolers.
    Pooler,
}

/// When an effect happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Before writers notice anything.
    Prepare,
    /// From the pause to the resume.
    Window,
    /// After an attempt that is not decided, or decided `abort`.
    Undo,
    /// After a crash of an attempt that is decided `open`.
    Finish,
    /// When traffic flows: nothing here touches it.
    After,
}

macro_rules! effects {
    ($($(#[$doc:meta])+ $effect:ident $name:literal $path:ident $part:ident { before: $before:literal, after: $after:literal })+) => {
        /// One kind of change that a switch makes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Effect { $($(#[$doc])+ $effect,)+ }

        impl Effect {
            /// All of them, in the order in which they come.
            pub const ALL: &'static [Effect] = &[$(Effect::$effect,)+];
            /// Its name; `NAME.before` and `NAME.after` are its failpoints.
            pub fn name(self) -> &'static str {
                match self { $(Effect::$effect => $name,)+ }
            }
            /// When it happens.
            pub fn path(self) -> Path {
                match self { $(Effect::$effect => Path::$path,)+ }
            }
            /// On what it is.
            pub fn part(self) -> Part {
                match self { $(Effect::$effect => Part::$part,)+ }
            }
            /// What a crash before it leaves, and what the next run does.
            pub fn crash_before(self) -> &'static str {
                match self { $(Effect::$effect => $before,)+ }
            }
            /// What a crash after it leaves, and what the next run does.
            pub fn crash_after(self) -> &'static str {
                match self { $(Effect::$effect => $after,)+ }
            }
        }
    };
}

effects! {
    /// A database's row moves to the attempt's epoch.
    Claim "switch.claim" Prepare Sides {
        before: "nothing has begun; in a later database: the epoch is aborted and undone",
        after: "the epoch is aborted and undone" }
    /// The note on the arbiter by which a later attempt finds this one.
    Note "switch.note" Prepare Opening {
        before: "the epoch is aborted and undone", after: "the epoch is aborted and undone, the note goes" }
    /// The poolers' new configuration is laid beside the one in force.
    Stage "switch.stage" Prepare Pooler {
        before: "the epoch is aborted and undone", after: "as before; the staged file goes with the next resume" }
    /// Rights that an earlier fence took on the opening side are given back, while nobody can log in there.
    RestoreRights "switch.restore_rights" Prepare Opening {
        before: "the epoch is aborted and undone", after: "as before; the rights stay, logins stay closed" }
    /// The gate of the opening side is opened, while nobody can log in there.
    OpenGate "switch.open_gate" Prepare Opening {
        before: "the epoch is aborted and undone", after: "as before; the gate stays open, logins stay closed" }
    /// Sequences of the opening side are moved ahead.
    RaiseSequences "switch.raise_sequences" Prepare Opening {
        before: "the epoch is aborted and undone", after: "as before; the sequences stay ahead, which harms nothing" }
    /// A lock that keeps vacuum off tables whose triggers will be turned.
    HoldTriggers "switch.hold_triggers" Prepare Opening {
        before: "the epoch is aborted and undone", after: "as before; the lock goes with its session" }
    /// The gentle lock of the pre-fence: vacuum and DDL are kept out.
    PreFence "switch.pre_fence" Prepare Closing {
        before: "the epoch is aborted and undone", after: "as before; the lock goes with its session" }
    /// The rights of the closing side are remembered.
    SaveRights "switch.save_rights" Prepare Closing {
        before: "the epoch is aborted and undone", after: "as before; the next attempt writes them anew" }
    /// The shared lock on the epoch by which the attempt may touch the poolers.
    HoldRoute "switch.hold_route" Prepare Opening {
        before: "the epoch is aborted and undone", after: "as before; the lock goes with its session" }
    /// A marker that proves before the pause that the way is open.
    Rehearse "switch.rehearse" Prepare Closing {
        before: "the epoch is aborted and undone", after: "as before; the marker goes with the next switch" }
    /// Rights are taken in a transaction that waits for its commit, and it is proved; with the gate the note is written.
    HoldRights "switch.hold_rights" Prepare Closing {
        before: "the epoch is aborted and undone", after: "as before; the transaction is rolled back by the server" }
    /// Application roles lose their login in a transaction that waits for its commit.
    HoldLogins "switch.hold_logins" Prepare Closing {
        before: "the epoch is aborted and undone", after: "as before; the transaction is rolled back by the server" }
    /// The decision `open` and the logins of the opening side are written in a transaction that waits for its commit.
    HoldDecision "switch.hold_decision" Prepare Opening {
        before: "the epoch is aborted and undone", after: "as before; the transaction is rolled back by the server" }
    /// The note says since when writers may wait.
    NotePause "switch.note_pause" Prepare Opening {
        before: "the epoch is aborted and undone", after: "as before" }
    /// Poolers hold their clients back.
    Pause "switch.pause" Window Pooler {
        before: "the epoch is aborted and undone", after: "clients wait until the undo resumes" }
    /// Every table is locked against writes.
    Lock "switch.lock" Window Closing {
        before: "clients wait until the undo resumes", after: "the lock goes with its session; the undo resumes" }
    /// The poolers' route is laid to the opening side while clients wait.
    Route "switch.route" Window Pooler {
        before: "the lock goes with its session; the undo resumes", after: "the undo lays the route back and resumes" }
    /// The marker behind the fence.
    Mark "switch.mark" Window Closing {
        before: "the lock goes with its session; the undo resumes", after: "as before; the marker goes with the next switch" }
    /// Application roles lose their login: the commit of what was held ready.
    CloseLogins "switch.close_logins" Window Closing {
        before: "the lock goes with its session; the undo resumes", after: "the undo gives the logins back" }
    /// Sessions of application roles are ended.
    Evict "switch.evict" Window Closing {
        before: "the undo gives the logins back", after: "as before; clients without a pooler connect anew" }
    /// Triggers of the closing side are silenced, in the locking transaction; with the gate once nobody waits on their tables.
    SilenceClosing "switch.silence_closing" Window Closing {
        before: "the undo gives the logins back", after: "the transaction is rolled back by the server" }
    /// Rights are taken: the commit of what was held ready, while the lock is held.
    TakeRights "switch.take_rights" Window Closing {
        before: "the lock goes with its session; the undo gives the logins back",
        after: "the lock goes with its session; the undo gives rights and logins back" }
    /// The gate is shut; no transaction takes that back.
    ShutGate "switch.shut_gate" Window Closing {
        before: "the server rolls the fence back; the undo gives the logins back",
        after: "as before, and the undo opens the gate" }
    /// The locking transaction commits: the fence is durable.
    CommitFence "switch.commit_fence" Window Closing {
        before: "the server rolls it back; the undo gives rights and logins back",
        after: "the undo gives rights, triggers and logins back" }
    /// A login that was half done when its role was closed is ended.
    EvictLate "switch.evict_late" Window Closing {
        before: "the undo gives rights, triggers and logins back", after: "as before" }
    /// Sequences that the margin didn't cover.
    SettleSequences "switch.settle_sequences" Window Opening {
        before: "the undo gives rights, triggers and logins back", after: "as before; the sequences stay ahead" }
    /// Triggers of the opening side fire again.
    TurnTriggers "switch.turn_triggers" Window Opening {
        before: "the undo gives rights, triggers and logins back", after: "as before, and silences these again" }
    /// The decision `open`, with the logins of the opening side: the commit of what was held ready, synchronous, by which all that
    /// was drained is durable as well. The point of no return.
    Decide "switch.decide" Window Opening {
        before: "the undo gives rights, triggers and logins back", after: "the next run resumes on the opening side" }
    /// Poolers let their clients go on, to the opening side.
    Resume "switch.resume" Window Pooler {
        before: "the next run resumes on the opening side", after: "the switch is over; the next run finds that" }

    /// What isn't committed is rolled back: fences, the decision and the logins that were held ready.
    ReleaseFence "undo.release_fence" Undo Closing {
        before: "the lock goes with its session", after: "the undo goes on" }
    /// Logins that were closed are given back at once, where no fence's commit was sent.
    ReopenAtOnce "undo.reopen_at_once" Undo Closing {
        before: "the undo does it", after: "the undo sends poolers back and resumes" }
    /// Poolers are sent back at once, where no fence's commit was sent.
    RouteAtOnce "undo.route_at_once" Undo Pooler {
        before: "the undo does it", after: "the undo resumes" }
    /// Clients go on at once, where no fence's commit was sent.
    ResumeAtOnce "undo.resume_at_once" Undo Pooler {
        before: "the undo does it", after: "clients go on; the undo ends the rest" }
    /// Sessions that a predecessor may have left are ended.
    EvictPredecessor "undo.evict_predecessor" Undo Sides {
        before: "the next run does it", after: "the next run goes on" }
    /// `abort` is written on the arbiter unless the epoch is decided.
    Abort "undo.abort" Undo Opening {
        before: "nothing is undone before it is won", after: "the next run finds it and undoes" }
    /// `abort` is left in a database, so that a late attempt stops there.
    Bar "undo.bar" Undo Sides {
        before: "the next run bars", after: "the next run goes on" }
    /// Triggers of the opening side are silent again.
    SilenceTriggers "undo.silence_triggers" Undo Opening {
        before: "the next run does it", after: "the next run goes on" }
    /// Rights that the fence took are given back.
    GiveRightsBack "undo.give_rights_back" Undo Closing {
        before: "the next run does it", after: "the next run goes on" }
    /// The gate of the closing side is opened.
    OpenGateAgain "undo.open_gate" Undo Closing {
        before: "the next run does it", after: "the next run goes on" }
    /// Triggers of the closing side fire again.
    WakeTriggers "undo.wake_triggers" Undo Closing {
        before: "the next run does it", after: "the next run goes on" }
    /// Logins are given back.
    Reopen "undo.reopen" Undo Closing {
        before: "the next run does it", after: "the next run goes on" }
    /// Poolers are sent back.
    RouteBack "undo.route_back" Undo Pooler {
        before: "the next run does it", after: "the next run resumes" }
    /// Clients go on where they were.
    ResumeBack "undo.resume_back" Undo Pooler {
        before: "the next run does it", after: "the next run forgets the note" }
    /// The note of the attempt goes.
    ForgetNote "undo.forget_note" Undo Opening {
        before: "the next run does it", after: "the undo is over; the next run finds that" }
    /// An overtaken attempt lets clients go on that it may have paused.
    LetGo "undo.let_go" Undo Pooler {
        before: "whoever took over resumes", after: "nothing is left to do" }

    /// Poolers are sent to the side that was opened.
    FinishRoute "finish.route" Finish Pooler {
        before: "the next run does it", after: "the next run resumes" }
    /// Clients go on there.
    FinishResume "finish.resume" Finish Pooler {
        before: "the next run does it", after: "the switch is over; the next run finds that" }

    /// The note of an attempt that has ended with `open` goes.
    ForgetNotes "after.forget_notes" After Opening {
        before: "it is done again", after: "it is done again" }
    /// Sessions of application roles that are left on the closed side are ended.
    EvictLeft "after.evict_left" After Closing {
        before: "it is done again", after: "it is done again" }
    /// Markers of earlier epochs go.
    Prune "after.prune" After Opening {
        before: "it is done again", after: "it is done again" }
    /// A row beats, to be seen on the other side.
    Canary "after.canary" After Sides {
        before: "it is done again", after: "it is done again" }
    /// The epoch after all others is taken, so that no attempt begins any more.
    TakeLastEpoch "after.take_last_epoch" After Sides {
        before: "it is done again", after: "it is done again" }
}

impl Effect {
    /// Whether a switch with this fence comes to it.
    pub fn is_of(self, fence: Fence) -> bool {
        match self {
            Effect::ShutGate => fence == Fence::Gate,
            Effect::SaveRights | Effect::TakeRights => fence == Fence::Lock,
            _ => true,
        }
    }
}

/// The right to change something, for as long as [`perform`] lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change(());

/// Makes one change. The failpoints are here.
///
/// # Errors
/// The change's own, or what a failpoint was told to pretend.
pub(crate) async fn perform<T, F>(effect: Effect, act: impl FnOnce(Change) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    failpoint::reach(effect.name(), When::Before)?;
    let done = act(Change(())).await?;
    failpoint::reach(effect.name(), When::After)?;
    Ok(done)
}

/// Says something that changes nothing but this session itself: its settings, the begin or the rollback of its transaction.
pub(crate) async fn say(session: &Session, sql: &str) -> Result<(), tokio_postgres::Error> {
    debug_assert!(changes_nothing(sql), "a change is made through `perform`: {sql}");
    session.batch_execute(sql).await
}

fn changes_nothing(sql: &str) -> bool {
    let harmless = |statement: &str| {
        let first = statement.split_whitespace().next().unwrap_or("");
        matches!(first, "" | "set" | "begin" | "rollback" | "select")
    };
    sql.split(';').all(|statement| harmless(statement.trim()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_differ_and_tell_when() {
        let names: BTreeSet<_> = Effect::ALL.iter().map(|effect| effect.name()).collect();
        assert_eq!(names.len(), Effect::ALL.len());
        for effect in Effect::ALL {
            let word = match effect.path() {
                Path::Prepare | Path::Window => "switch",
                Path::Undo => "undo",
                Path::Finish => "finish",
                Path::After => "after",
            };
            assert_eq!(effect.name().split('.').next(), Some(word), "{effect:?}");
            assert!(!effect.crash_before().is_empty() && !effect.crash_after().is_empty());
        }
    }

    #[test]
    fn what_changes_nothing_is_told_from_what_does() {
        assert!(changes_nothing("begin isolation level read committed; set local lock_timeout = '1s'"));
        assert!(changes_nothing("rollback") && changes_nothing(""));
        for sql in ["begin; alter role x nologin", "commit", "lock table x", "do $$ begin end $$"] {
            assert!(!changes_nothing(sql), "{sql}");
        }
    }
}
