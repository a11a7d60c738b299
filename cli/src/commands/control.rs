//! `changeover cutover | rollback | retry | abort | finalize | pause | resume`

use changeover_domain::proto::Control;

use super::confirm::confirm;
use crate::{client::Temporal, client::Verb, connect, exit::Exit, problem::Problem, ui::Ui};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The migration
    #[arg(value_name = "NAME")]
    name: String,
    /// Who says so; without it, the login of this machine
    #[arg(long, value_name = "PERSON", env = "CHANGEOVER_ACTOR")]
    actor: Option<String>,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Confirmed {
    #[command(flatten)]
    args: Args,
    /// Don't ask; for scripts in which a person has decided
    #[arg(long, short)]
    yes: bool,
}

/// The ones that move traffic or remove the way back.
pub(super) async fn confirmed(ui: &Ui, verb: Verb, confirmed: &Confirmed) -> Result<Exit, Problem> {
    if confirmed.yes {
        return run(ui, verb, &confirmed.args).await;
    }
    if !ui.asks() {
        // Before Temporal is asked: it can only be refused.
        let nobody = changeover_domain::proto::Status { migration: confirmed.args.name.clone(), ..Default::default() };
        confirm(ui, verb, &nobody)?;
    }
    let temporal = connect::connect(ui, connect::Missing::Start).await?;
    let status = temporal.status(&confirmed.args.name).await?;
    confirm(ui, verb, &status)?;
    say(ui, &temporal, verb, &confirmed.args).await
}

/// The others.
pub(super) async fn run(ui: &Ui, verb: Verb, args: &Args) -> Result<Exit, Problem> {
    let temporal = connect::connect(ui, connect::Missing::Start).await?;
    say(ui, &temporal, verb, args).await
}

async fn say(ui: &Ui, temporal: &Temporal, verb: Verb, args: &Args) -> Result<Exit, Problem> {
    let control = Control { actor: args.actor.clone().unwrap_or_else(connect::user), reason: args.reason.clone() };
    let accepted = temporal.control(&args.name, verb, control).await?;
    if ui.json {
        ui.print_json(&accepted)?;
    } else {
        ui.print(&format!("{}: {}", args.name, accepted.message));
        ui.hint(&format!("changeover status {} --watch", args.name));
    }
    Ok(Exit::Done)
}
