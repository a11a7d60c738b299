//! What a run cost Temporal: events and the largest payload, read by Temporal's own command line.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;
use tokio::process::Command;

use crate::stack::{StackInfo, temporal};

/// Figures of a workflow's history.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HistorySize {
    /// Events of the last run.
    pub events: u64,
    /// Bytes of its JSON.
    pub bytes: u64,
    /// Bytes of its largest payload.
    pub largest_payload: u64,
}

/// The whole history as Temporal's command line prints it.
pub async fn show(info: &StackInfo, migration: &str) -> Result<String> {
    let server = info.temporal.as_ref().context("the stack has no Temporal")?;
    let id = format!("changeover/migration/{migration}");
    let mut command = Command::new(temporal::find_cli()?);
    command.args(["workflow", "show", "--workflow-id", &id, "--output", "json", "--address", &server.address()]);
    let output = tokio::time::timeout(Duration::from_secs(60), command.kill_on_drop(true).output()).await??;
    if !output.status.success() {
        bail!("`temporal workflow show` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Measures a history.
pub async fn measure(info: &StackInfo, migration: &str) -> Result<HistorySize> {
    let text = show(info, migration).await?;
    let history: Value = serde_json::from_str(&text).context("parsing the history")?;
    let events = history["events"].as_array().map_or(0, Vec::len) as u64;
    Ok(HistorySize { events, bytes: text.len() as u64, largest_payload: largest_payload(&history) })
}

/// What a payload of a history holds; nothing where it is none.
pub fn payload(value: &Value) -> Vec<u8> {
    base64(value["data"].as_str().unwrap_or_default())
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for digit in text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte)) {
        bits = bits << 6 | u32::try_from(digit).unwrap_or_default();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    bytes
}

fn largest_payload(value: &Value) -> u64 {
    match value {
        // A payload has metadata and base64 data.
        Value::Object(map) if map.contains_key("metadata") && map.contains_key("data") => {
            map["data"].as_str().map_or(0, |data| data.len() as u64 * 3 / 4)
        }
        Value::Object(map) => map.values().map(largest_payload).max().unwrap_or(0),
        Value::Array(list) => list.iter().map(largest_payload).max().unwrap_or(0),
        _ => 0,
    }
}
