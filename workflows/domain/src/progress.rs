//! Progress with rate and ETA, and how often to look.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::proto::Progress;

/// One look at the bytes copied.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds on any steady clock.
    pub at: f64,
    /// Bytes copied by then.
    pub bytes: u64,
}

/// A rate over the last looks. Bounded, so that it can live in workflow state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    samples: Vec<Sample>,
}

/// How many looks the rate is taken over.
const WINDOW: usize = 12;

impl Rate {
    /// Takes a look in. Fewer bytes than before (a copy that began anew) start the measurement again.
    pub fn look(&mut self, sample: Sample) {
        if self.samples.last().is_some_and(|last| sample.bytes < last.bytes) {
            self.samples.clear();
        }
        self.samples.push(sample);
        if self.samples.len() > WINDOW {
            self.samples.remove(0);
        }
    }

    /// Bytes per second over the window; `None` while it can't be told.
    pub fn bytes_per_second(&self) -> Option<f64> {
        let (first, last) = (self.samples.first()?, self.samples.last()?);
        let seconds = last.at - first.at;
        (seconds > 0.0).then(|| (last.bytes - first.bytes) as f64 / seconds)
    }
}

/// Fills rate and ETA into a progress.
pub fn with_rate(mut progress: Progress, rate: &Rate) -> Progress {
    let speed = rate.bytes_per_second().unwrap_or(0.0);
    progress.bytes_per_second = speed;
    let left = progress.bytes_total.saturating_sub(progress.bytes_done);
    progress.eta_seconds = match (left, speed) {
        (0, _) => Some(0),
        (_, speed) if speed > 0.0 => Some((left as f64 / speed).ceil() as u64),
        _ => None,
    };
    progress
}

/// The longest pause between two looks, where the spec's own interval isn't longer.
pub const CALMEST: Duration = Duration::from_secs(300);

/// The pause until the next look at a copy: a fiftieth of the ETA, between the spec's interval and the calmest, so that a sync of
/// days doesn't fill its history.
pub fn next_look(interval: Duration, eta_seconds: Option<u64>) -> Duration {
    eta_seconds.map_or(interval, |eta| calm(interval, Duration::from_secs(eta / 50)))
}

/// The pause until the next look at what goes on until a person ends it: a hundredth of the time that it has lasted, within the
/// same bounds. What goes wrong does so soon after a change.
pub fn next_look_after(interval: Duration, lasted: Duration) -> Duration {
    calm(interval, lasted / 100)
}

fn calm(interval: Duration, wanted: Duration) -> Duration {
    wanted.clamp(interval, CALMEST.max(interval))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rate_and_eta() {
        let mut rate = Rate::default();
        let total = Progress { bytes_done: 300, bytes_total: 1_300, ..Progress::default() };
        assert_eq!(with_rate(total, &rate).eta_seconds, None);
        rate.look(Sample { at: 10.0, bytes: 100 });
        rate.look(Sample { at: 12.0, bytes: 300 });
        let told = with_rate(total, &rate);
        assert_eq!((told.bytes_per_second, told.eta_seconds), (100.0, Some(10)));
    }

    #[test]
    fn what_has_lasted_for_long_is_looked_at_calmly() {
        let after = |seconds| next_look_after(Duration::from_secs(10), Duration::from_secs(seconds)).as_secs();
        assert_eq!([after(0), after(999), after(3_600), after(86_400 * 7)], [10, 10, 36, 300]);
        assert_eq!(next_look_after(Duration::from_secs(900), Duration::from_secs(86_400 * 7)).as_secs(), 900);
    }

    #[test]
    fn a_copy_that_begins_anew_is_measured_anew() {
        let mut rate = Rate::default();
        rate.look(Sample { at: 0.0, bytes: 500 });
        rate.look(Sample { at: 1.0, bytes: 0 });
        assert_eq!(rate.bytes_per_second(), None);
    }

    proptest! {
        #[test]
        fn the_pause_stays_within_bounds(interval in 1u64..100_000, eta in proptest::option::of(0u64..10_000_000)) {
            let interval = Duration::from_millis(interval);
            for pause in [next_look(interval, eta), next_look_after(interval, Duration::from_secs(eta.unwrap_or(0)))] {
                prop_assert!(pause >= interval && pause <= CALMEST.max(interval));
            }
        }
        #[test]
        fn a_rate_is_never_negative(looks in proptest::collection::vec((0u32..100, 0u64..1_000), 0..40)) {
            let (mut rate, mut at) = (Rate::default(), 0.0);
            for (step, bytes) in looks {
                at += f64::from(step);
                rate.look(Sample { at, bytes });
                prop_assert!(rate.bytes_per_second().is_none_or(|r| r >= 0.0));
            }
        }
    }
}
