//! The judgement on a lab: what the clients were told, who may write where, and whether both sides hold the same.

use anyhow::{Context, Result};
use changeover_tests::{
    ledger::{self, CheckReport},
    oracle::{self, RowsReport, SequenceFault},
    probe::{self, Answer, Try},
    sample,
    stack::{Side, StackInfo},
};
use serde::Serialize;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Longest wait for the side that follows to hold the last write.
const DRAIN: Duration = Duration::from_secs(60);

/// Who takes application writes.
#[derive(Clone, Debug, Serialize)]
pub struct Serving {
    /// The side on which every login of the application writes; `None` if that is none or both.
    pub open: Option<Side>,
    /// What isn't as it has to be: a login that writes on both sides or on none, a side half open.
    pub faults: Vec<String>,
}

/// Lets every kind of login try to write on both sides.
pub async fn serving(info: &StackInfo) -> Result<Serving> {
    let (source, target) =
        tokio::try_join!(probe::who_writes(info, Side::Source), probe::who_writes(info, Side::Target))?;
    let wrote = |tries: &[Try]| tries.iter().filter(|one| one.answer == Answer::Wrote).count();
    let refused = |tries: &[Try]| tries.iter().all(|one| matches!(one.answer, Answer::Refused(_)));
    let open = match (wrote(&source), wrote(&target)) {
        (all, 0) if all == source.len() && refused(&target) => Some(Side::Source),
        (0, all) if all == target.len() && refused(&source) => Some(Side::Target),
        _ => None,
    };
    let mut faults = Vec::new();
    if open.is_none() {
        let told = |tries: &[Try]| {
            tries.iter().map(|one| format!("{} {:?}", one.login, one.answer)).collect::<Vec<_>>().join(", ")
        };
        faults.push(format!("not exactly one side is open: source: {}; target: {}", told(&source), told(&target)));
    }
    Ok(Serving { open, faults })
}

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// The side that serves.
    pub serving: Serving,
    /// The ledger against the side that serves.
    pub ledger: CheckReport,
    /// Sequences of the side that serves that would hand out once more what a writer was given.
    pub sequences: Vec<SequenceFault>,
    /// Both sides row by row.
    pub rows: RowsReport,
    /// Everything that is wrong, in words; empty if nothing is.
    pub faults: Vec<String>,
}

impl Judgement {
    /// True if nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
    /// An error that says what is wrong, if something is.
    pub fn expect_clean(&self) -> Result<()> {
        anyhow::ensure!(self.is_clean(), "{}", self.faults.join("\n"));
        Ok(())
    }
}

/// Judges; nobody may write meanwhile.
pub(crate) async fn judge(info: &StackInfo, directory: &Path) -> Result<Judgement> {
    let serving = serving(info).await?;
    let open = serving.open.with_context(|| serving.faults.join("; "))?;
    let rows = until_equal(info).await?;
    let ledger = ledger::check(directory, &sample::Access::superuser(info.cluster(open))).await?;
    let sequences = oracle::sequences_behind_notes(info.cluster(open), &info.databases).await?;
    let mut faults = serving.faults.clone();
    if !ledger.is_clean() {
        let CheckReport { lost, doubled, reordered, invariant_violations, examples, .. } = &ledger;
        faults.push(format!(
            "ledger: {lost} lost, {doubled} doubled, {reordered} reordered, {invariant_violations} else: {}",
            examples.join("; ")
        ));
    }
    faults.extend(sequences.iter().map(|fault| format!("{} {}: {}", fault.database, fault.sequence, fault.what)));
    if rows.diverged_rows > 0 {
        faults.push(format!("{} rows differ between the sides: {:?}", rows.diverged_rows, rows.faults));
    }
    Ok(Judgement { serving, ledger, sequences, rows, faults })
}

async fn until_equal(info: &StackInfo) -> Result<RowsReport> {
    let begun = Instant::now();
    loop {
        let report = oracle::compare_rows(&info.source, &info.target, &info.databases).await?;
        if report.diverged_rows == 0 || begun.elapsed() > DRAIN {
            return Ok(report);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
