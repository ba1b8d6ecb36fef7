//! What is written down of a volume.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{Doing as _, Result, VolumeError};
use crate::model::Timestamp;

/// A volume that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeRecord {
    /// Its name in the instance.
    pub name: String,
    /// The stack it was made for; empty if it was made by hand.
    pub stack: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// Where its files are.
    pub path: PathBuf,
}

/// The label of volumes whose name was made up.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";

impl VolumeRecord {
    /// Whether nobody gave it its name.
    pub fn is_anonymous(&self) -> bool {
        self.labels.contains_key(ANONYMOUS) || self.name.starts_with("anonymous.")
    }
}

const FILE: &str = "volume.json";

/// Reads the record of the volume in `dir`; `None` if there is none.
pub(super) fn read(dir: &Path) -> Result<Option<VolumeRecord>> {
    let path = dir.join(FILE);
    let bytes = match fs::read(&path) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        done => done.doing("read", &path)?,
    };
    let damaged =
        |error: serde_json::Error| VolumeError::Damaged { path, reason: error.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Writes the record into `dir`, a draft that nobody else uses, to stay.
pub(super) fn write(dir: &Path, record: &VolumeRecord) -> Result<()> {
    let path = dir.join(FILE);
    let bytes = serde_json::to_vec_pretty(record)
        .map_err(|error| VolumeError::Damaged { path: path.clone(), reason: error.to_string() })?;
    let write = || {
        let mut file = File::create_new(&path)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        File::open(dir)?.sync_all()
    };
    write().doing("write", &path)
}
