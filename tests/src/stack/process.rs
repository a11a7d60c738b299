//! Running commands, and the operating-system user that the servers run as.

use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// Who runs the database servers: they refuse to run as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerUser {
    /// We aren't root: the servers run as we do.
    Ourselves,
    /// We are root: the servers run as `postgres`, which Debian's package creates.
    Postgres,
}

impl ServerUser {
    /// Decides by our own user id.
    pub fn detect() -> Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
        let uid =
            status.lines().find_map(|line| line.strip_prefix("Uid:")).and_then(|ids| ids.split_whitespace().nth(1));
        match uid {
            Some("0") => Ok(Self::Postgres),
            Some(_) => Ok(Self::Ourselves),
            None => bail!("/proc/self/status has no Uid line"),
        }
    }

    /// A command that runs `program` as this user, in `/`, with nothing on its standard input.
    pub fn command(self, program: &str) -> Command {
        let mut command = match self {
            Self::Ourselves => Command::new(program),
            Self::Postgres => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--", program]);
                command
            }
        };
        // A directory that every user may enter.
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    /// Gives `path` and what is in it to this user.
    pub async fn own(self, path: &Path) -> Result<()> {
        if self == Self::Ourselves {
            return Ok(());
        }
        let mut command = Command::new("chown");
        command.arg("-R").arg("postgres:postgres").arg(path);
        run(command, Duration::from_secs(30)).await.map(drop)
    }

    /// Fails, with the remedy, when this user can't enter `directory`.
    pub async fn check_reaches(self, directory: &Path) -> Result<()> {
        let mut command = self.command("test");
        command.arg("-x").arg(directory);
        run(command, Duration::from_secs(10)).await.map(drop).with_context(|| {
            format!(
                "the user that runs the servers can't enter {}: choose another directory by TMPDIR or --dir",
                directory.display()
            )
        })
    }
}

/// Runs a command to its end and returns its output; an error holds what it printed. Not for commands that leave a daemon with
/// the pipes open behind them: see [`run_silent`].
pub async fn run(mut command: Command, deadline: Duration) -> Result<Output> {
    let shown = show(&command);
    command.kill_on_drop(true);
    let output = tokio::time::timeout(deadline, command.output())
        .await
        .with_context(|| format!("{shown} took longer than {deadline:?}"))?
        .with_context(|| format!("starting {shown}"))?;
    if !output.status.success() {
        bail!(
            "{shown}: {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim(),
            String::from_utf8_lossy(&output.stdout).trim()
        );
    }
    Ok(output)
}

/// Runs a command that starts a daemon: nothing of ours stays open in it, so nothing waits for it.
pub async fn run_silent(mut command: Command, deadline: Duration) -> Result<()> {
    let shown = show(&command);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = tokio::time::timeout(deadline, command.status())
        .await
        .with_context(|| format!("{shown} took longer than {deadline:?}"))?
        .with_context(|| format!("starting {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// Sends `signal` (KILL, TERM, STOP …) to a process.
///
/// # Errors
/// When there is no such process, or `kill` refuses.
pub async fn signal(pid: u32, signal: &str) -> Result<()> {
    // To `kill`, 0 is its own group, with the tests in it, and what doesn't fit a pid may be everybody.
    ensure!(i32::try_from(pid).is_ok_and(|pid| pid > 0), "SIG{signal} to a process that has ended (pid {pid})");
    let mut command = Command::new("kill");
    command.arg(format!("-{signal}")).arg(pid.to_string());
    run(command, Duration::from_secs(10)).await.map(drop)
}

/// Whether a process exists, if only as a zombie.
pub fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// Whether a process exists and isn't a zombie.
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The state is the field after the command's name, which is in parentheses and may hold anything.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Whether a signal has stopped a process.
pub fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['T', 't']))
}

/// Waits until `condition` holds; the error says what was awaited.
pub async fn wait_until(what: &str, deadline: Duration, mut condition: impl AsyncFnMut() -> bool) -> Result<()> {
    let started = std::time::Instant::now();
    while !condition().await {
        if started.elapsed() > deadline {
            bail!("waited {deadline:?} in vain until {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The program and its arguments. Nothing secret is ever passed to a command by argument.
fn show(command: &Command) -> String {
    let command = command.as_std();
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        shown.push(' ');
        shown.push_str(&argument.to_string_lossy());
    }
    shown
}
