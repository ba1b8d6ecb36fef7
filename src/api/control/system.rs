//! Calls about the daemon itself.

use crate::model::{Instance, Timestamp};

/// What a daemon and its host are. The server adds its version, and counts from the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Which orca it is.
    pub instance: Instance,
    /// The daemon's process.
    pub pid: u32,
    /// Since when it runs.
    pub started: Timestamp,
    /// The host's name.
    pub hostname: String,
    /// The kernel's release.
    pub kernel: String,
    /// `v2`, `v1` or `hybrid`.
    pub cgroups: String,
    /// CPUs of the host.
    pub cpus: u32,
    /// Memory of the host in bytes.
    pub memory: u64,
    /// What this host cannot do, and what follows from it, as sentences.
    pub warnings: Vec<String>,
}

/// What takes space on disk, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Images, and how much of it no stack uses.
    pub images: Space,
    /// What containers wrote to their own root file systems.
    pub containers: Space,
    /// Named volumes, and how much of it no stack names.
    pub volumes: Space,
    /// Logs.
    pub logs: Space,
}

/// One row of [`DiskUsage`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// How many things.
    pub count: u64,
    /// How many of them are in use.
    pub active: u64,
    /// The bytes of all.
    pub size: u64,
    /// The bytes that removing the unused would free.
    pub reclaimable: u64,
}
