//! What there is to compare: the tables of both sides, their keys, and whether both sides order those alike.

use std::collections::BTreeMap;

use changeover_domain::{Failure, Ident, QualifiedName};
use tokio_postgres::Row;

use super::{
    pair::Pair,
    reader::Reader,
    statements::{Hash, KeyColumn, Shape},
};

const TABLES_SQL: &str = include_str!("../../sql/verify_tables.sql");

/// How a table is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// Chunks by ranges of its key, which both sides order alike.
    Chunks,
    /// One ordered stream of keys and hashes per side: it has a key, but nobody can promise that both sides order it alike.
    Ordered,
    /// It has no key: the numbers of equal rows are compared.
    Multiset,
}

/// A table on both sides.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) shape: Shape,
    pub(super) method: Method,
    /// Bytes per row as the provider's statistics have it.
    pub(super) bytes_per_row: u64,
}

impl Table {
    /// The key's column names, for people.
    pub(super) fn key_columns(&self) -> Vec<String> {
        self.shape.key.iter().map(|k| k.name.raw().to_owned()).collect()
    }
}

/// What is on both sides, and what isn't.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// In the order of their names.
    pub(super) common: Vec<Table>,
    /// One sentence per table that is on one side only, or has other columns there.
    pub(super) problems: Vec<String>,
}

struct Found {
    name: QualifiedName,
    columns: Vec<String>,
    key: Vec<KeyColumn>,
    orders: Vec<Option<String>>,
    bytes_per_row: u64,
}

/// Reads the tables of both sides and pairs them by name.
pub(super) async fn tables(pair: &Pair<'_>) -> Result<Tables, Failure> {
    let (subscriber, hash) = (&pair.subscriber, pair.hash);
    let (mut theirs, ours) = tokio::try_join!(read(subscriber, &pair.not_ours), read(&pair.provider, &pair.not_ours))?;
    let mut tables = Tables::default();
    for (name, found) in ours {
        match theirs.remove(&name) {
            Some(other) => join(&mut tables, found, &other, hash),
            None => tables.problems.push(format!("table {name}: missing on the {}", subscriber.side())),
        }
    }
    for name in theirs.into_keys() {
        tables.problems.push(format!("table {name}: only on the {}", subscriber.side()));
    }
    Ok(tables)
}

fn join(tables: &mut Tables, found: Found, other: &Found, hash: Hash) {
    let names = |columns: &[String]| columns.iter().cloned().collect::<std::collections::BTreeSet<_>>();
    if names(&found.columns) != names(&other.columns) {
        tables.problems.push(format!("table {}: other columns", found.name.raw()));
        return;
    }
    let alike = found.orders == other.orders
        && found.orders.iter().all(Option::is_some)
        && found.key.iter().map(|k| &k.name).eq(other.key.iter().map(|k| &k.name));
    let method = match (found.key.is_empty(), alike) {
        (true, _) => Method::Multiset,
        (false, true) => Method::Chunks,
        (false, false) => Method::Ordered,
    };
    let columns = found.columns.into_iter().map(Ident::new).collect();
    let shape = Shape { name: found.name, columns, key: found.key, hash };
    tables.common.push(Table { shape, method, bytes_per_row: found.bytes_per_row });
}

async fn read(reader: &Reader, not_ours: &[String]) -> Result<BTreeMap<String, Found>, Failure> {
    let failed = reader.session.failed("reading the list of tables");
    let version: String =
        reader.session.query_one("select current_setting('server_version_num')", &[]).await.map_err(&failed)?.get(0);
    // The function appeared in PostgreSQL 15; without it, only byte-ordered collations are known to be alike.
    let actual = if version.parse().unwrap_or(0) >= 150_000 {
        "pg_catalog.pg_database_collation_actual_version(d.oid)"
    } else {
        "null::text"
    };
    let rows = reader.session.query(&TABLES_SQL.replace("{actual}", actual), &[&not_ours]).await.map_err(failed)?;
    Ok(rows.iter().map(found).map(|f| (f.name.raw(), f)).collect())
}

fn found(row: &Row) -> Found {
    let texts = |name: &str| row.get::<_, Vec<String>>(name);
    let key = texts("key_names")
        .into_iter()
        .zip(texts("key_type_schemas").into_iter().zip(texts("key_types")))
        .zip(texts("key_equals"))
        .map(|((name, (schema, type_name)), equals)| KeyColumn {
            name: Ident::new(name),
            type_name: QualifiedName::new(schema, type_name),
            equals,
        })
        .collect();
    let bytes = row.get::<_, i64>("bytes").unsigned_abs();
    let rows = row.get::<_, i64>("rows").unsigned_abs();
    Found {
        name: QualifiedName::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
        columns: texts("columns"),
        key,
        orders: row.get("key_orders"),
        bytes_per_row: bytes.checked_div(rows).unwrap_or(0),
    }
}
