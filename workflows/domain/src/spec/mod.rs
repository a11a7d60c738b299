//! The spec as a person writes it: one TOML file, read through one table of fields.
//!
//! From the table ([`fields`]) come the parser, the commented file that `changeover init` writes, the JSON Schema and
//! `docs/spec.md`, so that none of them can say something else than the others.

mod aws_fields;
mod check;
mod convert;
mod error;
pub mod fields;
mod read;
pub mod render;
mod value;

pub use error::SpecError;

use crate::proto::Spec;

/// Reads a spec. All defaults are filled in; all mistakes are reported at once, in the order of their lines.
pub fn parse(text: &str) -> Result<Spec, Vec<SpecError>> {
    let mut read = read::read(text);
    check::check(&mut read);
    if !read.errors.is_empty() {
        let mut errors = read.errors;
        errors.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
        errors.dedup();
        return Err(errors);
    }
    Ok(convert::convert(&read))
}

#[cfg(test)]
mod tests;
