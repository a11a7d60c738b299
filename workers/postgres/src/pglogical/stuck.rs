//! Why a subscription stands still, as far as it can be seen without the server's log: whether the other server lets the
//! replication login in, and which change comes next.
//!
//! pglogical writes the error of an apply into the subscriber's log alone, and RDS shows not even that at once. But its slot,
//! which nobody reads while the worker is down, can be peeked: the first transaction that the subscriber hasn't applied is the one
//! that it fails at. Of its rows only the keys leave the server.

use changeover_domain::{Direction, Failure, Ident, QualifiedName, names::HOME};

use super::{set_names, status::Subscription};
use crate::{Migration, Session, connect};

/// How long the slot may be peeked: its first transaction may be a huge one.
const PEEK: &str = "set statement_timeout = '5s'";
const NO_LIMIT: &str = "set statement_timeout = 0";

/// Lets a session of a person pass the DDL guard.
const PASS: &str = "set application_name = 'changeover/by hand';";

/// One change of the next transaction.
struct Change {
    action: String,
    schema: String,
    name: String,
    columns: Vec<String>,
    key: Option<String>,
}

impl Change {
    fn table(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
    fn sql(&self) -> String {
        QualifiedName::new(&*self.schema, &*self.name).to_string()
    }
    fn describe(&self) -> String {
        let what = match self.action.as_str() {
            "I" => "an insert into",
            "U" => "an update of",
            "D" => "a delete from",
            _ => "a TRUNCATE of",
        };
        let key = self.key.as_ref().map_or_else(String::new, |key| format!(" ({key})"));
        format!("{what} {}{key}", self.table())
    }
}

/// What a subscription that is down waits for, in words with a remedy; nothing when nothing is seen.
pub(super) async fn why(
    migration: &Migration,
    direction: Direction,
    provider: &Session,
    subscriber: &Session,
    found: &Subscription,
) -> Result<Vec<String>, Failure> {
    if let Some(refused) = login_refused(migration, direction, &provider.database).await {
        return Ok(vec![refused]);
    }
    let changes = match next(migration, provider, subscriber, &found.slot).await {
        Ok(changes) => changes,
        // Its reader has come back meanwhile.
        Err(failure) if failure.sqlstate.as_deref() == Some("55006") => return Ok(Vec::new()),
        Err(failure) => {
            return Ok(vec![format!("{} what it stands before can't be seen: {}", failure.code, failure.message)]);
        }
    };
    let Some(first) = changes.first() else { return Ok(Vec::new()) };
    let among = if changes.len() > 1 {
        format!(", one of {} changes of its transaction", changes.len())
    } else {
        String::new()
    };
    for change in &changes {
        if let Some(reason) = reason(provider, subscriber, change).await? {
            let what = change.describe();
            return Ok(vec![format!("CO0521 the {} can't apply {what}{among}: {reason}", subscriber.side)]);
        }
    }
    if first.schema == HOME {
        // Our own canary: no row of the application is in the way.
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "CO0521 the {side} stands still before {}{among}; why stands in the {side}'s server log alone (ERROR of \"{}\"): a constraint, a trigger or a type there may not take it",
        first.describe(),
        found.worker_name(),
        side = subscriber.side
    )])
}

/// The words with which the provider turns the replication login away, seen from the worker.
async fn login_refused(migration: &Migration, direction: Direction, database: &str) -> Option<String> {
    let mut address = migration.provider(direction).address.clone();
    address.user.clone_from(&migration.replication_user);
    address.password = migration.replication_password.clone();
    let refused = connect::open(&address, database, &migration.id.application_name("health")).await.err()?;
    Some(format!(
        "{} the replication login {} can't enter the {}: {}; {}",
        refused.code, migration.replication_user, address.side, refused.message, refused.remedy
    ))
}

/// The first transaction that the subscriber hasn't applied.
async fn next(
    migration: &Migration,
    provider: &Session,
    subscriber: &Session,
    slot: &str,
) -> Result<Vec<Change>, Failure> {
    let row = subscriber
        .query_opt(
            "select pg_catalog.pg_replication_origin_progress(o.roname, false)::text
               from pg_catalog.pg_replication_origin o where o.roname = $1",
            &[&slot],
        )
        .await
        .map_err(subscriber.failed("reading the applied position"))?;
    let applied: String = row.and_then(|row| row.get(0)).unwrap_or_else(|| "0/0".to_owned());
    provider.batch_execute(PEEK).await.map_err(provider.failed("limiting a look at a slot"))?;
    let rows = provider
        .query(include_str!("../../sql/pglogical_next.sql"), &[&slot, &set_names(migration).join(","), &applied])
        .await
        .map_err(provider.failed("peeking a slot"));
    provider.batch_execute(NO_LIMIT).await.map_err(provider.failed("unlimiting a session"))?;
    Ok(rows?
        .iter()
        .map(|row| Change {
            action: row.get("action"),
            schema: row.get("schema"),
            name: row.get("name"),
            columns: row.get("columns"),
            key: row.get("key"),
        })
        .collect())
}

/// What of the subscriber's table doesn't fit a change, with the remedy.
async fn reason(provider: &Session, subscriber: &Session, change: &Change) -> Result<Option<String>, Failure> {
    let row = subscriber
        .query_one(include_str!("../../sql/pglogical_fits.sql"), &[&change.schema, &change.name, &change.columns])
        .await
        .map_err(subscriber.failed("looking whether a change fits"))?;
    let (there, missing, referenced): (bool, Vec<String>, Vec<String>) =
        (row.get("there"), row.get("missing"), row.get("referenced_by"));
    if !there {
        return Ok(Some(format!("the {} has no such table; make it as it is on the other side", subscriber.side)));
    }
    if let Some(column) = missing.first() {
        let table = change.sql();
        let statement = match column_definition(provider, change, column).await? {
            Some(definition) => format!("{PASS} alter table {table} add column {definition};"),
            None => format!(
                "{PASS} alter table {table} add column {} …; of the type that it had (the {} has it no more), and drop it once replication has gone on",
                Ident::new(column),
                provider.side
            ),
        };
        return Ok(Some(format!(
            "its column {column} isn't on the {}; add it there, as the table's owner: {statement}",
            subscriber.side
        )));
    }
    if change.action == "T" && !referenced.is_empty() {
        return Ok(Some(format!(
            "foreign keys of other tables refer to it, and pglogical truncates one table at a time; on the {}, as the tables' owner: {PASS} {} and make them again as they were, NOT VALID and then VALIDATE CONSTRAINT, once replication has gone on",
            subscriber.side,
            referenced.join(" ")
        )));
    }
    Ok(None)
}

/// A column as it is on the provider; `None` when it isn't there any more.
async fn column_definition(provider: &Session, change: &Change, column: &str) -> Result<Option<String>, Failure> {
    let row = provider
        .query_opt(
            "select pg_catalog.format('%I %s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod))
               from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where n.nspname = $1 and c.relname = $2 and a.attname = $3 and not a.attisdropped",
            &[&change.schema, &change.name, &column],
        )
        .await
        .map_err(provider.failed("looking at a column"))?;
    Ok(row.map(|row| row.get(0)))
}
