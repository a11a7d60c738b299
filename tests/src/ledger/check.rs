//! The judge: what the clients were told against what the serving side has.
//!
//! Every acknowledged commit is there exactly once, one in doubt once or not at all, a refused one isn't, and nothing else is.
//! It reads the database with plain SQL and trusts nothing but the ledger on disk. Writers must have stopped.

use super::order::{self, Slot};
use super::read::{ClientLedger, Fate, Tried};
use super::{invariants, read_ledger};
use crate::sample::Access;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use tokio_postgres::Client;

/// How many examples are kept of each kind.
const EXAMPLES: usize = 20;

/// What was found. Everything but the first four numbers is zero (and `examples` empty) if the database is right.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Commits that were answered.
    pub acknowledged: u64,
    /// Commits whose answer was lost.
    pub in_doubt: u64,
    /// Of these, how many are there.
    pub in_doubt_present: u64,
    /// Numbers from sequences that acknowledged transactions were given.
    pub numbers: u64,
    /// Transactions that should be there and aren't, or only in part.
    pub lost: u64,
    /// Transactions that are there more than once, in rows or in effect.
    pub doubled: u64,
    /// Transactions whose version isn't the one that was acknowledged, or that don't follow their client's order.
    pub reordered: u64,
    /// Everything else that can't be: sums, counters, numbers given twice, rows that nobody wrote.
    pub invariant_violations: u64,
    /// Up to twenty of each kind, as `kind: what`.
    pub examples: Vec<String>,
}

impl CheckReport {
    /// True if nothing was found.
    pub fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.reordered + self.invariant_violations == 0
    }

    pub(super) fn add(&mut self, kind: Kind, example: String) {
        let count = match kind {
            Kind::Lost => &mut self.lost,
            Kind::Doubled => &mut self.doubled,
            Kind::Reordered => &mut self.reordered,
            Kind::Invariant => &mut self.invariant_violations,
        };
        *count += 1;
        if usize::try_from(*count).is_ok_and(|count| count <= EXAMPLES) {
            self.examples.push(format!("{}: {example}", kind.name()));
        }
    }
}

/// Kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Lost,
    Doubled,
    Reordered,
    Invariant,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Reordered => "reordered",
            Self::Invariant => "invariant",
        }
    }
}

/// A row of `workload.ledger`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Booked {
    pub version: i64,
    pub slot: i32,
    pub op: String,
}

/// What the database says about all clients.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// `workload.ledger` by client and seq.
    pub ledger: HashMap<(i32, i64), Booked>,
    /// `workload.journal`, which has no key: the versions of each client's seq.
    pub journal: HashMap<(i32, i64), Vec<i64>>,
    /// `workload.slot`: version and last seq by client and slot.
    pub slots: HashMap<(i32, i32), (i64, i64)>,
    /// `workload.big_value`: version by client and slot.
    pub big: HashMap<(i32, i32), i64>,
    /// `workload.handed_out`: who was given a number, by sequence and number.
    pub numbers: HashMap<(String, i64), Vec<(i32, i64)>>,
}

/// Compares the ledger in `directory` with the databases behind `access`, then looks at what must hold by itself.
pub async fn check(directory: &Path, access: &Access) -> Result<CheckReport> {
    let mut report = CheckReport::default();
    let mut databases: BTreeMap<String, Vec<ClientLedger>> = BTreeMap::new();
    for ledger in read_ledger(directory)? {
        databases.entry(ledger.database.clone()).or_default().push(ledger);
    }
    for (database, ledgers) in &databases {
        let client = access.open(database).await?;
        client.batch_execute("begin transaction isolation level repeatable read read only").await?;
        let found = read_database(&client).await.with_context(|| format!("reading {database}'s side of the ledger"))?;
        compare(&mut report, database, ledgers, &found);
        invariants::check(&mut report, database, &client).await.with_context(|| format!("invariants of {database}"))?;
    }
    Ok(report)
}

async fn read_database(client: &Client) -> Result<Found> {
    let mut found = Found::default();
    for row in client.query("select client, seq, version, slot, op from workload.ledger", &[]).await? {
        found.ledger.insert((row.get(0), row.get(1)), Booked { version: row.get(2), slot: row.get(3), op: row.get(4) });
    }
    for row in client.query("select client, seq, version from workload.journal", &[]).await? {
        found.journal.entry((row.get(0), row.get(1))).or_default().push(row.get(2));
    }
    for row in client.query("select client, slot, version, last_seq from workload.slot", &[]).await? {
        found.slots.insert((row.get(0), row.get(1)), (row.get(2), row.get(3)));
    }
    for row in client.query("select client, slot, version from workload.big_value", &[]).await? {
        found.big.insert((row.get(0), row.get(1)), row.get(2));
    }
    for row in client.query("select sequence, value, client, seq from workload.handed_out", &[]).await? {
        let number = (row.get::<_, String>(0), row.get::<_, i64>(1));
        found.numbers.entry(number).or_default().push((row.get(2), row.get(3)));
    }
    Ok(found)
}

/// The pure part.
pub(super) fn compare(report: &mut CheckReport, database: &str, ledgers: &[ClientLedger], found: &Found) {
    let mut known: BTreeSet<(i32, i64)> = BTreeSet::new();
    let mut slots: BTreeMap<(i32, i32), Slot> = BTreeMap::new();
    let mut numbers: HashMap<(&str, i64), (i32, i64)> = HashMap::new();
    for ledger in ledgers {
        for (seq, tried) in &ledger.tried {
            let key = (ledger.client, *seq);
            known.insert(key);
            let name = format!("{database} client {} seq {seq} ({})", ledger.client, tried.op);
            match &tried.fate {
                Fate::Acknowledged { version, numbers: given } => {
                    report.acknowledged += 1;
                    presence(report, &name, true, key, found);
                    identity(report, &name, *version, tried, key, found);
                    slots.entry((ledger.client, tried.slot)).or_default().acknowledged(*seq, *version, &tried.op);
                    for (sequence, number) in given {
                        report.numbers += 1;
                        if let Some(other) = numbers.insert((sequence, *number), key) {
                            let text = format!("{name}: number {number} of {sequence} was given to {other:?} before");
                            report.add(Kind::Invariant, text);
                        }
                        if !found.numbers.contains_key(&(sequence.clone(), *number)) && found.ledger.contains_key(&key)
                        {
                            report.add(Kind::Lost, format!("{name}: its note of number {number} of {sequence}"));
                        }
                    }
                }
                Fate::InDoubt => {
                    report.in_doubt += 1;
                    if presence(report, &name, false, key, found) {
                        report.in_doubt_present += 1;
                    }
                    if let Some(booked) = found.ledger.get(&key) {
                        slots.entry((ledger.client, booked.slot)).or_default().in_doubt(
                            *seq,
                            booked.version,
                            &tried.op,
                        );
                    }
                }
                Fate::Refused => {
                    if found.ledger.contains_key(&key) || found.journal.contains_key(&key) {
                        report.add(Kind::Invariant, format!("{name} was refused and is there"));
                    }
                }
            }
        }
    }
    strangers(report, database, &known, found);
    for ((client, slot), expected) in &slots {
        order::check(report, &format!("{database} client {client} slot {slot}"), (*client, *slot), expected, found);
    }
    for ((sequence, number), given) in &found.numbers {
        if given.len() > 1 {
            let text =
                format!("{database}: number {number} of {sequence} was given {} times, to {given:?}", given.len());
            report.add(Kind::Invariant, text);
        }
    }
}

/// There exactly once, in both tables; or, unless `must` be there, in neither. Says whether it is there.
fn presence(report: &mut CheckReport, name: &str, must: bool, key: (i32, i64), found: &Found) -> bool {
    let booked = found.ledger.contains_key(&key);
    let written = found.journal.get(&key).map_or(0, Vec::len);
    match (booked, written) {
        (true, 1) => true,
        (false, 0) => {
            if must {
                report.add(Kind::Lost, name.to_owned());
            }
            false
        }
        (true, 0) => {
            report.add(Kind::Lost, format!("{name}: its row without a key is missing"));
            true
        }
        (false, 1) => {
            report.add(Kind::Lost, format!("{name}: its row with a key is missing"));
            true
        }
        (_, times) => {
            report.add(Kind::Doubled, format!("{name} is there {times} times"));
            true
        }
    }
}

/// What is there is what was acknowledged.
fn identity(report: &mut CheckReport, name: &str, version: i64, tried: &Tried, key: (i32, i64), found: &Found) {
    let Some(booked) = found.ledger.get(&key) else { return };
    if booked.version != version {
        report
            .add(Kind::Reordered, format!("{name}: acknowledged as version {version}, is version {}", booked.version));
    } else if found.journal.get(&key).is_some_and(|versions| versions.iter().any(|written| *written != version)) {
        report
            .add(Kind::Reordered, format!("{name}: acknowledged as version {version}, its row without a key differs"));
    }
    if booked.slot != tried.slot || booked.op != tried.op {
        report.add(Kind::Invariant, format!("{name}: its row says slot {} and {}", booked.slot, booked.op));
    }
}

/// Rows that no client of the ledger wrote.
fn strangers(report: &mut CheckReport, database: &str, known: &BTreeSet<(i32, i64)>, found: &Found) {
    let keys: BTreeSet<&(i32, i64)> = found.ledger.keys().chain(found.journal.keys()).collect();
    for (client, seq) in keys.into_iter().filter(|key| !known.contains(key)) {
        report.add(Kind::Invariant, format!("{database} client {client} seq {seq} is there and nobody wrote it"));
    }
}
