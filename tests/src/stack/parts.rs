//! The parts of a stack one by one: for containers, each of which runs one.

use super::cluster::StopMode;
use super::info::{self, StackInfo};
use super::options::StackOptions;
use super::process::{self, ServerUser};
use super::{files, tls};
use anyhow::{Context, Result};
use std::path::Path;

/// One server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// PostgreSQL, source.
    Source,
    /// PostgreSQL, target.
    Target,
    /// PgBouncer.
    Pooler,
    /// Temporal's development server.
    Temporal,
}

impl Part {
    /// Makes the part if that isn't done yet, and starts it; when this returns, it accepts connections. Nothing happens where the
    /// stack has no such part.
    pub async fn start(self, info: &StackInfo, user: ServerUser, options: &StackOptions) -> Result<()> {
        match (self, &info.temporal) {
            (Self::Source, _) => info.source.create(user, options, &info.source_passwords).await,
            (Self::Target, _) => info.target.create(user, options, &info.target_passwords).await,
            (Self::Pooler, _) => info.pooler.start(user).await,
            (Self::Temporal, Some(temporal)) => temporal.start().await,
            (Self::Temporal, None) => Ok(()),
        }
    }

    /// Whether it runs.
    pub fn is_running(self, info: &StackInfo) -> bool {
        match self {
            Self::Source => info.source.is_running(),
            Self::Target => info.target.is_running(),
            Self::Pooler => info.pooler.pid().is_some(),
            Self::Temporal => info.temporal.as_ref().is_some_and(|temporal| temporal.pid().is_some()),
        }
    }

    /// Stops it in order.
    pub async fn stop(self, info: &StackInfo, user: ServerUser) -> Result<()> {
        let pid = match (self, &info.temporal) {
            (Self::Source, _) => return info.source.stop(user, StopMode::Fast).await,
            (Self::Target, _) => return info.target.stop(user, StopMode::Fast).await,
            (Self::Pooler, _) => info.pooler.pid(),
            (Self::Temporal, Some(temporal)) => temporal.pid(),
            (Self::Temporal, None) => None,
        };
        let Some(pid) = pid else { return Ok(()) };
        process::signal(pid, "TERM").await?;
        let what = format!("{self:?} has ended after SIGTERM");
        process::wait_until(&what, std::time::Duration::from_secs(20), async || !process::is_alive(pid)).await
    }
}

/// Lays out a stack in `directory` (certificates, configuration, `stack.json`) without starting a server. Nothing happens if that
/// is done already.
pub async fn prepare(directory: &Path, options: &StackOptions) -> Result<StackInfo> {
    if directory.join("stack.json").exists() {
        return StackInfo::load(directory);
    }
    let user = ServerUser::detect()?;
    files::make_directory(directory, 0o755)?;
    let info = info::plan(options, directory.to_path_buf())?;
    lay_out(&info, user, options).await?;
    // Last: it says that the rest is there.
    info.save()?;
    Ok(info)
}

pub(super) async fn lay_out(info: &StackInfo, user: ServerUser, options: &StackOptions) -> Result<()> {
    user.check_reaches(&info.directory).await?;
    let authority = tls::Authority::new()?;
    std::fs::write(&info.ca, authority.pem()).context("writing the CA's certificate")?;
    files::set_mode(&info.ca, 0o644)?;
    info.source.lay_out(&authority, user).await?;
    info.target.lay_out(&authority, user).await?;
    info.pooler.lay_out(&authority, user, &info.ca, &info.source, options).await
}
