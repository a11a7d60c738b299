//! `changeover init`

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    path::PathBuf,
};

use changeover_domain::spec::render;

use crate::{exit::Exit, problem::Problem, ui::Ui};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write; without it, the spec goes to stdout. A file that exists is never touched
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Write the JSON Schema of a spec instead, for editors
    #[arg(long)]
    schema: bool,
}

pub(super) fn run(ui: &Ui, args: &Args) -> Result<Exit, Problem> {
    let text = if args.schema { render::json_schema() } else { render::init_text() };
    let Some(path) = &args.file else {
        ui.print(&text);
        return Ok(Exit::Done);
    };
    let shown = path.display();
    let written =
        OpenOptions::new().write(true).create_new(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) if ui.json => ui.print_json(&serde_json::json!({ "file": path }))?,
        Ok(()) => ui.hint(&format!("edit {shown}, then changeover preflight {shown}")),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(Problem::new("CO0912", format!("{shown} exists"), "name another file, or remove this one"));
        }
        Err(error) => {
            return Err(Problem::new(
                "CO0912",
                format!("{shown} can't be written: {error}"),
                "name a file that can be written",
            ));
        }
    }
    Ok(Exit::Done)
}
