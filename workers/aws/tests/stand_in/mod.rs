//! A stand-in for AWS of a test's own, with two accounts, their roles, and an unencrypted instance `orders` in the first.

// Each test uses a part of it.
#![allow(dead_code)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use changeover_aws::{Access, Session, instance};
use changeover_domain::{
    Class, Failure, MigrationId, Side,
    aws::{
        parameters::{Engine, Sizing},
        status::Progress,
    },
};
use serde_json::{Value, json};

pub const REGION: &str = "eu-central-1";
const EXTERNAL_ID: &str = "ext-4711";

pub struct StandIn {
    process: Child,
    directory: tempfile::TempDir,
    facts: Value,
    pub setup: Value,
}

impl StandIn {
    pub fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("aws-").tempdir_in("/tmp").unwrap();
        open_for_servers(directory.path());
        let ready = directory.path().join("ready.json");
        let output = fs::File::create(directory.path().join("output")).unwrap();
        let mut process = Command::new(python())
            .args(["-m", "standin", "--port", "0", "--pace", "0.1", "--ready-file"])
            .arg(&ready)
            .arg("--state")
            .arg(directory.path().join("state"))
            .current_dir(home())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !ready.exists() {
            assert!(process.try_wait().unwrap().is_none(), "the stand-in has ended");
            assert!(began.elapsed() < Duration::from_secs(90), "the stand-in isn't up");
            std::thread::sleep(Duration::from_millis(50));
        }
        let facts = serde_json::from_slice(&fs::read(&ready).unwrap()).unwrap();
        let mut stand_in = Self { process, directory, facts, setup: Value::Null };
        stand_in.setup = stand_in.set_up(&ready);
        stand_in.write_credentials();
        stand_in
    }

    fn set_up(&self, ready: &Path) -> Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../aws/tests/stand_in/setup.py");
        let done = Command::new(python())
            .arg(script)
            .args([self.endpoint(), REGION])
            .arg(ready)
            .arg(EXTERNAL_ID)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap()
    }

    fn write_credentials(&self) {
        let mut text = String::new();
        for (at, side) in [Side::Source, Side::Target].into_iter().enumerate() {
            let account = &self.facts["accounts"][at];
            text += &format!(
                "[{side}]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
                account["access_key_id"].as_str().unwrap(),
                account["secret_access_key"].as_str().unwrap()
            );
        }
        fs::write(self.directory.path().join("credentials"), text).unwrap();
    }

    pub fn endpoint(&self) -> &str {
        self.facts["endpoint"].as_str().unwrap()
    }

    pub fn account(&self, side: Side) -> String {
        self.facts["accounts"][place(side)]["id"].as_str().unwrap().to_owned()
    }

    pub fn role(&self, side: Side) -> String {
        self.setup["roles"][place(side)].as_str().unwrap().to_owned()
    }

    pub fn access(&self, side: Side) -> Access {
        Access {
            side,
            region: REGION.into(),
            account: self.account(side),
            profile: Some(side.to_string()),
            credentials_file: Some(self.directory.path().join("credentials")),
            role_arn: Some(self.role(side)),
            external_id: Some(EXTERNAL_ID.into()),
            endpoint: Some(self.endpoint().to_owned()),
        }
    }

    pub async fn session(&self, side: Side, migration: &str) -> Result<Session, Failure> {
        self.session_of_run(side, migration, "1").await
    }

    pub async fn session_of_run(&self, side: Side, migration: &str, run: &str) -> Result<Session, Failure> {
        Session::open(&self.access(side), &MigrationId::parse(migration).unwrap(), run).await
    }

    pub async fn session_to_undo(&self, side: Side, migration: &str) -> Result<Session, Failure> {
        Session::open_to_undo(&self.access(side), &MigrationId::parse(migration).unwrap(), "1").await
    }

    /// A call that somebody else makes in a side's account: `method` of boto3's client for `service`.
    pub fn somebody(&self, side: Side, service: &str, method: &str, fields: Value) -> Value {
        let account = &self.facts["accounts"][place(side)];
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../aws/tests/stand_in/somebody.py");
        let done = Command::new(python())
            .arg(script)
            .args([self.endpoint(), REGION, service, method, &fields.to_string()])
            .env("AWS_ACCESS_KEY_ID", account["access_key_id"].as_str().unwrap())
            .env("AWS_SECRET_ACCESS_KEY", account["secret_access_key"].as_str().unwrap())
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap()
    }

    pub fn fault(&self, fault: Value) {
        self.control("faults", Some(fault));
    }

    pub fn policy(&self, principal: &str, policy: &Value) {
        self.control("policy", Some(json!({ "principal": principal, "policy": policy })));
    }

    /// The log of calls: (service, action, code).
    pub fn calls(&self) -> Vec<Value> {
        self.control("calls?since=0", None).as_array().unwrap().clone()
    }

    pub fn control(&self, url: &str, body: Option<Value>) -> Value {
        let address = self.endpoint().trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        let body = body.map(|body| body.to_string());
        let method = if body.is_some() { "POST" } else { "GET" };
        let body = body.unwrap_or_default();
        let head = format!(
            "{method} /_stand-in/{url} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.lines().next().unwrap().contains(" 200"), "{url}: {answer}");
        serde_json::from_str(body).unwrap_or(Value::Null)
    }
}

/// Asks again until there is an answer, as a durable timer does.
pub async fn until<T>(
    patience: Duration,
    pause: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> T {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(Some(answer)) => return answer,
            Err(failure) if failure.class != Class::Transient => panic!("{what}: {failure}"),
            _ => {}
        }
        assert!(began.elapsed() < patience, "waited in vain: {what}");
        tokio::time::sleep(pause).await;
    }
}

/// Until an instance is as far as that.
pub async fn becomes(session: &Session, identifier: &str, wanted: Progress) {
    for _ in 0..600 {
        if instance::observe(session, identifier).await.unwrap() == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{identifier} never became {wanted:?}");
}

/// What the parameters are made of, for so many databases of the instance.
pub fn sizing(databases: u32) -> Sizing {
    Sizing {
        databases,
        slots_used: 0,
        senders_used: 0,
        engine: Engine::Native,
        major: 15,
        storage_gib: 20,
        retained_mb: 0,
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let output = fs::read_to_string(self.directory.path().join("output")).unwrap_or_default();
            let end: Vec<&str> = output.lines().rev().take(30).collect();
            eprintln!("the stand-in's last words:\n{}", end.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.process.wait();
    }
}

/// The servers run as another user where the tests run as root.
fn open_for_servers(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
}

fn place(side: Side) -> usize {
    usize::from(side == Side::Target)
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dev/aws")
}

fn python() -> PathBuf {
    let cache = std::env::var_os("CHANGEOVER_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/changeover"))).unwrap();
    let python = cache.join("aws-venv/bin/python");
    assert!(python.exists(), "the local AWS isn't installed: run dev/setup.sh aws");
    python
}
