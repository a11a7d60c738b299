//! `changeover cutover | retry | abort | pause | resume`, and what they share with `rollback` and `finalize`.

use changeover_domain::proto::{Control, Status};

use super::confirm;
use crate::{client::Temporal, client::Verb, connect, exit::Exit, problem::Problem, ui::Ui};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The migration
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// Who says so; without it, the login of this machine
    #[arg(long, value_name = "PERSON", env = "CHANGEOVER_ACTOR")]
    pub(super) actor: Option<String>,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) reason: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Confirmed {
    #[command(flatten)]
    pub(super) args: Args,
    /// Don't ask; for scripts in which a person has decided
    #[arg(long, short)]
    yes: bool,
}

impl Args {
    /// What goes to the migration.
    pub(super) fn control(&self) -> Control {
        Control {
            actor: self.actor.clone().unwrap_or_else(connect::user),
            reason: self.reason.clone(),
            ..Control::default()
        }
    }
}

impl Confirmed {
    /// The ones that move traffic or remove the way back.
    pub(super) async fn run(&self, ui: &Ui, verb: Verb) -> Result<Exit, Problem> {
        let question = confirm::what(verb);
        self.run_with(ui, verb, question, |_| self.args.control()).await
    }

    /// The same with a question and a message of one's own; the message is made from the status.
    pub(super) async fn run_with(
        &self,
        ui: &Ui,
        verb: Verb,
        question: &str,
        control: impl FnOnce(&Status) -> Control,
    ) -> Result<Exit, Problem> {
        if !self.yes && !ui.asks() {
            // Before Temporal is asked: it can only be refused.
            let nobody = Status { migration: self.args.name.clone(), ..Status::default() };
            confirm::confirm(ui, verb, question, &nobody)?;
        }
        let temporal = connect::connect(ui, connect::Missing::Start).await?;
        let status = temporal.status(&self.args.name).await?;
        if !self.yes {
            confirm::confirm(ui, verb, question, &status)?;
        }
        say(ui, &temporal, verb, &self.args.name, control(&status)).await
    }
}

/// The others.
pub(super) async fn run(ui: &Ui, verb: Verb, args: &Args) -> Result<Exit, Problem> {
    let temporal = connect::connect(ui, connect::Missing::Start).await?;
    say(ui, &temporal, verb, &args.name, args.control()).await
}

async fn say(ui: &Ui, temporal: &Temporal, verb: Verb, name: &str, control: Control) -> Result<Exit, Problem> {
    let accepted = temporal.control(name, verb, control).await?;
    if ui.json {
        ui.print_json(&accepted)?;
    } else {
        ui.print(&format!("{name}: {}", accepted.message));
        ui.hint(&format!("changeover status {name} --watch"));
    }
    Ok(Exit::Done)
}
