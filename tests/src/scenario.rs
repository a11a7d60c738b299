//! A whole migration as a person runs it, on real parts and under load: what demo and end-to-end tests share.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::{
    oracle::{
        Difference, RowsReport, SequenceFault, Snapshot, arrived, compare_rows, compare_sequences, retired, unchanged,
    },
    product::{Product, SpecOptions, Status, Worker, spec_text, variable},
    sample,
    stack::{SAMPLE_LOGINS, Side, StackInfo, connect, rds},
    workload::{WindowStats, Workload, WorkloadHandle, WorkloadOptions},
};

/// The name of the migration in a scenario.
pub const NAME: &str = "demo";

/// The longest that a copy, a verification or the like may take.
pub const LONG: Duration = Duration::from_secs(540);
/// The longest that a switch, an approval or the like may take.
pub const SHORT: Duration = Duration::from_secs(180);

/// What a scenario may be told.
#[derive(Clone, Debug)]
pub struct ScenarioOptions {
    /// Size of the sample database.
    pub size_mb: u32,
    /// Writers of the workload; 0 for none.
    pub writers: usize,
    /// Transactions per second of each.
    pub rate: f64,
    /// How long a soak lasts, such as `2s`.
    pub soak: String,
    /// Where logs, ledger and spec go.
    pub directory: PathBuf,
}

/// Both clusters' catalogs at one moment.
pub struct Pair {
    source: Snapshot,
    target: Snapshot,
}

impl Pair {
    /// Of two that were taken.
    pub fn new(source: Snapshot, target: Snapshot) -> Self {
        Self { source, target }
    }

    /// Takes both.
    pub async fn take(info: &StackInfo) -> Result<Self> {
        let (source, target) = tokio::try_join!(Snapshot::take(&info.source), Snapshot::take(&info.target))?;
        Ok(Self { source, target })
    }

    /// What isn't as a finished migration has to leave it: the target like the source was, the source closed, nothing else.
    pub async fn after_finalize(&self, info: &StackInfo, applications: &BTreeSet<String>) -> Result<Vec<Difference>> {
        let now = Self::take(info).await?;
        let mut found = retired(&self.source, &now.source, applications);
        found.extend(arrived(&self.source, &self.target, &now.target, &info.databases));
        Ok(found)
    }

    /// What isn't as it was on the source: for an aborted migration whose target is gone.
    pub async fn source_after_abort(&self, info: &StackInfo) -> Result<Vec<Difference>> {
        Ok(unchanged(&self.source, &Snapshot::take(&info.source).await?))
    }

    /// What isn't as it was, on both sides: for an aborted migration.
    pub async fn after_abort(&self, info: &StackInfo) -> Result<Vec<Difference>> {
        let now = Self::take(info).await?;
        let mut found = unchanged(&self.source, &now.source);
        found.extend(unchanged(&self.target, &now.target));
        Ok(found)
    }
}

/// A switch as its clients saw it.
#[derive(Clone, Debug, Serialize)]
pub struct SwitchSeen {
    /// `forward` or `rollback`.
    pub direction: String,
    /// What the clients saw.
    pub clients: WindowStats,
}

/// A migration under way.
pub struct Scenario<'a> {
    /// The stack that it runs on.
    pub info: &'a StackInfo,
    /// The command line.
    pub product: Product,
    /// The load.
    pub workload: Option<WorkloadHandle>,
    /// The worker; taken while there is none.
    pub worker: Option<Worker>,
    /// The spec's path.
    pub spec: String,
    /// Both clusters before anything was done.
    pub before: Pair,
    /// Switches so far.
    pub switches: Vec<SwitchSeen>,
    ledger: PathBuf,
    writers: usize,
    /// Show each command and its output.
    pub loud: bool,
}

impl<'a> Scenario<'a> {
    /// Loads the sample, starts load and worker, writes the spec.
    pub async fn prepare(info: &'a StackInfo, options: &ScenarioOptions, loud: bool) -> Result<Self> {
        load_sample(info, options).await?;
        let before = Pair::take(info).await?;
        let spec = write_spec(info, &options.directory, &options.soak)?;
        Self::begin(info, options, loud, before, spec, &[]).await
    }

    /// Starts load and worker on a source that holds the sample, for a spec that is written.
    pub async fn begin(
        info: &'a StackInfo,
        options: &ScenarioOptions,
        loud: bool,
        before: Pair,
        spec: String,
        without: &[String],
    ) -> Result<Self> {
        let ledger = options.directory.join("ledger");
        if ledger.exists() {
            std::fs::remove_dir_all(&ledger).context("removing the ledger of an earlier run")?;
        }
        let workload = match options.writers {
            0 => None,
            writers => Some(start_load(info, &ledger, writers, options.rate, Side::Source).await?),
        };
        let product = Product::new(info, &options.directory)?.without(without);
        let worker = Some(product.worker("worker").await?);
        let writers = options.writers;
        Ok(Self { info, product, workload, worker, spec, before, switches: Vec::new(), ledger, writers, loud })
    }

    /// Runs a command: shown with its output, or silent.
    pub async fn say(&self, arguments: &[&str]) -> Result<()> {
        if !self.loud {
            return self.product.ok(arguments).await.map(drop);
        }
        println!("$ changeover {}", arguments.join(" "));
        match self.product.show(arguments, LONG).await? {
            0 => Ok(()),
            code => bail!(
                "`changeover {}` ended with {code}; logs are in {}",
                arguments.join(" "),
                self.product.directory().display()
            ),
        }
    }

    /// Watches until it waits for a person at a stage.
    pub async fn until_waiting(&self, stage: &str, deadline: Duration) -> Result<Status> {
        if self.loud {
            self.say(&["status", NAME, "--watch", "--until", "waiting"]).await?;
        }
        self.product.wait_for(NAME, &format!("it to wait at {stage}"), deadline, |s| s.waits_at(stage)).await
    }

    /// Waits until it's parked and returns the failure's code.
    pub async fn until_parked(&self, deadline: Duration) -> Result<String> {
        let status = self.product.wait_for(NAME, "it to park", deadline, Status::is_parked).await?;
        Ok(status.0["failure"]["code"].as_str().unwrap_or_default().to_owned())
    }

    /// Approves.
    pub async fn approve(&self, kind: &str, reason: &str) -> Result<()> {
        self.say(&["approve", NAME, "--for", kind, "--approver", "ada", "--reason", reason]).await
    }

    /// Approves and cuts over, and waits for the end of the soak.
    pub async fn cut_over(&mut self, reason: &str) -> Result<()> {
        self.until_waiting("approval", LONG).await?;
        self.approve("cutover", reason).await?;
        let begun = SystemTime::now();
        self.say(&["cutover", NAME, "--yes", "--actor", "ada", "--reason", reason]).await?;
        self.product.wait_for(NAME, "the target to serve", SHORT, |s| s.text("serving") == "target").await?;
        self.see_switch("forward", begun).await?;
        self.until_waiting("soak", LONG).await.map(drop)
    }

    /// Rolls back and waits until it could switch again.
    pub async fn roll_back(&mut self, reason: &str) -> Result<()> {
        let begun = SystemTime::now();
        self.say(&["rollback", NAME, "--yes", "--approver", "ada", "--reason", reason]).await?;
        self.product.wait_for(NAME, "the source to serve", SHORT, |s| s.text("serving") == "source").await?;
        self.see_switch("rollback", begun).await
    }

    /// Approves and finalizes, and waits for the end.
    pub async fn finalize(&self) -> Result<Status> {
        self.approve("finalize", "soaked long enough").await?;
        self.say(&["finalize", NAME, "--yes", "--actor", "ada", "--reason", "done"]).await?;
        if self.loud {
            self.say(&["status", NAME, "--watch"]).await?;
        }
        self.product.wait_for(NAME, "its end", SHORT, |s| s.state() == "FINISHED").await
    }

    /// Aborts and waits for the end.
    pub async fn abort(&self) -> Result<Status> {
        self.say(&["abort", NAME, "--actor", "ada", "--reason", "test"]).await?;
        self.product.wait_for(NAME, "its abort", SHORT, |s| s.state() == "ABORTED").await
    }

    async fn see_switch(&mut self, direction: &str, begun: SystemTime) -> Result<()> {
        let Some(workload) = &self.workload else { return Ok(()) };
        wait_for_acknowledgements(workload, 50).await?;
        let clients = workload.window(begun, SystemTime::now());
        if self.loud {
            println!(
                "\u{2022} {direction}: longest gap between acknowledged writes {:.1} ms, slowest statement {:.1} ms, errors {:?}",
                clients.longest_gap_ms, clients.slowest_statement_ms, clients.errors
            );
        }
        self.switches.push(SwitchSeen { direction: direction.to_owned(), clients });
        Ok(())
    }

    /// Ends the load and starts another one with the same clients at `rate` transactions per second each, 0 for as fast as it
    /// goes. Direct writers begin at the side that serves.
    pub async fn change_load(&mut self, serving: Side, rate: f64) -> Result<()> {
        self.end_load().await?;
        self.workload = Some(start_load(self.info, &self.ledger, self.writers, rate, serving).await?);
        Ok(())
    }

    async fn end_load(&mut self) -> Result<()> {
        let workload = self.workload.take().context("there is no load")?;
        let summary = workload.stop().await?;
        if !summary.anomalies.is_empty() {
            bail!("clients read what contradicts their acknowledged writes: {:?}", summary.anomalies);
        }
        Ok(())
    }

    /// With the writers held, compares every row; the side that follows gets time to apply what is under way.
    pub async fn compare(&self) -> Result<RowsReport> {
        if let Some(workload) = &self.workload {
            workload.pause().await;
        }
        let begun = Instant::now();
        let report = loop {
            let report = compare_rows(&self.info.source, &self.info.target, &self.info.databases).await?;
            if report.diverged_rows == 0 || begun.elapsed() > Duration::from_secs(60) {
                break report;
            }
        };
        if let Some(workload) = &self.workload {
            workload.resume();
        }
        Ok(report)
    }

    /// Stops the load and lets the checker judge the side that serves.
    pub async fn judge(&mut self, serving: Side) -> Result<crate::ledger::CheckReport> {
        self.end_load().await?;
        crate::ledger::check(&self.ledger, &sample::Access::superuser(self.info.cluster(serving))).await
    }

    /// Sequences that could give a number twice.
    pub async fn sequence_faults(&self, closed: Side, open: Side) -> Result<Vec<SequenceFault>> {
        compare_sequences(self.info.cluster(closed), self.info.cluster(open), &self.info.databases).await
    }

    /// SIGKILL for the worker, and another one in its place.
    pub async fn replace_worker(&mut self, name: &str) -> Result<()> {
        if let Some(worker) = self.worker.take() {
            worker.kill().await?;
        }
        self.worker = Some(self.product.worker(name).await?);
        Ok(())
    }

    /// Stops the worker in order.
    pub async fn stop_worker(&mut self) -> Result<()> {
        match self.worker.take() {
            Some(worker) => worker.stop().await,
            None => Ok(()),
        }
    }
}

/// Loads the sample into the source, and lets the migration's logins in.
pub async fn load_sample(info: &StackInfo, options: &ScenarioOptions) -> Result<()> {
    std::fs::create_dir_all(&options.directory)?;
    let access = sample::Access::master(info, Side::Source);
    sample::load(&access, options.size_mb).await.context("loading the sample")?;
    let_the_logins_in(info).await
}

async fn start_load(
    info: &StackInfo,
    ledger: &Path,
    writers: usize,
    rate: f64,
    serving: Side,
) -> Result<WorkloadHandle> {
    let mut load = WorkloadOptions::on_stack(info, ledger.to_owned());
    load.direct.sort_by_key(|address| address.port != info.cluster(serving).port);
    let defaults =
        WorkloadOptions::new(ledger.to_owned(), load.ca.clone(), load.bouncer.clone(), load.direct.clone(), writers);
    load.groups = defaults.groups;
    load.rate = rate;
    let workload = Workload::start(load).await?;
    wait_for_acknowledgements(&workload, 50).await?;
    Ok(workload)
}

async fn wait_for_acknowledgements(workload: &WorkloadHandle, more: u64) -> Result<()> {
    let wanted = workload.stats().acknowledged + more;
    crate::stack::process::wait_until("the writers to be acknowledged", Duration::from_secs(60), async || {
        workload.stats().acknowledged >= wanted
    })
    .await
}

fn write_spec(info: &StackInfo, directory: &Path, soak: &str) -> Result<String> {
    write_text(directory, &spec_text(info, &spec_options(soak)))
}

/// A spec's file; returns its path.
pub fn write_text(directory: &Path, spec: &str) -> Result<String> {
    let path = directory.join("demo.toml");
    std::fs::write(&path, spec).with_context(|| format!("writing {}", path.display()))?;
    Ok(path.display().to_string())
}

/// What a scenario's spec says of the sample.
pub fn spec_options(soak: &str) -> SpecOptions {
    SpecOptions {
        name: NAME.to_owned(),
        databases: sample::DATABASES.map(|database| (database.to_owned(), append_only(database))).to_vec(),
        passwords: SAMPLE_LOGINS.map(|role| (role.to_owned(), variable(&password_variable(role)))).to_vec(),
        replication_password: variable("CHANGEOVER_REPLICATION_PASSWORD"),
        pooler_password: variable("CHANGEOVER_POOLER_PASSWORD"),
        pooler: true,
        soak: soak.to_owned(),
    }
}

/// The sample's tables without a key, which are append-only.
fn append_only(database: &str) -> Vec<String> {
    sample::append_only(database).iter().map(|table| (*table).to_owned()).collect()
}

/// What preflight tells an operator to do before a start: the migration's logins may connect.
pub async fn let_the_logins_in(info: &StackInfo) -> Result<()> {
    for database in &info.databases {
        let client = connect::as_superuser(&info.source, database).await?;
        let grant = format!("grant connect on database {} to changeover, changeover_repl", rds::identifier(database));
        client.batch_execute(&grant).await?;
    }
    Ok(())
}

/// The variable of the worker that holds a role's password.
pub fn password_variable(role: &str) -> String {
    format!("PASSWORD_{}", role.to_uppercase())
}

/// The sample's roles that log in.
pub fn application_roles() -> BTreeSet<String> {
    // One that no variable can be named after: its password is "to be set by hand".
    let quoted = "Auswertung \"Nord\"";
    SAMPLE_LOGINS.iter().copied().chain([quoted]).map(str::to_owned).collect()
}

/// Passwords of the application roles, by variable.
pub fn password_variables() -> BTreeMap<String, String> {
    SAMPLE_LOGINS.iter().map(|role| (password_variable(role), sample::password(role))).collect()
}
