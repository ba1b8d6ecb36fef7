//! Calls about the daemon itself.

use std::time::Duration;

use crate::model::{ContainerId, Digest, Instance, Timestamp};

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
    /// Why containers cannot have user namespaces here; `None` if they can.
    pub no_user_namespaces: Option<String>,
    /// CPUs of the host.
    pub cpus: u32,
    /// Memory of the host in bytes.
    pub memory: u64,
    /// What this host cannot do, and what follows from it, as sentences.
    pub warnings: Vec<String>,
}

/// What takes space on disk, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Images, and how much of it no stack uses.
    pub images: Space,
    /// What containers wrote to their own root file systems.
    pub containers: Space,
    /// Named volumes, and how much of it no stack names.
    pub volumes: Space,
    /// Logs.
    pub logs: Space,
    /// Each image.
    pub image_list: Vec<ImageSpace>,
    /// Each container.
    pub container_list: Vec<ContainerSpace>,
    /// Each volume.
    pub volume_list: Vec<VolumeSpace>,
    /// How much images may take; `None`: as much as there is.
    pub max_size: Option<u64>,
}

/// What one image takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpace {
    /// Which.
    pub id: Digest,
    /// Its references, in full.
    pub references: Vec<String>,
    /// When it was made, as it says itself.
    pub created: Option<Timestamp>,
    /// The bytes of its layers, as they came and unpacked.
    pub size: u64,
    /// The bytes of those that other images have too.
    pub shared: u64,
    /// How many containers use it.
    pub containers: u32,
    /// How long ago it was used last.
    pub unused_for: Duration,
}

/// What one container takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpace {
    /// Which.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// The image it was made from.
    pub image: String,
    /// The bytes that it changed in its root.
    pub size: u64,
    /// Whether it runs.
    pub running: bool,
}

/// What one volume takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeSpace {
    /// Its name.
    pub name: String,
    /// How many containers have it mounted.
    pub containers: u32,
    /// The bytes in it.
    pub size: u64,
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
