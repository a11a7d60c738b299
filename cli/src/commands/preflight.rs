//! `changeover preflight`

use std::path::Path;

use crate::{exit::Exit, look, problem::Problem, render, spec_file, ui::Ui};

pub(super) async fn run(ui: &Ui, spec: &Path) -> Result<Exit, Problem> {
    let report = look::look(&spec_file::read(spec)?).await?;
    if ui.json {
        ui.print_json(&report)?;
    } else {
        ui.print(&render::preflight::preflight(&report, ui.out));
    }
    Ok(if look::blocked(&report) { Exit::Refused } else { Exit::Done })
}
