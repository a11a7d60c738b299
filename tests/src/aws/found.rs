//! What is in both accounts, as boto3 finds it: nothing here comes from Changeover.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Ask, StandIn, accounts::text, found_network::Network};
use crate::stack::Side;

/// A key of the customer's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Its ARN.
    pub arn: String,
    /// `Enabled`, `PendingDeletion` …
    pub state: String,
    /// Whether it is rotated each year.
    pub rotated: bool,
    /// Its names.
    pub aliases: Vec<String>,
}

/// A parameter group that isn't a family's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParameterGroup {
    /// Its name.
    pub name: String,
    /// What somebody has set in it.
    pub set: BTreeMap<String, String>,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// Its identifier.
    pub identifier: String,
    /// `available` …
    pub status: String,
    /// By which key it is encrypted; nothing where it isn't.
    pub key: Option<String>,
    /// Its parameter group.
    pub group: String,
    /// Whether that is in force: `in-sync` …
    pub applied: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Its identifier.
    pub identifier: String,
    /// `available` …
    pub status: String,
    /// `manual` or `automated`.
    pub kind: String,
}

/// All that Changeover may have touched in an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Keys of KMS.
    pub keys: Vec<Key>,
    /// Parameter groups.
    pub parameter_groups: Vec<ParameterGroup>,
    /// Option groups that aren't defaults.
    pub option_groups: Vec<String>,
    /// Instances.
    pub instances: Vec<Instance>,
    /// Snapshots.
    pub snapshots: Vec<Snapshot>,
    /// Secrets of Secrets Manager that aren't being deleted.
    pub secrets: Vec<String>,
    /// Parameters of Parameter Store.
    pub parameters: Vec<String>,
    /// Its network.
    pub network: Network,
}

/// Both accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The source's.
    pub source: Account,
    /// The target's.
    pub target: Account,
}

impl Found {
    /// Looks into both.
    pub async fn look(stand_in: &StandIn) -> Result<Self> {
        let (source, target) =
            tokio::try_join!(Account::look(stand_in, Side::Source), Account::look(stand_in, Side::Target))?;
        Ok(Self { source, target })
    }
}

impl Account {
    async fn look(stand_in: &StandIn, side: Side) -> Result<Self> {
        let nothing = || json!({});
        let lists = [
            Ask::new(side, "kms", "list_keys", nothing()),
            Ask::new(side, "kms", "list_aliases", nothing()),
            Ask::new(side, "rds", "describe_db_parameter_groups", nothing()),
            Ask::new(side, "rds", "describe_option_groups", nothing()),
            Ask::new(side, "rds", "describe_db_instances", nothing()),
            Ask::new(side, "rds", "describe_db_snapshots", nothing()),
            Ask::new(side, "secretsmanager", "list_secrets", nothing()),
            Ask::new(side, "ssm", "describe_parameters", nothing()),
        ];
        let lists: Vec<Ask> = lists.into_iter().chain(Network::asks(side)).collect();
        let answers = stand_in.ask(&lists).await?;
        let own = |list: &Value, name: &str| -> Result<Vec<String>> {
            let names = names(list, name)?;
            Ok(names.into_iter().filter(|name| !name.starts_with("default")).collect())
        };
        let mut found = Self {
            option_groups: own(&answers[3]["OptionGroupsList"], "OptionGroupName")?,
            instances: rows(&answers[4]["DBInstances"]).map(instance).collect::<Result<_>>()?,
            snapshots: rows(&answers[5]["DBSnapshots"]).map(snapshot).collect::<Result<_>>()?,
            secrets: names(&answers[6]["SecretList"], "Name")?,
            parameters: names(&answers[7]["Parameters"], "Name")?,
            network: Network::of(side, &answers[8..])?,
            ..Self::default()
        };
        let keys = names(&answers[0]["Keys"], "KeyId")?;
        let groups = own(&answers[2]["DBParameterGroups"], "DBParameterGroupName")?;
        found.look_closer(stand_in, side, &keys, &groups, &answers[1]["Aliases"]).await?;
        Ok(found)
    }

    async fn look_closer(
        &mut self,
        stand_in: &StandIn,
        side: Side,
        keys: &[String],
        groups: &[String],
        aliases: &Value,
    ) -> Result<()> {
        let key = |method| move |id: &String| Ask::new(side, "kms", method, json!({ "KeyId": id }));
        let group = |name: &String| {
            let fields = json!({ "DBParameterGroupName": name, "Source": "user" });
            Ask::new(side, "rds", "describe_db_parameters", fields)
        };
        let calls: Vec<Ask> = keys.iter().map(key("describe_key")).chain(groups.iter().map(group)).collect();
        let answers = stand_in.ask(&calls).await?;
        let (described, parameters) = answers.split_at(keys.len());
        let theirs: Vec<&Value> =
            described.iter().map(|said| &said["KeyMetadata"]).filter(|key| key["KeyManager"] == "CUSTOMER").collect();
        // One that is being deleted isn't asked for its rotation: KMS refuses that.
        let alive = theirs.iter().filter(|key| key["KeyState"] == "Enabled");
        let alive: Vec<String> = alive.map(|key| text(&key["KeyId"])).collect::<Result<_>>()?;
        let rotation: Vec<Ask> = alive.iter().map(key("get_key_rotation_status")).collect();
        let rotation = stand_in.ask(&rotation).await?;
        let rotated = |id: &Value| {
            let at = alive.iter().position(|other| *id == **other);
            at.is_some_and(|at| rotation[at]["KeyRotationEnabled"] == true)
        };
        for key in theirs {
            let named = rows(aliases).filter(|alias| alias["TargetKeyId"] == key["KeyId"]);
            self.keys.push(Key {
                arn: text(&key["Arn"])?,
                state: text(&key["KeyState"])?,
                rotated: rotated(&key["KeyId"]),
                aliases: named.map(|alias| text(&alias["AliasName"])).collect::<Result<_>>()?,
            });
        }
        for (name, said) in groups.iter().zip(parameters) {
            let set = rows(&said["Parameters"]).map(parameter).collect::<Result<_>>()?;
            self.parameter_groups.push(ParameterGroup { name: name.clone(), set });
        }
        Ok(())
    }

    /// Everything by name, with the word for what it is.
    pub fn names(&self) -> BTreeSet<String> {
        let of = |kind: &str, name: &String| format!("{kind} {name}");
        let keys = self.keys.iter().map(|key| format!("key {} ({})", key.aliases.join(", "), key.state));
        let groups = self.parameter_groups.iter().map(|group| of("parameter group", &group.name));
        let options = self.option_groups.iter().map(|name| of("option group", name));
        let instances = self.instances.iter().map(|it| format!("instance {} ({})", it.identifier, it.status));
        let snapshots = self.snapshots.iter().map(|it| format!("{} snapshot {}", it.kind, it.identifier));
        let secrets = self.secrets.iter().map(|name| of("secret", name));
        let parameters = self.parameters.iter().map(|name| of("parameter", name));
        let network = self.network.names();
        keys.chain(groups)
            .chain(options)
            .chain(instances)
            .chain(snapshots)
            .chain(secrets)
            .chain(parameters)
            .chain(network)
            .collect()
    }

    /// An instance of this identifier.
    pub fn instance(&self, identifier: &str) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.identifier == identifier)
    }
}

pub(super) fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn names(list: &Value, field: &str) -> Result<Vec<String>> {
    rows(list).map(|row| text(&row[field])).collect()
}

fn parameter(row: &Value) -> Result<(String, String)> {
    Ok((text(&row["ParameterName"])?, row["ParameterValue"].as_str().unwrap_or_default().to_owned()))
}

fn instance(row: &Value) -> Result<Instance> {
    let group = &row["DBParameterGroups"][0];
    let encrypted = row["StorageEncrypted"] == true;
    Ok(Instance {
        identifier: text(&row["DBInstanceIdentifier"])?,
        status: text(&row["DBInstanceStatus"])?,
        key: if encrypted { Some(text(&row["KmsKeyId"])?) } else { None },
        group: text(&group["DBParameterGroupName"])?,
        applied: text(&group["ParameterApplyStatus"])?,
        tags: rows(&row["TagList"]).map(|tag| Ok((text(&tag["Key"])?, text(&tag["Value"])?))).collect::<Result<_>>()?,
    })
}

fn snapshot(row: &Value) -> Result<Snapshot> {
    Ok(Snapshot {
        identifier: text(&row["DBSnapshotIdentifier"])?,
        status: text(&row["Status"])?,
        kind: text(&row["SnapshotType"])?,
    })
}
