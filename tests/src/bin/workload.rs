//! `changeover-workload`: loads the sample instance, puts it under live writes, checks what became of them.

use anyhow::{Context, Result};
use changeover_tests::ledger;
use changeover_tests::sample::{self, Access};
use changeover_tests::stack::{Side, StackInfo};
use changeover_tests::workload::{Address, Workload, WorkloadOptions};
use clap::{Args, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The sample instance and its load.
#[derive(Parser)]
#[command(name = "changeover-workload", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the sample's roles and databases, and load them.
    Load {
        #[command(flatten)]
        server: Server,
        /// About the size of database `shop`.
        #[arg(long, default_value_t = 200)]
        size_mb: u32,
    },
    /// Write until told to stop, and keep the ledger.
    Run(Run),
    /// Compare the ledger with the serving side. Writers must have stopped. Exit 1 if anything is wrong.
    Check {
        #[command(flatten)]
        server: Server,
        /// The ledger's directory.
        #[arg(long)]
        ledger: PathBuf,
    },
}

/// One server: of a stack, or by its address.
#[derive(Args)]
struct Server {
    /// The stack's directory (it holds stack.json); replaces everything below.
    #[arg(long)]
    stack: Option<PathBuf>,
    /// Which of the stack's clusters: source or target.
    #[arg(long, default_value = "source")]
    side: String,
    /// HOST:PORT, or the directory of the unix socket with the port: /run/postgresql:5432.
    #[arg(long, conflicts_with = "stack", required_unless_present = "stack")]
    address: Option<Address>,
    /// The role.
    #[arg(long, default_value = "changeover")]
    user: String,
    /// Its password; not needed for a unix socket.
    #[arg(long, env = "PGPASSWORD", hide_env_values = true, default_value = "")]
    password: String,
    /// The certificate authority's file, PEM; not needed for a unix socket.
    #[arg(long)]
    ca: Option<PathBuf>,
}

impl Server {
    fn access(&self, superuser: bool) -> Result<Access> {
        if let Some(directory) = &self.stack {
            let stack = StackInfo::load(directory)?;
            let side = match self.side.as_str() {
                "source" => Side::Source,
                "target" => Side::Target,
                other => anyhow::bail!("--side is source or target, not {other}"),
            };
            return Ok(if superuser { Access::superuser(stack.cluster(side)) } else { Access::master(&stack, side) });
        }
        let Address { host, port } = self.address.clone().context("--stack or --address says where the server is")?;
        if host.starts_with('/') {
            return Ok(Access::Socket { directory: host.into(), port, user: self.user.clone() });
        }
        let ca = self.ca.clone().context("--ca names the certificate authority that the server is verified against")?;
        Ok(Access::Tcp { host, port, user: self.user.clone(), password: self.password.clone(), ca })
    }
}

#[derive(Args)]
struct Run {
    /// The ledger's directory; one that exists is continued.
    #[arg(long)]
    ledger: PathBuf,
    /// The stack's directory (it holds stack.json); replaces --bouncer, --direct and --ca.
    #[arg(long)]
    stack: Option<PathBuf>,
    /// PgBouncer's HOST:PORT.
    #[arg(long, conflicts_with = "stack")]
    bouncer: Option<Address>,
    /// A cluster's HOST:PORT, the serving one first; direct writers go to the next when one doesn't accept.
    #[arg(long, conflicts_with = "stack")]
    direct: Vec<Address>,
    /// The certificate authority's file, PEM.
    #[arg(long, required_unless_present = "stack")]
    ca: Option<PathBuf>,
    /// How many clients.
    #[arg(long, default_value_t = 6)]
    writers: usize,
    /// Transactions per second and writer; 0 is as fast as it goes.
    #[arg(long, default_value_t = 25.0)]
    rate: f64,
    /// Seconds; without it, until Ctrl-C.
    #[arg(long)]
    duration: Option<f64>,
}

impl Run {
    fn options(&self) -> Result<WorkloadOptions> {
        let (ca, bouncer, direct) = match &self.stack {
            Some(directory) => {
                let stack = StackInfo::load(directory)?;
                let direct = vec![Address::local(stack.source.port), Address::local(stack.target.port)];
                (stack.ca, Some(Address::local(stack.pooler.port)), direct)
            }
            None => (self.ca.clone().context("--ca is missing")?, self.bouncer.clone(), self.direct.clone()),
        };
        let mut options = WorkloadOptions::new(self.ledger.clone(), ca, bouncer, direct, self.writers);
        options.rate = self.rate;
        Ok(options)
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match Cli::parse().command {
        Command::Load { server, size_mb } => {
            sample::load(&server.access(false)?, size_mb).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(run) => write(&run).await,
        Command::Check { server, ledger } => {
            let report = ledger::check(&ledger, &server.access(true)?).await?;
            print(&report)?;
            Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// A line of counters every five seconds on stderr, the summary on stdout.
async fn write(run: &Run) -> Result<ExitCode> {
    let workload = Workload::start(run.options()?).await?;
    let end = async {
        match run.duration {
            Some(seconds) => tokio::time::sleep(Duration::from_secs_f64(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    tick.tick().await;
    loop {
        tokio::select! {
            () = &mut end => break,
            pressed = tokio::signal::ctrl_c() => { pressed?; break; }
            _ = tick.tick() => {
                let stats = workload.stats();
                eprintln!(
                    "{} acknowledged, {:.0}/s, {} in doubt, errors {:?}",
                    stats.acknowledged, stats.tx_per_second, stats.in_doubt, stats.errors
                );
            }
        }
    }
    print(&workload.stop().await?)?;
    Ok(ExitCode::SUCCESS)
}

fn print(value: &impl serde::Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}
