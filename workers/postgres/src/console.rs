//! A pooler's admin console: it speaks PostgreSQL's protocol, simple queries only, and knows none of our session settings.

use std::time::Duration;

use changeover_domain::Failure;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, SimpleQueryMessage, config::SslMode};

use crate::{connect, secret::Secret};

/// Where a console is and who enters it.
#[derive(Clone, Debug)]
pub struct ConsoleAddress {
    /// Host name, as the pooler's certificate has it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// A login of the pooler's `admin_users`.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// PEM file with the CA certificates.
    pub ca_file: String,
}

/// An open console. Dropping it closes the connection.
#[derive(Debug)]
pub struct Console {
    client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Console {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Why a command did not succeed.
#[derive(Debug)]
pub enum ConsoleError {
    /// The pooler refused it, in these words.
    Refused(String),
    /// The connection is gone; the command may have been carried out.
    Lost(String),
}

impl std::fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConsoleError::Refused(text) | ConsoleError::Lost(text) => f.write_str(text),
        }
    }
}

/// One row of an answer, by column name.
#[derive(Clone, Debug, Default)]
pub struct ConsoleRow(Vec<(String, Option<String>)>);

impl ConsoleRow {
    /// The text of a column; empty when it is null or not there.
    pub fn text(&self, column: &str) -> &str {
        self.0.iter().find(|(name, _)| name == column).and_then(|(_, value)| value.as_deref()).unwrap_or("")
    }
    /// A column as a number; `None` when it isn't one.
    pub fn number(&self, column: &str) -> Option<u64> {
        self.text(column).parse().ok()
    }
}

/// How long a console may take to answer the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

impl Console {
    /// Opens the console over TLS (verify-full). CO0702 when it can't be reached, CO0203 when TLS can't be had.
    pub async fn open(address: &ConsoleAddress) -> Result<Self, Failure> {
        let login = format!("{}@{}:{}", address.user, address.host, address.port);
        let unreachable = |why: String| {
            let message = format!("the pooler's console at {}:{} can't be entered: {why}", address.host, address.port);
            Failure::transient(
                "CO0702",
                message,
                "check that the pooler runs, and user, password and CA of its console",
            )
        };
        let mut config = tokio_postgres::Config::new();
        config
            .host(&address.host)
            .port(address.port)
            .user(&address.user)
            .password(address.password.expose())
            .dbname("pgbouncer")
            .application_name("changeover")
            .ssl_mode(SslMode::Require)
            .connect_timeout(CONNECT_TIMEOUT);
        let tls = connect::tls(&address.ca_file)?;
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, config.connect(tls)).await;
        let (client, connection) = match connected {
            Ok(Ok(pair)) => pair,
            Ok(Err(error)) => {
                // PgBouncer has one state for all that it refuses at a login.
                let said = error.as_db_error().map(tokio_postgres::error::DbError::message).unwrap_or_default();
                if said.contains("authentication failed") {
                    address.password.refuse(&login);
                }
                return Err(unreachable(text_of(&error)));
            }
            Err(_) => return Err(unreachable(format!("no answer within {CONNECT_TIMEOUT:?}"))),
        };
        address.password.accept(&login);
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "console ended");
            }
        });
        Ok(Self { client, driver })
    }

    /// Runs one command and returns its rows.
    pub async fn run(&self, command: &str) -> Result<Vec<ConsoleRow>, ConsoleError> {
        let messages = self.client.simple_query(command).await.map_err(|error| match error.as_db_error() {
            Some(db) if !db.code().code().starts_with("57P") => ConsoleError::Refused(db.message().to_owned()),
            _ => ConsoleError::Lost(text_of(&error)),
        })?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let cells = row.columns().iter().enumerate();
                Some(ConsoleRow(cells.map(|(i, c)| (c.name().to_owned(), row.get(i).map(str::to_owned))).collect()))
            }
            _ => None,
        });
        Ok(rows.collect())
    }
}

fn text_of(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => db.message().to_owned(),
        None => {
            std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
        }
    }
}
