//! Whether both sides have the same schema, by comparing their dumps entry by entry.
//!
//! A server doesn't always word an expression as the dump did that it was made from: a check of a varchar column against a list
//! (`… = ANY ((ARRAY['a'::character varying])::text[])`) comes back with a cast at each element. So an object that holds
//! expressions is also the same when it was made on the target by the very statements that the source's dump has now.

use std::collections::{BTreeMap, BTreeSet};

use changeover_domain::{Failure, Ident, Side};

use super::{dump, facts, phase, toc::Entry};
use crate::{Migration, membership, note};

/// At most so many differences are named.
const MOST: usize = 50;
/// Kinds of entries that hold expressions, and of which no statement passes over something that is there already.
const EXPRESSIVE: &[&str] = &[
    "TABLE",
    "VIEW",
    "MATERIALIZED VIEW",
    "RULE",
    "DEFAULT",
    "INDEX",
    "CONSTRAINT",
    "CHECK CONSTRAINT",
    "POLICY",
    "TRIGGER",
    "CONSTRAINT TRIGGER",
    "DOMAIN",
    "FUNCTION",
    "PROCEDURE",
    "STATISTICS",
    "FOREIGN TABLE",
];

/// In what the sides differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Objects that differ and must not.
    pub objects: Vec<String>,
    /// Rights on the server's own objects, which only a superuser may give: for a person to read.
    pub server_rights: Vec<String>,
    /// Objects made by the source's own statements, which the target's server words in another way.
    pub reworded: Vec<String>,
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
        let facts = facts::read(&source).await?;
        let keys = phase::Keys::new(&facts);
        let repl = Ident::new(&*migration.replication_user).to_string();
        let mut sides = Vec::new();
        let mut made = BTreeSet::new();
        for side in [Side::Source, Side::Target] {
            let mut entries = dump::schema(migration, side, &database.name).await?.entries;
            if side == Side::Source {
                made = made_on_target(&target, &entries, &migration.replication_user, &repl).await?;
            }
            entries.retain(|entry| is_restored(entry, &keys));
            if facts.public_owner_stays {
                forget_owner_of_public(&mut entries);
            }
            let (server, own): (Vec<Entry>, Vec<Entry>) =
                entries.into_iter().partition(|entry| facts.is_server_right(entry));
            let user = &migration.replication_user;
            sides.push((index(&own, user, &repl, by_name), index(&server, user, &repl, by_name)));
        }
        let [(own, server), (own_target, server_target)] = &sides[..] else { continue };
        let named =
            |texts: Vec<String>| texts.into_iter().map(|text| format!("{}: {text}", database.name)).collect::<Vec<_>>();
        let mut found = compare(own, own_target);
        all.reworded.extend(named(take_reworded(&mut found, own, own_target, &made)));
        all.objects.extend(named(found.into_iter().map(|difference| difference.text).collect()));
        all.server_rights.extend(named(compare(server, server_target).into_iter().map(|d| d.text).collect()));
    }
    all.objects.truncate(MOST);
    all.server_rights.truncate(MOST);
    Ok(all)
}

/// The entries of the source's dump as it is now that were run on the target word for word: their names in an index, and texts.
async fn made_on_target(
    target: &crate::Session,
    entries: &[Entry],
    repl: &str,
    quoted: &str,
) -> Result<BTreeSet<(String, String)>, Failure> {
    let mut done = BTreeSet::new();
    for prefix in [super::BEFORE, super::AFTER] {
        done.extend(note::keys(&**target, Side::Target, prefix).await?);
    }
    let made = entries.iter().zip(phase::names(entries)).filter(|(_, name)| done.contains(name));
    let made = made.filter(|(entry, _)| EXPRESSIVE.contains(&entry.kind.as_str()));
    Ok(made.map(|(entry, _)| (index_name(entry), normal(entry, repl, quoted))).collect())
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
        index.entry(index_name(entry)).or_default().insert(if by_name { String::new() } else { text });
    }
    index
}

fn index_name(entry: &Entry) -> String {
    format!("{} (owner {})", entry.title(), entry.owner.as_deref().unwrap_or("none"))
}

/// Not Changeover's own, and not what the restore may have passed over, which its report says.
fn is_restored(entry: &Entry, keys: &phase::Keys) -> bool {
    let passed_over = entry.kind.starts_with("PUBLICATION")
        || entry.kind == "EVENT TRIGGER"
        || ["EXTENSION ", "EVENT TRIGGER ", "PUBLICATION "].iter().any(|kind| entry.tag.starts_with(kind));
    !passed_over && matches!(phase::phase(entry, keys), phase::Phase::BeforeData | phase::Phase::AfterData)
}

/// Who owns the schema `public` doesn't count, neither there nor as who gave the rights on it.
fn forget_owner_of_public(entries: &mut Vec<Entry>) {
    entries.retain(|entry| !entry.is_public());
    entries
        .iter_mut()
        .filter(|entry| entry.is_acl() && entry.tag == "SCHEMA public")
        .for_each(|entry| entry.owner = None);
}

/// An entry's statements without what is meant to differ.
fn normal(entry: &Entry, repl: &str, quoted: &str) -> String {
    let lines = entry.sql.lines().filter(|line| !line.is_empty());
    match entry.kind.as_str() {
        "TRIGGER" => {
            let is_state = |line: &str| line.starts_with("ALTER TABLE ") && line.contains(" TRIGGER ");
            lines.filter(|line| !is_state(line)).collect::<Vec<_>>().join("\n")
        }
        "ACL" => {
            let to_repl = [format!(" TO {repl};"), format!(" TO {quoted};")];
            let mut grants = by_grantor(lines);
            grants.retain(|grant| !to_repl.iter().any(|end| grant.ends_with(end)));
            // pg_dump writes the grants in the order in which they were made
            grants.sort_unstable();
            grants.join("\n")
        }
        _ => lines.collect::<Vec<_>>().join("\n"),
    }
}

/// Each statement about rights with the one who makes it, so that the lines in between don't count.
fn by_grantor<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut grantor = "";
    let mut grants = Vec::new();
    for line in lines {
        match line.strip_prefix("SET SESSION AUTHORIZATION ") {
            Some(role) => grantor = role,
            None if line == "RESET SESSION AUTHORIZATION;" => grantor = "",
            None => grants.push(format!("{grantor} {line}")),
        }
    }
    grants
}

/// A name in an index, and what is to be said of it.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    name: String,
    text: String,
}

fn compare(source: &Index, target: &Index) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut add = |name: &String, what: &str| {
        differences.push(Difference { name: name.clone(), text: format!("{name} is {what}") });
    };
    for (name, texts) in source {
        match target.get(name) {
            None => add(name, "not on the target"),
            Some(found) if found != texts => add(name, "another on the target"),
            Some(_) => {}
        }
    }
    target.keys().filter(|name| !source.contains_key(*name)).for_each(|name| add(name, "not on the source"));
    differences
}

/// Takes those out that are on both sides, as often, where each text that the target doesn't have was run on it.
fn take_reworded(
    differences: &mut Vec<Difference>,
    source: &Index,
    target: &Index,
    made: &BTreeSet<(String, String)>,
) -> Vec<String> {
    let is_reworded = |name: &String| match (source.get(name), target.get(name)) {
        (Some(texts), Some(found)) => {
            texts.len() == found.len()
                && texts.difference(found).all(|text| made.contains(&(name.clone(), text.clone())))
        }
        _ => false,
    };
    let (reworded, kept): (Vec<Difference>, Vec<Difference>) =
        differences.drain(..).partition(|difference| is_reworded(&difference.name));
    *differences = kept;
    reworded.into_iter().map(|difference| difference.name).collect()
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
        texts(compare(&index_of(source), &index_of(target)))
    }

    fn index_of(entries: &[Entry]) -> Index {
        index(entries, "repl", "\"repl\"", false)
    }

    fn texts(differences: Vec<Difference>) -> Vec<String> {
        differences.into_iter().map(|difference| difference.text).collect()
    }

    #[test]
    fn an_object_made_by_the_same_statements_may_be_worded_otherwise() {
        let source = [entry("TABLE", "a", "check (x in 1)"), entry("TABLE", "b", "1"), entry("TABLE", "c", "1")];
        let target = [entry("TABLE", "a", "check (x in (1))"), entry("TABLE", "b", "2")];
        let (source, target) = (index_of(&source), index_of(&target));
        let name = "TABLE s.a (owner o)".to_owned();
        let gone = "TABLE s.c (owner o)".to_owned();
        let made = BTreeSet::from([(name.clone(), "check (x in 1)".to_owned()), (gone, "1".to_owned())]);
        let mut found = compare(&source, &target);
        assert_eq!(take_reworded(&mut found, &source, &target, &made), [name]);
        let expected = ["TABLE s.b (owner o) is another on the target", "TABLE s.c (owner o) is not on the target"];
        assert_eq!(texts(found), expected);
    }

    #[test]
    fn what_is_meant_to_differ_does_not_count() {
        let source = [
            entry("TRIGGER", "t x", "CREATE TRIGGER x;\n\nALTER TABLE s.t ENABLE ALWAYS TRIGGER x;"),
            entry(
                "ACL",
                "TABLE t",
                "GRANT SELECT ON TABLE s.t TO a;\nSET SESSION AUTHORIZATION b;\nGRANT SELECT ON TABLE s.t TO repl;\nRESET SESSION AUTHORIZATION;",
            ),
        ];
        let target =
            [entry("TRIGGER", "t x", "CREATE TRIGGER x;"), entry("ACL", "TABLE t", "GRANT SELECT ON TABLE s.t TO a;")];
        assert!(differences(&source, &target).is_empty());
    }

    #[test]
    fn who_granted_counts() {
        let by = |role: &str| {
            format!("SET SESSION AUTHORIZATION {role};\nGRANT SELECT ON TABLE s.t TO a;\nRESET SESSION AUTHORIZATION;")
        };
        let (source, target) = ([entry("ACL", "TABLE t", &by("x"))], [entry("ACL", "TABLE t", &by("y"))]);
        assert_eq!(differences(&source, &target), ["ACL s.TABLE t (owner o) is another on the target"]);
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
