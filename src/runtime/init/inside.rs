//! Paths inside a container's root, which its image chose and which are hostile.
//!
//! Every path is resolved by the kernel with the root as its limit (`openat2`, RESOLVE_IN_ROOT), and
//! what is found is used through its descriptor: no string is ever joined, so that a symbolic link
//! leads nowhere else, not even when it is exchanged meanwhile.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::failure::{Failure, plain};

/// The longest path, in components: nobody makes more.
const MAX_COMPONENTS: usize = 256;
/// The most links on the way, as the kernel's own limit.
const MAX_LINKS: usize = 40;

/// A handle on `path` in `root`, for mounting on.
///
/// # Errors
/// As `openat2(2)`'s.
pub(in crate::runtime) fn find(root: impl AsFd, path: &CStr) -> rustix::io::Result<OwnedFd> {
    open(root, path, OFlags::PATH)
}

/// Opens `path` in `root`.
///
/// # Errors
/// As `openat2(2)`'s.
pub(in crate::runtime) fn open(
    root: impl AsFd,
    path: &CStr,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // EAGAIN says that something was renamed during the walk: it may be tried again.
    for _ in 0..32 {
        let opened =
            rustix::fs::openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve);
        if !matches!(opened, Err(Errno::AGAIN)) {
            return opened;
        }
    }
    Err(Errno::AGAIN)
}

/// A handle on the directory `path` in `root`; it and its parents are made if they are missing.
///
/// # Errors
/// As the system calls'; a link that leads nowhere is EEXIST.
pub(in crate::runtime) fn find_or_make_dir(
    root: impl AsFd,
    path: &CStr,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match open(&root, path, flags) {
        Err(Errno::NOENT) => {}
        found => return found,
    }
    let mut path = path.to_bytes().to_vec();
    for _ in 0..MAX_LINKS {
        match make_dirs(root.as_fd(), &path)? {
            Made::All(directory) => return Ok(directory),
            Made::UpToLink(onward) => path = onward,
        }
    }
    Err(Errno::LOOP)
}

/// How far the making of directories came.
enum Made {
    All(OwnedFd),
    /// There is a link that leads to nothing: the path to make instead.
    UpToLink(Vec<u8>),
}

/// The prefix grows component by component, and each is resolved from the root: a link on the way is
/// followed inside the root, as the container itself would.
fn make_dirs(root: BorrowedFd<'_>, path: &[u8]) -> rustix::io::Result<Made> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let mut parent = open(root, c".", flags)?;
    let mut prefix = Vec::with_capacity(path.len() + 1);
    let mut components = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    let mut count = 0;
    while let Some(component) = components.next() {
        count += 1;
        if count > MAX_COMPONENTS {
            return Err(Errno::NAMETOOLONG);
        }
        let before = prefix.len();
        prefix.push(b'/');
        prefix.extend_from_slice(component);
        parent = match open(root, &c_string(&prefix)?, flags) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&parent, component, Mode::from_raw_mode(0o755)) {
                    Ok(()) => {}
                    Err(Errno::EXIST) => {
                        let link = rustix::fs::readlinkat(&parent, component, Vec::new())?;
                        let link = link.as_bytes();
                        let base = if link.starts_with(b"/") { &[] } else { &prefix[..before] };
                        let mut onward = [base, b"/", link].concat();
                        for rest in components {
                            onward.push(b'/');
                            onward.extend_from_slice(rest);
                        }
                        return Ok(Made::UpToLink(onward));
                    }
                    Err(error) => return Err(error),
                }
                open(root, &c_string(&prefix)?, flags)?
            }
            found => found?,
        };
    }
    Ok(Made::All(parent))
}

/// A handle on the file `path` in `root`, whatever it is; an empty file and its parents are made if it
/// is missing.
///
/// # Errors
/// As the system calls'; a link that leads nowhere is EEXIST.
pub(in crate::runtime) fn find_or_make_file(
    root: impl AsFd,
    path: &CStr,
) -> rustix::io::Result<OwnedFd> {
    match find(&root, path) {
        Err(Errno::NOENT) => {}
        found => return found,
    }
    let bytes = path.to_bytes();
    let cut = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (parent, name) = bytes.split_at(cut);
    let parent = find_or_make_dir(&root, &c_string(if cut == 0 { b"/" } else { parent })?)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644))?;
    find(&root, path)
}

/// A handle on the directory `path` in `root`, on whose way no link may stand; what is missing of it
/// is made. (CVE-2026-41579, youki's CVE-2025-54867: `/dev` and `/proc` as links.)
///
/// # Errors
/// As the system calls'; ELOOP or ENOTDIR for anything but directories.
pub(in crate::runtime) fn real_dir(root: impl AsFd, path: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let mut path = path.to_bytes();
    while let [b'/', rest @ ..] = path {
        path = rest;
    }
    let path = c_string(path)?;
    match rustix::fs::openat2(&root, &path, flags, Mode::empty(), resolve) {
        Err(Errno::NOENT) => {}
        found => return found,
    }
    find_or_make_dir(&root, &path)?;
    rustix::fs::openat2(&root, &path, flags, Mode::empty(), resolve)
}

/// A handle on the directory `path` in `root`, as [`real_dir`]: what the rest of the start trusts must
/// not be led astray by a link (CVE-2019-19921). The words are runc's.
pub(super) fn ordinary_dir(root: &OwnedFd, path: &CStr) -> Result<OwnedFd, Failure> {
    real_dir(root, path).map_err(|error| match error {
        Errno::LOOP | Errno::NOTDIR => Failure::new(format!(
            "filesystem {} must be mounted on ordinary directory",
            path.to_string_lossy()
        )),
        error => {
            Failure::new(format!("cannot use {}: {}", path.to_string_lossy(), plain(&error.into())))
        }
    })
}

/// The content of the file `path` in `root`, at most `limit` bytes and one more; empty if there is no
/// such regular file.
///
/// # Errors
/// If it cannot be read.
pub(in crate::runtime) fn read_file(
    root: impl AsFd,
    path: &CStr,
    limit: usize,
) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let file = match open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let stat = rustix::fs::fstat(&file)?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return Ok(Vec::new());
    }
    let mut content = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::from(file).take(limit).read_to_end(&mut content)?;
    Ok(content)
}

/// Whether the handle is of a directory.
///
/// # Errors
/// As `fstatat(2)`'s.
pub(in crate::runtime) fn is_dir(handle: impl AsFd) -> rustix::io::Result<bool> {
    let stat = rustix::fs::statat(handle, c"", AtFlags::EMPTY_PATH)?;
    Ok(FileType::from_raw_mode(stat.st_mode).is_dir())
}

fn c_string(bytes: &[u8]) -> rustix::io::Result<std::ffi::CString> {
    std::ffi::CString::new(bytes).map_err(|_| Errno::INVAL)
}
