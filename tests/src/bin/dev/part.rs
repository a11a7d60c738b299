//! `prepare` and `part`: the stack in containers, one server in each, all with one shared directory.

use anyhow::{Result, bail};
use changeover_tests::stack::process::ServerUser;
use changeover_tests::stack::{Hosts, Part, StackInfo, StackOptions, TemporalOptions, WantedPorts, prepare};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How often a part is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Arguments of `prepare`.
#[derive(Args)]
pub struct Prepare {
    /// The directory that all parts share.
    #[arg(long)]
    directory: PathBuf,
}

impl Prepare {
    /// Lays out the stack without starting a server.
    pub async fn run(self) -> Result<()> {
        prepare(&self.directory, &options()).await.map(drop)
    }
}

/// Arguments of `part`.
#[derive(Args)]
pub struct RunPart {
    /// The server to run.
    part: PartName,
    /// The directory that all parts share, laid out by `prepare`.
    #[arg(long)]
    directory: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum PartName {
    Source,
    Target,
    Pooler,
    Temporal,
}

impl RunPart {
    /// Starts the server and stays until told to end, or until the server has ended by itself, which is an error.
    pub async fn run(self) -> Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let part = match self.part {
            PartName::Source => Part::Source,
            PartName::Target => Part::Target,
            PartName::Pooler => Part::Pooler,
            PartName::Temporal => Part::Temporal,
        };
        let info = StackInfo::load(&self.directory)?;
        let user = ServerUser::detect()?;
        part.start(&info, user, &options()).await?;
        eprintln!("{part:?} is up");
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                () = tokio::time::sleep(LOOK) => {
                    if !part.is_running(&info) {
                        bail!("{part:?} has ended by itself; see the log below {}", self.directory.display());
                    }
                }
            }
        }
        part.stop(&info, user).await
    }
}

/// Every part has a host name of its own and its usual port.
fn options() -> StackOptions {
    let name = str::to_owned;
    StackOptions {
        create_source_databases: true,
        listen_everywhere: true,
        hosts: Hosts {
            source: name("source"),
            target: name("target"),
            pooler: name("pooler"),
            temporal: name("temporal"),
        },
        ports: WantedPorts {
            source: Some(5432),
            target: Some(5433),
            pooler: Some(6432),
            temporal: Some(7233),
            temporal_ui: Some(8233),
        },
        temporal: Some(TemporalOptions { ui: true, ..TemporalOptions::default() }),
        ..StackOptions::default()
    }
}
