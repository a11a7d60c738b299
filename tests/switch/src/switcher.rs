//! A switch in a process of its own, which can be killed and stopped.

use anyhow::{Context, Result, bail};
use changeover_domain::{Direction, Failure, proto::SwitchRecord};
use changeover_tests::stack::process;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
    sync::watch,
    task::JoinHandle,
};

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Verb {
    /// Begins an attempt, or goes on with one of this epoch.
    Run,
    /// Brings an attempt of this epoch to its end and begins nothing.
    Settle,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Settle => "settle",
        }
    }
}

/// How a child ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// With a record.
    Record(Box<SwitchRecord>),
    /// With a failure.
    Failed(Failure),
    /// By a signal.
    Killed,
}

impl Ended {
    /// `open`, `abort`, the code of a failure, or `killed`.
    pub fn word(&self) -> &str {
        match self {
            Self::Record(record) => &record.outcome,
            Self::Failed(failure) => &failure.code,
            Self::Killed => "killed",
        }
    }
}

/// A child: first described, then started.
pub struct Switcher {
    command: Command,
    log: PathBuf,
}

/// A started child. Dropping it kills it.
pub struct Running {
    child: Child,
    pid: u32,
    stdout: ChildStdout,
    steps: watch::Receiver<Vec<String>>,
    reader: JoinHandle<()>,
    /// What it said on stderr.
    pub log: PathBuf,
}

impl Switcher {
    pub(crate) fn new(verb: Verb, spec: &Path, direction: Direction, epoch: u64, log: PathBuf) -> Self {
        let mut command = Command::new(binary());
        command.arg(verb.word()).arg(spec).arg(direction.word()).arg(epoch.to_string());
        Self { command, log }
    }

    /// Sets `CHANGEOVER_FAILPOINTS` for it.
    #[must_use]
    pub fn failpoints(mut self, value: &str) -> Self {
        self.command.env("CHANGEOVER_FAILPOINTS", value);
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Result<Running> {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = self.command.spawn().context("starting changeover-switcher")?;
        let pid = child.id().context("the child has no id")?;
        let stdout = child.stdout.take().context("the child has no stdout")?;
        let stderr = child.stderr.take().context("the child has no stderr")?;
        let mut log = std::fs::File::create(&self.log).with_context(|| format!("creating {}", self.log.display()))?;
        let (sender, steps) = watch::channel(Vec::new());
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(step) = step_of(&line) {
                    sender.send_modify(|steps| steps.push(step));
                }
                // A log that can't be written is missed later; the child must not block on its pipe.
                let _unwritten = writeln!(log, "{line}");
            }
        });
        Ok(Running { child, pid, stdout, steps, reader, log: self.log })
    }

    /// Starts it and waits for its end.
    pub async fn finish(self, deadline: Duration) -> Result<Ended> {
        self.start()?.end(deadline).await
    }
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The steps that its switch has told so far.
    pub fn steps(&self) -> Vec<String> {
        self.steps.borrow().clone()
    }

    /// Waits until its switch tells a step; `false` if it ended without, or the deadline is over.
    pub async fn until_step(&mut self, step: &str, deadline: Duration) -> bool {
        let wait = self.steps.wait_for(|steps| steps.iter().any(|told| told == step));
        matches!(tokio::time::timeout(deadline, wait).await, Ok(Ok(_)))
    }

    /// SIGKILL, and waits until it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        // It may have ended by itself.
        let _gone = self.child.start_kill();
        self.child.wait().await.context("waiting for a killed switcher").map(drop)
    }

    /// SIGSTOP: it stands still until [`Running::wake`].
    pub async fn stop(&self) -> Result<()> {
        process::signal(self.pid, "STOP").await
    }

    /// SIGCONT.
    pub async fn wake(&self) -> Result<()> {
        process::signal(self.pid, "CONT").await
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Whether it stands still (SIGSTOP, its own or another's).
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    /// Waits for its end.
    pub async fn end(mut self, deadline: Duration) -> Result<Ended> {
        let mut text = String::new();
        let read = async {
            self.stdout.read_to_string(&mut text).await.context("reading what the switcher said")?;
            self.child.wait().await.context("waiting for the switcher")
        };
        let status = match tokio::time::timeout(deadline, read).await {
            Ok(status) => status?,
            Err(_) => bail!("the switcher didn't end within {deadline:?}, see {}", self.log.display()),
        };
        let _ended = self.reader.await;
        match status.code() {
            None => Ok(Ended::Killed),
            Some(0) => Ok(Ended::Record(Box::new(parse(&text, &self.log)?))),
            Some(2) => Ok(Ended::Failed(parse(&text, &self.log)?)),
            Some(code) => bail!("the switcher ended with {code}, see {}", self.log.display()),
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, log: &Path) -> Result<T> {
    serde_json::from_str(text.trim()).with_context(|| format!("the switcher said `{text}`, see {}", log.display()))
}

/// The step that a line of the child's log tells.
fn step_of(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    value.get("fields")?.get("step")?.as_str().map(str::to_owned)
}

/// Beside the running binary, or one directory up from a test's.
fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let near = own.ancestors().skip(1).take(2).map(|directory| directory.join("changeover-switcher"));
    near.into_iter().find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("changeover-switcher"))
}
