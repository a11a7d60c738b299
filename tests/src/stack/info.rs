//! Addresses and passwords of a stack: `stack.json`.

use super::cluster::{Cluster, Side};
use super::options::StackOptions;
use super::pooler::{self, Pooler};
use super::ports::Ports;
use super::temporal::Temporal;
use super::{files, rds};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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

    pub(super) fn save(&self) -> Result<()> {
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
            ("CHANGEOVER_SOURCE_HOST".to_owned(), self.source.host.clone()),
            ("CHANGEOVER_SOURCE_PORT".to_owned(), self.source.port.to_string()),
            ("CHANGEOVER_SOURCE_PASSWORD".to_owned(), self.source_passwords.master.clone()),
            ("CHANGEOVER_SOURCE_SOCKET".to_owned(), self.source.socket().display().to_string()),
            ("CHANGEOVER_TARGET_HOST".to_owned(), self.target.host.clone()),
            ("CHANGEOVER_TARGET_PORT".to_owned(), self.target.port.to_string()),
            ("CHANGEOVER_TARGET_PASSWORD".to_owned(), self.target_passwords.master.clone()),
            ("CHANGEOVER_TARGET_SOCKET".to_owned(), self.target.socket().display().to_string()),
            ("CHANGEOVER_USER".to_owned(), rds::MASTER.to_owned()),
            ("CHANGEOVER_REPLICATION_USER".to_owned(), rds::REPLICATION.to_owned()),
            ("CHANGEOVER_REPLICATION_PASSWORD".to_owned(), self.source_passwords.replication.clone()),
            ("CHANGEOVER_CA".to_owned(), self.ca.display().to_string()),
            ("CHANGEOVER_POOLER_HOST".to_owned(), self.pooler.host.clone()),
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

/// Chooses ports and passwords.
pub(super) fn plan(options: &StackOptions, directory: PathBuf) -> Result<StackInfo> {
    let mut ports = Ports::default();
    let mut cluster = |side: Side, host: &str, wanted| -> Result<Cluster> {
        let directory = directory.join(side.name());
        Ok(Cluster { side, directory, host: host.to_owned(), port: ports.take(wanted)?, major: options.major })
    };
    let source = cluster(Side::Source, &options.hosts.source, options.ports.source)?;
    let target = cluster(Side::Target, &options.hosts.target, options.ports.target)?;
    let pooler = Pooler {
        directory: directory.join("pooler"),
        host: options.hosts.pooler.clone(),
        port: ports.take(options.ports.pooler)?,
        admin_password: rds::random_password(),
    };
    let temporal = match &options.temporal {
        Some(wanted) => {
            let port = ports.take(options.ports.temporal)?;
            let ui_port = if wanted.ui { Some(ports.take(options.ports.temporal_ui)?) } else { None };
            let listen = if options.listen_everywhere { "0.0.0.0" } else { "127.0.0.1" };
            Some(Temporal {
                directory: directory.join("temporal"),
                host: options.hosts.temporal.clone(),
                listen: listen.to_owned(),
                port,
                ui_port,
                search_attributes: wanted.search_attributes.clone(),
            })
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
