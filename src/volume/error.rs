//! What can go wrong with volumes, in sentences for a person.

use std::io;
use std::path::{Path, PathBuf};

/// Why something could not be done with a volume.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The host would not.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A text that cannot be the name of a volume.
    #[error(
        "`{0}` cannot be the name of a volume: use letters, digits, `_`, `.` and `-`, a letter or \
         digit first, at most 200"
    )]
    BadName(String),
    /// No such volume.
    #[error("volume `{0}` does not exist")]
    NotFound(String),
    /// An external volume that is not there.
    #[error(
        "volume `{0}` is external, but does not exist; make it with `orca volume create {0}`, or \
         take `external` out of the file"
    )]
    NoExternal(String),
    /// Driver options that orca does not do.
    #[error("volume `{volume}`: {reason}")]
    Options {
        /// The volume.
        volume: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The file system of a volume cannot be mounted.
    #[error("cannot mount volume `{volume}`")]
    Mount {
        /// The volume.
        volume: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A volume cannot be limited.
    #[error("volume `{volume}` cannot be limited in size")]
    Limit {
        /// The volume.
        volume: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file system of a volume is not mounted.
    #[error("the files of volume `{0}` are only there while a container uses it")]
    Away(String),
    /// The volume is there with other options.
    #[error(
        "volume `{0}` exists with other driver options; remove it with `orca volume rm {0}`, or \
         give the new one another name"
    )]
    OtherOptions(String),
    /// The file that says whose volume it is cannot be understood.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

pub(super) type Result<T> = std::result::Result<T, VolumeError>;

/// Says what was tried when the host would not.
pub(super) trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| VolumeError::Io { doing, path: path.to_owned(), source })
    }
}
