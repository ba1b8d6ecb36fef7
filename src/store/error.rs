//! What can go wrong with the store.

use std::io;
use std::path::{Path, PathBuf};

use super::Refused;

/// Why the store cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused something.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// `write`, `open`, …
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no space left for the state.
    #[error("cannot write {}: no space is left on its disk", path.display())]
    NoSpace {
        /// The file.
        path: PathBuf,
    },
    /// Another daemon has it open.
    #[error("{} is in use by another daemon", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file is not as it was written.
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A file was written by another version.
    #[error("{} has format {found}; this orca reads format {known}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format it has.
        found: u32,
        /// The format that is known.
        known: u32,
    },
    /// A command in the log does not fit the state before it.
    #[error("{}: command {seq} of the log does not fit", path.display())]
    Replay {
        /// The file.
        path: PathBuf,
        /// The command's number.
        seq: u64,
        /// Why.
        #[source]
        source: Refused,
    },
    /// A command is larger than the log takes.
    #[error("a command of {size} bytes is too large: at most {most} can be kept")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        most: usize,
    },
}

/// Why a command was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It cannot be applied.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It could not be made durable. It has no effect; trying again later may work.
    #[error("cannot keep the change")]
    Store(#[from] StoreError),
}

/// A function that makes an error of `doing` something with `path`.
pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace { path },
        _ => StoreError::Io { doing, path, source },
    }
}
