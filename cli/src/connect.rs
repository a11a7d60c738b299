//! Where Temporal is: as the SDK's environment configuration says; with nothing said, the development server.

use std::time::Duration;

use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions,
    envconfig::{ClientConfigProfile, LoadClientConfigProfileOptions},
};
use temporalio_common::envconfig::load_client_config_profile;

use crate::{client::Temporal, devserver, problem::Problem, ui::Ui};

/// Longest wait for a connection.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What may be done when no address is configured and no development server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Start one.
    Start,
    /// Say so.
    Refuse,
}

/// Connects.
pub(crate) async fn connect(ui: &Ui, missing: Missing) -> Result<Temporal, Problem> {
    let mut profile = profile()?;
    if profile.address.as_deref().unwrap_or_default().is_empty() {
        let server = devserver::find_or_start(ui, missing).await?;
        profile.address = Some(server);
    }
    let address = profile.address.clone().unwrap_or_default();
    let namespace = profile.namespace.clone().unwrap_or_else(|| "default".to_owned());
    // Two TLS stacks are in the tree; which one is used is said once. A second time changes nothing.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let mut options = ConnectionOptions::try_from(profile).map_err(|e| misconfigured(&e))?;
    options.identity = format!("changeover/{}@{}", user(), std::process::id());
    options.connect_timeout = Some(TIMEOUT);
    let unreachable = |why: String| {
        let message = format!("Temporal at {address} can't be reached: {why}");
        let remedy =
            "check TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the TLS variables; `changeover doctor` shows what is used";
        Problem::new("CO0901", message, remedy)
    };
    let connection = match tokio::time::timeout(TIMEOUT, Connection::connect(options)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(unreachable(root(&error))),
        Err(_) => return Err(unreachable(format!("no answer within {} s", TIMEOUT.as_secs()))),
    };
    let client = Client::new(connection, ClientOptions::new(namespace.clone()).build())
        .map_err(|e| unreachable(e.to_string()))?;
    Ok(Temporal { client, address, namespace })
}

/// What the environment and Temporal's configuration file say.
fn profile() -> Result<ClientConfigProfile, Problem> {
    load_client_config_profile(LoadClientConfigProfileOptions::default(), None).map_err(|e| misconfigured(&e))
}

fn misconfigured(error: &impl std::fmt::Display) -> Problem {
    let message = format!("Temporal's environment configuration is wrong: {error}");
    Problem::new("CO0913", message, "correct the TEMPORAL_* variables or Temporal's configuration file")
}

/// The innermost cause; the outer ones only repeat that there was an error.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// Who types: the login of this machine.
pub(crate) fn user() -> String {
    let named =
        ["USER", "LOGNAME"].into_iter().filter_map(|variable| std::env::var(variable).ok()).find(|n| !n.is_empty());
    let asked = || {
        let output = std::process::Command::new("id").arg("-un").output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|name| !name.is_empty())
    };
    named.or_else(asked).unwrap_or_else(|| "unknown".to_owned())
}
