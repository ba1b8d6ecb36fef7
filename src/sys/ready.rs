//! Descriptors that tasks can wait for.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Registers `fd` with the runtime of the calling task. It should not wait by itself (O_NONBLOCK).
///
/// # Errors
/// If it cannot be waited for, or there is no room.
pub fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` keeps one number open for as long as it lives, and is not changed.
    Ok(unsafe { AsyncFd::register(fd) }?)
}
