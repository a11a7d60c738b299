//! Temporal's development server, for those who have configured no other: found, or started and left running.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use crate::{connect::Missing, problem::Problem, ui::Ui};

const PORT: u16 = 7233;
const START_DEADLINE: Duration = Duration::from_secs(60);

/// What is kept about a server that was started from here.
#[derive(Debug, Serialize, Deserialize)]
struct Started {
    address: SocketAddr,
    ui: Option<SocketAddr>,
    pid: u32,
}

/// The address of a server that answers.
pub(crate) async fn find_or_start(ui: &Ui, missing: Missing) -> Result<String, Problem> {
    let directory = directory()?;
    if let Some(address) = find(&directory).await {
        return Ok(address.to_string());
    }
    if missing == Missing::Refuse {
        let message = "no Temporal is configured, and no development server runs";
        let remedy = "set TEMPORAL_ADDRESS, or let `changeover worker` start a development server";
        return Err(Problem::new("CO0901", message, remedy));
    }
    start(ui, &directory).await.map(|address| address.to_string())
}

/// `$XDG_STATE_HOME/changeover`.
fn directory() -> Result<PathBuf, Problem> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|s| !s.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state"));
    state.or_else(home).map(|s| s.join("changeover")).ok_or_else(|| {
        Problem::new(
            "CO0902",
            "neither XDG_STATE_HOME nor HOME says where to keep the development server's data",
            "set one of them, or TEMPORAL_ADDRESS",
        )
    })
}

async fn find(directory: &Path) -> Option<SocketAddr> {
    let started = read(directory).map(|s| s.address);
    for address in started.into_iter().chain([SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))]) {
        if answers(address).await {
            return Some(address);
        }
    }
    None
}

fn read(directory: &Path) -> Option<Started> {
    serde_json::from_str(&fs::read_to_string(directory.join("dev-server.json")).ok()?).ok()
}

async fn answers(address: SocketAddr) -> bool {
    matches!(tokio::time::timeout(Duration::from_secs(2), TcpStream::connect(address)).await, Ok(Ok(_)))
}

async fn start(ui: &Ui, directory: &Path) -> Result<SocketAddr, Problem> {
    let broken = |what: &str, error: std::io::Error| {
        let message = format!("the development server can't be started: {what}: {error}");
        Problem::new("CO0902", message, "mend the cause, or set TEMPORAL_ADDRESS to a Temporal that runs")
    };
    let program = program()?;
    fs::create_dir_all(directory).map_err(|e| broken("making its directory", e))?;
    // Two commands at once start one server: the second waits here, and finds it.
    let lock = File::create(directory.join("dev-server.lock")).map_err(|e| broken("making its lock", e))?;
    lock.lock().map_err(|e| broken("waiting for its lock", e))?;
    if let Some(address) = find(directory).await {
        return Ok(address);
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free(PORT).map_err(|e| broken("finding a port", e))?));
    let web = SocketAddr::from((Ipv4Addr::LOCALHOST, free(PORT + 1000).map_err(|e| broken("finding a port", e))?));
    ui.say(&format!(
        "starting Temporal's development server at {address} ({}); its data is in {}",
        program.display(),
        directory.display()
    ));
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join("temporal.log"))
        .map_err(|e| broken("opening its log", e))?;
    let mut child = Command::new(&program)
        .args(["server", "start-dev", "--ip", "127.0.0.1", "--ui-ip", "127.0.0.1", "--log-level", "warn"])
        .args(["--port", &address.port().to_string(), "--ui-port", &web.port().to_string()])
        .arg("--db-filename")
        .arg(directory.join("temporal.db"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(|e| broken("opening its log", e))?)
        .stderr(log)
        .current_dir("/")
        // Its own group: Ctrl-C at this terminal isn't for it.
        .process_group(0)
        .spawn()
        .map_err(|e| broken("running the temporal CLI", e))?;
    let deadline = Instant::now() + START_DEADLINE;
    while !answers(address).await {
        if let Ok(Some(status)) = child.try_wait() {
            let message = format!(
                "the development server ended at once ({status}); see {}",
                directory.join("temporal.log").display()
            );
            return Err(Problem::new("CO0902", message, "mend what its log says, or set TEMPORAL_ADDRESS"));
        }
        if Instant::now() > deadline {
            let message = format!("the development server doesn't answer within {} s", START_DEADLINE.as_secs());
            return Err(Problem::new("CO0902", message, "see temporal.log beside its data, or set TEMPORAL_ADDRESS"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let started = Started { address, ui: Some(web), pid: child.id() };
    let text = serde_json::to_string_pretty(&started).unwrap_or_default();
    fs::write(directory.join("dev-server.json"), text).map_err(|e| broken("noting its address", e))?;
    ui.say(&format!(
        "Temporal's development server runs: http://{web} is its web page, `kill {}` ends it",
        started.pid
    ));
    Ok(address)
}

/// This port if it's free, else any.
fn free(wanted: u16) -> std::io::Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(listener.local_addr()?.port())
}

/// The `temporal` CLI: on PATH, or where the set-up puts it.
pub(crate) fn program() -> Result<PathBuf, Problem> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cache = std::env::var_os("CHANGEOVER_CACHE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/changeover"));
    let places = std::env::split_paths(&path).chain(cache.or(home).map(|c| c.join("bin")));
    places.map(|place| place.join("temporal")).find(|file| file.is_file()).ok_or_else(|| {
        let message =
            "no Temporal is configured, and the temporal CLI, which could start a development server, isn't found";
        Problem::new("CO0902", message, "set TEMPORAL_ADDRESS, or run dev/setup.sh, which fetches the CLI")
    })
}
