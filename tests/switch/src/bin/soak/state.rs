//! What has been done so far: kept in a file, so that a long run may be interrupted.

use super::one::Line;
use anyhow::{Context, Result, ensure};
use changeover_switch_tests::Judgement;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// One look at the whole ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Checked {
    pub(crate) acknowledged: u64,
    pub(crate) in_doubt: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) else_wrong: u64,
    pub(crate) rows_compared: u64,
    /// Everything that was wrong, in words.
    pub(crate) faults: Vec<String>,
    /// It was the last look at these clusters: the next begins with new ones.
    pub(crate) process: u32,
}

impl Checked {
    pub(crate) fn of(judgement: &Judgement) -> Self {
        let ledger = &judgement.ledger;
        Self {
            acknowledged: ledger.acknowledged,
            in_doubt: ledger.in_doubt,
            lost: ledger.lost,
            doubled: ledger.doubled,
            else_wrong: ledger.reordered + ledger.invariant_violations,
            rows_compared: judgement.rows.source_rows,
            faults: judgement.faults.clone(),
            process: std::process::id(),
        }
    }
}

/// A run, perhaps over several processes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) seed: u64,
    /// The index that comes next.
    pub(crate) next: u64,
    pub(crate) lines: Vec<Line>,
    pub(crate) checks: Vec<Checked>,
    #[serde(skip)]
    path: Option<PathBuf>,
}

/// Times in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Times {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) max: f64,
}

/// All switches with one kind of fault.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ByFault {
    pub(crate) switches: u64,
    pub(crate) open: u64,
    pub(crate) abort: u64,
    pub(crate) failed: u64,
    /// From the fault until writes flowed.
    pub(crate) flow: Times,
    /// From the takeover's start.
    pub(crate) after_takeover: Times,
    pub(crate) pooled_gap: Times,
}

/// The sum of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Totals {
    pub(crate) seed: u64,
    pub(crate) switches: u64,
    /// Kills and stops at random times that struck a running switch.
    pub(crate) random_strikes: u64,
    pub(crate) server_restarts: u64,
    pub(crate) acknowledged: u64,
    pub(crate) in_doubt: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) else_wrong: u64,
    pub(crate) faults: Vec<String>,
    pub(crate) all: ByFault,
    pub(crate) by_fault: BTreeMap<String, ByFault>,
}

impl State {
    pub(crate) fn open(path: Option<&Path>, seed: u64, from: u64) -> Result<Self> {
        let fresh = Self { seed, next: from, path: path.map(Path::to_owned), ..Self::default() };
        let Some(path) = path.filter(|path| path.exists()) else { return Ok(fresh) };
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let mut state: Self = serde_json::from_str(&text).with_context(|| format!("parsing {}", path.display()))?;
        ensure!(state.seed == seed, "{} is of seed {}, not of {seed}", path.display(), state.seed);
        state.path = Some(path.to_owned());
        Ok(state)
    }

    pub(crate) fn push(&mut self, line: Line) -> Result<()> {
        self.next = line.index + 1;
        self.lines.push(line);
        self.save()
    }

    pub(crate) fn check(&mut self, checked: Checked) -> Result<()> {
        self.checks.push(checked);
        self.save()
    }

    fn save(&self) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let next = path.with_extension("next");
        std::fs::write(&next, serde_json::to_string(self)?).with_context(|| format!("writing {}", next.display()))?;
        std::fs::rename(&next, path).with_context(|| format!("replacing {}", path.display()))
    }

    pub(crate) fn totals(&self) -> Totals {
        totals(self.seed, &self.lines, &self.checks)
    }

    /// Adds what was done since line `begun` to a table of all runs.
    pub(crate) fn note(&self, path: &Path, begun: usize) -> Result<()> {
        let lines = self.lines.get(begun..).unwrap_or_default();
        let process = std::process::id();
        let checks: Vec<Checked> = self.checks.iter().filter(|check| check.process == process).cloned().collect();
        if lines.is_empty() {
            return Ok(());
        }
        super::table::note(path, &totals(self.seed, lines, &checks))
    }
}

fn totals(seed: u64, lines: &[Line], checks: &[Checked]) -> Totals {
    let mut by_fault: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        by_fault.entry(line.fault.clone()).or_default().push(line);
    }
    // A look counts everything since its clusters began: of each process the last one.
    let mut last: BTreeMap<u32, &Checked> = BTreeMap::new();
    for check in checks {
        last.insert(check.process, check);
    }
    let sum = |value: fn(&Checked) -> u64| last.values().map(|check| value(check)).sum();
    Totals {
        seed,
        switches: lines.len() as u64,
        random_strikes: lines.iter().filter(|line| line.random_strike).count() as u64,
        server_restarts: lines.iter().filter(|line| line.fault.contains("restarted")).count() as u64,
        acknowledged: sum(|check| check.acknowledged),
        in_doubt: sum(|check| check.in_doubt),
        lost: sum(|check| check.lost),
        doubled: sum(|check| check.doubled),
        else_wrong: sum(|check| check.else_wrong),
        faults: last.values().flat_map(|check| check.faults.clone()).collect(),
        all: summary(&lines.iter().collect::<Vec<_>>()),
        by_fault: by_fault.into_iter().map(|(fault, lines)| (fault, summary(&lines))).collect(),
    }
}

fn summary(lines: &[&Line]) -> ByFault {
    let count = |outcome: &str| lines.iter().filter(|line| line.outcome == outcome).count() as u64;
    let done = || lines.iter().filter(|line| line.outcome != "FAILED");
    ByFault {
        switches: lines.len() as u64,
        open: count("open"),
        abort: count("abort"),
        failed: count("FAILED"),
        flow: times(done().map(|line| line.flow_ms)),
        after_takeover: times(done().map(|line| line.takeover_ms).filter(|time| *time > 0.0)),
        pooled_gap: times(done().map(|line| line.pooled_gap_ms)),
    }
}

fn times(values: impl Iterator<Item = f64>) -> Times {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        // The nearest rank.
        let rank = (share * values.len() as f64).ceil().max(1.0) as usize;
        values.get(rank - 1).copied().unwrap_or(0.0)
    };
    Times { p50: at(0.50), p95: at(0.95), max: at(1.0) }
}

#[cfg(test)]
mod tests {
    use super::times;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let found = times((1..=100).rev().map(f64::from));
        assert_eq!((found.p50, found.p95, found.max), (50.0, 95.0, 100.0));
        assert_eq!(times([7.0].into_iter()).p95, 7.0);
        assert_eq!(times(std::iter::empty()).max, 0.0);
    }
}
