//! Live writes on the sample instance: many small transactions through the pooler and directly, each of them in the ledger.
//!
//! A transaction writes, besides its business rows, one row to `workload.ledger` (with a key), one to `workload.journal` (without),
//! raises the version of one of its client's slots, and notes every number a sequence gave it. When COMMIT has been answered,
//! the client appends that to the ledger on disk. [`crate::ledger::check`] compares the two.

mod billing;
mod clock;
mod recorder;
mod session;
mod shop;
mod transaction;
mod writer;

pub use recorder::{WindowStats, WorkloadStats, WorkloadSummary};

use crate::sample;
use anyhow::{Context, Result, ensure};
use clock::Clock;
use recorder::Recorder;
use session::Endpoints;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, watch};
use tokio::task::JoinSet;
use writer::Writer;

/// How a writer reaches the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// Through the pooler, whose address stays the same.
    Bouncer,
    /// To the clusters themselves, to the next address whenever one doesn't accept.
    Direct,
}

impl Path {
    /// As the ledger and the figures name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bouncer => "bouncer",
            Self::Direct => "direct",
        }
    }
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address; the server's certificate must carry it.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// A server on this machine.
    pub fn local(port: u16) -> Self {
        Self { host: "127.0.0.1".to_owned(), port }
    }
}

impl std::str::FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (host, port) = text.rsplit_once(':').with_context(|| format!("`{text}` isn't HOST:PORT"))?;
        Ok(Self { host: host.to_owned(), port: port.parse().with_context(|| format!("the port in `{text}`"))? })
    }
}

/// Writers of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterGroup {
    /// The way they take.
    pub path: Path,
    /// `shop` or `billing`.
    pub database: String,
    /// How many.
    pub writers: usize,
}

/// What the workload shall be like.
#[derive(Debug, Clone)]
pub struct WorkloadOptions {
    /// The directory of the ledger; made if it isn't there, continued if it has files.
    pub ledger: PathBuf,
    /// The file of the certificate authority (PEM) that every server's certificate is verified against.
    pub ca: PathBuf,
    /// The pooler.
    pub bouncer: Option<Address>,
    /// The clusters, the one that serves first.
    pub direct: Vec<Address>,
    /// Who writes.
    pub groups: Vec<WriterGroup>,
    /// Transactions per second of each writer; 0 is as fast as it goes.
    pub rate: f64,
    /// A transaction without an answer for this long counts as a lost connection.
    pub answer_deadline: Duration,
    /// Where the writers' choices come from.
    pub seed: u64,
}

impl WorkloadOptions {
    /// `writers` writers at 25 transactions per second each, spread over pooler and direct ways and both databases.
    pub fn new(ledger: PathBuf, ca: PathBuf, bouncer: Option<Address>, direct: Vec<Address>, writers: usize) -> Self {
        let groups = spread(writers, bouncer.is_some(), !direct.is_empty());
        Self { ledger, ca, bouncer, direct, groups, rate: 25.0, answer_deadline: Duration::from_secs(60), seed: 1 }
    }

    /// The default workload on a stack: six writers.
    pub fn on_stack(stack: &crate::stack::StackInfo, ledger: PathBuf) -> Self {
        let direct = vec![Address::local(stack.source.port), Address::local(stack.target.port)];
        Self::new(ledger, stack.ca.clone(), Some(Address::local(stack.pooler.port)), direct, 6)
    }

    fn endpoints(&self, group: &WriterGroup) -> Result<Endpoints> {
        let addresses = match group.path {
            Path::Bouncer => vec![self.bouncer.clone().context("writers through the pooler need its address")?],
            Path::Direct => self.direct.clone(),
        };
        ensure!(!addresses.is_empty(), "direct writers need an address");
        let user = match group.database.as_str() {
            "shop" => "shop_app",
            "billing" => "billing_app",
            other => anyhow::bail!("the workload writes to shop and billing, not to {other}"),
        };
        Endpoints::new(addresses, &group.database, user, &sample::password(user), &self.ca)
    }
}

/// Of six writers: three through the pooler and one directly to `shop`, one each to `billing`.
fn spread(writers: usize, bouncer: bool, direct: bool) -> Vec<WriterGroup> {
    const PATTERN: [(Path, &str); 6] = [
        (Path::Bouncer, "shop"),
        (Path::Direct, "shop"),
        (Path::Bouncer, "billing"),
        (Path::Bouncer, "shop"),
        (Path::Direct, "billing"),
        (Path::Bouncer, "shop"),
    ];
    let mut groups: Vec<WriterGroup> = Vec::new();
    for (wanted, database) in PATTERN.iter().cycle().take(writers) {
        let path = match wanted {
            Path::Bouncer if !bouncer => Path::Direct,
            Path::Direct if !direct => Path::Bouncer,
            other => *other,
        };
        match groups.iter_mut().find(|group| group.path == path && group.database == *database) {
            Some(group) => group.writers += 1,
            None => groups.push(WriterGroup { path, database: (*database).to_owned(), writers: 1 }),
        }
    }
    groups
}

/// The workload. See [`Workload::start`].
pub struct Workload;

impl Workload {
    /// Connects every writer, then lets them write. An address or password that is wrong shows here, not later.
    pub async fn start(options: WorkloadOptions) -> Result<WorkloadHandle> {
        std::fs::create_dir_all(&options.ledger)
            .with_context(|| format!("creating the ledger's directory {}", options.ledger.display()))?;
        let recorder = Arc::new(Recorder::new(Clock::start()));
        let gate = Arc::new(RwLock::new(()));
        let (stop, stopped) = watch::channel(false);
        let mut writers = Vec::new();
        for group in &options.groups {
            for _ in 0..group.writers {
                let client = i32::try_from(writers.len() + 1)?;
                let endpoints = options.endpoints(group)?;
                let writer = Writer::open(client, group, endpoints, &options, Arc::clone(&recorder)).await?;
                writers.push(writer);
            }
        }
        let mut tasks = JoinSet::new();
        for writer in writers {
            tasks.spawn(writer.run(Arc::clone(&gate), stopped.clone()));
        }
        Ok(WorkloadHandle { recorder, gate, held: Mutex::new(None), stop, tasks })
    }
}

/// A running workload. Dropping it ends its writers wherever they are; what they had begun is then in doubt.
pub struct WorkloadHandle {
    recorder: Arc<Recorder>,
    /// Writers hold it shared during a transaction; a pause holds it alone.
    gate: Arc<RwLock<()>>,
    held: Mutex<Option<OwnedRwLockWriteGuard<()>>>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<Result<()>>,
}

impl WorkloadHandle {
    /// Waits until every transaction has ended and keeps new ones from beginning.
    pub async fn pause(&self) {
        if self.is_paused() {
            return;
        }
        let guard = Arc::clone(&self.gate).write_owned().await;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn is_paused(&self) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Counters so far.
    pub fn stats(&self) -> WorkloadStats {
        self.recorder.stats()
    }

    /// What clients saw between two moments, for instance around a cutover.
    pub fn window(&self, from: SystemTime, to: SystemTime) -> WindowStats {
        self.recorder.window(clock::nanos(from), clock::nanos(to))
    }

    /// For each kind of writer (`bouncer/shop` …): how long after `moment` the first transaction that began since then was
    /// acknowledged; `None` if none has been yet.
    pub fn first_answers(&self, moment: SystemTime) -> BTreeMap<String, Option<Duration>> {
        let from = clock::nanos(moment);
        let answers = self.recorder.first_answers(from).into_iter();
        answers.map(|(lane, end)| (lane, end.map(|end| Duration::from_nanos(end.saturating_sub(from))))).collect()
    }

    /// Lets every transaction end, stops the writers and says what they did. Fails if a writer had to give up, which it does only
    /// when it can't write its ledger.
    pub async fn stop(mut self) -> Result<WorkloadSummary> {
        self.stop.send_replace(true);
        self.resume();
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a writer panicked")??;
        }
        Ok(self.recorder.summary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_writers_take_both_ways_to_both_databases() {
        let groups = spread(6, true, true);
        assert_eq!(groups.iter().map(|group| group.writers).sum::<usize>(), 6);
        for path in [Path::Bouncer, Path::Direct] {
            for database in sample::DATABASES {
                assert!(groups.iter().any(|group| group.path == path && group.database == database));
            }
        }
        assert!(spread(6, true, false).iter().all(|group| group.path == Path::Bouncer));
    }

    #[test]
    fn an_address_is_host_and_port() {
        assert_eq!(
            "db.example:5432".parse::<Address>().ok(),
            Some(Address { host: "db.example".to_owned(), port: 5432 })
        );
        assert!("5432".parse::<Address>().is_err());
        assert!("db:port".parse::<Address>().is_err());
    }
}
