//! `changeover explain`

use serde_json::json;

use crate::{
    exit::Exit,
    pages::{PAGES, find, title},
    problem::Problem,
    ui::Ui,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The code, such as CO0803; without it, all codes are listed
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

pub(super) fn run(ui: &Ui, args: &Args) -> Result<Exit, Problem> {
    let Some(code) = &args.code else {
        if ui.json {
            let all: Vec<_> = PAGES.iter().map(|(code, page)| json!({ "code": code, "title": title(page) })).collect();
            ui.print_json(&all)?;
        } else {
            ui.print(&PAGES.iter().map(|(code, page)| format!("{code}  {}\n", title(page))).collect::<String>());
        }
        return Ok(Exit::Done);
    };
    let Some((code, page)) = find(code) else {
        let message = format!("no page explains {code}");
        return Err(
            Problem::new("CO0910", message, "`changeover explain` without a code lists all of them").exit(Exit::Usage)
        );
    };
    if ui.json {
        ui.print_json(&json!({ "code": code, "title": title(page), "text": page }))?;
    } else {
        ui.print(page);
    }
    Ok(Exit::Done)
}
