//! Decisions of verification: how many rows a chunk takes, and when two readings of a row on two live databases are a
//! difference and not just the time between them.
//!
//! The rules for a row rest on one fact: a marker committed on the provider after a reading, and visible on the subscriber,
//! proves that the subscriber holds everything that the reading saw ("before or at the marker"), and perhaps more.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Failure, proto::VerifyTotals};

/// Whether a run's totals allow to go on.
///
/// # Errors
/// CO0601 when there are differences.
pub fn may_go_on(totals: &VerifyTotals) -> Result<(), Failure> {
    if totals.differences == 0 {
        return Ok(());
    }
    let first = totals.examples.join("; ");
    let message = format!("{} differences between source and target, the first: {first}", totals.differences);
    Err(Failure::needs_human(
        "CO0601",
        message,
        "find out who wrote on the side that should only receive, mend the rows, then `changeover retry`",
    ))
}

/// 128 bits of a row's text: two hashes with different seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowHash(pub i64, pub i64);

/// A key: the text of each of its columns.
pub type Key = Vec<String>;

/// One reading of one row: `None` when it isn't there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What tells this version of the row from every other one on the same server: xmin and ctid.
    pub version: String,
    /// Its content.
    pub hash: RowHash,
}

/// How a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// There on both sides with different content.
    Differs,
    /// On the provider only.
    Missing,
    /// On the subscriber only.
    Extra,
}

impl Kind {
    /// For people; `subscriber` is the side's name.
    pub fn words(self, subscriber: &str) -> String {
        match self {
            Kind::Differs => "differs".to_owned(),
            Kind::Missing => format!("missing on the {subscriber}"),
            Kind::Extra => format!("only on the {subscriber}"),
        }
    }
}

/// What a round of re-reading says about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The subscriber had what the provider had.
    Same,
    /// Proven twice in a row.
    Different(Kind),
    /// It changed while it was read: read again.
    Unsettled,
}

/// A key under suspicion.
#[derive(Clone, Debug, Default)]
pub struct Suspect {
    last_subscriber: Option<Option<Seen>>,
    strikes: u8,
}

/// Proofs that a difference needs, in a row.
const STRIKES: u8 = 2;

impl Suspect {
    /// Judges one round: `before` was read on the provider; then a marker was committed there and awaited on the subscriber;
    /// then `subscriber` was read; then `after` on the provider again. The rounds of a key follow each other: `before` is read
    /// after the previous round's `subscriber`.
    ///
    /// A round proves a difference in two ways, and in no other:
    /// * the provider has the same version before and after, so nothing happened to the row in between, and the subscriber,
    ///   which holds at least `before`, shows something else;
    /// * the subscriber shows the same version as in the round before, so nothing was applied to the row between the two, and
    ///   the provider, read between them and applied before the second, shows something else.
    ///
    /// Absence has no version (a row may be deleted, inserted and deleted again), so equal absences prove nothing.
    pub fn round(&mut self, before: Option<&Seen>, subscriber: Option<&Seen>, after: Option<&Seen>) -> Verdict {
        let content = |seen: Option<&Seen>| seen.map(|s| s.hash);
        let previous = self.last_subscriber.replace(subscriber.cloned());
        if content(subscriber) == content(before) || content(subscriber) == content(after) {
            self.strikes = 0;
            return Verdict::Same;
        }
        let provider_stood = before.is_some() && before == after;
        let subscriber_stood = subscriber.is_some() && previous.as_ref().is_some_and(|p| p.as_ref() == subscriber);
        if !(provider_stood || subscriber_stood) {
            self.strikes = 0;
            return Verdict::Unsettled;
        }
        self.strikes += 1;
        if self.strikes < STRIKES { Verdict::Unsettled } else { Verdict::Different(kind(before, subscriber)) }
    }
}

fn kind(provider: Option<&Seen>, subscriber: Option<&Seen>) -> Kind {
    match (provider, subscriber) {
        (Some(_), None) => Kind::Missing,
        (None, Some(_)) => Kind::Extra,
        _ => Kind::Differs,
    }
}

/// Judges a row that is locked on the provider while a marker passes: nothing can happen to it, so one reading decides.
/// `None`: the provider has no such row, so nothing was locked, and it has to be tried again.
pub fn judge_locked(provider: Option<&Seen>, subscriber: Option<&Seen>) -> Verdict {
    match (provider, subscriber) {
        (None, None) => Verdict::Same,
        (Some(p), Some(s)) if p.hash == s.hash => Verdict::Same,
        (None, Some(_)) => Verdict::Unsettled,
        (Some(_), s) => Verdict::Different(kind(provider, s)),
    }
}

/// How many rows the next chunk takes: adapts so that a chunk takes about `aim`.
#[derive(Clone, Debug)]
pub struct ChunkSizer {
    rows: u64,
    aim: Duration,
}

/// Fewest rows of a chunk.
pub const LEAST_ROWS: u64 = 1;
/// Most rows of a chunk: a bound for the re-reading of a chunk that doesn't match.
pub const MOST_ROWS: u64 = 250_000;
/// Bytes that the first chunk of a table takes at most, by the planner's estimate of its rows.
const FIRST_BYTES: u64 = 16 << 20;

impl ChunkSizer {
    /// Starts with `first_rows`, or fewer when rows are wide.
    pub fn new(first_rows: u32, aim: Duration, bytes_per_row: u64) -> Self {
        let by_bytes = FIRST_BYTES / bytes_per_row.max(1);
        let rows = u64::from(first_rows.max(1)).min(by_bytes).clamp(LEAST_ROWS, MOST_ROWS);
        Self { rows, aim: aim.max(Duration::from_millis(1)) }
    }
    /// Rows of the next chunk.
    pub fn rows(&self) -> u64 {
        self.rows
    }
    /// A chunk of `rows` took `time`. A chunk at the end of a table, smaller than asked, says nothing about larger ones.
    pub fn took(&mut self, rows: u64, time: Duration) {
        let too_short = time < self.aim && rows < self.rows;
        if rows == 0 || too_short {
            return;
        }
        let factor = (self.aim.as_secs_f64() / time.as_secs_f64().max(0.000_1)).clamp(0.25, 2.0);
        // Within 2^53, and the result is clamped: the casts lose nothing that matters.
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let next = (self.rows as f64 * factor) as u64;
        self.rows = next.clamp(LEAST_ROWS, MOST_ROWS);
    }
    /// A chunk ran into its timeout. False when it can't be made smaller.
    pub fn too_slow(&mut self) -> bool {
        let smaller = (self.rows / 8).max(LEAST_ROWS);
        let shrunk = smaller < self.rows;
        self.rows = smaller;
        shrunk
    }
}

/// Matches the rows of one chunk as they arrive from both sides, in whatever order, and keeps only what has no partner yet.
#[derive(Debug, Default)]
pub struct Unmatched {
    provider: BTreeMap<Key, RowHash>,
    subscriber: BTreeMap<Key, RowHash>,
    /// Keys whose rows were seen on both sides with different content.
    differing: Vec<Key>,
}

impl Unmatched {
    /// A row from the provider.
    pub fn provider(&mut self, key: Key, hash: RowHash) {
        match self.subscriber.remove(&key) {
            Some(other) if other == hash => {}
            Some(_) => self.differing.push(key),
            None => self.push(true, key, hash),
        }
    }
    /// A row from the subscriber.
    pub fn subscriber(&mut self, key: Key, hash: RowHash) {
        match self.provider.remove(&key) {
            Some(other) if other == hash => {}
            Some(_) => self.differing.push(key),
            None => self.push(false, key, hash),
        }
    }
    fn push(&mut self, provider: bool, key: Key, hash: RowHash) {
        let map = if provider { &mut self.provider } else { &mut self.subscriber };
        // Two rows of one side with the same key text: the key isn't one on that side.
        if map.insert(key.clone(), hash).is_some() {
            self.differing.push(key);
        }
    }
    /// How many keys are held.
    pub fn len(&self) -> usize {
        self.provider.len() + self.subscriber.len() + self.differing.len()
    }
    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The keys to be read again, when all rows have arrived.
    pub fn suspects(self) -> Vec<Key> {
        let mut keys = self.differing;
        keys.extend(self.provider.into_keys());
        keys.extend(self.subscriber.into_keys());
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// What is known of the number of equal rows in a table without a key, whose rows are only ever added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Equal, and nothing came or went that could hide a difference.
    Same,
    /// As many too few on the subscriber (positive) or too many (negative). Never 0.
    Off(i64),
    /// Such rows were added at the very moment of reading: read again.
    Unsettled,
}

/// Compares numbers of equal rows. The provider had `provider` of them at a moment between the commits of two markers; of the
/// rows that the subscriber has, `first` were applied before the first marker and `second` before the second one.
pub fn sandwich(first: i64, provider: i64, second: i64) -> Count {
    if provider < first {
        Count::Off(provider - first)
    } else if provider > second {
        Count::Off(provider - second)
    } else if first == second {
        Count::Same
    } else {
        Count::Unsettled
    }
}

/// The name of a row in a report: `(id, line) = (7, 2)`. Long values are cut.
pub fn name_key(columns: &[String], key: &[String]) -> String {
    const LONGEST: usize = 64;
    let values: Vec<String> = key
        .iter()
        .map(|value| {
            let mut short: String = value.chars().take(LONGEST).collect();
            if short.len() < value.len() {
                short.push('…');
            }
            short.replace(char::is_control, " ")
        })
        .collect();
    format!("({}) = ({})", columns.join(", "), values.join(", "))
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
