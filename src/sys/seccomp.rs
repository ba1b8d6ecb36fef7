//! System call filters.

use std::io;

/// Puts the filter `program` in force for the calling thread and whatever it starts: an array of
/// `struct sock_filter`, 8 bytes each, in the host's byte order. Needs no_new_privs or CAP_SYS_ADMIN.
///
/// # Errors
/// If it is not a whole number of instructions, has none or too many, or as `seccomp(2)`'s.
pub fn load(program: &[u8]) -> io::Result<()> {
    let instructions = u16::try_from(program.len() / 8)
        .ok()
        .filter(|n| *n > 0 && program.len().is_multiple_of(8))
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    let filter = libc::sock_fprog {
        len: instructions,
        filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut(),
    };
    // SAFETY: the kernel copies `len` instructions from the pointer, at any alignment, and does not
    // write; the slice holds that many.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            std::ptr::from_ref(&filter),
        )
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
