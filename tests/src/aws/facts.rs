//! What the demo and the tests ask for by themselves: published endpoints, secrets, calls by number.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use super::{StandIn, accounts::text};
use crate::{scenario::NAME, stack::Side};

/// A version of a parameter of Parameter Store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its number.
    pub version: u64,
    /// `SecureString` …
    pub kind: String,
    /// The key that it is encrypted with.
    pub key: String,
    /// What it says.
    pub value: String,
    /// Its labels.
    pub labels: Vec<String>,
}

/// All versions of a parameter of the target's account, the oldest first; none where there is no such parameter.
pub async fn versions(stand_in: &StandIn, name: &str) -> Result<Vec<Version>> {
    let of_name = json!({ "ParameterFilters": [{ "Key": "Name", "Values": [name] }] });
    let there = stand_in.ask_one(Side::Target, "ssm", "describe_parameters", of_name).await?;
    if there["Parameters"].as_array().is_none_or(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let fields = json!({ "Name": name, "WithDecryption": true });
    let said = stand_in.ask_one(Side::Target, "ssm", "get_parameter_history", fields).await?;
    said["Parameters"].as_array().into_iter().flatten().map(version).collect()
}

fn version(row: &Value) -> Result<Version> {
    let labels = row["Labels"].as_array().into_iter().flatten();
    Ok(Version {
        version: row["Version"].as_u64().context("a version has no number")?,
        kind: text(&row["Type"])?,
        key: row["KeyId"].as_str().unwrap_or_default().to_owned(),
        value: text(&row["Value"])?,
        labels: labels.map(text).collect::<Result<_>>()?,
    })
}

/// The password that Changeover made for the target's master: to be looked for where it mustn't be.
pub async fn master_password(stand_in: &StandIn) -> Result<String> {
    let id = json!({ "SecretId": format!("changeover/{NAME}/master-user") });
    let said = stand_in.ask_one(Side::Target, "secretsmanager", "get_secret_value", id).await?;
    let value = text(&said["SecretString"])?;
    let parsed: Value = serde_json::from_str(&value).unwrap_or(Value::Null);
    Ok(parsed["password"].as_str().map_or(value, str::to_owned))
}

/// How often Changeover has called what, and how often that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CallCount {
    /// Answered as asked.
    pub done: u64,
    /// Refused, with the codes.
    pub refused: BTreeMap<String, u64>,
}

/// By `side: service Action`, as the stand-in has logged it: calls by the roles' sessions, which are Changeover's alone.
pub async fn call_counts(stand_in: &StandIn) -> Result<BTreeMap<String, CallCount>> {
    let log = stand_in.control("calls?since=0", None).await?;
    let mut counts: BTreeMap<String, CallCount> = BTreeMap::new();
    for call in log.as_array().into_iter().flatten() {
        let field = |name: &str| call[name].as_str().unwrap_or_default();
        if !field("principal").contains(":assumed-role/") {
            continue;
        }
        let side = if field("account") == stand_in.account(Side::Source).id { Side::Source } else { Side::Target };
        let count = counts.entry(format!("{}: {} {}", side.name(), field("service"), field("action"))).or_default();
        match field("code") {
            "" => count.done += 1,
            code => *count.refused.entry(code.to_owned()).or_default() += 1,
        }
    }
    Ok(counts)
}
