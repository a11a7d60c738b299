//! What all of it stands on: accounts, names, sessions, and what the servers say.

use changeover_aws::{Access, Session, instance, secret};
use changeover_domain::{
    Failure, MigrationId, Side,
    aws::{
        AwsNames,
        parameters::{Engine, Sizing, lacking, wanted},
        provision::{AwsFacts, fill_in, target_instance},
        stored,
        target::InstanceSeen,
    },
    proto::{Aws, AwsAccount, AwsTarget, Spec},
};
use changeover_postgres::{
    Site,
    migration::{id_of, site_of},
    provision,
};

use super::{ca, secrets};

/// A spec that has an AWS half.
pub(super) struct Ground {
    pub(super) spec: Spec,
    pub(super) aws: Aws,
    pub(super) names: AwsNames,
    id: MigrationId,
    pub(super) run: String,
    sizing: Option<Sizing>,
}

impl Ground {
    /// `run` is the one that took the source. Addresses that are known by now are filled in.
    pub(super) fn new(spec: &Spec, facts: &AwsFacts, run: &str) -> Result<Self, Failure> {
        let id = id_of(spec)?;
        let aws = spec.aws.clone().ok_or_else(|| {
            let message = "the spec has no [aws.source] and [aws.target]";
            Failure::refused("CO0101", message, "correct the spec, then start again")
        })?;
        let mut spec = spec.clone();
        fill_in(&mut spec, facts);
        Ok(Self { spec, aws, names: AwsNames::new(&id), id, run: run.to_owned(), sizing: facts.sizing.clone() })
    }

    /// A session in a side's account.
    pub(super) async fn session(&self, side: Side) -> Result<Session, Failure> {
        Session::open(&access(&self.aws, side), &self.id, &self.run).await
    }

    /// One that only undoes.
    pub(super) async fn session_to_undo(&self, side: Side) -> Result<Session, Failure> {
        Session::open_to_undo(&access(&self.aws, side), &self.id, &self.run).await
    }

    /// What the spec says of the target that is made.
    pub(super) fn made(&self) -> AwsTarget {
        self.aws.made.clone().unwrap_or_default()
    }

    /// The target's identifier.
    pub(super) fn target(&self) -> String {
        target_instance(&self.aws, &self.names)
    }

    /// A side's account.
    pub(super) fn account(&self, side: Side) -> String {
        access(&self.aws, side).account
    }

    /// A side's server, for SQL.
    pub(super) async fn site(&self, side: Side) -> Result<Site, Failure> {
        // Here and not before: an undo in AWS speaks to no server.
        let mut spec = self.spec.clone();
        ca::with_ca_files(&mut spec)?;
        let endpoint = if side == Side::Source { &self.spec.source } else { &self.spec.target };
        let password = endpoint.iter().filter_map(|endpoint| endpoint.password.as_ref());
        site_of(&spec, side, &secrets::known(&self.spec, password).await)
    }

    /// What the parameters are made of, as it was measured when they were planned.
    pub(super) async fn sizing(&self, seen: &InstanceSeen) -> Result<Sizing, Failure> {
        match &self.sizing {
            Some(sizing) => Ok(sizing.clone()),
            None => self.measure(seen).await,
        }
    }

    /// The same, counted on the source now: the target is to bear as much.
    pub(super) async fn measure(&self, seen: &InstanceSeen) -> Result<Sizing, Failure> {
        let usage = provision::usage(&self.site(Side::Source).await?).await?;
        let storage_gib = u32::try_from(seen.shape.storage_gib).unwrap_or_default();
        let major = seen.shape.engine_version.split('.').next().and_then(|major| major.parse().ok());
        Ok(Sizing {
            databases: u32::try_from(self.spec.databases.len()).unwrap_or(u32::MAX),
            slots_used: usage.slots,
            senders_used: usage.senders,
            engine: Engine::Pglogical,
            major: major.unwrap_or_default(),
            storage_gib,
            retained_mb: usage.retained_mb.max(self.budget_mb(storage_gib)),
        })
    }

    /// Half of what our own slots may hold back by the spec: the server's limit is twice this, so that the run parks before a slot is lost.
    /// Never more than the disk bears.
    fn budget_mb(&self, storage_gib: u32) -> u32 {
        let budget = self.spec.budgets.unwrap_or_default().max_retained_wal_bytes / 2_000_000;
        u32::try_from(budget).unwrap_or(u32::MAX).min(storage_gib.saturating_mul(1024) / 4)
    }

    /// Which of the parameters that replication needs a server doesn't have yet.
    pub(super) async fn lacking(&self, site: &Site, sizing: &Sizing) -> Result<Vec<String>, Failure> {
        Ok(lacking(&wanted(sizing), &provision::settings(site).await?))
    }

    /// That nothing stands in the way of what is made in the target's account: no earlier migration of this name whose target serves, and no
    /// secret of somebody else's where applications are to find theirs.
    pub(super) async fn check_place(&self, target: &Session) -> Result<(), Failure> {
        instance::check_none_has_served(target, "nothing is begun").await?;
        for it in stored::role_secrets(&self.spec) {
            secret::check_role_secret(target, &it.name).await?;
        }
        Ok(())
    }

    /// The source as RDS has it.
    pub(super) async fn source(&self, session: &Session) -> Result<InstanceSeen, Failure> {
        instance::look_at_existing(session, &self.aws.instance).await
    }
}

/// How a side's account is reached.
pub(super) fn access(aws: &Aws, side: Side) -> Access {
    let account = if side == Side::Source { &aws.source } else { &aws.target };
    let AwsAccount { region, account, profile, credentials_file, role_arn, external_id, endpoint } =
        account.clone().unwrap_or_default();
    Access {
        side,
        region,
        account,
        profile: some(profile),
        credentials_file: some(credentials_file).map(Into::into),
        role_arn: some(role_arn),
        external_id: some(external_id),
        endpoint: some(endpoint),
    }
}

/// A text that is given; nothing for an empty one.
pub(super) fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
