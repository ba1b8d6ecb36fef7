//! Compressing a rotated file bit by bit, so that no single write waits for it.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::segment;

/// How much is compressed at once.
const STEP: usize = 16 << 10;

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
                fs::remove_file(&self.plain)?;
                return Ok(true);
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
