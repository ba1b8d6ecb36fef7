//! Spans of time: `1m30s`, `1d`, `250ms`.

use std::time::Duration;

const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// The most nanoseconds, as in Go: some 292 years.
const MOST: f64 = 9_223_372_036_854_775_807.0;

/// A span of time. A negative one is refused: docker compose takes it and then waits for nothing.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = |why: &str| format!("invalid duration {text:?}: {why}");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.starts_with('-') {
        return Err(bad("it must not be negative"));
    }
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(bad("it is empty"));
    }
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| bad("a number is missing, as in `10s`"))?;
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if unit.is_empty() {
            return Err(bad("the unit is missing, as in `10s`"));
        }
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(bad("the unit must be one of us, ms, s, m, h, d, w"));
        };
        total = add(total, number, *factor).ok_or_else(|| bad("too long"))?;
        rest = after;
    }
    Ok(Duration::from_nanos(total))
}

fn add(total: u64, number: f64, factor: u64) -> Option<u64> {
    #[expect(clippy::cast_precision_loss, reason = "the units are far below 2^53")]
    let nanoseconds = number * factor as f64;
    if nanoseconds >= MOST {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range and not negative"
    )]
    total.checked_add(nanoseconds.round() as u64).filter(|sum| *sum <= i64::MAX as u64)
}

/// A span of time as Go prints it: `1m30s`, `24h0m0s`, `1.5s`, `250ms`.
pub(crate) fn write_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    for (unit, size, limit) in
        [("ns", 1, 1_000), ("µs", 1_000, 1_000_000), ("ms", 1_000_000, 1_000_000_000)]
    {
        if nanoseconds < limit {
            return format!("{}{unit}", decimal(nanoseconds, size));
        }
    }
    let minutes = nanoseconds / 60_000_000_000;
    let seconds = decimal(nanoseconds % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn decimal(number: u128, unit: u128) -> String {
    let fraction = number % unit;
    if fraction == 0 {
        return (number / unit).to_string();
    }
    let width = unit.ilog10() as usize;
    let fraction = format!("{fraction:0width$}");
    format!("{}.{}", number / unit, fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read_and_written_as_in_go() {
        for (text, written) in [
            ("90s", "1m30s"),
            ("1d", "24h0m0s"),
            ("1w2d", "216h0m0s"),
            ("1h30m", "1h30m0s"),
            ("1.5s", "1.5s"),
            ("1500us", "1.5ms"),
            ("250ms", "250ms"),
            ("10us", "10µs"),
            ("5ns", "5ns"),
            ("0", "0s"),
            ("0s", "0s"),
            ("+2s", "2s"),
        ] {
            assert_eq!(parse_duration(text).map(write_duration).as_deref(), Ok(written), "{text}");
        }
        for text in ["", "10", "-1s", "s", "1x", "1s5", "1..5s", ".s", "999999999w", "1 s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
