//! Giving back what nothing needs.
//!
//! Loads and pulls may go on meanwhile: what they count on (see `lease`) stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;
use serde::Serialize;

use super::budget::{Budget, Weighed, choose};
use super::disk::{try_hold, unique};
use super::document::{Descriptor, Manifest};
use super::error::{Doing as _, Result};
use super::index;
use super::manage::Removed;
use super::staging::remove;
use super::store::{Image, Store};
use super::usage::{entries, part_size, usage};
use crate::model::Digest;

/// What was removed because nothing needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The images.
    pub images: Vec<Removed>,
    /// Bytes of files that are gone.
    pub bytes: u64,
}

/// How long the beginning of a blob waits for a pull that goes on.
const PARTIAL: Duration = Duration::from_secs(24 * 3600);

impl Store {
    /// Removes every image that is not in `keep` and that no container uses.
    ///
    /// # Errors
    /// If the store cannot be read, or files cannot be removed.
    pub fn prune(&self, keep: &BTreeSet<Digest>) -> Result<Pruned> {
        self.prune_where(keep, |_| true)
    }

    /// The same for images without a name only.
    ///
    /// # Errors
    /// As for [`prune`](Self::prune).
    pub fn prune_dangling(&self, keep: &BTreeSet<Digest>) -> Result<Pruned> {
        self.prune_where(keep, |image| image.references.is_empty())
    }

    /// The same for those images for which `may_go` says so.
    ///
    /// # Errors
    /// As for [`prune`](Self::prune).
    pub fn prune_where(
        &self,
        keep: &BTreeSet<Digest>,
        may_go: impl Fn(&Image) -> bool,
    ) -> Result<Pruned> {
        let choice = |free: Vec<Image>| Ok(free.into_iter().filter(&may_go).collect());
        self.prune_some(keep, choice, Duration::ZERO)
    }

    /// Removes images that are not in `keep` and that no container uses, until the store is within its
    /// budget: those without a name first, then those that were used longest ago.
    ///
    /// # Errors
    /// As for [`prune`](Self::prune).
    pub fn shrink(&self, keep: &BTreeSet<Digest>, budget: Budget) -> Result<Pruned> {
        self.shrink_where(keep, budget, |_| true)
    }

    /// The same for those images only for which `may_go` says so.
    ///
    /// # Errors
    /// As for [`prune`](Self::prune).
    pub fn shrink_where(
        &self,
        keep: &BTreeSet<Digest>,
        budget: Budget,
        may_go: impl Fn(&Image) -> bool,
    ) -> Result<Pruned> {
        let choice = |free: Vec<Image>| {
            let free = free.iter().filter(|image| may_go(image));
            let ids: BTreeSet<_> = free.map(|image| image.id.clone()).collect();
            let (mut weighed, mut all) = (Vec::new(), Vec::new());
            let mut sizes = BTreeMap::new();
            for image in self.images()? {
                weighed.push(Weighed {
                    free: ids.contains(&image.id),
                    named: !image.references.is_empty(),
                    age: self.age(&image.id),
                    parts: self.parts(&image.id)?.into_iter().collect(),
                });
                all.push(image);
            }
            for part in weighed.iter().flat_map(|image: &Weighed<PathBuf>| &image.parts) {
                if !sizes.contains_key(part) {
                    sizes.insert(part.clone(), part_size(part));
                }
            }
            let going: BTreeSet<usize> = choose(&weighed, &sizes, budget).into_iter().collect();
            let going = all.into_iter().enumerate().filter(|(at, _)| going.contains(at));
            Ok(going.map(|(_, image)| image).collect())
        };
        self.prune_some(keep, choice, PARTIAL)
    }

    /// Removes the images that `choice` picks from those that nothing needs, and what no image has.
    fn prune_some(
        &self,
        keep: &BTreeSet<Digest>,
        choice: impl FnOnce(Vec<Image>) -> Result<Vec<Image>>,
        partial: Duration,
    ) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        let gone = {
            let _lock = self.lock()?;
            let going = choice(self.unneeded(keep)?)?;
            self.drop_images(&going)?;
            let removed =
                |image: Image| Removed { untagged: image.references, deleted: Some(image.id) };
            pruned.images = going.into_iter().map(removed).collect();
            self.set_aside(partial)?
        };
        pruned.bytes = remove_all(&gone)?;
        Ok(pruned)
    }

    /// The images that are not in `keep`, that no container uses and no load counts on. The caller has
    /// the lock.
    fn unneeded(&self, keep: &BTreeSet<Digest>) -> Result<Vec<Image>> {
        let (users, leased) = (self.users()?, self.leased()?);
        let mut free = self.images()?;
        free.retain(|image| {
            let counted_on = [&image.id, &image.manifest].iter().any(|d| leased.contains(d.hex()));
            !keep.contains(&image.id) && !users.contains_key(&image.id) && !counted_on
        });
        Ok(free)
    }

    /// Takes images out of the index, and with them what is damaged and has no name.
    fn drop_images(&self, going: &[Image]) -> Result<()> {
        let damaged =
            |entry: &Descriptor| index::names(entry).next().is_none() && self.is_damaged(entry);
        let any_damaged = self.index()?.manifests.iter().any(damaged);
        if !any_damaged && going.is_empty() {
            return Ok(());
        }
        self.write_index(|index| {
            index.manifests.retain(|entry| !damaged(entry));
            for image in going {
                self.drop_image(index, &image.id);
            }
        })
    }

    /// Removes blobs and layers of no image.
    pub(super) fn collect(&self) -> Result<u64> {
        let gone = {
            let _lock = self.lock()?;
            self.set_aside(PARTIAL)?
        };
        remove_all(&gone)
    }

    /// Takes blobs and layers that no image has and no load counts on out of their places, and the
    /// beginnings of blobs that are older than `partial`. The caller has the lock, and removes them
    /// once it has not any more: that may take long.
    fn set_aside(&self, partial: Duration) -> Result<Vec<PathBuf>> {
        let (mut needed, leased) = (BTreeSet::new(), self.leased()?);
        for descriptor in &self.index()?.manifests {
            needed.extend(self.parts_of(&descriptor.digest()?)?);
        }
        let named =
            |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let unused = |path: &PathBuf| !needed.contains(path) && !leased.contains(&named(path));
        let mut going = entries(&self.path("blobs/sha256"))?;
        going.extend(self.layer_dirs()?);
        going.retain(unused);
        let mut gone = Vec::new();
        for path in going {
            gone.push(self.aside(&path)?);
        }
        for path in entries(&self.path("partial"))? {
            let old = modified(&path).is_some_and(|age| age >= partial);
            // Whoever pulls it has its lock.
            let Some(_lock) = try_hold(&path, FlockOperation::NonBlockingLockExclusive)? else {
                continue;
            };
            if old {
                gone.push(self.aside(&path)?);
            }
        }
        self.forget_unused()?;
        Ok(gone)
    }

    /// What is left there by a crash is swept when the store is opened next.
    fn aside(&self, path: &Path) -> Result<PathBuf> {
        let aside = self.path("staging").join(unique());
        fs::rename(path, &aside).doing("remove", path)?;
        Ok(aside)
    }

    /// The blobs and layers of an image, in all forms that it is there in.
    pub(super) fn parts(&self, id: &Digest) -> Result<BTreeSet<PathBuf>> {
        let mut parts = BTreeSet::new();
        for descriptor in &self.index()?.manifests {
            let manifest = descriptor.digest()?;
            if self.parsed(&manifest).is_ok_and(|image| image.id == *id) {
                parts.extend(self.parts_of(&manifest)?);
            }
        }
        Ok(parts)
    }

    fn parts_of(&self, manifest: &Digest) -> Result<BTreeSet<PathBuf>> {
        let image = self.parsed(manifest)?;
        let mut parts: BTreeSet<_> = image.chain().iter().map(|layer| self.layer(layer)).collect();
        let read: Manifest = self.document(manifest)?;
        for part in read.layers.iter().chain([&read.config]) {
            parts.insert(self.blob(&part.digest()?));
        }
        parts.insert(self.blob(manifest));
        Ok(parts)
    }

    /// Remembers that an image is used. Fine if it cannot: it may only go earlier than it should.
    pub(super) fn used_now(&self, image: &Digest) {
        let path = self.path("used").join(image.hex());
        let open = || fs::File::options().create(true).truncate(false).write(true).open(&path);
        drop(open().and_then(|file| file.set_modified(SystemTime::now())));
    }

    /// How long ago an image was used last.
    pub(super) fn age(&self, image: &Digest) -> Duration {
        let noted = modified(&self.path("used").join(image.hex()));
        noted.or_else(|| modified(&self.blob(image))).unwrap_or_default()
    }

    /// Forgets when images that are gone were used.
    fn forget_unused(&self) -> Result<()> {
        for path in entries(&self.path("used"))? {
            let name = path.file_name().unwrap_or_default();
            if !self.path("blobs/sha256").join(name).exists() {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// How long ago a file was changed; `None` if it is not there.
fn modified(path: &Path) -> Option<Duration> {
    let modified = fs::metadata(path).ok()?.modified().ok()?;
    // A clock that was set back makes it new.
    Some(modified.elapsed().unwrap_or_default())
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
