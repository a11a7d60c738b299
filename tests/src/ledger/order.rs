//! The order of a client's own writes: its slots count up by one with every commit.

use super::check::{CheckReport, Found, Kind};
use std::collections::BTreeMap;

/// What a slot went through, as the clients know it.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Acknowledged: seq, version; in the order of seq.
    acknowledged: Vec<(i64, i64)>,
    /// By version, every transaction that is known to have made it.
    versions: BTreeMap<i64, Vec<i64>>,
    /// The highest version that a write of the big value made, and whether such a write may be missing here.
    big: i64,
}

impl Slot {
    pub(super) fn acknowledged(&mut self, seq: i64, version: i64, op: &str) {
        self.acknowledged.push((seq, version));
        self.in_doubt(seq, version, op);
    }

    /// Nothing is known about its place: it may have been carried out at any time after it was sent.
    pub(super) fn in_doubt(&mut self, seq: i64, version: i64, op: &str) {
        self.versions.entry(version).or_default().push(seq);
        if op == "big_value" || op == "big_doc" {
            self.big = self.big.max(version);
        }
    }
}

/// Compares a slot with the row that counts it.
pub(super) fn check(report: &mut CheckReport, name: &str, key: (i32, i32), slot: &Slot, found: &Found) {
    for pair in slot.acknowledged.windows(2) {
        let ((before, older), (after, newer)) = (pair[0], pair[1]);
        if newer <= older {
            report.add(
                Kind::Reordered,
                format!("{name}: seq {after} is version {newer}, seq {before} before it was {older}"),
            );
        }
    }
    for (version, writers) in slot.versions.iter().filter(|(_, writers)| writers.len() > 1) {
        report.add(Kind::Reordered, format!("{name}: version {version} was made by each of {writers:?}"));
    }
    let highest = slot.versions.keys().next_back().copied().unwrap_or(0);
    let gaps = (1..=highest).filter(|version| !slot.versions.contains_key(version)).count();
    if gaps > 0 {
        report.add(Kind::Invariant, format!("{name}: nobody made {gaps} of its {highest} versions"));
    }
    match found.slots.get(&key) {
        None => report.add(Kind::Lost, format!("{name} isn't there")),
        Some((version, _)) if *version > highest => {
            report.add(Kind::Doubled, format!("{name} was raised {version} times by {highest} transactions"));
        }
        Some((version, _)) if *version < highest => {
            report.add(Kind::Reordered, format!("{name} stands at version {version}, {highest} was acknowledged"));
        }
        Some((_, last)) => {
            if !slot.versions.get(&highest).is_some_and(|writers| writers.contains(last)) {
                report.add(Kind::Reordered, format!("{name}: seq {last} came last, not the one of version {highest}"));
            }
        }
    }
    let big = found.big.get(&key).copied().unwrap_or(0);
    if big != slot.big {
        let kind = if big == 0 { Kind::Lost } else { Kind::Reordered };
        report.add(kind, format!("{name}: its big value is of version {big}, the last write of it was {}", slot.big));
    }
}
