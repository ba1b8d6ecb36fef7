//! Decides what to do next, and does none of it.
//!
//! [`plan`] is a pure function of what is agreed, what was observed, and the time: every rule of orca
//! can be tested as values in, values out. A step holds every detail, so that doing it makes no
//! choice; its `Display` is the dry run, the log line and the golden test.

#![warn(clippy::disallowed_types)]

mod address;
mod attempts;
mod backoff;
mod container;
mod depends;
mod display;
mod environment;
mod look;
mod mounts;
mod names;
mod networks;
mod ports;
mod revision;
mod services;
mod status;
mod step;
mod steps;
mod suspend;
#[cfg(test)]
mod tests;

pub use names::names;
pub use revision::revision;
pub use status::status;
pub use step::*;

use crate::model::{Agreed, Boottime, Decision, Now, Observed};
use look::Look;

/// Plans the way from what was observed towards what is agreed.
///
/// The plan has either decisions or steps: while something is still to be decided nothing is done, so
/// that every effect on the host has a committed decision behind it, whenever the daemon dies.
pub fn plan(agreed: &Agreed, observed: &Observed, now: &Now) -> Plan {
    let look = Look::new(agreed, observed, now);
    if agreed.suspended {
        return suspend::plan(&look);
    }
    let mut plan = Plan { network: ports::table(&look), ..Plan::default() };
    // Each stage sees what the one before it decided: addresses need networks, attempts need tasks.
    let stages = [networks::decide, ports::decide, services::decide, attempts::decide];
    for decide in stages {
        let decided = decide(&look);
        if !decided.group.is_empty() {
            plan.decisions.push(decided.group);
            return plan;
        }
        plan.wake(decided.wake_at);
    }
    steps::list(&look, &mut plan);
    plan
}

impl Plan {
    /// Looks again at `at`, or sooner.
    fn wake(&mut self, at: Option<Boottime>) {
        self.wake_at = sooner(self.wake_at, at);
    }
}

/// What one stage decided: one entry of the log, all or nothing.
#[derive(Debug, Default)]
struct Decided {
    group: Vec<Decision>,
    wake_at: Option<Boottime>,
}

/// The sooner of two points that may not be set.
fn sooner(a: Option<Boottime>, b: Option<Boottime>) -> Option<Boottime> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
