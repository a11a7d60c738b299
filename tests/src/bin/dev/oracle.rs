//! `oracle …`: the judge by hand. A difference is printed to stdout and makes the exit code 1.

use super::stack::Which;
use anyhow::{Context, Result, bail};
use changeover_tests::oracle::{Difference, Snapshot, arrived, compare_rows, compare_sequences, retired, unchanged};
use changeover_tests::stack::{Side, StackInfo};
use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};

/// What to ask.
#[derive(Subcommand)]
pub enum Oracle {
    /// Compare every row of every table on both sides; writers have to be stopped.
    Rows(Which),
    /// Look for sequences of the serving side that would hand out a number twice.
    Sequences {
        #[command(flatten)]
        which: Which,
        /// The side that serves now.
        #[arg(long, default_value = "target")]
        open: SideName,
    },
    /// Write down a side's catalogs and state.
    Snapshot {
        #[command(flatten)]
        which: Which,
        /// Which side.
        side: SideName,
        /// The file to write, JSON.
        file: PathBuf,
    },
    /// Compare two snapshots of one side: an aborted migration leaves no difference.
    Unchanged(Pair),
    /// Compare two snapshots of a source that was retired: these roles may be closed, rights to write may be gone.
    Retired {
        #[command(flatten)]
        pair: Pair,
        /// A role that may no longer log in; may be repeated.
        #[arg(long)]
        closed: Vec<String>,
    },
    /// Compare a target with the source as it was: all has arrived and nothing else stays.
    Arrived {
        /// The source before the migration.
        source_before: PathBuf,
        /// The target before the migration.
        target_before: PathBuf,
        /// The target after it.
        target_after: PathBuf,
        /// A database that moved; may be repeated.
        #[arg(long, required = true)]
        database: Vec<String>,
    },
}

/// Two snapshots of one side.
#[derive(Args)]
pub struct Pair {
    before: PathBuf,
    after: PathBuf,
}

impl Pair {
    fn load(&self) -> Result<(Snapshot, Snapshot)> {
        Ok((load(&self.before)?, load(&self.after)?))
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum SideName {
    Source,
    Target,
}

impl SideName {
    fn side(self) -> Side {
        match self {
            Self::Source => Side::Source,
            Self::Target => Side::Target,
        }
    }
}

impl Oracle {
    /// Asks, and fails when something is wrong.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::Rows(which) => rows(&which.find()?).await,
            Self::Sequences { which, open } => sequences(&which.find()?, open.side()).await,
            Self::Snapshot { which, side, file } => {
                let snapshot = Snapshot::take(which.find()?.cluster(side.side())).await?;
                let text = serde_json::to_string_pretty(&snapshot)?;
                std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
            }
            Self::Unchanged(pair) => {
                let (before, after) = pair.load()?;
                report(&unchanged(&before, &after))
            }
            Self::Retired { pair, closed } => {
                let (before, after) = pair.load()?;
                report(&retired(&before, &after, &closed.into_iter().collect()))
            }
            Self::Arrived { source_before, target_before, target_after, database } => {
                let (source, before, after) = (load(&source_before)?, load(&target_before)?, load(&target_after)?);
                report(&arrived(&source, &before, &after, &database))
            }
        }
    }
}

async fn rows(info: &StackInfo) -> Result<()> {
    let report = compare_rows(&info.source, &info.target, &info.databases).await?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    if report.faults.is_empty() {
        return Ok(());
    }
    bail!("{} rows in {} tables diverge", report.diverged_rows, report.faults.len())
}

async fn sequences(info: &StackInfo, open: Side) -> Result<()> {
    let closed = if open == Side::Target { Side::Source } else { Side::Target };
    let faults = compare_sequences(info.cluster(closed), info.cluster(open), &info.databases).await?;
    println!("{}", serde_json::to_string_pretty(&faults)?);
    if faults.is_empty() {
        return Ok(());
    }
    bail!("{} sequences would hand out a number twice", faults.len())
}

fn load(path: &Path) -> Result<Snapshot> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("parsing {}", path.display()))
}

fn report(differences: &[Difference]) -> Result<()> {
    for difference in differences {
        println!("{difference}");
    }
    if differences.is_empty() {
        return Ok(());
    }
    bail!("{} differences", differences.len())
}
