//! What a switch tells about itself.

use std::time::Duration;

use changeover_domain::{
    Direction,
    proto::{SwitchRecord, SwitchStep},
};
use tokio::time::Instant;

use super::decision::Outcome;

/// Notes the steps of an attempt, with their time since the pause began.
#[derive(Debug)]
pub(crate) struct Recorder {
    record: SwitchRecord,
    pause: Option<Instant>,
}

impl Recorder {
    pub(crate) fn new(direction: Direction, epoch: u64) -> Self {
        let word = match direction {
            Direction::Forward => "forward",
            Direction::Reverse => "rollback",
        };
        let record = SwitchRecord {
            epoch,
            direction: word.to_owned(),
            attempts: 1,
            started_at: now(),
            ..SwitchRecord::default()
        };
        Self { record, pause: None }
    }
    /// From here on writers may wait.
    pub(crate) fn begin_pause(&mut self) {
        self.pause = Some(Instant::now());
    }
    /// A step is done.
    pub(crate) fn step(&mut self, name: &str) {
        self.step_at(name, Instant::now());
    }
    /// A step was done at a moment: what goes on beside other things is told when all of it has ended.
    pub(crate) fn step_at(&mut self, name: &str, moment: Instant) {
        let at_us = self.pause.map_or(0, |pause| micros(moment.saturating_duration_since(pause)));
        tracing::info!(step = name, at_us, epoch = self.record.epoch, "switch");
        self.record.steps.push(SwitchStep { name: name.to_owned(), at_us });
    }
    /// Writers go on; what is said first counts.
    pub(crate) fn end_pause(&mut self) {
        if let Some(pause) = self.pause
            && self.record.pause_us == 0
        {
            self.record.pause_us = micros(pause.elapsed());
        }
    }
    /// The pause as it is known after a crash: from a clock time in a note.
    pub(crate) fn pause_was(&mut self, since_unix_us: Option<u64>) {
        let now = jiff::Timestamp::now().as_microsecond().unsigned_abs();
        self.record.pause_us = since_unix_us.map_or(0, |since| now.saturating_sub(since));
    }
    pub(crate) fn finish(mut self, outcome: Outcome, refusal: String) -> SwitchRecord {
        outcome.word().clone_into(&mut self.record.outcome);
        self.record.refusal = refusal;
        self.record.steps.sort_by_key(|step| step.at_us);
        self.record.ended_at = now();
        self.record
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}
