//! `changeover status`

use std::time::Duration;

use crate::{
    client::Temporal,
    connect,
    exit::Exit,
    problem::Problem,
    render,
    ui::Ui,
    watch::{self, Until, Watch},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The migration; needed when several run
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Follow it until it ends
    #[arg(long, short)]
    watch: bool,
    /// Follow it until it is `waiting` for a person, has `parked`, or has come to this stage; implies --watch
    #[arg(long, value_name = "WHAT")]
    until: Option<Until>,
    /// Follow no longer than this
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    timeout: Option<Duration>,
    /// How often to look
    #[arg(long, value_name = "DURATION", value_parser = super::duration, default_value = "1s")]
    every: Duration,
}

pub(super) async fn run(ui: &Ui, args: &Args) -> Result<Exit, Problem> {
    let temporal = connect::connect(ui, connect::Missing::Start).await?;
    let name = name(&temporal, args.name.as_deref()).await?;
    if args.watch || args.until.is_some() {
        let watch = Watch {
            until: args.until.clone(),
            every: args.every.max(Duration::from_millis(100)),
            timeout: args.timeout,
        };
        return watch::watch(ui, &temporal, &name, &watch).await;
    }
    let status = temporal.status(&name).await?;
    if ui.json {
        ui.print_json(&status)?;
    } else {
        ui.print(&render::status::status(&status, ui.out));
    }
    Ok(Exit::Done)
}

/// The migration that is meant: the one named, or the only one that runs, or the only one there is.
async fn name(temporal: &Temporal, given: Option<&str>) -> Result<String, Problem> {
    if let Some(name) = given {
        return Ok(name.to_owned());
    }
    let all = temporal.list().await?;
    let running: Vec<&str> = all.iter().filter(|m| m.workflow == "running").map(|m| m.migration.as_str()).collect();
    match (running.as_slice(), all.as_slice()) {
        ([one], _) => Ok((*one).to_owned()),
        ([], [one]) => Ok(one.migration.clone()),
        ([], []) => Err(Problem::new("CO0904", "there are no migrations", "`changeover start SPEC` starts one")),
        ([], _) => {
            Err(Problem::new("CO0908", "no migration runs, and several have ended", "name one of `changeover list`")
                .exit(Exit::Usage))
        }
        (several, _) => {
            let message = format!("several migrations run: {}", several.join(", "));
            Err(Problem::new("CO0908", message, "name one: `changeover status NAME`").exit(Exit::Usage))
        }
    }
}
