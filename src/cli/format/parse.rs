//! Times as a user types them.

use std::time::Duration;

use crate::model::Timestamp;

/// `10`, `1.5s`, `2m30s`: a number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a length of time such as `10`, `1.5s` or `2m30s`");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| bad());
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let seconds =
            number.parse::<f64>().map_err(|_| bad())? * unit_seconds(unit).ok_or_else(bad)?;
        let part = Duration::try_from_secs_f64(seconds).map_err(|_| bad())?;
        total = total.checked_add(part).ok_or_else(bad)?;
        rest = after;
    }
    if text.is_empty() { Err(bad()) } else { Ok(total) }
}

fn unit_seconds(unit: &str) -> Option<f64> {
    match unit {
        "ns" => Some(1e-9),
        "us" | "µs" => Some(1e-6),
        "ms" => Some(1e-3),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        "d" => Some(86400.0),
        _ => None,
    }
}

/// A point in time: how long before `now` (`10m`), a date (`2026-01-02T03:04:05Z`; without a zone it
/// is the user's), or seconds since the epoch, as docker's `--since`.
pub(crate) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let at = |instant: jiff::Timestamp| {
        let nanos = u64::try_from(instant.as_nanosecond()).unwrap_or(0);
        Timestamp(Duration::from_nanos(nanos))
    };
    if let Ok(seconds) = text.parse::<f64>() {
        let since_epoch = Duration::try_from_secs_f64(seconds);
        return since_epoch.map(Timestamp).map_err(|_| not_a_moment(text));
    }
    if let Ok(before) = duration(text) {
        return Ok(Timestamp(now.0.saturating_sub(before)));
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(at(instant));
    }
    let local = text.parse::<jiff::civil::DateTime>().map_err(|_| not_a_moment(text))?;
    let zoned = local.to_zoned(jiff::tz::TimeZone::system()).map_err(|_| not_a_moment(text))?;
    Ok(at(zoned.timestamp()))
}

fn not_a_moment(text: &str) -> String {
    format!("`{text}` is not a time such as `10m` or `2026-01-02T03:04:05Z`")
}
