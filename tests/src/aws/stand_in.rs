//! The stand-in's process.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::stack::{Side, files, process};

const START_DEADLINE: Duration = Duration::from_secs(90);
const CONTROL_DEADLINE: Duration = Duration::from_secs(30);

/// An account of the stand-in, and its administrator's keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Keys {
    /// Twelve digits.
    pub id: String,
    /// The administrator's key.
    pub access_key_id: String,
    /// And its secret.
    pub secret_access_key: String,
}

/// A stand-in that runs. Its end is the business of the guard of the stack that it belongs to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StandIn {
    /// The URL of all services.
    pub endpoint: String,
    /// The source's account, then the target's.
    pub accounts: Vec<Keys>,
    /// What stands for Amazon's CA bundle.
    pub ca_bundle: PathBuf,
    /// Where its log, its keys as a file of profiles and its state are.
    #[serde(default)]
    pub directory: PathBuf,
}

impl StandIn {
    /// Starts one in `directory`, with this password for the replication login of every instance; a status shows for `pace` seconds at
    /// least.
    pub async fn start(directory: &Path, replication_password: &str, pace: f64) -> Result<Self> {
        files::make_directory(directory, 0o755)?;
        files::write_private(&directory.join("replication-password"), replication_password)?;
        let ready = directory.join("ready.json");
        let mut child = spawn(directory, &ready, pace)?;
        let pid = child.id();
        std::fs::write(directory.join("pid"), pid.to_string()).context("writing the local AWS's pid file")?;
        // Reaped in a thread of its own, so that no zombie stays when it is killed.
        std::thread::spawn(move || child.wait());
        process::wait_until("the local AWS is up", START_DEADLINE, async || ready.exists() || !process::is_alive(pid))
            .await?;
        ensure!(ready.exists(), "the local AWS ended at once; the end of its log: {}", tail(directory));
        let text = std::fs::read_to_string(&ready).context("reading what the local AWS says of itself")?;
        let mut stand_in: Self = serde_json::from_str(&text).context("parsing what the local AWS says of itself")?;
        directory.clone_into(&mut stand_in.directory);
        stand_in.write_profiles()?;
        Ok(stand_in)
    }

    /// The account of a side.
    pub fn account(&self, side: Side) -> &Keys {
        &self.accounts[place(side)]
    }

    /// A file of credentials with the profiles `source` and `target`.
    pub fn credentials_file(&self) -> PathBuf {
        self.directory.join("credentials")
    }

    fn write_profiles(&self) -> Result<()> {
        let profile = |side: Side| {
            let Keys { access_key_id, secret_access_key, .. } = self.account(side);
            let name = side.name();
            format!("[{name}]\naws_access_key_id = {access_key_id}\naws_secret_access_key = {secret_access_key}\n")
        };
        files::write_private(&self.credentials_file(), &(profile(Side::Source) + &profile(Side::Target)))
    }

    /// One of the stand-in's own URLs (`/_stand-in/…`): with a body it is a POST.
    pub async fn control(&self, url: &str, body: Option<&Value>) -> Result<Value> {
        let asked = format!("/_stand-in/{url}");
        let answer = tokio::time::timeout(CONTROL_DEADLINE, self.exchange(&asked, body))
            .await
            .with_context(|| format!("{asked} has no answer after {CONTROL_DEADLINE:?}"))?
            .with_context(|| format!("asking {asked}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
        ensure!(head.lines().next().is_some_and(|first| first.contains(" 200")), "{asked}: {answer}");
        serde_json::from_str(body).with_context(|| format!("parsing the answer of {asked}"))
    }

    async fn exchange(&self, url: &str, body: Option<&Value>) -> Result<String> {
        let address = self.endpoint.trim_start_matches("http://");
        let method = if body.is_some() { "POST" } else { "GET" };
        let body = body.map_or_else(String::new, Value::to_string);
        let length = body.len();
        let request = format!(
            "{method} {url} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

/// The place of a side's account.
pub(super) fn place(side: Side) -> usize {
    usize::from(side == Side::Target)
}

fn spawn(directory: &Path, ready: &Path, pace: f64) -> Result<std::process::Child> {
    let log = File::create(directory.join("log")).context("creating the local AWS's log")?;
    let mut command = Command::new(python()?);
    command.args(["-m", "standin", "--port", "0", "--pace", &pace.to_string()]);
    command.arg("--ready-file").arg(ready).arg("--state").arg(directory.join("s"));
    command.arg("--replication-password-file").arg(directory.join("replication-password"));
    command.current_dir(home()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // Out of the terminal's foreground group: Ctrl-C is for the harness, which stops the parts in order.
    command.process_group(0).spawn().context("starting the local AWS")
}

fn tail(directory: &Path) -> String {
    crate::stack::cluster::tail(&directory.join("log"))
}

/// `dev/aws` of the sources that this was built from.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev/aws")
}

/// The interpreter that has the stand-in's packages.
pub(super) fn python() -> Result<PathBuf> {
    let cache = std::env::var_os("CHANGEOVER_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/changeover")));
    let python = cache.context("neither CHANGEOVER_CACHE nor HOME is set")?.join("aws-venv/bin/python");
    if !python.exists() {
        bail!("the local AWS isn't installed: run dev/setup.sh packages aws");
    }
    Ok(python)
}
