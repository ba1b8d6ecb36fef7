//! What can go wrong between the daemon and its helper.

use std::io;
use std::path::PathBuf;

/// A result with [`NetdError`].
pub type Result<T> = std::result::Result<T, NetdError>;

/// Why the network helper did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetdError {
    /// A file of it cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process cannot be made.
    #[error("cannot start the network helper (`{} netd`)", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is being ended on purpose.
    #[error("the network helper is being ended")]
    Closed,
    /// It was started and does not answer.
    #[error("the network helper does not start; its log is {}", log.display())]
    NotStarting {
        /// Where it writes why.
        log: PathBuf,
    },
    /// The connection to it broke.
    #[error("cannot talk to the network helper")]
    Talk(#[source] io::Error),
    /// It is of another version of orca.
    #[error("the network helper is of another version ({theirs}; ours is {ours})")]
    OtherVersion {
        /// The version of the protocol that it speaks.
        theirs: u16,
        /// The version that we speak.
        ours: u16,
    },
    /// It understood, and says no.
    #[error("the network helper refuses: {0}")]
    Refused(String),
    /// What it sent is not what it should.
    #[error("the network helper answers nonsense: {0}")]
    Nonsense(String),
}
