//! Building findings: one shape, one order, bounded lists.

use crate::{
    Side,
    proto::{Finding, Severity},
};

/// How many findings of one code a database may have before the rest is only counted.
const LIMIT: usize = 20;

/// Where a finding is.
#[derive(Clone, Debug, Default)]
pub struct Place {
    side: &'static str,
    database: String,
    object: String,
}

impl Place {
    /// A whole instance.
    pub fn side(side: Side) -> Self {
        Self { side: side.word(), ..Self::default() }
    }
    /// A database of a side.
    pub fn database(side: Side, database: &str) -> Self {
        Self { side: side.word(), database: database.to_owned(), object: String::new() }
    }
    /// A pooler.
    pub fn pooler(name: &str) -> Self {
        Self { side: "pooler", database: String::new(), object: name.to_owned() }
    }
    /// The spec itself.
    pub fn spec() -> Self {
        Self::default()
    }
    /// The database, or empty.
    pub fn database_name(&self) -> &str {
        &self.database
    }
    /// The same place, narrowed to an object.
    #[must_use]
    pub fn object(&self, object: impl Into<String>) -> Self {
        Self { object: object.into(), ..self.clone() }
    }
    /// The same place, narrowed to a database.
    #[must_use]
    pub fn within(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }
}

/// Findings while they are gathered.
#[derive(Clone, Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Stops the migration until it is mended.
    pub fn blocker(&mut self, code: &str, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.push(Severity::Blocker, code, place, message.into(), remedy.into());
    }
    /// Endangers it, or has to be known before it starts.
    pub fn warning(&mut self, code: &str, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.push(Severity::Warning, code, place, message.into(), remedy.into());
    }
    /// Says what will be done.
    pub fn info(&mut self, code: &str, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.push(Severity::Info, code, place, message.into(), remedy.into());
    }
    /// With a severity that the caller has worked out.
    pub fn push(&mut self, severity: Severity, code: &str, place: &Place, message: String, remedy: String) {
        self.0.push(Finding {
            code: code.to_owned(),
            severity: severity.into(),
            side: place.side.to_owned(),
            database: place.database.clone(),
            object: place.object.clone(),
            message,
            remedy,
        });
    }
    /// Sorted by severity (blockers first), code and place; of one code in one database at most [`LIMIT`], the rest counted.
    pub fn finish(self) -> Vec<Finding> {
        let mut all = self.0;
        all.sort_by(|a, b| key(a).cmp(&key(b)));
        all.dedup();
        let mut kept: Vec<Finding> = Vec::new();
        let mut run = 0;
        for finding in all {
            let same = kept.last().is_some_and(|last| group(last) == group(&finding));
            run = if same { run + 1 } else { 1 };
            if run <= LIMIT {
                kept.push(finding);
            } else if let Some(last) = kept.last_mut() {
                summarise(last, run - LIMIT);
            }
        }
        kept
    }
}

type Key<'a> = (std::cmp::Reverse<i32>, &'a str, &'a str, &'a str, &'a str, &'a str);

fn key(f: &Finding) -> Key<'_> {
    (std::cmp::Reverse(f.severity), &f.code, &f.side, &f.database, &f.object, &f.message)
}

fn group(f: &Finding) -> (i32, &str, &str, &str) {
    (f.severity, &f.code, &f.side, &f.database)
}

/// Appends or renews the count of what was left out.
fn summarise(last: &mut Finding, left_out: usize) {
    const MARK: &str = " [and ";
    let end = last.message.rfind(MARK).unwrap_or(last.message.len());
    last.message.truncate(end);
    last.message.push_str(&format!("{MARK}{left_out} more of this kind]"));
}

/// `a, b, c and 4 more`: bounded lists in messages.
pub(crate) fn list<S: AsRef<str>>(items: &[S]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = items.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let text = shown.join(", ");
    if items.len() > SHOWN { format!("{text} and {} more", items.len() - SHOWN) } else { text }
}

/// Bytes for people.
pub(crate) fn bytes(value: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = value.max(0.0) as u64;
    bytesize::ByteSize(whole).display().iec().to_string()
}

/// Seconds for people.
pub(crate) fn seconds(value: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = value.max(0.0) as u64;
    humantime::format_duration(std::time::Duration::from_secs(whole)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blockers_come_first_then_codes() {
        let mut findings = Findings::default();
        let place = Place::side(Side::Source);
        findings.info("CO0301", &place, "i", "");
        findings.blocker("CO0309", &place, "b", "");
        findings.warning("CO0302", &place, "w", "");
        findings.blocker("CO0303", &place, "a", "");
        let codes: Vec<_> = findings.finish().into_iter().map(|f| f.code).collect();
        assert_eq!(codes, ["CO0303", "CO0309", "CO0302", "CO0301"]);
    }

    #[test]
    fn a_thousand_tables_without_a_key_are_twenty_findings() {
        let mut findings = Findings::default();
        for n in 0..1000 {
            findings.blocker("CO0330", &Place::database(Side::Source, "shop").object(format!("t{n:04}")), "no key", "");
        }
        findings.blocker("CO0330", &Place::database(Side::Source, "billing").object("t"), "no key", "");
        let all = findings.finish();
        assert_eq!(all.len(), LIMIT + 1);
        assert_eq!(all[LIMIT].message, "no key [and 980 more of this kind]");
        assert_eq!(all[0].database, "billing");
    }

    #[test]
    fn lists_are_bounded() {
        assert_eq!(list(&["a", "b"]), "a, b");
        assert_eq!(list(&["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
    }
}
