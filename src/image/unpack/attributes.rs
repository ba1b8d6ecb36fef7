//! Owners, modes, times and extended attributes.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown,
};
use rustix::io::Errno;

use super::OPAQUE_XATTR;
use crate::image::archive::Entry;

/// Whether overlayfs takes this file for "gone".
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

pub(super) fn is_dir(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

pub(super) fn is_symlink(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}

/// What is at `name` in `dir`, itself, not what it links to. `None` if nothing is.
pub(crate) fn look(dir: impl AsFd, name: &[u8]) -> io::Result<Option<Stat>> {
    match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether an attribute of an archive is kept. `trusted.*` and `user.overlay.*` would speak to
/// overlayfs, `system.*` and other `security.*` to the host's own policies.
pub(super) fn kept(name: &str) -> bool {
    name == "security.capability"
        || (name.starts_with("user.") && !name.starts_with("user.overlay."))
}

/// Gives an open file or directory what `entry` says, apart from a directory's time.
pub(super) fn set(file: BorrowedFd<'_>, entry: &Entry) -> io::Result<()> {
    fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
    // After the owner: the kernel clears setuid and capabilities when that changes.
    fchmod(file, Mode::from_raw_mode(entry.mode))?;
    for (name, value) in entry.xattrs.iter().filter(|(name, _)| kept(name)) {
        set_xattr(file, name, value)?;
    }
    Ok(())
}

fn set_xattr(file: BorrowedFd<'_>, name: &str, value: &[u8]) -> io::Result<()> {
    match fs::fsetxattr(file, name, value, XattrFlags::empty()) {
        // A file system without `user.*` attributes: the program can live without them.
        Err(Errno::NOTSUP) if name.starts_with("user.") => Ok(()),
        done => Ok(done?),
    }
}

/// Makes nothing below `dir` show through.
pub(super) fn set_opaque(dir: impl AsFd) -> io::Result<()> {
    Ok(fs::fsetxattr(dir, OPAQUE_XATTR, b"y", XattrFlags::empty())?)
}

/// Whether nothing below `dir` shows through.
pub(super) fn is_opaque(dir: impl AsFd) -> bool {
    let mut value = [0_u8; 1];
    fs::fgetxattr(dir, OPAQUE_XATTR, &mut value) == Ok(1) && value == *b"y"
}

pub(super) fn times(mtime: Duration) -> Timestamps {
    let seconds = i64::try_from(mtime.as_secs()).unwrap_or(0);
    let time = Timespec { tv_sec: seconds, tv_nsec: mtime.subsec_nanos().into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Gives `to` the owner, mode, kept attributes and times of `from`; both are open files or
/// directories.
pub(crate) fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let stat = fs::fstat(from)?;
    fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    for (name, value) in xattrs(from)? {
        set_xattr(to, &name, &value)?;
    }
    Ok(fs::futimens(to, &stat_times(&stat))?)
}

pub(crate) fn stat_times(stat: &Stat) -> Timestamps {
    let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    times(Duration::new(seconds, nanos))
}

/// The attributes of an open file that are kept.
pub(crate) fn xattrs(file: BorrowedFd<'_>) -> io::Result<Vec<(String, Vec<u8>)>> {
    // What the kernel allows at most.
    let mut list = vec![0_u8; 64 << 10];
    let length = match fs::flistxattr(file, &mut list) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for name in list[..length].split_inclusive(|b| *b == 0) {
        let name = CStr::from_bytes_with_nul(name).ok().and_then(|name| name.to_str().ok());
        let Some(name) = name.filter(|name| kept(name)) else { continue };
        let mut value = vec![0_u8; 64 << 10];
        let length = fs::fgetxattr(file, name, &mut value)?;
        value.truncate(length);
        found.push((name.to_owned(), value));
    }
    Ok(found)
}
