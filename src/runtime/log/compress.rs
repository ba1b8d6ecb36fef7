//! Compressing a rotated file bit by bit, so that no single write waits for it; or all that there are,
//! by somebody who has the time.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{LogError, segment};

/// How much is compressed at once.
const STEP: usize = 16 << 10;

/// How much is compressed in one go when nobody waits.
const GO: usize = 1 << 20;

/// Compresses the files of the log in `dir` that are full, all but the one that grows. Its writer may
/// go on meanwhile, and so may its readers. Returns how many it were.
///
/// # Errors
/// If the log cannot be read, or there is no room for a copy: the plain file is then still there.
pub fn compress_full(dir: &Path) -> Result<usize, LogError> {
    let failed = || LogError::read(dir);
    let numbers = segment::numbers(dir).map_err(failed())?;
    let (_, full) = numbers.split_last().unwrap_or((&0, &[]));
    let mut count = 0;
    for number in full {
        let mut compressing = match Compressing::start(dir, *number) {
            Ok(compressing) => compressing,
            // It is compressed already, or was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed()(error)),
        };
        loop {
            match compressing.step(GO) {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    compressing.abandon();
                    return Err(failed()(error));
                }
            }
        }
        count += 1;
    }
    Ok(count)
}

/// A file on its way to its compressed copy.
#[derive(Debug)]
pub(super) struct Compressing {
    source: File,
    encoder: GzEncoder<File>,
    plain: PathBuf,
    unfinished: PathBuf,
    finished: PathBuf,
}

impl Compressing {
    /// Begins.
    pub(super) fn start(dir: &Path, number: u64) -> io::Result<Self> {
        let plain = segment::path(dir, number);
        let finished = segment::compressed_path(dir, number);
        let unfinished = unfinished_path(dir, number);
        let source = File::open(&plain)?;
        let encoder = GzEncoder::new(File::create(&unfinished)?, Compression::fast());
        Ok(Self { source, encoder, plain, unfinished, finished })
    }

    /// Goes on for about `bytes`; `Ok(true)` once it is done and the plain file is gone.
    pub(super) fn step(&mut self, bytes: usize) -> io::Result<bool> {
        let mut buffer = [0; STEP];
        let mut left = bytes;
        loop {
            let count = self.source.read(&mut buffer)?;
            if count == 0 {
                self.encoder.try_finish()?;
                fs::rename(&self.unfinished, &self.finished)?;
                return match fs::remove_file(&self.plain) {
                    // Its writer had to make room meanwhile: the copy is too old as well.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        fs::remove_file(&self.finished).map(|()| true)
                    }
                    removed => removed.map(|()| true),
                };
            }
            self.encoder.write_all(&buffer[..count])?;
            left = left.saturating_sub(count);
            if left == 0 {
                return Ok(false);
            }
        }
    }

    /// Removes what a killed writer left unfinished; only the file before the last is compressed.
    pub(super) fn clear(dir: &Path, last: u64) {
        drop(fs::remove_file(unfinished_path(dir, last.saturating_sub(1))));
    }

    /// Gives up; the plain file stays.
    pub(super) fn abandon(self) {
        drop(fs::remove_file(&self.unfinished));
    }
}

fn unfinished_path(dir: &Path, number: u64) -> PathBuf {
    segment::compressed_path(dir, number).with_extension("part")
}
