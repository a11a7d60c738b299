//! Who may write where: every application login that writes tries it on a side, within a transaction that isn't committed.

use crate::{
    sample,
    stack::{
        Side, StackInfo,
        connect::{self, Login},
    },
};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a try to write came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The server took the write.
    Wrote,
    /// The server refused it, with this SQLSTATE.
    Refused(String),
    /// No server answered, so it isn't known.
    Unknown(String),
}

/// One login's try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// The login.
    pub login: String,
    /// The database.
    pub database: String,
    /// What came of it.
    pub answer: Answer,
}

/// A login, its database, and a statement that touches no row: the right to write is checked, and statement triggers fire.
const TRIES: [(&str, &str, &str); 6] = [
    ("shop_app", "shop", "delete from workload.handed_out where false"),
    ("shop_bot", "shop", "update bank.account set balance = balance where false"),
    ("shop_lead", "shop", "update bank.account set balance = balance where false"),
    ("shop_owner", "shop", "delete from workload.journal where false"),
    ("billing_app", "billing", "delete from billing.transfer where false"),
    ("billing_owner", "billing", "delete from billing.message where false"),
];
/// Longer than any fence that is meant to end by itself.
const DEADLINE: Duration = Duration::from_secs(10);

/// Tries all of them on one side, one after the other.
pub async fn who_writes(info: &StackInfo, side: Side) -> Result<Vec<Try>> {
    let mut tries = Vec::new();
    for (login, database, sql) in TRIES {
        let answer = tokio::time::timeout(DEADLINE, attempt(info, side, login, database, sql))
            .await
            .unwrap_or_else(|_| Ok(Answer::Unknown(format!("no answer within {DEADLINE:?}"))))?;
        tries.push(Try { login: login.to_owned(), database: database.to_owned(), answer });
    }
    Ok(tries)
}

async fn attempt(info: &StackInfo, side: Side, user: &str, database: &str, sql: &str) -> Result<Answer> {
    let login = Login {
        port: info.cluster(side).port,
        database,
        user,
        password: &sample::password(user),
        application_name: "changeover-probe",
    };
    let client = match connect::as_login(login, &connect::tls(&info.ca)?).await {
        Ok(client) => client,
        Err(error) => return said(&error),
    };
    let sql = format!("begin; set local lock_timeout = '8s'; {sql}; rollback");
    match client.batch_execute(&sql).await.context("trying to write") {
        Ok(()) => Ok(Answer::Wrote),
        Err(error) => said(&error),
    }
}

/// A server that says why has refused; all else tells nothing.
fn said(error: &anyhow::Error) -> Result<Answer> {
    let state = error.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    Ok(match state.map(tokio_postgres::error::SqlState::code) {
        // Starting up, shutting down, a lock that wasn't had: the state will be another one soon.
        Some(code) if code.starts_with("57P") || code == "55P03" => Answer::Unknown(code.to_owned()),
        Some(code) => Answer::Refused(code.to_owned()),
        None => Answer::Unknown(format!("{error:#}")),
    })
}
