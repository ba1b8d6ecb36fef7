//! Two clocks: one that deadlines use, one that people read.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on the boot clock (`CLOCK_BOOTTIME`): it counts through suspend, never jumps, and starts
/// again at zero with each boot. Deadlines are on this clock, so that a change of the wall clock
/// neither starts a storm nor freezes a wait.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Boottime(pub Duration);

impl Boottime {
    /// The time from `earlier` to this point; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Boottime {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}

impl Sub<Duration> for Boottime {
    type Output = Self;

    fn sub(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(wait))
    }
}

/// Wall time, as time since the Unix epoch. For display only: nothing waits for it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(pub Duration);

/// The identity of one boot of the host, as `/proc/sys/kernel/random/boot_id` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BootId(pub String);

/// A deadline that can be written to disk. In another boot it has passed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// The boot the deadline belongs to.
    pub boot: BootId,
    /// The point on that boot's clock.
    pub at: Boottime,
}

impl Deadline {
    /// What is left of the wait at `now` in `boot`; `None` once it has passed.
    pub fn left(&self, boot: &BootId, now: Boottime) -> Option<Duration> {
        (self.boot == *boot && self.at > now).then(|| self.at.since(now))
    }
}

/// Both clocks, read at the same moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// The boot clock.
    pub boottime: Boottime,
    /// The boot it belongs to.
    pub boot: BootId,
    /// The wall clock.
    pub wall: Timestamp,
}

impl fmt::Display for Boottime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.0.as_secs_f64())
    }
}
