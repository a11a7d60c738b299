//! Every code in the sources has a page, and every page a code.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Sources of the product: not tests, which may make codes up.
const ROOTS: [&str; 4] = ["proto", "workflows", "workers", "cli"];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["tests", "target", "snapshots"].contains(&name.as_str()) {
            sources(&path, found);
        } else if [".rs", ".sql"].iter().any(|ending| name.ends_with(ending))
            && !name.ends_with("tests.rs")
            && name != "samples.rs"
        {
            found.push(path);
        }
    }
}

/// The codes in a text, comments and unit tests left out.
fn codes(text: &str) -> BTreeSet<String> {
    let code_only = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found = BTreeSet::new();
    for line in code_only.lines().filter(|l| !l.trim_start().starts_with("//") && !l.trim_start().starts_with("--")) {
        for (at, _) in line.match_indices("CO") {
            let code: String = line[at..].chars().take(6).collect();
            let stands_alone = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if stands_alone && code.len() == 6 && code[2..].bytes().all(|b| b.is_ascii_digit()) {
                found.insert(code);
            }
        }
    }
    found
}

#[test]
fn codes_are_found_in_strings_only() {
    let text =
        "// CO0101\nlet a = \"CO0102\"; refuse(\"CO0103 x\") XCO0104 CO01\n#[cfg(test)]\nmod tests {\n\"CO0105\"";
    assert_eq!(codes(text).into_iter().collect::<Vec<_>>(), ["CO0102", "CO0103"]);
}

#[test]
fn every_code_has_a_page_and_every_page_a_use() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for root in ROOTS {
        sources(&workspace.join(root), &mut files);
    }
    let mut used: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in files {
        for code in codes(&fs::read_to_string(&file).unwrap()) {
            used.entry(code).or_insert_with(|| file.clone());
        }
    }
    let pages: BTreeSet<String> = fs::read_dir(workspace.join("docs/errors"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".md").map(str::to_owned))
        .filter(|name| name.starts_with("CO"))
        .collect();
    let unexplained: Vec<_> = used.iter().filter(|(code, _)| !pages.contains(*code)).collect();
    let unused: Vec<_> = pages.iter().filter(|page| !used.contains_key(*page)).collect();
    assert!(
        unexplained.is_empty() && unused.is_empty(),
        "codes without a page: {unexplained:#?}\npages without a use: {unused:?}"
    );
}
