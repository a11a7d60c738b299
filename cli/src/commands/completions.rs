//! `changeover completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::{exit::Exit, problem::Problem};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<Exit, Problem> {
    clap_complete::generate(args.shell, &mut Cli::command(), "changeover", &mut std::io::stdout());
    Ok(Exit::Done)
}
