//! The part of the mount API that rustix lacks.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// What to change about a mount. See `mount_setattr(2)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountChange {
    /// `MOUNT_ATTR_…` to set.
    pub set: u64,
    /// `MOUNT_ATTR_…` to clear.
    pub clear: u64,
    /// `MS_PRIVATE` and the like; 0 leaves it.
    pub propagation: u64,
}

/// Cannot be written.
pub const READ_ONLY: u64 = 1;
/// Set-user-id bits do not count.
pub const NO_SUID: u64 = 2;
/// Device nodes do not work.
pub const NO_DEV: u64 = 4;
/// Programs do not run.
pub const NO_EXEC: u64 = 8;

/// Changes the mount at `path` under `dir` (an empty path is `dir` itself), and all below it if
/// `recursive`.
///
/// # Errors
/// As the system call's; ENOSYS before Linux 5.12.
pub fn mount_setattr(
    dir: BorrowedFd<'_>,
    path: &CStr,
    recursive: bool,
    change: MountChange,
) -> io::Result<()> {
    let attributes: [u64; 4] = [change.set, change.clear, change.propagation, 0];
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the attributes have the layout of `struct mount_attr` (four u64) and outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
