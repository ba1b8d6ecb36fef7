//! A blob on its way to the disk, which can be read while it still grows.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use sha2::{Digest as _, Sha256};

use super::decode::Packing;
use super::disk::locked;
use super::document::{finished, media};
use crate::model::Digest;
use crate::sys::writeback;

/// Takes the bytes of a blob.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    hash: Sha256,
    shared: Arc<Growing>,
    /// How much is on its way to the disk.
    begun: u64,
}

/// How much is sent to the disk at once.
const STRETCH: u64 = 8 << 20;

/// A blob that is whole, in a file of the staging directory.
#[derive(Debug, Clone)]
pub(super) struct Spooled {
    pub(super) path: PathBuf,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

#[derive(Debug)]
struct Growing {
    file: File,
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    written: u64,
    /// `Some` with its digest once it is whole, `Some(None)` once it never will be.
    ended: Option<Option<Digest>>,
    /// Its reader wants no more: what came was bad.
    abandoned: bool,
}

impl Spooled {
    /// The media type of a layer that is packed as this blob is.
    pub(super) fn media_type(&self) -> &'static str {
        let mut start = [0; 8];
        let got = File::open(&self.path).and_then(|file| file.read_at(&mut start, 0)).unwrap_or(0);
        match Packing::of(&start[..got]) {
            Packing::Gzip => media::LAYER_GZIP,
            Packing::Zstd => media::LAYER_ZSTD,
            Packing::Plain | Packing::Other(_) => media::LAYER,
        }
    }
}

impl Spool {
    /// A new, empty blob at `path`.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        let shared = Growing { file, state: Mutex::default(), more: Condvar::new() };
        Ok(Self { path: path.to_owned(), hash: Sha256::new(), shared: Arc::new(shared), begun: 0 })
    }

    /// A blob of which the beginning may be in `file` (at `path`) already; it has `size` bytes in all.
    pub(super) fn resume(path: &Path, file: File, size: u64) -> io::Result<Self> {
        let (mut hash, mut written) = (Sha256::new(), 0);
        if file.metadata()?.len() > size {
            file.set_len(0)?;
        }
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read_at(&mut buffer, written)? {
                0 => break,
                got => {
                    hash.update(&buffer[..got]);
                    written += got as u64;
                }
            }
        }
        let state = Mutex::new(State { written, ..State::default() });
        let shared = Growing { file, state, more: Condvar::new() };
        Ok(Self { path: path.to_owned(), hash, shared: Arc::new(shared), begun: written })
    }

    /// How many bytes are there.
    pub(super) fn written(&self) -> u64 {
        locked(&self.shared.state).written
    }

    /// A reader from the beginning, which waits for what is not there yet.
    pub(super) fn reader(&self) -> SpoolReader {
        SpoolReader { shared: self.shared.clone(), offset: 0 }
    }

    /// Whether the reader has given up, so that writing more is no use.
    pub(super) fn abandoned(&self) -> bool {
        locked(&self.shared.state).abandoned
    }

    /// All bytes are there.
    pub(super) fn finish(self) -> Spooled {
        let size = locked(&self.shared.state).written;
        let digest = finished(&self.hash.clone().finalize());
        self.shared.end(Some(digest.clone()));
        Spooled { path: self.path.clone(), digest, size }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.shared.end(None);
    }
}

impl Growing {
    fn end(&self, digest: Option<Digest>) {
        locked(&self.state).ended.get_or_insert(digest);
        self.more.notify_all();
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let state = locked(&self.shared.state);
        if state.abandoned {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let at = state.written;
        drop(state);
        self.shared.file.write_all_at(bytes, at)?;
        let now = at + bytes.len() as u64;
        locked(&self.shared.state).written = now;
        self.shared.more.notify_all();
        self.hash.update(bytes);
        if now - self.begun >= STRETCH {
            // So that little is left to wait for in the end; what cannot be begun is done then.
            drop(writeback::begin(&self.shared.file, self.begun, now - self.begun));
            self.begun = now;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a blob, waiting where it is not there yet.
#[derive(Debug)]
pub(super) struct SpoolReader {
    shared: Arc<Growing>,
    offset: u64,
}

/// The digest of a blob, once it is whole.
#[derive(Debug)]
pub(super) struct Sum(Arc<Growing>);

impl SpoolReader {
    /// The digest of the blob: whoever writes it takes it.
    pub(super) fn sum(&self) -> Sum {
        Sum(self.shared.clone())
    }
}

impl Sum {
    /// The digest, if all has been written. Who has read the blob to its end need not wait for it.
    pub(super) fn get(&self) -> io::Result<Digest> {
        locked(&self.0.state).ended.clone().flatten().ok_or_else(never)
    }
}

fn never() -> io::Error {
    io::Error::other("the rest never came")
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = locked(&self.shared.state);
        // Ends with the spool: it says so when it is finished or dropped.
        while state.written == self.offset {
            match &state.ended {
                Some(Some(_)) => return Ok(0),
                Some(None) => return Err(never()),
                None => {}
            }
            state = self.shared.more.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        let there = usize::try_from(state.written - self.offset).unwrap_or(usize::MAX);
        drop(state);
        let most = there.min(buffer.len());
        let got = self.shared.file.read_at(&mut buffer[..most], self.offset)?;
        self.offset += got as u64;
        Ok(got)
    }
}

impl Drop for SpoolReader {
    fn drop(&mut self) {
        let mut state = locked(&self.shared.state);
        state.abandoned = state.ended.is_none();
    }
}
