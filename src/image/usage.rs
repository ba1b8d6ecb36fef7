//! What the store takes on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::error::{Doing as _, Result};
use super::store::Store;
use crate::model::{ContainerId, Digest};

/// What the store takes on the disk, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DiskUsage {
    /// Layers as they came, manifests and configurations.
    pub blobs: u64,
    /// Layers unpacked.
    pub layers: u64,
    /// The images, by name.
    pub images: Vec<ImageUsage>,
}

/// What one image takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageUsage {
    /// Which.
    pub id: Digest,
    /// Its full names.
    pub references: Vec<String>,
    /// When it was made, as RFC 3339; empty if it does not say.
    pub created: String,
    /// Bytes of its blobs and layers.
    pub size: u64,
    /// Bytes of those that other images have too.
    pub shared: u64,
    /// How many containers use it.
    pub containers: usize,
    /// How long ago it was used last.
    pub unused_for: Duration,
    #[serde(skip)]
    parts: BTreeSet<PathBuf>,
}

impl DiskUsage {
    /// Bytes of all.
    pub fn size(&self) -> u64 {
        self.blobs + self.layers
    }
}

impl Store {
    /// What the store takes on the disk.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn disk_usage(&self) -> Result<DiskUsage> {
        let mut usage = DiskUsage { images: self.image_usage()?, ..DiskUsage::default() };
        let blobs = entries(&self.path("blobs/sha256"))?;
        usage.blobs = blobs.iter().map(|blob| part_size(blob)).sum();
        usage.layers = self.layer_dirs()?.iter().map(|layer| part_size(layer)).sum();
        Ok(usage)
    }

    fn image_usage(&self) -> Result<Vec<ImageUsage>> {
        let users = self.users()?;
        let mut found = Vec::new();
        let mut counts: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for image in self.list()? {
            let parts = self.parts(&image.id)?;
            for part in &parts {
                *counts.entry(part.clone()).or_default() += 1;
            }
            found.push(ImageUsage {
                size: parts.iter().map(|part| part_size(part)).sum(),
                shared: 0,
                containers: users.get(&image.id).map_or(0, Vec::len),
                unused_for: self.age(&image.id),
                references: image.references,
                created: image.created,
                id: image.id,
                parts,
            });
        }
        for image in &mut found {
            let others =
                image.parts.iter().filter(|part| counts.get(*part).is_some_and(|n| *n > 1));
            image.shared = others.map(|part| part_size(part)).sum();
        }
        Ok(found)
    }

    /// Bytes that removing the images of `going` would free: their parts that no other image has.
    pub fn reclaimable(usage: &DiskUsage, going: &BTreeSet<Digest>) -> u64 {
        let (gone, kept): (Vec<_>, Vec<_>) =
            usage.images.iter().partition(|image| going.contains(&image.id));
        let kept: BTreeSet<_> = kept.iter().flat_map(|image| &image.parts).collect();
        let free: BTreeSet<_> = gone
            .iter()
            .flat_map(|image| &image.parts)
            .filter(|part| !kept.contains(part))
            .collect();
        free.iter().map(|part| part_size(part)).sum()
    }

    /// Bytes that a container has changed in its root.
    pub fn root_usage(&self, container: &ContainerId) -> u64 {
        usage(&self.root_dir(container).join("upper"))
    }
}

/// Bytes that a blob or an unpacked layer takes. A layer knows its size; to look at each of its files
/// again would take long.
pub(super) fn part_size(part: &Path) -> u64 {
    super::layers::disk_size(part).unwrap_or_else(|| usage(part))
}

pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = || fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect();
    let found: std::io::Result<Vec<PathBuf>> = read();
    found.doing("read", dir)
}

/// Bytes that a file, or a directory with all in it, takes on the disk. What cannot be read counts as
/// nothing: this is for display.
pub(super) fn usage(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let (mut sum, mut todo) = (0, vec![path.to_owned()]);
    let mut counted = BTreeSet::new();
    while let Some(path) = todo.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.nlink() == 1 || meta.is_dir() || counted.insert((meta.dev(), meta.ino())) {
            sum += meta.blocks() * 512;
        }
        if meta.is_dir() {
            todo.extend(entries(&path).unwrap_or_default());
        }
    }
    sum
}
