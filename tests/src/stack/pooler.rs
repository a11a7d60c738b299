//! PgBouncer in transaction mode, TLS on both sides. Its `[databases]` section stands in a file of its own, so that a switch
//! replaces that file and says RELOAD.

use super::cluster::Cluster;
use super::process::{self, ServerUser};
use super::{StackOptions, files, tls::Authority};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The administrator of PgBouncer's console.
pub const ADMIN: &str = "pgbouncer_admin";

/// A login that the pooler lets through.
#[derive(Clone, Serialize, Deserialize)]
pub struct PoolerLogin {
    /// The role's name.
    pub name: String,
    /// Its password, used towards clients and towards servers.
    pub password: String,
}

/// The pooler's place and addresses. Serialisable: a part of `stack.json`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pooler {
    /// `<stack>/pooler`.
    pub directory: PathBuf,
    /// The name or address by which others reach it; its certificate carries it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Of [`ADMIN`].
    pub admin_password: String,
}

impl Pooler {
    /// The file with the `[databases]` section: what a switch replaces.
    pub fn databases_file(&self) -> PathBuf {
        self.directory.join("databases.ini")
    }

    /// PgBouncer's log.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Writes the certificate and the configuration, with every database routed to `route`.
    pub(super) async fn lay_out(
        &self,
        authority: &Authority,
        user: ServerUser,
        ca: &Path,
        route: &Cluster,
        options: &StackOptions,
    ) -> Result<()> {
        files::make_directory(&self.directory, 0o755)?;
        authority.issue("pooler", &self.host, &self.directory)?;
        let configuration = self.configuration(ca, options.listen_everywhere)?;
        files::write_private(&self.directory.join("pgbouncer.ini"), &configuration)?;
        self.write_logins(&options.pooler_logins)?;
        user.own(&self.directory).await?;
        // After the change of owner: this one file stays ours, because the product, which runs as we do, replaces it.
        files::replace(&self.databases_file(), &databases_section(&options.databases, route)?)
    }

    fn configuration(&self, ca: &Path, listen_everywhere: bool) -> Result<String> {
        let directory = self.directory.display();
        let mut text = String::from("[pgbouncer]\n");
        writeln!(text, "listen_port = {}", self.port)?;
        writeln!(text, "logfile = {directory}/log\npidfile = {directory}/pid\nauth_file = {directory}/users.txt")?;
        writeln!(text, "client_tls_cert_file = {directory}/server.crt\nclient_tls_key_file = {directory}/server.key")?;
        // Both ways: without a list of its own the pooler reads the system's at each RELOAD, 25 ms in which nobody is served.
        writeln!(text, "server_tls_ca_file = {0}\nclient_tls_ca_file = {0}", ca.display())?;
        writeln!(text, "listen_addr = {}", if listen_everywhere { "*" } else { "127.0.0.1" })?;
        text.push_str(SETTINGS);
        writeln!(text, "%include {directory}/databases.ini")?;
        Ok(text)
    }

    fn write_logins(&self, logins: &[PoolerLogin]) -> Result<()> {
        let mut text = format!("{} {}\n", quoted(ADMIN), quoted(&self.admin_password));
        for login in logins {
            writeln!(text, "{} {}", quoted(&login.name), quoted(&login.password))?;
        }
        files::write_private(&self.directory.join("users.txt"), &text)
    }

    /// Replaces the list of logins; the pooler reads it again at the next RELOAD or start.
    pub async fn set_logins(&self, user: ServerUser, logins: &[PoolerLogin]) -> Result<()> {
        self.write_logins(logins)?;
        user.own(&self.directory.join("users.txt")).await?;
        match self.pid() {
            Some(pid) => process::signal(pid, "HUP").await,
            None => Ok(()),
        }
    }

    /// Starts the pooler and returns when it listens. Nothing happens if it runs.
    pub async fn start(&self, user: ServerUser) -> Result<()> {
        if self.pid().is_some() {
            return Ok(());
        }
        // Left by a kill; PgBouncer refuses to start over it.
        match std::fs::remove_file(self.directory.join("pid")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context("removing the pid file");
            }
            _ => {}
        }
        let mut command = user.command("/usr/sbin/pgbouncer");
        command.arg("-q").arg("-d").arg(self.directory.join("pgbouncer.ini"));
        process::run_silent(command, Duration::from_secs(20)).await.context("starting PgBouncer")?;
        process::wait_until("PgBouncer listens", Duration::from_secs(20), async || {
            self.pid().is_some() && tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
        })
        .await
        .with_context(|| format!("the end of its log: {}", super::cluster::tail(&self.log())))
    }

    /// SIGKILL: clients are cut.
    pub async fn kill(&self) -> Result<()> {
        let Some(pid) = self.pid() else { bail!("PgBouncer doesn't run") };
        process::signal(pid, "KILL").await?;
        process::wait_until("PgBouncer is gone after SIGKILL", Duration::from_secs(10), async || {
            !process::is_alive(pid)
        })
        .await
    }

    /// The process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        let pid = std::fs::read_to_string(self.directory.join("pid")).ok()?.trim().parse().ok()?;
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.trim() == "pgbouncer" && process::is_alive(pid)).then_some(pid)
    }
}

/// The `[databases]` section with every database on this cluster.
pub fn databases_section(databases: &[String], cluster: &Cluster) -> Result<String> {
    let mut text = String::from("[databases]\n");
    for database in databases {
        writeln!(text, "{database} = host={} port={} dbname={database}", cluster.host, cluster.port)?;
    }
    Ok(text)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// `server_login_retry`: after a failed login the next attempt follows at once, not after 15 s; a switch cuts logins.
const SETTINGS: &str = "\
unix_socket_dir =
auth_type = scram-sha-256
admin_users = pgbouncer_admin
pool_mode = transaction
max_client_conn = 500
default_pool_size = 20
min_pool_size = 2
server_login_retry = 0.05
server_connect_timeout = 5
ignore_startup_parameters = extra_float_digits
client_tls_sslmode = require
client_tls_dheparams = none
server_tls_sslmode = verify-full
";
