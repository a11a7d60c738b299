//! The local stack: two PostgreSQL clusters dressed as Amazon RDS, PgBouncer, and Temporal's development server, in one
//! directory with a certificate authority of its own. Nothing here is product code.
//!
//! Whatever ends the harness, a SIGKILL included, ends the servers: see [`guard`].

pub mod audit;
pub mod cluster;
pub mod connect;
pub(crate) mod files;
mod foreign;
pub mod guard;
mod info;
mod options;
mod parts;
pub mod pooler;
mod ports;
pub mod process;
mod programs;
pub mod rds;
pub mod temporal;
mod tls;

pub use cluster::{Cluster, Side, StopMode};
pub use foreign::Server;
pub use info::StackInfo;
pub use options::{Hosts, SAMPLE_LOGINS, StackOptions, TemporalOptions, WantedPorts, sample_login};
pub use parts::{Part, prepare};
pub use pooler::{Pooler, PoolerLogin};
pub use ports::Ports;
pub use temporal::Temporal;
pub use tls::Authority;

use anyhow::{Context, Result};
use guard::Guard;
use process::ServerUser;
use std::path::{Path, PathBuf};

/// A running stack. Dropping it stops every server and, unless told to keep it, removes the directory.
pub struct Stack {
    info: StackInfo,
    user: ServerUser,
    // Last: dropped last.
    guard: Guard,
}

impl Stack {
    /// Starts everything; when it returns, every part accepts connections.
    pub async fn start(options: StackOptions) -> Result<Self> {
        let stack = Self::lay_out(&options).await?;
        let start = |part: Part| part.start(&stack.info, stack.user, &options);
        let (source, target, temporal) = tokio::join!(start(Part::Source), start(Part::Target), start(Part::Temporal));
        source.context("creating the source")?;
        target.context("creating the target")?;
        temporal?;
        start(Part::Pooler).await?;
        Ok(stack)
    }

    /// Starts the source and nothing else.
    pub async fn start_source(options: StackOptions) -> Result<Self> {
        let stack = Self::lay_out(&options).await?;
        Part::Source.start(&stack.info, stack.user, &options).await.context("creating the source")?;
        Ok(stack)
    }

    async fn lay_out(options: &StackOptions) -> Result<Self> {
        let user = ServerUser::detect()?;
        let directory = make_stack_directory(options.directory.as_deref())?;
        let info = info::plan(options, directory)?;
        // Before the first server: the guard removes only a directory that holds this file.
        info.save()?;
        let guard = Guard::watch(&info.directory, options.keep)?;
        let stack = Self { info, user, guard };
        parts::lay_out(&stack.info, user, options).await?;
        Ok(stack)
    }

    /// Addresses and passwords.
    pub fn info(&self) -> &StackInfo {
        &self.info
    }

    /// The operating-system user of the servers, which [`Cluster::start`] and others ask for.
    pub fn user(&self) -> ServerUser {
        self.user
    }

    /// Stops every server in order (no crash recovery needed afterwards), then cleans up.
    pub async fn stop(self) -> Result<()> {
        self.info.source.stop(self.user, StopMode::Fast).await?;
        self.info.target.stop(self.user, StopMode::Fast).await
        // The guard, dropped here, stops the rest.
    }

    /// Leaves every server running after the harness has ended. `changeover-dev down` takes the stack down.
    pub fn detach(self) -> Result<StackInfo> {
        self.guard.detach()?;
        Ok(self.info)
    }
}

fn make_stack_directory(wanted: Option<&Path>) -> Result<PathBuf> {
    let directory = match wanted {
        Some(directory) => {
            std::fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
            anyhow::ensure!(
                std::fs::read_dir(directory)?.next().is_none(),
                "{} isn't empty: a stack wants a directory of its own",
                directory.display()
            );
            directory.to_path_buf()
        }
        None => {
            tempfile::Builder::new().prefix("changeover-").tempdir().context("creating the stack's directory")?.keep()
        }
    };
    // The servers' user passes through; what is secret in it has modes of its own.
    files::set_mode(&directory, 0o755)?;
    directory.canonicalize().context("resolving the stack's directory")
}
