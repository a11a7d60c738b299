//! `changeover list`

use crate::{
    connect,
    exit::Exit,
    problem::Problem,
    render::{list::Row, list::list, status::word},
    ui::Ui,
};

pub(super) async fn run(ui: &Ui) -> Result<Exit, Problem> {
    let temporal = connect::connect(ui, connect::Missing::Start).await?;
    let mut rows = Vec::new();
    for listed in temporal.list().await? {
        // One that can't be asked is listed all the same.
        let status = temporal.status(&listed.migration).await.ok();
        rows.push(Row {
            state: status.as_ref().map(|s| word(s.state()).to_owned()),
            stage: status.as_ref().map(|s| s.stage.clone()),
            serving: status.map(|s| s.serving),
            listed,
        });
    }
    if ui.json {
        ui.print_json(&rows)?;
    } else {
        ui.print(&list(&rows));
    }
    Ok(Exit::Done)
}
