//! What the store takes on the disk, and giving it back.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::Serialize;

use super::disk::{try_hold, unique};
use super::document::{Descriptor, Manifest};
use super::error::{Doing as _, ImageError, Result};
use super::index;
use super::manage::Removed;
use super::staging::remove;
use super::store::{Image, Store};
use crate::model::Digest;

/// What was removed because nothing needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The images.
    pub images: Vec<Removed>,
    /// Bytes of files that are gone.
    pub bytes: u64,
}

/// What the store takes on the disk, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DiskUsage {
    /// How many images there are.
    pub images: usize,
    /// How many of them no container uses.
    pub unused: usize,
    /// Layers as they came, manifests and configurations.
    pub blobs: u64,
    /// Layers unpacked.
    pub layers: u64,
    /// How many containers have a root.
    pub roots: usize,
    /// What containers have changed in their roots.
    pub changes: u64,
}

impl Store {
    /// Removes every image that is not in `keep` and that no container uses.
    ///
    /// # Errors
    /// [`ImageError::Busy`] while images are being loaded; or if files cannot be removed.
    pub fn prune(&self, keep: &BTreeSet<Digest>) -> Result<Pruned> {
        self.prune_where(|image| !keep.contains(&image.id))
    }

    /// The same for images without a name only.
    ///
    /// # Errors
    /// As for [`prune`](Self::prune).
    pub fn prune_dangling(&self, keep: &BTreeSet<Digest>) -> Result<Pruned> {
        self.prune_where(|image| image.references.is_empty() && !keep.contains(&image.id))
    }

    fn prune_where(&self, may_go: impl Fn(&Image) -> bool) -> Result<Pruned> {
        let Some(alone) = self.alone()? else { return Err(ImageError::Busy) };
        let mut pruned = Pruned::default();
        {
            let _lock = self.lock()?;
            let users = self.users()?;
            let mut going = self.images()?;
            going.retain(|image| may_go(image) && !users.contains_key(&image.id));
            let damaged =
                |entry: &Descriptor| index::names(entry).next().is_none() && self.is_damaged(entry);
            let any_damaged = self.index()?.manifests.iter().any(damaged);
            if any_damaged || !going.is_empty() {
                self.write_index(|index| {
                    index.manifests.retain(|entry| !damaged(entry));
                    for image in &going {
                        self.drop_image(index, &image.id);
                    }
                })?;
            }
            let removed =
                |image: Image| Removed { untagged: image.references, deleted: Some(image.id) };
            pruned.images = going.into_iter().map(removed).collect();
        }
        let gone = self.set_aside()?;
        drop(alone);
        pruned.bytes = remove_all(&gone)?;
        Ok(pruned)
    }

    /// What the store takes on the disk.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn disk_usage(&self) -> Result<DiskUsage> {
        let (images, users, roots) = (self.images()?, self.users()?, self.roots()?);
        let changes = roots.iter().map(|root| usage(&self.root_dir(root).join("upper"))).sum();
        Ok(DiskUsage {
            images: images.len(),
            unused: images.iter().filter(|image| !users.contains_key(&image.id)).count(),
            blobs: usage(&self.path("blobs")),
            layers: usage(&self.path("layers")),
            roots: roots.len(),
            changes,
        })
    }

    /// Nobody else loads while the file is held. `None` if somebody does.
    fn alone(&self) -> Result<Option<fs::File>> {
        try_hold(&self.path("loading"), FlockOperation::NonBlockingLockExclusive)
    }

    /// Removes blobs and layers of no image, unless somebody loads just now.
    pub(super) fn collect(&self) -> Result<()> {
        let Some(alone) = self.alone()? else { return Ok(()) };
        let gone = self.set_aside()?;
        drop(alone);
        remove_all(&gone).map(drop)
    }

    /// Takes blobs and layers of no image out of their places. The caller is alone, and removes them
    /// once it is not any more: that may take long.
    fn set_aside(&self) -> Result<Vec<PathBuf>> {
        let (mut blobs, mut layers) = (BTreeSet::new(), BTreeSet::new());
        let _lock = self.lock()?;
        for descriptor in &self.index()?.manifests {
            let manifest = descriptor.digest()?;
            let image = self.parsed(&manifest)?;
            layers.extend(image.chain().iter().map(|layer| self.layer(layer)));
            let read: Manifest = self.document(&manifest)?;
            for part in read.layers.iter().chain([&read.config]) {
                blobs.insert(self.blob(&part.digest()?));
            }
            blobs.insert(self.blob(&manifest));
        }
        let mut going = Vec::new();
        // Nobody pulls now: what lies here is what pulls that were given up have left.
        going.extend(entries(&self.path("partial"))?);
        let unused = |known: &BTreeSet<PathBuf>, found: Vec<PathBuf>| {
            found.into_iter().filter(|path| !known.contains(path)).collect::<Vec<_>>()
        };
        going.extend(unused(&blobs, entries(&self.path("blobs/sha256"))?));
        going.extend(unused(&layers, self.layer_dirs()?));
        let mut gone = Vec::new();
        for path in going {
            // What is left here by a crash is swept when the store is opened next.
            let aside = self.path("staging").join(unique());
            fs::rename(&path, &aside).doing("remove", &path)?;
            gone.push(aside);
        }
        Ok(gone)
    }
}

/// Removes files and directories. Gives the bytes they took.
fn remove_all(paths: &[PathBuf]) -> Result<u64> {
    let mut bytes = 0;
    for path in paths {
        bytes += usage(path);
        remove(path)?;
    }
    Ok(bytes)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
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
