//! Named volumes on the local disk.
//!
//! A volume is a directory under `<root>/volumes/<name>/`: `data` is what containers see, and
//! `volume.json` says whose it is. Never mounts anything.

mod error;
mod options;
mod record;
mod store;
#[cfg(test)]
mod tests;

pub use error::VolumeError;
pub use record::VolumeRecord;
pub use store::{PrunedVolumes, Volumes};
