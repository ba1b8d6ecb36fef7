//! The heap of a process that has to stay small.

/// Makes buffers of 32 KiB and more mappings of their own, which cost only the pages that are used and
/// are given back when they are freed. For a process with one thread, at its start.
pub fn keep_small() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` changes only how later memory is got.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 * 1024);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 32 * 1024);
    }
}

/// Gives back to the kernel what is not used.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets all threads share a heap or two: each of its own keeps what it once needed. For a process that
/// allocates little at a time, before its threads are made.
pub fn few_arenas() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` changes only how later memory is got.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
