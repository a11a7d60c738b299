//! Numbers and times as people read them.

use jiff::Timestamp;

/// `84.0 MB`: decimal units, three digits at most before the point.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    // What would be shown as 1000.0 belongs to the next unit.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `12.3 MB/s`.
pub(crate) fn rate(bytes_per_second: f64) -> String {
    // Saturating; rates are far below 2⁵³.
    format!("{}/s", bytes(bytes_per_second.max(0.0) as u64))
}

/// `1 234 567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// `1 table`, `2 tables`.
pub(crate) fn plural(number: u64, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{} {word}s", count(number)) }
}

/// `2d 3h`, `1h 5m`, `3m 20s`, `9s`: the two largest units.
pub(crate) fn seconds(seconds: u64) -> String {
    let (days, hours, minutes, rest) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")];
    let Some(first) = parts.iter().position(|(n, _)| *n > 0) else { return "0s".to_owned() };
    let shown = parts[first..].iter().take(2).filter(|(n, _)| *n > 0);
    shown.map(|(n, unit)| format!("{n}{unit}")).collect::<Vec<_>>().join(" ")
}

/// Microseconds as milliseconds: `12.3 ms`.
pub(crate) fn pause(microseconds: u64) -> String {
    format!("{:.1} ms", microseconds as f64 / 1000.0)
}

/// Seconds between two RFC 3339 times; none when one isn't a time.
pub(crate) fn between(from: &str, to: &str) -> Option<u64> {
    let (from, to) = (from.parse::<Timestamp>().ok()?, to.parse::<Timestamp>().ok()?);
    u64::try_from(to.duration_since(from).as_secs()).ok()
}

/// The time of day of an RFC 3339 time, `08:04:11`; the text itself when it's none. UTC, as everything in the audit trail.
pub(crate) fn clock(at: &str) -> &str {
    at.get(11..19).unwrap_or(at)
}

/// The time to the second, `2026-11-23 08:04:11Z`.
pub(crate) fn second(at: &str) -> String {
    match (at.get(..10), at.get(11..19)) {
        (Some(day), Some(clock)) => format!("{day} {clock}Z"),
        _ => at.to_owned(),
    }
}

/// Whole percent, never 100 before all is done.
pub(crate) fn percent(done: u64, total: u64) -> u64 {
    if total == 0 {
        return 0;
    }
    let percent = (u128::from(done) * 100 / u128::from(total)).min(100);
    u64::try_from(percent).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "0 B")]
    #[case(999, "999 B")]
    #[case(1000, "1.0 kB")]
    #[case(84_000_000, "84.0 MB")]
    #[case(999_990, "1.0 MB")]
    #[case(999_999_999, "1.0 GB")]
    #[case(u64::MAX, "18446.7 PB")]
    fn sizes(#[case] size: u64, #[case] text: &str) {
        assert_eq!(bytes(size), text);
    }

    #[rstest]
    #[case(0, "0s")]
    #[case(9, "9s")]
    #[case(200, "3m 20s")]
    #[case(3600, "1h")]
    #[case(90_061, "1d 1h")]
    fn times(#[case] time: u64, #[case] text: &str) {
        assert_eq!(seconds(time), text);
    }

    #[test]
    fn numbers() {
        assert_eq!(count(1_234_567), "1 234 567");
        assert_eq!(count(123), "123");
        assert_eq!(plural(1, "table"), "1 table");
        assert_eq!(percent(999, 1000), 99);
        assert_eq!(percent(1, 0), 0);
        assert_eq!(between("2026-11-23T08:00:00Z", "2026-11-23T08:00:09.500Z"), Some(9));
        assert_eq!(between("", "2026-11-23T08:00:09.500Z"), None);
    }
}
