//! Writing a log. Used by a process with one thread and little memory, whose first duty is to keep
//! the container's pipes empty: nothing here waits, and a full disk loses output rather than
//! blocks the container.

use std::fs::{self, File};
use std::io;
use std::mem::take;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::compress::Compressing;
use super::frame::{self, AROUND, Head, Kind, MAX_BYTES, Parsed};
use super::segment::{self, Segment};
use super::{LogError, Stream};

use crate::model::Timestamp;

/// How many bytes are gathered for one write.
const BUFFER: usize = 64 << 10;
/// The smallest size of a file: several of the largest records.
const MIN_SIZE: u64 = 64 << 10;

/// How much of a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// The largest size of a file, in bytes; at least 64 KiB is used.
    pub max_size: u64,
    /// How many files are kept, the current one included; at least 1.
    pub max_files: u32,
    /// Whether files that are full are compressed.
    pub compress: bool,
}

/// Appends to a log.
#[derive(Debug)]
pub struct LogWriter {
    dir: PathBuf,
    options: LogOptions,
    attempt: u32,
    file: File,
    number: u64,
    /// The file's length in whole records.
    size: u64,
    /// The lowest number there may be a file of.
    oldest: u64,
    buffer: Box<[u8]>,
    /// How much of the buffer waits to be written, and how much of that is output.
    filled: usize,
    output: u64,
    /// For standard output and error: whether the line so far has no end.
    open_lines: [bool; 2],
    /// Output that was lost since the last record.
    dropped: u64,
    compressing: Option<Compressing>,
}

impl LogWriter {
    /// Opens the log in `dir`, which is made if it is missing, to append the output of an attempt.
    /// There must be no other writer of it.
    ///
    /// # Errors
    /// If the directory or its newest file cannot be opened.
    pub fn open(dir: &Path, options: LogOptions, attempt: u32) -> Result<Self, LogError> {
        let fail = || LogError::open(dir);
        fs::create_dir_all(dir).map_err(fail())?;
        let numbers = segment::numbers(dir).map_err(fail())?;
        let plain = |number: &u64| segment::path(dir, *number).exists();
        let number = match numbers.last() {
            Some(last) if plain(last) => *last,
            last => last.map_or(1, |last| last + 1),
        };
        if let Some(last) = numbers.last() {
            Compressing::clear(dir, *last);
        }
        let size = end_of_records(dir, number).map_err(fail())?;
        let file = open_file(dir, number).map_err(fail())?;
        file.set_len(size).map_err(fail())?;
        Ok(Self {
            dir: dir.to_owned(),
            options: LogOptions {
                max_size: options.max_size.max(MIN_SIZE),
                max_files: options.max_files.max(1),
                ..options
            },
            attempt,
            file,
            number,
            size,
            oldest: numbers.first().copied().unwrap_or(number),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            filled: 0,
            output: 0,
            open_lines: [false; 2],
            dropped: 0,
            compressing: None,
        }
        .begun())
    }

    /// Writes what was read from a stream at `now`: a record for each line, and for what stands
    /// after the last new line. It never fails: what cannot be written is counted, and the log says
    /// how much is missing once it can be written again. Output of [`Stream::Orca`] is not kept.
    pub fn write(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) {
        let (index, kind) = match stream {
            Stream::Stdout => (0, Kind::Stdout),
            Stream::Stderr => (1, Kind::Stderr),
            Stream::Orca => return,
        };
        let time = u64::try_from(now.0.as_nanos()).unwrap_or(u64::MAX);
        let mut rest = bytes;
        while !rest.is_empty() {
            let window = &rest[..rest.len().min(MAX_BYTES + 1)];
            let (line, partial) = match memchr::memchr(b'\n', window) {
                Some(end) => (&rest[..end], false),
                None => (&rest[..rest.len().min(MAX_BYTES)], true),
            };
            rest = &rest[line.len() + usize::from(!partial)..];
            let continued = self.open_lines[index];
            self.put(Head { kind, partial, continued, time }, line);
            self.open_lines[index] = partial;
        }
        self.flush(time);
        self.compress(bytes.len());
    }

    /// How many bytes of output are lost and not yet told of in the log.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The file and the offset the next record will have: what readers have been given so far.
    pub fn position(&self) -> (u64, u64) {
        (self.number, self.size)
    }

    /// Adds a record to the buffer; what does not fit goes to the file before it.
    fn put(&mut self, head: Head, bytes: &[u8]) {
        let length = bytes.len() + AROUND;
        let is_full = self.size + (self.filled + length) as u64 > self.options.max_size;
        if is_full || self.filled + length > self.buffer.len() {
            self.flush(head.time);
        }
        let output = match head.kind {
            Kind::Stdout | Kind::Stderr => bytes.len() as u64 + u64::from(!head.partial),
            Kind::Attempt | Kind::Dropped => 0,
        };
        let fits = self.size + length as u64 <= self.options.max_size;
        if !fits && self.rotate(head.time).is_err() {
            self.dropped = self.dropped.saturating_add(output);
            return;
        }
        self.filled += frame::put(&mut self.buffer[self.filled..], head, bytes);
        self.output += output;
    }

    /// Writes the buffer. What the file does not take is lost and counted.
    fn flush(&mut self, time: u64) {
        let (filled, output) = (take(&mut self.filled), take(&mut self.output));
        if filled == 0 {
            return;
        }
        match self.append(filled, time) {
            Ok(length) => {
                self.size += length;
                self.dropped = 0;
            }
            Err(_) => {
                self.cut();
                self.dropped = self.dropped.saturating_add(output);
            }
        }
    }

    /// Writes how much is missing, if anything is, and the buffer: both or none, so that a disk with
    /// room for a few bytes does not fill up with words about loss. Returns the length.
    fn append(&self, filled: usize, time: u64) -> io::Result<u64> {
        let mut end = self.size;
        if self.dropped > 0 {
            let head = Head { kind: Kind::Dropped, partial: false, continued: false, time };
            let mut record = [0; AROUND + 8];
            let length = frame::put(&mut record, head, &self.dropped.to_le_bytes());
            self.file.write_all_at(&record, end)?;
            end += length as u64;
        }
        self.file.write_all_at(&self.buffer[..filled], end)?;
        Ok(end + filled as u64 - self.size)
    }

    /// Takes half a record off the end. If that fails too, the next write overwrites it.
    fn cut(&self) {
        drop(self.file.set_len(self.size));
    }

    /// Goes on in a new file, and removes what is too old. On a full disk the oldest file may have to
    /// go first; the one that was just filled stays.
    fn rotate(&mut self, time: u64) -> io::Result<()> {
        self.finish_compressing();
        let full = self.number;
        self.file = open_file(&self.dir, full + 1).or_else(|error| {
            if self.oldest == full {
                return Err(error);
            }
            self.remove_oldest();
            open_file(&self.dir, full + 1)
        })?;
        self.number = full + 1;
        self.size = 0;
        self.remove_old();
        if self.options.compress && self.oldest <= full {
            self.compressing = Compressing::start(&self.dir, full).ok();
        }
        self.put_attempt(time);
        Ok(())
    }

    fn remove_old(&mut self) {
        while self.oldest + u64::from(self.options.max_files) <= self.number {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        drop(fs::remove_file(segment::path(&self.dir, self.oldest)));
        drop(fs::remove_file(segment::compressed_path(&self.dir, self.oldest)));
        self.oldest += 1;
    }

    /// Says whose output follows. Each file begins so, as those before it may be gone.
    fn put_attempt(&mut self, time: u64) {
        let head = Head { kind: Kind::Attempt, partial: false, continued: false, time };
        let attempt = self.attempt.to_le_bytes();
        self.filled += frame::put(&mut self.buffer[self.filled..], head, &attempt);
    }

    fn begun(mut self) -> Self {
        self.remove_old();
        let time = u64::try_from(crate::sys::clock::wall().0.as_nanos()).unwrap_or(u64::MAX);
        self.put_attempt(time);
        self.flush(time);
        self
    }

    /// Compresses twice as much as was just written, so that a file is done before the next is full.
    fn compress(&mut self, written: usize) {
        let Some(compressing) = &mut self.compressing else { return };
        match compressing.step(2 * written) {
            Ok(false) => {}
            Ok(true) => self.compressing = None,
            Err(_) => self.compressing.take().into_iter().for_each(Compressing::abandon),
        }
    }

    fn finish_compressing(&mut self) {
        while self.compressing.is_some() {
            self.compress(BUFFER);
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.finish_compressing();
    }
}

fn open_file(dir: &Path, number: u64) -> io::Result<File> {
    File::options().write(true).create(true).truncate(false).open(segment::path(dir, number))
}

/// Where the whole records of a file end: after that a killed writer may have left a part of one.
fn end_of_records(dir: &Path, number: u64) -> io::Result<u64> {
    let length = match File::open(segment::path(dir, number)) {
        Ok(file) => {
            let length = file.metadata()?.len();
            if ends_with_record(&file, length)? {
                return Ok(length);
            }
            length
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let Some(mut segment) = Segment::open(dir, number)? else { return Ok(0) };
    let mut end = 0;
    while segment.next()?.is_some() {
        end = segment.offset();
    }
    Ok(end.min(length))
}

/// Whether the last bytes are a whole record, without reading those before it.
fn ends_with_record(file: &File, length: u64) -> io::Result<bool> {
    let mut tail = [0; 4];
    let Some(at) = length.checked_sub(4) else { return Ok(length == 0) };
    file.read_exact_at(&mut tail, at)?;
    let record = usize::from(u16::from_le_bytes([tail[0], tail[1]])) + AROUND;
    let Some(start) = length.checked_sub(record as u64) else { return Ok(false) };
    let mut buffer = vec![0; record];
    file.read_exact_at(&mut buffer, start)?;
    Ok(matches!(frame::parse(&buffer), Parsed::Whole(..)))
}
