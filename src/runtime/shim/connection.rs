//! Those who talk to a shim.

use std::io;
use std::os::fd::OwnedFd;

use super::super::protocol::{self, Reply, Request, Status};
use super::output::Viewer;
use crate::sys::seqpacket;

/// The most at a time.
pub(super) const MOST: usize = 64;

/// One of them. A peer that does not read is let go, never waited for.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    watching: bool,
    /// The streams it sees.
    pub viewers: Vec<Viewer>,
    /// Whether it waits for the terminal before it is answered.
    pub wants_terminal: bool,
    /// Whether it is to be dropped.
    pub gone: bool,
}

impl Connection {
    /// A new one.
    pub(super) fn new(socket: OwnedFd) -> Self {
        let gone = seqpacket::set_nonblocking(&socket, true).is_err();
        Self { socket, watching: false, viewers: Vec::new(), wants_terminal: false, gone }
    }

    /// The one that asked for the start: it hears of each change.
    pub(super) fn watching(socket: OwnedFd) -> Self {
        Self { watching: true, ..Self::new(socket) }
    }

    /// Its socket.
    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// From now on it hears of each change.
    pub(super) fn watch(&mut self, status: Status) {
        self.watching = true;
        self.tell(status);
    }

    /// Tells how the container is doing, if it wants to hear that.
    pub(super) fn tell(&mut self, status: Status) {
        if self.watching {
            self.reply(&Reply::Status(status), None);
        }
    }

    /// Answers.
    pub(super) fn reply(&mut self, reply: &Reply, fd: Option<&OwnedFd>) {
        use std::os::fd::AsFd as _;
        let fds = fd.map(|fd| fd.as_fd());
        let sent = seqpacket::send(&self.socket, &protocol::packet(reply), fds.as_slice());
        self.gone |= sent.is_err();
    }

    /// The next request; `None` if there is none now, or never again.
    pub(super) fn request(&mut self) -> Option<(Request, Vec<OwnedFd>)> {
        let mut buffer = [0; 1024];
        match seqpacket::receive(&self.socket, &mut buffer) {
            Ok((0, _)) => self.gone = true,
            Ok((length, fds)) => match protocol::unpack(&buffer[..length]) {
                Ok(request) => return Some((request, fds)),
                Err(_) => self.reply(&Reply::Unknown, None),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.gone = true,
        }
        None
    }
}
