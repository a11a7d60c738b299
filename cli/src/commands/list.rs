//! `changeover list`

use std::time::Duration;

use futures::future::join_all;

use crate::{
    client::{Listed, Temporal},
    connect,
    exit::Exit,
    problem::Problem,
    render::{list::Row, list::list, status::word},
    ui::Ui,
};

/// Longest wait for one migration's own word.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(ui: &Ui) -> Result<Exit, Problem> {
    let temporal = connect::connect(ui, connect::Missing::Start).await?;
    // All at once; one that can't be asked in time is listed all the same.
    let rows = join_all(temporal.list().await?.into_iter().map(|listed| row(&temporal, listed))).await;
    if ui.json {
        ui.print_json(&rows)?;
    } else {
        ui.print(&list(&rows));
    }
    Ok(Exit::Done)
}

async fn row(temporal: &Temporal, mut listed: Listed) -> Row {
    let status = tokio::time::timeout(PATIENCE, temporal.status(&listed.migration)).await;
    let status = status.ok().and_then(Result::ok);
    // Temporal knows when the last run began, and a migration of days has many.
    if let Some(status) = &status {
        listed.started_at.clone_from(&status.started_at);
    }
    Row {
        state: status.as_ref().map(|s| word(s.state()).to_owned()),
        stage: status.as_ref().map(|s| s.stage.clone()),
        serving: status.map(|s| s.serving),
        listed,
    }
}
