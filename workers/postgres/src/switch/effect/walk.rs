//! Walks the sources of the switch: nothing is changed beside [`super::perform`].

use std::path::Path;

/// Calls that change something, wherever they are sent.
const CALLS: &[&str] = &[
    ".batch_execute(",
    ".execute(",
    ".simple_query(",
    ".copy_in(",
    "note::put",
    "note::forget",
    "triggers::always_off(",
    "triggers::always_on(",
    "sequences::apply(",
    "escalate::run(",
    "patience::batch(",
    "traffic.stage(",
    "traffic.pause(",
    "traffic.move_to(",
    "traffic.resume(",
];

/// Words that begin, after a quote or a semicolon, a statement that changes something; and functions that do.
const STATEMENTS: &[&str] = &[
    "insert ",
    "update ",
    "delete ",
    "alter ",
    "grant ",
    "revoke ",
    "lock ",
    "truncate ",
    "create ",
    "drop ",
    "do $",
    "call ",
    "commit",
];
const FUNCTIONS: &[&str] = &[
    "setval(",
    "nextval(",
    "pg_terminate_backend(",
    "pg_cancel_backend(",
    "set_config(",
    "advisory_xact_lock",
    "advisory_lock",
];

/// Text that says a change in SQL: `"insert …` or `; insert …` within a literal.
fn says_a_change(code: &str) -> Option<String> {
    let begins = |word: &&&str| {
        code.match_indices(**word).any(|(at, _)| {
            let before = code[..at].trim_end();
            before.ends_with('"') || before.ends_with(';') && code[..at].matches('"').count() % 2 == 1
        })
    };
    let found = STATEMENTS.iter().find(begins).or_else(|| FUNCTIONS.iter().find(|word| code.contains(**word)));
    found.or_else(|| CALLS.iter().find(|call| code.contains(**call))).map(|word| (*word).to_owned())
}

/// The functions of a file: name, signature, body. Comments and tests are left out.
fn functions(text: &str) -> Vec<(String, String, String)> {
    let code = text.split("#[cfg(test)]").next().unwrap_or("");
    let lines: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = lines.join("\n");
    let mut found = Vec::new();
    let mut rest = &*code;
    while let Some(at) = rest.find("fn ") {
        let after = &rest[at + 3..];
        let begins = rest[..at].chars().next_back().is_none_or(|c| c.is_whitespace());
        let Some((signature, body)) = after.split_once("{\n").filter(|_| begins) else {
            rest = after;
            continue;
        };
        let end = balanced(body, '{', '}');
        let name = signature.split(['(', '<']).next().unwrap_or("").to_owned();
        found.push((name, signature.to_owned(), body[..end].to_owned()));
        rest = &body[end..];
    }
    found
}

/// Where the bracket that was opened before `text` is closed.
fn balanced(text: &str, open: char, close: char) -> usize {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        depth += i32::from(c == open) - i32::from(c == close);
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// A body without what stands in `perform(…)` and `say(…)`.
fn without_effects(body: &str) -> String {
    let mut rest = body.to_owned();
    for call in ["perform(", "say("] {
        while let Some(at) = rest.find(call) {
            let begin = at + call.len();
            let end = begin + balanced(&rest[begin..], '(', ')');
            rest.replace_range(at..end, "");
        }
    }
    rest
}

fn beside_the_list(text: &str) -> Vec<String> {
    let functions = functions(text);
    let changing = functions.iter().filter(|(_, signature, _)| !signature.contains("Change"));
    changing.filter_map(|(name, _, body)| Some(format!("{name}: {}", says_a_change(&without_effects(body))?))).collect()
}

/// Functions that put statements together and send nothing.
const ONLY_TEXT: &[&str] = &[
    "acl.rs: passed_on",
    "acl.rs: as_role",
    "acl.rs: revoke_sql",
    "acl.rs: restore_sql",
    "acl.rs: sql",
    "epoch.rs: hold_sql",
    "fence.rs: confirm_sql",
    "fence.rs: prepare_locks",
    "flag.rs: lock_sql",
];

#[test]
fn every_change_of_the_switch_is_an_effect() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/switch");
    let mut seen = 0;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            seen += functions(&text).len();
            found.extend(beside_the_list(&text).into_iter().map(|what| format!("{file}: {what}")));
        }
    }
    found.retain(|what| !ONLY_TEXT.iter().any(|text| what.starts_with(&format!("{text}:"))));
    assert!(seen > 50, "only {seen} functions were seen");
    assert!(found.is_empty(), "made beside `perform`, add an effect: {found:#?}");
}

#[test]
fn a_change_beside_the_list_is_found() {
    for body in [
        "s.batch_execute(sql).await",
        "let sql = \"insert into x values (1)\"; s.query(sql).await",
        "let sql = \"begin; lock table x\"; s.query(sql).await",
        "perform(Effect::Lock, |change| lock(change)).await?; traffic.resume().await",
        "s.query(\"select setval('x', 1)\").await",
    ] {
        assert_eq!(beside_the_list(&format!("fn f() {{\n{body}\n}}")).len(), 1, "{body}");
        assert_eq!(beside_the_list(&format!("fn f(_: Change) {{\n{body}\n}}")).len(), 0, "{body}");
    }
    for body in
        ["perform(Effect::Lock, |_| s.batch_execute(\"lock table x\")).await", "s.query(\"select epoch\").await"]
    {
        assert!(beside_the_list(&format!("async fn f(s: &Session) {{\n{body}\n}}")).is_empty(), "{body}");
    }
}

/// What another module changes for the switch takes no [`super::Change`]: it is named above, and must be.
#[test]
fn every_effect_is_performed_somewhere() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/switch");
    let all: String = std::fs::read_dir(directory)
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok())
        .collect();
    for effect in super::Effect::ALL {
        assert!(all.contains(&format!("Effect::{effect:?}")), "{effect:?} is nowhere performed");
    }
}
