//! Copying what a memory file system covers into it (`tmpcopyup`).
//!
//! The files are an image's and hostile: every step goes through descriptors, no link is followed,
//! and there is a limit on their number.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

/// The most files that are copied, and how deep they may lie.
const MOST: usize = 100_000;
const DEPTH: usize = 64;

/// Copies all that is in the directory `from` into the directory `to`.
///
/// # Errors
/// As the system calls'; or if there is more than anybody covers with memory.
pub(super) fn copy(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let from = rustix::fs::openat(from, c".", flags, Mode::empty())?;
    let mut left = MOST;
    directory(&from, to, DEPTH, &mut left)
}

fn directory(from: &OwnedFd, to: &OwnedFd, depth: usize, left: &mut usize) -> io::Result<()> {
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        *left = left.checked_sub(1).ok_or_else(|| io::Error::other("there are too many files"))?;
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let depth =
                    depth.checked_sub(1).ok_or_else(|| io::Error::other("it is too deep"))?;
                rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o700))?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let from = rustix::fs::openat(from, name, flags, Mode::empty())?;
                let inner = rustix::fs::openat(to, name, flags, Mode::empty())?;
                directory(&from, &inner, depth, left)?;
            }
            FileType::RegularFile => file(from, to, name)?,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(target.as_c_str(), to, name)?;
            }
            kind => {
                let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev)?;
            }
        }
        take_over(to, name, &stat)?;
    }
    Ok(())
}

fn file(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut source = std::fs::File::from(rustix::fs::openat(from, name, flags, Mode::empty())?);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    let mut made = std::fs::File::from(rustix::fs::openat(to, name, flags, mode)?);
    io::copy(&mut source, &mut made).map(drop)
}

/// The owner first: a change of owner takes set-user-id bits away.
fn take_over(to: &OwnedFd, name: &CStr, stat: &Stat) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return Ok(());
    }
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    match rustix::fs::chmodat(to, name, mode, AtFlags::empty()) {
        Err(Errno::OPNOTSUPP) => Ok(()),
        done => done,
    }
}
