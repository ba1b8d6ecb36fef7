//! Where the time of a start goes. `ORCA_LOG=orca::start=debug` shows it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::model::AttemptId;

/// A start that is measured.
#[derive(Debug)]
pub(super) struct Trace {
    attempt: AttemptId,
    began: Instant,
    last: Instant,
    laps: Vec<(&'static str, Duration)>,
}

impl Trace {
    /// It begins now.
    pub(super) fn new(attempt: AttemptId) -> Self {
        let now = Instant::now();
        Self { attempt, began: now, last: now, laps: Vec::with_capacity(4) }
    }

    /// What was done since the last lap.
    pub(super) fn lap(&mut self, what: &'static str) {
        let now = Instant::now();
        self.laps.push((what, now - self.last));
        self.last = now;
    }

    /// Says where the time has gone.
    pub(super) fn tell(&self) {
        tracing::debug!(
            target: "orca::start",
            attempt = %self.attempt,
            "{} after {}",
            self.text(),
            shown(self.began.elapsed())
        );
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (what, time) in &self.laps {
            let between = if text.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{between}{what} {}", shown(*time));
        }
        text
    }
}

fn shown(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_are_told_in_their_order() {
        let mut trace = Trace::new(AttemptId::default());
        trace.laps = vec![("sandbox", Duration::from_micros(1500)), ("program", Duration::ZERO)];
        assert_eq!(trace.text(), "sandbox 1.50 ms, program 0.00 ms");
        trace.lap("names");
        assert!(trace.text().contains("program 0.00 ms, names "));
    }
}
