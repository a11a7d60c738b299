//! Sessions of the workload, and what an error means for them.

use super::Address;
use crate::stack::connect;
use anyhow::Result;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::error::{Error, Severity};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A session. Dropping it closes the socket at once.
pub struct Session {
    /// The client; no statement of it may be prepared under a name (PgBouncer 1.18 in transaction mode has none).
    pub client: Client,
    connection: JoinHandle<Result<(), Error>>,
}

impl Session {
    /// The error's SQLSTATE. A server that ends a session between two statements says why on the connection, and the next statement
    /// only finds it closed: then it is that reason.
    pub async fn sqlstate(&mut self, error: &Error) -> String {
        if error.code().is_none()
            && let Ok(Ok(Err(reason))) = tokio::time::timeout(Duration::from_millis(50), &mut self.connection).await
        {
            return sqlstate(&reason);
        }
        sqlstate(error)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The addresses of one writer, and how it logs in.
pub struct Endpoints {
    addresses: Vec<Address>,
    current: usize,
    config: Config,
    tls: MakeRustlsConnect,
}

impl Endpoints {
    /// `addresses` isn't empty; the first is tried first.
    pub fn new(
        addresses: Vec<Address>,
        database: &str,
        user: &str,
        password: &str,
        ca: &std::path::Path,
    ) -> Result<Self> {
        let mut config = Config::new();
        config.dbname(database).user(user).password(password).application_name("changeover-workload");
        config.ssl_mode(tokio_postgres::config::SslMode::Require).connect_timeout(Duration::from_secs(5));
        Ok(Self { addresses, current: 0, config, tls: connect::tls(ca)? })
    }

    /// Logs in at the current address.
    pub async fn open(&self) -> Result<Session, Error> {
        let address = &self.addresses[self.current];
        let mut config = self.config.clone();
        config.host(&address.host).port(address.port);
        let (client, connection) = config.connect(self.tls.clone()).await?;
        Ok(Session { client, connection: tokio::spawn(connection) })
    }

    /// The next address is the current one now. With one address nothing changes.
    pub fn turn(&mut self) {
        self.current = (self.current + 1) % self.addresses.len();
    }
}

/// The SQLSTATE that stands for a connection that was lost.
pub const LOST: &str = "08006";

/// The error's SQLSTATE; class 08 for what no server said.
pub fn sqlstate(error: &Error) -> String {
    error.code().map_or_else(|| LOST.to_owned(), |code| code.code().to_owned())
}

/// True if the server said that it did not do what the statement asked, and the session lives on. FATAL isn't such a word: it is sent
/// also by a server (or a pooler, for it) that ends while a commit is on its way.
pub fn is_refusal(error: &Error) -> bool {
    error.as_db_error().is_some_and(|db| db.parsed_severity() == Some(Severity::Error))
}

/// True if this server won't take our writes for now: fenced, closed, stopping or gone. A direct writer then asks the other one.
pub fn is_closed(error: &Error) -> bool {
    let state = sqlstate(error);
    !is_refusal(error) || ["42501", "25006", "3D000"].contains(&state.as_str()) || state.starts_with("28")
}
