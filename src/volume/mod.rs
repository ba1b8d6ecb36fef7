//! Named volumes on the local disk.
//!
//! A volume is a directory under `<root>/volumes/<name>/`: `data` is what containers see, and
//! `volume.json` says whose it is. Where driver options name a file system, it is mounted at `data`
//! while containers use the volume.

mod error;
mod mounting;
mod options;
mod record;
mod store;
#[cfg(test)]
mod tests;

pub use error::VolumeError;
pub use record::{ANONYMOUS, VolumeRecord};
pub use store::{PrunedVolumes, Volumes};
