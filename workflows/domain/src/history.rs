//! When a run's history has grown enough that the migration goes on in a new one.

/// What a run's history may have at most.
pub const MOST_EVENTS: u32 = 2_000;
/// The same in bytes.
pub const MOST_BYTES: usize = 2_000_000;

/// Where a run ends that nothing more is known about. What lies between this and the most is room for what comes before the next
/// place where it can end, a switch with all its attempts included.
pub const ENOUGH: u32 = 1_000;
/// A run that is only just begun doesn't end again.
const LEAST: u32 = 100;

/// Bytes of an event without what it is about.
const EVENT: usize = 500;
/// At most one event in so many holds the spec: an activity has six with the tasks around it.
const SPECS: usize = 6;

/// The number of events after which a run ends that was begun with so many bytes, and tells its activities a spec of so many.
pub fn enough(begun_with: usize, spec: usize) -> u32 {
    let room = (MOST_BYTES / 4 * 3).saturating_sub(begun_with);
    let events = room / (EVENT + spec / SPECS);
    u32::try_from(events).unwrap_or(ENOUGH).clamp(LEAST, ENOUGH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_run_ends_by_its_events_and_one_with_a_large_spec_by_its_bytes() {
        assert_eq!(enough(50_000, 3_000), ENOUGH);
        assert_eq!(enough(50_000, 30_000), 263);
        assert_eq!(enough(50_000, 3_000_000), LEAST);
        assert_eq!(enough(usize::MAX, 3_000), LEAST);
    }

    #[test]
    fn there_is_room_for_what_comes_before_the_end() {
        // Ten attempts to switch have eleven events each.
        const { assert!(ENOUGH + 10 * 11 + 200 < MOST_EVENTS) }
    }
}
