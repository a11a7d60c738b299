//! Temporal's development server for one test.

use std::{
    process::{Child, Command, Stdio},
    str::FromStr,
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

use changeover_tests::stack::Ports;
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions};

/// All tests of a process ask here: two that were given the same port would share a server, and lose it with the first one's end.
static PORTS: LazyLock<Mutex<Ports>> = LazyLock::new(Mutex::default);

/// A server may find a port taken after all, one of its own included.
const STARTS: usize = 5;
const DEADLINE: Duration = Duration::from_secs(60);

/// Temporal's development server; dropping it kills it.
pub struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn temporal_binary() -> String {
    let cache = std::env::var("CHANGEOVER_CACHE")
        .unwrap_or_else(|_| format!("{}/.cache/changeover", std::env::var("HOME").unwrap_or_default()));
    let cached = format!("{cache}/bin/temporal");
    if std::path::Path::new(&cached).exists() { cached } else { "temporal".to_owned() }
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With settings of its own, as `key=JSON`.
    pub async fn start_with(settings: &[&str]) -> Self {
        for _ in 0..STARTS {
            let mut server = Self::spawn(settings);
            if server.answers().await {
                return server;
            }
        }
        panic!("Temporal's development server ended {STARTS} times while it started");
    }

    fn spawn(settings: &[&str]) -> Self {
        let port = PORTS.lock().unwrap().take(None).unwrap();
        let settings = settings.iter().flat_map(|setting| ["--dynamic-config-value", setting]);
        let child = Command::new(temporal_binary())
            .args(["server", "start-dev", "--headless", "--log-level", "error", "--port", &port.to_string()])
            .args(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the `temporal` command line is there (`make setup` installs it)");
        Self { child, port }
    }

    /// Waits until it does; false when it has ended.
    async fn answers(&mut self) -> bool {
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if self.try_client().await.is_some() {
                return true;
            }
            assert!(begun.elapsed() < DEADLINE, "waited {DEADLINE:?} for Temporal's development server");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    async fn try_client(&self) -> Option<Client> {
        let url = url::Url::from_str(&format!("http://127.0.0.1:{}", self.port)).unwrap();
        let connection = Connection::connect(ConnectionOptions::new(url).build()).await.ok()?;
        let client = Client::new(connection, ClientOptions::new("default").build()).ok()?;
        client.list_workflows("", Default::default());
        Some(client)
    }

    pub async fn client(&self) -> Client {
        self.try_client().await.expect("Temporal's server answers")
    }
}
