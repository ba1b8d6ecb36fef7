//! Asking the kernel to write to the disk what is in its cache.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

/// Begins to write a stretch of a file to the disk, and does not wait for it. Makes a later
/// `fsync` short.
///
/// # Errors
/// If the file cannot be written, or is of a file system without a disk.
pub fn begin(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // SAFETY: the descriptor is open for as long as the call; no memory is passed.
    let done = unsafe {
        libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE)
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
