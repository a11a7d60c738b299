//! Where secrets and row data must not be: Temporal, logs, what commands say, arguments of processes, statements on the servers.

use anyhow::{Context, Result, bail, ensure};
use changeover_tests::{
    demo, sample,
    scenario::{NAME, application_roles},
    stack::{StackInfo, connect},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{process::Command, sync::watch, task::JoinHandle};

/// Said by every command that a test gives: found in Temporal, it proves that the search would see a secret there.
const SAID: &str = "ada";

/// Looks at processes and sessions while a test runs.
pub struct Watch {
    stop: watch::Sender<bool>,
    processes: std::thread::JoinHandle<BTreeSet<String>>,
    sessions: JoinHandle<Result<BTreeSet<String>>>,
    directory: PathBuf,
}

impl Watch {
    /// Begins to look.
    pub fn start(info: &StackInfo, directory: &Path) -> Self {
        let (stop, stopped) = watch::channel(false);
        let processes = stopped.clone();
        // A thread of its own, because some commands live for milliseconds.
        let processes = std::thread::spawn(move || look_at_processes(&processes));
        let sessions = tokio::spawn(look_at_sessions(info.clone(), stopped));
        Self { stop, processes, sessions, directory: directory.to_owned() }
    }

    /// Ends it, and searches everything.
    pub async fn end(self, info: &StackInfo, canaries: &[&str]) -> Result<()> {
        self.stop.send_replace(true);
        let statements = self.sessions.await.context("watching sessions")??;
        let Ok(arguments) = self.processes.join() else { bail!("watching processes failed") };
        for command in ["changeover worker", "changeover start"] {
            ensure!(arguments.iter().any(|a| a.contains(command)), "`{command}` wasn't seen among the processes");
        }
        ensure!(statements.iter().any(|s| s.contains("pg_catalog.")), "no statement of ours was seen");
        let directory = &self.directory;
        write_all(&directory.join("seen-arguments.txt"), &arguments)?;
        write_all(&directory.join("seen-statements.txt"), &statements)?;
        if let Some(history) = history(info).await? {
            std::fs::write(directory.join("temporal-history.txt"), history)?;
        }
        let mut places = files(directory, &["log", "txt", "toml"])?;
        let temporal = info.temporal.as_ref().context("the stack has no Temporal")?;
        let database = files(&temporal.directory, &["db", "db-wal", "log"])?;
        ensure!(!search(&[SAID], &database, directory).await?.is_empty(), "the search can't see into Temporal");
        places.extend(database);
        let passwords = passwords(info);
        let secrets: Vec<&str> = passwords.iter().map(String::as_str).chain(canaries.iter().copied()).collect();
        nothing(&search(&secrets, &places, directory).await?)?;
        // A server's own log holds the rows that its errors name; passwords not even there.
        let logs = [info.source.log(), info.target.log(), info.pooler.log()];
        let secrets: Vec<&str> = passwords.iter().map(String::as_str).collect();
        nothing(&search(&secrets, &logs, directory).await?)
    }
}

/// The last run's history with its payloads in clear; none where nothing was started.
async fn history(info: &StackInfo) -> Result<Option<String>> {
    let Ok(text) = demo::temporal_history(info, NAME).await else { return Ok(None) };
    let mut clear = text.clone();
    payloads(&serde_json::from_str(&text)?, &mut clear);
    ensure!(clear.contains("planHash") || clear.contains("plan_hash"), "the history's payloads can't be read");
    Ok(Some(clear))
}

/// Appends what the payloads hold.
fn payloads(value: &Value, clear: &mut String) {
    match value {
        Value::Object(map) => {
            if map.contains_key("metadata") {
                clear.push('\n');
                clear.push_str(&String::from_utf8_lossy(&demo::payload(value)));
            }
            map.values().for_each(|value| payloads(value, clear));
        }
        Value::Array(list) => list.iter().for_each(|value| payloads(value, clear)),
        _ => {}
    }
}

fn nothing(hits: &str) -> Result<()> {
    ensure!(hits.is_empty(), "secrets were found:\n{hits}");
    Ok(())
}

/// The statements of all sessions but the harness's, which plants rows, and the workload's, which is the application.
async fn look_at_sessions(info: StackInfo, mut stopped: watch::Receiver<bool>) -> Result<BTreeSet<String>> {
    let sides = [
        connect::as_superuser(&info.source, "postgres").await?,
        connect::as_superuser(&info.target, "postgres").await?,
    ];
    let sessions = "select query from pg_catalog.pg_stat_activity
        where query is not null and application_name not in ($1, 'changeover-workload')";
    let mut seen = BTreeSet::new();
    while !*stopped.borrow() {
        for side in &sides {
            seen.extend(side.query(sessions, &[&connect::HARNESS]).await?.iter().map(|row| row.get::<_, String>(0)));
        }
        let _stopped = tokio::time::timeout(Duration::from_millis(100), stopped.changed()).await;
    }
    Ok(seen)
}

/// How often a new process is read: it gets its own arguments a moment after its start.
const LOOKS: u32 = 3;

/// The arguments of every process that lives for some milliseconds.
fn look_at_processes(stopped: &watch::Receiver<bool>) -> BTreeSet<String> {
    let mut known: BTreeMap<OsString, u32> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    while !*stopped.borrow() {
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let now: BTreeSet<OsString> = processes
            .map(|entry| entry.file_name())
            .filter(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
            .collect();
        known.retain(|name, _| now.contains(name));
        for name in now {
            let looks = known.entry(name.clone()).or_default();
            if *looks < LOOKS {
                *looks += 1;
                let line = std::fs::read(Path::new("/proc").join(&name).join("cmdline")).unwrap_or_default();
                seen.insert(String::from_utf8_lossy(&line).replace('\0', " "));
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    seen
}

fn passwords(info: &StackInfo) -> Vec<String> {
    let mut all: Vec<String> = application_roles().iter().map(|role| sample::password(role)).collect();
    for passwords in [&info.source_passwords, &info.target_passwords] {
        all.extend([passwords.master.clone(), passwords.replication.clone()]);
    }
    all.push(info.pooler.admin_password.clone());
    // What a password can be tried against.
    all.push("SCRAM-SHA-256$".to_owned());
    all
}

fn write_all(path: &Path, lines: &BTreeSet<String>) -> Result<()> {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    std::fs::write(path, lines.join("\n")).with_context(|| format!("writing {}", path.display()))
}

fn files(directory: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let fits = endings.iter().any(|ending| name == *ending || name.ends_with(&format!(".{ending}")));
        if path.is_file() && fits {
            found.push(path);
        }
    }
    Ok(found)
}

/// Where these are found, as `file:what`; each once.
async fn search(needles: &[&str], files: &[PathBuf], directory: &Path) -> Result<String> {
    let list = directory.join("needles");
    std::fs::write(&list, needles.join("\n"))?;
    let mut grep = Command::new("grep");
    // Bytes, whatever the locale: Temporal's database is binary.
    grep.env("LC_ALL", "C").args(["-a", "-o", "-F", "-H", "-f"]).arg(&list).args(files);
    let output = tokio::time::timeout(Duration::from_secs(60), grep.kill_on_drop(true).output()).await??;
    std::fs::remove_file(&list)?;
    match output.status.code() {
        Some(0 | 1) => {
            let hits: BTreeSet<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
            Ok(hits.into_iter().collect::<Vec<_>>().join("\n"))
        }
        _ => bail!("grep failed: {}", String::from_utf8_lossy(&output.stderr)),
    }
}
