//! Becoming another program.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// A list of strings in the form that `execve` wants, made beforehand so that nothing is allocated
/// at the last moment.
#[derive(Debug)]
pub struct Strings {
    owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    /// The list.
    pub fn new(owned: Vec<CString>) -> Self {
        let pointers =
            owned.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
        Self { owned, pointers }
    }

    /// Its strings.
    pub fn strings(&self) -> &[CString] {
        &self.owned
    }
}

/// Becomes `path`. Returns only when that fails.
pub fn execve(path: &CStr, args: &Strings, env: &Strings) -> io::Error {
    // SAFETY: both arrays end with a null pointer and point into strings that `Strings` owns.
    unsafe { libc::execve(path.as_ptr(), args.pointers.as_ptr(), env.pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// Becomes the file `program`. Returns only when that fails.
pub fn execve_fd(program: BorrowedFd<'_>, args: &Strings, env: &Strings) -> io::Error {
    // SAFETY: as in `execve`; the empty path with AT_EMPTY_PATH names the descriptor itself.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            args.pointers.as_ptr(),
            env.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}
