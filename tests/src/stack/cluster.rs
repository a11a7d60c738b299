//! One PostgreSQL cluster of the stack: fresh data directory, TLS only, RDS's roles.

use super::process::{self, ServerUser};
use super::{StackOptions, files, programs, rds, tls::Authority};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Debian's place for the programs of PostgreSQL 15; clients of all servers are these.
pub const PG_BIN: &str = "/usr/lib/postgresql/15/bin";
/// The major that has pglogical here.
pub const MAJOR: u32 = 15;
const START_DEADLINE: Duration = Duration::from_secs(90);

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Where the data is at the start.
    Source,
    /// Where it shall be.
    Target,
}

impl Side {
    /// `source` or `target`: the directory's name, and the first word of messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

/// How `pg_ctl stop` treats connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Connections are cut, transactions rolled back, a checkpoint written.
    Fast,
    /// As a crash: recovery at the next start.
    Immediate,
}

/// A cluster's place and addresses. Serialisable: a part of `stack.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cluster {
    /// Which of the two.
    pub side: Side,
    /// `<stack>/source` or `<stack>/target`.
    pub directory: PathBuf,
    /// The name or address by which others reach it; the server's certificate carries it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// PostgreSQL's major version.
    #[serde(default = "default_major")]
    pub major: u32,
}

fn default_major() -> u32 {
    MAJOR
}

impl Cluster {
    /// The server's programs.
    pub fn bin(&self) -> Result<PathBuf> {
        let copied = self.directory.join(programs::COPY).join("bin");
        if copied.exists() { Ok(copied) } else { programs::find(self.major) }
    }

    fn command(&self, user: ServerUser, program: &str) -> Result<tokio::process::Command> {
        Ok(user.command(&self.bin()?.join(program).display().to_string()))
    }

    /// PGDATA.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The directory of the unix socket, for the bootstrap superuser `rdsadmin` alone.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("run")
    }

    /// The server's log; of a stack's own servers with `log_statement = all`.
    pub fn log(&self) -> PathBuf {
        let log = self.directory.join("log");
        // An instance of the local AWS has a directory of logs.
        if log.is_dir() { log.join("postgresql.log") } else { log }
    }

    /// Makes the data directory, with the roles in it that RDS has, unless that is done already, and starts the server.
    pub(super) async fn create(
        &self,
        user: ServerUser,
        options: &StackOptions,
        passwords: &rds::Passwords,
    ) -> Result<()> {
        let done = self.directory.join("created");
        if done.exists() {
            return self.start(user).await;
        }
        if self.data().exists() {
            // A creation that was cut off.
            self.stop(user, StopMode::Immediate).await?;
            std::fs::remove_dir_all(self.data()).context("removing a half-made data directory")?;
        }
        if let Some(megabytes) = options.disk_mb {
            self.mount_disk(user, megabytes).await?;
        }
        let mut initdb = self.command(user, "initdb")?;
        initdb.arg("-D").arg(self.data()).args([
            "--username=rdsadmin",
            "--auth=trust",
            "--data-checksums",
            // Nobody pulls the plug of the machine in between.
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]);
        process::run(initdb, Duration::from_secs(120)).await?;
        self.configure(options)?;
        user.own(&self.directory).await?;
        self.start(user).await?;
        rds::apply(self, passwords).await.with_context(|| format!("{}: RDS's roles", self.side.name()))?;
        self.create_databases(options).await?;
        std::fs::write(done, "").context("noting that the cluster is made")
    }

    /// A file system that holds the data directory alone. The take-down of the stack unmounts it.
    async fn mount_disk(&self, user: ServerUser, megabytes: u32) -> Result<()> {
        let data = self.data();
        files::make_directory(&data, 0o700)?;
        let mut mount = tokio::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=0700"), "changeover"]).arg(&data);
        process::run(mount, Duration::from_secs(20)).await.context("a disk of its own wants root, who may mount")?;
        user.own(&data).await
    }

    async fn create_databases(&self, options: &StackOptions) -> Result<()> {
        for database in &options.databases {
            match self.side {
                Side::Target => rds::create_database(self, database, rds::MASTER).await?,
                Side::Source if options.create_source_databases => {
                    let owner = super::sample_login(&format!("{database}_owner"));
                    rds::create_login(self, &owner.name, &owner.password).await?;
                    rds::create_database(self, database, &owner.name).await?;
                }
                Side::Source => {}
            }
        }
        Ok(())
    }

    /// Makes the directories and the server's certificate.
    pub(super) async fn lay_out(&self, authority: &Authority, user: ServerUser) -> Result<()> {
        let socket_path = self.socket().join(format!(".s.PGSQL.{}", self.port));
        // sun_path holds 107 bytes.
        if socket_path.as_os_str().len() > 107 {
            bail!("{} is too long for a unix socket: choose a shorter directory", socket_path.display());
        }
        files::make_directory(&self.directory, 0o755)?;
        files::make_directory(&self.socket(), 0o700)?;
        authority.issue(self.side.name(), &self.host, &self.directory)?;
        programs::bring_near(&self.bin()?, user, &self.directory).await?;
        user.own(&self.directory).await
    }

    fn configure(&self, options: &StackOptions) -> Result<()> {
        let data = self.data();
        let path = data.join("postgresql.conf");
        let mut text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        text.push_str(&self.settings(options)?);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        let from = if options.listen_everywhere { "all" } else { "127.0.0.1/32" };
        let more = &options.hba;
        std::fs::write(data.join("pg_hba.conf"), format!("{more}{HBA}hostssl   all all      {from}  scram-sha-256\n"))
            .context("writing pg_hba.conf")
    }

    fn settings(&self, options: &StackOptions) -> Result<String> {
        let directory = self.directory.display();
        let mut text = format!("\n# what this stack sets\nport = {}\n", self.port);
        writeln!(text, "unix_socket_directories = '{directory}/run'")?;
        writeln!(text, "ssl_cert_file = '{directory}/server.crt'")?;
        writeln!(text, "ssl_key_file = '{directory}/server.key'")?;
        writeln!(text, "shared_buffers = '{}MB'", options.shared_buffers_mb)?;
        writeln!(text, "log_statement = '{}'", options.log_statement)?;
        writeln!(text, "listen_addresses = '{}'", if options.listen_everywhere { "*" } else { "127.0.0.1" })?;
        text.push_str(SETTINGS);
        if self.major == MAJOR {
            text.push_str(PGLOGICAL);
            if server_knows(&self.bin()?, "output_plugin_libraries")? {
                text.push_str("output_plugin_libraries = 'pgoutput, test_decoding, pglogical_output'\n");
            }
        }
        for (name, value) in &options.settings {
            writeln!(text, "{name} = '{}'", value.replace('\'', "''"))?;
        }
        Ok(text)
    }

    /// Starts the server and returns when it accepts connections. Nothing happens if it runs.
    pub async fn start(&self, user: ServerUser) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let mut command = self.command(user, "pg_ctl")?;
        command.arg("-D").arg(self.data()).arg("-l").arg(self.log()).args(["-w", "-t", "80", "start"]);
        process::run_silent(command, START_DEADLINE).await.with_context(|| {
            format!("{}: the server didn't start; the end of its log: {}", self.side.name(), tail(&self.log()))
        })
    }

    /// Stops the server. Nothing happens if it doesn't run.
    pub async fn stop(&self, user: ServerUser, mode: StopMode) -> Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        let mode = match mode {
            StopMode::Fast => "fast",
            StopMode::Immediate => "immediate",
        };
        let mut command = self.command(user, "pg_ctl")?;
        command.arg("-D").arg(self.data()).args(["-m", mode, "-w", "-t", "60", "stop"]);
        process::run_silent(command, START_DEADLINE).await.with_context(|| format!("stopping the {}", self.side.name()))
    }

    /// SIGKILL to the postmaster, then waits until its children are gone too, so that a start may follow.
    pub async fn kill(&self) -> Result<()> {
        let pid = self.postmaster_pid().with_context(|| format!("the {} doesn't run", self.side.name()))?;
        let children = children_of(pid);
        process::signal(pid, "KILL").await?;
        let what = format!("all processes of the {} are gone after SIGKILL", self.side.name());
        process::wait_until(&what, Duration::from_secs(30), async || {
            // Reaped, not only dead: PostgreSQL takes a zombie that its pid file names for a running postmaster.
            !process::exists(pid) && !children.iter().any(|child| process::is_alive(*child))
        })
        .await
    }

    /// Whether the postmaster that the pid file names is alive, in this data directory.
    pub fn is_running(&self) -> bool {
        self.postmaster_pid().is_some()
    }

    /// The postmaster's process id, if it runs.
    pub fn postmaster_pid(&self) -> Option<u32> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let pid = file.lines().next()?.trim().parse().ok()?;
        let works_here = std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == self.data());
        (process::is_alive(pid) && works_here).then_some(pid)
    }
}

/// The superuser comes in by the socket, whose directory only its owner may enter; everybody else by TLS and SCRAM.
const HBA: &str = "\
local     all rdsadmin               trust
local     all all                    reject
hostnossl all all      all           reject
hostssl   all rdsadmin all           reject
";

const SETTINGS: &str = "\
unix_socket_permissions = 0700
ssl = on
password_encryption = 'scram-sha-256'
wal_level = logical
track_commit_timestamp = on
max_worker_processes = 20
max_replication_slots = 20
max_wal_senders = 20
max_connections = 150
wal_retrieve_retry_interval = 100ms
fsync = on
timezone = 'UTC'
# The audit reads the log; the values of parameters, which may be secrets and rows, stay out of it.
log_line_prefix = '%m [%p] %b user=%u db=%d app=%a '
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
# DETAIL holds rows, and pglogical puts connection strings with their passwords there
log_error_verbosity = terse
";

const PGLOGICAL: &str = "\
shared_preload_libraries = 'pglogical'
pglogical.conflict_resolution = 'last_update_wins'
";

/// Whether this build of the server has the setting. Asking the binary's text needs no running server.
fn server_knows(bin: &Path, setting: &str) -> Result<bool> {
    let binary = std::fs::read(bin.join("postgres")).context("PostgreSQL 15 isn't installed: run dev/setup.sh")?;
    Ok(binary.windows(setting.len()).any(|window| window == setting.as_bytes()))
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(8).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

fn children_of(parent: u32) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let parent_of = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
            parent_of == Some(parent)
        })
        .collect()
}
