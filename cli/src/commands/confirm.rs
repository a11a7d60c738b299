//! The typed confirmation before traffic moves or the way back goes.

use changeover_domain::proto::Status;
use dialoguer::Input;

use crate::{client::Verb, exit::Exit, problem::Problem, ui::Ui};

/// What is about to happen, in one sentence.
fn what(verb: Verb, status: &Status) -> String {
    let name = &status.migration;
    match verb {
        Verb::Cutover => format!(
            "cutover: writes wait for moments, then the target of {name} serves ({} serves now)",
            status.serving
        ),
        Verb::Rollback => format!(
            "rollback: writes wait for moments, then the source of {name} serves again ({} serves now)",
            status.serving
        ),
        Verb::Finalize => {
            format!("finalize: the way back of {name} is removed for good; the {} goes on serving", status.serving)
        }
        _ => format!("{} {name}", verb.word()),
    }
}

/// Lets a person type the migration's name; refuses when there is nobody.
pub(super) fn confirm(ui: &Ui, verb: Verb, status: &Status) -> Result<(), Problem> {
    let word = verb.word();
    if !ui.asks() {
        let message = format!("{word} needs a confirmation, and there is no terminal to ask at; nothing was done");
        return Err(Problem::new("CO0906", message, "add --yes if a person has decided this").exit(Exit::Usage));
    }
    ui.say(&what(verb, status));
    let typed: String = Input::new()
        .with_prompt(format!("type the migration's name to {word}"))
        .allow_empty(true)
        .interact_text()
        .map_err(|e| {
            Problem::new("CO0906", format!("the answer can't be read: {e}"), "type the migration's name, or add --yes")
                .exit(Exit::Usage)
        })?;
    if typed.trim() == status.migration {
        return Ok(());
    }
    let message = format!("the name typed isn't {}; nothing was done", status.migration);
    Err(Problem::new("CO0906", message, format!("run `changeover {word}` again and type the name")).exit(Exit::Refused))
}
