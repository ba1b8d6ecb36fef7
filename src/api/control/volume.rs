//! Calls about volumes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::PruneFilter;
use crate::model::Timestamp;

/// A named volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeSummary {
    /// Its name in the instance, such as `shop_data`.
    pub name: String,
    /// The stack that made it.
    pub stack: String,
    /// Where its files are on the host.
    pub path: PathBuf,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Options it was made with.
    pub driver_opts: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The containers that have it mounted, by name.
    pub used_by: Vec<String>,
    /// The bytes in it, where they are known without a search.
    pub size: Option<u64>,
}

/// A volume to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateVolume {
    /// Its name; empty: one is made up.
    pub name: String,
    /// Options of the local driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Which unused volumes to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneVolumes {
    /// Also those that have a name.
    pub all: bool,
    /// Only those that fit.
    pub filter: PruneFilter,
}

/// What a removal took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemovedVolumes {
    /// The names.
    pub names: Vec<String>,
    /// Bytes that are free again.
    pub freed: u64,
}
