//! The gate of a switch: a pure function of one measured snapshot. Unknown is never Go.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Direction, proto};

/// What was measured right before a switch. `None` means that it could not be learnt, which never lets a switch pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// The login sees every session on both sides (`pg_read_all_stats`).
    pub sees_sessions: Option<bool>,
    /// WAL bytes that the opening side has yet to confirm, the worst database.
    pub lag_bytes: Option<u64>,
    /// Round trip of a canary row towards the opening side, the worst database, milliseconds.
    pub canary_ms: Option<u64>,
    /// Round trip of a canary row back towards the closing side, the worst database, milliseconds.
    pub reverse_canary_ms: Option<u64>,
    /// Problems of the links, in either direction: inactive slot, table not ready … Empty when all is well.
    pub link_problems: Option<Vec<String>>,
    /// Age of the oldest open transaction on the closing side that isn't ours nor replication's, milliseconds; 0 without one.
    pub oldest_transaction_ms: Option<u64>,
    /// Prepared transactions on the closing side.
    pub prepared_transactions: Option<u64>,
    /// Tables on the closing side that a vacuum is at work on and that it won't give way on (manual or against wraparound).
    pub vacuums: Option<Vec<String>>,
    /// Tables of the closing side that the login can't lock and revoke on, and roles that it can't fence.
    pub unfenceable: Option<Vec<String>>,
    /// `deadlock_timeout` of the closing side, milliseconds.
    pub deadlock_timeout_ms: Option<u64>,
    /// Sessions of application roles on the opening side.
    pub opening_sessions: Option<u64>,
    /// Application roles that may log in on the opening side.
    pub opening_logins: Option<Vec<String>>,
    /// Server logins that poolers have in progress.
    pub pooler_logins: Option<u64>,
    /// Since when the last comparison of all rows without a difference began, milliseconds.
    pub verification_age_ms: Option<u64>,
    /// Tables of the opening side without statistics: they have never been analyzed. The first few.
    pub unanalyzed: Option<Vec<String>>,
}

/// The limits that a snapshot is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See `proto::Gates`.
    pub max_lag_bytes: u64,
    /// See `proto::Gates`.
    pub max_transaction_age_ms: u64,
    /// See `proto::Gates`.
    pub max_canary_age_ms: u64,
    /// What holds for a switch to the target only; none for a rollback, which nothing may delay that isn't about losing writes.
    pub forward: Option<ForwardLimits>,
    /// See `proto::Budgets`; must stay below the server's `deadlock_timeout`, so that the fence is who gives up.
    pub fence_lock_ms: u64,
}

/// Limits for what a switch to the target asks for beyond a rollback: rows verified of late, statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardLimits {
    /// See `proto::Gates`.
    pub max_verification_age_ms: u64,
}

impl Limits {
    /// The limits of a spec.
    pub fn of(direction: Direction, gates: &proto::Gates, budgets: &proto::Budgets) -> Self {
        let forward = ForwardLimits { max_verification_age_ms: gates.max_verification_age_ms };
        Self {
            max_lag_bytes: gates.max_lag_bytes,
            max_transaction_age_ms: gates.max_transaction_age_ms,
            max_canary_age_ms: gates.max_canary_age_ms,
            forward: (direction == Direction::Forward).then_some(forward),
            fence_lock_ms: budgets.fence_lock_ms,
        }
    }
}

/// The proof that a snapshot passed. Only [`may_switch`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Go(());

/// One thing that speaks against a switch now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Something could not be measured.
    Unknown(String),
    /// The login doesn't see all sessions, so "quiet" would mean nothing.
    Blind,
    /// Lag above its limit: bytes, limit.
    Lag(u64, u64),
    /// The canary took too long: whether on the way back, milliseconds, limit.
    Canary(bool, u64, u64),
    /// A link isn't well.
    Link(String),
    /// A transaction is open for too long: milliseconds, limit.
    OldTransaction(u64, u64),
    /// Prepared transactions hold locks that nobody ends.
    Prepared(u64),
    /// A vacuum that doesn't give way.
    Vacuum(String),
    /// Something that can't be fenced.
    Unfenceable(String),
    /// The lock budget isn't below `deadlock_timeout`: budget, timeout.
    LockBudget(u64, u64),
    /// Application sessions on the side that is to be closed until the decision.
    OpeningSessions(u64),
    /// Application roles that may log in there.
    OpeningLogins(String),
    /// A pooler is logging in to a server: a pause now would fail its clients.
    PoolerLogins(u64),
    /// The last comparison of all rows is too old: milliseconds, limit.
    OldVerification(u64, u64),
    /// A table of the opening side has no statistics.
    Unanalyzed(String),
}

impl Reason {
    /// Whether waiting may help: the rest needs somebody.
    pub fn passes_by_itself(&self) -> bool {
        matches!(
            self,
            Reason::Lag(..)
                | Reason::Canary(..)
                | Reason::OldTransaction(..)
                | Reason::Vacuum(_)
                | Reason::PoolerLogins(_)
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Unknown(what) => write!(f, "{what} could not be measured"),
            Reason::Blind => {
                f.write_str("the migration's login doesn't see other sessions (pg_read_all_stats is missing)")
            }
            Reason::Lag(bytes, limit) => write!(f, "replication is {bytes} bytes behind, the limit is {limit}"),
            Reason::Canary(false, ms, limit) => write!(f, "the canary took {ms} ms, the limit is {limit} ms"),
            Reason::Canary(true, ms, limit) => {
                write!(f, "the canary took {ms} ms on the way back, the limit is {limit} ms")
            }
            Reason::Link(problem) => f.write_str(problem),
            Reason::OldTransaction(ms, limit) => {
                write!(f, "a transaction is open for {ms} ms, the limit is {limit} ms")
            }
            Reason::Prepared(count) => write!(f, "{count} prepared transactions are open"),
            Reason::Vacuum(table) => write!(f, "a vacuum that doesn't give way is at work on {table}"),
            Reason::Unfenceable(what) => f.write_str(what),
            Reason::LockBudget(budget, timeout) => {
                write!(f, "budgets.fence_lock ({budget} ms) isn't below the server's deadlock_timeout ({timeout} ms)")
            }
            Reason::OpeningSessions(count) => {
                write!(f, "{count} application sessions exist on the side that is to open")
            }
            Reason::OpeningLogins(role) => write!(f, "role {role} may log in on the side that is to open"),
            Reason::OldVerification(ms, limit) => write!(
                f,
                "all rows were last compared {} s ago, the limit (gates.max_verification_age) is {} s",
                ms / 1_000,
                limit / 1_000
            ),
            Reason::Unanalyzed(table) => write!(f, "{table} has no statistics: run ANALYZE on it"),
            Reason::PoolerLogins(count) => write!(f, "poolers have {count} server logins in progress"),
        }
    }
}

/// Go, or every reason against it.
pub fn may_switch(measured: &Measured, limits: &Limits) -> Result<Go, Vec<Reason>> {
    let mut judge = Judge(Vec::new());
    judge.yes(measured.sees_sessions, "the right to see sessions", Reason::Blind);
    judge.most(measured.lag_bytes, limits.max_lag_bytes, "lag", Reason::Lag);
    judge
        .most(measured.canary_ms, limits.max_canary_age_ms, "the canary", |ms, limit| Reason::Canary(false, ms, limit));
    judge.most(measured.reverse_canary_ms, limits.max_canary_age_ms, "the canary on the way back", |ms, limit| {
        Reason::Canary(true, ms, limit)
    });
    judge.none(measured.link_problems.as_deref(), "the links", Reason::Link);
    judge.most(
        measured.oldest_transaction_ms,
        limits.max_transaction_age_ms,
        "the oldest transaction",
        Reason::OldTransaction,
    );
    judge.most(measured.prepared_transactions, 0, "prepared transactions", |count, _| Reason::Prepared(count));
    judge.none(measured.vacuums.as_deref(), "running vacuums", Reason::Vacuum);
    judge.none(measured.unfenceable.as_deref(), "rights for the fence", Reason::Unfenceable);
    match measured.deadlock_timeout_ms {
        Some(timeout) if limits.fence_lock_ms < timeout => {}
        Some(timeout) => judge.0.push(Reason::LockBudget(limits.fence_lock_ms, timeout)),
        None => judge.unknown("deadlock_timeout"),
    }
    judge.most(measured.opening_sessions, 0, "sessions on the opening side", |count, _| Reason::OpeningSessions(count));
    judge.none(measured.opening_logins.as_deref(), "roles on the opening side", Reason::OpeningLogins);
    judge.most(measured.pooler_logins, 0, "the poolers' logins", |count, _| Reason::PoolerLogins(count));
    if let Some(forward) = limits.forward {
        judge.most(
            measured.verification_age_ms,
            forward.max_verification_age_ms,
            "when all rows were last compared",
            Reason::OldVerification,
        );
        judge.none(measured.unanalyzed.as_deref(), "the target's statistics", Reason::Unanalyzed);
    }
    if judge.0.is_empty() { Ok(Go(())) } else { Err(judge.0) }
}

struct Judge(Vec<Reason>);

impl Judge {
    fn unknown(&mut self, what: &str) {
        self.0.push(Reason::Unknown(what.to_owned()));
    }
    fn yes(&mut self, value: Option<bool>, what: &str, reason: Reason) {
        match value {
            Some(true) => {}
            Some(false) => self.0.push(reason),
            None => self.unknown(what),
        }
    }
    fn most(&mut self, value: Option<u64>, limit: u64, what: &str, reason: impl FnOnce(u64, u64) -> Reason) {
        match value {
            Some(value) if value <= limit => {}
            Some(value) => self.0.push(reason(value, limit)),
            None => self.unknown(what),
        }
    }
    fn none(&mut self, values: Option<&[String]>, what: &str, reason: impl Fn(String) -> Reason) {
        match values {
            Some(values) => self.0.extend(values.iter().cloned().map(reason)),
            None => self.unknown(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const LIMITS: Limits = Limits {
        max_lag_bytes: 1000,
        max_transaction_age_ms: 500,
        max_canary_age_ms: 300,
        forward: Some(ForwardLimits { max_verification_age_ms: 9_000 }),
        fence_lock_ms: 400,
    };

    fn quiet() -> Measured {
        Measured {
            sees_sessions: Some(true),
            lag_bytes: Some(1000),
            canary_ms: Some(300),
            reverse_canary_ms: Some(0),
            link_problems: Some(vec![]),
            oldest_transaction_ms: Some(500),
            prepared_transactions: Some(0),
            vacuums: Some(vec![]),
            unfenceable: Some(vec![]),
            deadlock_timeout_ms: Some(401),
            opening_sessions: Some(0),
            opening_logins: Some(vec![]),
            pooler_logins: Some(0),
            verification_age_ms: Some(9_000),
            unanalyzed: Some(vec![]),
        }
    }

    #[test]
    fn a_quiet_snapshot_is_go_up_to_the_limits() {
        assert!(may_switch(&quiet(), &LIMITS).is_ok());
    }

    #[test]
    fn nothing_known_is_fifteen_reasons() {
        let reasons = may_switch(&Measured::default(), &LIMITS).unwrap_err();
        assert_eq!(reasons.len(), 15);
        assert!(reasons.iter().all(|r| matches!(r, Reason::Unknown(_))));
    }

    /// The truth table: each measurement alone, one step over its limit.
    #[rstest]
    #[case(|m: &mut Measured| m.sees_sessions = Some(false), Reason::Blind)]
    #[case(|m: &mut Measured| m.lag_bytes = Some(1001), Reason::Lag(1001, 1000))]
    #[case(|m: &mut Measured| m.canary_ms = Some(301), Reason::Canary(false, 301, 300))]
    #[case(|m: &mut Measured| m.reverse_canary_ms = Some(301), Reason::Canary(true, 301, 300))]
    #[case(|m: &mut Measured| m.link_problems = Some(vec!["x".into()]), Reason::Link("x".into()))]
    #[case(|m: &mut Measured| m.oldest_transaction_ms = Some(501), Reason::OldTransaction(501, 500))]
    #[case(|m: &mut Measured| m.prepared_transactions = Some(1), Reason::Prepared(1))]
    #[case(|m: &mut Measured| m.vacuums = Some(vec!["t".into()]), Reason::Vacuum("t".into()))]
    #[case(|m: &mut Measured| m.unfenceable = Some(vec!["u".into()]), Reason::Unfenceable("u".into()))]
    #[case(|m: &mut Measured| m.deadlock_timeout_ms = Some(400), Reason::LockBudget(400, 400))]
    #[case(|m: &mut Measured| m.opening_sessions = Some(1), Reason::OpeningSessions(1))]
    #[case(|m: &mut Measured| m.opening_logins = Some(vec!["a".into()]), Reason::OpeningLogins("a".into()))]
    #[case(|m: &mut Measured| m.pooler_logins = Some(1), Reason::PoolerLogins(1))]
    #[case(|m: &mut Measured| m.verification_age_ms = Some(9_001), Reason::OldVerification(9_001, 9_000))]
    #[case(|m: &mut Measured| m.unanalyzed = Some(vec!["t".into()]), Reason::Unanalyzed("t".into()))]
    fn each_measurement_alone_stops_it(#[case] spoil: fn(&mut Measured), #[case] reason: Reason) {
        let mut measured = quiet();
        spoil(&mut measured);
        assert_eq!(may_switch(&measured, &LIMITS), Err(vec![reason]));
    }

    /// Each measurement alone unknown: never Go.
    #[rstest]
    #[case(|m: &mut Measured| m.sees_sessions = None)]
    #[case(|m: &mut Measured| m.lag_bytes = None)]
    #[case(|m: &mut Measured| m.canary_ms = None)]
    #[case(|m: &mut Measured| m.reverse_canary_ms = None)]
    #[case(|m: &mut Measured| m.link_problems = None)]
    #[case(|m: &mut Measured| m.oldest_transaction_ms = None)]
    #[case(|m: &mut Measured| m.prepared_transactions = None)]
    #[case(|m: &mut Measured| m.vacuums = None)]
    #[case(|m: &mut Measured| m.unfenceable = None)]
    #[case(|m: &mut Measured| m.deadlock_timeout_ms = None)]
    #[case(|m: &mut Measured| m.opening_sessions = None)]
    #[case(|m: &mut Measured| m.opening_logins = None)]
    #[case(|m: &mut Measured| m.pooler_logins = None)]
    #[case(|m: &mut Measured| m.verification_age_ms = None)]
    #[case(|m: &mut Measured| m.unanalyzed = None)]
    fn each_unknown_alone_stops_it(#[case] forget: fn(&mut Measured)) {
        let mut measured = quiet();
        forget(&mut measured);
        let reasons = may_switch(&measured, &LIMITS).unwrap_err();
        assert!(matches!(reasons.as_slice(), [Reason::Unknown(_)]), "{reasons:?}");
    }

    /// What says nothing about losing writes doesn't keep a rollback waiting.
    #[test]
    fn a_rollback_asks_for_no_verification_and_no_statistics() {
        let spec = (proto::Gates { max_verification_age_ms: 1, ..Default::default() }, proto::Budgets::default());
        assert!(Limits::of(Direction::Forward, &spec.0, &spec.1).forward.is_some());
        assert_eq!(Limits::of(Direction::Reverse, &spec.0, &spec.1).forward, None);
        let unknown = Measured { verification_age_ms: None, unanalyzed: None, ..quiet() };
        assert!(may_switch(&unknown, &Limits { forward: None, ..LIMITS }).is_ok());
    }

    #[test]
    fn every_reason_is_told() {
        let mut measured = quiet();
        measured.lag_bytes = Some(5000);
        measured.vacuums = Some(vec!["a".into(), "b".into()]);
        assert_eq!(may_switch(&measured, &LIMITS).unwrap_err().len(), 3);
    }
}
