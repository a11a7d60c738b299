//! Time as the ledger has it: nanoseconds since 1970, anchored once to the wall clock and monotonic from there.

use std::time::{Duration, Instant, SystemTime};

/// A clock that never goes back.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: u64,
    instant: Instant,
}

impl Clock {
    /// Anchors the clock to the wall clock's present reading.
    pub fn start() -> Self {
        Self { wall: nanos(SystemTime::now()), instant: Instant::now() }
    }

    /// Nanoseconds since 1970.
    pub fn now(&self) -> u64 {
        self.wall + as_nanos(self.instant.elapsed())
    }
}

/// Nanoseconds since 1970; 0 for times before.
pub fn nanos(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, as_nanos)
}

/// A duration in nanoseconds; u64 holds 584 years.
pub fn as_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds as milliseconds.
pub fn millis(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() * 1000.0
}
