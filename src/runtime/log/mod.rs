//! What containers print: written by a shim, read by anyone, kept within bounds.
//!
//! A log is a directory with files `00000001.log`, `00000002.log`, …; only the last one grows. A file
//! is never renamed while it is read, so rotation is a new number and the end of the oldest one. All
//! attempts of a task share a log.
//!
//! The writer runs in a process of its own that may be killed at any byte: a record that was not
//! finished is passed over by readers and overwritten by the next writer.

mod compress;
mod frame;
mod reader;
mod segment;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use crate::model::Timestamp;

pub use compress::compress_full;
pub use reader::{LogQuery, LogReader};
pub use writer::{LogOptions, LogWriter};

/// Where bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Standard output, and all output of a container with a terminal.
    Stdout,
    /// Standard error.
    Stderr,
    /// A sentence of orca's own about the log, such as that a part is missing.
    Orca,
}

/// A line, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When orca read it.
    pub time: Timestamp,
    /// Where it came from.
    pub stream: Stream,
    /// The attempt of the task that printed it.
    pub attempt: u32,
    /// The bytes, without the new line at the end. They need not be text.
    pub bytes: Vec<u8>,
    /// Whether the line goes on in the next record of the same stream: there was no new line (yet).
    pub partial: bool,
    /// Whether it goes on with the line of the record before it in the same stream.
    pub continued: bool,
}

/// A log that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory.
    #[error("cannot open the log in {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file in it.
    #[error("cannot read the log in {}", path.display())]
    Read {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl LogError {
    fn open(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Open { path, source }
    }

    fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Read { path, source }
    }
}
