//! Whether both sides have the same schema, by comparing their dumps entry by entry.

use std::collections::{BTreeMap, BTreeSet};

use changeover_domain::{Failure, Ident, Side};

use super::{dump, facts, phase, toc::Entry};
use crate::{Migration, membership};

/// At most so many differences are named.
const MOST: usize = 50;

/// In what the sides differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Objects that differ and must not.
    pub objects: Vec<String>,
    /// Rights on the server's own objects, which only a superuser may give: for a person to read.
    pub server_rights: Vec<String>,
}

/// The objects in which the sides differ, apart from what is meant to: states of triggers that fire on apply, what Changeover
/// and pglogical made, rights of the replication login, publications and event triggers (the restore reports those).
///
/// Between different major versions only the objects' names, kinds and owners are compared: their dumps are worded differently.
pub async fn run(migration: &Migration) -> Result<Differences, Failure> {
    let mut all = Differences::default();
    for database in migration.databases() {
        let source = migration.source.open(&database.name, "compare").await?;
        let target = migration.target.open(&database.name, "compare").await?;
        let by_name = major(&source).await? != major(&target).await?;
        let keys = phase::Keys::new(&facts::read(&source).await?);
        let repl = Ident::new(&*migration.replication_user).to_string();
        let mut sides = Vec::new();
        for side in [Side::Source, Side::Target] {
            let mut entries = dump::schema(migration, side, &database.name).await?.entries;
            entries.retain(|entry| is_restored(entry, &keys));
            let (server, own): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(is_server_right);
            let user = &migration.replication_user;
            sides.push((index(&own, user, &repl, by_name), index(&server, user, &repl, by_name)));
        }
        let [(own, server), (own_target, server_target)] = &sides[..] else { continue };
        let named =
            |texts: Vec<String>| texts.into_iter().map(|text| format!("{}: {text}", database.name)).collect::<Vec<_>>();
        all.objects.extend(named(compare(own, own_target)));
        all.server_rights.extend(named(compare(server, server_target)));
    }
    all.objects.truncate(MOST);
    all.server_rights.truncate(MOST);
    Ok(all)
}

async fn major(session: &crate::Session) -> Result<i32, Failure> {
    Ok(membership::server_version(&**session, session.side).await? / 10_000)
}

type Index = BTreeMap<String, BTreeSet<String>>;

fn index(entries: &[Entry], repl: &str, quoted: &str, by_name: bool) -> Index {
    let mut index = Index::new();
    for entry in entries {
        let text = normal(entry, repl, quoted);
        if text.is_empty() {
            continue;
        }
        let name = format!("{} (owner {})", entry.title(), entry.owner.as_deref().unwrap_or("none"));
        index.entry(name).or_default().insert(if by_name { String::new() } else { text });
    }
    index
}

/// Not Changeover's own, and not what the restore may have passed over, which its report says.
fn is_restored(entry: &Entry, keys: &phase::Keys) -> bool {
    let passed_over = entry.kind.starts_with("PUBLICATION")
        || entry.kind == "EVENT TRIGGER"
        || ["EXTENSION ", "EVENT TRIGGER ", "PUBLICATION "].iter().any(|kind| entry.tag.starts_with(kind));
    !passed_over && matches!(phase::phase(entry, keys), phase::Phase::BeforeData | phase::Phase::AfterData)
}

fn is_server_right(entry: &Entry) -> bool {
    entry.is_acl() && (entry.schema.as_deref() == Some("pg_catalog") || entry.tag.starts_with("LANGUAGE "))
}

/// An entry's statements without what is meant to differ.
fn normal(entry: &Entry, repl: &str, quoted: &str) -> String {
    let meant = |line: &str| match entry.kind.as_str() {
        "TRIGGER" | "CONSTRAINT TRIGGER" => line.starts_with("ALTER TABLE ") && line.contains(" TRIGGER "),
        "ACL" => {
            let rest = line.strip_suffix(';').unwrap_or(line);
            rest.ends_with(&format!(" TO {repl}")) || rest.ends_with(&format!(" TO {quoted}"))
        }
        _ => false,
    };
    let lines: Vec<&str> = entry.sql.lines().filter(|line| !meant(line)).collect();
    let mut lines: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    if entry.is_acl() {
        // pg_dump writes the grants in the order in which they were made
        lines.sort_unstable();
    }
    lines.join("\n")
}

fn compare(source: &Index, target: &Index) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, texts) in source {
        match target.get(name) {
            None => differences.push(format!("{name} is not on the target")),
            Some(found) if found != texts => differences.push(format!("{name} is another on the target")),
            Some(_) => {}
        }
    }
    differences.extend(
        target.keys().filter(|name| !source.contains_key(*name)).map(|name| format!("{name} is not on the source")),
    );
    differences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::toc::{Id, Section};

    fn entry(kind: &str, tag: &str, sql: &str) -> Entry {
        Entry {
            id: Id { entry: 1, class: 0, oid: 0 },
            kind: kind.into(),
            tag: tag.into(),
            schema: Some("s".into()),
            owner: Some("o".into()),
            section: Section::PreData,
            setup: String::new(),
            sql: sql.into(),
        }
    }

    fn differences(source: &[Entry], target: &[Entry]) -> Vec<String> {
        compare(&index(source, "repl", "\"repl\"", false), &index(target, "repl", "\"repl\"", false))
    }

    #[test]
    fn what_is_meant_to_differ_does_not_count() {
        let source = [
            entry("TRIGGER", "t x", "CREATE TRIGGER x;\n\nALTER TABLE s.t ENABLE ALWAYS TRIGGER x;"),
            entry("ACL", "TABLE t", "GRANT SELECT ON TABLE s.t TO a;\nGRANT SELECT ON TABLE s.t TO repl;"),
        ];
        let target =
            [entry("TRIGGER", "t x", "CREATE TRIGGER x;"), entry("ACL", "TABLE t", "GRANT SELECT ON TABLE s.t TO a;")];
        assert!(differences(&source, &target).is_empty());
    }

    #[test]
    fn every_other_difference_is_found() {
        let source = [
            entry("TABLE", "a", "1"),
            entry("TABLE", "b", "1"),
            entry("ACL", "TABLE t", "GRANT SELECT ON TABLE s.t TO a;"),
        ];
        let target = [entry("TABLE", "a", "2"), entry("TABLE", "c", "1")];
        let expected = [
            "ACL s.TABLE t (owner o) is not on the target",
            "TABLE s.a (owner o) is another on the target",
            "TABLE s.b (owner o) is not on the target",
            "TABLE s.c (owner o) is not on the source",
        ];
        assert_eq!(differences(&source, &target), expected);
    }
}
