//! Why a call did not give what was asked for.

use std::io;
use std::path::PathBuf;

use tonic::{Code, Status};

use crate::api::control::ControlError;
use crate::api::convert::{BadMessage, error_of};

/// Why a call did not give what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens at the socket.
    #[error("no orca daemon is running at {}", socket.display())]
    NoDaemon {
        /// The socket.
        socket: PathBuf,
    },
    /// The socket is there, and cannot be used.
    #[error("cannot connect to the orca daemon at {}", socket.display())]
    CannotConnect {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The daemon went away in the middle.
    #[error("lost the connection to the orca daemon: {0}")]
    Lost(String),
    /// The daemon says something that makes no sense.
    #[error("cannot understand the orca daemon: {0}")]
    Garbled(#[from] BadMessage),
    /// The daemon has refused or failed.
    #[error(transparent)]
    Refused(#[from] ControlError),
    /// What was to be sent could not be read.
    #[error("cannot read what to send")]
    Unreadable(#[source] io::Error),
}

impl ClientError {
    /// Whether the daemon could not be reached (any more), rather than having answered.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::NoDaemon { .. } | Self::CannotConnect { .. } | Self::Lost(_))
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        // A status that came from the daemon has no source; one that tonic made itself, because
        // the connection broke, has.
        let broken = std::error::Error::source(&status).is_some();
        match status.code() {
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal if broken => {
                Self::Lost(status.message().to_owned())
            }
            Code::Unimplemented => Self::Refused(
                error_of(&status).with_hint("the daemon is older than this `orca`: restart it"),
            ),
            _ => Self::Refused(error_of(&status)),
        }
    }
}
