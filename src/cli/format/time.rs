//! Points in time.

use jiff::tz::TimeZone;

use crate::model::Timestamp;

/// In UTC, as programs read it: `2026-01-02T03:04:05.123456789Z`.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    format!("{:.9}", instant(time))
}

/// In the user's time zone, as docker writes it: `2026-01-02 03:04:05 +0000 UTC`.
pub(crate) fn local(time: Timestamp) -> String {
    in_zone(time, TimeZone::system())
}

pub(super) fn in_zone(time: Timestamp, zone: TimeZone) -> String {
    instant(time).to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

fn instant(time: Timestamp) -> jiff::Timestamp {
    let nanos = i128::try_from(time.0.as_nanos()).unwrap_or(i128::MAX);
    jiff::Timestamp::from_nanosecond(nanos).unwrap_or(jiff::Timestamp::MAX)
}
