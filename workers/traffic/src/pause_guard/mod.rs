//! The guard of a pause: a process of its own that lets clients go on when the worker that holds them back dies or stands still
//! before the closing side is touched. A pooler's PAUSE outlives the one who asked for it, and nobody else would notice before
//! Temporal does, seconds later.
//!
//! The two speak by the guard's standard input and output, a line each: what to resume, as JSON, is answered `ready`; `alive`, said
//! every [`BEAT`], arms it; `disarm` is answered `disarmed`, or `fired` when clients go on already. The guard acts when the pipe is
//! closed or nothing was said for [`SILENCE`], and never later than [`LATE`]: by then another attempt may hold clients back.

mod guard;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, OnceLock},
    time::Duration,
};

use changeover_domain::Failure;
use changeover_postgres::console::ConsoleAddress;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Mutex,
    task::JoinHandle,
    time::{interval, timeout},
};

pub use guard::run;

/// The argument by which a program is asked to be a guard.
pub const VERB: &str = "pause-guard";

/// Between two signs of life.
const BEAT: Duration = Duration::from_millis(50);
/// The guard acts after so much silence.
const SILENCE: Duration = Duration::from_millis(300);
/// A guard that finds this much silence has stood still itself.
const LATE: Duration = Duration::from_secs(1);
/// Longest wait for a guard that starts.
const START: Duration = Duration::from_secs(5);
/// Longest wait for its word.
const ANSWER: Duration = Duration::from_millis(500);

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// From here on each pause of this process has a guard: this program, which has to call [`run`] when it is called with [`VERB`].
/// Where its path can't be had, which is logged, pauses have no guard.
pub fn guard_pauses_by_this_program() {
    match this_program() {
        // Whoever is told twice is told the same.
        Ok(program) => drop(PROGRAM.set(program)),
        Err(error) => tracing::warn!(%error, "pauses of a switch have no guard: this program can't be found"),
    }
}

/// Whatever has become of its file since it was started: an update replaces it.
fn this_program() -> std::io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}

/// One pooler as a guard is told of it, with its password: the pipe is ours alone. Nothing prints it.
#[derive(Serialize, Deserialize)]
struct Told {
    host: String,
    port: u16,
    user: String,
    password: String,
    ca_file: String,
    commands: Vec<String>,
}

impl Told {
    fn new(address: &ConsoleAddress, commands: Vec<String>) -> Self {
        Self {
            host: address.host.clone(),
            port: address.port,
            user: address.user.clone(),
            password: address.password.expose().to_owned(),
            ca_file: address.ca_file.clone(),
            commands,
        }
    }
}

/// A guard at work, seen from the worker. Dropped while armed, it lets clients go on.
#[derive(Debug)]
pub(crate) struct PauseGuard {
    /// Never killed: it ends when its input does.
    _child: Child,
    input: Arc<Mutex<ChildStdin>>,
    answers: Lines<BufReader<ChildStdout>>,
    beats: Option<JoinHandle<()>>,
}

impl Drop for PauseGuard {
    fn drop(&mut self) {
        if let Some(beats) = self.beats.take() {
            beats.abort();
        }
    }
}

impl PauseGuard {
    /// Starts a guard of these poolers, each with the commands that let its clients go on; none when no program is set, or nothing
    /// is to be guarded.
    pub(crate) async fn start(poolers: &[(&ConsoleAddress, Vec<String>)]) -> Result<Option<Self>, Failure> {
        match PROGRAM.get() {
            Some(program) if !poolers.is_empty() => {
                let told: Vec<Told> =
                    poolers.iter().map(|(address, names)| Told::new(address, names.clone())).collect();
                Self::spawn(program, &told).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn spawn(program: &Path, told: &[Told]) -> Result<Self, Failure> {
        let broken = |why: String| {
            let message = format!("the guard of the pause can't be started from {}: {why}", program.display());
            Failure::transient("CO0733", message, "it is tried again; look at the worker's log and its program")
        };
        let mut child = Command::new(program)
            .arg0("changeover")
            .arg(VERB)
            .env_clear()
            // What stops the worker by its group must not stop the guard.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Whoever reads the worker's log to its end doesn't wait for the guard's.
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| broken(error.to_string()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(broken("it has no pipes".to_owned()));
        };
        let answers = BufReader::new(output).lines();
        let mut guard = Self { _child: child, input: Arc::new(Mutex::new(input)), answers, beats: None };
        let told = serde_json::to_string(told).map_err(|error| broken(error.to_string()))?;
        guard.say(&told).await.map_err(|error| broken(error.to_string()))?;
        match guard.hear(START).await.as_deref() {
            Some("ready") => Ok(guard),
            Some(other) => Err(broken(other.to_owned())),
            None => Err(broken(format!("it says nothing within {START:?}"))),
        }
    }

    async fn say(&self, line: &str) -> std::io::Result<()> {
        say(&self.input, line).await
    }

    async fn hear(&mut self, patience: Duration) -> Option<String> {
        timeout(patience, self.answers.next_line()).await.ok()?.ok()?
    }

    /// From here on it acts when nothing more is heard of this process.
    pub(crate) async fn arm(&mut self) -> Result<(), Failure> {
        self.say("alive").await.map_err(|error| gone(&error.to_string()))?;
        let input = Arc::clone(&self.input);
        self.beats = Some(tokio::spawn(async move {
            let mut ticks = interval(BEAT);
            while say(&input, "alive").await.is_ok() {
                ticks.tick().await;
            }
        }));
        Ok(())
    }

    /// From here on it does nothing any more.
    ///
    /// # Errors
    /// CO0734 when it has acted, or doesn't say that it hasn't.
    pub(crate) async fn disarm(mut self) -> Result<(), Failure> {
        if let Some(beats) = self.beats.take() {
            // Not in the middle of a line.
            let _input = self.input.lock().await;
            beats.abort();
        }
        self.say("disarm").await.map_err(|error| gone(&error.to_string()))?;
        match self.hear(ANSWER).await.as_deref() {
            Some("disarmed") => Ok(()),
            Some("fired") => Err(gone("it has let clients go on, since this worker stood still")),
            Some(other) => Err(gone(other)),
            None => Err(gone("it doesn't answer")),
        }
    }
}

async fn say(input: &Mutex<ChildStdin>, line: &str) -> std::io::Result<()> {
    let mut input = input.lock().await;
    input.write_all(format!("{line}\n").as_bytes()).await?;
    input.flush().await
}

fn gone(why: &str) -> Failure {
    let message = format!("whether clients are still held back isn't known: the guard of the pause: {why}");
    Failure::transient("CO0734", message, "it is tried again")
}
