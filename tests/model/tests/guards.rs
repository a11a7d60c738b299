//! Every guard is needed: without it the search finds what breaks, or another guard is named that stands behind it.

use changeover_model::{
    cases::{Verdict, case},
    guard::Guard,
    search::search,
};

fn needed(guard: Guard) {
    let (config, verdict) = case(guard);
    let whole = search(config, &[]);
    assert!(whole.broken.is_empty(), "with all guards: {:#?}", whole.broken);
    let alone = config.without(guard);
    match verdict {
        Verdict::Breaks(property) => {
            let found = search(alone, &[property]);
            assert!(found.counterexample(property).is_some(), "{guard:?}: {property} holds without it");
        }
        Verdict::Behind(others, property) => {
            let found = search(alone, &[]);
            assert!(found.broken.is_empty(), "{guard:?} alone breaks {:#?}", found.broken);
            let bare = others.iter().fold(alone, |config, other| config.without(*other));
            let found = search(bare, &[property]);
            assert!(found.counterexample(property).is_some(), "{guard:?}, {others:?}: {property} holds without them");
        }
    }
}

macro_rules! guards {
    ($($name:ident: $guard:ident,)*) => {
        $(#[test] fn $name() { needed(Guard::$guard); })*

        /// A guard without a test is a missing arm here.
        #[test]
        fn every_guard_has_its_test() {
            let tested = |guard| match guard { $(Guard::$guard => true,)* };
            assert!(Guard::ALL.into_iter().all(tested));
            let distinct: std::collections::BTreeSet<_> = Guard::ALL.into_iter().collect();
            assert_eq!(distinct.len(), Guard::ALL.len());
        }
    };
}

guards! {
    table_lock: TableLock,
    marker_per_database: MarkerPerDatabase,
    marker_after_lock: MarkerAfterLock,
    marker_seen: MarkerSeen,
    revoke: Revoke,
    proof_of_rights: ProofOfRights,
    login_closed: LoginClosed,
    eviction: Eviction,
    synchronous_fence: SynchronousFence,
    all_fences: AllFences,
    fence_confirmed: FenceConfirmed,
    decision_with_login: DecisionWithLogin,
    synchronous_decision: SynchronousDecision,
    arbiter_kept: ArbiterKept,
    write_once: WriteOnce,
    abort_seen: AbortSeen,
    epoch_checked: EpochChecked,
    epoch_locked: EpochLocked,
    abort_won: AbortWon,
    abort_everywhere: AbortEverywhere,
    undo_checked: UndoChecked,
    undo_where_serving: UndoWhereServing,
    earlier_concluded: EarlierConcluded,
    predecessor_evicted: PredecessorEvicted,
    recovery_evicted: RecoveryEvicted,
    dead_man: DeadMan,
    lock_timeout: LockTimeout,
    pooled: Pooled,
    route_locked: RouteLocked,
    route_back_locked: RouteBackLocked,
    let_go: LetGo,
    let_go_serves: LetGoServes,
    let_go_no_wait: LetGoNoWait,
    note_under_epoch: NoteUnderEpoch,
    proved_closed: ProvedClosed,
    proved_serving: ProvedServing,
    saved_once: SavedOnce,
    rights_restored: RightsRestored,
    logins_restored: LoginsRestored,
    opening_restored: OpeningRestored,
    link_kept: LinkKept,
    reverse_ready: ReverseReady,
    sequences_settled: SequencesSettled,
    sequences_margin: SequencesMargin,
    closed_when_unknown: ClosedWhenUnknown,
    untouched_goes_on: UntouchedGoesOn,
    reopened_at_once: ReopenedAtOnce,
    told_is_barred: ToldIsBarred,
}
