//! The ledger on disk: what the workload's clients were told. One file of JSON lines per client. It, and not the database, is the
//! truth that a run is judged by.

pub mod check;
pub mod invariants;
mod order;
mod read;
#[cfg(test)]
mod tests;

pub use check::{CheckReport, check};
pub use read::{ClientLedger, read_ledger};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A number that a sequence handed out: the sequence's qualified name, the number.
pub type Number = (String, i64);

/// One line of a client's file. `at` and `start` are nanoseconds since 1970, from a clock that never goes back within a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Entry {
    /// Who writes this file. The first line, and again whenever a run continues it.
    Client {
        /// The client's number, its own over all databases.
        client: i32,
        /// The database it writes to.
        database: String,
        /// `bouncer` or `direct`.
        path: String,
    },
    /// Before the first statement. Without a later line of the same `seq`, nothing is known about it: in doubt.
    Try {
        /// The transaction's number, counted by the client.
        seq: i64,
        /// Which of the client's versioned rows it raises.
        slot: i32,
        /// The operation's name.
        op: String,
        /// When.
        at: u64,
    },
    /// COMMIT was answered.
    Ack {
        /// The transaction's number.
        seq: i64,
        /// The slot's version that the transaction made.
        version: i64,
        /// When the transaction began.
        start: u64,
        /// When the answer was there.
        at: u64,
        /// The port of the server that answered: which side it was.
        port: i32,
        /// Numbers from sequences.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        numbers: Vec<Number>,
    },
    /// COMMIT was sent, and its answer never came.
    Doubt {
        /// The transaction's number.
        seq: i64,
        /// When the client gave up.
        at: u64,
        /// What it saw: an SQLSTATE, class 08 for a lost connection.
        sqlstate: String,
    },
    /// It failed for certain: COMMIT wasn't sent, or was answered by an error.
    Refused {
        /// The transaction's number.
        seq: i64,
        /// When.
        at: u64,
        /// Why.
        sqlstate: String,
    },
}

/// Appends to one client's file.
pub struct LedgerWriter {
    file: File,
    path: PathBuf,
}

impl LedgerWriter {
    /// Opens, or continues, the file of `client`. Returns the number of the last transaction in it, 0 if there is none.
    pub fn open(directory: &Path, client: i32, database: &str, way: &str) -> Result<(Self, i64)> {
        let path = directory.join(file_name(client));
        let last = if path.exists() { continue_file(&path)? } else { 0 };
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("opening the ledger {}", path.display()))?;
        let mut writer = Self { file, path };
        writer.append(&Entry::Client { client, database: database.to_owned(), path: way.to_owned() })?;
        Ok((writer, last))
    }

    /// Writes one line, in one call, so that it survives this process being killed.
    pub fn append(&mut self, entry: &Entry) -> Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line).with_context(|| format!("writing to the ledger {}", self.path.display()))
    }
}

/// Cuts off a torn last line, which a killed process left, and returns the last transaction's number.
fn continue_file(path: &Path) -> Result<i64> {
    let text = std::fs::read(path).with_context(|| format!("reading the ledger {}", path.display()))?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole < text.len() {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(whole as u64).with_context(|| format!("mending the ledger {}", path.display()))?;
    }
    if whole == 0 { Ok(0) } else { Ok(read::read_client(path)?.last_seq()) }
}

fn file_name(client: i32) -> String {
    format!("client-{client:04}.jsonl")
}
