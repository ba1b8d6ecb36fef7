//! Bytes on their way between the two sides of a call.

use std::io::{self, Write};

use tokio::sync::mpsc;

/// Bytes on their way. The end of the channel is the end of the data; an error is an end before the
/// end, such as a caller that went away, and what was read so far must not be used.
pub type Chunks = mpsc::Receiver<io::Result<Vec<u8>>>;

/// The size of a chunk that is sent, in bytes.
pub const CHUNK: usize = 256 << 10;

/// How many chunks may wait for a slow reader.
pub const CHUNKS_MAX: usize = 8;

/// Something to write to whose bytes become [`Chunks`]. Only for threads that may block.
#[derive(Debug)]
pub struct ChunkWriter {
    chunks: mpsc::Sender<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
}

impl ChunkWriter {
    /// A writer, and what the other side reads.
    pub fn new() -> (Self, Chunks) {
        let (chunks, reader) = mpsc::channel(CHUNKS_MAX);
        (Self { chunks, chunk: Vec::with_capacity(CHUNK) }, reader)
    }

    /// The end: of what was written, or of the attempt.
    pub fn finish(mut self, result: io::Result<()>) {
        let result = result.and_then(|()| self.flush());
        if let Err(error) = result {
            // A reader that has gone away needs no reason.
            drop(self.chunks.blocking_send(Err(error)));
        }
    }
}

impl Write for ChunkWriter {
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
