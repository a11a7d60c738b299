//! A migration's status.

use changeover_domain::{
    plan::short_hash,
    proto::{LinkHealth, Progress, StageState, StageStatus, State, Status, SwitchRecord},
};

use super::format::{between, bytes, count, pause, percent, plural, rate, second, seconds};
use crate::ui::Paint;

/// The word for a state.
pub(crate) fn word(state: State) -> &'static str {
    match state {
        State::Unspecified => "unknown",
        State::Running => "running",
        State::Waiting => "waiting",
        State::Parked => "parked",
        State::Aborting => "aborting",
        State::Aborted => "aborted",
        State::Finished => "finished",
        State::Refused => "refused",
    }
}

/// Whether it has ended.
pub(crate) fn ended(state: State) -> bool {
    matches!(state, State::Aborted | State::Finished | State::Refused)
}

/// The whole status as text.
pub(crate) fn status(status: &Status, paint: Paint) -> String {
    let mut out = head(status, paint);
    out.push('\n');
    for stage in &status.stages {
        out.push_str(&stage_line(stage, status, paint));
    }
    if !status.links.is_empty() {
        out.push_str("\nreplication\n");
        for link in &status.links {
            out.push_str(&link_lines(link, paint));
        }
    }
    if let Some(verified) = status.verified.as_ref().filter(|v| v.tables > 0) {
        out.push_str(&format!(
            "\nverified      {} of {}, {}, {} differences, {} keys looked at twice\n",
            plural(verified.rows, "row"),
            plural(verified.tables, "table"),
            bytes(verified.bytes),
            verified.differences,
            count(verified.rechecked_keys),
        ));
        for example in &verified.examples {
            out.push_str(&format!("              {}\n", paint.bad(example)));
        }
    }
    if !status.switches.is_empty() {
        out.push_str("\nswitches\n");
        for record in &status.switches {
            out.push_str(&switch_line(record, paint));
        }
    }
    out.push_str(&tail(status, paint));
    out
}

fn head(status: &Status, paint: Paint) -> String {
    let state = status.state();
    let shown = match state {
        State::Parked | State::Refused | State::Unspecified => paint.bad(word(state)),
        State::Waiting | State::Aborting | State::Aborted => paint.warn(word(state)),
        State::Finished => paint.good(word(state)),
        State::Running => paint.now(word(state)),
    };
    let mut out = format!("{}  {shown}", paint.strong(&status.migration));
    if !ended(state) {
        let at = status.stages.iter().position(|s| s.stage == status.stage).map_or(0, |i| i + 1);
        out.push_str(&format!(", stage {} ({at} of {})", status.stage, status.stages.len()));
    }
    out.push('\n');
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            out.push_str(&format!("  {name:<10}  {value}\n"));
        }
    };
    line("doing", &status.doing);
    line("waits for", &paint.warn_unless_empty(&status.waiting_for));
    line("serving", &format!("{}   epoch {}   plan {}", status.serving, status.epoch, short_hash(&status.plan_hash)));
    line("started", &second(&status.started_at));
    line("soak until", &second(&status.soak_until));
    if let Some(failure) = &status.failure {
        line("failure", &format!("{} {}", paint.bad(&failure.message), paint.faint(&format!("[{}]", failure.code))));
        line("remedy", &failure.remedy);
    }
    line("next", &paint.strong_unless_empty(&status.next_command));
    out
}

impl Paint {
    fn warn_unless_empty(self, text: &str) -> String {
        if text.is_empty() { String::new() } else { self.warn(text) }
    }
    fn strong_unless_empty(self, text: &str) -> String {
        if text.is_empty() { String::new() } else { self.strong(text) }
    }
}

fn stage_line(stage: &StageStatus, status: &Status, paint: Paint) -> String {
    let mark = match stage.state() {
        StageState::Done => paint.good("done   "),
        StageState::Running => paint.now("running"),
        StageState::Failed => paint.bad("failed "),
        StageState::Undone => paint.warn("undone "),
        StageState::Pending | StageState::Unspecified => "       ".to_owned(),
    };
    let until = if stage.ended_at.is_empty() { &status.updated_at } else { &stage.ended_at };
    let took = between(&stage.started_at, until).filter(|_| stage.state() != StageState::Pending).map(seconds);
    let mut facts = Vec::new();
    if stage.attempts > 1 {
        facts.push(format!("{} attempts", stage.attempts));
    }
    if stage.state() == StageState::Running
        && stage.stage == "copy"
        && let Some(progress) = &status.progress
    {
        facts.push(progress_text(progress));
    }
    if !stage.evidence.is_empty() {
        facts.push(stage.evidence.clone());
    }
    let line = format!("  {mark}  {:<20} {:>8}  {}", stage.title, took.unwrap_or_default(), facts.join("; "));
    format!("{}\n", line.trim_end())
}

/// `42 %, 84.0 MB of 200.0 MB, 3 of 17 tables, 12.3 MB/s, ETA 9s`.
pub(crate) fn progress_text(progress: &Progress) -> String {
    let mut parts = vec![
        format!("{} %", percent(progress.bytes_done, progress.bytes_total)),
        format!("{} of {}", bytes(progress.bytes_done), bytes(progress.bytes_total)),
        format!("{} of {}", count(progress.rows_done), plural(progress.rows_total, "row")),
        format!("{} of {}", progress.tables_done, plural(progress.tables_total, "table")),
    ];
    if progress.bytes_per_second > 0.0 {
        parts.push(rate(progress.bytes_per_second));
    }
    if let Some(eta) = progress.eta_seconds {
        parts.push(format!("ETA {}", seconds(eta)));
    }
    parts.join(", ")
}

fn link_lines(link: &LinkHealth, paint: Paint) -> String {
    let mut parts = vec![format!("lag {}", bytes(link.lag_bytes))];
    if link.retained_wal_bytes > 0 {
        parts.push(held(link, paint));
    }
    if link.tables_total > 0 && link.tables_ready < link.tables_total {
        parts.push(format!("{} of {} ready", link.tables_ready, plural(link.tables_total, "table")));
    }
    if let Some(ms) = link.canary_ms {
        parts.push(format!("canary {ms} ms"));
    }
    if !link.slot_active {
        parts.push(paint.warn("slot inactive"));
    }
    let status = if link.problems.is_empty() { paint.good(&link.status) } else { paint.bad(&link.status) };
    let mut out = format!("  {:<16} {:<8} {status}  {}\n", link.database, link.direction, parts.join(", "));
    for problem in &link.problems {
        out.push_str(&format!("    {}\n", paint.bad(problem)));
    }
    out
}

/// `holds 6.1 GB of WAL, the limit of 10.0 GB in 22m at 3.0 MB/s`.
fn held(link: &LinkHealth, paint: Paint) -> String {
    let held = format!("holds {} of WAL", bytes(link.retained_wal_bytes));
    let Some(left) = link.wal_full_in_seconds else { return held };
    let rate = link.wal_bytes_per_second.map_or_else(String::new, |speed| format!(" at {}", rate(speed)));
    let text = format!("{held}, the limit of {} in {}{rate}", bytes(link.max_retained_wal_bytes), seconds(left));
    if link.retained_wal_bytes > link.max_retained_wal_bytes / 2 { paint.warn(&text) } else { text }
}

fn switch_line(record: &SwitchRecord, paint: Paint) -> String {
    let opened = record.outcome == "open";
    let outcome = if opened { paint.good("open ") } else { paint.warn("abort") };
    let tries = plural(u64::from(record.attempts.max(1)), "attempt");
    let mut line = format!(
        "  epoch {:<3} {:<9} {outcome}  writes waited {}, {tries}",
        record.epoch,
        record.direction,
        pause(record.pause_us)
    );
    if !record.refusal.is_empty() {
        line.push_str(&format!(": {}", record.refusal));
    }
    line.push('\n');
    line
}

fn tail(status: &Status, paint: Paint) -> String {
    let mut out = String::new();
    if !status.undo.is_empty() && !ended(status.state()) {
        out.push_str("\nan abort would\n");
        for undo in &status.undo {
            out.push_str(&format!("  {undo}\n"));
        }
    }
    if !status.roles_without_password.is_empty() {
        let roles = status.roles_without_password.join(", ");
        out.push_str(&format!("\n{} {roles}\n", paint.warn("set passwords on the target for:")));
    }
    for finding in &status.warnings {
        out.push_str(&format!(
            "{} {} {}\n",
            paint.warn("warning:"),
            finding.message,
            paint.faint(&format!("[{}]", finding.code))
        ));
    }
    for approve in &status.approvals {
        let what = changeover_domain::approval::word(approve.kind());
        let until = second(&approve.expires_at);
        out.push_str(&format!(
            "approved for {what} by {} until {until}, epoch {}: {}\n",
            approve.approver, approve.epoch, approve.reason
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_slot_holds_back_is_told_with_its_forecast() {
        let link = LinkHealth { retained_wal_bytes: 6_100_000_000, ..LinkHealth::default() };
        let paint = Paint(false);
        assert_eq!(held(&link, paint), "holds 6.1 GB of WAL");
        let link = LinkHealth {
            max_retained_wal_bytes: 10_000_000_000,
            wal_bytes_per_second: Some(3_000_000.0),
            wal_full_in_seconds: Some(1_300),
            ..link
        };
        assert_eq!(held(&link, paint), "holds 6.1 GB of WAL, the limit of 10.0 GB in 21m 40s at 3.0 MB/s");
    }
}
