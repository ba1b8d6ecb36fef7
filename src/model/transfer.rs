//! Images on their way from or to a registry.

use std::time::Duration;

use super::Digest;

/// What a transfer of an image is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// These layers (with their sizes in bytes) make up the image.
    Layers(Vec<(Digest, u64)>),
    /// A layer is there already.
    Exists(Digest),
    /// So many bytes of a layer have come or gone.
    Moved {
        /// The layer.
        layer: Digest,
        /// Bytes so far.
        done: u64,
    },
    /// A layer has come or gone as a whole.
    Done(Digest),
    /// Something failed and is tried again.
    Retry {
        /// What happened.
        reason: String,
        /// When, from now.
        wait: Duration,
    },
}
