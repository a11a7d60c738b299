//! The typed confirmation before traffic moves or the way back goes.

use changeover_domain::proto::Status;
use dialoguer::Input;

use crate::{client::Verb, exit::Exit, problem::Problem, ui::Ui};

/// What is about to happen, in one sentence.
pub(super) fn what(verb: Verb) -> &'static str {
    match verb {
        Verb::Cutover => "writes wait for moments, then the target serves",
        Verb::Rollback => "writes wait for moments, then the source serves again",
        Verb::Finalize => "the way back is removed for good; the target goes on serving",
        _ => "",
    }
}

/// Lets a person type the migration's name; refuses when there is nobody.
pub(super) fn confirm(ui: &Ui, verb: Verb, question: &str, status: &Status) -> Result<(), Problem> {
    let word = verb.word();
    if !ui.asks() {
        let message = format!("{word} needs a confirmation, and there is no terminal to ask at; nothing was done");
        return Err(Problem::new("CO0906", message, "add --yes if a person has decided this").exit(Exit::Usage));
    }
    ui.say(&format!("{word} of {}: {question} (the {} serves now)", status.migration, status.serving));
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
