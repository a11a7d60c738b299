//! `changeover finalize`

use changeover_domain::proto::Control;

use super::{confirm, control::Confirmed};
use crate::{client::Verb, exit::Exit, problem::Problem, ui::Ui};

#[derive(Debug, clap::Args)]
pub(super) struct FinalizeArgs {
    #[command(flatten)]
    confirmed: Confirmed,
    /// The source is gone for good: clear the target alone, and leave on the source whatever is there
    #[arg(long)]
    source_is_lost: bool,
}

const LOST: &str = "the source is given up for good, with whatever of the migration is on it; the target is cleared and goes on serving";

pub(super) async fn run(ui: &Ui, args: &FinalizeArgs) -> Result<Exit, Problem> {
    let lost = args.source_is_lost;
    let question = if lost { LOST } else { confirm::what(Verb::Finalize) };
    let control = || Control { source_is_lost: lost, ..args.confirmed.args.control() };
    args.confirmed.run_with(ui, Verb::Finalize, question, |_| control()).await
}
