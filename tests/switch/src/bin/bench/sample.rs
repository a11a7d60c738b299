//! The samples of a run, and the file that they are kept in.

use anyhow::{Context, Result};
use changeover_switch_tests::Judgement;
use changeover_tests::workload::WorkloadSummary;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// One attempt of ours.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SwitchSample {
    pub(crate) at: String,
    /// `forward` or `reverse`.
    pub(crate) direction: String,
    pub(crate) outcome: String,
    pub(crate) refusal: String,
    /// From the first moment a writer could wait until writes were possible on the other side.
    pub(crate) pause_us: u64,
    /// Name, and microseconds since the pause began.
    pub(crate) steps: Vec<(String, u64)>,
    /// Longest time between two acknowledged writes to one database.
    pub(crate) gap_ms: f64,
    /// The longest statement of any client.
    pub(crate) statement_ms: f64,
    /// Errors of clients by SQLSTATE.
    pub(crate) errors: BTreeMap<String, u64>,
    /// The machine's load average before.
    pub(crate) load: f64,
    /// Share of the machine that was busy from the attempt's begin until writes flowed.
    pub(crate) cpu: f64,
}

/// One sample of the floor; microseconds since its begin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FloorSample {
    /// The writers were held meanwhile.
    pub(crate) held: bool,
    pub(crate) committed_us: u64,
    pub(crate) visible_us: u64,
    pub(crate) durable_us: u64,
}

/// One sample of the other method.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MethodSample {
    /// From the first refusal until it is complete.
    pub(crate) window_us: u64,
    /// Looks at the lag.
    pub(crate) polls: u32,
    pub(crate) gap_ms: f64,
    pub(crate) errors: BTreeMap<String, u64>,
}

/// Everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) began: String,
    pub(crate) ended: String,
    pub(crate) machine: String,
    pub(crate) writers: usize,
    pub(crate) rate: f64,
    pub(crate) tables: u64,
    pub(crate) switches: Vec<SwitchSample>,
    pub(crate) floors: Vec<FloorSample>,
    pub(crate) methods: Vec<MethodSample>,
    pub(crate) acknowledged: u64,
    pub(crate) transactions_per_second: f64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) faults: Vec<String>,
}

impl Run {
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("parsing {}", path.display()))
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let next = path.with_extension("next");
        std::fs::write(&next, serde_json::to_string(self)?)?;
        std::fs::rename(&next, path).with_context(|| format!("replacing {}", path.display()))
    }

    pub(crate) fn begin(&mut self, machine: String, writers: usize, rate: f64, tables: u64) {
        if self.began.is_empty() {
            self.began = jiff::Timestamp::now().to_string();
        }
        (self.machine, self.writers, self.rate, self.tables) = (machine, writers, rate, tables);
    }

    pub(crate) fn end(&mut self, judgement: &Judgement, summary: Option<WorkloadSummary>) {
        self.ended = jiff::Timestamp::now().to_string();
        self.acknowledged += judgement.ledger.acknowledged;
        self.lost += judgement.ledger.lost;
        self.doubled += judgement.ledger.doubled;
        self.faults.extend(judgement.faults.clone());
        if let Some(summary) = summary {
            self.transactions_per_second = summary.acknowledged as f64 / summary.seconds.max(0.001);
        }
    }
}
