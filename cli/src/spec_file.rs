//! Reading a spec from a file.

use std::path::Path;

use changeover_domain::{proto::Spec, spec};

use crate::{exit::Exit, problem::Problem};

/// Reads and checks a spec; all its mistakes come at once.
pub(crate) fn read(path: &Path) -> Result<Spec, Problem> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("the spec {shown} can't be read: {error}");
        Problem::new("CO0907", message, "give the path of a spec; `changeover init` writes a commented one")
    })?;
    spec::parse(&text).map_err(|mistakes| {
        let count = if mistakes.len() == 1 { "1 mistake".to_owned() } else { format!("{} mistakes", mistakes.len()) };
        let code = mistakes.first().map_or("CO0101", |m| m.code.as_str()).to_owned();
        let message = format!("the spec {shown} has {count}; nothing was started");
        let mut problem =
            Problem::new(&code, message, "correct the lines above; docs/spec.md lists all keys").exit(Exit::Refused);
        problem.mistakes = mistakes;
        problem
    })
}
