//! WAL that a slot holds back: how fast it grows, when the budget will be used up, and when to warn and to stop.

use serde::{Deserialize, Serialize};

use crate::{
    Direction, Failure,
    preflight::finding::{bytes, seconds},
    proto::{Budgets, LinkHealth},
};

/// One look at the slots of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds on any steady clock.
    pub at: f64,
    /// WAL that the slot which lags most holds back.
    pub held: u64,
    /// Where the provider's WAL ended.
    pub written: u64,
}

/// The last looks. Bounded, so that it can live in workflow state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pile {
    samples: Vec<Sample>,
}

/// How many looks rates are taken over, and how close in time two of them may be: a burst of looks tells nothing.
const WINDOW: usize = 8;
const APART_SECONDS: f64 = 5.0;

/// A warning comes this long before the budget is used up, or when this much of it is.
const AHEAD_SECONDS: u64 = 3_600;
const SHARE: u64 = 2;

impl Pile {
    /// Takes a look in. WAL that went back (another server serves the address now) starts the measurement again.
    pub fn look(&mut self, sample: Sample) {
        if self.samples.last().is_some_and(|last| sample.written < last.written || sample.at < last.at) {
            self.samples.clear();
        }
        // The newest one always counts; the one before goes if it is too close to its own predecessor.
        let len = self.samples.len();
        if len >= 2 && self.samples[len - 1].at - self.samples[len - 2].at < APART_SECONDS {
            self.samples.pop();
        }
        self.samples.push(sample);
        if self.samples.len() > WINDOW {
            self.samples.remove(0);
        }
    }

    fn over(&self, what: impl Fn(&Sample) -> u64) -> Option<f64> {
        let (first, last) = (self.samples.first()?, self.samples.last()?);
        let time = last.at - first.at;
        (time > 0.0).then(|| (what(last) as f64 - what(first) as f64) / time)
    }

    /// WAL written per second; `None` while it can't be told.
    pub fn written_per_second(&self) -> Option<f64> {
        self.over(|sample| sample.written).map(|rate| rate.max(0.0))
    }

    /// Seconds until `limit` is held back, if it goes on growing as it does; `None` when it doesn't grow.
    pub fn seconds_until(&self, limit: u64) -> Option<u64> {
        let growth = self.over(|sample| sample.held)?;
        let left = limit.saturating_sub(self.samples.last()?.held);
        (growth > 0.0).then(|| (left as f64 / growth).ceil() as u64)
    }
}

/// What the WAL that is held back asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing.
    Calm,
    /// A warning: code, a space, words.
    Alarm(String),
    /// The budget is used up.
    Full(Failure),
}

/// Looks at the links of one direction of all databases: fills in rates and forecast, and says what they ask for.
/// `ends_in` is the time in seconds after which the WAL will be let go of, where that is known: the copy's ETA.
pub fn judge(
    migration: &str,
    direction: Direction,
    budgets: &Budgets,
    pile: &mut Pile,
    links: &mut [LinkHealth],
    at: f64,
    ends_in: Option<u64>,
) -> Level {
    let Some(held) = links.iter().map(|link| link.retained_wal_bytes).max() else { return Level::Calm };
    let written = links.iter().map(|link| link.wal_written_bytes).max().unwrap_or_default();
    pile.look(Sample { at, held, written });
    let limit = budgets.max_retained_wal_bytes;
    let full_in = (limit > 0).then(|| pile.seconds_until(limit)).flatten();
    for link in links.iter_mut() {
        link.max_retained_wal_bytes = limit;
        link.wal_bytes_per_second = pile.written_per_second();
        // The one that holds back most is the one that fills the disk; the others have time.
        link.wal_full_in_seconds = full_in.filter(|_| link.retained_wal_bytes == held);
    }
    let side = direction.from_side();
    if limit == 0 {
        return Level::Calm;
    }
    if held > limit {
        return Level::Full(full(migration, direction, held, limit));
    }
    let soon = full_in.is_some_and(|left| left < AHEAD_SECONDS);
    let before_the_end = full_in.zip(ends_in).is_some_and(|(left, end)| left < end);
    if held < limit / SHARE && !before_the_end && !(soon && held > limit / 10) {
        return Level::Calm;
    }
    let forecast = full_in.map_or_else(
        || "it doesn't grow at present".to_owned(),
        |left| {
            let end = ends_in.filter(|_| before_the_end);
            let end =
                end.map_or_else(String::new, |end| format!(", before the copy ends (in {})", seconds(end as f64)));
            format!("at the present rate that is reached in {}{end}", seconds(left as f64))
        },
    );
    Level::Alarm(format!(
        "CO0522 the {side}'s slot of the {direction} replication holds back {} of WAL, the limit is {}: {forecast}",
        bytes(held as f64),
        bytes(limit as f64)
    ))
}

/// Nothing brings back what a slot has lost: replication in this direction has come to its end. `wal_status` is that of
/// `pg_replication_slots` (documentation, 54.20). `way_back`: the target serves, so that no more than the way back is lost.
pub fn lost(migration: &str, direction: Direction, links: &[LinkHealth], way_back: bool) -> Option<Failure> {
    let databases: Vec<&str> =
        links.iter().filter(|link| link.wal_status == "lost").map(|link| link.database.as_str()).collect();
    if databases.is_empty() {
        return None;
    }
    let side = direction.from_side();
    let message = format!(
        "the {side}'s slot of the {direction} replication has lost WAL that it needed (max_slot_wal_keep_size), in {}: what was written since can't follow",
        databases.join(", ")
    );
    if way_back {
        let remedy = format!(
            "a rollback would lose what was written since: decide by the target alone. `changeover retry {migration}` goes on with the soak, without a way back and without comparing rows, up to `changeover finalize {migration}`"
        );
        return Some(Failure::needs_human("CO0514", message, remedy));
    }
    let remedy = format!(
        "`changeover abort {migration}`, and start again with a larger max_slot_wal_keep_size on the {side}, once it is known why the other side hadn't read for so long"
    );
    Some(Failure::needs_human("CO0514", message, remedy))
}

fn full(migration: &str, direction: Direction, held: u64, limit: u64) -> Failure {
    let side = direction.from_side();
    let message = format!(
        "the {side}'s slot of the {direction} replication holds back {} of WAL, more than budgets.max_retained_wal ({}); nothing was dropped, and WAL goes on piling up",
        bytes(held as f64),
        bytes(limit as f64)
    );
    let way_out = match direction {
        Direction::Forward => format!("`changeover abort {migration}` drops the slot"),
        Direction::Reverse => format!(
            "while the target serves, `changeover rollback` or, giving up the way back, `changeover finalize {migration} --source-is-lost`"
        ),
    };
    let remedy = format!(
        "find out why the other side doesn't take it (`changeover status`), mend that, and `changeover retry {migration}` once it is below the limit again; if the {side}'s disk can't wait: {way_out}"
    );
    Failure::needs_human("CO0523", message, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: u64 = 10_000;

    fn budgets() -> Budgets {
        Budgets { max_retained_wal_bytes: LIMIT, ..Budgets::default() }
    }

    #[test]
    fn a_slot_that_has_lost_its_wal_is_told_with_its_databases() {
        let link = |database: &str, status: &str| LinkHealth {
            database: database.to_owned(),
            wal_status: status.to_owned(),
            ..LinkHealth::default()
        };
        let links = [link("shop", "lost"), link("billing", "unreserved"), link("log", "lost")];
        assert_eq!(lost("m", Direction::Forward, &links[1..2], false), None);
        let way_back = lost("m", Direction::Reverse, &links, true).unwrap();
        assert!(
            way_back.remedy.contains("changeover finalize m") && !way_back.remedy.contains("abort"),
            "{way_back:?}"
        );
        let failure = lost("m", Direction::Forward, &links, false).unwrap();
        assert!(failure.message.contains("the source's slot") && failure.message.contains("shop, log"), "{failure}");
        assert!(failure.remedy.contains("changeover abort m"), "{}", failure.remedy);
    }

    /// The level after looks at these times with this much held back.
    fn after(looks: &[(f64, u64)], ends_in: Option<u64>) -> (Level, LinkHealth) {
        let (mut pile, mut level) = (Pile::default(), Level::Calm);
        let mut link = LinkHealth::default();
        for (at, held) in looks {
            link = LinkHealth { retained_wal_bytes: *held, wal_written_bytes: *held + 5, ..LinkHealth::default() };
            let links = std::slice::from_mut(&mut link);
            level = judge("m", Direction::Forward, &budgets(), &mut pile, links, *at, ends_in);
        }
        (level, link)
    }

    fn is_alarm(level: &Level, words: &str) -> bool {
        matches!(level, Level::Alarm(text) if text.starts_with("CO0522 ") && text.contains(words))
    }

    #[test]
    fn what_grows_is_forecast_and_warned_of_an_hour_ahead() {
        let (level, link) = after(&[(0.0, 1_000), (10.0, 1_020)], None);
        assert_eq!((level, link.wal_full_in_seconds), (Level::Calm, Some(4_490)));
        assert_eq!((link.wal_bytes_per_second, link.max_retained_wal_bytes), (Some(2.0), LIMIT));
        let (level, link) = after(&[(0.0, 1_000), (10.0, 1_030)], None);
        assert_eq!(link.wal_full_in_seconds, Some(2_990));
        assert!(is_alarm(&level, "reached in 49m 50s"), "{level:?}");
    }

    #[test]
    fn half_of_the_budget_is_a_warning_even_if_it_does_not_grow() {
        assert!(is_alarm(&after(&[(0.0, 5_000), (10.0, 5_000)], None).0, "doesn't grow"));
        assert_eq!(after(&[(0.0, 4_999), (10.0, 4_999)], None).0, Level::Calm);
    }

    #[test]
    fn a_copy_that_would_not_end_in_time_is_a_warning_from_the_first() {
        let looks = [(0.0, 100), (10.0, 110)];
        assert_eq!(after(&looks, Some(9_000)).0, Level::Calm);
        assert!(is_alarm(&after(&looks, Some(10_000)).0, "before the copy ends"));
    }

    #[test]
    fn beyond_the_budget_it_stops_and_says_the_command() {
        let Level::Full(failure) = after(&[(0.0, LIMIT + 1)], None).0 else { panic!("it doesn't stop") };
        assert_eq!(failure.code, "CO0523");
        assert!(failure.remedy.contains("changeover abort m") && failure.remedy.contains("changeover retry m"));
        assert!(is_alarm(&after(&[(0.0, LIMIT)], None).0, "holds back"));
    }

    #[test]
    fn a_little_that_grows_is_no_alarm_yet() {
        // A busy minute of an otherwise quiet link.
        assert_eq!(after(&[(0.0, 0), (10.0, 900)], None).0, Level::Calm);
    }

    #[test]
    fn without_a_budget_nothing_is_judged() {
        let mut link = LinkHealth { retained_wal_bytes: u64::MAX, ..LinkHealth::default() };
        let (mut pile, links) = (Pile::default(), std::slice::from_mut(&mut link));
        let level = judge("m", Direction::Reverse, &Budgets::default(), &mut pile, links, 0.0, None);
        assert_eq!(level, Level::Calm);
    }

    proptest! {
        #[test]
        fn the_window_is_bounded_and_a_forecast_is_never_in_the_past(
            looks in proptest::collection::vec((0u32..100, 0u64..20_000, 0u64..5_000), 1..60)
        ) {
            let (mut pile, mut at, mut written) = (Pile::default(), 0.0, 0);
            for (step, held, more) in looks {
                at += f64::from(step);
                written += more;
                pile.look(Sample { at, held, written });
                prop_assert!(pile.samples.len() <= WINDOW);
                prop_assert!(pile.written_per_second().is_none_or(|rate| rate >= 0.0));
                if held >= LIMIT {
                    prop_assert!(pile.seconds_until(LIMIT).is_none_or(|left| left == 0));
                }
            }
        }
    }
}
