//! The guard: a process that outlives the harness by a moment and stops what it started.

use anyhow::{Context, Result};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = include_str!("../../../dev/stack-down.sh");

/// Waits at a pipe from the harness; when the pipe closes, for whatever reason, it stops the servers of one stack.
#[derive(Debug)]
pub struct Guard {
    child: Option<Child>,
}

impl Guard {
    /// Watches over the stack in `directory`, and removes the directory afterwards unless `keep`.
    pub fn watch(directory: &Path, keep: bool) -> Result<Self> {
        let mut command = command(directory, keep);
        // A group of its own: a Ctrl-C in the terminal doesn't reach it.
        let child =
            command.arg("wait").stdin(Stdio::piped()).process_group(0).spawn().context("starting the stack's guard")?;
        Ok(Self { child: Some(child) })
    }

    /// Sends the guard home: the stack runs on without the harness.
    pub fn detach(mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            let mut pipe = child.stdin.take().context("the guard has no pipe")?;
            pipe.write_all(b"detach\n").context("writing to the guard")?;
            drop(pipe);
            child.wait().context("waiting for the guard")?;
        }
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            if let Err(error) = child.wait() {
                tracing::warn!(%error, "waiting for the stack's guard");
            }
        }
    }
}

/// Stops every server of the stack in `directory`, which another process may have started.
pub fn take_down(directory: &Path, keep: bool) -> Result<()> {
    let status = command(directory, keep).status().context("running the take-down script")?;
    anyhow::ensure!(status.success(), "taking down the stack in {}: {status}", directory.display());
    Ok(())
}

fn command(directory: &Path, keep: bool) -> Command {
    let mut command = Command::new("bash");
    command
        .args(["-c", SCRIPT, "stack-down"])
        .arg(directory)
        .arg(if keep { "keep" } else { "remove" })
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// The directories of stacks below the directory for temporary files, running or not.
pub fn stacks() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(std::env::temp_dir()).context("listing the directory for temporary files")? {
        let path = entry?.path();
        let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("changeover-"));
        if named && path.join("stack.json").is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
