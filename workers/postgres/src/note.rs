//! Notes: what an activity made or found, kept in `changeover.note` in the same transaction as the change itself, so that undo
//! touches nothing else.

use changeover_domain::{Failure, Side};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio_postgres::GenericClient;

use crate::error;

/// Writes a note, over an older one of the same key.
pub async fn put(
    client: &impl GenericClient,
    side: Side,
    key: &str,
    value: &(impl Serialize + Sync),
) -> Result<(), Failure> {
    let value = encode(key, value)?;
    let sql = "insert into changeover.note (key, value) values ($1, $2) \
               on conflict (key) do update set value = excluded.value, at = clock_timestamp()";
    client.execute(sql, &[&key, &value]).await.map(drop).map_err(|e| error::failure(side, "writing a note", &e))
}

/// Writes a note unless there is one already: for what was found before the first change.
pub async fn put_once(
    client: &impl GenericClient,
    side: Side,
    key: &str,
    value: &(impl Serialize + Sync),
) -> Result<(), Failure> {
    let value = encode(key, value)?;
    let sql = "insert into changeover.note (key, value) values ($1, $2) on conflict (key) do nothing";
    client.execute(sql, &[&key, &value]).await.map(drop).map_err(|e| error::failure(side, "writing a note", &e))
}

/// Reads a note.
pub async fn get<T: DeserializeOwned>(
    client: &impl GenericClient,
    side: Side,
    key: &str,
) -> Result<Option<T>, Failure> {
    let row = client
        .query_opt("select value from changeover.note where key = $1", &[&key])
        .await
        .map_err(|e| error::failure(side, "reading a note", &e))?;
    row.map(|row| decode(key, row.get(0))).transpose()
}

/// The keys that begin with `prefix`, without it, in order.
pub async fn keys(client: &impl GenericClient, side: Side, prefix: &str) -> Result<Vec<String>, Failure> {
    let rows = client
        .query(
            "select substr(key, length($1) + 1) from changeover.note where starts_with(key, $1) order by key",
            &[&prefix],
        )
        .await
        .map_err(|e| error::failure(side, "reading notes", &e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Removes a note; none is fine.
pub async fn forget(client: &impl GenericClient, side: Side, key: &str) -> Result<(), Failure> {
    client
        .execute("delete from changeover.note where key = $1", &[&key])
        .await
        .map(drop)
        .map_err(|e| error::failure(side, "removing a note", &e))
}

/// Removes all notes whose key begins with `prefix`.
pub async fn forget_all(client: &impl GenericClient, side: Side, prefix: &str) -> Result<(), Failure> {
    client
        .execute("delete from changeover.note where starts_with(key, $1)", &[&prefix])
        .await
        .map(drop)
        .map_err(|e| error::failure(side, "removing notes", &e))
}

fn encode(key: &str, value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value)
        .map_err(|e| Failure::invariant("CO0401", format!("the note {key} can't be written as JSON: {e}")))
}

fn decode<T: DeserializeOwned>(key: &str, value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|e| {
        let message = format!("the note {key} in changeover.note isn't what this version writes: {e}");
        Failure::needs_human("CO0401", message, "use the version of Changeover that began the migration")
    })
}
