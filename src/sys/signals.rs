//! Signals of the calling process, which has one thread.

use std::io;

/// The highest signal number.
pub const LAST: i32 = 64;

/// Gives every signal its default action and lets all through, as a fresh program expects.
pub fn reset() {
    for signal in 1..=LAST {
        // SAFETY: SIG_DFL runs none of our code. Signals that cannot be changed answer EINVAL.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    set_mask(false);
}

/// Holds back every signal that can be held back.
pub fn block_all() {
    set_mask(true);
}

/// Writing to a closed pipe or socket is an error, not the end.
pub fn ignore_broken_pipes() {
    // SAFETY: SIG_IGN runs none of our code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Children that end are forgotten by the kernel at once: nobody waits for them.
pub fn forget_children() {
    // SAFETY: SIG_IGN runs none of our code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Children that end wait to be waited for.
pub fn remember_children() {
    // SAFETY: SIG_DFL runs none of our code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Waits for the next signal; all of them are held back.
///
/// # Errors
/// As `sigwaitinfo(2)`'s.
pub fn wait() -> io::Result<i32> {
    let set = full_set();
    loop {
        // SAFETY: the set is initialised; a null info pointer is allowed.
        match unsafe { libc::sigwaitinfo(&raw const set, std::ptr::null_mut()) } {
            // SIGSTOP and the freezer of cgroup v2 interrupt this call even with all held back.
            -1 => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
            signal => return Ok(signal),
        }
    }
}

/// Whether `pid` has a handler for `signal`, or holds it back for later: the first process of a PID
/// namespace loses any other that comes from outside (`pid_namespaces(7)`), but for SIGKILL. `false` as
/// well if there is no such process.
pub fn is_heard(pid: i32, signal: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let has = |name| {
        let set = status.lines().find_map(|line| line.strip_prefix(name))?;
        let set = u64::from_str_radix(set.trim(), 16).ok()?;
        Some(set & 1_u64.checked_shl(u32::try_from(signal).ok()?.checked_sub(1)?)? != 0)
    };
    signal == libc::SIGKILL || [has("SigBlk:"), has("SigCgt:")].contains(&Some(true))
}

/// Sends `signal` to `pid` (0 checks only; negative is a process group).
///
/// # Errors
/// As `kill(2)`'s.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: `kill` touches no memory.
    match unsafe { libc::kill(pid, signal) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sends `signal` to the process behind `pidfd`.
///
/// # Errors
/// As `pidfd_send_signal(2)`'s.
pub fn kill_pidfd(pidfd: std::os::fd::BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    // SAFETY: a null info pointer is allowed; no memory is touched.
    let done = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn full_set() -> libc::sigset_t {
    // SAFETY: all zeroes is a valid `sigset_t`, and `sigfillset` fills it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        set
    }
}

fn set_mask(all: bool) {
    let mut set = full_set();
    // SAFETY: the set is initialised; a null old set is allowed.
    unsafe {
        if !all {
            libc::sigemptyset(&raw mut set);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}
