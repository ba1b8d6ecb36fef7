//! What loads count on: blobs, layers and images that no name leads to yet, or that may lose theirs.
//!
//! A load writes the digests it needs into its staging directory, with the store's lock held; whoever
//! removes unused things reads them all, with the same lock held. So either the load finds the thing,
//! and nobody takes it away, or it sees that the thing is gone and gets it itself. A lease ends with its
//! process, however that ends: the directory's own lock goes with it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use rustix::fs::FlockOperation;

use super::disk::try_hold;
use super::error::{Doing as _, Result};
use super::staging::Staging;
use super::store::Store;
use crate::model::Digest;

/// The name of the file with the digests, one a line.
const FILE: &str = "lease";

/// Keeps an image from being removed until it is dropped.
#[derive(Debug)]
pub struct Hold {
    _staging: Staging,
}

impl Store {
    /// Keeps an image, such as one that a stack is about to need, until the answer is dropped. False
    /// comes with it if the image is not there.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn hold(&self, image: &Digest) -> Result<(Hold, bool)> {
        let staging = self.stage()?;
        let there = {
            let _lock = self.lock()?;
            staging.count_on([image])?;
            self.get(image)?.is_some()
        };
        Ok((Hold { _staging: staging }, there))
    }

    /// The digests that are counted on. The caller has the lock.
    pub(super) fn leased(&self) -> Result<BTreeSet<String>> {
        let staging = self.path("staging");
        let mut leased = BTreeSet::new();
        for entry in fs::read_dir(&staging).doing("read", &staging)? {
            let dir = entry.doing("read", &staging)?.path();
            if in_use(&dir)? {
                leased.extend(read(&dir.join(FILE))?.lines().map(str::to_owned));
            }
        }
        Ok(leased)
    }
}

/// Whether a directory is that of a load under way.
pub(super) fn in_use(dir: &Path) -> Result<bool> {
    let lock = dir.join("lock");
    if !lock.exists() {
        return Ok(false);
    }
    Ok(try_hold(&lock, FlockOperation::NonBlockingLockExclusive)?.is_none())
}

fn read(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        done => done.doing("read", path),
    }
}

impl Staging {
    /// Keeps these blobs, layers and images until the load is over. The caller has the lock.
    pub(super) fn count_on<'a>(&self, digests: impl IntoIterator<Item = &'a Digest>) -> Result<()> {
        let path = self.dir().join(FILE);
        let lines: String =
            digests.into_iter().map(|digest| digest.hex().to_owned() + "\n").collect();
        let open = || File::options().create(true).append(true).open(&path);
        open().and_then(|mut file| file.write_all(lines.as_bytes())).doing("write", &path)
    }

    /// Whether the store has a blob of this size (any, if it is not known), which then stays until the
    /// load is over. One of another size is damaged, and counts as missing.
    pub(super) fn has_blob(&self, digest: &Digest, size: Option<u64>) -> Result<bool> {
        let _lock = self.store().lock()?;
        self.count_on([digest])?;
        let meta = fs::metadata(self.store().blob(digest));
        Ok(meta.is_ok_and(|meta| size.is_none_or(|size| size == meta.len())))
    }
}
