//! `docs/spec.md` and `deploy/spec.schema.json` say what the table of fields says.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use changeover_domain::spec::render;

/// Compares, or writes when `CHANGEOVER_RENEW` is set.
fn same(path: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("CHANGEOVER_RENEW").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let renew = "CHANGEOVER_RENEW=1 cargo test -p changeover-domain --test spec_files";
    assert!(found == wanted, "{} differs from the table of fields; renew it by `{renew}`", path.display());
}

#[test]
fn the_documentation_follows_the_table() {
    same("docs/spec.md", &render::docs());
}

#[test]
fn the_schema_follows_the_table() {
    same("deploy/spec.schema.json", &render::json_schema());
}
