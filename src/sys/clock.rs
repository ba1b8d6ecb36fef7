//! The host's clocks.

use std::sync::LazyLock;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::model::{BootId, Boottime, Now, Timestamp};

/// The boot clock.
pub fn boottime() -> Boottime {
    // Cannot fail: the clock has been there since Linux 2.6.39 and the address is our own.
    Boottime(clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default())
}

/// The wall clock; the epoch if it is set before that.
pub fn wall() -> Timestamp {
    Timestamp(clock_gettime(ClockId::CLOCK_REALTIME).map(Duration::from).unwrap_or_default())
}

/// This boot's identity; empty where `/proc` does not tell.
pub fn boot_id() -> BootId {
    // It is asked for at every pass, and no process sees two of them.
    static BOOT: LazyLock<String> = LazyLock::new(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    });
    BootId(BOOT.clone())
}

/// All of them.
pub fn now() -> Now {
    Now { boottime: boottime(), boot: boot_id(), wall: wall() }
}
