//! A session in one account: a client for each service.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig, retry::RetryConfig, sts::AssumeRoleProvider, timeout::TimeoutConfig,
};
use aws_config::{profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::client::{http::SharedHttpClient, interceptors::Intercept};
use changeover_domain::{
    Failure, MigrationId, Side,
    aws::{
        AwsNames,
        key::{keeper, partition},
    },
};

use crate::{access::Access, error::Told, guard::Guard};

/// How long one attempt of a call may take. None of them waits for what it asks for.
const ATTEMPT: Duration = Duration::from_secs(20);
/// How often the SDK tries a call, with its own backoff, before it is a failure; the activity is tried again after that.
const ATTEMPTS: u32 = 4;
/// How long a session of a role lasts; it is renewed by the SDK before it ends. An hour is what every role allows.
const ROLE_SESSION: Duration = Duration::from_secs(3_600);

/// A session in a side's account. An activity opens one for each attempt, so that one whose credentials have been withdrawn is followed by
/// one with new ones.
#[derive(Clone)]
pub struct Session {
    access: Access,
    names: AwsNames,
    run: String,
    caller: String,
    config: SdkConfig,
    guard: Guard,
    pub(crate) rds: aws_sdk_rds::Client,
    pub(crate) kms: aws_sdk_kms::Client,
    pub(crate) ssm: aws_sdk_ssm::Client,
    pub(crate) sts: aws_sdk_sts::Client,
    pub(crate) cloudwatch: aws_sdk_cloudwatch::Client,
    pub(crate) secrets: aws_sdk_secretsmanager::Client,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("access", &self.access).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens a session and asks whose account it is in. CO1023 if that isn't the one that the spec names. `run` is the id of this run of
    /// the migration, the same for all of its sessions.
    pub async fn open(access: &Access, migration: &MigrationId, run: &str) -> Result<Self, Failure> {
        Self::opened(access, migration, run, Guard::new(access.side)).await
    }

    /// One that only undoes: it sends nothing but reads and what the table of calls has for an undo.
    pub async fn open_to_undo(access: &Access, migration: &MigrationId, run: &str) -> Result<Self, Failure> {
        Self::opened(access, migration, run, Guard::of_undo(access.side)).await
    }

    async fn opened(access: &Access, migration: &MigrationId, run: &str, guard: Guard) -> Result<Self, Failure> {
        let mut session = Self::with_config(access, migration, run, guard, &config(access, migration).await);
        session.caller = session.check_account().await?;
        Ok(session)
    }

    fn with_config(access: &Access, migration: &MigrationId, run: &str, guard: Guard, config: &SdkConfig) -> Self {
        Self {
            access: access.clone(),
            names: AwsNames::new(migration),
            run: run.to_owned(),
            caller: String::new(),
            config: config.clone(),
            guard,
            rds: aws_sdk_rds::Client::from_conf(aws_sdk_rds::config::Builder::from(config).interceptor(guard).build()),
            kms: aws_sdk_kms::Client::from_conf(aws_sdk_kms::config::Builder::from(config).interceptor(guard).build()),
            ssm: aws_sdk_ssm::Client::from_conf(aws_sdk_ssm::config::Builder::from(config).interceptor(guard).build()),
            sts: aws_sdk_sts::Client::from_conf(aws_sdk_sts::config::Builder::from(config).interceptor(guard).build()),
            cloudwatch: aws_sdk_cloudwatch::Client::from_conf(
                aws_sdk_cloudwatch::config::Builder::from(config).interceptor(guard).build(),
            ),
            secrets: aws_sdk_secretsmanager::Client::from_conf(
                aws_sdk_secretsmanager::config::Builder::from(config).interceptor(guard).build(),
            ),
        }
    }

    /// Gives the caller's ARN.
    async fn check_account(&self) -> Result<String, Failure> {
        let answer = self.sts.get_caller_identity().send().await.told(self.side(), "asking whose account this is")?;
        let account = answer.account().unwrap_or_default();
        if account == self.access.account {
            return Ok(answer.arn().map(keeper).unwrap_or_default());
        }
        let message = format!(
            "the credentials of the {} are of account {account}, and the spec says {}",
            self.side(),
            self.access.account
        );
        Err(Failure::refused(
            "CO1023",
            message,
            "give the worker the right credentials, or correct the account in the spec",
        ))
    }

    /// Which side's account it is in.
    pub fn side(&self) -> Side {
        self.access.side
    }
    /// Twelve digits.
    pub fn account(&self) -> &str {
        &self.access.account
    }
    /// Such as `eu-central-1`.
    pub fn region(&self) -> &str {
        &self.access.region
    }
    /// As whom we are there, by ARN: the role that the spec names, else whoever the credentials say.
    pub fn keeper(&self) -> &str {
        self.access.role_arn.as_deref().unwrap_or(&self.caller)
    }
    /// Names of what this migration makes.
    pub fn names(&self) -> &AwsNames {
        &self.names
    }
    /// The id of this run of the migration.
    pub fn run(&self) -> &str {
        &self.run
    }
    /// What its clients are made of, for one of a crate beside this: with [`Session::guard`], always.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }
    /// What lets nothing out that isn't in the table of calls: an interceptor for a client that is made of [`Session::config`].
    pub fn guard(&self) -> impl Intercept + 'static {
        self.guard
    }
    /// `aws`, `aws-cn` or `aws-us-gov`, by the region.
    pub fn partition(&self) -> &'static str {
        partition(self.region())
    }
    /// The ARN of something of RDS in this account, such as `("db", "orders")`.
    pub(crate) fn rds_arn(&self, kind: &str, name: &str) -> String {
        format!("arn:{}:rds:{}:{}:{kind}:{name}", self.partition(), self.region(), self.account())
    }
}

async fn config(access: &Access, migration: &MigrationId) -> SdkConfig {
    let base = base(access).await;
    let Some(role) = &access.role_arn else { return base };
    let mut provider = AssumeRoleProvider::builder(role)
        .configure(&base)
        .region(Region::new(access.region.clone()))
        // CloudTrail shows it: letters, digits and =,.@- up to 64.
        .session_name(format!("changeover-{migration}"))
        .session_length(ROLE_SESSION);
    if let Some(id) = &access.external_id {
        provider = provider.external_id(id);
    }
    let provider = provider.build().await;
    base.into_builder()
        .credentials_provider(aws_sdk_sts::config::SharedCredentialsProvider::new(provider))
        .identity_cache(aws_config::identity::IdentityCache::lazy().build())
        .build()
}

async fn base(access: &Access) -> SdkConfig {
    let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    let client = Builder::new().tls_provider(tls).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(client.clone())
        .region(Region::new(access.region.clone()))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build());
    if let Some(profile) = &access.profile {
        loader = loader.credentials_provider(of_profile(access, profile, client));
    }
    if let Some(endpoint) = &access.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
}

fn of_profile(access: &Access, profile: &str, client: SharedHttpClient) -> ProfileFileCredentialsProvider {
    let region = Some(Region::new(access.region.clone()));
    let provider = ProviderConfig::without_region().with_region(region).with_http_client(client);
    let mut builder = ProfileFileCredentialsProvider::builder().configure(&provider).profile_name(profile);
    if let Some(file) = &access.credentials_file {
        let files = EnvConfigFiles::builder().with_file(EnvConfigFileKind::Credentials, file).build();
        builder = builder.profile_files(files);
    }
    builder.build()
}
