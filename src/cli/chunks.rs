//! Bytes on their way to the daemon. They are read or made on threads that nobody waits for.

use std::io::{self, Read, Write};

use tokio::sync::mpsc;

use crate::api::control::Chunks;

/// How much is sent at once, in bytes.
const CHUNK: usize = 256 << 10;
/// How many chunks may wait for the daemon.
const WAITING: usize = 4;

/// The bytes of `source`, up to its end or its first error.
pub(super) fn of(mut source: impl Read + Send + 'static) -> Chunks {
    let (sender, chunks) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match source.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(chunk)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let last = read.is_err();
            if sender.blocking_send(read).is_err() || last {
                return;
            }
        }
    });
    chunks
}

/// What `pack` writes, and its error if it ends with one.
pub(super) fn packed(pack: impl FnOnce(&mut Sending) -> io::Result<()> + Send + 'static) -> Chunks {
    let (sender, chunks) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        let mut out = Sending { sender, chunk: Vec::with_capacity(CHUNK) };
        let ended = pack(&mut out).and_then(|()| out.flush());
        if let Err(error) = ended {
            // Nobody listens any more if the other side has failed.
            let _unheard = out.sender.blocking_send(Err(error)).is_err();
        }
    });
    chunks
}

/// Something to write to whose bytes go to the daemon.
pub(super) struct Sending {
    sender: mpsc::Sender<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
}

impl Write for Sending {
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
        self.sender.blocking_send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
