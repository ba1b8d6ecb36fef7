//! A directory that copies stay in.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{CopyError, Doing as _, Found, Result};

/// The longest path, in components.
const DEPTH: usize = 512;

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file with content.
    File,
    /// A symbolic link, which was not followed.
    Link,
    /// A device, a socket, a pipe.
    Other,
}

/// A directory and how paths in it are resolved.
#[derive(Debug)]
pub struct Place {
    root: OwnedFd,
    resolve: ResolveFlags,
    /// How numbers of users and groups are written in archives.
    pub ids: Ids,
}

/// Numbers of users and groups as a container sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// Ranges of users: the first inside, the first outside, how many. Empty: both are the same.
    pub users: Vec<(u32, u32, u32)>,
    /// The same of groups.
    pub groups: Vec<(u32, u32, u32)>,
}

impl Ids {
    /// A user and a group of the host as the inside sees them.
    pub(super) fn inside(&self, (user, group): (u32, u32)) -> (u32, u32) {
        let map = |ranges: &[(u32, u32, u32)], id| {
            translate(ranges.iter().map(|(inside, outside, count)| (*outside, *inside, *count)), id)
        };
        (map(&self.users, user), map(&self.groups, group))
    }

    /// A user and a group of the inside as the host sees them.
    pub(super) fn outside(&self, (user, group): (u32, u32)) -> (u32, u32) {
        let map = |ranges: &[(u32, u32, u32)], id| translate(ranges.iter().copied(), id);
        (map(&self.users, user), map(&self.groups, group))
    }

    /// The user and group of the host that are root inside.
    pub fn root(&self) -> (u32, u32) {
        self.outside((0, 0))
    }

    /// Reads the form of `/proc/<pid>/uid_map`.
    ///
    /// # Errors
    /// If it is not of that form.
    pub fn ranges(text: &str) -> io::Result<Vec<(u32, u32, u32)>> {
        let range = |line: &str| {
            let mut numbers = line.split_whitespace().map(str::parse::<u32>);
            let mut next = || numbers.next()?.ok();
            Some((next()?, next()?, next()?))
        };
        let ranges: Option<Vec<_>> = text.lines().map(range).collect();
        ranges.ok_or_else(|| io::Error::other("not a map of users"))
    }
}

/// An id that is in no range stays what it is.
fn translate(mut ranges: impl Iterator<Item = (u32, u32, u32)>, id: u32) -> u32 {
    let range = ranges.find(|(from, _, count)| id >= *from && id - from < *count);
    range.map_or(id, |(from, to, _)| to + (id - from))
}

impl Place {
    /// A container's root: links lead where they lead for a program in the container.
    pub fn container(root: OwnedFd, ids: Ids) -> Self {
        Self { root, resolve: ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS, ids }
    }

    /// A directory of the host: a link that leads out of it is an error.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn directory(path: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).doing("open", path)?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        Ok(Self { root, resolve, ids: Ids::default() })
    }

    /// What `path` leads to; `None` if nothing is there. The last link is followed if `follow`.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn look(&self, path: &Path, follow: bool) -> Result<Option<Found>> {
        let handle = match self.open(path, follow, OFlags::PATH) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error).doing("find", path),
        };
        let kind = kind_of(&handle).doing("look at", path)?;
        let name = path.components().next_back().and_then(|last| match last {
            Component::Normal(name) => Some(PathBuf::from(name)),
            _ => None,
        });
        Ok(Some(Found { kind, name: name.unwrap_or_else(|| PathBuf::from(".")) }))
    }

    /// Opens what is at `path`. EAGAIN says that something was renamed during the walk.
    pub(super) fn open(
        &self,
        path: &Path,
        follow: bool,
        mut flags: OFlags,
    ) -> rustix::io::Result<OwnedFd> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        let path = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        flags.set(OFlags::NOFOLLOW, !follow);
        flags |= OFlags::CLOEXEC;
        for _ in 0..32 {
            let opened = rustix::fs::openat2(&self.root, path, flags, Mode::empty(), self.resolve);
            if !matches!(opened, Err(Errno::AGAIN)) {
                return opened;
            }
        }
        Err(Errno::AGAIN)
    }

    /// A handle on the directory `path`; what is missing of it is made, if `make`.
    pub(super) fn directory_at(&self, path: &Path, make: bool) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.open(path, true, flags) {
            Err(Errno::NOENT) if make => {}
            opened => return opened.doing("open the directory", path),
        }
        let mut done = PathBuf::new();
        let mut parent = self.open(Path::new("."), true, flags).doing("open", path)?;
        for component in plain(path)? {
            done.push(component);
            parent = match self.open(&done, true, flags) {
                Err(Errno::NOENT) => {
                    match rustix::fs::mkdirat(&parent, component, Mode::from_raw_mode(0o755)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error).doing("make the directory", &done),
                    }
                    self.open(&done, true, flags).doing("open the directory", &done)?
                }
                opened => opened.doing("open the directory", &done)?,
            };
        }
        Ok(parent)
    }
}

/// The components of a path that goes nowhere but down.
pub(super) fn plain(path: &Path) -> Result<Vec<&OsStr>> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) if part.as_bytes().len() <= 255 => parts.push(part),
            Component::RootDir | Component::CurDir => {}
            _ => {
                let shown = path.display();
                return Err(CopyError::Refused(format!("the archive's path {shown} is refused")));
            }
        }
    }
    if parts.len() > DEPTH {
        return Err(CopyError::Refused(format!("the path {} is too deep", path.display())));
    }
    Ok(parts)
}

/// What a handle is of.
pub(super) fn kind_of(handle: &OwnedFd) -> rustix::io::Result<Kind> {
    let stat = rustix::fs::statat(handle.as_fd(), c"", AtFlags::EMPTY_PATH)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    })
}
