//! The list of migrations.

use comfy_table::{ContentArrangement, Table, presets::NOTHING};

use super::format::second;
use crate::client::Listed;

/// One row of the list: what Temporal knows, and what the migration itself says where it could be asked.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    #[serde(flatten)]
    pub(crate) listed: Listed,
    /// Absent when nobody answered.
    pub(crate) state: Option<String>,
    pub(crate) stage: Option<String>,
    pub(crate) serving: Option<String>,
}

/// The list as text.
pub(crate) fn list(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no migrations\n".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["MIGRATION", "STATE", "STAGE", "SERVING", "STARTED", "ENDED"]);
    for row in rows {
        let unknown = || format!("? ({})", row.listed.workflow);
        table.add_row([
            row.listed.migration.clone(),
            row.state.clone().unwrap_or_else(unknown),
            row.stage.clone().unwrap_or_default(),
            row.serving.clone().unwrap_or_default(),
            second(&row.listed.started_at),
            second(&row.listed.ended_at),
        ]);
    }
    let text = table.to_string();
    text.lines().map(|line| format!("{}\n", line.trim())).collect()
}
