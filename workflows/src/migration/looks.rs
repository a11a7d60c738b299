//! What a stage remembers that looks again and again, and how long it waits between two looks.

use std::time::{Duration, SystemTime};

use changeover_domain::{Direction, progress};
use serde::{Deserialize, Serialize};

use super::{patience::Patience, state::State, watch};

/// What a stage that looks again and again remembers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Looks {
    /// When the stage began.
    pub since: Option<SystemTime>,
    /// How many there have been.
    pub number: u32,
    /// Trouble seen.
    pub patience: Patience,
    /// The next one is far away: slots are watched meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub calm: bool,
}

impl State {
    /// For how long the last comparison of all rows still counts; nothing where no limit is set.
    pub fn verification_lasts(&self) -> Option<Duration> {
        let limit = Duration::from_millis(self.spec.gates.map_or(0, |gates| gates.max_verification_age_ms));
        let age = self.now.duration_since(self.verified_at?).unwrap_or_default();
        (!limit.is_zero()).then(|| limit.saturating_sub(age))
    }

    /// The last comparison of all rows is older than the switch allows, or there is none.
    pub fn verification_is_old(&self) -> bool {
        self.verified_at.is_none() || self.verification_lasts() == Some(Duration::ZERO)
    }

    /// The pause until the next look at what goes on until a person ends it.
    pub fn next_look(&self, interval: Duration) -> Duration {
        let alarmed = [Direction::Forward, Direction::Reverse].iter().any(|one| watch::level_of(self, *one) > 0);
        if self.looks.patience.is_tried() || alarmed {
            return interval;
        }
        let lasted = self.looks.since.map(|since| self.now.duration_since(since).unwrap_or_default());
        progress::next_look_after(interval, lasted.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use changeover_domain::proto::{Gates, LinkHealth, Spec};

    use super::*;

    const EVERY: Duration = Duration::from_secs(10);
    const HOUR: Duration = Duration::from_secs(3_600);

    /// In a stage that has lasted for ten hours.
    fn state() -> State {
        let gates = Gates { max_verification_age_ms: 7_200_000, ..Gates::default() };
        let spec = Spec { gates: Some(gates), ..Spec::default() };
        let mut state = State::new(spec, String::new(), SystemTime::UNIX_EPOCH);
        state.looks.since = Some(state.now);
        state.now += HOUR * 10;
        state
    }

    #[test]
    fn who_is_alarmed_looks_at_every_interval() {
        let mut state = state();
        assert_eq!(state.next_look(EVERY), Duration::from_secs(300));
        let link = |held, limit| LinkHealth {
            direction: Direction::Reverse.word().to_owned(),
            retained_wal_bytes: held,
            max_retained_wal_bytes: limit,
            ..LinkHealth::default()
        };
        for (held, limit, wanted) in [(50, 100, 300), (51, 100, 10), (51, 0, 300)] {
            state.status.links = vec![link(0, 0), link(held, limit)];
            assert_eq!(state.next_look(EVERY).as_secs(), wanted, "{held} of {limit}");
        }
        state.status.links.clear();
        assert!(state.looks.patience.bear(state.now, "CO0816", "it", &["down".to_owned()]).is_ok());
        assert_eq!(state.next_look(EVERY), EVERY);
    }

    #[test]
    fn a_comparison_counts_until_it_is_too_old() {
        let mut state = state();
        assert_eq!(state.verification_lasts(), None);
        state.verified_at = Some(state.now - HOUR);
        assert_eq!(state.verification_lasts(), Some(HOUR));
        assert!(!state.verification_is_old());
        state.now += HOUR;
        assert_eq!(state.verification_lasts(), Some(Duration::ZERO));
        assert!(state.verification_is_old());
        state.spec.gates = None;
        assert_eq!(state.verification_lasts(), None);
    }
}
