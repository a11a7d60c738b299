//! `changeover plan`

use std::path::Path;

use crate::{exit::Exit, look, problem::Problem, render, spec_file, ui::Ui};

pub(super) async fn run(ui: &Ui, path: &Path) -> Result<Exit, Problem> {
    let spec = spec_file::read(path)?;
    let report = look::look(&spec).await?;
    let blocked = look::blocked(&report);
    let plan = render::plan::plan_of(&spec, report);
    if ui.json {
        ui.print_json(&plan)?;
    } else {
        let findings = render::preflight::preflight(&plan.preflight, ui.out);
        ui.print(&format!("{}\n{findings}", render::plan::plan(&plan, &spec, ui.out)));
        if !blocked {
            ui.hint(&format!("changeover start {}", path.display()));
        }
    }
    Ok(if blocked { Exit::Refused } else { Exit::Done })
}
