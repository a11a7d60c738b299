//! The README's table of stages is the stage table's.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use changeover_domain::stage::{Gate, STAGES};

fn table() -> String {
    let mut text = String::from("| stage | what it does | waits for | traffic | abort |\n|---|---|---|---|---|\n");
    for stage in &STAGES {
        let waits = match stage.gate {
            Gate::Automatic => "",
            Gate::Approval => "a person",
        };
        let undo = if stage.undo.is_empty() { "" } else { stage.undo };
        writeln!(text, "| {} | {} | {waits} | {} | {undo} |", stage.word, stage.does, stage.traffic).unwrap();
    }
    text
}

/// `CHANGEOVER_WRITE=1 cargo test -p changeover-domain --test readme` writes it.
#[test]
fn the_readme_has_the_stage_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let begin = text.find("<!-- stages").and_then(|at| text[at..].find('\n').map(|end| at + end + 1)).unwrap();
    let end = text.find("<!-- /stages -->").unwrap();
    if std::env::var_os("CHANGEOVER_WRITE").is_some() {
        std::fs::write(path, format!("{}{}{}", &text[..begin], table(), &text[end..])).unwrap();
        return;
    }
    assert_eq!(&text[begin..end], table(), "the README's table differs from the code's");
}
