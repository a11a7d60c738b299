//! The configurations that are searched to their end, and for each guard one in which its absence shows.

use crate::{
    config::*,
    guard::Guard,
    property::{self, *},
    state::Faults,
};

/// What the search says about a guard.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    /// Without it this property is broken.
    Breaks(&'static str),
    /// Without it alone nothing is: other guards stand behind it. Without all of them, this property is broken.
    Behind(&'static [Guard], &'static str),
}

/// Configurations without any violation, searched to their end. Together they have every fault.
pub fn sound() -> Vec<Config> {
    [alone(), retried(), newer(), back_again()].concat()
}

/// One run, and nobody comes after it.
fn alone() -> Vec<Config> {
    let f = CALM;
    vec![
        Config { name: "1 database, 1 run, both clients", pooled: true, writes: 3, draws: 3, ..BASE },
        Config {
            name: "2 databases, 1 run, lost answers, dead man",
            databases: 2,
            writes: 2,
            faults: Faults { errors: 2, deadman: 1, ..f },
            ..BASE
        },
        Config {
            name: "2 databases, 1 run, restarts, half login",
            databases: 2,
            half_login: true,
            writes: 2,
            faults: Faults { source_restarts: 1, target_restarts: 1, ..f },
            ..BASE
        },
        Config {
            name: "2 databases, 1 run, target out of reach",
            databases: 2,
            pooled: true,
            writes: 1,
            faults: Faults { cuts: 1, heals: 1, errors: 1, ..f },
            ..BASE
        },
        Config {
            name: "1 database, 1 run, stopped for good",
            pooled: true,
            last_lives: false,
            writes: 2,
            faults: Faults { stops: 1, hangs: 1, ..f },
            ..BASE
        },
        Config {
            name: "1 database, no reverse link, idle REVOKE",
            without_reverse: true,
            idle_revoke: true,
            half_login: true,
            writes: 2,
            faults: Faults { errors: 1, ..f },
            ..BASE
        },
    ]
}

/// The same attempt is begun again while the first run may still be at work.
fn retried() -> Vec<Config> {
    let f = CALM;
    vec![
        Config {
            name: "1 database, retried, killed, lost answer",
            runs: AGAIN,
            pooled: true,
            direct: false,
            faults: Faults { crashes: 1, errors: 1, ..f },
            ..BASE
        },
        Config {
            name: "1 database, retried, target out of reach",
            runs: AGAIN,
            writes: 1,
            faults: Faults { cuts: 1, heals: 1, crashes: 1, ..f },
            ..BASE
        },
        Config {
            name: "2 databases, retried, killed + stopped + lost answer",
            databases: 2,
            runs: AGAIN,
            writes: 0,
            faults: Faults { crashes: 1, stops: 1, errors: 1, ..f },
            ..BASE
        },
        Config {
            name: "2 databases, retried, killed, writes",
            databases: 2,
            runs: AGAIN,
            faults: Faults { crashes: 1, ..f },
            ..BASE
        },
    ]
}

/// A new attempt is begun while the one before may still be at work.
fn newer() -> Vec<Config> {
    let f = CALM;
    vec![
        Config {
            name: "1 database, newer epoch, killed, writes",
            runs: NEWER,
            faults: Faults { crashes: 1, ..f },
            ..BASE
        },
        Config {
            name: "1 database, newer epoch, target restarted",
            runs: NEWER,
            faults: Faults { target_restarts: 1, ..f },
            ..BASE
        },
        Config {
            name: "1 database, newer epoch, source restarted",
            runs: NEWER,
            faults: Faults { source_restarts: 1, crashes: 1, ..f },
            ..BASE
        },
        Config {
            name: "1 database, newer epoch, pooler killed",
            runs: NEWER,
            direct: false,
            pooled: true,
            faults: Faults { pooler_restarts: 1, crashes: 1, ..f },
            ..BASE
        },
        Config { name: "1 database, newer epoch, sequences", runs: NEWER, writes: 0, draws: 3, ..BASE },
        Config {
            name: "2 databases, newer epoch, killed + stopped + lost answer",
            databases: 2,
            runs: NEWER,
            writes: 0,
            faults: Faults { crashes: 1, stops: 1, errors: 1, ..f },
            ..BASE
        },
        Config {
            name: "2 databases, newer epoch, stopped, writes",
            databases: 2,
            runs: NEWER,
            faults: Faults { stops: 1, ..f },
            ..BASE
        },
    ]
}

/// A switch, and a rollback when it is over.
fn back_again() -> Vec<Config> {
    let f = CALM;
    vec![
        Config {
            name: "there and back, lost answers, restarts",
            runs: THERE_AND_BACK,
            writes: 2,
            faults: Faults { errors: 1, source_restarts: 1, target_restarts: 1, ..f },
            ..BASE
        },
        Config {
            name: "2 databases, there and back, sequences",
            databases: 2,
            runs: THERE_AND_BACK,
            writes: 1,
            draws: 2,
            faults: Faults { errors: 1, ..f },
            ..BASE
        },
    ]
}

/// The configuration that shows a guard, with all guards, and what is found without it.
pub fn case(guard: Guard) -> (Config, Verdict) {
    use Guard::*;
    use Verdict::*;
    let f = CALM;
    let again = Config { runs: AGAIN, ..BASE };
    let newer = Config { runs: NEWER, ..BASE };
    let killed = Faults { crashes: 1, ..f };
    let quiet = |config: Config| Config { writes: 0, ..config };
    match guard {
        TableLock | MarkerAfterLock | MarkerSeen => (BASE, Breaks(COMPLETE)),
        MarkerPerDatabase => (Config { databases: 2, ..BASE }, Breaks(COMPLETE)),
        Revoke => (Config { half_login: true, ..BASE }, Breaks(ONE_SIDE)),
        ProofOfRights => (Config { half_login: true, idle_revoke: true, ..BASE }, Breaks(ONE_SIDE)),
        LoginClosed | Eviction => (BASE, Breaks(property::EMPTY)),
        SynchronousFence => (Config { faults: Faults { source_restarts: 1, ..f }, ..BASE }, Breaks(ONE_SIDE)),
        AllFences => (Config { databases: 2, half_login: true, ..BASE }, Breaks(ONE_SIDE)),
        FenceConfirmed => (Config { faults: Faults { deadman: 1, ..f }, ..BASE }, Breaks(COMPLETE)),
        DecisionWithLogin => (Config { faults: killed, ..again }, Breaks(SERVED)),
        SynchronousDecision => (BASE, Breaks(DURABLE)),
        ArbiterKept => (Config { faults: Faults { target_restarts: 1, ..f }, ..BASE }, Breaks(COMPLETE)),
        WriteOnce => (again, Behind(&[AbortSeen], TRUE)),
        AbortSeen => (again, Breaks(NOTED)),
        EpochChecked => (newer, Breaks(ONE_SIDE)),
        EpochLocked => (newer, Breaks(ONE_SIDE)),
        AbortWon => (again, Behind(&[UndoWhereServing], ONE_SIDE)),
        AbortEverywhere => (again, Behind(&[AbortSeen, WriteOnce], TRUE)),
        UndoChecked => (newer, Breaks(ONE_SIDE)),
        UndoWhereServing => (newer, Breaks(ONE_SIDE)),
        EarlierConcluded => (quiet(Config { faults: killed, ..newer }), Behind(&[UndoWhereServing], ONE_SIDE)),
        PredecessorEvicted => {
            (Config { faults: Faults { stops: 1, ..f }, ..again }, Behind(&[RecoveryEvicted], ALARMED))
        }
        RecoveryEvicted => (Config { faults: Faults { stops: 1, ..f }, ..again }, Breaks(ALARMED)),
        DeadMan => (Config { last_lives: false, faults: Faults { stops: 1, ..f }, ..BASE }, Breaks(SERVED)),
        LockTimeout => (Config { faults: Faults { hangs: 1, ..f }, ..BASE }, Breaks(FREE)),
        Pooled => (Config { direct: false, pooled: true, ..BASE }, Breaks(GENTLE)),
        RouteLocked => (newer, Behind(&[LetGo], ROUTED)),
        RouteBackLocked => (newer, Breaks(ROUTED)),
        LetGo => (newer, Breaks(ROUTED)),
        LetGoServes => (newer, Breaks(ROUTED)),
        LetGoNoWait => (newer, Breaks(FREE)),
        NoteUnderEpoch => (newer, Breaks(NOTED)),
        ProvedClosed => (Config { runs: THERE_AND_BACK, ..BASE }, Behind(&[Eviction], ONE_SIDE)),
        ProvedServing => (
            quiet(Config { faults: Faults { crashes: 1, errors: 1, ..f }, ..newer }),
            Behind(&[EarlierConcluded, SavedOnce], RESTORED),
        ),
        SavedOnce => (
            quiet(Config { faults: Faults { crashes: 1, errors: 1, ..f }, ..newer }),
            Behind(&[EarlierConcluded, ProvedServing], RESTORED),
        ),
        RightsRestored | LoginsRestored => (Config { faults: Faults { errors: 1, ..f }, ..BASE }, Breaks(RESTORED)),
        OpeningRestored => (Config { runs: THERE_AND_BACK, ..BASE }, Breaks(SERVED)),
        LinkKept => (BASE, Breaks(RESTORED)),
        ReverseReady => (Config { without_reverse: true, ..BASE }, Breaks(COVERED)),
        SequencesSettled => (Config { writes: 0, draws: 3, ..BASE }, Breaks(ONCE)),
        SequencesMargin => (Config { writes: 0, draws: 2, ..BASE }, Behind(&[SequencesSettled], ONCE)),
        ClosedWhenUnknown => (Config { faults: Faults { cuts: 1, heals: 1, ..f }, ..BASE }, Breaks(ONE_SIDE)),
        UntouchedGoesOn | ReopenedAtOnce => (Config { faults: Faults { cuts: 1, ..f }, ..BASE }, Breaks(ALARMED)),
        ToldIsBarred => (again, Breaks(TRUE)),
    }
}
