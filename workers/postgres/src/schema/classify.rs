//! What an error of one restored entry means. Every error is a failure with the object's name, except a short list that is
//! reported and passed over.

use changeover_domain::{Class, Failure};

use super::{facts::Facts, toc::Entry};

/// Whether an error of this entry is reported and passed over: what only a superuser may do, and rows don't depend on.
pub(super) fn is_tolerated(entry: &Entry, facts: &Facts, failure: &Failure) -> bool {
    let sqlstate = failure.sqlstate.as_deref().unwrap_or_default();
    let refused = sqlstate == "42501";
    match entry.kind.as_str() {
        // "must be owner of extension …" of one that an administrator made
        "COMMENT" => refused && entry.tag.starts_with("EXTENSION "),
        "EVENT TRIGGER" | "PUBLICATION" => refused,
        // of a publication that was refused
        "PUBLICATION TABLE" | "PUBLICATION TABLES IN SCHEMA" => refused || sqlstate == "42704",
        // rights on a superuser's objects, which a superuser of the source gave
        "ACL" => refused && facts.is_server_right(entry),
        _ => false,
    }
}

/// Kinds that may be passed over, and therefore run in a savepoint.
pub(super) fn may_be_tolerated(entry: &Entry) -> bool {
    matches!(
        entry.kind.as_str(),
        "COMMENT" | "EVENT TRIGGER" | "PUBLICATION" | "PUBLICATION TABLE" | "PUBLICATION TABLES IN SCHEMA" | "ACL"
    )
}

/// The failure that a person sees: which object, which SQLSTATE, what to do.
pub(super) fn failure(entry: &Entry, database: &str, mut failure: Failure) -> Failure {
    if failure.class == Class::Transient {
        return failure.during(&format!("restoring {} of {database}", entry.title()));
    }
    let title = entry.title();
    let (code, class, remedy) = match (failure.sqlstate.as_deref().unwrap_or_default(), entry.kind.as_str()) {
        ("42501" | "58P01" | "0A000" | "22023", "EXTENSION") => (
            "CO0422",
            Class::NeedsHuman,
            format!("have an administrator run on the target, in database {database}: create extension \"{}\"; then `changeover retry`", entry.tag),
        ),
        // duplicate schema, table, object, function, column, alias of them
        ("42P06" | "42P07" | "42710" | "42723" | "42701", _) => (
            "CO0423",
            Class::NeedsHuman,
            "it was there before, or the source's schema has changed since the restore began: remove it on the target, or abort and start anew".to_owned(),
        ),
        ("42501", _) => (
            "CO0425",
            Class::Refused,
            "it takes a right that the migration's login doesn't have on the target: `changeover abort`; drop it on the source, or give it to a role that is no superuser; start anew".to_owned(),
        ),
        ("23503" | "23505" | "23514" | "23P01" | "23502", _) => (
            "CO0427",
            Class::NeedsHuman,
            "the source's rows violate it too (or are being changed right now): mend them on the source, or declare it NOT VALID there; then `changeover retry`".to_owned(),
        ),
        _ => ("CO0424", Class::NeedsHuman, "look at the message and the target's log, mend the cause, then `changeover retry`".to_owned()),
    };
    failure.code = code.to_owned();
    failure.class = class;
    failure.remedy = remedy;
    failure.during(&format!("restoring {title} of {database}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::toc::{Id, Section};
    use rstest::rstest;

    fn entry(kind: &str, tag: &str) -> Entry {
        Entry {
            id: Id { entry: 1, class: 0, oid: 0 },
            kind: kind.into(),
            tag: tag.into(),
            schema: None,
            owner: None,
            section: Section::PreData,
            setup: String::new(),
            sql: String::new(),
        }
    }

    fn error(sqlstate: &str, class: Class) -> Failure {
        let mut failure = Failure::new("CO0209", class, "no", "x");
        failure.sqlstate = Some(sqlstate.into());
        failure
    }

    #[rstest]
    #[case("EXTENSION", "42501", "CO0422")]
    #[case("EXTENSION", "58P01", "CO0422")]
    #[case("TABLE", "42P07", "CO0423")]
    #[case("FUNCTION", "42501", "CO0425")]
    #[case("FK CONSTRAINT", "23503", "CO0427")]
    #[case("TABLE", "42601", "CO0424")]
    #[case("TABLE", "", "CO0424")]
    fn an_error_has_its_code(#[case] kind: &str, #[case] sqlstate: &str, #[case] code: &str) {
        let failure = failure(&entry(kind, "x"), "d", error(sqlstate, Class::NeedsHuman));
        assert_eq!(failure.code, code);
        assert!(failure.message.contains(&format!("{kind} x of d")), "{failure}");
    }

    #[test]
    fn what_passes_stays_transient() {
        let failure = failure(&entry("INDEX", "x"), "d", error("55P03", Class::Transient));
        assert_eq!(failure.class, Class::Transient);
    }

    #[rstest]
    #[case("s", "TABLE config", true)]
    #[case("s", "COLUMN config.a", true)]
    #[case("s", "FUNCTION f(integer, text)", true)]
    #[case("s", "FUNCTION ff(integer)", false)]
    #[case("s", "TABLE own", false)]
    #[case("t", "TABLE config", false)]
    #[case("pg_catalog", "FUNCTION pg_ls_waldir()", true)]
    fn rights_on_members_of_a_superusers_extension_are_passed_over(
        #[case] schema: &str,
        #[case] tag: &str,
        #[case] expected: bool,
    ) {
        let members = ["TABLE config", "FUNCTION f("].map(|name| ("s".to_owned(), name.to_owned()));
        let facts = Facts { members: members.into(), ..Facts::default() };
        let entry = Entry { schema: Some(schema.into()), ..entry("ACL", tag) };
        assert_eq!(is_tolerated(&entry, &facts, &error("42501", Class::Refused)), expected);
        assert!(!is_tolerated(&entry, &facts, &error("42P01", Class::NeedsHuman)));
    }

    #[rstest]
    #[case("COMMENT", "EXTENSION pg_trgm", "42501", true)]
    #[case("COMMENT", "TABLE t", "42501", false)]
    #[case("COMMENT", "EXTENSION pg_trgm", "42704", false)]
    #[case("EVENT TRIGGER", "e", "42501", true)]
    #[case("TABLE", "t", "42501", false)]
    fn few_errors_are_passed_over(
        #[case] kind: &str,
        #[case] tag: &str,
        #[case] sqlstate: &str,
        #[case] expected: bool,
    ) {
        let entry = entry(kind, tag);
        assert_eq!(is_tolerated(&entry, &Facts::default(), &error(sqlstate, Class::Refused)), expected);
        assert!(!expected || may_be_tolerated(&entry));
    }
}
