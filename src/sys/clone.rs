//! New processes made by copying this one.
//!
//! Copying a process with threads leaves the copy with locks that nobody holds and nobody frees, so
//! every function here asks for the proof that there is one thread.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// The proof that this process has one thread. Whoever holds it starts no other.
#[derive(Debug)]
pub struct SingleThreaded(());

impl SingleThreaded {
    /// Counts the threads of this process.
    ///
    /// # Errors
    /// If there is more than one, or `/proc` cannot be read.
    pub fn prove() -> io::Result<Self> {
        match std::fs::read_dir("/proc/self/task")?.count() {
            1 => Ok(Self(())),
            n => Err(io::Error::other(format!("this process has {n} threads and must have one"))),
        }
    }
}

/// Which of the two processes this is after [`fork`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// The one that called, and the id of the new one.
    Parent(i32),
    /// The new one.
    Child,
}

/// `fork(2)`.
///
/// # Errors
/// As the system call's.
pub fn fork(_: &SingleThreaded) -> io::Result<Forked> {
    // SAFETY: there is one thread, so the copy's heap and locks are in a consistent state.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid)),
    }
}

/// Which of the two processes this is after [`clone3`].
#[derive(Debug)]
pub enum Cloned {
    /// The one that called.
    Parent {
        /// The new process in the caller's view.
        pid: i32,
        /// A handle on it that no other process can take over.
        pidfd: OwnedFd,
    },
    /// The new one.
    Child,
}

/// `clone3(2)` without shared memory, with a pidfd, straight into `cgroup` (of version 2) if given.
/// `flags` are `CLONE_NEW…`. The parent gets SIGCHLD.
///
/// # Errors
/// As the system call's.
pub fn clone3(
    _: &SingleThreaded,
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
) -> io::Result<Cloned> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all zeroes is a valid `clone_args`: integers only.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | 0x1000; // CLONE_PIDFD
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = 17; // SIGCHLD
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    // SAFETY: there is one thread and no CLONE_VM, so this is a fork: the child has its own copy of a
    // consistent memory. `args` and `pidfd` outlive the call.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, std::ptr::from_mut(&mut args), size_of_val(&args))
    };
    match i32::try_from(pid) {
        Ok(0) => Ok(Cloned::Child),
        Ok(pid) if pid > 0 => {
            // SAFETY: the kernel has just made this descriptor for us.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid, pidfd })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends this process at once, without destructors and exit handlers: those belong to the process it
/// was copied from.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(status) }
}

/// The raw numbers of all open descriptors from `first` on are closed at the next `execve`.
///
/// # Errors
/// As `close_range(2)`'s.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    close_range(first, u32::MAX, 4) // CLOSE_RANGE_CLOEXEC
}

/// Closes every descriptor from 3 on but those in `keep`.
///
/// # Errors
/// As `close_range(2)`'s.
pub fn close_others(keep: &mut [i32]) -> io::Result<()> {
    keep.sort_unstable();
    let mut first = 3_u32;
    for fd in keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).filter(|fd| *fd >= 3) {
        if fd > first {
            close_range(first, fd - 1, 0)?;
        }
        first = fd + 1;
    }
    close_range(first, u32::MAX, 0)
}

fn close_range(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: it closes descriptors only; their owners in this process are given up by the caller,
    // which is a fresh copy that has not used them.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
