//! `changeover history`

use crate::{connect, exit::Exit, problem::Problem, render, ui::Ui};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The migration
    #[arg(value_name = "NAME")]
    name: String,
}

pub(super) async fn run(ui: &Ui, args: &Args) -> Result<Exit, Problem> {
    let temporal = connect::connect(ui, connect::Missing::Start).await?;
    let history = temporal.history(&args.name).await?;
    if ui.json {
        ui.print_json(&history)?;
    } else {
        ui.print(&render::history::history(&history, ui.out));
    }
    Ok(Exit::Done)
}
