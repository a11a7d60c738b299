//! How writers are kept out at a switch: two means, one chosen per migration, with what each costs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The means by which the side that closes is fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fence {
    /// Every table is locked, then every right to write is revoked. Nothing is there beforehand.
    Lock,
    /// A statement trigger on every table asks a flag; the fence shuts it. The triggers are there beforehand.
    Gate,
}

/// With `auto`, the gate is taken from this many tables on.
pub const GATE_FROM: u64 = 500;

/// Locking costs about 20 µs per table and taking the rights about 50 per table or sequence (measured on PostgreSQL 15 to 18); this
/// is the bound.
const LOCK_TABLE_US: u64 = 80;
/// Getting the gate's lock, whatever the number of tables.
const GATE_US: u64 = 2_000;
/// What the gate's trigger adds to each statement that writes, µs, from least to most.
pub const GATE_STATEMENT_US: (u64, u64) = (10, 25);

impl Fence {
    /// Its word in specs, plans and notes.
    pub fn word(self) -> &'static str {
        match self {
            Fence::Lock => "lock",
            Fence::Gate => "gate",
        }
    }

    /// What a spec's word means for this many tables that hold rows. A spec from before there was a choice has none: `lock`.
    pub fn choose(word: &str, tables: u64) -> Self {
        match word {
            "gate" => Fence::Gate,
            "auto" if tables >= GATE_FROM => Fence::Gate,
            _ => Fence::Lock,
        }
    }

    /// What this fence adds to the pause at most, µs, with so many tables and sequences.
    pub fn pause_us(self, relations: u64) -> u64 {
        match self {
            Fence::Lock => LOCK_TABLE_US * relations,
            Fence::Gate => GATE_US,
        }
    }

    /// After how long the fence is given up, milliseconds, where `budgets.fence_lock` says `ms`: locking many tables takes its
    /// time without anybody in the way, and that is given on top.
    pub fn given_up_after_ms(self, ms: u64, relations: u64) -> u64 {
        match self {
            Fence::Lock => ms + self.pause_us(relations) / 1_000,
            Fence::Gate => ms,
        }
    }

    /// Which one is taken, why, and what both cost: for `changeover plan`.
    pub fn explain(word: &str, tables: u64, sequences: u64) -> String {
        let chosen = Self::choose(word, tables);
        let why = match word {
            "auto" => format!("auto: {tables} tables, the gate is taken from {GATE_FROM} on"),
            _ => "as the spec says".to_owned(),
        };
        let ms = |fence: Fence| format!("{:.1} ms", fence.pause_us(tables + sequences) as f64 / 1000.0);
        let (least, most) = GATE_STATEMENT_US;
        format!(
            "fence {chosen} ({why}); lock adds up to {} to the pause ({LOCK_TABLE_US} µs per table or sequence), gate {} however many tables, \
             and {least}-{most} µs to each statement that writes, from reverse replication until the end",
            ms(Fence::Lock),
            ms(Fence::Gate)
        )
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("lock", 1_000_000, Fence::Lock)]
    #[case("gate", 0, Fence::Gate)]
    #[case("auto", 499, Fence::Lock)]
    #[case("auto", 500, Fence::Gate)]
    #[case("", 500, Fence::Lock)]
    fn the_word_decides_and_auto_counts(#[case] word: &str, #[case] tables: u64, #[case] fence: Fence) {
        assert_eq!(Fence::choose(word, tables), fence);
    }

    #[rstest]
    #[case(Fence::Lock, 0, 300)]
    #[case(Fence::Lock, 10_000, 1_100)]
    #[case(Fence::Gate, 10_000, 300)]
    fn many_tables_are_given_their_time(#[case] fence: Fence, #[case] tables: u64, #[case] ms: u64) {
        assert_eq!(fence.given_up_after_ms(300, tables), ms);
    }

    #[test]
    fn a_plan_tells_both_costs() {
        let text = Fence::explain("auto", 10_000, 0);
        assert!(text.starts_with("fence gate (auto: 10000 tables"), "{text}");
        assert!(text.contains("800.0 ms") && text.contains("2.0 ms") && text.contains("10-25 µs"), "{text}");
        assert!(Fence::explain("lock", 10, 7).starts_with("fence lock (as the spec says); lock adds up to 1.4 ms"));
    }
}
