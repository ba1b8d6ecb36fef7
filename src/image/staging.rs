//! What is being loaded, until all of it is there and right.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::disk::{hold, unique};
use super::document::digest_of;
use super::error::{Doing as _, ImageError, Result};
use super::lease::in_use;
use super::spool::{Spool, Spooled};
use super::store::Store;
use crate::model::Digest;

/// A draft of a root that is older than this is nobody's any more.
const CUT_OFF: Duration = Duration::from_secs(60);

/// A directory of its own for one load. Dropped, it is removed with all that was not kept.
#[derive(Debug)]
pub(super) struct Staging {
    store: Store,
    dir: PathBuf,
    next: AtomicU64,
    /// Says that the directory is in use.
    _own: File,
}

impl Store {
    /// A place to load into.
    pub(super) fn stage(&self) -> Result<Staging> {
        // With the lock, so that no sweep sees the directory before its own lock is held.
        let _lock = self.lock()?;
        let dir = self.path("staging").join(unique());
        fs::create_dir(&dir).doing("make", &dir)?;
        let own = hold(&dir.join("lock"), FlockOperation::LockExclusive)?;
        Ok(Staging { store: self.clone(), dir, next: AtomicU64::new(0), _own: own })
    }

    /// Removes what loads that were cut off have left.
    pub(super) fn sweep(&self) -> Result<()> {
        let _lock = self.lock()?;
        let staging = self.path("staging");
        for entry in fs::read_dir(&staging).doing("read", &staging)? {
            let dir = entry.doing("read", &staging)?.path();
            if !in_use(&dir)? {
                remove(&dir)?;
            }
        }
        self.check_unsettled()?;
        self.sweep_layers()?;
        self.sweep_roots(CUT_OFF)
    }
}

impl Staging {
    /// The store it is for.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Its directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path that is not used yet.
    pub(super) fn fresh(&self) -> PathBuf {
        self.dir.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// A blob to be written.
    pub(super) fn spool(&self) -> Result<Spool> {
        let path = self.fresh();
        Spool::create(&path).doing("make", &path)
    }

    /// A small blob.
    pub(super) fn blob(&self, bytes: &[u8]) -> Result<Spooled> {
        let (path, digest, size) = (self.fresh(), digest_of(bytes), bytes.len() as u64);
        fs::write(&path, bytes).doing("write", &path)?;
        Ok(Spooled { path, digest, size })
    }

    /// Puts blobs where they belong, to stay. The caller has the lock, and sees to it that they settle.
    pub(super) fn keep(&self, blobs: &[Spooled]) -> Result<()> {
        self.count_on(blobs.iter().map(|blob| &blob.digest))?;
        self.store.unsettle()?;
        for blob in blobs.iter().filter(|blob| !self.is_kept(blob)) {
            let to = self.store.blob(&blob.digest);
            fs::rename(&blob.path, &to).doing("keep", &to)?;
        }
        Ok(())
    }

    /// Whether the store has the blob already. A file of another size is damaged, and replaced.
    fn is_kept(&self, blob: &Spooled) -> bool {
        let to = self.store.blob(&blob.digest);
        blob.path == to || fs::metadata(to).is_ok_and(|meta| meta.len() == blob.size)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is swept when the store is opened next.
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// Copies all of `input` to `spool`.
pub(super) fn fill(spool: &mut Spool, input: &mut impl Read, what: &str) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let got = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            done => {
                done.map_err(|source| ImageError::Io { doing: format!("read {what}"), source })?
            }
        };
        let stored = spool.write_all(&buffer[..got]);
        stored.map_err(|source| ImageError::Io { doing: format!("store {what}"), source })?;
    }
}

/// Refuses content that is not what its digest says.
pub(super) fn check(what: &str, found: &Digest, wanted: &Digest) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    let (what, found, wanted) = (what.to_owned(), found.clone(), wanted.clone());
    Err(ImageError::WrongDigest { what, found, wanted })
}

/// Removes a file, or a directory with all in it; fine if it is not there.
pub(super) fn remove(path: &Path) -> Result<()> {
    let done = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.doing("remove", path),
    }
}
