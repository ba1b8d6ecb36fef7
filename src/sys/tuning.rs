//! Settings of the calling process that neither the standard library nor rustix has.

use std::io;

/// `struct sched_attr` of `sched_setattr(2)`, but for its size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// `SCHED_…`.
    pub policy: u32,
    /// `SCHED_FLAG_…`.
    pub flags: u64,
    /// -20 to 19.
    pub nice: i32,
    /// 1 to 99, for real-time policies.
    pub priority: u32,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub runtime: u64,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub deadline: u64,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub period: u64,
}

/// Sets how the calling thread is scheduled.
///
/// # Errors
/// As `sched_setattr(2)`'s.
pub fn set_scheduler(scheduling: Scheduling) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let Scheduling { policy, flags, nice, priority, runtime, deadline, period } = scheduling;
    // 48 bytes: the first version of the structure, which every kernel knows.
    let attributes =
        Attributes { size: 48, policy, flags, nice, priority, runtime, deadline, period };
    // SAFETY: the kernel reads as many bytes as `size` says, which are there.
    done(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(&attributes), 0) })
}

/// Sets the class and level of the calling process's disk accesses, as `ioprio_set(2)` has them.
///
/// # Errors
/// As the system call's.
pub fn set_io_priority(priority: i32) -> io::Result<()> {
    const PROCESS: i32 = 1;
    // SAFETY: it touches no memory.
    done(unsafe { libc::syscall(libc::SYS_ioprio_set, PROCESS, 0, priority) })
}

/// Sets the execution domain.
///
/// # Errors
/// As `personality(2)`'s.
pub fn set_personality(personality: u32) -> io::Result<()> {
    // SAFETY: it touches no memory.
    done(unsafe { libc::syscall(libc::SYS_personality, libc::c_ulong::from(personality)) })
}

/// Lets the calling thread run on the CPUs whose bits are set in `words`, 64 in each.
///
/// # Errors
/// As `sched_setaffinity(2)`'s.
pub fn set_affinity(words: &[u64]) -> io::Result<()> {
    // SAFETY: the kernel reads `words`, whose length in bytes is given.
    done(unsafe {
        libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(words), words.as_ptr())
    })
}

/// Sets from which memory nodes the calling thread gets memory; `mode` is `MPOL_…` with its flags.
///
/// # Errors
/// As `set_mempolicy(2)`'s; ENOSYS on a kernel without NUMA.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> io::Result<()> {
    let (place, bits) = match nodes {
        [] => (std::ptr::null(), 0),
        nodes => (nodes.as_ptr(), nodes.len() * 64 + 1),
    };
    // SAFETY: the kernel reads as many bits as are said but one, which are there.
    done(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, place, bits) })
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
