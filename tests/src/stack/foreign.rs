//! A stack around servers that somebody else runs: directory, guard, PgBouncer and Temporal as in any other.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{
    Cluster, Side, Stack, StackOptions, files, guard::Guard, info, make_stack_directory, process::ServerUser, rds,
    temporal::Temporal, tls,
};

/// A server of somebody else's.
pub struct Server {
    /// Where it is.
    pub cluster: Cluster,
    /// Of its two logins.
    pub passwords: rds::Passwords,
    /// What verifies its certificate.
    pub ca: PathBuf,
}

impl Stack {
    /// Makes the stack's directory and lets `source` start the source below it, with the password that the login for replication shall
    /// have; then starts the rest. The target is the source until [`Stack::set_target`] says otherwise.
    ///
    /// What `source` starts has to end with the guard: see `dev/stack-down.sh`.
    pub async fn start_around(
        options: StackOptions,
        source: impl AsyncFnOnce(&Path, &str) -> Result<Server>,
    ) -> Result<Self> {
        let user = ServerUser::detect()?;
        let directory = make_stack_directory(options.directory.as_deref())?;
        let info = info::plan(&options, directory)?;
        // Before the first server: the guard removes only a directory that holds this file.
        info.save()?;
        let guard = Guard::watch(&info.directory, options.keep)?;
        let mut stack = Self { info, user, guard };
        user.check_reaches(&stack.info.directory).await?;
        let server = source(&stack.info.directory, &stack.info.source_passwords.replication).await?;
        stack.lay_out_around(server, &options).await?;
        tokio::try_join!(start(stack.info.temporal.as_ref()), stack.info.pooler.start(user))?;
        Ok(stack)
    }

    async fn lay_out_around(&mut self, server: Server, options: &StackOptions) -> Result<()> {
        let authority = tls::Authority::new()?;
        let theirs = std::fs::read_to_string(&server.ca).context("reading the servers' CA bundle")?;
        // Clients come to the pooler and to the servers, and verify both by one file.
        std::fs::write(&self.info.ca, format!("{}\n{theirs}", authority.pem())).context("writing the CAs")?;
        files::set_mode(&self.info.ca, 0o644)?;
        self.info.pooler.lay_out(&authority, self.user, &server.ca, &server.cluster, options).await?;
        self.info.source_passwords = server.passwords;
        self.info.source = server.cluster;
        self.set_target(self.info.source.clone())
    }

    /// Where the target is, once it is there.
    pub fn set_target(&mut self, cluster: Cluster) -> Result<()> {
        self.info.target = Cluster { side: Side::Target, ..cluster };
        self.info.save()
    }
}

async fn start(temporal: Option<&Temporal>) -> Result<()> {
    match temporal {
        Some(temporal) => temporal.start().await,
        None => Ok(()),
    }
}
