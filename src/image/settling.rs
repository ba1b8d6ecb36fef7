//! When what was kept is on the disk for sure.
//!
//! A load does not wait for the disk: that takes long, and mostly nothing happens to the power in
//! the next half minute. Before the first blob that may not last, a mark is made to last; it goes once the
//! kernel has written all. A store that is opened in another boot with the mark still there looks at
//! the blobs of that time, and drops those that are not what their names say. So no bad blob is ever used.
//! Layers have their own mark: see `layers`.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use super::disk::{sync_dir, write_atomic};
use super::document::{Descriptor, finished};
use super::error::{Doing as _, Result};
use super::staging::remove;
use super::store::Store;
use super::usage::entries;
use crate::sys::clock;

/// Blobs may not last: the boot in which they came.
const UNSETTLED: &str = "unsettled";
/// The same for those that are being made to last just now.
const SETTLING: &str = "settling";

/// How long the kernel is left to write to the disk before it is made to.
const SETTLE: Duration = Duration::from_secs(20);

/// How long before its mark a blob may have begun to come.
const EARLIER: Duration = Duration::from_secs(24 * 3600);

impl Store {
    /// Marks that blobs follow which may not last. The caller has the lock.
    pub(super) fn unsettle(&self) -> Result<()> {
        let mark = self.path(UNSETTLED);
        if mark.exists() {
            return Ok(());
        }
        write_atomic(&mark, clock::boot_id().0.as_bytes())
    }

    /// Sees to it that what is new lasts, in a while.
    pub(super) fn settle_later(&self) {
        if self.shared.settling.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::downgrade(&self.shared);
        let work = move || {
            thread::sleep(SETTLE);
            if let Some(shared) = shared.upgrade() {
                shared.settling.store(false, Ordering::Release);
                // What could not be done is done again when the store is opened next.
                drop(Self { shared }.settle_now());
            }
        };
        // Without the thread, what is new is looked at after a power cut; nothing is lost.
        drop(thread::Builder::new().name("settle".to_owned()).spawn(work));
    }

    /// Makes all blobs and layers of this boot last.
    pub(super) fn settle_now(&self) -> Result<()> {
        let layers = self.unsettled_layers()?;
        let (mark, settling) = (self.path(UNSETTLED), self.path(SETTLING));
        let marked = {
            let _lock = self.lock()?;
            match fs::rename(&mark, &settling) {
                // Another process may be at it, or may have been ended in the middle of it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => settling.exists(),
                done => done.doing("rename", &mark).map(|()| true)?,
            }
        };
        if layers.is_empty() && !marked {
            return Ok(());
        }
        let images = self.path("");
        let sync = || -> io::Result<()> { Ok(rustix::fs::syncfs(File::open(&images)?)?) };
        sync().doing("sync", &images)?;
        self.layers_are_settled(layers)?;
        if marked {
            remove(&settling)?;
            sync_dir(&images).doing("sync", &images)?;
        }
        Ok(())
    }

    /// After a power cut: drops blobs that are torn. The caller has the lock.
    pub(super) fn check_unsettled(&self) -> Result<()> {
        let boot = clock::boot_id().0;
        for mark in [SETTLING, UNSETTLED].map(|name| self.path(name)) {
            match fs::read_to_string(&mark) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(made_in) if made_in == boot => self.settle_later(),
                _ => {
                    let since = fs::metadata(&mark).and_then(|meta| meta.modified());
                    let since = since.doing("read", &mark)?.checked_sub(EARLIER);
                    self.drop_torn(since.unwrap_or(SystemTime::UNIX_EPOCH))?;
                    // Images that lost their own documents would be in the way of those that come.
                    if self.index()?.manifests.iter().any(|entry| self.is_damaged(entry)) {
                        let damaged = |entry: &Descriptor| self.is_damaged(entry);
                        self.write_index(|index| index.manifests.retain(|e| !damaged(e)))?;
                    }
                    remove(&mark)?;
                }
            }
        }
        Ok(())
    }

    fn drop_torn(&self, since: SystemTime) -> Result<()> {
        for path in entries(&self.path("blobs/sha256"))? {
            let changed = fs::metadata(&path).and_then(|meta| meta.modified());
            if changed.doing("read", &path)? >= since && !is_whole(&path).doing("read", &path)? {
                tracing::warn!(blob = %path.display(), "removing a blob that a power cut has torn");
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Whether a blob is what its name says.
fn is_whole(path: &Path) -> io::Result<bool> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(got) => hash.update(&buffer[..got]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let name = path.file_name().unwrap_or_default();
    Ok(name == finished(&hash.finalize()).hex())
}
