//! The root file systems of containers: an image's layers, and a place for changes.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags};

use super::disk::{hold, unique, write_atomic};
use super::error::{Doing as _, ImageError, Result};
use super::staging::remove;
use super::store::Store;
use super::unpack::copy_attributes;
use crate::model::{ContainerId, Digest, Rootfs};
use crate::sys::quota;

impl Store {
    /// Makes the root of a container from an image: nothing is mounted, the layers are only named.
    /// A root that is there already is given back with what has been changed in it.
    ///
    /// # Errors
    /// If the image is not there, or the directories cannot be made.
    pub fn create_root(&self, container: &ContainerId, image: &Digest) -> Result<Rootfs> {
        let lower = self.layers(image)?;
        let dir = self.root_dir(container);
        if !dir.join("image").exists() {
            // Whoever prunes looks for roots with the lock held: either it sees this one, or the
            // image is gone and this fails.
            let _lock = hold(&self.path("lock"), FlockOperation::LockShared)?;
            if self.get(image)?.is_none() {
                return Err(ImageError::NotFound(image.to_string()));
            }
            self.make_root(&dir, image, lower.first().map(PathBuf::as_path))?;
        }
        self.used_now(image);
        Ok(Rootfs { lower, upper: dir.join("upper"), work: dir.join("work") })
    }

    /// Made beside its place and renamed, so that it is there whole or not at all.
    fn make_root(&self, dir: &Path, image: &Digest, top: Option<&Path>) -> Result<()> {
        let draft = self.containers().join(format!(".new-{}", unique()));
        let (upper, work) = (draft.join("upper"), draft.join("work"));
        fs::create_dir_all(&upper).doing("make", &upper)?;
        fs::create_dir(&work).doing("make", &work)?;
        if let Some(top) = top {
            // The root directory of the container shows the owner and mode of `upper`.
            attributes_of(top, &upper).doing("set the owner of", &upper)?;
        }
        let note = draft.join("image");
        fs::write(&note, image.as_str()).doing("write", &note)?;
        remove(dir)?;
        fs::rename(&draft, dir).doing("make", dir)
    }

    /// Lets a container change so many bytes in its new root at most.
    ///
    /// # Errors
    /// If there is no root, or its file system has no project quotas.
    pub fn limit_root(&self, container: &ContainerId, bytes: u64) -> Result<()> {
        let dir = self.root_dir(container);
        let (upper, work) = (dir.join("upper"), dir.join("work"));
        let limit = || match quota::is_limited(&upper)? {
            true => Ok(()),
            false => quota::limit(&[&upper, &work], bytes),
        };
        limit().map_err(|source| ImageError::Io {
            doing: format!("limit the files of container {}", container.short()),
            source,
        })
    }

    /// Removes the root of a container with all that was changed in it. Fine if there is none.
    ///
    /// # Errors
    /// If it cannot be removed, such as when it is still mounted.
    pub fn remove_root(&self, container: &ContainerId) -> Result<()> {
        let dir = self.root_dir(container);
        let gone = self.containers().join(format!(".gone-{}", unique()));
        match fs::rename(&dir, &gone) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => {
                done.doing("remove", &dir)?;
                // One that stays limits nothing.
                drop(quota::lift(&gone.join("upper")));
                remove(&gone)
            }
        }
    }

    /// The containers that have a root.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn roots(&self) -> Result<Vec<ContainerId>> {
        let dir = self.containers();
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            done => done.doing("read", &dir)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.doing("read", &dir)?.file_name();
            found.extend(name.to_str().and_then(|name| name.parse().ok()));
        }
        found.sort();
        Ok(found)
    }

    /// The image that a container's root was made from; `None` if there is no root.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn image_of_root(&self, container: &ContainerId) -> Result<Option<Digest>> {
        Ok(self.images_of_root(container)?.into_iter().next())
    }

    /// That image, and the others that the container has mounted.
    pub(super) fn images_of_root(&self, container: &ContainerId) -> Result<Vec<Digest>> {
        let note = self.root_dir(container).join("image");
        match fs::read_to_string(&note) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            done => {
                let text = done.doing("read", &note)?;
                Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect())
            }
        }
    }

    /// Says that a container, which has a root, uses the files of another image too: it stays as long
    /// as the container does.
    ///
    /// # Errors
    /// If the image is not there, or this cannot be written down.
    pub fn also_uses(&self, container: &ContainerId, image: &Digest) -> Result<()> {
        let _lock = self.lock()?;
        if self.get(image)?.is_none() {
            return Err(ImageError::NotFound(image.to_string()));
        }
        let mut images = self.images_of_root(container)?;
        if images.contains(image) {
            return Ok(());
        }
        images.push(image.clone());
        let lines: Vec<_> = images.iter().map(Digest::as_str).collect();
        write_atomic(&self.root_dir(container).join("image"), lines.join("\n").as_bytes())
    }

    /// Removes roots that were half made or half removed. Drafts of another process are a moment old; what
    /// is older than `age` was cut off.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn sweep_roots(&self, age: Duration) -> Result<()> {
        let dir = self.containers();
        let Ok(entries) = fs::read_dir(&dir) else { return Ok(()) };
        for entry in entries {
            let entry = entry.doing("read", &dir)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let old = || entry.metadata()?.modified()?.elapsed().map_err(io::Error::other);
            let stale = name.starts_with(".gone-")
                || (name.starts_with(".new-") && old().is_ok_and(|old| old >= age));
            if stale {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    pub(super) fn root_dir(&self, container: &ContainerId) -> PathBuf {
        self.containers().join(container.as_str())
    }

    fn containers(&self) -> PathBuf {
        self.shared.root.join("containers")
    }
}

fn attributes_of(from: &Path, to: &Path) -> io::Result<()> {
    let open = |path: &Path| {
        rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    };
    copy_attributes(open(from)?.as_fd(), open(to)?.as_fd())
}
