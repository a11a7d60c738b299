//! A pair of clusters with one small database, its spec, and somebody who does things to them past the product.

use std::path::Path;

use changeover_domain::proto::{
    Budgets, Database, Endpoint, Gates, Pooler, Replication, SecretRef, Spec, Traffic, secret_ref,
};
use changeover_tests::stack::{Cluster, Side, Stack, StackInfo, StackOptions, connect, pooler, rds};
use tokio_postgres::Client;

/// The database that moves.
pub const DATABASE: &str = "shop";

/// The stack, and the secrets that its spec refers to.
pub struct Ground {
    pub stack: Stack,
    secrets: tempfile::TempDir,
}

impl Ground {
    /// Clusters and a pooler, without Temporal.
    pub async fn start(databases: &[&str], settings: &[(&str, &str)]) -> Self {
        let options = StackOptions {
            databases: databases.iter().map(|name| (*name).to_owned()).collect(),
            create_source_databases: true,
            temporal: None,
            log_statement: "none".into(),
            shared_buffers_mb: 32,
            settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..StackOptions::default()
        };
        Self { stack: Stack::start(options).await.unwrap(), secrets: tempfile::tempdir().unwrap() }
    }

    pub fn info(&self) -> &StackInfo {
        self.stack.info()
    }

    /// A spec with which nothing is wrong.
    pub fn spec(&self, name: &str) -> Spec {
        let info = self.info();
        Spec {
            name: name.into(),
            source: Some(self.endpoint(&info.source)),
            target: Some(self.endpoint(&info.target)),
            databases: info
                .databases
                .iter()
                .map(|name| Database { name: name.clone(), ..Database::default() })
                .collect(),
            replication: Some(Replication {
                user: rds::REPLICATION.into(),
                password: self.secret("replication", &info.source_passwords.replication),
                server_ca_file: info.ca.display().to_string(),
                poll_ms: 100,
            }),
            gates: Some(Gates { max_transaction_age_ms: 500, ..Gates::default() }),
            budgets: Some(Budgets {
                sequence_margin: 1_000,
                max_retained_wal_bytes: 10_000_000_000,
                ..Budgets::default()
            }),
            traffic: Some(Traffic { poolers: vec![self.pooler()] }),
            ..Spec::default()
        }
    }

    fn endpoint(&self, cluster: &Cluster) -> Endpoint {
        Endpoint {
            host: cluster.host.clone(),
            port: cluster.port.into(),
            user: rds::MASTER.into(),
            password: self.secret(cluster.side.name(), &self.info().passwords(cluster.side).master),
            maintenance_database: "postgres".into(),
            ca_file: self.info().ca.display().to_string(),
            escalation: "rds_tools.escalate".into(),
            ..Endpoint::default()
        }
    }

    fn pooler(&self) -> Pooler {
        let info = self.info();
        Pooler {
            host: info.pooler.host.clone(),
            port: info.pooler.port.into(),
            user: pooler::ADMIN.into(),
            password: self.secret("pooler", &info.pooler.admin_password),
            ca_file: info.ca.display().to_string(),
            databases_file: info.pooler.databases_file().display().to_string(),
        }
    }

    /// A reference to a secret that holds this.
    pub fn secret(&self, name: &str, value: &str) -> Option<SecretRef> {
        let path = self.secrets.path().join(name);
        write(&path, value);
        Some(SecretRef { from: Some(secret_ref::From::File(path.display().to_string())) })
    }
}

pub fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// A superuser's session that the product takes for one of its own, so that it is no finding itself.
pub async fn unseen(cluster: &Cluster, database: &str) -> Client {
    let client = connect::as_superuser(cluster, database).await.unwrap();
    client.batch_execute("set application_name = 'changeover/ground'; set lock_timeout = 0").await.unwrap();
    client
}

/// Runs statements one by one, each in a transaction of its own. They are parted by `;` at a line's end.
pub async fn each(client: &Client, sql: &str) {
    for statement in sql.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
        client.batch_execute(statement).await.unwrap_or_else(|error| {
            let told = error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned());
            panic!("`{statement}`: {told}")
        });
    }
}

/// The side as the harness names it.
pub fn cluster(info: &StackInfo, side: changeover_domain::Side) -> &Cluster {
    match side {
        changeover_domain::Side::Source => info.cluster(Side::Source),
        changeover_domain::Side::Target => info.cluster(Side::Target),
    }
}
