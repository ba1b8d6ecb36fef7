//! One file of a log: its name, and reading records from it.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::frame::{self, Head, Parsed};

/// Holds any record with its head and tail several times.
const BUFFER: usize = 64 << 10;

/// The name of a file of a log.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.log"))
}

/// The name of the same file compressed.
pub(super) fn compressed_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.log.gz"))
}

/// The numbers of the files that are there, in order.
pub(super) fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_str().unwrap_or("");
        let stem = name.strip_suffix(".log").or_else(|| name.strip_suffix(".log.gz"));
        numbers.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    // A file and its compressed copy are there together for a moment.
    numbers.dedup();
    Ok(numbers)
}

/// A file of a log that is being read.
#[derive(Debug)]
pub(super) struct Segment {
    source: Source,
    buffer: Vec<u8>,
    /// The part of the buffer that was filled and not yet taken.
    start: usize,
    end: usize,
}

#[derive(Debug)]
enum Source {
    Plain { file: File, offset: u64 },
    Compressed(Box<GzDecoder<BufReader<File>>>),
}

impl Segment {
    /// Opens a file of a log, `None` if there is none of that number.
    pub(super) fn open(dir: &Path, number: u64) -> io::Result<Option<Self>> {
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let source = match File::open(path(dir, number)) {
            Ok(file) => Source::Plain { file, offset: 0 },
            Err(error) if missing(&error) => match File::open(compressed_path(dir, number)) {
                Ok(file) => Source::Compressed(Box::new(GzDecoder::new(BufReader::new(file)))),
                Err(error) if missing(&error) => return Ok(None),
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        };
        Ok(Some(Self { source, buffer: vec![0; BUFFER], start: 0, end: 0 }))
    }

    /// The next whole record; `None` at the end. A growing file may have more later.
    pub(super) fn next(&mut self) -> io::Result<Option<(Head, Vec<u8>)>> {
        loop {
            match frame::parse(&self.buffer[self.start..self.end]) {
                Parsed::Whole(head, bytes) => {
                    let bytes = bytes.to_vec();
                    self.start += bytes.len() + frame::AROUND;
                    return Ok(Some((head, bytes)));
                }
                // What a killed writer or a lost page left: go on at the next head.
                Parsed::Garbage => self.start += 1,
                Parsed::Incomplete => {
                    if self.fill()? == 0 {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// How far it was read: the offset after the last record taken.
    pub(super) fn offset(&self) -> u64 {
        match &self.source {
            Source::Plain { offset, .. } => offset - (self.end - self.start) as u64,
            Source::Compressed(_) => 0,
        }
    }

    /// Whether the file was removed or replaced, so that it grows no more.
    pub(super) fn is_gone(&self) -> io::Result<bool> {
        match &self.source {
            Source::Plain { file, .. } => Ok(file.metadata()?.nlink() == 0),
            Source::Compressed(_) => Ok(true),
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let room = &mut self.buffer[self.end..];
        let count = match &mut self.source {
            Source::Plain { file, offset } => {
                let count = file.read_at(room, *offset)?;
                *offset += count as u64;
                count
            }
            // A compressed copy that is cut short ends where it is cut.
            Source::Compressed(decoder) => match decoder.read(room) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                count => count?,
            },
        };
        self.end += count;
        if count == 0
            && let Source::Plain { offset, .. } = &mut self.source
        {
            // An unfinished record may be overwritten by another writer: read it anew next time.
            *offset -= self.end as u64;
            self.end = 0;
        }
        Ok(count)
    }
}
