//! Bytes on their way to the daemon. They are read or made on threads that nobody waits for.

use std::io::{self, Read};

use tokio::sync::mpsc;

use crate::api::control::{CHUNK, CHUNKS_MAX, ChunkWriter, Chunks};

/// The bytes of `source`, up to its end or its first error.
pub(super) fn of(mut source: impl Read + Send + 'static) -> Chunks {
    let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
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
pub(super) fn packed(
    pack: impl FnOnce(&mut ChunkWriter) -> io::Result<()> + Send + 'static,
) -> Chunks {
    let (mut out, chunks) = ChunkWriter::new();
    std::thread::spawn(move || {
        let packed = pack(&mut out);
        out.finish(packed);
    });
    chunks
}
