//! What a fence covers: every table and sequence that applications may write.

use changeover_domain::{Failure, QualifiedName, ident::literal};

use tokio_postgres::types::Type;

use crate::{Migration, Session};

const RELATIONS: &str = include_str!("../../sql/switch/relations.sql");
const FINGERPRINT: &str = include_str!("../../sql/switch/fingerprint.sql");

/// A table, a partitioned table or a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) oid: u32,
    pub(crate) name: QualifiedName,
    kind: String,
    /// The migration's login has the rights of its owner.
    pub(crate) ours: bool,
    pub(crate) owner: u32,
    pub(crate) owner_name: String,
}

impl Relation {
    pub(crate) fn is_sequence(&self) -> bool {
        self.kind == "S"
    }
    /// A table, but not a partitioned one.
    pub(crate) fn holds_rows(&self) -> bool {
        self.kind == "r"
    }
}

/// Lists them, by oid: the order in which the fence locks.
pub(crate) async fn list(migration: &Migration, session: &Session) -> Result<Vec<Relation>, Failure> {
    let rows = session.query(RELATIONS, &[&left_out(migration)]).await.map_err(session.failed("listing relations"))?;
    let relation = |row: &tokio_postgres::Row| Relation {
        oid: row.get(0),
        name: QualifiedName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
        kind: row.get(3),
        ours: row.get(5),
        owner: row.get(4),
        owner_name: row.get(6),
    };
    Ok(rows.iter().map(relation).collect())
}

/// A hash of the relations, their owners and rights, and the roles that log in.
pub(crate) async fn fingerprint(migration: &Migration, session: &Session) -> Result<String, Failure> {
    let failed = session.failed("taking the catalog's fingerprint");
    let rows = session.query_typed(FINGERPRINT, &[(&left_out(migration), Type::TEXT_ARRAY)]).await.map_err(failed)?;
    Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
}

/// A query for how many there are and the sum of their oids, as text: cheap, and another one when a relation came or went.
pub(crate) fn outline_sql(migration: &Migration) -> String {
    let schemas: Vec<String> = left_out(migration).iter().map(|schema| literal(schema)).collect();
    let relations = RELATIONS.trim_end().trim_end_matches(';').replace("$1", &format!("array[{}]", schemas.join(", ")));
    format!("select count(*) || ' ' || coalesce(sum(x.oid::bigint), 0) from (\n{relations}\n) x")
}

/// Schemas of the escalation functions: they belong to the administrator.
pub(crate) fn left_out(migration: &Migration) -> Vec<String> {
    let schema = |escalation: &str| escalation.split_once('.').map(|(schema, _)| schema.to_owned());
    [&migration.source, &migration.target].iter().filter_map(|site| schema(&site.escalation)).collect()
}

/// Names for SQL text, with commas.
pub(crate) fn names<'a>(relations: impl Iterator<Item = &'a Relation>) -> String {
    relations.map(|r| r.name.to_string()).collect::<Vec<_>>().join(", ")
}
