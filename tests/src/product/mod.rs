//! The product as a person uses it: its binary, driven from outside. No product code is linked.

mod spec;
mod status;
mod worker;

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::stack::StackInfo;

pub use spec::{SpecOptions, rest_of_spec, spec_text, variable};
pub use status::Status;
pub use worker::Worker;

/// The `changeover` binary with the environment of one stack.
#[derive(Clone, Debug)]
pub struct Product {
    binary: PathBuf,
    environment: Vec<(String, String)>,
    directory: PathBuf,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it said on stdout.
    pub stdout: String,
    /// What it said on stderr.
    pub stderr: String,
}

/// Longest time of a command that doesn't watch.
const COMMAND_DEADLINE: Duration = Duration::from_secs(120);

impl Product {
    /// The binary beside the running one (or `CHANGEOVER_BINARY`), for a stack; logs go to `directory`.
    pub fn new(info: &StackInfo, directory: &Path) -> Result<Self> {
        let binary = find_binary()?;
        let mut environment = info.environment();
        environment.push(("NO_COLOR".to_owned(), "1".to_owned()));
        environment.extend(crate::scenario::password_variables());
        Ok(Self { binary, environment, directory: directory.to_owned() })
    }

    /// The same with one more variable in its environment, or another value of one.
    pub fn with(&self, variable: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.environment.retain(|(name, _)| name != variable);
        other.environment.push((variable.to_owned(), value.to_owned()));
        other
    }

    /// The same with none of these variables.
    #[must_use]
    pub fn without(mut self, variables: &[String]) -> Self {
        self.environment.retain(|(name, _)| !variables.contains(name));
        self
    }

    /// Where logs and specs of this product go.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The same with a variable more.
    #[must_use]
    pub fn with_variable(&self, name: &str, value: &str) -> Self {
        let mut product = self.clone();
        product.environment.push((name.to_owned(), value.to_owned()));
        product
    }

    /// A command of the binary with the stack's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).envs(self.environment.iter().cloned()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end, however it ends.
    pub async fn run(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let told = format!("changeover {}", arguments.join(" "));
        let output = tokio::time::timeout(COMMAND_DEADLINE, command.output())
            .await
            .with_context(|| format!("`{told}` didn't end within {COMMAND_DEADLINE:?}"))?
            .with_context(|| format!("starting `{told}`"))?;
        let finished = Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        self.note(&told, &finished)?;
        Ok(finished)
    }

    /// Keeps what a command said in `<directory>/transcript.log`: to be read after a failure, and searched for secrets.
    fn note(&self, told: &str, finished: &Finished) -> Result<()> {
        let path = self.directory.join("transcript.log");
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        let Finished { code, stdout, stderr } = finished;
        write!(file, "$ {told}\n{stdout}{stderr}[{code}]\n").with_context(|| format!("writing {}", path.display()))
    }

    /// Runs a command that has to succeed and returns its stdout.
    pub async fn ok(&self, arguments: &[&str]) -> Result<String> {
        let finished = self.run(arguments).await?;
        if finished.code != 0 {
            bail!(
                "`changeover {}` ended with {}:\n{}{}",
                arguments.join(" "),
                finished.code,
                finished.stdout,
                finished.stderr
            );
        }
        Ok(finished.stdout)
    }

    /// Runs a command with its output on this process's terminal; returns its exit code.
    pub async fn show(&self, arguments: &[&str], deadline: Duration) -> Result<i32> {
        let told = format!("changeover {}", arguments.join(" "));
        let mut child =
            self.command(arguments).stdin(Stdio::null()).spawn().with_context(|| format!("starting `{told}`"))?;
        let status = tokio::time::timeout(deadline, child.wait())
            .await
            .with_context(|| format!("`{told}` didn't end within {deadline:?}"))??;
        Ok(status.code().unwrap_or(-1))
    }

    /// Runs a command that has to succeed with `--json` and parses its stdout.
    pub async fn json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let mut all = arguments.to_vec();
        all.push("--json");
        let text = self.ok(&all).await?;
        serde_json::from_str(&text).with_context(|| format!("`changeover {}` printed no JSON: {text}", all.join(" ")))
    }

    /// A migration's status.
    pub async fn status(&self, name: &str) -> Result<Status> {
        Ok(Status(self.json(&["status", name]).await?))
    }

    /// Waits until a migration's status fulfils a condition. A parked or ended migration ends the wait with an error, unless
    /// the condition asked for it.
    pub async fn wait_for(
        &self,
        name: &str,
        what: &str,
        deadline: Duration,
        mut condition: impl FnMut(&Status) -> bool,
    ) -> Result<Status> {
        let begun = Instant::now();
        let mut last;
        loop {
            // A status can fail for a moment, while a worker is away: the deadline decides.
            last = self.status(name).await;
            if let Ok(status) = &last {
                if condition(status) {
                    return last;
                }
                if status.is_parked() || status.has_ended() {
                    bail!("waiting for {what}, but the migration is {}: {}", status.state(), status.0);
                }
            }
            if begun.elapsed() > deadline {
                let seen = last.map(|s| s.0.to_string()).unwrap_or_else(|e| format!("{e:#}"));
                bail!("waited {deadline:?} for {what}; the last status: {seen}");
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Starts a worker; its log is `<directory>/<name>.log`.
    pub async fn worker(&self, name: &str) -> Result<Worker> {
        Worker::start(self, name).await
    }
}

fn find_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHANGEOVER_BINARY") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().context("finding the running binary")?;
    for directory in own.ancestors().skip(1).take(2) {
        let candidate = directory.join("changeover");
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!("the binary `changeover` isn't beside {}: build it with `cargo build -p changeover`", own.display())
}
