//! On a terminal: a bar for the stages, one for the copy, a line for what it does.

use std::time::Duration;

use changeover_domain::proto::{StageState, State, Status};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::render::{
    format::{bytes, percent, rate, seconds},
    status::word,
};

/// The bars; they vanish when dropped.
pub(super) struct Bars {
    all: MultiProgress,
    stages: ProgressBar,
    copy: Option<ProgressBar>,
    line: ProgressBar,
}

impl Drop for Bars {
    fn drop(&mut self) {
        // A terminal that is gone can't be cleared; nothing depends on it.
        let _ignored = self.all.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants; one that can't be parsed would show the default style.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

impl Bars {
    pub(super) fn new() -> Self {
        let all = MultiProgress::new();
        let stages = all
            .add(ProgressBar::new(0).with_style(style("{prefix:>14.bold} [{bar:30.cyan}] {pos}/{len} stages  {msg}")));
        let line = all.add(ProgressBar::new_spinner().with_style(style("{spinner:>14} {msg}")));
        line.enable_steady_tick(Duration::from_millis(200));
        Self { all, stages, copy: None, line }
    }

    pub(super) fn show(&mut self, status: &Status) {
        let done = status.stages.iter().filter(|s| s.state() == StageState::Done).count();
        self.stages.set_length(status.stages.len() as u64);
        self.stages.set_position(done as u64);
        self.stages.set_prefix(status.migration.clone());
        self.stages.set_message(format!("{} {}, serving: {}", status.stage, word(status.state()), status.serving));
        self.show_copy(status);
        self.line.set_message(line(status));
    }

    fn show_copy(&mut self, status: &Status) {
        let progress = status.progress.as_ref().filter(|p| status.stage == "copy" && p.bytes_total > 0);
        let Some(progress) = progress else {
            if let Some(bar) = self.copy.take() {
                bar.finish_and_clear();
            }
            return;
        };
        let bar = self.copy.get_or_insert_with(|| {
            let bar = ProgressBar::new(100).with_style(style("{prefix:>14} [{bar:30.green}] {msg}"));
            self.all.insert_after(&self.stages, bar)
        });
        let eta = progress.eta_seconds.map_or_else(|| "?".to_owned(), seconds);
        let done = percent(progress.bytes_done, progress.bytes_total);
        bar.set_prefix("copy");
        bar.set_position(done);
        bar.set_message(format!(
            "{done} %  {} of {}  {}/{} tables  {}  ETA {eta}",
            bytes(progress.bytes_done),
            bytes(progress.bytes_total),
            progress.tables_done,
            progress.tables_total,
            rate(progress.bytes_per_second),
        ));
    }

    pub(super) fn trouble(&self, message: &str) {
        self.line.set_message(format!("{message}; still watching"));
    }
}

fn line(status: &Status) -> String {
    match (status.state(), &status.failure) {
        (State::Parked, Some(failure)) => format!("parked: {} {}", failure.code, failure.message),
        (State::Waiting, _) => format!("waits for {}; next: {}", status.waiting_for, status.next_command),
        _ => status.doing.clone(),
    }
}
