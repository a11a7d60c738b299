//! Without a terminal: one line for each change.

use changeover_domain::proto::{State, Status};

use crate::render::{
    format::{clock, percent},
    status::progress_text,
};

/// Remembers the last line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    last: String,
}

impl Lines {
    /// The line for this status, if it says something new.
    pub(super) fn next(&mut self, status: &Status) -> Option<String> {
        let said = say(status);
        // A rate that wobbles is no change; percent, tables, stage and words are.
        if said.key == self.last {
            return None;
        }
        self.last = said.key;
        Some(format!("{} {}", clock(&status.updated_at), said.line))
    }
}

struct Said {
    /// What makes a line a new one.
    key: String,
    line: String,
}

fn say(status: &Status) -> Said {
    let head = format!("{:<13} {:<8}", status.stage, crate::render::status::word(status.state()));
    let mut words = status.doing.clone();
    if !status.waiting_for.is_empty() {
        words.push_str(&format!(" (waits for {})", status.waiting_for));
    }
    let mut key = None;
    match (status.state(), &status.progress, &status.failure) {
        (State::Running, Some(progress), _) if status.stage == "copy" && progress.bytes_total > 0 => {
            words = progress_text(progress);
            let percent = percent(progress.bytes_done, progress.bytes_total);
            key = Some(format!("{percent} {}/{}", progress.tables_done, progress.tables_total));
        }
        (State::Parked | State::Refused, _, Some(failure)) => {
            words = format!("{} {}; {}", failure.code, failure.message, failure.remedy);
        }
        _ => {}
    }
    let key = key.unwrap_or_else(|| words.clone());
    // A new switch is a change even if the words around it are the same.
    let switches = status.switches.last().map(|r| format!("{} {}", r.epoch, r.outcome)).unwrap_or_default();
    Said { key: format!("{head} {key} {switches}"), line: format!("{head} {words}").trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn a_line_comes_for_each_change_and_only_then() {
        let mut lines = Lines::default();
        let mut status = samples::copying();
        let first = lines.next(&status).unwrap();
        assert_eq!(
            first,
            "09:30:00 copy          running  42 %, 84.0 MB of 200.0 MB, 420 000 of 1 000 000 rows, 3 of 17 tables, 12.3 MB/s, ETA 9s"
        );
        if let Some(progress) = status.progress.as_mut() {
            progress.bytes_per_second = 1.0;
        }
        assert_eq!(lines.next(&status), None);
        if let Some(progress) = status.progress.as_mut() {
            progress.bytes_done = 90_000_000;
        }
        assert!(lines.next(&status).unwrap().contains("45 %"));
        let parked = lines.next(&samples::parked()).unwrap();
        assert!(parked.contains("CO0816 replication of shop is down; free disk space"), "{parked}");
    }
}
