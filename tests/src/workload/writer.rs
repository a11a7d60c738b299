//! One writer: one client of the ledger, one connection, one transaction after the other.

use super::recorder::{Attempt, Ending, Recorder};
use super::session::{self, Endpoints, Session};
use super::transaction::{Identity, Memory, Outcome, Tx, choose};
use super::{Path, WorkloadOptions, WriterGroup, billing, clock, shop};
use crate::ledger::{Entry, LedgerWriter};
use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{RwLock, watch};
use tokio::time::{Instant, timeout};
use tokio_postgres::Error;

/// The versioned rows of each client.
const SLOTS: i32 = 8;
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// See the module.
pub struct Writer {
    client: i32,
    seq: i64,
    path: Path,
    database: String,
    lane: usize,
    endpoints: Endpoints,
    session: Option<Session>,
    ledger: LedgerWriter,
    recorder: Arc<Recorder>,
    rng: StdRng,
    memory: Memory,
    /// Between two transactions' begins; zero for none.
    interval: Duration,
    answer_deadline: Duration,
    wait: Duration,
}

impl Writer {
    /// Opens the ledger's file and the first session.
    pub async fn open(
        client: i32,
        group: &WriterGroup,
        endpoints: Endpoints,
        options: &WorkloadOptions,
        recorder: Arc<Recorder>,
    ) -> Result<Self> {
        let (ledger, seq) = LedgerWriter::open(&options.ledger, client, &group.database, group.path.name())?;
        let lane = recorder.lane(&format!("{}/{}", group.path.name(), group.database));
        let interval = if options.rate > 0.0 { Duration::from_secs_f64(1.0 / options.rate) } else { Duration::ZERO };
        // Every run of a client makes other choices.
        let seed = options.seed.wrapping_mul(1_000_003) ^ (u64::from(client.unsigned_abs()) << 32) ^ seq.unsigned_abs();
        let mut writer = Self {
            client,
            seq,
            path: group.path,
            database: group.database.clone(),
            lane,
            endpoints,
            session: None,
            ledger,
            recorder,
            rng: StdRng::seed_from_u64(seed),
            memory: Memory::default(),
            interval,
            answer_deadline: options.answer_deadline,
            wait: SHORTEST_WAIT,
        };
        let what = format!("the {} writer on {}", writer.path.name(), writer.database);
        let session = timeout(options.answer_deadline, writer.endpoints.open()).await;
        let session =
            session.with_context(|| format!("{what}: no answer"))?.with_context(|| format!("{what} can't log in"))?;
        writer.memory.bounds = bounds(&session, &writer.database).await.with_context(|| what)?;
        writer.session = Some(session);
        Ok(writer)
    }

    /// Writes until told to stop. Errors of servers are counted and tried over; only an error of the ledger ends it.
    pub async fn run(mut self, gate: Arc<RwLock<()>>, mut stop: watch::Receiver<bool>) -> Result<()> {
        // Not all at the same moment.
        let mut next = Instant::now() + self.interval.mul_f64(self.rng.random::<f64>());
        while !*stop.borrow() {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                changed = stop.changed() => { changed.context("the workload is gone")?; continue; }
            }
            let passed = {
                let _shared = gate.read().await;
                // After a pause's end, a stop counts first.
                if *stop.borrow() {
                    break;
                }
                self.step().await?
            };
            // What couldn't be written in time isn't made up for: the rate is a limit.
            next = (next + self.interval).max(Instant::now());
            if !passed {
                next += self.wait;
                self.wait = (self.wait * 2).min(LONGEST_WAIT);
            }
        }
        Ok(())
    }

    /// One transaction, or one try to log in. Says whether it went well.
    async fn step(&mut self) -> Result<bool> {
        if self.session.is_none() {
            match timeout(self.answer_deadline, self.endpoints.open()).await {
                Ok(Ok(session)) => self.session = Some(session),
                Ok(Err(error)) => {
                    self.recorder.failure(self.lane, &session::sqlstate(&error));
                    self.endpoints.turn();
                    return Ok(false);
                }
                Err(_) => {
                    self.recorder.failure(self.lane, session::LOST);
                    self.endpoints.turn();
                    return Ok(false);
                }
            }
        }
        self.transaction().await
    }

    async fn transaction(&mut self) -> Result<bool> {
        let Some(mut session) = self.session.take() else { return Ok(false) };
        self.seq += 1;
        let id = Identity { client: self.client, seq: self.seq, slot: self.rng.random_range(0..SLOTS) };
        let shop = self.database == "shop";
        let op = choose(if shop { shop::OPERATIONS } else { billing::OPERATIONS }, &mut self.rng);
        let start = self.recorder.clock.now();
        self.ledger.append(&Entry::Try { seq: id.seq, slot: id.slot, op: op.to_owned(), at: start })?;

        let mut out = Outcome::default();
        let mut tx = Tx { session: &session, id, op, rng: &mut self.rng, memory: &mut self.memory, out: &mut out };
        let work = async { if shop { shop::run(&mut tx).await } else { billing::run(&mut tx).await } };
        let ended = timeout(self.answer_deadline, work).await;
        let end = self.recorder.clock.now();
        let error = match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Some(error)),
            Err(_) => Some(None),
        };
        match error {
            None => {
                self.acknowledge(&mut out, id, start, end)?;
                self.session = Some(session);
                self.note(&out, op, start, end, Ending::Acknowledged);
                Ok(true)
            }
            Some(error) => {
                let sqlstate = match &error {
                    Some(error) => session.sqlstate(error).await,
                    None => session::LOST.to_owned(),
                };
                let ending = self.fail(&out, id, end, error.as_ref(), sqlstate)?;
                self.note(&out, op, start, end, ending);
                self.session = self.keep(session, error.as_ref()).await;
                Ok(false)
            }
        }
    }

    fn acknowledge(&mut self, out: &mut Outcome, id: Identity, start: u64, at: u64) -> Result<()> {
        let numbers = std::mem::take(&mut out.numbers);
        self.ledger.append(&Entry::Ack { seq: id.seq, version: out.version, start, at, port: out.port, numbers })?;
        out.settle(&mut self.memory);
        for missing in out.missing.drain(..) {
            self.recorder.anomaly(missing);
        }
        self.wait = SHORTEST_WAIT;
        Ok(())
    }

    fn fail(
        &mut self,
        out: &Outcome,
        id: Identity,
        at: u64,
        error: Option<&Error>,
        sqlstate: String,
    ) -> Result<Ending> {
        self.recorder.failure(self.lane, &sqlstate);
        tracing::debug!(client = id.client, seq = id.seq, error = error.map(ToString::to_string), "failed");
        if out.commit_sent && !error.is_some_and(session::is_refusal) {
            self.ledger.append(&Entry::Doubt { seq: id.seq, at, sqlstate })?;
            Ok(Ending::InDoubt)
        } else {
            self.ledger.append(&Entry::Refused { seq: id.seq, at, sqlstate })?;
            Ok(Ending::Refused)
        }
    }

    /// After an error: the session rolled back, or none, and then perhaps the other address.
    async fn keep(&mut self, session: Session, error: Option<&Error>) -> Option<Session> {
        let closed = error.is_none_or(session::is_closed);
        if closed && (self.path == Path::Direct || error.is_none_or(|error| !session::is_refusal(error))) {
            self.endpoints.turn();
            return None;
        }
        match timeout(self.answer_deadline, session.client.batch_execute("rollback")).await {
            Ok(Ok(())) => Some(session),
            _ => None,
        }
    }

    fn note(&self, out: &Outcome, op: &str, start: u64, end: u64, ending: Ending) {
        let slowest = clock::as_nanos(out.slowest);
        self.recorder.attempt(Attempt { lane: self.lane, start, end, slowest, ending }, op);
    }
}

async fn bounds(session: &Session, database: &str) -> Result<Vec<(&'static str, i64)>> {
    let tables = if database == "shop" { shop::BOUNDS } else { billing::BOUNDS };
    let mut bounds = Vec::new();
    for table in tables {
        // Up to the first gap: beyond it, a number may have no row.
        let sql = format!(
            "select coalesce(pg_catalog.min(t.id), 1)::int8 from {table} t where not exists (select from {table} n where n.id = t.id + 1)"
        );
        let rows = session.client.query_typed(&sql, &[]).await?;
        bounds.push((*table, rows.first().context("max without a row")?.try_get(0)?));
    }
    Ok(bounds)
}
