//! The part of the mount API that rustix lacks.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};

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

/// Shows the files of the detached mount `mount`, and of all below it if `recursive`, with the owners
/// that `users` gives to their numbers: what is 0 on disk is root of that user namespace.
///
/// # Errors
/// As `mount_setattr(2)`'s; EINVAL where the file system cannot do it.
pub fn map_ids(mount: BorrowedFd<'_>, recursive: bool, users: BorrowedFd<'_>) -> io::Result<()> {
    const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;
    let users = u64::from(users.as_raw_fd().unsigned_abs());
    set(mount, c"", recursive, [MOUNT_ATTR_IDMAP, 0, 0, users])
}

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
    set(dir, path, recursive, [change.set, change.clear, change.propagation, 0])
}

fn set(dir: BorrowedFd<'_>, path: &CStr, recursive: bool, attributes: [u64; 4]) -> io::Result<()> {
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

/// Runs `work` on a thread of its own that has a mount namespace of its own: what is mounted there
/// nobody else sees, and it is gone with the thread.
///
/// # Errors
/// If there can be no such namespace, or the work fails.
pub fn in_private_namespace<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("mounts".to_owned());
        let thread = thread.spawn_scoped(scope, || {
            // The working directory and the root belong to the whole process otherwise.
            unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            nix::mount::mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
            work()
        })?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the work on the mounts panicked")))
    })
}
