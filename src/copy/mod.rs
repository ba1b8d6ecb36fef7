//! Files in and out of a directory as a tar stream, never leaving that directory.
//!
//! Both sides are hostile: a container's files may change while they are read, and an archive may
//! hold any name. So no path is ever joined and opened: each is resolved by the kernel with the root
//! as its limit (`openat2`), and what is found is used through its descriptor.

mod pack;
mod place;
#[cfg(test)]
mod tests;
mod unpack;

use std::path::PathBuf;

pub use pack::pack;
pub use place::{Ids, Kind, Place};
pub use unpack::{Owner, Unpack, unpack};

/// What stands at the end of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Its last component, as the path names it; `.` for the root.
    pub name: PathBuf,
}

/// Why files could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A file.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What with it.
        what: &'static str,
        /// Which, as seen in the directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something that is not done.
    #[error("{0}")]
    Refused(String),
    /// The archive is damaged, or its reader or writer is gone.
    #[error("the archive is broken off or damaged: {0}")]
    Archive(#[from] std::io::Error),
}

/// What copying gives.
pub type Result<T> = std::result::Result<T, CopyError>;

/// Says of an error what could not be done.
trait Doing<T> {
    fn doing(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        let path = path.into();
        self.map_err(|error| CopyError::File { what, path, source: error.into() })
    }
}
