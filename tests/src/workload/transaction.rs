//! One transaction: the bookkeeping that all have, and the helpers that operations are written with.

use super::session::Session;
use crate::ledger::Number;
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

/// Who and which.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The client.
    pub client: i32,
    /// Its transaction.
    pub seq: i64,
    /// The slot that the transaction raises.
    pub slot: i32,
}

/// A parameter. Everything travels as one of two types, so that no type has to be looked up (that would prepare a statement).
pub enum Param {
    /// int8.
    Int(i64),
    /// text; statements cast it.
    Text(String),
}

impl From<i64> for Param {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<String> for Param {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Param {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// Something that this client has committed and may change later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// Key of `sales.orders`, without an invoice.
    Order(String, i64),
    /// Key of `crm.ticket`.
    Ticket(i64),
    /// Key of `sales.invoice` or `billing.receipt`.
    Invoice(i64),
    /// Key of `billing.payment`.
    Payment(String, i64),
}

/// What one client remembers between transactions.
#[derive(Default)]
pub struct Memory {
    /// Its own rows, the oldest first; the oldest are forgotten.
    pub own: VecDeque<Own>,
    /// The highest key of each table that operations choose rows from, by the table's name.
    pub bounds: Vec<(&'static str, i64)>,
}

impl Memory {
    /// Takes the newest own row that `wanted` accepts.
    pub fn take<T>(&mut self, wanted: impl Fn(&Own) -> Option<T>) -> Option<T> {
        let index = self.own.iter().rposition(|own| wanted(own).is_some())?;
        self.own.remove(index).as_ref().and_then(wanted)
    }

    fn add(&mut self, own: Own) {
        self.own.push_back(own);
        if self.own.len() > 64 {
            self.own.pop_front();
        }
    }
}

/// What is known about a transaction, whatever became of the call that ran it.
#[derive(Default)]
pub struct Outcome {
    /// COMMIT was sent: from here a lost connection leaves it in doubt.
    pub commit_sent: bool,
    /// The version that the slot has by it.
    pub version: i64,
    /// The port of the server.
    pub port: i32,
    /// Numbers that sequences gave.
    pub numbers: Vec<Number>,
    /// The longest statement.
    pub slowest: Duration,
    /// Rows to remember if it commits.
    pub remember: Vec<Own>,
    /// Rows that this client was told were committed, and that are not there.
    pub missing: Vec<String>,
}

impl Outcome {
    /// It was committed: its rows are the client's own now.
    pub fn settle(&mut self, memory: &mut Memory) {
        for own in self.remember.drain(..) {
            memory.add(own);
        }
    }
}

/// A transaction on its way.
pub struct Tx<'a> {
    /// Where.
    pub session: &'a Session,
    /// Who and which.
    pub id: Identity,
    /// The operation's name.
    pub op: &'static str,
    /// For choices.
    pub rng: &'a mut StdRng,
    /// What the client remembers.
    pub memory: &'a mut Memory,
    /// What is known.
    pub out: &'a mut Outcome,
}

/// One row to the ledger with a key and one to the journal without, and the slot's next version: $1 client, $2 slot, $3 seq, $4 op.
const BOOK: &str = "with raised as (
    insert into workload.slot as s (client, slot, version, last_seq) values ($1, $2, 1, $3)
    on conflict (client, slot) do update set version = s.version + 1, last_seq = excluded.last_seq
    returning version
), ledger as (
    insert into workload.ledger (client, seq, version, slot, op) select $1, $3, version, $2, $4 from raised
), journal as (
    insert into workload.journal (client, seq, version) select $1, $3, version from raised
)";

impl Tx<'_> {
    /// A transaction of several statements around `work`, its bookkeeping first.
    pub async fn begin(&mut self) -> Result<(), Error> {
        self.simple("begin").await?;
        self.book("select version, coalesce(pg_catalog.inet_server_port(), 0) from raised", &[]).await
    }

    /// Ends it.
    pub async fn commit(&mut self) -> Result<(), Error> {
        self.out.commit_sent = true;
        self.simple("commit").await
    }

    /// The whole transaction as one statement, committed by itself. `also` is a further step of it, as `, name as (insert …)`.
    pub async fn single(&mut self, also: &str, params: &[Param]) -> Result<(), Error> {
        self.out.commit_sent = true;
        self.book(&format!("{also} select version, coalesce(pg_catalog.inet_server_port(), 0) from raised"), params)
            .await
    }

    async fn book(&mut self, end: &str, params: &[Param]) -> Result<(), Error> {
        let Identity { client, seq, slot } = self.id;
        let mut all = vec![i64::from(client).into(), i64::from(slot).into(), seq.into(), self.op.into()];
        all.extend(params.iter().map(|param| match param {
            Param::Int(value) => Param::Int(*value),
            Param::Text(value) => Param::Text(value.clone()),
        }));
        for row in self.rows(&format!("{BOOK}{end}"), &all).await? {
            self.out.version = row.try_get(0)?;
            self.out.port = row.try_get(1)?;
        }
        Ok(())
    }

    /// Runs one statement by the simple protocol.
    async fn simple(&mut self, sql: &str) -> Result<(), Error> {
        let began = Instant::now();
        let done = self.session.client.batch_execute(sql).await;
        self.out.slowest = self.out.slowest.max(began.elapsed());
        done
    }

    /// Runs one statement, unnamed. Its columns must be of built-in types.
    pub async fn rows(&mut self, sql: &str, params: &[Param]) -> Result<Vec<Row>, Error> {
        let typed: Vec<(&(dyn ToSql + Sync), Type)> = params
            .iter()
            .map(|param| match param {
                Param::Int(value) => (value as &(dyn ToSql + Sync), Type::INT8),
                Param::Text(value) => (value as &(dyn ToSql + Sync), Type::TEXT),
            })
            .collect();
        let began = Instant::now();
        let rows = self.session.client.query_typed(sql, &typed).await;
        self.out.slowest = self.out.slowest.max(began.elapsed());
        rows
    }

    /// Runs a statement that returns nothing of interest; says how many rows it returned (with RETURNING: changed).
    pub async fn run(&mut self, sql: &str, params: &[Param]) -> Result<usize, Error> {
        Ok(self.rows(sql, params).await?.len())
    }

    /// Runs `sql`, which returns one number of `sequence` in a column `id`, and notes it in the database and here.
    pub async fn numbered(&mut self, sequence: &str, sql: &str, params: &[Param]) -> Result<i64, Error> {
        let Identity { client, seq, .. } = self.id;
        let noted = format!(
            "with n as ({sql}), noted as (
                insert into workload.handed_out (sequence, value, client, seq) select '{sequence}', n.id, {client}, {seq} from n
             ) select n.id::int8 from n"
        );
        let mut last = 0;
        for row in self.rows(&noted, params).await? {
            last = row.try_get(0)?;
            self.out.numbers.push((sequence.to_owned(), last));
        }
        Ok(last)
    }

    /// Takes the next number of a sequence for itself.
    pub async fn next_number(&mut self, sequence: &str) -> Result<i64, Error> {
        self.numbered(sequence, &format!("select pg_catalog.nextval('{sequence}') as id"), &[]).await
    }

    /// Says that a row which this client was told was committed isn't there.
    pub fn expect_changed(&mut self, changed: usize, what: &str) {
        if changed != 1 {
            self.out.missing.push(format!("client {} seq {}: {what} is gone", self.id.client, self.id.seq));
        }
    }

    /// A number from `from` to `to`, both included.
    pub fn pick(&mut self, from: i64, to: i64) -> i64 {
        self.rng.random_range(from..=to.max(from))
    }

    /// A key of a table among those that were there at the start.
    pub fn key_of(&mut self, table: &str) -> i64 {
        let bound = self.memory.bounds.iter().find(|(name, _)| *name == table).map_or(1, |(_, bound)| *bound);
        self.pick(1, bound)
    }
}

/// Chooses by weight.
pub fn choose(operations: &[(&'static str, u32)], rng: &mut StdRng) -> &'static str {
    let total: u32 = operations.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.random_range(0..total.max(1));
    for (name, weight) in operations {
        if left < *weight {
            return name;
        }
        left -= weight;
    }
    ""
}

/// Replaces the body of a big value (or makes it): its length and content follow from who writes it; the digest proves it whole.
pub async fn big_value(tx: &mut Tx<'_>) -> Result<(), Error> {
    let Identity { client, seq, slot } = tx.id;
    let repeats = tx.pick(100, 1500);
    let text = format!("{client}/{seq} Größe ");
    let params = [i64::from(client).into(), i64::from(slot).into(), tx.out.version.into(), text.into(), repeats.into()];
    tx.run(
        "insert into workload.big_value as b (client, slot, version, digest, body, raw, doc)
         select $1, $2, $3, pg_catalog.md5(t), t, pg_catalog.decode(pg_catalog.md5(t), 'hex'), '{\"n\": 0}'
           from (select pg_catalog.repeat($4, $5::int4)) as v (t)
         on conflict (client, slot) do update
            set version = excluded.version, digest = excluded.digest, body = excluded.body, raw = excluded.raw
         returning 1",
        &params,
    )
    .await?;
    Ok(())
}

/// Changes the small columns beside a big one, whose value then isn't in the stream of changes.
pub async fn big_doc(tx: &mut Tx<'_>) -> Result<(), Error> {
    let Identity { client, slot, .. } = tx.id;
    let params = [i64::from(client).into(), i64::from(slot).into(), tx.out.version.into()];
    tx.run(
        "insert into workload.big_value as b (client, slot, version, digest, body, doc)
         values ($1, $2, $3, pg_catalog.md5('none'), 'none', '{\"n\": 1, \"ü\": [1, null]}')
         on conflict (client, slot) do update
            set version = excluded.version, doc = pg_catalog.jsonb_set(coalesce(b.doc, '{}'), '{n}', pg_catalog.to_jsonb($3))
         returning 1",
        &params,
    )
    .await?;
    Ok(())
}
