//! The local stack: two PostgreSQL clusters dressed as Amazon RDS, PgBouncer, and Temporal's development server, in one
//! directory with a certificate authority of its own. Nothing here is product code.
//!
//! Whatever ends the harness, a SIGKILL included, ends the servers: see [`guard`].

pub mod audit;
pub mod cluster;
pub mod connect;
mod files;
pub mod guard;
pub mod pooler;
mod ports;
pub mod process;
pub mod rds;
pub mod temporal;
mod tls;

pub use cluster::{Cluster, Side, StopMode};
pub use pooler::{Pooler, PoolerLogin};
pub use temporal::Temporal;

use anyhow::{Context, Result};
use guard::Guard;
use process::ServerUser;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a stack shall be like. The default suits tests: everything chosen freely, two databases, no web UI.
#[derive(Clone)]
pub struct StackOptions {
    /// Where it lives; a fresh directory below the one for temporary files if none is named.
    pub directory: Option<PathBuf>,
    /// Leave the directory (data, logs) behind after the stop.
    pub keep: bool,
    /// The databases that the pooler routes and the target has, empty, from the start. The sample's loader makes the source's.
    pub databases: Vec<String>,
    /// Also create the databases on the source, owned by a fresh login `<database>_owner` (password as for the sample's roles).
    pub create_source_databases: bool,
    /// Who may come through the pooler.
    pub pooler_logins: Vec<PoolerLogin>,
    /// Each cluster's `shared_buffers`, in MB.
    pub shared_buffers_mb: u32,
    /// Each cluster's `log_statement`: `all` for the audit, `none` where load matters more.
    pub log_statement: String,
    /// Further settings of both clusters, appended to postgresql.conf.
    pub settings: Vec<(String, String)>,
    /// The target's port, the source's, the pooler's: fixed ones, or any free one.
    pub ports: WantedPorts,
    /// Temporal's development server; `None` starts none.
    pub temporal: Option<TemporalOptions>,
}

/// Ports that have to be these ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct WantedPorts {
    /// PostgreSQL, source.
    pub source: Option<u16>,
    /// PostgreSQL, target.
    pub target: Option<u16>,
    /// PgBouncer.
    pub pooler: Option<u16>,
    /// Temporal's gRPC.
    pub temporal: Option<u16>,
    /// Temporal's web UI.
    pub temporal_ui: Option<u16>,
}

/// How Temporal's development server shall be.
#[derive(Debug, Clone, Default)]
pub struct TemporalOptions {
    /// With the web UI.
    pub ui: bool,
    /// Custom search attributes, as `Name=Type`.
    pub search_attributes: Vec<String>,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            directory: None,
            keep: false,
            databases: vec!["shop".to_owned(), "billing".to_owned()],
            create_source_databases: false,
            pooler_logins: SAMPLE_LOGINS.map(sample_login).to_vec(),
            shared_buffers_mb: 64,
            log_statement: "all".to_owned(),
            settings: Vec::new(),
            ports: WantedPorts::default(),
            temporal: Some(TemporalOptions::default()),
        }
    }
}

/// The sample instance's logins.
const SAMPLE_LOGINS: [&str; 8] =
    ["shop_owner", "billing_owner", "shop_app", "shop_report", "shop_lead", "shop_bot", "billing_app", "shop_support"];

/// A login of the sample instance, with the password that its script gives it: good for throw-away clusters only.
pub fn sample_login(name: &str) -> PoolerLogin {
    PoolerLogin { name: name.to_owned(), password: format!("sample-{name}") }
}

/// Everything one needs to know to use a running stack. `stack.json` holds it, readable for its owner only.
#[derive(Clone, Serialize, Deserialize)]
pub struct StackInfo {
    /// The stack's directory.
    pub directory: PathBuf,
    /// The certificate authority of all its servers, PEM.
    pub ca: PathBuf,
    /// Where the data is at the start.
    pub source: Cluster,
    /// Where it shall be.
    pub target: Cluster,
    /// The passwords of the source's `changeover` and `changeover_repl`.
    pub source_passwords: rds::Passwords,
    /// The passwords of the target's.
    pub target_passwords: rds::Passwords,
    /// PgBouncer.
    pub pooler: Pooler,
    /// Temporal's development server, if there is one.
    pub temporal: Option<Temporal>,
    /// The databases that the pooler routes.
    pub databases: Vec<String>,
}

impl StackInfo {
    /// Reads `stack.json`.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = directory.join("stack.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("parsing {}", path.display()))
    }

    fn save(&self) -> Result<()> {
        files::write_private(&self.directory.join("stack.json"), &serde_json::to_string_pretty(self)?)
    }

    /// One of the clusters.
    pub fn cluster(&self, side: Side) -> &Cluster {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// The passwords of one cluster's two logins.
    pub fn passwords(&self, side: Side) -> &rds::Passwords {
        match side {
            Side::Source => &self.source_passwords,
            Side::Target => &self.target_passwords,
        }
    }

    /// The environment that a spec for this stack refers to: addresses, the CA's file, passwords.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut variables = vec![
            ("CHANGEOVER_SOURCE_HOST".to_owned(), "127.0.0.1".to_owned()),
            ("CHANGEOVER_SOURCE_PORT".to_owned(), self.source.port.to_string()),
            ("CHANGEOVER_SOURCE_PASSWORD".to_owned(), self.source_passwords.master.clone()),
            ("CHANGEOVER_SOURCE_SOCKET".to_owned(), self.source.socket().display().to_string()),
            ("CHANGEOVER_TARGET_HOST".to_owned(), "127.0.0.1".to_owned()),
            ("CHANGEOVER_TARGET_PORT".to_owned(), self.target.port.to_string()),
            ("CHANGEOVER_TARGET_PASSWORD".to_owned(), self.target_passwords.master.clone()),
            ("CHANGEOVER_TARGET_SOCKET".to_owned(), self.target.socket().display().to_string()),
            ("CHANGEOVER_USER".to_owned(), rds::MASTER.to_owned()),
            ("CHANGEOVER_REPLICATION_USER".to_owned(), rds::REPLICATION.to_owned()),
            ("CHANGEOVER_REPLICATION_PASSWORD".to_owned(), self.source_passwords.replication.clone()),
            ("CHANGEOVER_CA".to_owned(), self.ca.display().to_string()),
            ("CHANGEOVER_POOLER_HOST".to_owned(), "127.0.0.1".to_owned()),
            ("CHANGEOVER_POOLER_PORT".to_owned(), self.pooler.port.to_string()),
            ("CHANGEOVER_POOLER_USER".to_owned(), pooler::ADMIN.to_owned()),
            ("CHANGEOVER_POOLER_PASSWORD".to_owned(), self.pooler.admin_password.clone()),
            ("CHANGEOVER_POOLER_DATABASES".to_owned(), self.pooler.databases_file().display().to_string()),
        ];
        if let Some(temporal) = &self.temporal {
            variables.push(("TEMPORAL_ADDRESS".to_owned(), temporal.address()));
            variables.push(("TEMPORAL_NAMESPACE".to_owned(), "default".to_owned()));
        }
        variables
    }
}

/// A running stack. Dropping it stops every server and, unless told to keep it, removes the directory.
pub struct Stack {
    info: StackInfo,
    user: ServerUser,
    // Last: dropped last.
    guard: Guard,
}

impl Stack {
    /// Starts everything; when it returns, every part accepts connections.
    pub async fn start(options: StackOptions) -> Result<Self> {
        let user = ServerUser::detect()?;
        let directory = make_stack_directory(options.directory.as_deref())?;
        user.check_reaches(&directory).await?;
        let info = plan(&options, directory)?;
        // Before the first server: the guard removes only a directory that holds this file.
        info.save()?;
        let guard = Guard::watch(&info.directory, options.keep)?;
        let authority = tls::Authority::new()?;
        std::fs::write(&info.ca, authority.pem()).context("writing the CA's certificate")?;
        files::set_mode(&info.ca, 0o644)?;

        let stack = Self { info, user, guard };
        let info = &stack.info;
        let (source, target, temporal) = tokio::join!(
            info.source.create(&authority, user, &options, &info.source_passwords),
            info.target.create(&authority, user, &options, &info.target_passwords),
            async {
                match &info.temporal {
                    Some(temporal) => temporal.start().await,
                    None => Ok(()),
                }
            },
        );
        source.context("creating the source")?;
        target.context("creating the target")?;
        temporal?;
        stack.create_databases(&options).await?;
        info.pooler.create(&authority, user, &info.ca, &info.databases, &info.source, &options.pooler_logins).await?;
        Ok(stack)
    }

    async fn create_databases(&self, options: &StackOptions) -> Result<()> {
        for database in &self.info.databases {
            rds::create_database(&self.info.target, database, rds::MASTER).await?;
            if options.create_source_databases {
                let owner = sample_login(&format!("{database}_owner"));
                rds::create_login(&self.info.source, &owner.name, &owner.password).await?;
                rds::create_database(&self.info.source, database, &owner.name).await?;
            }
        }
        Ok(())
    }

    /// Addresses and passwords.
    pub fn info(&self) -> &StackInfo {
        &self.info
    }

    /// The operating-system user of the servers, which [`Cluster::start`] and others ask for.
    pub fn user(&self) -> ServerUser {
        self.user
    }

    /// Stops every server in order (no crash recovery needed afterwards), then cleans up.
    pub async fn stop(self) -> Result<()> {
        self.info.source.stop(self.user, StopMode::Fast).await?;
        self.info.target.stop(self.user, StopMode::Fast).await
        // The guard, dropped here, stops the rest.
    }

    /// Leaves every server running after the harness has ended. `changeover-dev down` takes the stack down.
    pub fn detach(self) -> Result<StackInfo> {
        self.guard.detach()?;
        Ok(self.info)
    }
}

fn make_stack_directory(wanted: Option<&Path>) -> Result<PathBuf> {
    let directory = match wanted {
        Some(directory) => {
            std::fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
            anyhow::ensure!(
                std::fs::read_dir(directory)?.next().is_none(),
                "{} isn't empty: a stack wants a directory of its own",
                directory.display()
            );
            directory.to_path_buf()
        }
        None => {
            tempfile::Builder::new().prefix("changeover-").tempdir().context("creating the stack's directory")?.keep()
        }
    };
    // The servers' user passes through; what is secret in it has modes of its own.
    files::set_mode(&directory, 0o755)?;
    directory.canonicalize().context("resolving the stack's directory")
}

fn plan(options: &StackOptions, directory: PathBuf) -> Result<StackInfo> {
    let mut ports = ports::Ports::default();
    let mut cluster = |side: Side, wanted| -> Result<Cluster> {
        Ok(Cluster { side, directory: directory.join(side.name()), port: ports.take(wanted)? })
    };
    let source = cluster(Side::Source, options.ports.source)?;
    let target = cluster(Side::Target, options.ports.target)?;
    let pooler = Pooler {
        directory: directory.join("pooler"),
        port: ports.take(options.ports.pooler)?,
        admin_password: rds::random_password(),
    };
    let temporal = match &options.temporal {
        Some(wanted) => {
            let port = ports.take(options.ports.temporal)?;
            let ui_port = if wanted.ui { Some(ports.take(options.ports.temporal_ui)?) } else { None };
            Some(Temporal::new(directory.join("temporal"), port, ui_port, wanted))
        }
        None => None,
    };
    // One login and one password on both sides: either may be the provider.
    let replication = rds::random_password();
    let passwords = || rds::Passwords { master: rds::random_password(), replication: replication.clone() };
    Ok(StackInfo {
        ca: directory.join("ca.crt"),
        directory,
        source,
        target,
        source_passwords: passwords(),
        target_passwords: passwords(),
        pooler,
        temporal,
        databases: options.databases.clone(),
    })
}
