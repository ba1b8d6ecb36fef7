//! The streams of a program, as tasks use them: pipes, or a terminal.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::sys::{ready, seqpacket};

/// What a program reads. Dropping it ends the program's input, unless that is a terminal.
#[derive(Debug, Clone)]
pub struct Input(Arc<AsyncFd<OwnedFd>>);

/// What a program writes.
#[derive(Debug, Clone)]
pub struct Output(Arc<AsyncFd<OwnedFd>>);

/// Both directions of a terminal.
pub(super) fn terminal(master: OwnedFd) -> io::Result<(Input, Output)> {
    let master = Arc::new(open(master)?);
    Ok((Input(Arc::clone(&master)), Output(master)))
}

/// The writing end of a pipe.
pub(super) fn input(pipe: OwnedFd) -> io::Result<Input> {
    Ok(Input(Arc::new(open(pipe)?)))
}

/// The reading end of a pipe.
pub(super) fn output(pipe: OwnedFd) -> io::Result<Output> {
    Ok(Output(Arc::new(open(pipe)?)))
}

fn open(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    seqpacket::set_nonblocking(&fd, true)?;
    ready::register(fd)
}

impl Input {
    /// Sets the size of the terminal; nothing if it is a pipe.
    ///
    /// # Errors
    /// As `ioctl(2)`'s.
    pub fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        use rustix::termios::{Winsize, isatty, tcsetwinsize};
        if !isatty(self.0.get_ref()) {
            return Ok(());
        }
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(self.0.get_ref(), size)?)
    }
}

impl AsyncWrite for Input {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(context))?;
            let write = |fd: &AsyncFd<OwnedFd>| Ok(rustix::io::write(fd.get_ref(), bytes)?);
            if let Ok(done) = guard.try_io(write) {
                return Poll::Ready(done);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The end comes with dropping it: another holder may still write.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Output {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            let into = buffer.initialize_unfilled();
            let read = |fd: &AsyncFd<OwnedFd>| match rustix::io::read(fd.get_ref(), &mut *into) {
                // A terminal that nobody has open any more.
                Err(rustix::io::Errno::IO) => Ok(0),
                read => Ok(read?),
            };
            if let Ok(done) = guard.try_io(read) {
                let length = match done {
                    Ok(length) => length,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                buffer.advance(length);
                return Poll::Ready(Ok(()));
            }
        }
    }
}
