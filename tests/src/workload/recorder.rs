//! What the writers saw, kept in memory: counters, and each attempt with its times.

use super::clock::{self, Clock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a transaction ended for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// COMMIT was answered.
    Acknowledged,
    /// COMMIT's answer was lost.
    InDoubt,
    /// It failed for certain.
    Refused,
}

/// One attempt. Times in nanoseconds since 1970.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Index of the lane, from [`Recorder::lane`].
    pub lane: usize,
    /// When it began.
    pub start: u64,
    /// When it ended.
    pub end: u64,
    /// Its longest statement.
    pub slowest: u64,
    /// How it ended.
    pub ending: Ending,
}

struct Failure {
    lane: usize,
    at: u64,
    sqlstate: String,
}

#[derive(Default)]
struct Records {
    /// `way/database`, one per kind of writer.
    lanes: Vec<String>,
    attempts: Vec<Attempt>,
    failures: Vec<Failure>,
    operations: BTreeMap<String, u64>,
    anomalies: Vec<String>,
}

/// Collects from all writers.
pub struct Recorder {
    /// The clock of all times here.
    pub clock: Clock,
    started: u64,
    records: Mutex<Records>,
}

/// Counters so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkloadStats {
    /// Commits that were answered.
    pub acknowledged: u64,
    /// Commits whose answer was lost.
    pub in_doubt: u64,
    /// Transactions that failed for certain.
    pub refused: u64,
    /// Acknowledged per second over the last five seconds.
    pub tx_per_second: f64,
    /// Errors by SQLSTATE, failed logins included.
    pub errors: BTreeMap<String, u64>,
}

/// What clients saw between two moments.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WindowStats {
    /// Commits answered within.
    pub acknowledged: u64,
    /// The longest time between two answers to COMMIT, over all writers: counted from the last answer before the window to the
    /// first one after it. Milliseconds.
    pub longest_gap_ms: f64,
    /// The same for the writers of one way and database, as `bouncer/shop`.
    pub longest_gap_ms_by_path: BTreeMap<String, f64>,
    /// The longest statement of a transaction that overlaps the window, milliseconds.
    pub slowest_statement_ms: f64,
    /// The longest such transaction, its failed tries not added up, milliseconds.
    pub slowest_ms: f64,
    /// Errors by SQLSTATE within the window.
    pub errors: BTreeMap<String, u64>,
    /// The same by way and database.
    pub errors_by_path: BTreeMap<String, BTreeMap<String, u64>>,
}

/// The whole run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkloadSummary {
    /// Commits that were answered.
    pub acknowledged: u64,
    /// Commits whose answer was lost.
    pub in_doubt: u64,
    /// Transactions that failed for certain.
    pub refused: u64,
    /// From start to stop.
    pub seconds: f64,
    /// Acknowledged transactions by operation.
    pub operations: BTreeMap<String, u64>,
    /// Errors by SQLSTATE.
    pub errors: BTreeMap<String, u64>,
    /// Errors by way and database, and SQLSTATE.
    pub errors_by_path: BTreeMap<String, BTreeMap<String, u64>>,
    /// The longest time between two acknowledged writes, over all writers, milliseconds.
    pub longest_gap_ms: f64,
    /// The longest statement, milliseconds.
    pub slowest_statement_ms: f64,
    /// Reads that contradicted what the same client had been told before, as far as the writers noticed; the first hundred.
    pub anomalies: Vec<String>,
}

impl Recorder {
    /// An empty one; its run begins now.
    pub fn new(clock: Clock) -> Self {
        Self { clock, started: clock.now(), records: Mutex::default() }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of the lane of that name.
    pub fn lane(&self, name: &str) -> usize {
        let mut records = self.records();
        records.lanes.iter().position(|lane| lane == name).unwrap_or_else(|| {
            records.lanes.push(name.to_owned());
            records.lanes.len() - 1
        })
    }

    /// A transaction ended.
    pub fn attempt(&self, attempt: Attempt, operation: &str) {
        let mut records = self.records();
        if attempt.ending == Ending::Acknowledged {
            *records.operations.entry(operation.to_owned()).or_default() += 1;
        }
        records.attempts.push(attempt);
    }

    /// A statement or a login failed.
    pub fn failure(&self, lane: usize, sqlstate: &str) {
        let failure = Failure { lane, at: self.clock.now(), sqlstate: sqlstate.to_owned() };
        self.records().failures.push(failure);
    }

    /// A client read something that it can't have written.
    pub fn anomaly(&self, text: String) {
        let mut records = self.records();
        if records.anomalies.len() < 100 {
            records.anomalies.push(text);
        }
    }

    /// Counters so far.
    pub fn stats(&self) -> WorkloadStats {
        let now = self.clock.now();
        let records = self.records();
        let span = (now - self.started).clamp(1, 5_000_000_000);
        let recent = records.attempts.iter().rev().take_while(|attempt| attempt.end + span >= now);
        let recent = recent.filter(|attempt| attempt.ending == Ending::Acknowledged).count();
        WorkloadStats {
            acknowledged: records.count(Ending::Acknowledged),
            in_doubt: records.count(Ending::InDoubt),
            refused: records.count(Ending::Refused),
            tx_per_second: recent as f64 * 1e9 / span as f64,
            errors: records.errors(0, u64::MAX).0,
        }
    }

    /// What happened between `from` and `to`.
    pub fn window(&self, from: u64, to: u64) -> WindowStats {
        let now = self.clock.now();
        let records = self.records();
        let (errors, errors_by_path) = records.errors(from, to);
        let gaps = records.lanes.iter().enumerate();
        let gaps = gaps.map(|(index, lane)| (lane.clone(), clock::millis(records.gap(from, to, now, Some(index)))));
        let within = || records.attempts.iter().filter(|attempt| attempt.start <= to && attempt.end >= from);
        WindowStats {
            acknowledged: within()
                .filter(|attempt| attempt.ending == Ending::Acknowledged && (from..=to).contains(&attempt.end))
                .count() as u64,
            longest_gap_ms: clock::millis(records.gap(from, to, now, None)),
            longest_gap_ms_by_path: gaps.collect(),
            slowest_statement_ms: clock::millis(within().map(|attempt| attempt.slowest).max().unwrap_or(0)),
            slowest_ms: clock::millis(within().map(|attempt| attempt.end - attempt.start).max().unwrap_or(0)),
            errors,
            errors_by_path,
        }
    }

    /// When each kind of writer was first answered for a transaction that began at `from` or later; `None` if not yet.
    pub fn first_answers(&self, from: u64) -> BTreeMap<String, Option<u64>> {
        let records = self.records();
        let mut first: Vec<Option<u64>> = vec![None; records.lanes.len()];
        // Entered in the order of their ends.
        for attempt in records.attempts.iter().rev().take_while(|attempt| attempt.end >= from) {
            if attempt.ending == Ending::Acknowledged && attempt.start >= from {
                let known = &mut first[attempt.lane];
                *known = Some(known.map_or(attempt.end, |end| end.min(attempt.end)));
            }
        }
        records.lanes.iter().cloned().zip(first).collect()
    }

    /// The whole run up to now.
    pub fn summary(&self) -> WorkloadSummary {
        let now = self.clock.now();
        let whole = self.window(self.started, now);
        let records = self.records();
        WorkloadSummary {
            acknowledged: records.count(Ending::Acknowledged),
            in_doubt: records.count(Ending::InDoubt),
            refused: records.count(Ending::Refused),
            seconds: clock::millis(now - self.started) / 1000.0,
            operations: records.operations.clone(),
            errors: whole.errors,
            errors_by_path: whole.errors_by_path,
            longest_gap_ms: whole.longest_gap_ms,
            slowest_statement_ms: whole.slowest_statement_ms,
            anomalies: records.anomalies.clone(),
        }
    }
}

type Counts = BTreeMap<String, u64>;

impl Records {
    fn count(&self, ending: Ending) -> u64 {
        self.attempts.iter().filter(|attempt| attempt.ending == ending).count() as u64
    }

    fn errors(&self, from: u64, to: u64) -> (Counts, BTreeMap<String, Counts>) {
        let (mut all, mut by_lane) = (Counts::new(), BTreeMap::<String, Counts>::new());
        for failure in self.failures.iter().filter(|failure| (from..=to).contains(&failure.at)) {
            *all.entry(failure.sqlstate.clone()).or_default() += 1;
            let lane = by_lane.entry(self.lanes[failure.lane].clone()).or_default();
            *lane.entry(failure.sqlstate.clone()).or_default() += 1;
        }
        (all, by_lane)
    }

    /// The longest time without an acknowledged write that has a part in the window. Without an answer before (after) it, the window's
    /// own begin (the present, at most its end) counts as one.
    fn gap(&self, from: u64, to: u64, now: u64, lane: Option<usize>) -> u64 {
        let mut answers: Vec<u64> = self
            .attempts
            .iter()
            .filter(|attempt| attempt.ending == Ending::Acknowledged && lane.is_none_or(|lane| lane == attempt.lane))
            .map(|attempt| attempt.end)
            .collect();
        answers.sort_unstable();
        let first = answers.partition_point(|at| *at < from);
        let last = answers.partition_point(|at| *at <= to);
        let mut moments = vec![first.checked_sub(1).map_or(from, |before| answers[before])];
        moments.extend(&answers[first..last]);
        moments.push(answers.get(last).copied().unwrap_or(to.min(now)));
        moments.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_answers(answers: &[(usize, u64)]) -> Recorder {
        let recorder = Recorder::new(Clock::start());
        recorder.lane("bouncer/shop");
        recorder.lane("direct/shop");
        for (lane, end) in answers {
            let end = end * 1_000_000;
            let attempt =
                Attempt { lane: *lane, start: end - 500_000, end, slowest: 400_000, ending: Ending::Acknowledged };
            recorder.attempt(attempt, "x");
        }
        recorder
    }

    #[test]
    fn a_gap_reaches_from_the_last_answer_before_the_window_to_the_first_after_it() {
        let recorder = with_answers(&[(0, 10), (0, 95), (1, 300), (0, 310), (1, 900)]);
        let window = recorder.window(100_000_000, 200_000_000);
        assert_eq!(window.longest_gap_ms, 205.0);
        assert_eq!(window.longest_gap_ms_by_path["bouncer/shop"], 215.0);
        assert_eq!(window.acknowledged, 0);
        assert_eq!(recorder.window(290_000_000, 320_000_000).acknowledged, 2);
    }

    #[test]
    fn first_answers_count_what_began_since() {
        let recorder = with_answers(&[(0, 10), (0, 95), (1, 100), (0, 310), (0, 320)]);
        let first = recorder.first_answers(99_600_000);
        assert_eq!(
            first,
            BTreeMap::from([("bouncer/shop".to_owned(), Some(310_000_000)), ("direct/shop".to_owned(), None)])
        );
    }

    #[test]
    fn a_window_without_a_later_answer_ends_with_itself() {
        let recorder = with_answers(&[(0, 10)]);
        assert_eq!(recorder.window(20_000_000, 50_000_000).longest_gap_ms, 40.0);
    }

    #[test]
    fn errors_are_counted_by_state_within_the_window() {
        let recorder = with_answers(&[]);
        let before = recorder.clock.now();
        recorder.failure(1, "42501");
        recorder.failure(1, "42501");
        recorder.failure(0, "08006");
        let window = recorder.window(before, recorder.clock.now());
        assert_eq!(window.errors, Counts::from([("08006".to_owned(), 1), ("42501".to_owned(), 2)]));
        assert_eq!(window.errors_by_path["direct/shop"]["42501"], 2);
        assert!(recorder.window(0, before - 1).errors.is_empty());
    }
}
