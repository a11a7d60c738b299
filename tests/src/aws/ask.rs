//! Calls to the stand-in's AWS by somebody else than Changeover: by boto3, with the administrators' keys.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use super::{
    REGION,
    stand_in::{Keys, StandIn, place, python},
};
use crate::stack::Side;

const SCRIPT: &str = include_str!("calls.py");
const DEADLINE: Duration = Duration::from_secs(120);

/// One call: `method` of boto3's client for `service`.
#[derive(Clone, Debug)]
pub struct Ask {
    side: Side,
    service: &'static str,
    method: &'static str,
    fields: Value,
}

impl Ask {
    /// In a side's account.
    pub fn new(side: Side, service: &'static str, method: &'static str, fields: Value) -> Self {
        Self { side, service, method, fields }
    }
}

impl StandIn {
    /// Makes the calls one after another and returns what they answered. The first that is refused fails all.
    pub async fn ask(&self, calls: &[Ask]) -> Result<Vec<Value>> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let said = self.boto3(calls).await?;
        let Value::Array(answers) = serde_json::from_slice(&said).context("parsing boto3's answers")? else {
            anyhow::bail!("boto3's answers aren't a list");
        };
        ensure!(answers.len() == calls.len(), "{} calls have {} answers", calls.len(), answers.len());
        Ok(answers)
    }

    /// One call.
    pub async fn ask_one(
        &self,
        side: Side,
        service: &'static str,
        method: &'static str,
        fields: Value,
    ) -> Result<Value> {
        Ok(self.ask(&[Ask::new(side, service, method, fields)]).await?.remove(0))
    }

    async fn boto3(&self, calls: &[Ask]) -> Result<Vec<u8>> {
        let names: Vec<&str> = calls.iter().map(|call| call.method).collect();
        let mut child = Command::new(python()?)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting Python")?;
        let mut input = child.stdin.take().context("Python has no standard input")?;
        input.write_all(self.asked(calls).to_string().as_bytes()).await.context("telling boto3 what to call")?;
        drop(input);
        let output = tokio::time::timeout(DEADLINE, child.wait_with_output())
            .await
            .with_context(|| format!("{names:?} took longer than {DEADLINE:?}"))??;
        ensure!(output.status.success(), "{names:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(output.stdout)
    }

    fn asked(&self, calls: &[Ask]) -> Value {
        let keys = |Keys { access_key_id, secret_access_key, .. }: &Keys| json!({ "aws_access_key_id": access_key_id, "aws_secret_access_key": secret_access_key });
        let call = |Ask { side, service, method, fields }: &Ask| json!({ "account": place(*side), "service": service, "method": method, "fields": fields });
        json!({
            "endpoint": self.endpoint, "region": REGION,
            "accounts": self.accounts.iter().map(keys).collect::<Vec<_>>(),
            "calls": calls.iter().map(call).collect::<Vec<_>>(),
        })
    }
}
