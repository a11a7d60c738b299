//! `changeover plan`

use std::path::Path;

use changeover_domain::proto::Spec;

use crate::{exit::Exit, look, problem::Problem, render, spec_file, ui::Ui};

pub(super) async fn run(ui: &Ui, path: &Path) -> Result<Exit, Problem> {
    let spec = spec_file::read(path)?;
    if spec.aws.is_some() {
        return of_aws(ui, path, &spec).await;
    }
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

/// The databases are looked at by preflight, when the target is there.
async fn of_aws(ui: &Ui, path: &Path, spec: &Spec) -> Result<Exit, Problem> {
    let plan = render::aws::plan_of(spec, changeover_worker::outlook(spec).await?);
    if ui.json {
        ui.print_json(&plan)?;
    } else {
        ui.print(&render::aws::plan(&plan, ui.out));
        ui.hint(&format!("changeover start {}", path.display()));
    }
    Ok(Exit::Done)
}
