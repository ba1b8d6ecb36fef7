//! Byte streams between callers and work that reads or writes on a thread of its own.

use std::fs::File;
use std::io::{self, Read};

use super::caller::{Caller, Gone};
use crate::api::control::Chunks;

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
    caller: Gone,
}

impl Opened {
    pub(super) fn new(file: File) -> (Self, Caller) {
        let (caller, gone) = Caller::new();
        (Self { file, caller: gone }, caller)
    }
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.caller.is_so() {
            return Err(io::Error::other("whoever wanted it has gone"));
        }
        self.file.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::api::control::ChunkWriter;

    #[test]
    fn what_is_written_on_one_side_is_read_on_the_other() {
        let (mut writer, chunks) = ChunkWriter::new();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let copy = sent.clone();
        let writer = std::thread::spawn(move || {
            let written = writer.write_all(&copy);
            writer.finish(written);
        });
        let mut read = Vec::new();
        Arriving::new(chunks).read_to_end(&mut read).unwrap();
        writer.join().unwrap();
        assert!(read == sent);
    }

    #[test]
    fn an_end_before_the_end_is_an_error() {
        let (writer, chunks) = ChunkWriter::new();
        let writer = std::thread::spawn(move || writer.finish(Err(io::Error::other("gone"))));
        let error = Arriving::new(chunks).read_to_end(&mut Vec::new()).unwrap_err();
        writer.join().unwrap();
        assert_eq!(error.to_string(), "gone");
    }
}
