//! What a program reads from and writes to: the caller's own streams, or a terminal that somebody
//! else holds.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::super::init::{self, Stdio};
use super::error::{Context as _, OciError, Result};
use crate::sys::seqpacket;

/// Copies of the caller's streams. One that is closed is `/dev/null`.
pub(super) fn inherited() -> Result<Stdio> {
    Ok(Stdio {
        streams: [
            copy(rustix::stdio::stdin())?,
            copy(rustix::stdio::stdout())?,
            copy(rustix::stdio::stderr())?,
        ],
        terminal: false,
    })
}

fn copy(stream: impl AsFd) -> Result<OwnedFd> {
    match rustix::io::fcntl_dupfd_cloexec(stream, 3) {
        Err(rustix::io::Errno::BADF) => Ok(init::null()?),
        copied => copied.cannot(|| "use the caller's streams"),
    }
}

/// Checks that somebody will hold the terminal, if there is one.
pub(super) fn check_console(terminal: bool, detached: bool, socket: Option<&Path>) -> Result<()> {
    match (terminal, detached, socket) {
        (true, true, None) => Err(OciError::new(
            "cannot make a terminal for a program that runs detached: give --console-socket",
        )),
        (false, _, Some(_)) => Err(OciError::new(
            "--console-socket is for a program with a terminal: process.terminal is false",
        )),
        (true, false, Some(_)) => {
            Err(OciError::new("--console-socket is for a program that runs detached"))
        }
        _ => Ok(()),
    }
}

/// Hands the terminal to whoever listens at `socket`.
pub(super) fn hand_over(terminal: &OwnedFd, socket: &Path) -> Result<()> {
    let shown = || format!("hand the terminal to {}", socket.display());
    let connection = UnixStream::connect(socket).cannot(shown)?;
    seqpacket::send(&connection, b"/dev/ptmx", &[terminal.as_fd()]).cannot(shown)
}
