//! Filters of system calls.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use rustix::thread::set_no_new_privs;

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
pub const NEW_LISTENER: u32 = 1 << 3;
/// `SECCOMP_SET_MODE_FILTER`.
const SET_MODE_FILTER: libc::c_uint = 1;

/// Puts a filter in force for this thread and what it starts. `program` is an array of
/// `struct sock_filter`, `flags` are `SECCOMP_FILTER_FLAG_*`. There is no way
/// back. With [`NEW_LISTENER`], the descriptor that calls are asked through comes back.
///
/// # Errors
/// `EINVAL` if it is no program, `EACCES` without `no_new_privs` or `CAP_SYS_ADMIN`.
pub fn load_filter(program: &[u8], flags: u32) -> io::Result<Option<OwnedFd>> {
    const INSTRUCTION: usize = size_of::<libc::sock_filter>();
    if !program.len().is_multiple_of(INSTRUCTION) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let length = u16::try_from(program.len() / INSTRUCTION).map_err(io::Error::other)?;
    // The kernel copies the instructions byte by byte: they need not be aligned.
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel only reads `program` and the bytes it points to, both of which outlive the
    // call.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, std::ptr::from_ref(&program))
    };
    match i32::try_from(result) {
        Ok(fd @ 0..) if flags & NEW_LISTENER != 0 => {
            // SAFETY: the kernel has just made this descriptor for us.
            Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
        }
        Ok(0) => Ok(None),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Promises that this thread and what it starts gain no rights by running a program
/// (`PR_SET_NO_NEW_PRIVS`). There is no way back.
///
/// # Errors
/// Only on kernels that do not know it.
pub fn promise_no_new_privileges() -> io::Result<()> {
    Ok(set_no_new_privs(true)?)
}
