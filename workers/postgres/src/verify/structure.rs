//! Compares what is not rows: columns, constraints, indexes, triggers, sequences, functions, owners and rights.

use std::collections::BTreeMap;

use changeover_domain::{Failure, Side};
use sha2::{Digest, Sha256};

use super::{pair::Pair, progress::Progress};
use crate::{Migration, Session, note};

/// Note on the target: how either side words what isn't worded alike (see [`keep_wording`]). With the notes of the schema, so
/// that it goes when they go.
const WORDING: &str = "schema:wording";
/// Kinds of objects with expressions in their definitions.
const EXPRESSIVE: &[&str] =
    &["column", "table", "view", "materialized view", "constraint", "index", "policy", "trigger", "type"];

const STRUCTURE_SQL: &str = include_str!("../../sql/verify_structure.sql");

/// Compares both sides and reports each object that differs, by its name.
pub(super) async fn compare(
    migration: &Migration,
    pair: &Pair<'_>,
    progress: &mut Progress<'_>,
) -> Result<(), Failure> {
    let (provider, subscriber) = (&pair.provider.session, &pair.subscriber.session);
    let (ours, theirs) = read_both(migration, provider, subscriber, &pair.not_ours).await?;
    let wording: Wording = note::get(&**pair.target(), Side::Target, WORDING).await?.unwrap_or_default();
    let known = |name: &Name, ours: &str, theirs: &str| {
        let (source, target) = if provider.side == Side::Source { (ours, theirs) } else { (theirs, ours) };
        wording.get(&spoken(name)).is_some_and(|(s, t)| *s == digest(source) && *t == digest(target))
    };
    for problem in differences(&ours, &theirs, known, subscriber.side.word()) {
        progress.difference(format!("{}: {problem}", pair.database));
    }
    Ok(())
}

/// Remembers on the target how either side words the definitions that aren't worded alike. To be called when both sides are known
/// to have the same schema: a server words an expression by how it was made, and one that came by a dump was made otherwise.
///
/// # Errors
/// Those of the connections.
pub async fn keep_wording(migration: &Migration) -> Result<(), Failure> {
    for database in migration.databases() {
        let source = migration.source.open(&database.name, "verify").await?;
        let target = migration.target.open(&database.name, "verify").await?;
        let not_ours = not_ours(migration);
        let (ours, theirs) = read_both(migration, &source, &target, &not_ours).await?;
        note::put(&*target, Side::Target, WORDING, &wording(&ours, &theirs)).await?;
    }
    Ok(())
}

/// Schemas that are nobody's application: those of tools, the same ones that preflight leaves out.
pub(super) fn not_ours(migration: &Migration) -> Vec<String> {
    changeover_domain::preflight::tool_schemas(&migration.spec)
}

/// Kind and name of an object.
type Name = (String, String);
type Objects = BTreeMap<Name, String>;
/// Digests of the definitions on the source and on the target, by object.
type Wording = BTreeMap<String, (String, String)>;

fn wording(source: &Objects, target: &Objects) -> Wording {
    let expressive = source.iter().filter(|((kind, _), _)| EXPRESSIVE.contains(&kind.as_str()));
    expressive
        .filter_map(|(name, ours)| target.get(name).filter(|theirs| *theirs != ours).map(|theirs| (name, ours, theirs)))
        .map(|(name, ours, theirs)| (spoken(name), (digest(ours), digest(theirs))))
        .collect()
}

fn spoken((kind, object): &Name) -> String {
    format!("{kind} {object}")
}

fn digest(definition: &str) -> String {
    Sha256::digest(definition.as_bytes()).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

fn differences(
    ours: &Objects,
    theirs: &Objects,
    known: impl Fn(&Name, &str, &str) -> bool,
    subscriber: &str,
) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, definition) in ours {
        match theirs.get(name) {
            Some(other) if other == definition || known(name, definition, other) => {}
            Some(_) => problems.push(format!("{}: differs", spoken(name))),
            None => problems.push(format!("{}: missing on the {subscriber}", spoken(name))),
        }
    }
    let extra = theirs.keys().filter(|name| !ours.contains_key(name));
    problems.extend(extra.map(|name| format!("{}: only on the {subscriber}", spoken(name))));
    problems
}

async fn read_both(
    migration: &Migration,
    one: &Session,
    other: &Session,
    not_ours: &[String],
) -> Result<(Objects, Objects), Failure> {
    let (first, second) = tokio::try_join!(major(one), major(other))?;
    // Versions write the same definition differently; between them only the names are compared.
    let sql = statement(first == second);
    let passing: Vec<&str> =
        vec![&migration.replication_user, &migration.source.address.user, &migration.target.address.user];
    tokio::try_join!(read(one, &sql, &passing, not_ours), read(other, &sql, &passing, not_ours))
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

async fn major(session: &Session) -> Result<i32, Failure> {
    let sql = "select current_setting('server_version_num')::int4 / 10000";
    let row = session.query_one(sql, &[]).await.map_err(session.failed("reading the version"))?;
    Ok(row.get(0))
}

async fn read(session: &Session, sql: &str, passing: &[&str], not_ours: &[String]) -> Result<Objects, Failure> {
    let rows = session.query(sql, &[&passing, &not_ours]).await.map_err(session.failed("reading the schema"))?;
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
        assert_eq!(differences(&ours, &theirs, |_, _, _| false, "target"), expected);
    }

    #[test]
    fn only_expressions_may_be_worded_otherwise() {
        let object = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
        let one = |text: &str| {
            ["constraint", "owner of table", "sequence values"].map(|kind| (object(kind, "a"), text.to_owned())).into()
        };
        let (source, target): (Objects, Objects) = (one("x"), one("y"));
        let kept = wording(&source, &target);
        assert_eq!(kept, Wording::from([("constraint a".to_owned(), (digest("x"), digest("y")))]));
        assert!(wording(&source, &source).is_empty());
    }
}
