//! From a text to a flat map of understood values, with every mistake on the way collected.

use std::{collections::BTreeMap, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::{MISSING, SYNTAX, SpecError, TYPE, UNKNOWN},
    fields::{Field, Need, SECTIONS, Section},
    value::{self, Value},
};
use crate::proto::SecretRef;

/// What was understood of a spec, by full key.
#[derive(Debug, Default)]
pub(super) struct Read {
    values: BTreeMap<String, (Value, usize)>,
    counts: BTreeMap<&'static str, usize>,
    /// All mistakes so far.
    pub(super) errors: Vec<SpecError>,
}

impl Read {
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).map(|(value, _)| value)
    }
    /// The line of a key; 1 when it stands nowhere.
    pub(super) fn line(&self, key: &str) -> usize {
        self.values.get(key).map_or(1, |(_, line)| *line)
    }
    /// Entries of a repeated section.
    pub(super) fn count(&self, section: &str) -> usize {
        self.counts.get(section).copied().unwrap_or(0)
    }
    pub(super) fn text(&self, key: &str) -> String {
        if let Some(Value::Text(text)) = self.get(key) { text.clone() } else { String::new() }
    }
    pub(super) fn number(&self, key: &str) -> u64 {
        if let Some(Value::Number(number)) = self.get(key) { *number } else { 0 }
    }
    pub(super) fn flag(&self, key: &str) -> bool {
        matches!(self.get(key), Some(Value::Flag(true)))
    }
    /// All references to secrets: the key, what it is called in a message, the reference.
    pub(super) fn secrets(&self) -> Vec<(String, String, SecretRef)> {
        let of = |(key, (value, _)): (&String, &(Value, usize))| match value {
            Value::Secret(reference) => vec![(key.clone(), format!("`{key}`"), reference.clone())],
            Value::Secrets(all) => {
                let entry = |(name, reference): &(String, SecretRef)| {
                    (key.clone(), format!("`{name}` of `{key}`"), reference.clone())
                };
                all.iter().map(entry).collect()
            }
            _ => Vec::new(),
        };
        self.values.iter().flat_map(of).collect()
    }
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        if let Some(Value::Texts(texts)) = self.get(key) { texts.clone() } else { Vec::new() }
    }
}

/// Byte offsets to lines.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn of(&self, span: &Range<usize>) -> usize {
        let end = span.start.min(self.0.len());
        self.0.as_bytes()[..end].iter().filter(|b| **b == b'\n').count() + 1
    }
    fn last(&self) -> usize {
        self.0.lines().count().max(1)
    }
}

/// Reads all that can be read.
pub(super) fn read(text: &str) -> Read {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let written = document.get_ref().keys().map(|key| key.get_ref().to_string()).collect();
    let mut reader = Reader { lines: Lines(text), read: Read::default(), written };
    for error in syntax {
        let line = error.span().map_or(1, |span| reader.lines.of(&span));
        let message = format!("not valid TOML: {}", error.message());
        let remedy = "correct the line; https://toml.io/en/v1.0.0 shows the syntax, `changeover init` a whole file";
        reader.read.errors.push(SpecError::new(SYNTAX, line, "", message, remedy));
    }
    reader.tables("", document.get_ref());
    // What is missing may just not have been understood: said only of a text that is TOML.
    if !reader.read.errors.iter().any(|e| e.code == SYNTAX) {
        reader.missing_sections();
    }
    reader.read
}

struct Reader<'a> {
    lines: Lines<'a>,
    read: Read,
    /// The keys at the top, sections among them.
    written: Vec<String>,
}

impl Reader<'_> {
    /// A table at `prefix` that may hold sections: the document itself, or `traffic`.
    fn tables(&mut self, prefix: &str, table: &DeTable<'_>) {
        if let Some(section) = SECTIONS.iter().find(|s| s.path == prefix && !s.repeated) {
            self.fields(section, prefix, table, 1);
        }
        for (key, value) in table {
            let path = join(prefix, key.get_ref());
            let line = self.lines.of(&key.span());
            if let Some(section) = SECTIONS.iter().find(|s| s.path == path) {
                self.section(section, line, value);
            } else if SECTIONS.iter().any(|s| s.path.starts_with(&format!("{path}."))) {
                match value.get_ref().as_table() {
                    Some(inner) => self.tables(&path, inner),
                    None => self.mistyped(&path, line, "a section"),
                }
            } else if super::fields::find(prefix, key.get_ref()).is_none() {
                self.unknown(prefix, key.get_ref(), &path, line);
            }
        }
    }

    fn section(&mut self, section: &'static Section, line: usize, value: &Spanned<DeValue<'_>>) {
        let entries: Vec<(usize, &DeTable<'_>)> = match value.get_ref() {
            DeValue::Table(table) if !section.repeated => vec![(line, table)],
            DeValue::Array(items) if section.repeated => {
                let tables =
                    items.iter().filter_map(|item| Some((self.lines.of(&item.span()), item.get_ref().as_table()?)));
                let tables: Vec<_> = tables.collect();
                if tables.len() != items.len() {
                    self.mistyped(section.path, line, &format!("a list of sections {}", section.header()));
                }
                tables
            }
            _ => return self.mistyped(section.path, line, &format!("a section {}", section.header())),
        };
        self.read.counts.insert(section.path, entries.len());
        for (index, (line, table)) in entries.into_iter().enumerate() {
            let prefix = if section.repeated { format!("{}[{index}]", section.path) } else { section.path.to_owned() };
            self.fields(section, &prefix, table, line);
            for (key, _) in table {
                if !section.fields.iter().any(|f| f.key == key.get_ref().as_ref()) {
                    let line = self.lines.of(&key.span());
                    self.unknown(section.path, key.get_ref(), &join(&prefix, key.get_ref()), line);
                }
            }
        }
    }

    fn fields(&mut self, section: &Section, prefix: &str, table: &DeTable<'_>, section_line: usize) {
        for field in section.fields {
            let path = join(prefix, field.key);
            let found = table.iter().find(|(key, _)| key.get_ref().as_ref() == field.key);
            match found {
                Some((key, value)) => {
                    let line = self.lines.of(&key.span());
                    self.value(field, path, line, value.get_ref());
                }
                None => self.absent(field, path, section_line),
            }
        }
    }

    fn value(&mut self, field: &Field, path: String, line: usize, value: &DeValue<'_>) {
        match value::read(field.kind, value, field.example) {
            Ok(value) => {
                self.read.values.insert(path, (value, line));
            }
            Err(wrong) => {
                let message = format!("`{path}` {}", wrong.message);
                self.read.errors.push(SpecError::new(wrong.code, line, &path, message, wrong.remedy));
            }
        }
    }

    fn absent(&mut self, field: &Field, path: String, line: usize) {
        match field.need {
            Need::Optional => {}
            Need::Unless(section) if self.written.iter().any(|key| key == section) => {}
            Need::Default(text) => {
                if let Some(value) = default_value(field, text) {
                    self.read.values.insert(path, (value, line));
                }
            }
            Need::Required | Need::Unless(_) => {
                let remedy = format!("add `{} = {}`", field.key, field.example);
                self.read.errors.push(SpecError::new(MISSING, line, &path, format!("`{path}` is missing"), remedy));
            }
        }
    }

    fn missing_sections(&mut self) {
        for section in SECTIONS.iter().filter(|s| !s.path.is_empty()) {
            let written = self.read.counts.get(section.path).copied();
            let faulty = self
                .read
                .errors
                .iter()
                .any(|e| e.key == section.path || section.path.starts_with(&format!("{}.", e.key)));
            match written {
                Some(1..) => {}
                _ if faulty => {}
                _ if section.required => {
                    let message = format!("the section {} is missing", section.header());
                    let keys = section.fields.iter().filter(|f| f.need == Need::Required).map(|f| f.key);
                    let remedy = format!("add {} with {}", section.header(), keys.collect::<Vec<_>>().join(", "));
                    let line = self.lines.last();
                    self.read.errors.push(SpecError::new(MISSING, line, section.path, message, remedy));
                }
                _ if section.repeated => {}
                // Nothing of the kind.
                _ if section.fields.iter().any(|field| field.need == Need::Required) => {}
                _ => self.fields(section, section.path, &DeTable::new(), self.lines.last()),
            }
        }
    }

    fn mistyped(&mut self, path: &str, line: usize, wanted: &str) {
        let message = format!("`{path}` must be {wanted}");
        self.read.errors.push(SpecError::new(TYPE, line, path, message, "see `changeover init` for the shape"));
    }

    fn unknown(&mut self, section: &str, key: &str, path: &str, line: usize) {
        let remedy = suggestion(section, key);
        self.read.errors.push(SpecError::new(UNKNOWN, line, path, format!("`{path}` isn't a key of a spec"), remedy));
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// A default of the table, as a value. A test holds that every default can be read.
pub(super) fn default_value(field: &Field, text: &str) -> Option<Value> {
    let parsed = DeValue::parse(text).ok()?;
    value::read(field.kind, parsed.get_ref(), field.example).ok()
}

/// What an unknown key may have been meant to be.
fn suggestion(section: &str, key: &str) -> String {
    let siblings =
        SECTIONS.iter().filter(|s| s.path == section).flat_map(|s| s.fields.iter().map(|f| f.key.to_owned()));
    let below = SECTIONS.iter().filter_map(|s| {
        let rest = if section.is_empty() { s.path } else { s.path.strip_prefix(section)?.strip_prefix('.')? };
        rest.split('.').next().filter(|word| !word.is_empty()).map(str::to_owned)
    });
    let near = siblings.chain(below).map(|word| (distance(key, &word), word)).min();
    if let Some((far, word)) = near
        && far <= 1 + key.chars().count() / 4
    {
        return format!("did you mean `{word}`?");
    }
    let elsewhere = SECTIONS.iter().find(|s| s.path != section && s.fields.iter().any(|f| f.key == key));
    match elsewhere {
        Some(s) if s.path.is_empty() => "it belongs to the top of the file, before the first section".to_owned(),
        Some(s) => format!("it belongs to {}", s.header()),
        None => "remove it; docs/spec.md lists all keys".to_owned(),
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
