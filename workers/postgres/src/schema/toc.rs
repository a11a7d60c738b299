//! The script that `pg_restore --verbose` writes, cut into the entries of the archive's table of contents.
//!
//! An entry begins with a comment of a fixed form (`_printTocEntry` in pg_backup_archiver.c):
//!
//! ```text
//! --
//! -- TOC entry 222 (class 1259 OID 16459)
//! -- Dependencies: 5
//! -- Name: r; Type: TABLE; Schema: public; Owner: shop_owner
//! -- Data Pos: 0
//! --
//! ```
//!
//! A function's body may hold a look-alike. So the ids are taken from `pg_restore --list`; a comment counts only when id, class
//! and OID are in that list, and each must be found exactly once: anything else is refused.

use std::collections::{BTreeMap, BTreeSet};

use changeover_domain::Failure;

/// Which part of a dump an entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What tables need.
    PreData,
    /// What is built over the rows.
    PostData,
}

/// Identity of an entry: `dumpId`, `class` and `OID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// Number within the archive.
    pub entry: u32,
    /// OID of the catalog; 0 for what isn't an object of its own (rights, comments, attachments).
    pub class: u32,
    /// OID of the object.
    pub oid: u32,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its identity.
    pub id: Id,
    /// Such as `TABLE`, `FK CONSTRAINT`, `ACL`.
    pub kind: String,
    /// Its name as pg_dump writes it, such as `orders orders_pkey`.
    pub tag: String,
    /// The schema; none for what lives in none.
    pub schema: Option<String>,
    /// The owner; none for what has none.
    pub owner: Option<String>,
    /// The part of the dump.
    pub section: Section,
    /// `SET default_…` that hold for it.
    pub setup: String,
    /// Its statements.
    pub sql: String,
}

impl Entry {
    /// For people: `TABLE sales.orders`.
    pub fn title(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{} {schema}.{}", self.kind, self.tag),
            None => format!("{} {}", self.kind, self.tag),
        }
    }
    /// Whether it's the schema `public` itself, of which a dump names the owner alone.
    pub fn is_public(&self) -> bool {
        self.kind == "SCHEMA" && self.tag == "public"
    }
    /// Whether it's about rights: applied after all objects are there.
    pub fn is_acl(&self) -> bool {
        matches!(self.kind.as_str(), "ACL" | "DEFAULT ACL" | "ACL LANGUAGE")
    }
}

/// The identities in the output of `pg_restore --list`, in order.
pub fn parse_list(list: &str) -> Result<Vec<Id>, Failure> {
    list.lines()
        .filter(|line| !line.is_empty() && !line.starts_with(';'))
        .map(|line| {
            list_line(line).ok_or_else(|| unreadable(&format!("`{line}` isn't a line of its table of contents")))
        })
        .collect()
}

fn list_line(line: &str) -> Option<Id> {
    let (entry, rest) = line.split_once("; ")?;
    let mut words = rest.split(' ');
    Some(Id { entry: entry.parse().ok()?, class: words.next()?.parse().ok()?, oid: words.next()?.parse().ok()? })
}

/// A script cut into entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Whether its literals are written for `standard_conforming_strings = on`.
    pub standard_strings: bool,
    /// In the script's order.
    pub entries: Vec<Entry>,
}

/// Cuts a script. `sections` names every entry that it must hold.
pub fn parse_script(script: &str, sections: &BTreeMap<Id, Section>) -> Result<Script, Failure> {
    let lines: Vec<&str> = script.split('\n').collect();
    let mut heads: Vec<(usize, Head)> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        match head(&lines[at..]).filter(|h| sections.contains_key(&h.id)) {
            Some(found) => {
                let length = found.length;
                heads.push((at, found));
                at += length;
            }
            None => at += 1,
        }
    }
    each_once(&heads, sections)?;
    let first = heads.first().map_or(lines.len(), |(at, _)| *at);
    let prologue = &lines[..first];
    let last_line = end_of_last(&lines, prologue);
    let mut entries = Vec::with_capacity(heads.len());
    let mut setup = Setup::default();
    setup.take_trailing(prologue);
    for (n, (at, h)) in heads.iter().enumerate() {
        let end = heads.get(n + 1).map_or(last_line, |(next, _)| *next);
        let mut body = &lines[at + h.length..end.max(at + h.length)];
        let current = setup.text();
        body = setup.take_trailing(body);
        let section = sections.get(&h.id).copied().unwrap_or(Section::PreData);
        entries.push(h.entry(section, current, body.join("\n").trim().to_owned()));
    }
    let standard_strings = !prologue.contains(&"SET standard_conforming_strings = off;");
    Ok(Script { standard_strings, entries })
}

/// Every listed entry exactly once.
fn each_once(heads: &[(usize, Head)], sections: &BTreeMap<Id, Section>) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for (_, head) in heads {
        if !seen.insert(head.id) {
            return Err(unreadable(&format!(
                "the head of {} {} is there twice, once perhaps in a function's body",
                head.kind, head.tag
            )));
        }
    }
    match sections.keys().find(|id| !seen.contains(id)) {
        Some(id) => {
            Err(unreadable(&format!("entry {} (class {} OID {}) isn't in the script", id.entry, id.class, id.oid)))
        }
        None => Ok(()),
    }
}

/// The last entry ends before the dump's closing comments and its `\unrestrict`.
fn end_of_last(lines: &[&str], prologue: &[&str]) -> usize {
    let token = prologue.iter().find_map(|line| line.strip_prefix("\\restrict "));
    let mut end = lines.len();
    while let Some(line) = end.checked_sub(1).and_then(|last| lines.get(last)) {
        let closing = line.is_empty()
            || line.starts_with("--")
            || token.is_some_and(|t| line.strip_prefix("\\unrestrict ") == Some(t));
        if !closing {
            break;
        }
        end -= 1;
    }
    end
}

fn unreadable(why: &str) -> Failure {
    Failure::needs_human(
        "CO0420",
        format!("the dump's script can't be cut into its entries: {why}"),
        "see `changeover explain CO0420`",
    )
}

/// The comment that begins an entry.
struct Head {
    id: Id,
    kind: String,
    tag: String,
    schema: Option<String>,
    owner: Option<String>,
    /// Lines of the comment.
    length: usize,
}

impl Head {
    fn entry(&self, section: Section, setup: String, sql: String) -> Entry {
        Entry {
            id: self.id,
            kind: self.kind.clone(),
            tag: self.tag.clone(),
            schema: self.schema.clone(),
            owner: self.owner.clone(),
            section,
            setup,
            sql,
        }
    }
}

/// Reads a head at the beginning of `lines`.
fn head(lines: &[&str]) -> Option<Head> {
    if *lines.first()? != "--" {
        return None;
    }
    let id = toc_line(lines.get(1)?)?;
    let mut at = 2;
    if lines.get(at)?.starts_with("-- Dependencies:") {
        at += 1;
    }
    let (tag, kind, schema, owner) = name_line(lines.get(at)?)?;
    at += 1;
    while lines.get(at)?.starts_with("-- ") {
        at += 1;
    }
    (*lines.get(at)? == "--").then_some(Head { id, kind, tag, schema, owner, length: at + 1 })
}

/// `-- TOC entry 222 (class 1259 OID 16459)`
fn toc_line(line: &str) -> Option<Id> {
    let (entry, rest) = line.strip_prefix("-- TOC entry ")?.split_once(" (class ")?;
    let (class, oid) = rest.strip_suffix(')')?.split_once(" OID ")?;
    Some(Id { entry: entry.parse().ok()?, class: class.parse().ok()?, oid: oid.parse().ok()? })
}

type Name = (String, String, Option<String>, Option<String>);

/// `-- Name: r; Type: TABLE; Schema: public; Owner: shop_owner`, read from the right: a tag may hold anything.
fn name_line(line: &str) -> Option<Name> {
    let rest = line.strip_prefix("-- Name: ")?;
    let (rest, owner) = rest.rsplit_once("; Owner:")?;
    let owner = owner.split("; Tablespace: ").next()?.trim();
    let (rest, schema) = rest.rsplit_once("; Schema: ")?;
    let (tag, kind) = rest.rsplit_once("; Type: ")?;
    let some = |text: &str| (!text.is_empty() && text != "-").then(|| text.to_owned());
    Some((tag.to_owned(), kind.to_owned(), some(schema), some(owner)))
}

/// The `SET default_…` that the script puts before the entries that need them, that is at the end of the one before.
#[derive(Default)]
struct Setup(BTreeMap<String, String>);

impl Setup {
    /// Takes such lines off the end of a body and remembers them.
    fn take_trailing<'a, 'b>(&mut self, body: &'a [&'b str]) -> &'a [&'b str] {
        let mut end = body.len();
        let mut found = Vec::new();
        while let Some(line) = end.checked_sub(1).and_then(|last| body.get(last)) {
            if line.is_empty() {
                end -= 1;
            } else if let Some((name, _)) = line.strip_prefix("SET default_").and_then(|rest| rest.split_once(" = ")) {
                found.push((name.to_owned(), (*line).to_owned()));
                end -= 1;
            } else {
                break;
            }
        }
        // read from the end: of two lines for one parameter the later counts, so it must be inserted last
        self.0.extend(found.into_iter().rev());
        &body[..end]
    }
    fn text(&self) -> String {
        self.0.values().map(|line| format!("{line}\n")).collect()
    }
}

#[cfg(test)]
#[path = "toc_tests.rs"]
mod tests;
