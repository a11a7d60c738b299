//! Two workers, of which one is struck where a test wants it: whichever comes there first.

use anyhow::{Context, Result, bail, ensure};
use changeover_tests::{
    product::{Product, Worker},
    stack::process,
};
use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// Running workers that share their failpoints.
pub struct Workers {
    product: Product,
    failpoint: PathBuf,
    running: Vec<Worker>,
    started: usize,
}

/// A worker that was struck.
#[derive(Clone, Copy, Debug)]
pub struct Struck {
    /// Its process.
    pub pid: u32,
    /// When.
    pub at: SystemTime,
}

impl Workers {
    /// Starts two.
    pub async fn start(product: &Product) -> Result<Self> {
        let failpoint = product.directory().join("failpoint");
        let product = product.with_variable("CHANGEOVER_FAILPOINTS", &format!("@{}", failpoint.display()));
        let mut workers = Self { product, failpoint, running: Vec::new(), started: 0 };
        workers.add().await?;
        workers.add().await?;
        Ok(workers)
    }

    async fn add(&mut self) -> Result<()> {
        self.started += 1;
        self.running.push(self.product.worker(&format!("worker-{}", self.started)).await?);
        Ok(())
    }

    /// The next one that comes to `failpoint` acts, such as `switch.lock.after=kill`.
    pub fn arm(&self, failpoint: &str) -> Result<()> {
        // Never seen half written.
        let new = self.failpoint.with_extension("new");
        std::fs::write(&new, failpoint)?;
        std::fs::rename(&new, &self.failpoint).context("arming a failpoint")
    }

    /// Waits until a worker has come there.
    pub async fn struck(&self, deadline: Duration) -> Result<Struck> {
        let begun = SystemTime::now();
        loop {
            let found = self.running.iter().find(|w| self.taken_by(w.pid()).exists());
            if let Some(worker) = found {
                let struck = Struck { pid: worker.pid(), at: SystemTime::now() };
                std::fs::remove_file(self.taken_by(struck.pid))?;
                return Ok(struck);
            }
            if begun.elapsed().unwrap_or_default() > deadline {
                bail!("waited {deadline:?} in vain until a worker came to its failpoint");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn taken_by(&self, pid: u32) -> PathBuf {
        self.failpoint.with_added_extension(pid.to_string())
    }

    /// Another worker in the place of one that was killed.
    pub async fn replace(&mut self, struck: Struck) -> Result<()> {
        let dead = self.take(struck)?;
        ensure!(!process::is_alive(struck.pid), "the worker that was to die is alive");
        dead.kill().await?;
        self.add().await
    }

    /// SIGTERM for one, told and awaited, and another one in its place.
    pub async fn replace_in_order(&mut self, struck: Struck) -> Result<()> {
        self.take(struck)?.stop().await?;
        self.add().await
    }

    fn take(&mut self, struck: Struck) -> Result<Worker> {
        let index = self.running.iter().position(|worker| worker.pid() == struck.pid).context("it doesn't run")?;
        Ok(self.running.remove(index))
    }

    /// Lets one that was stopped go on.
    pub async fn wake(&self, struck: Struck) -> Result<()> {
        process::signal(struck.pid, "CONT").await
    }

    /// The same, and waits until its log says one of these once more.
    pub async fn wake_and_hear(&self, struck: Struck, texts: &[&str]) -> Result<()> {
        let worker = self.running.iter().find(|worker| worker.pid() == struck.pid).context("it doesn't run")?;
        let said = || {
            std::fs::read_to_string(&worker.log)
                .map_or(0, |log| texts.iter().map(|text| log.matches(text).count()).sum::<usize>())
        };
        let before = said();
        self.wake(struck).await?;
        let what = format!("the worker that was woken says one of {texts:?}");
        process::wait_until(&what, Duration::from_secs(60), async || said() > before).await
    }

    /// Stops all in order.
    pub async fn stop(self) -> Result<()> {
        for worker in self.running {
            worker.stop().await?;
        }
        Ok(())
    }
}
