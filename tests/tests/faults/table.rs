//! What the runs came to, kept in a file from run to run, and the table that is made of it.

use crate::{
    fault::{Fault, Injection},
    known::Known,
    matrix::ABORT,
    run::{Came, TO_THE_END},
};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Write as _, fs::OpenOptions, io::Write as _, path::Path};

/// One fault and what it came to, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// When, RFC 3339.
    at: String,
    stage: String,
    /// `before`, `after` or `within`.
    side: String,
    place: String,
    nth: u32,
    /// The fault's word.
    fault: String,
    /// The code, where it parked.
    code: Option<String>,
    remedy: Option<String>,
    /// From the fault until the run went on.
    ms: u64,
}

impl Line {
    pub fn of(came: &Came) -> Self {
        let Injection { stage, place, at, fault, .. } = &came.injection;
        let (code, remedy) = came.parked.clone().unzip();
        Self {
            at: jiff::Timestamp::now().to_string(),
            stage: stage.clone(),
            side: came.injection.side().to_owned(),
            place: place.clone(),
            nth: *at,
            fault: fault.word().to_owned(),
            code,
            remedy,
            ms: u64::try_from(came.after.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The name of the fault.
    pub fn name(&self) -> String {
        let nth = if self.nth > 1 { format!("@{}", self.nth) } else { String::new() };
        format!("{}/{}{nth}/{}", self.stage, self.place, self.fault)
    }

    fn key(&self) -> (String, u32, String, String) {
        (self.place.clone(), self.nth, self.stage.clone(), self.fault.clone())
    }
}

/// What stands in a line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Kept {
    /// A fault.
    Fault(Line),
    /// A run, and what went wrong.
    Run { run: String, wrong: Option<String> },
    /// Writes that were acknowledged on one stack, and were all there when they were looked for.
    Judged { acknowledged: u64 },
}

/// Appends to the file.
pub fn keep(path: &Path, all: &[Kept]) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path).context("opening the file of results")?;
    for one in all {
        writeln!(file, "{}", serde_json::to_string(one)?).context("writing a result")?;
    }
    Ok(())
}

/// What the file says: the last result of each fault and of each run counts.
#[derive(Default)]
pub struct Results {
    pub lines: Vec<Line>,
    wrong: Vec<String>,
    acknowledged: u64,
}

impl Results {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let (mut last, mut runs, mut acknowledged) = (BTreeMap::new(), BTreeMap::new(), 0);
        for line in text.lines() {
            match serde_json::from_str(line).context("a line of the file of results")? {
                Kept::Fault(line) => drop(last.insert(line.key(), line)),
                Kept::Run { run, wrong } => drop(runs.insert(run, wrong)),
                Kept::Judged { acknowledged: count } => acknowledged += count,
            }
        }
        let wrong = runs.into_iter().filter_map(|(run, wrong)| Some(format!("{run}: {}", wrong?))).collect();
        Ok(Self { lines: last.into_values().collect(), wrong, acknowledged })
    }

    fn sum(&self) -> String {
        let lines = &self.lines;
        let day = |at: Option<&String>| at.and_then(|at| at.get(..10)).unwrap_or_default().to_owned();
        let first = day(lines.iter().map(|line| &line.at).min());
        let last = day(lines.iter().map(|line| &line.at).max());
        let parked = lines.iter().filter(|line| line.code.is_some()).count();
        let (all, alone, judged) = (lines.len(), lines.len() - parked, self.acknowledged);
        let mut text = format!(
            "{all} faults, runs of {first} to {last}: from {alone} the run recovered alone, by {parked} it was parked with a code and a \
             remedy and went on after that. Of {judged} acknowledged writes none was lost, none doubled; nothing was left over.\n\n"
        );
        if !self.wrong.is_empty() {
            let list: String = self.wrong.iter().map(|run| format!("- {run}\n")).collect();
            text = format!("{all} faults, runs of {first} to {last}. These runs went wrong:\n\n{list}\n");
        }
        text
    }
}

/// The page.
pub fn page(known: &Known, results: &Results) -> Result<String> {
    let mut text = format!("{HEAD}{}", results.sum());
    let lines = &results.lines;
    let stages: Vec<&str> = known.stages.iter().map(String::as_str).chain([ABORT, "soak", TO_THE_END]).collect();
    writeln!(text, "| fault | {} |", stages.join(" | "))?;
    writeln!(text, "|---|{}", "---|".repeat(stages.len()))?;
    for fault in Fault::ALL {
        for side in ["before", "within", "after"] {
            let cells: Vec<String> = stages.iter().map(|stage| cell(lines, fault, side, stage)).collect();
            if cells.iter().any(|cell| cell != "-") {
                writeln!(text, "| {}, {side} | {} |", fault.title(), cells.join(" | "))?;
            }
        }
    }
    text.push_str(&codes(lines)?);
    Ok(text)
}

/// What all faults of a kind on a side of a stage's activities came to.
fn cell(lines: &[Line], fault: Fault, side: &str, stage: &str) -> String {
    let of: Vec<&Line> =
        lines.iter().filter(|l| l.fault == fault.word() && l.side == side && l.stage == stage).collect();
    if of.is_empty() {
        return "-".to_owned();
    }
    let alone = of.iter().filter(|line| line.code.is_none()).count();
    let longest = of.iter().map(|line| line.ms).max().unwrap_or(0).div_ceil(1_000);
    let mut codes: Vec<&str> = of.iter().filter_map(|line| line.code.as_deref()).collect();
    codes.sort_unstable();
    codes.dedup();
    let mut parts = Vec::new();
    if alone > 0 {
        parts.push(format!("{alone} alone"));
    }
    if !codes.is_empty() {
        parts.push(format!("{} {}", of.len() - alone, codes.join(", ")));
    }
    format!("{} ({longest} s)", parts.join("; "))
}

/// What each code told a person to do.
fn codes(lines: &[Line]) -> Result<String> {
    let mut remedies: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in lines {
        if let (Some(code), Some(remedy)) = (&line.code, &line.remedy) {
            *remedies.entry((code, remedy)).or_default() += 1;
        }
    }
    let mut text = String::from(
        "\n## What parked, and the remedy that status showed\n\n| code | times | remedy |\n|---|---|---|\n",
    );
    for ((code, remedy), times) in remedies {
        writeln!(text, "| {code} | {times} | {} |", remedy.replace('|', "\\|"))?;
    }
    Ok(text)
}

const HEAD: &str = "\
# Faults: stage by stage, before, within and after what an activity does

`make faults` wrote this page from its own run; nothing here is written by hand. Two databases on real PostgreSQL servers dressed
as RDS, PgBouncer, Temporal and the worker's binary, driven by the command line, while clients write. The switch has its own
matrix: [switch.md](switch.md).

The rows and the columns come from the product: the stages from `changeover plan --json`, which activities a stage runs from
the history of a run that nothing happened to, the places within them from the build's list of failpoints. Before, after: nothing
of the activity is done yet, all of it is done and nobody knows. Within: between two of its parts. `abort` stands for everything that
undoes.

A cell tells how many faults of the kind were tried there, how many the run recovered from alone, and by which codes the others
parked; in parentheses the longest time from the fault until the run went on. Who parked was helped as the remedy says, and
went on by `changeover retry` (in the row with `abort`: was undone). After each run the migration was aborted, and catalogs, roles,
rights, settings, slots and sessions of both servers were compared with what they were before the first run; at the end the
ledger of every acknowledged write with the source.

A fault is tried again alone by its name, such as `make faults FAULTS=copy/engine.node.after/kill`.

";
