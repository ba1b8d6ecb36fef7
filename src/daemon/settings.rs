//! What whoever runs the daemon chooses.

use std::path::Path;
use std::time::Duration;

use crate::image::Budget;

/// What whoever runs the daemon chooses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// How much room images may take, and how long unused ones stay.
    pub images: Budget,
}

impl Settings {
    /// Images may take this many bytes (0: as many as there are; `None`: a fifth of the disk that the
    /// instance's root is on), and stay for `max_age` when they are not used.
    pub fn new(root: &Path, max_size: Option<u64>, max_age: Option<Duration>) -> Self {
        let max_size = match max_size {
            Some(0) => None,
            Some(size) => Some(size),
            None => a_fifth_of_the_disk(root),
        };
        Self { images: Budget { max_size, max_age } }
    }
}

fn a_fifth_of_the_disk(root: &Path) -> Option<u64> {
    // The root may not be there yet.
    let there = root.ancestors().find(|path| path.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_blocks.saturating_mul(disk.f_frsize) / 5).filter(|size| *size > 0)
}
