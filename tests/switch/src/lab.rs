//! The laboratory itself.

use crate::{
    judge::{self, Judgement, Serving},
    prepare, spec,
    switcher::{Switcher, Verb},
};
use anyhow::{Context, Result, bail};
use changeover_domain::{Direction, Failure, proto::SwitchRecord};
use changeover_postgres::{
    Migration,
    switch::{self, SwitchRequest},
};
use changeover_tests::{
    proxy::Proxy,
    sample, scenario,
    stack::{Side, Stack, StackInfo, StackOptions, connect},
    workload::{Workload, WorkloadHandle, WorkloadOptions, WorkloadSummary, WriterGroup},
};
use changeover_traffic::PgBouncer;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

/// What a lab shall be like.
pub struct LabOptions {
    /// About the size of database `shop`, in MB.
    pub size_mb: u32,
    /// Further tables in database `shop`, with a key and no rows.
    pub more_tables: usize,
    /// Who writes once [`Lab::load`] is called; empty for `writers` of the harness's, on both ways to both databases.
    pub groups: Vec<WriterGroup>,
    /// How many, where `groups` is empty.
    pub writers: usize,
    /// Transactions per second of each writer; 0 for as fast as it goes.
    pub rate: f64,
    /// Further settings of both clusters.
    pub settings: Vec<(String, String)>,
    /// A line for the top of the spec, such as `fence = "gate"`.
    pub spec_line: String,
    /// Changes the text of the spec.
    pub edit_spec: fn(String) -> String,
    /// Put a proxy between the product and each server, see [`Lab::proxy`].
    pub proxied: bool,
    /// Where ledger, spec and logs of children go; a directory that goes with the lab if none is named.
    pub directory: Option<PathBuf>,
    /// Keep the clusters' directory after the end.
    pub keep: bool,
}

impl Default for LabOptions {
    fn default() -> Self {
        Self {
            size_mb: 2,
            more_tables: 0,
            groups: Vec::new(),
            writers: 6,
            rate: 20.0,
            settings: Vec::new(),
            spec_line: String::new(),
            edit_spec: |text| text,
            proxied: false,
            directory: None,
            keep: false,
        }
    }
}

/// Two clusters and a pooler, ready to switch. Dropping it takes the servers down.
pub struct Lab {
    migration: Migration,
    spec: PathBuf,
    directory: PathBuf,
    groups: Vec<WriterGroup>,
    writers: usize,
    rate: f64,
    workload: Option<WorkloadHandle>,
    epoch: u64,
    children: u64,
    proxies: Vec<Proxy>,
    stack: Stack,
    _temporary: Option<tempfile::TempDir>,
}

impl Lab {
    /// Starts servers, loads the sample, and does what the worker does up to the switch. Nobody writes yet.
    pub async fn start(options: LabOptions) -> Result<Self> {
        let stack_options = StackOptions {
            temporal: None,
            log_statement: "none".to_owned(),
            settings: options.settings,
            keep: options.keep,
            ..StackOptions::default()
        };
        let stack = Stack::start(stack_options).await.context("starting the servers")?;
        let info = stack.info();
        sample::load(&sample::Access::master(info, Side::Source), options.size_mb)
            .await
            .context("loading the sample")?;
        add_tables(info, options.more_tables).await.context("adding tables")?;
        scenario::let_the_logins_in(info).await?;
        let temporary = match options.directory {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("changeover-lab-").tempdir()?),
        };
        let directory =
            options.directory.or_else(|| temporary.as_ref().map(|t| t.path().to_owned())).unwrap_or_default();
        std::fs::create_dir_all(&directory)?;
        let directory = directory.canonicalize()?;
        let mut proxies = Vec::new();
        if options.proxied {
            for side in [Side::Source, Side::Target] {
                proxies.push(Proxy::start(info.cluster(side).port).await?);
            }
        }
        let ports: Vec<u16> = proxies.iter().map(Proxy::port).collect();
        let edit = |text| (options.edit_spec)(spec::through_proxies(info, text, &ports));
        let (path, spec) = spec::write(info, &directory, &options.spec_line, edit)?;
        let migration = Migration::resolve(&spec).context("resolving the spec")?;
        prepare::ready_to_switch(&migration, options.more_tables).await?;
        Ok(Self {
            migration,
            spec: path,
            directory,
            groups: options.groups,
            writers: options.writers,
            rate: options.rate,
            workload: None,
            epoch: 0,
            children: 0,
            proxies,
            stack,
            _temporary: temporary,
        })
    }

    /// The servers' addresses.
    pub fn info(&self) -> &StackInfo {
        self.stack.info()
    }
    /// The servers.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }
    /// What stands between the product and a server, where the options asked for it; servers, pooler and clients speak to each
    /// other without it.
    pub fn proxy(&self, side: Side) -> Result<&Proxy> {
        let index = if side == Side::Source { 0 } else { 1 };
        self.proxies.get(index).context("the lab has no proxies: LabOptions::proxied")
    }
    /// The migration, as an activity sees it.
    pub fn migration(&self) -> &Migration {
        &self.migration
    }
    /// The spec's file, for children.
    pub fn spec(&self) -> &Path {
        &self.spec
    }
    /// Where ledger and logs are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
    /// An epoch that wasn't used before.
    pub fn next_epoch(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }

    /// Starts the writers, or starts them again: direct ones begin at the side that serves. Returns when all kinds were answered.
    pub async fn load(&mut self) -> Result<()> {
        if self.workload.is_some() {
            return Ok(());
        }
        let serving = self.serving().await?.open.context("no side is open")?;
        let info = self.info();
        let stack = WorkloadOptions::on_stack(info, self.ledger());
        let mut load = WorkloadOptions::new(stack.ledger, stack.ca, stack.bouncer, stack.direct, self.writers);
        load.direct.sort_by_key(|address| address.port != info.cluster(serving).port);
        load.rate = self.rate;
        load.answer_deadline = Duration::from_secs(20);
        if !self.groups.is_empty() {
            load.groups = self.groups.clone();
        }
        self.workload = Some(Workload::start(load).await?);
        self.until_writes_flow(Duration::from_secs(30)).await.map(drop)
    }

    /// The ledger's directory.
    pub fn ledger(&self) -> PathBuf {
        self.directory.join("ledger")
    }
    /// The running writers.
    pub fn workload(&self) -> Result<&WorkloadHandle> {
        self.workload.as_ref().context("nobody writes: Lab::load")
    }

    /// One attempt in this process, as the worker's activity makes it.
    pub async fn switch(&self, direction: Direction, epoch: u64) -> Result<SwitchRecord, Failure> {
        let traffic = PgBouncer::new(&self.migration)?;
        switch::run(&self.migration, &request(direction, epoch), &traffic).await
    }
    /// Attempts, each of an epoch of its own, until one opens the other side, as the workflow makes them.
    pub async fn switch_over(&mut self, direction: Direction, attempts: u32) -> Result<SwitchRecord> {
        let mut refusal = String::new();
        for _ in 0..attempts {
            let epoch = self.next_epoch();
            let record = self.switch(direction, epoch).await?;
            if record.outcome == "open" {
                return Ok(record);
            }
            refusal = record.refusal;
        }
        bail!("no attempt of {attempts} could switch, the last: {refusal}")
    }
    /// Brings an attempt of unknown end to its end, in this process.
    pub async fn settle(&self, direction: Direction, epoch: u64) -> Result<SwitchRecord, Failure> {
        let traffic = PgBouncer::new(&self.migration)?;
        switch::settle(&self.migration, &request(direction, epoch), &traffic).await
    }
    /// A switch in a process of its own, not started yet.
    pub fn switcher(&mut self, verb: Verb, direction: Direction, epoch: u64) -> Switcher {
        self.children += 1;
        let log = self.directory.join(format!("switcher-{epoch:05}-{:05}.log", self.children));
        Switcher::new(verb, &self.spec, direction, epoch, log)
    }

    /// Waits until every kind of writer has been acknowledged for a transaction that began after this call; returns how long
    /// the last kind took.
    pub async fn until_writes_flow(&self, deadline: Duration) -> Result<Duration> {
        self.until_writes_flow_since(SystemTime::now(), deadline).await
    }

    /// The same since a moment that has passed already.
    pub async fn until_writes_flow_since(&self, moment: SystemTime, deadline: Duration) -> Result<Duration> {
        let (workload, begun) = (self.workload()?, Instant::now());
        loop {
            let answers = workload.first_answers(moment);
            let waiting: Vec<&String> = answers.iter().filter(|(_, at)| at.is_none()).map(|(lane, _)| lane).collect();
            if waiting.is_empty() {
                return Ok(answers.values().flatten().max().copied().unwrap_or_default());
            }
            if begun.elapsed() > deadline {
                bail!("no write of {waiting:?} was acknowledged within {deadline:?}");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until a canary goes through every link in both directions: a switch may begin.
    pub async fn until_ready(&self, deadline: Duration) -> Result<()> {
        prepare::until_healthy(&self.migration, deadline).await
    }

    /// Which side takes application writes, as every kind of login finds it.
    pub async fn serving(&self) -> Result<Serving> {
        judge::serving(self.info()).await
    }

    /// With the writers held, the judgement on all that was written so far. They go on afterwards.
    pub async fn check(&self) -> Result<Judgement> {
        if let Some(workload) = &self.workload {
            workload.pause().await;
        }
        let judgement = judge::judge(self.info(), &self.ledger()).await;
        if let Some(workload) = &self.workload {
            workload.resume();
        }
        judgement
    }

    /// Stops the writers and judges.
    pub async fn judge(&mut self) -> Result<Judgement> {
        Ok(self.judge_with_summary().await?.1)
    }

    /// The same, with what the writers say of themselves, if they wrote.
    pub async fn judge_with_summary(&mut self) -> Result<(Option<WorkloadSummary>, Judgement)> {
        let summary = match self.workload.take() {
            Some(workload) => Some(workload.stop().await?),
            None => None,
        };
        let mut judgement = judge::judge(self.info(), &self.ledger()).await?;
        for text in summary.iter().flat_map(|summary| &summary.anomalies) {
            judgement.faults.push(format!("a client read what can't be: {text}"));
        }
        Ok((summary, judgement))
    }

    /// How many tables, partitions counted each, a switch has to do with.
    pub async fn tables(&self) -> Result<u64> {
        let sql = "select count(*) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                    where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|changeover$|pglogical$|rds_tools$|information_schema$)'";
        let mut tables = 0;
        for database in &self.info().databases {
            let client = connect::as_superuser(&self.info().source, database).await?;
            tables += client.query_one(sql, &[]).await?.get::<_, i64>(0).unsigned_abs();
        }
        Ok(tables)
    }
}

async fn add_tables(info: &StackInfo, number: usize) -> Result<()> {
    if number == 0 {
        return Ok(());
    }
    let client = connect::as_superuser(&info.source, "shop").await?;
    client
        .batch_execute("create schema more authorization shop_owner; grant usage on schema more to shop_writers")
        .await?;
    for first in (0..number).step_by(200) {
        let sql: String = (first..number.min(first + 200))
            .map(|index| format!("create table more.t{index:05} (id bigint primary key, text text);"))
            .collect();
        client.batch_execute(&format!("set role shop_owner; {sql}; reset role")).await?;
    }
    let grant = "set role shop_owner; grant select, insert, update, delete on all tables in schema more to shop_writers; reset role";
    client.batch_execute(grant).await.context("granting")
}

/// The laboratory compares no rows beforehand; its judge does so afterwards.
fn request(direction: Direction, epoch: u64) -> SwitchRequest {
    SwitchRequest { direction, epoch, verified_at: Some(std::time::SystemTime::now()) }
}
