//! The closed list of what is done as a superuser outside RDS is one list: in the worker, in the function for production, and
//! in the stack's stand-in for RDS.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// What stands between `before` and `after`, everywhere.
fn between(text: &str, before: &str, after: &str) -> BTreeSet<String> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).map(|s| s.trim().to_owned()).collect()
}

/// The actions that a function's `if action = '…'` chain knows.
fn actions(sql: &str) -> BTreeSet<String> {
    between(sql, "if action = '", "'")
}

/// The statements on extensions and event triggers that it runs.
fn statements(sql: &str) -> BTreeSet<String> {
    let lines = sql.lines().map(str::trim).filter(|l| !l.starts_with("--"));
    let starts = ["create extension", "drop extension", "drop schema", "'create event", "'drop event"];
    let kept = lines.map(|l| l.trim_start_matches("execute pg_catalog.format("));
    kept.filter(|l| starts.iter().any(|s| l.starts_with(s))).map(str::to_owned).collect()
}

#[test]
fn all_three_know_the_same_actions() {
    let (production, stack) = (read("deploy/sql/escalation.sql"), read("dev/rds/database.sql"));
    let worker: BTreeSet<String> = between(&read("workers/postgres/src/escalate.rs"), "=> (\"", "\"");
    assert_eq!(worker.len(), 4, "{worker:?}");
    assert_eq!(actions(&production), worker);
    assert_eq!(actions(&stack), worker);
}

#[test]
fn both_functions_run_the_same_statements() {
    let production = statements(&read("deploy/sql/escalation.sql"));
    assert!(production.len() >= 8, "{production:?}");
    assert_eq!(production, statements(&read("dev/rds/database.sql")));
}
