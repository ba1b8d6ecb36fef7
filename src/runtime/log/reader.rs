//! Reading a log, also while it is written.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time;

use super::frame::{Head, Kind};
use super::segment::{self, Segment};
use super::{LogError, Record, Stream};

use crate::model::Timestamp;
use crate::sys::clock;
use crate::sys::watch::DirWatch;

/// How often a follower looks when the kernel has no watch left to give.
const LOOK: Duration = Duration::from_millis(500);
/// How many records are read in one go before other work gets a turn.
const TURN: u32 = 256;

/// What of a log is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only the last so many lines.
    pub tail: Option<u64>,
    /// Only what was printed at this time or later.
    pub since: Option<Timestamp>,
    /// Only what was printed before this time.
    pub until: Option<Timestamp>,
    /// Go on with what is printed later.
    pub follow: bool,
    /// Only this stream.
    pub stream: Option<Stream>,
}

/// Reads the records of a log in order, over all its files.
#[derive(Debug)]
pub struct LogReader {
    dir: PathBuf,
    query: LogQuery,
    segment: Option<Segment>,
    /// Whether there is a later file, so that this one has its last record.
    is_last_look: bool,
    /// The number of the last file read.
    number: u64,
    attempt: u32,
    skip: Skip,
    watch: Watch,
}

/// The lines before the tail.
#[derive(Debug, Default)]
struct Skip {
    /// How many lines are still to be left out.
    lines: u64,
    /// For standard output and error: whether the current line is left out.
    lines_open: [bool; 2],
}

#[derive(Debug)]
enum Watch {
    NotYet,
    Kernel(DirWatch),
    Clock,
}

impl LogReader {
    /// Opens the log in `dir`.
    ///
    /// # Errors
    /// If there is no such directory, or it cannot be read.
    pub fn open(dir: &Path, query: LogQuery) -> Result<Self, LogError> {
        let fail = || LogError::open(dir);
        let numbers = segment::numbers(dir).map_err(fail())?;
        let (first, lines) = match query.tail {
            Some(tail) => start_of_tail(dir, &numbers, &query, tail).map_err(fail())?,
            None => (numbers.first().copied(), 0),
        };
        let segment = match first {
            Some(number) => Segment::open(dir, number).map_err(fail())?,
            None => None,
        };
        // What a line began with in an older file is left out like the lines before the tail.
        let skip = Skip { lines, lines_open: [query.tail.is_some(); 2] };
        Ok(Self {
            dir: dir.to_owned(),
            query,
            number: first.map_or(0, |first| first - u64::from(segment.is_none())),
            segment,
            is_last_look: false,
            attempt: 0,
            skip,
            watch: Watch::NotYet,
        })
    }

    /// The next record; when following, it waits for one. `None` at the end of the log, at the end of
    /// the asked time, or when a followed log is removed. Needs a tokio runtime with I/O and time.
    /// It can be dropped while it waits without losing a record.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn next(&mut self) -> Result<Option<Record>, LogError> {
        if self.query.follow && matches!(self.watch, Watch::NotYet) {
            // Before the first read, so that nothing comes between.
            self.watch = Watch::new(&self.dir);
        }
        loop {
            if let Some(record) = self.read_some().await? {
                return Ok(Some(record));
            }
            let left = self.query.until.map(|until| until.0.saturating_sub(clock::wall().0));
            let is_over = !self.query.follow || left == Some(Duration::ZERO);
            if is_over || self.is_removed().map_err(LogError::read(&self.dir))? {
                return Ok(None);
            }
            let changed = self.watch.changed();
            match left {
                Some(left) => drop(time::timeout(left, changed).await),
                None => changed.await,
            }
        }
    }

    /// The next record that is there now; `None` if there is no more yet.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(&mut self) -> Result<Option<Record>, LogError> {
        while let Some((head, bytes)) = self.frame()? {
            if let Some(record) = self.record(head, bytes) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// As [`Self::read`], with turns for other work while records are passed over.
    async fn read_some(&mut self) -> Result<Option<Record>, LogError> {
        let mut turn = 0;
        while let Some((head, bytes)) = self.frame()? {
            if let Some(record) = self.record(head, bytes) {
                return Ok(Some(record));
            }
            turn += 1;
            if turn % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(None)
    }

    /// The next record of any kind, over the borders of files.
    fn frame(&mut self) -> Result<Option<(Head, Vec<u8>)>, LogError> {
        loop {
            if let Some(segment) = &mut self.segment {
                if let Some(frame) = segment.next().map_err(LogError::read(&self.dir))? {
                    return Ok(Some(frame));
                }
                if !self.is_last_look {
                    // The writer makes the next file after its last record in this one: if there is a
                    // next file now, one more look sees everything.
                    self.is_last_look = self.later().map_err(LogError::read(&self.dir))?.is_some();
                    if self.is_last_look {
                        continue;
                    }
                    return Ok(None);
                }
            }
            if let Some(notice) = self.advance().map_err(LogError::read(&self.dir))? {
                return Ok(Some(notice));
            }
            if self.segment.is_none() {
                return Ok(None);
            }
        }
    }

    /// The number of the file after the one that is read.
    fn later(&self) -> io::Result<Option<u64>> {
        let next = self.number + 1;
        let there = |path: PathBuf| path.exists();
        if there(segment::path(&self.dir, next)) || there(segment::compressed_path(&self.dir, next))
        {
            return Ok(Some(next));
        }
        // A hole is only possible where files were removed.
        let is_gone = self.segment.as_ref().map_or(Ok(true), Segment::is_gone)?;
        if !is_gone {
            return Ok(None);
        }
        match segment::numbers(&self.dir) {
            Ok(numbers) => Ok(numbers.into_iter().find(|number| *number > self.number)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the log is gone: a writer never removes its newest file.
    fn is_removed(&self) -> io::Result<bool> {
        match &self.segment {
            Some(segment) => Ok(segment.is_gone()? && self.later()?.is_none()),
            None => Ok(!self.dir.is_dir()),
        }
    }

    /// Opens the next file, if there is one. Files that were removed before they could be read are
    /// told of.
    fn advance(&mut self) -> io::Result<Option<(Head, Vec<u8>)>> {
        self.segment = None;
        self.is_last_look = false;
        let before = self.number;
        while let Some(number) = self.later()? {
            self.number = number;
            self.segment = Segment::open(&self.dir, number)?;
            if self.segment.is_some() {
                break;
            }
        }
        let lost = self.number.saturating_sub(before + 1);
        if lost == 0 || before == 0 || self.segment.is_none() {
            return Ok(None);
        }
        let time = u64::try_from(clock::wall().0.as_nanos()).unwrap_or(u64::MAX);
        Ok(Some((Head { kind: Kind::Dropped, partial: false, continued: false, time }, Vec::new())))
    }

    /// What a record means to the asker; `None` if it was not asked for.
    fn record(&mut self, head: Head, bytes: Vec<u8>) -> Option<Record> {
        if head.kind == Kind::Attempt {
            self.attempt = bytes.try_into().map_or(self.attempt, u32::from_le_bytes);
            return None;
        }
        if !wanted(&self.query, head) || self.skip.skips(head) {
            return None;
        }
        let (stream, bytes) = match head.kind {
            Kind::Stdout => (Stream::Stdout, bytes),
            Kind::Stderr => (Stream::Stderr, bytes),
            Kind::Dropped | Kind::Attempt => (Stream::Orca, loss(bytes)),
        };
        Some(Record {
            time: Timestamp(Duration::from_nanos(head.time)),
            stream,
            attempt: self.attempt,
            bytes,
            partial: head.partial,
            continued: head.continued,
        })
    }
}

impl Skip {
    fn skips(&mut self, head: Head) -> bool {
        let index = match head.kind {
            Kind::Stdout => 0,
            Kind::Stderr => 1,
            // Short, and better told than not.
            Kind::Dropped | Kind::Attempt => return false,
        };
        if !head.continued {
            self.lines_open[index] = self.lines > 0;
            self.lines = self.lines.saturating_sub(1);
        }
        self.lines_open[index]
    }
}

impl Watch {
    fn new(dir: &Path) -> Self {
        DirWatch::new(dir).map_or(Self::Clock, Self::Kernel)
    }

    /// Waits until something may have changed since the last look.
    async fn changed(&self) {
        let seen = match self {
            Self::Kernel(watch) => watch.changed().await.is_ok(),
            Self::NotYet | Self::Clock => false,
        };
        if !seen {
            time::sleep(LOOK).await;
        }
    }
}

/// Where the last lines begin: the file, and how many of its lines come before.
fn start_of_tail(
    dir: &Path,
    numbers: &[u64],
    query: &LogQuery,
    tail: u64,
) -> io::Result<(Option<u64>, u64)> {
    let mut lines = 0_u64;
    let mut start = numbers.last().copied();
    for number in numbers.iter().rev() {
        let Some(mut segment) = Segment::open(dir, *number)? else { break };
        start = Some(*number);
        while let Some((head, _)) = segment.next()? {
            let is_output = matches!(head.kind, Kind::Stdout | Kind::Stderr);
            lines += u64::from(is_output && !head.continued && wanted(query, head));
        }
        if lines >= tail {
            break;
        }
    }
    Ok((start, lines.saturating_sub(tail)))
}

fn wanted(query: &LogQuery, head: Head) -> bool {
    let time = Timestamp(Duration::from_nanos(head.time));
    let stream = match head.kind {
        Kind::Stdout => Some(Stream::Stdout),
        Kind::Stderr => Some(Stream::Stderr),
        Kind::Dropped | Kind::Attempt => None,
    };
    query.since.is_none_or(|since| time >= since)
        && query.until.is_none_or(|until| time < until)
        && (stream.is_none() || query.stream.is_none_or(|only| stream == Some(only)))
}

/// The sentence for output that is missing.
fn loss(bytes: Vec<u8>) -> Vec<u8> {
    match <[u8; 8]>::try_from(bytes).map(u64::from_le_bytes) {
        Ok(count) => format!("{count} bytes of output are missing here: they could not be written"),
        Err(_) => "output is missing here: it was removed to make room before it was read".into(),
    }
    .into_bytes()
}
