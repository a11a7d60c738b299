//! Reading the ledger back: per client and transaction, what became of it.

use super::{Entry, Number};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::Path;

/// What the client knows about a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Committed, with this version and these numbers.
    Acknowledged {
        /// The slot's version it made.
        version: i64,
        /// The numbers it was given.
        numbers: Vec<Number>,
    },
    /// It may be there once, or not at all.
    InDoubt,
    /// It isn't there.
    Refused,
}

/// One transaction that a client tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The slot.
    pub slot: i32,
    /// The operation.
    pub op: String,
    /// What became of it.
    pub fate: Fate,
}

/// All that one client's file says.
#[derive(Debug, Clone)]
pub struct ClientLedger {
    /// The client's number.
    pub client: i32,
    /// The database it wrote to.
    pub database: String,
    /// By `seq`.
    pub tried: BTreeMap<i64, Tried>,
}

impl ClientLedger {
    /// The number of the last transaction, 0 without any.
    pub fn last_seq(&self) -> i64 {
        self.tried.keys().next_back().copied().unwrap_or(0)
    }

    fn apply(&mut self, entry: Entry) -> Result<()> {
        let (seq, fate) = match entry {
            Entry::Client { client, database, .. } => {
                ensure!(client == self.client && database == self.database, "the file has two owners");
                return Ok(());
            }
            Entry::Try { seq, slot, op, .. } => {
                let fresh = self.tried.insert(seq, Tried { slot, op, fate: Fate::InDoubt }).is_none();
                ensure!(fresh, "transaction {seq} was tried twice");
                return Ok(());
            }
            Entry::Ack { seq, version, numbers, .. } => (seq, Fate::Acknowledged { version, numbers }),
            Entry::Doubt { seq, .. } => (seq, Fate::InDoubt),
            Entry::Refused { seq, .. } => (seq, Fate::Refused),
        };
        let tried = self.tried.get_mut(&seq).with_context(|| format!("transaction {seq} ended and never began"))?;
        tried.fate = fate;
        Ok(())
    }
}

/// Reads one client's file. A last line that is cut short (the process was killed in it) is left out: its transaction is in doubt.
pub(super) fn read_client(path: &Path) -> Result<ClientLedger> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading the ledger {}", path.display()))?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut ledger: Option<ClientLedger> = None;
    for (index, line) in whole.lines().enumerate() {
        let place = || format!("{} line {}", path.display(), index + 1);
        let entry: Entry = serde_json::from_str(line).with_context(place)?;
        match (&mut ledger, entry) {
            (None, Entry::Client { client, database, .. }) => {
                ledger = Some(ClientLedger { client, database, tried: BTreeMap::new() });
            }
            (None, _) => bail!("{}: the file doesn't begin with its client", place()),
            (Some(ledger), entry) => ledger.apply(entry).with_context(place)?,
        }
    }
    ledger.with_context(|| format!("{} is empty", path.display()))
}

/// Reads every client's file in `directory`, in the clients' order.
pub fn read_ledger(directory: &Path) -> Result<Vec<ClientLedger>> {
    let mut clients = Vec::new();
    for file in
        std::fs::read_dir(directory).with_context(|| format!("reading the ledger in {}", directory.display()))?
    {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            clients.push(read_client(&path)?);
        }
    }
    ensure!(!clients.is_empty(), "there is no ledger in {}", directory.display());
    clients.sort_by_key(|ledger| ledger.client);
    Ok(clients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LedgerWriter;

    fn attempt(seq: i64) -> Entry {
        Entry::Try { seq, slot: 1, op: "x".to_owned(), at: 1 }
    }

    #[test]
    fn fates_are_what_the_client_was_told_and_a_torn_line_is_doubt() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let (mut writer, last) = LedgerWriter::open(directory.path(), 7, "shop", "direct")?;
        assert_eq!(last, 0);
        for seq in 1..=4 {
            writer.append(&attempt(seq))?;
        }
        let numbers = vec![("s".to_owned(), 5)];
        writer.append(&Entry::Ack { seq: 1, version: 1, start: 1, at: 2, port: 5432, numbers: numbers.clone() })?;
        writer.append(&Entry::Refused { seq: 2, at: 2, sqlstate: "42501".to_owned() })?;
        writer.append(&Entry::Doubt { seq: 3, at: 2, sqlstate: "08006".to_owned() })?;
        let path = directory.path().join("client-0007.jsonl");
        let mut text = std::fs::read_to_string(&path)?;
        text.push_str("{\"kind\":\"ack\",\"seq\":4,\"ver");
        std::fs::write(&path, text)?;

        let clients = read_ledger(directory.path())?;
        let fates: Vec<&Fate> = clients[0].tried.values().map(|tried| &tried.fate).collect();
        let acknowledged = Fate::Acknowledged { version: 1, numbers };
        assert_eq!(fates, [&acknowledged, &Fate::Refused, &Fate::InDoubt, &Fate::InDoubt]);
        assert_eq!(clients[0].last_seq(), 4);
        Ok(())
    }

    #[test]
    fn a_file_that_contradicts_itself_is_an_error() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let (mut writer, _) = LedgerWriter::open(directory.path(), 1, "shop", "direct")?;
        writer.append(&attempt(1))?;
        writer.append(&attempt(1))?;
        assert!(read_ledger(directory.path()).is_err());
        Ok(())
    }
}
