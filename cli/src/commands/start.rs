//! `changeover start`

use std::path::PathBuf;

use changeover_domain::plan::{plan_hash, same_plan, short_hash};
use changeover_workflows::MigrationInput;

use crate::{connect, exit::Exit, problem::Problem, spec_file, ui::Ui};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The spec
    #[arg(value_name = "SPEC")]
    spec: PathBuf,
    /// Start only if the plan is still this one, as `changeover plan` printed it
    #[arg(long, value_name = "HASH")]
    plan_hash: Option<String>,
}

pub(super) async fn run(ui: &Ui, args: &Args) -> Result<Exit, Problem> {
    let spec = spec_file::read(&args.spec)?;
    let hash = plan_hash(&spec);
    if let Some(given) = args.plan_hash.as_ref().filter(|given| !same_plan(given, &hash)) {
        let message = format!("the spec makes plan {}, not {given}; nothing was started", short_hash(&hash));
        return Err(Problem::new("CO0915", message, "read the plan again: `changeover plan`").exit(Exit::Refused));
    }
    let temporal = connect::connect(ui, connect::Missing::Start).await?;
    let name = spec.name.clone();
    let run = temporal.start(MigrationInput { spec, plan_hash: hash.clone(), carried: None }).await?;
    if ui.json {
        ui.print_json(&serde_json::json!({ "migration": name, "planHash": hash, "runId": run }))?;
    } else {
        ui.print(&format!("started {name}, plan {}", short_hash(&hash)));
        ui.hint(&format!("changeover status {name} --watch"));
    }
    if temporal.workers().await.is_ok_and(|workers| workers.is_empty()) {
        ui.warn(
            "no worker polls for work yet: run `changeover worker` where both servers and the poolers can be reached",
        );
    }
    Ok(Exit::Done)
}
