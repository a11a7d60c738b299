//! The demo's report: JSON for machines, Markdown for people.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use super::temporal_history::HistorySize;
use crate::{
    ledger::CheckReport,
    oracle::{Difference, RowsReport, SequenceFault},
    product::Status,
    scenario::SwitchSeen,
};

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Commits that were answered.
    pub acknowledged: u64,
    /// Answered commits that aren't there.
    pub lost: u64,
    /// Commits that are there twice, numbers given twice included.
    pub doubled: u64,
    /// Rows that differed between the sides before finalize.
    pub diverged_rows: u64,
    /// Catalog facts that aren't as a finished migration has to leave them.
    pub leftovers: u64,
    /// The leftovers by name.
    pub leftover_names: Vec<String>,
    /// Each stage with start, end and attempts.
    pub stages: Value,
    /// Rows and bytes of the initial copy.
    pub copied: Value,
    /// Rows compared by the last verification.
    pub verified: Value,
    /// Each switch and rollback as the fence measured it.
    pub switches: Value,
    /// The same as the clients saw them.
    pub clients: Vec<SwitchSeen>,
    /// All tables compared byte for byte.
    pub rows: RowsReport,
    /// Sequences that could give a number twice.
    pub sequence_faults: Vec<String>,
    /// The checker's verdict.
    pub ledger: CheckReport,
    /// What Temporal had to keep.
    pub temporal: HistorySize,
    /// Who did what, when.
    pub history: Value,
}

impl Report {
    /// Puts a report together.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        status: &Status,
        history: Value,
        ledger: CheckReport,
        clients: Vec<SwitchSeen>,
        rows: RowsReport,
        sequences: &[SequenceFault],
        leftovers: &[Difference],
        temporal: HistorySize,
    ) -> Self {
        Self {
            acknowledged: ledger.acknowledged,
            lost: ledger.lost,
            doubled: ledger.doubled + sequences.len() as u64,
            diverged_rows: rows.diverged_rows,
            leftovers: leftovers.len() as u64,
            leftover_names: leftovers.iter().map(ToString::to_string).collect(),
            stages: status.0["stages"].clone(),
            copied: status.0["progress"].clone(),
            verified: status.0["verified"].clone(),
            switches: status.0["switches"].clone(),
            clients,
            rows,
            sequence_faults: sequences.iter().map(|fault| format!("{fault:?}")).collect(),
            ledger,
            temporal,
            history,
        }
    }

    /// All was well: nothing lost, doubled, reordered, diverged or left; three switches.
    pub fn is_good(&self) -> bool {
        self.acknowledged > 0
            && self.lost + self.doubled + self.diverged_rows + self.leftovers == 0
            && self.ledger.is_clean()
            && self.clients.len() == 3
    }

    /// Writes `report.json` and `report.md`.
    pub fn write(&self, directory: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(directory.join("report.json"), json).context("writing report.json")?;
        std::fs::write(directory.join("report.md"), self.markdown()).context("writing report.md")
    }

    /// For people.
    pub fn markdown(&self) -> String {
        let mut text = String::from("# Changeover: report of the demo\n\n");
        let _ = writeln!(
            text,
            "| acknowledged | lost | doubled | diverged rows | leftovers |\n|---|---|---|---|---|\n| {} | {} | {} | {} | {} |\n",
            self.acknowledged, self.lost, self.doubled, self.diverged_rows, self.leftovers
        );
        self.write_stages(&mut text);
        self.write_switches(&mut text);
        let copied = |field: &str| Status::number(&self.copied[field]);
        let _ = writeln!(
            text,
            "Copied {} rows, {} bytes. Verified {} rows of {} tables ({} keys looked at again); the judge compared {} tables, {} rows byte for byte.",
            copied("rowsTotal"),
            copied("bytesTotal"),
            Status::number(&self.verified["rows"]),
            Status::number(&self.verified["tables"]),
            Status::number(&self.verified["recheckedKeys"]),
            self.rows.tables,
            self.rows.source_rows
        );
        let _ = writeln!(
            text,
            "\nTemporal: {} events, {} bytes of history, largest payload {} bytes.",
            self.temporal.events, self.temporal.bytes, self.temporal.largest_payload
        );
        for name in &self.leftover_names {
            let _ = writeln!(text, "- leftover: {name}");
        }
        text
    }

    fn write_stages(&self, text: &mut String) {
        let _ = writeln!(text, "| stage | start | end | attempts | evidence |\n|---|---|---|---|---|");
        for stage in self.stages.as_array().into_iter().flatten() {
            let of = |field: &str| stage[field].as_str().unwrap_or_default();
            let attempts = stage["attempts"].as_u64().unwrap_or(0);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {attempts} | {} |",
                of("stage"),
                clock(of("startedAt")),
                clock(of("endedAt")),
                of("evidence")
            );
        }
        text.push('\n');
    }

    fn write_switches(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "| switch | pause at the fence | longest gap between acknowledged writes | slowest statement | client errors |\n|---|---|---|---|---|"
        );
        let opened = self.switches.as_array().into_iter().flatten().filter(|s| s["outcome"] == "open");
        for (fence, seen) in opened.zip(&self.clients) {
            let _ = writeln!(
                text,
                "| {} | {:.1} ms | {:.1} ms | {:.1} ms | {} |",
                seen.direction,
                Status::number(&fence["pauseUs"]) as f64 / 1_000.0,
                seen.clients.longest_gap_ms,
                seen.clients.slowest_statement_ms,
                errors(seen)
            );
        }
        text.push('\n');
    }
}

fn errors(seen: &SwitchSeen) -> String {
    if seen.clients.errors.is_empty() {
        return "none".to_owned();
    }
    let each = |(path, errors): (&String, &std::collections::BTreeMap<String, u64>)| {
        let list: Vec<String> = errors.iter().map(|(state, count)| format!("{count} x {state}")).collect();
        format!("{path}: {}", list.join(", "))
    };
    seen.clients.errors_by_path.iter().map(each).collect::<Vec<_>>().join("; ")
}

/// The time of day of an RFC 3339 time.
fn clock(time: &str) -> &str {
    time.get(11..19).unwrap_or(time)
}
