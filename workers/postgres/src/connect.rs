//! Sessions: TLS with verify-full, an application name, and settings that no surprise can come from.

use std::{sync::Arc, time::Duration};

use changeover_domain::{Class, Failure, Side};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{Client, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{error, secret::Secret};

/// Where and as whom a session is opened.
#[derive(Clone, Debug)]
pub struct Address {
    /// Which side it is.
    pub side: Side,
    /// Host name, as the server's certificate has it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Login.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// PEM file with the CA certificates.
    pub ca_file: String,
}

impl Address {
    /// Who logs in where, as the standing of a password knows it.
    fn login(&self) -> String {
        format!("{}@{}:{}", self.user, self.host, self.port)
    }
}

/// A connected client together with the task that drives it. Dropping it closes the connection.
#[derive(Debug)]
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
    /// Which side it is connected to.
    pub side: Side,
    /// The database.
    pub database: String,
}

impl std::ops::Deref for Session {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl std::ops::DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Maps an error of this session's client to a failure: `session.query(…).await.map_err(session.failed("reading slots"))?`.
    pub fn failed<'a>(&self, what: &'a str) -> impl Fn(tokio_postgres::Error) -> Failure + use<'a> {
        let side = self.side;
        move |e| error::failure(side, what, &e)
    }
}

/// How long a connection may take to come up, TLS and login included, and how long sent bytes may stay unanswered by the other
/// end's kernel.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of every session, sent at start-up. `row_security=off` turns a silent filter into an error; the rest keeps
/// settings of roles and databases (timeouts, search paths, formats) away from our statements.
const OPTIONS: &str = "-c row_security=off -c statement_timeout=0 -c lock_timeout=10s \
    -c idle_in_transaction_session_timeout=0 -c search_path=pg_catalog -c datestyle=ISO -c intervalstyle=postgres \
    -c timezone=UTC -c extra_float_digits=3 -c bytea_output=hex -c client_min_messages=warning -c quote_all_identifiers=off";

/// What our transactions mean must not depend on a setting of a role, a database or the instance either: they write, each
/// statement sees what was committed before it, and a commit that was answered is durable (who may do without says so itself).
const MEANING: &str = "-c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed \
    -c default_transaction_deferrable=off -c synchronous_commit=on";

/// Opens a session.
pub async fn open(address: &Address, database: &str, application_name: &str) -> Result<Session, Failure> {
    open_with(address, database, application_name, &format!("{OPTIONS} {MEANING}")).await
}

/// Opens a session that shows what applications get where the other kind pins it: for preflight, which only reads.
pub async fn open_to_look(address: &Address, database: &str, application_name: &str) -> Result<Session, Failure> {
    open_with(address, database, application_name, OPTIONS).await
}

async fn open_with(
    address: &Address,
    database: &str,
    application_name: &str,
    options: &str,
) -> Result<Session, Failure> {
    let what = format!("connecting to {}:{}/{database}", address.host, address.port);
    let mut config = tokio_postgres::Config::new();
    config
        .host(&address.host)
        .port(address.port)
        .user(&address.user)
        .password(address.password.expose())
        .dbname(database)
        .application_name(application_name)
        .options(options)
        .ssl_mode(SslMode::Require)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(CONNECT_TIMEOUT)
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(2))
        .keepalives_retries(3);
    let tls = tls(&address.ca_file)?;
    // The driver's own timeout ends where the TCP connection stands: a network that falls silent then would be waited for.
    let connected = timeout(CONNECT_TIMEOUT, config.connect(tls)).await.map_err(|_| {
        let message = format!("{what} on the {}: no answer within {CONNECT_TIMEOUT:?}", address.side);
        Failure::transient("CO0202", message, "check that the server runs and can be reached from the worker")
    })?;
    let (client, connection) = connected.map_err(|e| refused(address, error::failure(address.side, &what, &e)))?;
    address.password.accept(&address.login());
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            // The text of a broken connection; statements see their own errors.
            tracing::debug!(error = %error, "connection ended");
        }
    });
    Ok(Session { client, driver, side: address.side, database: database.to_owned() })
}

/// A password that was refused may be another one by now, where it is kept elsewhere.
fn refused(address: &Address, failure: Failure) -> Failure {
    // Another state of a refused login has nothing to do with the password.
    if failure.sqlstate.as_deref() == Some("28P01") && address.password.refuse(&address.login()) {
        return Failure { class: Class::Transient, ..failure };
    }
    failure
}

/// A TLS connector that verifies the server by the CA file and the host's name (libpq's verify-full).
pub fn tls(ca_file: &str) -> Result<MakeRustlsConnect, Failure> {
    let unusable = |why: String| {
        let message = format!("the CA file {ca_file} can't be used: {why}");
        Failure::refused("CO0203", message, "give a PEM file with the CA certificates in ca_file")
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|e| unusable(e.to_string()))? {
        let certificate = certificate.map_err(|e| unusable(e.to_string()))?;
        roots.add(certificate).map_err(|e| unusable(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
