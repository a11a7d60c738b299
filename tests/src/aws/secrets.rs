//! The secrets of a scenario in AWS, where its owner would have them, and what applications find in the target's account.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Ask, AwsStack, REGION, StandIn, accounts::text};
use crate::{
    product::SpecOptions,
    sample,
    scenario::password_variables,
    stack::{SAMPLE_LOGINS, Side, StackInfo},
};

/// What the names of applications' secrets begin with.
pub const ROLE_SECRETS: &str = "orders/roles";
/// Where the source's master has its login.
pub const MASTER_SECRET: &str = "orders/master";
/// So many of the roles have a parameter of their own; the others share a secret.
const WITH_PARAMETER: usize = 3;

/// References to what is kept, as a spec has them.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The source's master.
    pub source: String,
    /// The login for replication.
    pub replication: String,
    /// The poolers' console.
    pub pooler: String,
    /// Applications, by role.
    pub roles: Vec<(String, String)>,
}

impl Kept {
    /// A spec that finds them there.
    pub(super) fn refer(&self, options: SpecOptions) -> SpecOptions {
        SpecOptions {
            passwords: self.roles.clone(),
            replication_password: self.replication.clone(),
            pooler_password: self.pooler.clone(),
            ..options
        }
    }
}

/// What a worker needn't have in its environment where all secrets are in AWS.
pub(super) fn needless_variables(info: &StackInfo) -> Vec<String> {
    let environment = info.environment().into_iter().map(|(name, _)| name);
    environment.filter(|name| name.ends_with("_PASSWORD")).chain(password_variables().into_keys()).collect()
}

/// Keeps all secrets of a scenario in Secrets Manager and Parameter Store of both accounts: under a key of the owner's and under AWS's own,
/// as JSON and as plain text.
pub async fn keep_secrets(stack: &AwsStack) -> Result<Kept> {
    let (stand_in, info) = (&stack.stand_in, stack.info());
    let key = stand_in.ask_one(Side::Source, "kms", "create_key", json!({ "Description": "orders" })).await?;
    let key = &key["KeyMetadata"]["Arn"];
    let (parameters, shared) = SAMPLE_LOGINS.split_at(WITH_PARAMETER);
    let login = json!({ "username": "changeover", "password": info.source_passwords.master });
    let all: serde_json::Map<String, Value> =
        shared.iter().map(|role| ((*role).to_owned(), Value::from(sample::password(role)))).collect();
    let secret = |side, name: &str, text: String| {
        let mut fields = json!({ "Name": name, "SecretString": text });
        if side == Side::Source {
            fields["KmsKeyId"] = key.clone();
        }
        Ask::new(side, "secretsmanager", "create_secret", fields)
    };
    let mut asks = vec![
        secret(Side::Source, MASTER_SECRET, login.to_string()),
        secret(Side::Source, "orders/applications", Value::from(all).to_string()),
        secret(Side::Target, "orders/replication", info.source_passwords.replication.clone()),
        secret(Side::Target, "orders/pooler", info.pooler.admin_password.clone()),
    ];
    asks.extend(parameters.iter().map(|role| {
        let (name, value) = (format!("/orders/{role}"), sample::password(role));
        let fields = json!({ "Name": name, "Value": value, "Type": "SecureString", "KeyId": key });
        Ask::new(Side::Source, "ssm", "put_parameter", fields)
    }));
    let made = stand_in.ask(&asks).await?;
    let arn = |at: usize| text(&made[at]["ARN"]);
    let reference = |at| Ok::<_, anyhow::Error>(format!("{{ secret = \"{}\" }}", arn(at)?));
    let account = &stand_in.account(Side::Source).id;
    let of_parameter =
        |role: &str| format!("{{ parameter = \"arn:aws:ssm:{REGION}:{account}:parameter/orders/{role}\" }}");
    let all = arn(1)?;
    let of_shared = |role: &str| format!("{{ secret = \"{all}\", field = \"{role}\" }}");
    let roles = parameters.iter().map(|role| ((*role).to_owned(), of_parameter(role)));
    let roles = roles.chain(shared.iter().map(|role| ((*role).to_owned(), of_shared(role)))).collect();
    Ok(Kept { source: reference(0)?, replication: reference(2)?, pooler: reference(3)?, roles })
}

/// Of which roles the target's account has a secret with their login as it is.
pub async fn kept_logins(stand_in: &StandIn, secrets: &[String]) -> Result<Vec<String>> {
    let prefix = format!("{ROLE_SECRETS}/");
    let names: Vec<&String> = secrets.iter().filter(|name| name.starts_with(&prefix)).collect();
    let ask =
        |name: &&String| Ask::new(Side::Target, "secretsmanager", "get_secret_value", json!({ "SecretId": name }));
    let said = stand_in.ask(&names.iter().map(ask).collect::<Vec<_>>()).await?;
    let mut roles = Vec::new();
    for (name, said) in names.iter().zip(&said) {
        let login: Value =
            serde_json::from_str(&text(&said["SecretString"])?).with_context(|| format!("reading {name}"))?;
        let role = name.trim_start_matches(&prefix);
        if login["username"] == role && login["password"] == sample::password(role) {
            roles.push(role.to_owned());
        }
    }
    Ok(roles)
}
