//! A worker process: started, stopped, killed.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::process::Child;

use super::Product;
use crate::stack::process;

/// A running worker. Dropping it kills it.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    /// Its log.
    pub log: PathBuf,
}

impl Worker {
    pub(super) async fn start(product: &Product, name: &str) -> Result<Self> {
        let log = product.directory().join(format!("{name}.log"));
        let file = std::fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let child = product
            .command(&["worker"])
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("starting a worker")?;
        let mut worker = Self { child, log };
        worker.wait_until_polling().await?;
        Ok(worker)
    }

    async fn wait_until_polling(&mut self) -> Result<()> {
        let log = self.log.clone();
        let mut ended = None;
        let child = &mut self.child;
        process::wait_until("the worker to poll its task queue", Duration::from_secs(60), async || {
            ended = child.try_wait().ok().flatten();
            ended.is_some() || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("worker started"))
        })
        .await?;
        if let Some(status) = ended {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            bail!("the worker ended at once ({status}):\n{text}");
        }
        Ok(())
    }

    /// Its process id; 0 when its end has been seen.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Whether it has ended, however.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether a signal has stopped it.
    pub fn is_stopped(&self) -> bool {
        process::is_stopped(self.pid())
    }

    /// SIGCONT.
    pub async fn wake(&self) -> Result<()> {
        process::signal(self.pid(), "CONT").await
    }

    /// SIGKILL: nothing of it runs afterwards.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("killing the worker")
    }

    /// SIGTERM, and waits for its end.
    pub async fn stop(mut self) -> Result<()> {
        process::signal(self.pid(), "TERM").await?;
        match tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(ended) => bail!("the worker ended with an error ({ended:?}), see {}", self.log.display()),
            Err(_) => bail!("the worker didn't stop within 30 s of SIGTERM, see {}", self.log.display()),
        }
    }
}
