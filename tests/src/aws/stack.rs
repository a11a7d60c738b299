//! A stack whose source is an instance of the local AWS, and whose target is made by Changeover.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    Accounts, SOURCE, StandIn,
    accounts::{self, cluster, find},
};
use crate::{
    oracle::Snapshot,
    stack::{Server, Side, Stack, StackInfo, StackOptions, rds},
};

/// What such a stack may be told.
#[derive(Clone)]
pub struct AwsStackOptions {
    /// What any stack may be told; its source's own settings don't count here.
    pub stack: StackOptions,
    /// The source has a parameter group of its own, and not the family's default.
    pub own_group: bool,
    /// How long a status of RDS' shows at least, seconds.
    pub pace: f64,
}

impl Default for AwsStackOptions {
    fn default() -> Self {
        Self { stack: StackOptions::default(), own_group: false, pace: 0.5 }
    }
}

/// The stack and the AWS around it. Dropping it stops all servers.
pub struct AwsStack {
    /// PgBouncer, Temporal, the source; the target is the source until it has been made.
    pub stack: Stack,
    /// The local AWS.
    pub stand_in: StandIn,
    /// What both accounts have.
    pub accounts: Accounts,
    /// The source has a parameter group of its own.
    pub(super) own_group: bool,
    /// An instance before anybody has used it: what the target is like when it has just been made.
    pub empty: Snapshot,
}

impl AwsStack {
    /// Starts everything; when it returns, the source is available and empty.
    pub async fn start(options: AwsStackOptions) -> Result<Self> {
        let AwsStackOptions { stack, own_group, pace } = options;
        let mut made = None;
        let source = async |directory: &Path, replication: &str| {
            let stand_in = StandIn::start(&directory.join("aws"), replication, pace).await?;
            let master = rds::random_password();
            let accounts = accounts::set_up(&stand_in, own_group, &master).await.context("setting up both accounts")?;
            let cluster = cluster(&stand_in, Side::Source, SOURCE).await?;
            let passwords = rds::Passwords { master, replication: replication.to_owned() };
            let server = Server { cluster, passwords, ca: stand_in.ca_bundle.clone() };
            made = Some((stand_in, accounts));
            Ok(server)
        };
        let stack = Stack::start_around(stack, source).await?;
        let (stand_in, accounts) = made.context("the local AWS wasn't started")?;
        let empty = Snapshot::take(&stack.info().source).await.context("reading the empty instance")?;
        Ok(Self { stack, stand_in, accounts, own_group, empty })
    }

    /// Addresses and passwords.
    pub fn info(&self) -> &StackInfo {
        self.stack.info()
    }

    /// Learns where the target is, which has this identifier, and waits until it is available.
    pub async fn see_target(&mut self, identifier: &str) -> Result<()> {
        let cluster = cluster(&self.stand_in, Side::Target, identifier).await?;
        self.stack.set_target(cluster)
    }

    /// What the stand-in says of an instance.
    pub async fn instance(&self, side: Side, identifier: &str) -> Result<Option<Value>> {
        find(&self.stand_in, side, identifier).await
    }

    /// From now on Changeover's role of a side may do what this policy allows, and nothing else.
    pub async fn limit(&self, side: Side, policy: &Value) -> Result<()> {
        let role = &self.accounts.roles[super::stand_in::place(side)];
        self.stand_in.control("policy", Some(&json!({ "principal": role, "policy": policy }))).await.map(drop)
    }

    /// Stops every server, and cleans up.
    pub fn stop(self) {
        // By the guard.
        drop(self);
    }
}
