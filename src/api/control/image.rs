//! Calls about images.

use std::collections::BTreeMap;

use crate::model::{Digest, ImageConfig, Timestamp};

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
    /// The digest of its manifest.
    pub manifest: Digest,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How many containers use it.
    pub containers: u32,
    /// Its names with the digests that registries have them under: `docker.io/library/nginx@sha256:…`.
    pub digests: Vec<String>,
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

/// Which unused images to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneImages {
    /// Also those that have a name.
    pub all: bool,
    /// Only those that fit.
    pub filter: PruneFilter,
    /// Only as many as it takes until all images together are no larger, in bytes.
    pub max_size: Option<u64>,
}

/// Which unused things may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneFilter {
    /// Only what was made before.
    pub before: Option<Timestamp>,
    /// What is asked of the labels.
    pub labels: Vec<LabelFilter>,
}

/// What is asked of the labels of a thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelFilter {
    /// The label.
    pub key: String,
    /// Its value; `None`: any.
    pub value: Option<String>,
    /// Whether the thing must not have it.
    pub without: bool,
}

impl PruneFilter {
    /// Whether a thing fits. One that does not say when it was made is as old as can be.
    pub fn fits(&self, created: Option<Timestamp>, labels: &BTreeMap<String, String>) -> bool {
        let old = self.before.is_none_or(|before| created.is_none_or(|created| created < before));
        old && self.labels.iter().all(|filter| filter.fits(labels))
    }
}

impl LabelFilter {
    /// Whether labels are as asked.
    pub fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        let found = labels.get(&self.key);
        let has = found.is_some_and(|found| self.value.as_ref().is_none_or(|value| value == found));
        has != self.without
    }
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
