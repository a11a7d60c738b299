//! PgBouncer's list of databases: read it, send some of them elsewhere, write it back with everything else as it was.
//!
//! Source of the format: pgbouncer(5), "Section [databases]": `name = key=value key=value …`; a value may stand in single
//! quotes, a quote in it is written twice; a name may stand in double quotes; `;` and `#` begin comments at a line's start.

/// A host and a port as a pooler reaches a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name that clients ask for.
    pub name: String,
    /// What stands before the parameters, as it was written.
    prefix: String,
    /// Parameters, in their order, unquoted.
    parameters: Vec<(String, String)>,
}

impl Entry {
    /// A parameter's value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.parameters.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
    /// The database on the server: `dbname`, else the entry's name.
    pub fn dbname(&self) -> &str {
        self.get("dbname").unwrap_or(&self.name)
    }
    /// Where it points to; `None` when host or port are missing (a Unix socket, or the default port, is no place of ours).
    pub fn place(&self) -> Option<Place> {
        Some(Place { host: self.get("host")?.to_owned(), port: self.get("port").unwrap_or("5432").parse().ok()? })
    }
    fn send_to(&mut self, place: &Place) {
        self.set("host", &place.host);
        self.set("port", &place.port.to_string());
    }
    fn set(&mut self, key: &str, value: &str) {
        match self.parameters.iter_mut().find(|(k, _)| k == key) {
            Some((_, v)) => value.clone_into(v),
            None => self.parameters.push((key.to_owned(), value.to_owned())),
        }
    }
    fn render(&self) -> String {
        let parameters: Vec<String> = self.parameters.iter().map(|(k, v)| format!("{k}={}", quote(v))).collect();
        format!("{}{}", self.prefix, parameters.join(" "))
    }
}

#[derive(Clone, Debug)]
enum Line {
    Entry(Entry),
    Other(String),
}

/// The whole file.
#[derive(Clone, Debug)]
pub struct DatabasesFile {
    lines: Vec<Line>,
    ends_with_newline: bool,
}

impl DatabasesFile {
    /// Reads the text. What isn't an entry of `[databases]` is kept as it is.
    pub fn parse(text: &str) -> Self {
        let mut in_databases = true;
        let lines = text.lines().map(|line| {
            let trimmed = line.trim();
            if trimmed.starts_with('[') {
                in_databases = trimmed.eq_ignore_ascii_case("[databases]");
            }
            match in_databases.then(|| entry(line)).flatten() {
                Some(entry) => Line::Entry(entry),
                None => Line::Other(line.to_owned()),
            }
        });
        Self { lines: lines.collect(), ends_with_newline: text.ends_with('\n') }
    }
    /// The entries, in their order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lines.iter().filter_map(|line| match line {
            Line::Entry(entry) => Some(entry),
            Line::Other(_) => None,
        })
    }
    /// Sends the named entries to a place.
    pub fn send_to(&mut self, names: &[String], place: &Place) {
        for line in &mut self.lines {
            if let Line::Entry(entry) = line
                && names.contains(&entry.name)
            {
                entry.send_to(place);
            }
        }
    }
    /// The text.
    pub fn render(&self) -> String {
        let lines: Vec<String> = self
            .lines
            .iter()
            .map(|line| match line {
                Line::Entry(entry) => entry.render(),
                Line::Other(text) => text.clone(),
            })
            .collect();
        let mut text = lines.join("\n");
        if self.ends_with_newline {
            text.push('\n');
        }
        text
    }
}

fn entry(line: &str) -> Option<Entry> {
    let start = line.trim_start();
    if start.is_empty() || start.starts_with([';', '#', '[', '%']) {
        return None;
    }
    let (name, after_name) =
        if let Some(quoted) = start.strip_prefix('"') { quoted_name(quoted)? } else { plain_name(start)? };
    let after_equals = after_name.trim_start().strip_prefix('=')?;
    let parameters_text = after_equals.trim_start();
    let prefix = &line[..line.len() - parameters_text.len()];
    Some(Entry { name, prefix: prefix.to_owned(), parameters: parameters(parameters_text)? })
}

fn plain_name(text: &str) -> Option<(String, &str)> {
    let end = text.find(|c: char| c == '=' || c.is_whitespace())?;
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

fn quoted_name(text: &str) -> Option<(String, &str)> {
    until_quote(text, '"')
}

/// Reads up to the closing quote; a doubled quote stands for one.
fn until_quote(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let at = rest.find(quote)?;
        value.push_str(&rest[..at]);
        rest = &rest[at + quote.len_utf8()..];
        match rest.strip_prefix(quote) {
            Some(after) => {
                value.push(quote);
                rest = after;
            }
            None => return Some((value, rest)),
        }
    }
}

fn parameters(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() {
            return Some(found);
        }
        let equals = text.find('=')?;
        let key = text[..equals].trim().to_owned();
        let value_text = text[equals + 1..].trim_start();
        let (value, rest) = match value_text.strip_prefix('\'') {
            Some(quoted) => until_quote(quoted, '\'')?,
            None => {
                let end = value_text.find(char::is_whitespace).unwrap_or(value_text.len());
                (value_text[..end].to_owned(), &value_text[end..])
            }
        };
        found.push((key, value));
        text = rest;
    }
}

fn quote(value: &str) -> String {
    let plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '\'');
    if plain { value.to_owned() } else { format!("'{}'", value.replace('\'', "''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "; the list\n[databases]\nshop = host=10.0.0.1 port=5432 pool_size=20 connect_query='select ''x'''\n  \"Odd\"\"One\"  = dbname=billing host=10.0.0.1 port=5432\nother = host=elsewhere port=1 auth_user=u\n* = host=10.0.0.1\n\n[pgbouncer]\nlisten_port = 6432\n";

    fn to() -> Place {
        Place { host: "10.0.0.2".into(), port: 6000 }
    }

    #[test]
    fn what_is_not_moved_stays_byte_for_byte() {
        assert_eq!(DatabasesFile::parse(TEXT).render(), TEXT);
        assert_eq!(DatabasesFile::parse("a = host=b").render(), "a = host=b");
        assert_eq!(DatabasesFile::parse("").render(), "");
    }

    #[test]
    fn only_host_and_port_of_named_entries_change() {
        let mut file = DatabasesFile::parse(TEXT);
        file.send_to(&["shop".into(), "Odd\"One".into()], &to());
        let expected = TEXT
            .replace("shop = host=10.0.0.1 port=5432", "shop = host=10.0.0.2 port=6000")
            .replace("dbname=billing host=10.0.0.1 port=5432", "dbname=billing host=10.0.0.2 port=6000");
        assert_eq!(file.render(), expected);
    }

    #[test]
    fn there_and_back_is_the_same_file() {
        let mut file = DatabasesFile::parse(TEXT);
        let names = ["shop".to_owned()];
        let from = file.entries().next().unwrap().place().unwrap();
        file.send_to(&names, &to());
        file.send_to(&names, &from);
        assert_eq!(file.render(), TEXT);
    }

    #[test]
    fn names_and_databases_are_read() {
        let file = DatabasesFile::parse(TEXT);
        let seen: Vec<_> = file.entries().map(|e| (e.name.as_str(), e.dbname())).collect();
        assert_eq!(seen, [("shop", "shop"), ("Odd\"One", "billing"), ("other", "other"), ("*", "*")]);
        assert_eq!(file.entries().next().unwrap().get("connect_query"), Some("select 'x'"));
    }

    #[test]
    fn the_default_port_is_added_when_it_moves() {
        let mut file = DatabasesFile::parse("a = host=h\n");
        assert_eq!(file.entries().next().unwrap().place(), Some(Place { host: "h".into(), port: 5432 }));
        file.send_to(&["a".into()], &to());
        assert_eq!(file.render(), "a = host=10.0.0.2 port=6000\n");
    }
}
