//! Byte streams between callers and work that reads or writes on a thread of its own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use crate::api::control::Chunks;

/// How many chunks wait for a slow reader.
const CHUNKS_MAX: usize = 16;

/// The size of a chunk that is sent.
const CHUNK: usize = 256 << 10;

/// What a caller sends, as something to read from. Only for threads that may block.
#[derive(Debug)]
pub(super) struct Arriving {
    chunks: Chunks,
    chunk: Vec<u8>,
    read: usize,
}

impl Arriving {
    pub(super) fn new(chunks: Chunks) -> Self {
        Self { chunks, chunk: Vec::new(), read: 0 }
    }
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.chunk.len() {
            match self.chunks.blocking_recv() {
                Some(chunk) => (self.chunk, self.read) = (chunk?, 0),
                None => return Ok(0),
            }
        }
        let left = &self.chunk[self.read..];
        let n = left.len().min(buffer.len());
        buffer[..n].copy_from_slice(&left[..n]);
        self.read += n;
        Ok(n)
    }
}

/// A file that a caller has open, as long as there is a caller.
#[derive(Debug)]
pub(super) struct Opened {
    file: File,
    gone: Arc<AtomicBool>,
}

/// The caller of an [`Opened`]; dropped, it has gone.
#[derive(Debug)]
pub(super) struct Caller(Arc<AtomicBool>);

impl Opened {
    pub(super) fn new(file: File) -> (Self, Caller) {
        let gone = Arc::new(AtomicBool::new(false));
        (Self { file, gone: gone.clone() }, Caller(gone))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(io::Error::other("whoever wanted it has gone"));
        }
        self.file.read(buffer)
    }
}

/// Something to write to whose bytes go to a caller. Only for threads that may block.
#[derive(Debug)]
pub(super) struct Leaving {
    chunks: mpsc::Sender<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
}

impl Leaving {
    /// A writer, and what its caller reads.
    pub(super) fn new() -> (Self, Chunks) {
        let (chunks, reader) = mpsc::channel(CHUNKS_MAX);
        (Self { chunks, chunk: Vec::with_capacity(CHUNK) }, reader)
    }

    /// The end: of what was written, or of the attempt.
    pub(super) fn finish(mut self, result: io::Result<()>) {
        let result = result.and_then(|()| self.flush());
        if let Err(error) = result {
            // A caller that has gone away needs no reason.
            drop(self.chunks.blocking_send(Err(error)));
        }
    }
}

impl Write for Leaving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.chunks.blocking_send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_on_one_side_is_read_on_the_other() {
        let (mut leaving, chunks) = Leaving::new();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let copy = sent.clone();
        let writer = std::thread::spawn(move || {
            let written = leaving.write_all(&copy);
            leaving.finish(written);
        });
        let mut read = Vec::new();
        Arriving::new(chunks).read_to_end(&mut read).unwrap();
        writer.join().unwrap();
        assert!(read == sent);
    }

    #[test]
    fn an_end_before_the_end_is_an_error() {
        let (leaving, chunks) = Leaving::new();
        let writer = std::thread::spawn(move || leaving.finish(Err(io::Error::other("gone"))));
        let error = Arriving::new(chunks).read_to_end(&mut Vec::new()).unwrap_err();
        writer.join().unwrap();
        assert_eq!(error.to_string(), "gone");
    }
}
