//! What a stack shall be like.

use super::pooler::PoolerLogin;
use std::path::PathBuf;

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
    /// A disk of its own for each cluster's data directory, of so many MB, which can run full: memory, mounted by root. None: where the
    /// stack lives.
    pub disk_mb: Option<u32>,
    /// Further settings of both clusters, appended to postgresql.conf.
    pub settings: Vec<(String, String)>,
    /// PostgreSQL's major version, of both clusters. Only 15 has pglogical.
    pub major: u32,
    /// Lines put before those of `pg_hba.conf`.
    pub hba: String,
    /// Fixed ports, or any free ones.
    pub ports: WantedPorts,
    /// Temporal's development server; `None` starts none.
    pub temporal: Option<TemporalOptions>,
    /// The names by which the parts reach each other.
    pub hosts: Hosts,
    /// Listen on every address, not on the loopback one alone: for containers.
    pub listen_everywhere: bool,
}

/// The name or address of each part.
#[derive(Debug, Clone)]
pub struct Hosts {
    /// PostgreSQL, source.
    pub source: String,
    /// PostgreSQL, target.
    pub target: String,
    /// PgBouncer.
    pub pooler: String,
    /// Temporal's development server.
    pub temporal: String,
}

impl Default for Hosts {
    fn default() -> Self {
        let loopback = || "127.0.0.1".to_owned();
        Self { source: loopback(), target: loopback(), pooler: loopback(), temporal: loopback() }
    }
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
            disk_mb: None,
            settings: Vec::new(),
            major: super::cluster::MAJOR,
            hba: String::new(),
            ports: WantedPorts::default(),
            temporal: Some(TemporalOptions::default()),
            hosts: Hosts::default(),
            listen_everywhere: false,
        }
    }
}

/// The sample instance's logins.
pub const SAMPLE_LOGINS: [&str; 8] =
    ["shop_owner", "billing_owner", "shop_app", "shop_report", "shop_lead", "shop_bot", "billing_app", "shop_support"];

/// A login of the sample instance, with the password that its script gives it: good for throw-away clusters only.
pub fn sample_login(name: &str) -> PoolerLogin {
    PoolerLogin { name: name.to_owned(), password: format!("sample-{name}") }
}
