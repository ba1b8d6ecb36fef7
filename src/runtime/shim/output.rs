//! A container's output: from its pipes to its log and to whoever is attached.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::super::log::{LogOptions, LogWriter};
use super::super::plan::LogPlan;
use crate::sys::{clock, seqpacket};

pub(super) use super::super::log::Stream;

/// How long somebody attached may not read before they are let go: the container waits for them.
pub(super) const STALL: Duration = Duration::from_secs(10);
/// How much is read at once, in bytes.
pub(super) const CHUNK: usize = 32 * 1024;

/// One source of output.
#[derive(Debug)]
pub(super) struct Output {
    /// Never waits.
    pub from: OwnedFd,
    /// Which one it is.
    pub stream: Stream,
    /// Whether there will be nothing more.
    pub ended: bool,
}

/// What a read gave.
pub(super) enum Read {
    /// This many bytes.
    Some(usize),
    /// Nothing for now.
    Nothing,
    /// There will be nothing more.
    End,
}

impl Output {
    /// The source `from`, made not to wait.
    pub(super) fn new(from: OwnedFd, stream: Stream) -> io::Result<Self> {
        seqpacket::set_nonblocking(&from, true)?;
        Ok(Self { from, stream, ended: false })
    }

    /// Reads what is there.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Read {
        loop {
            return match rustix::io::read(&self.from, &mut *buffer) {
                Ok(0) => Read::End,
                Ok(length) => Read::Some(length),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => Read::Nothing,
                // A terminal that nobody has open any more says EIO.
                Err(_) => Read::End,
            };
        }
    }
}

/// Somebody who sees one stream.
#[derive(Debug)]
pub(super) struct Viewer {
    /// Never waits.
    pub to: OwnedFd,
    /// Which stream.
    pub stream: Stream,
    pending: Vec<u8>,
    /// Since when they have not read.
    pub stalled: Option<Instant>,
}

impl Viewer {
    /// Somebody who reads from the other end of `to`.
    pub(super) fn new(to: OwnedFd, stream: Stream) -> io::Result<Self> {
        seqpacket::set_nonblocking(&to, true)?;
        Ok(Self { to, stream, pending: Vec::new(), stalled: None })
    }

    /// Shows them `bytes`; what they do not take now is kept, and the container's output rests
    /// meanwhile. `false` once they are gone.
    pub(super) fn show(&mut self, bytes: &[u8]) -> bool {
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(bytes);
            return true;
        }
        match write_some(&self.to, bytes) {
            Ok(written) if written == bytes.len() => true,
            Ok(written) => {
                self.pending.extend_from_slice(&bytes[written..]);
                self.stalled = Some(Instant::now());
                true
            }
            Err(_) => false,
        }
    }

    /// Shows them what was kept. `false` once they are gone.
    pub(super) fn catch_up(&mut self) -> bool {
        match write_some(&self.to, &self.pending) {
            Ok(written) => {
                self.pending.drain(..written);
                if self.pending.is_empty() {
                    (self.pending, self.stalled) = (Vec::new(), None);
                } else if written > 0 {
                    self.stalled = Some(Instant::now());
                }
                true
            }
            Err(_) => false,
        }
    }
}

/// How much of `bytes` could be written without waiting.
fn write_some(to: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match rustix::io::write(&to, &bytes[written..]) {
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(written)
}

/// Where output goes in the end.
pub(super) struct Sink {
    log: Option<LogWriter>,
    written: u64,
}

impl Sink {
    /// The log, if there is to be one.
    pub(super) fn open(plan: Option<&LogPlan>) -> io::Result<Self> {
        let open = |plan: &LogPlan| {
            let LogPlan { dir, max_size, max_files, attempt } = plan;
            // Compressing is slower than writing: a container that prints a lot would wait for it. The
            // daemon does it when there is time.
            let options =
                LogOptions { max_size: *max_size, max_files: *max_files, compress: false };
            LogWriter::open(dir, options, *attempt)
        };
        Ok(Self { log: plan.map(open).transpose().map_err(io::Error::other)?, written: 0 })
    }

    /// Writes to it. A full disk does not stop the container: what cannot be written is lost, and
    /// counted in the log.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self.written += 1;
        if let Some(log) = &mut self.log {
            log.write(stream, bytes, clock::wall());
        }
    }

    /// How often something was written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Closes the log: a later attempt may write it.
    pub(super) fn finish(&mut self) {
        self.log = None;
    }
}
