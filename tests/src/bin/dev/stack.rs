//! `up`, `down`, `env`.

use anyhow::{Context, Result, bail};
use changeover_tests::stack::{Stack, StackInfo, StackOptions, TemporalOptions, WantedPorts, guard, rds};
use clap::Args;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};

/// Which stack a command means.
#[derive(Args)]
pub struct Which {
    /// The stack's directory; may be left out while there is only one stack.
    #[arg(long)]
    directory: Option<PathBuf>,
}

impl Which {
    /// The stack that is meant.
    pub fn find(&self) -> Result<StackInfo> {
        if let Some(directory) = &self.directory {
            return StackInfo::load(directory);
        }
        match guard::stacks()?.as_slice() {
            [] => bail!("there is no stack: `changeover-dev up` starts one"),
            [one] => StackInfo::load(one),
            many => bail!("there are {} stacks, choose one by --directory: {many:?}", many.len()),
        }
    }
}

/// Arguments of `up`.
#[derive(Args)]
pub struct Up {
    /// Where the stack lives: a directory that is empty or doesn't exist (default: a fresh one for temporary files).
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Return when it is up and leave it running; `down` ends it.
    #[arg(long)]
    detach: bool,
    /// Leave the directory, with data and logs, behind after the stop.
    #[arg(long)]
    keep: bool,
    /// Without Temporal's web UI.
    #[arg(long)]
    no_ui: bool,
    /// Create the databases `shop` and `billing` on the source too, empty.
    #[arg(long)]
    empty_source_databases: bool,
    /// Each cluster's log_statement.
    #[arg(long, default_value = "all")]
    log_statement: String,
    /// Each cluster's shared_buffers.
    #[arg(long, value_name = "MB", default_value_t = 64)]
    shared_buffers: u32,
}

impl Up {
    /// Starts the stack and, unless detached, waits for the end.
    pub async fn run(self) -> Result<()> {
        // Before the first server starts, so that an early Ctrl-C ends in order too.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stopped = async {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        };
        tokio::pin!(stopped);

        let starting = Stack::start(self.options());
        let stack = tokio::select! {
            stack = starting => stack?,
            () = &mut stopped => bail!("stopped while starting"),
        };
        print_addresses(stack.info());
        if self.detach {
            let info = stack.detach()?;
            eprintln!("left running; `changeover-dev down --directory {}` ends it", info.directory.display());
            return Ok(());
        }
        eprintln!("running until Ctrl-C");
        stopped.await;
        eprintln!("stopping");
        stack.stop().await
    }

    fn options(&self) -> StackOptions {
        StackOptions {
            directory: self.directory.clone(),
            keep: self.keep,
            create_source_databases: self.empty_source_databases,
            log_statement: self.log_statement.clone(),
            shared_buffers_mb: self.shared_buffers,
            temporal: Some(TemporalOptions { ui: !self.no_ui, ..TemporalOptions::default() }),
            // Where Temporal's own tools look, as long as nobody else is there.
            ports: WantedPorts { temporal: if_free(7233), temporal_ui: if_free(8233), ..WantedPorts::default() },
            ..StackOptions::default()
        }
    }
}

fn if_free(port: u16) -> Option<u16> {
    std::net::TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
}

/// Arguments of `down`.
#[derive(Args)]
pub struct Down {
    /// The stack's directory; may be left out while there is only one stack.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Every stack below the directory for temporary files.
    #[arg(long, conflicts_with = "directory")]
    all: bool,
    /// Leave the directory behind.
    #[arg(long)]
    keep: bool,
}

impl Down {
    /// Stops the servers; nothing happens where none run.
    pub fn run(self) -> Result<()> {
        let directories = match self.directory {
            Some(directory) => vec![directory],
            None => guard::stacks()?,
        };
        if directories.len() > 1 && !self.all {
            bail!("there are {} stacks, choose one by --directory, or --all: {directories:?}", directories.len());
        }
        for directory in &directories {
            StackInfo::load(directory).context("this isn't a stack's directory")?;
            guard::take_down(directory, self.keep)?;
            eprintln!("down: {}", directory.display());
        }
        if directories.is_empty() {
            eprintln!("there is no stack");
        }
        Ok(())
    }
}

/// Prints shell exports.
pub fn print_environment(info: &StackInfo) -> Result<()> {
    for (name, value) in info.environment() {
        println!("export {name}={}", rds::literal(&value).replace("''", "'\\''"));
    }
    Ok(())
}

fn print_addresses(info: &StackInfo) {
    let psql = |socket: &Path, port: u16| format!("psql -h {} -p {port} -U rdsadmin postgres", socket.display());
    println!("directory   {}", info.directory.display());
    println!(
        "source      127.0.0.1:{}   superuser: {}",
        info.source.port,
        psql(&info.source.socket(), info.source.port)
    );
    println!(
        "target      127.0.0.1:{}   superuser: {}",
        info.target.port,
        psql(&info.target.socket(), info.target.port)
    );
    println!("PgBouncer   127.0.0.1:{}   databases file: {}", info.pooler.port, info.pooler.databases_file().display());
    if let Some(temporal) = &info.temporal {
        println!("Temporal    {}", temporal.address());
        if let Some(port) = temporal.ui_port {
            println!("Temporal UI http://127.0.0.1:{port}");
        }
    }
    println!("CA          {}", info.ca.display());
    println!("environment eval \"$(changeover-dev env --directory {})\"", info.directory.display());
}
