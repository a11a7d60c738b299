//! Who did what, when.

use changeover_domain::proto::History;

use super::format::second;
use crate::ui::Paint;

/// The audit trail as text, one event a line.
pub(crate) fn history(history: &History, paint: Paint) -> String {
    let width = |of: fn(&changeover_domain::proto::AuditEvent) -> &str| {
        history.events.iter().map(|e| of(e).chars().count()).max().unwrap_or(0)
    };
    let (actor, event, stage) = (width(|e| &e.actor), width(|e| &e.event), width(|e| &e.stage));
    let mut out = String::new();
    for entry in &history.events {
        let by = format!("{:<actor$}", entry.actor);
        let by = if entry.actor == "changeover" { paint.faint(&by) } else { paint.strong(&by) };
        let line = format!(
            "{:>4}  {}  {by}  {:<event$}  {:<stage$}  {}",
            entry.number,
            second(&entry.at),
            entry.event,
            entry.stage,
            entry.detail
        );
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
