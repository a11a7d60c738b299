//! Temporal's development server: server, web UI and SQLite in one process.

use super::process;
use super::{cluster::tail, files};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const START_DEADLINE: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "default";

/// The server's place and addresses. Serialisable: a part of `stack.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Temporal {
    /// `<stack>/temporal`.
    pub directory: PathBuf,
    /// The name or address by which others reach it.
    pub host: String,
    /// The address it listens on.
    pub listen: String,
    /// gRPC port.
    pub port: u16,
    /// The web UI's port; none when headless.
    pub ui_port: Option<u16>,
    /// Custom search attributes, as `Name=Type`.
    pub search_attributes: Vec<String>,
}

impl Temporal {
    /// `host:port`, as `TEMPORAL_ADDRESS` wants it.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Starts the server and returns when its namespace answers. Nothing happens if it runs. Histories survive a stop: they are
    /// in a file.
    pub async fn start(&self) -> Result<()> {
        if self.pid().is_some() {
            return Ok(());
        }
        let program = find_cli()?;
        files::make_directory(&self.directory, 0o755)?;
        let mut child = self.spawn(&program)?;
        let pid = child.id();
        std::fs::write(self.directory.join("pid"), pid.to_string()).context("writing Temporal's pid file")?;
        // Reaped in a thread of its own, so that no zombie stays when it is killed.
        std::thread::spawn(move || child.wait());
        process::wait_until("Temporal's namespace answers", START_DEADLINE, async || {
            !process::is_alive(pid) || self.answers(&program).await
        })
        .await?;
        if !process::is_alive(pid) {
            bail!("Temporal's development server ended at once; the end of its log: {}", tail(&self.log()));
        }
        Ok(())
    }

    fn spawn(&self, program: &Path) -> Result<std::process::Child> {
        let log = File::options().create(true).append(true).open(self.log()).context("opening Temporal's log")?;
        let mut command = Command::new(program);
        command
            .args(["server", "start-dev", "--log-level", "warn", "--ip", &self.listen, "--port"])
            .arg(self.port.to_string())
            .arg("--db-filename")
            .arg(self.directory.join("temporal.db"));
        match self.ui_port {
            Some(port) => command.args(["--ui-ip", &self.listen, "--ui-port", &port.to_string()]),
            None => command.arg("--headless"),
        };
        for attribute in &self.search_attributes {
            command.arg("--search-attribute").arg(attribute);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir("/");
        // Out of the terminal's foreground group: Ctrl-C is for the harness, which stops the parts in order.
        command.process_group(0).spawn().context("starting Temporal's development server")
    }

    async fn answers(&self, program: &Path) -> bool {
        if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            return false;
        }
        let mut command = tokio::process::Command::new(program);
        command.args(["operator", "namespace", "describe", "--namespace", NAMESPACE, "--address"]);
        command.arg(format!("127.0.0.1:{}", self.port));
        process::run(command, Duration::from_secs(5)).await.is_ok()
    }

    /// SIGKILL.
    pub async fn kill(&self) -> Result<()> {
        let Some(pid) = self.pid() else { bail!("Temporal doesn't run") };
        process::signal(pid, "KILL").await?;
        process::wait_until("Temporal is gone after SIGKILL", Duration::from_secs(10), async || !process::is_alive(pid))
            .await
    }

    /// The process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        let pid = std::fs::read_to_string(self.directory.join("pid")).ok()?.trim().parse().ok()?;
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.trim() == "temporal" && process::is_alive(pid)).then_some(pid)
    }
}

/// The `temporal` CLI: on PATH, or where the set-up puts it.
pub fn find_cli() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Some(cache) = std::env::var_os("CHANGEOVER_CACHE") {
        places.push(Path::new(&cache).join("bin"));
    }
    if let Some(home) = std::env::var_os("HOME") {
        places.push(Path::new(&home).join(".cache/changeover/bin"));
    }
    places
        .into_iter()
        .map(|place| place.join("temporal"))
        .find(|file| file.is_file())
        .context("the temporal CLI isn't on PATH nor in the cache: run dev/setup.sh")
}
