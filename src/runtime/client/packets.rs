//! A connection to the launcher or a shim, for tasks.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::super::protocol::{self, Reply, Request};
use crate::sys::{ready, seqpacket};

/// Packets in both directions.
#[derive(Debug)]
pub(super) struct Packets(AsyncFd<OwnedFd>);

impl Packets {
    /// Those of `socket`.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        seqpacket::set_nonblocking(&socket, true)?;
        Ok(Self(ready::register(socket)?))
    }

    /// A connection to the socket `name` in `dir`, with `request` sent.
    pub(super) fn ask(
        dir: &Path,
        name: &str,
        request: &Request,
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<Self> {
        // Connecting to a local socket does not wait, unless its queue is full.
        let socket = seqpacket::connect(dir, name)?;
        seqpacket::send(&socket, &protocol::packet(request), fds)?;
        Self::new(socket)
    }

    /// The next reply; `None` at the end.
    pub(super) async fn receive(&self) -> io::Result<Option<(Reply, Vec<OwnedFd>)>> {
        let mut buffer = vec![0; 8192];
        let (length, fds) = self
            .0
            .async_io(Interest::READABLE, |socket| seqpacket::receive(socket, &mut buffer))
            .await?;
        if length == 0 {
            return Ok(None);
        }
        let reply = protocol::unpack(&buffer[..length]).map_err(io::Error::other)?;
        Ok(Some((reply, fds)))
    }

    /// The answer to a request; its absence is an error.
    pub(super) async fn answer(&self) -> io::Result<(Reply, Vec<OwnedFd>)> {
        self.receive().await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// `bytes` in a file in memory, for another process to read.
pub(super) fn in_memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    use std::io::Write as _;
    let memory = rustix::fs::memfd_create(c"orca-plan", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(bytes)?;
    Ok(file.into())
}
