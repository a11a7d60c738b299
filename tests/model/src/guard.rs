//! What the switch stands on. Each can be taken away; what breaks then is in [`Guard::breaks`], and a test looks for it.

/// One guard of the switch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum Guard {
    /// The lock on every table, held from before the marker to the fence's commit.
    TableLock,
    /// Each database has its own marker.
    MarkerPerDatabase,
    /// The marker is committed after the locks are held, not before.
    MarkerAfterLock,
    /// The marker is waited for.
    MarkerSeen,
    /// The fence takes the rights.
    Revoke,
    /// Within the fence it is proved that the rights are gone.
    ProofOfRights,
    /// Logins are closed before the fence's commit.
    LoginClosed,
    /// Sessions are ended.
    Eviction,
    /// The fence's commit is synchronous (and with it the closed logins are).
    SynchronousFence,
    /// All databases' fences are committed before the decision.
    AllFences,
    /// The fence's commit is looked at: a lost session isn't taken for a success.
    FenceConfirmed,
    /// The decision is one commit with the logins.
    DecisionWithLogin,
    /// The decision is a synchronous commit.
    SynchronousDecision,
    /// The decision is committed by the session that was there when the markers were seen: its server hasn't crashed since.
    ArbiterKept,
    /// The decision is written once.
    WriteOnce,
    /// Acting transactions look for `abort`.
    AbortSeen,
    /// Acting transactions check the epoch.
    EpochChecked,
    /// And lock its row, so that what they found stays true until their commit.
    EpochLocked,
    /// Who undoes has won `abort` first.
    AbortWon,
    /// `abort` is left in every database before anything is given back.
    AbortEverywhere,
    /// An undo is refused once a newer epoch has begun.
    UndoChecked,
    /// An undo gives nothing back when the other side was opened before.
    UndoWhereServing,
    /// An attempt of an earlier epoch is concluded before a new one begins.
    EarlierConcluded,
    /// A predecessor's sessions are ended.
    PredecessorEvicted,
    /// A recovery's stopped sessions are ended, too.
    RecoveryEvicted,
    /// A fence's session that says nothing is ended by the server.
    DeadMan,
    /// Waiting for a lock has an end.
    LockTimeout,
    /// Poolers hold clients back.
    Pooled,
    /// An attempt that lost its lock on the route leaves poolers alone.
    RouteLocked,
    /// Who undoes holds the epoch's row while poolers are touched.
    RouteBackLocked,
    /// An overtaken attempt lets poolers go.
    LetGo,
    /// It sends them to the side that serves.
    LetGoServes,
    /// It doesn't wait for one side's row while it holds the other's.
    LetGoNoWait,
    /// The note that tells of an attempt is written under its epoch.
    NoteUnderEpoch,
    /// The opening side is proved to be closed.
    ProvedClosed,
    /// The closing side is proved to serve.
    ProvedServing,
    /// Rights are remembered only while they are there.
    SavedOnce,
    /// An undo gives back the rights.
    RightsRestored,
    /// An undo gives back the logins.
    LoginsRestored,
    /// The opening side's rights are given back before it is opened.
    OpeningRestored,
    /// The forward link lives until everything has arrived.
    LinkKept,
    /// The reverse link's slot is there before the switch.
    ReverseReady,
    /// Sequences are settled when the closing side is at rest.
    SequencesSettled,
    /// They are set ahead by a margin.
    SequencesMargin,
    /// An unreachable target means that neither side is opened.
    ClosedWhenUnknown,
    /// Clients go on at once on a source that no commit has touched, whether the target answers or not.
    UntouchedGoesOn,
    /// Logins that were closed are given back at once while no fence has been committed.
    ReopenedAtOnce,
    /// An epoch that is told to have failed can't be claimed any more.
    ToldIsBarred,
}

impl Guard {
    /// All of them. The array's length is the last variant's, so a guard can't be left out.
    pub const ALL: [Guard; Guard::ToldIsBarred as usize + 1] = {
        use Guard::*;
        [
            TableLock,
            MarkerPerDatabase,
            MarkerAfterLock,
            MarkerSeen,
            Revoke,
            ProofOfRights,
            LoginClosed,
            Eviction,
            SynchronousFence,
            AllFences,
            FenceConfirmed,
            DecisionWithLogin,
            SynchronousDecision,
            ArbiterKept,
            WriteOnce,
            AbortSeen,
            EpochChecked,
            EpochLocked,
            AbortWon,
            AbortEverywhere,
            UndoChecked,
            UndoWhereServing,
            EarlierConcluded,
            PredecessorEvicted,
            RecoveryEvicted,
            DeadMan,
            LockTimeout,
            Pooled,
            RouteLocked,
            RouteBackLocked,
            LetGo,
            LetGoServes,
            LetGoNoWait,
            NoteUnderEpoch,
            ProvedClosed,
            ProvedServing,
            SavedOnce,
            RightsRestored,
            LoginsRestored,
            OpeningRestored,
            LinkKept,
            ReverseReady,
            SequencesSettled,
            SequencesMargin,
            ClosedWhenUnknown,
            UntouchedGoesOn,
            ReopenedAtOnce,
            ToldIsBarred,
        ]
    };
}

/// Guards that the switch did not have when it was first modelled: the model asked for them.
pub const ASKED_FOR: [Guard; 7] = [
    Guard::UndoWhereServing,
    Guard::ToldIsBarred,
    Guard::NoteUnderEpoch,
    Guard::RecoveryEvicted,
    Guard::LetGoServes,
    Guard::LetGoNoWait,
    Guard::UntouchedGoesOn,
];

/// A set of guards that are in place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Guards(u64);

impl Guards {
    /// All of them.
    pub const ALL: Guards = Guards((1 << Guard::ALL.len()) - 1);
    /// All but one.
    pub fn without(self, guard: Guard) -> Guards {
        Guards(self.0 & !(1 << guard as u64))
    }
    /// It is in place.
    pub fn has(self, guard: Guard) -> bool {
        self.0 & (1 << guard as u64) != 0
    }
}
