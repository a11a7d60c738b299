//! Compares what is not rows: columns, constraints, indexes, triggers, sequences, functions, owners and rights.

use std::collections::BTreeMap;

use changeover_domain::Failure;

use super::{pair::Pair, progress::Progress, reader::Reader};
use crate::Migration;

const STRUCTURE_SQL: &str = include_str!("../../sql/verify_structure.sql");

/// Compares both sides and reports each object that differs, by its name.
pub(super) async fn compare(
    migration: &Migration,
    pair: &Pair<'_>,
    progress: &mut Progress<'_>,
) -> Result<(), Failure> {
    let (one, other) = tokio::try_join!(major(&pair.provider), major(&pair.subscriber))?;
    // Versions write the same definition differently; between them only the names are compared.
    let sql = statement(one == other);
    let passing: Vec<&str> =
        vec![&migration.replication_user, &migration.source.address.user, &migration.target.address.user];
    let (ours, theirs) = tokio::try_join!(
        read(&pair.provider, &sql, &passing, &pair.not_ours),
        read(&pair.subscriber, &sql, &passing, &pair.not_ours)
    )?;
    for problem in differences(&ours, &theirs, pair.subscriber.side().word()) {
        progress.difference(format!("{}: {problem}", pair.database));
    }
    Ok(())
}

type Objects = BTreeMap<(String, String), String>;

fn differences(ours: &Objects, theirs: &Objects, subscriber: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for ((kind, object), definition) in ours {
        match theirs.get(&(kind.clone(), object.clone())) {
            Some(other) if other == definition => {}
            Some(_) => problems.push(format!("{kind} {object}: differs")),
            None => problems.push(format!("{kind} {object}: missing on the {subscriber}")),
        }
    }
    let extra = theirs.keys().filter(|name| !ours.contains_key(name));
    problems.extend(extra.map(|(kind, object)| format!("{kind} {object}: only on the {subscriber}")));
    problems
}

/// The statement; without `definitions` the expressions that a version may write in its own way are left out.
fn statement(definitions: bool) -> String {
    const MARK: &str = "{definition:";
    let mut sql = String::with_capacity(STRUCTURE_SQL.len());
    let mut rest = STRUCTURE_SQL;
    while let Some((before, after)) = rest.split_once(MARK) {
        let (expression, behind) = after.split_once('}').unwrap_or((after, ""));
        sql.push_str(before);
        sql.push_str(if definitions { expression } else { "''" });
        rest = behind;
    }
    sql.push_str(rest);
    sql
}

async fn major(reader: &Reader) -> Result<i32, Failure> {
    let failed = reader.session.failed("reading the version");
    let row = reader
        .session
        .query_one("select current_setting('server_version_num')::int4 / 10000", &[])
        .await
        .map_err(failed)?;
    Ok(row.get(0))
}

async fn read(reader: &Reader, sql: &str, passing: &[&str], not_ours: &[String]) -> Result<Objects, Failure> {
    let failed = reader.session.failed("reading the schema");
    let rows = reader.session.query(sql, &[&passing, &not_ours]).await.map_err(failed)?;
    Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), row.get::<_, Option<String>>(2).unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_with_and_without_definitions_has_no_mark_left() {
        for definitions in [true, false] {
            let sql = statement(definitions);
            assert!(!sql.contains("{definition"), "{sql}");
            assert_eq!(sql.contains("pg_get_constraintdef"), definitions);
        }
    }

    #[test]
    fn each_object_is_named_once() {
        let object = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
        let ours = Objects::from([
            (object("column", "a.b"), "x".into()),
            (object("index", "a.i"), "x".into()),
            (object("type", "t"), "x".into()),
        ]);
        let theirs = Objects::from([
            (object("column", "a.b"), "y".into()),
            (object("type", "t"), "x".into()),
            (object("index", "a.j"), "x".into()),
        ]);
        let expected = ["column a.b: differs", "index a.i: missing on the target", "index a.j: only on the target"];
        assert_eq!(differences(&ours, &theirs, "target"), expected);
    }
}
