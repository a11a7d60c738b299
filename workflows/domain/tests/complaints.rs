//! The pages on what others' users complain of, and on the classes of faults, name only tests that are there, and have a word on every
//! row.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, path::Path};

const HOLES: usize = 9;
const COMPLAINTS: usize = 53;
const CLASSES: usize = 23;

/// A row: its number, its verdict, the tests that it names, its last cell.
struct Row {
    number: String,
    verdict: String,
    tests: Vec<(String, String)>,
    words: String,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn rows() -> Vec<Row> {
    ["docs/complaints.md", "docs/fault-classes.md"].into_iter().flat_map(rows_of).collect()
}

fn rows_of(page: &str) -> Vec<Row> {
    let page = std::fs::read_to_string(root().join(page)).unwrap();
    page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #")).map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
    assert_eq!(cells.len(), 4, "not four cells: {line}");
    let quoted = cells[3].split('`').skip(1).step_by(2);
    let tests = quoted.filter_map(|text| text.split_once("::")).map(|(file, name)| (file.to_owned(), name.to_owned()));
    let [number, _, verdict, words] = [cells[0], cells[1], cells[2], cells[3]].map(str::to_owned);
    Row { number, verdict, tests: tests.collect(), words }
}

/// Whether a file has a test function of this name.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let Some(at) = lines.iter().position(|line| line.contains(&format!("fn {name}("))) else { return false };
    let attributes = lines[..at].iter().rev().map(|line| line.trim()).take_while(|line| line.starts_with(['#', '/']));
    // What proptest makes of a function is a test by its own attribute, too.
    attributes.into_iter().any(|line| {
        line.ends_with("test]")
            || line.contains("::test(")
            || line.starts_with("#[rstest")
            || line.starts_with("#[case")
    }) || lines[..at].iter().any(|line| line.contains("proptest! {"))
}

#[test]
fn every_complaint_has_its_row() {
    let mut wanted: Vec<String> = (1..=HOLES).map(|n| format!("H{n}")).collect();
    wanted.extend((1..=COMPLAINTS).map(|n| n.to_string()));
    let numbers = |page| rows_of(page).into_iter().map(|row| row.number).collect::<Vec<_>>();
    assert_eq!(numbers("docs/complaints.md"), wanted);
    assert_eq!(numbers("docs/fault-classes.md"), (1..=CLASSES).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_row_says_what_covers_it_or_why_nothing_does() {
    for row in rows() {
        let number = &row.number;
        match row.verdict.as_str() {
            "covered" | "in part" if row.words.contains(": see ") => {}
            "covered" | "in part" => assert!(!row.tests.is_empty(), "{number} names no test"),
            "not covered" | "doesn't apply" => assert!(row.words.len() > 20, "{number} doesn't say why"),
            other => panic!("{number} has the verdict `{other}`"),
        }
        assert!(!row.words.contains("TODO"), "{number} isn't finished: {}", row.words);
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for row in rows() {
        for (file, name) in &row.tests {
            let text = texts.entry(file.clone()).or_insert_with(|| {
                std::fs::read_to_string(root().join(file))
                    .unwrap_or_else(|error| panic!("{}: {file}: {error}", row.number))
            });
            assert!(is_test(text, name), "{}: {file} has no test {name}", row.number);
        }
    }
}

#[test]
fn a_function_that_is_no_test_does_not_count() {
    let text =
        "#[test]\n#[ignore]\nfn a() {}\n\nfn b() {}\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn c() {\n";
    assert_eq!(["a", "b", "c", "d"].map(|name| is_test(text, name)), [true, false, true, false]);
}
