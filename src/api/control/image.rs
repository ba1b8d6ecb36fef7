//! Calls about images.

use std::io;

use tokio::sync::mpsc;

use crate::model::{Digest, ImageConfig, Timestamp};

/// Bytes on their way. The end of the channel is the end of the data; an error is an end before the
/// end, such as a caller that went away, and what was read so far must not be used.
pub type Chunks = mpsc::Receiver<io::Result<Vec<u8>>>;

/// What a tar of a root file system becomes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportImage {
    /// The reference it gets, as the caller wrote it.
    pub reference: String,
    /// What the image says of the process to run.
    pub config: ImageConfig,
    /// `os/architecture[/variant]`; `None` is the host's.
    pub platform: Option<String>,
    /// A line for the image's history.
    pub message: Option<String>,
}

/// An image that is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedImage {
    /// Its id: the digest of its configuration.
    pub id: Digest,
    /// The references that lead to it now.
    pub references: Vec<String>,
}

/// Which images to write, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaveImages {
    /// References or ids.
    pub references: Vec<String>,
    /// The form.
    pub format: ArchiveFormat,
}

/// Forms of image archives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// What `docker save` writes and `docker load` reads.
    #[default]
    Docker,
    /// An OCI image layout in a tar.
    Oci,
}

/// An image in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// Its id: the digest of its configuration.
    pub id: Digest,
    /// Its references, in full: `docker.io/library/nginx:1.27`.
    pub references: Vec<String>,
    /// When it was made, as it says itself.
    pub created: Option<Timestamp>,
    /// The bytes of its layers, unpacked.
    pub size: u64,
    /// `os/architecture[/variant]`.
    pub platform: String,
    /// The stacks that use it.
    pub used_by: Vec<String>,
}

/// All about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageDetail {
    /// As in a list.
    pub summary: ImageSummary,
    /// What it says of the process to run.
    pub config: ImageConfig,
    /// Digests of its unpacked layers (`rootfs.diff_ids`), the lowest first.
    pub layers: Vec<Digest>,
    /// How it was made, the oldest first.
    pub history: Vec<ImageHistory>,
}

/// One step in the making of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageHistory {
    /// When.
    pub created: Option<Timestamp>,
    /// The command.
    pub created_by: String,
    /// A remark.
    pub comment: String,
    /// Whether it made no layer.
    pub empty_layer: bool,
    /// The unpacked bytes of its layer, where they are known.
    pub size: Option<u64>,
}

/// What a removal took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemovedImages {
    /// References that lead nowhere now.
    pub untagged: Vec<String>,
    /// Images that are gone.
    pub deleted: Vec<Digest>,
    /// Bytes that are free again.
    pub freed: u64,
}
