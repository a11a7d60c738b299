//! Connections of the harness itself: as the application (TLS, verified) and as the superuser (unix socket).

use super::cluster::Cluster;
use anyhow::{Context, Result};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::{Config, NoTls};

/// A session.
pub use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;

/// The application name of every superuser session of the harness: by it the audit tells our statements from others.
pub const HARNESS: &str = "changeover-harness";

/// A TLS configuration that trusts the certificates in the PEM file `ca` and nothing else.
pub fn tls(ca: &Path) -> Result<MakeRustlsConnect> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(ca).with_context(|| format!("reading the CA's certificate {}", ca.display()))?
    {
        roots.add(certificate.with_context(|| format!("parsing {}", ca.display()))?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Who logs in where.
#[derive(Clone)]
pub struct Login<'a> {
    /// TCP port on 127.0.0.1: a cluster's or the pooler's.
    pub port: u16,
    /// The database's name.
    pub database: &'a str,
    /// The role.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
    /// Shown in `pg_stat_activity`.
    pub application_name: &'a str,
}

/// Logs in over TLS with the server's certificate and name verified. The connection's task ends with the client.
pub async fn as_login(login: Login<'_>, tls: &MakeRustlsConnect) -> Result<Client> {
    let mut config = Config::new();
    config
        .host("127.0.0.1")
        .port(login.port)
        .dbname(login.database)
        .user(login.user)
        .password(login.password)
        .application_name(login.application_name)
        .ssl_mode(tokio_postgres::config::SslMode::Require)
        .connect_timeout(Duration::from_secs(10));
    let (client, connection) = config
        .connect(tls.clone())
        .await
        .with_context(|| format!("connecting to {} on port {} as {}", login.database, login.port, login.user))?;
    tokio::spawn(connection);
    Ok(client)
}

/// Logs in as the cluster's superuser over its unix socket.
pub async fn as_superuser(cluster: &Cluster, database: &str) -> Result<Client> {
    let (client, connection) = Config::new()
        .host_path(cluster.socket())
        .port(cluster.port)
        .dbname(database)
        .user("rdsadmin")
        .application_name(HARNESS)
        .connect_timeout(Duration::from_secs(10))
        .connect(NoTls)
        .await
        .with_context(|| format!("connecting to the {}'s {database} as rdsadmin", cluster.side.name()))?;
    tokio::spawn(connection);
    Ok(client)
}
