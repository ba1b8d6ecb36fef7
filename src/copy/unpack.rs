//! From an archive to files.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use super::place::{Kind, kind_of, plain};
use super::{CopyError, Doing as _, Place, Result};

/// Whose the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// As the archive says.
    Kept,
    /// This user and group, as the inside counts them.
    Is(u32, u32),
    /// Whoever makes them: nothing is changed.
    Maker,
}

/// How an archive becomes files.
#[derive(Debug, Clone)]
pub struct Unpack {
    /// The directory that the archive's paths begin in.
    pub at: PathBuf,
    /// A new name for the first component of every path. With an empty one, the first component is
    /// left out: what the archive's first directory holds comes into `at` itself.
    pub rename: Option<PathBuf>,
    /// Whose the files are.
    pub owner: Owner,
    /// Whether devices and pipes are made, and set-user-id bits and rights of files kept.
    pub special: bool,
}

/// Makes the files of an archive in `place`.
///
/// # Errors
/// At the first entry that cannot be made; what was made before stays.
pub fn unpack(place: &Place, how: &Unpack, archive: impl Read) -> Result<()> {
    let mut unpacking = Unpacking { place, how, directories: Vec::new(), parent: None };
    let mut archive = Archive::new(archive);
    for entry in archive.entries()? {
        unpacking.entry(entry?)?;
    }
    // Making files in a directory changes its time, and one that cannot be written takes no files.
    for (directory, mode, mtime) in unpacking.directories.into_iter().rev() {
        finish(&directory, mode, mtime).doing("finish a directory of", &how.at)?;
    }
    Ok(())
}

struct Unpacking<'a> {
    place: &'a Place,
    how: &'a Unpack,
    /// Directories that were made, with the mode and time they get in the end.
    directories: Vec<(OwnedFd, Option<Mode>, i64)>,
    /// The directory that was used last.
    parent: Option<(PathBuf, std::rc::Rc<OwnedFd>)>,
}

impl Unpacking<'_> {
    fn entry(&mut self, mut entry: Entry<'_, impl Read>) -> Result<()> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let path = entry.path()?.into_owned();
        let Some(target) = self.target(&path)? else { return Ok(()) };
        let (Some(name), parent) = (target.file_name(), target.parent()) else {
            // The directory that everything goes into.
            return Ok(());
        };
        let parent_fd = self.parent(parent.unwrap_or(Path::new("")))?;
        let made = match kind {
            EntryType::Directory => self.directory(&parent_fd, name, &target, &entry)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                Some(file(&parent_fd, name, &target, &mut entry)?)
            }
            EntryType::Symlink => {
                let link = entry.link_name()?.ok_or_else(|| broken(&path))?;
                clear(&parent_fd, name).doing("replace", &target)?;
                rustix::fs::symlinkat(&*link, &*parent_fd, name).doing("make the link", &target)?;
                None
            }
            EntryType::Link => {
                let link = entry.link_name()?.ok_or_else(|| broken(&path))?;
                return self.hard_link(&link, (&parent_fd, name), &target);
            }
            EntryType::Fifo | EntryType::Char | EntryType::Block if self.how.special => {
                node(&parent_fd, name, kind, &entry).doing("make", &target)?;
                None
            }
            // Those of somebody else's archive have no place on this host.
            _ => return Ok(()),
        };
        self.attributes(made, (&parent_fd, name), &target, &mut entry)
    }

    /// Where an entry goes; `None` for the first directory itself, if it is left out.
    fn target(&self, path: &Path) -> Result<Option<PathBuf>> {
        let parts = plain(path)?;
        let mut target = self.how.at.clone();
        match (&self.how.rename, parts.split_first()) {
            (_, None) => return Ok(None),
            (None, _) => target.extend(&parts),
            (Some(name), Some((_, rest))) => {
                if name.as_os_str().is_empty() && rest.is_empty() {
                    return Ok(None);
                }
                target.push(name);
                target.extend(rest);
            }
        }
        Ok(Some(target))
    }

    fn parent(&mut self, path: &Path) -> Result<std::rc::Rc<OwnedFd>> {
        if let Some((last, fd)) = &self.parent
            && last == path
        {
            return Ok(std::rc::Rc::clone(fd));
        }
        let fd = std::rc::Rc::new(self.place.directory_at(path, true)?);
        self.parent = Some((path.to_owned(), std::rc::Rc::clone(&fd)));
        Ok(fd)
    }

    /// A directory that is there stays as it is.
    fn directory(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        target: &Path,
        entry: &Entry<'_, impl Read>,
    ) -> Result<Option<OwnedFd>> {
        match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                // A link to a directory is as good as one, for the container itself.
                return match self.place.open(target, true, OFlags::PATH | OFlags::DIRECTORY) {
                    Ok(_) => Ok(None),
                    Err(_) => Err(CopyError::Refused(format!(
                        "cannot put the directory {} where there is something else",
                        target.display()
                    ))),
                };
            }
            Err(error) => return Err(error).doing("make the directory", target),
        }
        // What comes below may be cached as another directory's.
        self.parent = None;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(parent, name, flags, Mode::empty()).doing("open", target)?;
        let kept = made.try_clone().doing("keep", target)?;
        let mode = self.mode(entry);
        self.directories.push((kept, Some(mode), mtime(entry)));
        Ok(Some(made))
    }

    fn hard_link(
        &mut self,
        link: &Path,
        (parent, name): (&OwnedFd, &OsStr),
        target: &Path,
    ) -> Result<()> {
        let source = self.target(link)?.ok_or_else(|| broken(link))?;
        let source_name = source.file_name().ok_or_else(|| broken(link))?;
        let directory = self.place.directory_at(source.parent().unwrap_or(Path::new("")), false)?;
        clear(parent, name).doing("replace", target)?;
        rustix::fs::linkat(&directory, source_name, parent, name, AtFlags::empty())
            .doing("link", target)
    }

    fn mode(&self, entry: &Entry<'_, impl Read>) -> Mode {
        let kept = if self.how.special { 0o7777 } else { 0o1777 };
        Mode::from_raw_mode(entry.header().mode().unwrap_or(0o644) & kept)
    }

    /// The owner first: it takes set-user-id bits and rights away.
    fn attributes(
        &self,
        made: Option<OwnedFd>,
        (parent, name): (&OwnedFd, &OsStr),
        target: &Path,
        entry: &mut Entry<'_, impl Read>,
    ) -> Result<()> {
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory && made.is_none() {
            return Ok(());
        }
        let id = |id: std::io::Result<u64>| u32::try_from(id.unwrap_or(0)).unwrap_or(0);
        let owner = match self.how.owner {
            Owner::Kept => Some((id(entry.header().uid()), id(entry.header().gid()))),
            Owner::Is(user, group) => Some((user, group)),
            Owner::Maker => None,
        };
        if let Some(owner) = owner {
            let (user, group) = self.place.ids.outside(owner);
            let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
            rustix::fs::chownat(parent, name, user, group, AtFlags::SYMLINK_NOFOLLOW)
                .doing("give away", target)?;
        }
        let mtime = mtime(entry);
        if let Some(made) = made {
            if kind != EntryType::Directory {
                rustix::fs::fchmod(&made, self.mode(entry)).doing("set the mode of", target)?;
            }
            if self.how.special {
                extended(&made, entry)?;
            }
        } else if kind != EntryType::Symlink {
            let mode = self.mode(entry);
            rustix::fs::chmodat(parent, name, mode, AtFlags::empty())
                .doing("set the mode of", target)?;
        }
        rustix::fs::utimensat(parent, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)
            .doing("set the time of", target)
    }
}

fn broken(path: &Path) -> CopyError {
    CopyError::Refused(format!("the archive's link {} leads nowhere", path.display()))
}

/// What cannot be kept here is left out, as tar does.
fn extended(file: &OwnedFd, entry: &mut Entry<'_, impl Read>) -> Result<()> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(()) };
    for extension in extensions {
        let extension = extension?;
        let Some(name) = extension.key().ok().and_then(|key| key.strip_prefix("SCHILY.xattr."))
        else {
            continue;
        };
        if name.starts_with("user.") || name == "security.capability" {
            let _not_here =
                rustix::fs::fsetxattr(file, name, extension.value_bytes(), XattrFlags::empty());
        }
    }
    Ok(())
}

fn mtime(entry: &Entry<'_, impl Read>) -> i64 {
    i64::try_from(entry.header().mtime().unwrap_or(0)).unwrap_or(0)
}

fn times(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn finish(directory: &OwnedFd, mode: Option<Mode>, mtime: i64) -> rustix::io::Result<()> {
    if let Some(mode) = mode {
        rustix::fs::fchmod(directory, mode)?;
    }
    rustix::fs::futimens(directory, &times(mtime))
}

fn file(
    parent: &OwnedFd,
    name: &OsStr,
    target: &Path,
    entry: &mut Entry<'_, impl Read>,
) -> Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match clear(parent, name) {
        Ok(()) => rustix::fs::openat(
            parent,
            name,
            flags | OFlags::CREATE | OFlags::EXCL,
            Mode::from_raw_mode(0o600),
        ),
        // Something is mounted on it: its content is replaced.
        Err(Errno::BUSY) => rustix::fs::openat(parent, name, flags | OFlags::TRUNC, Mode::empty()),
        Err(error) => Err(error),
    };
    let mut file = File::from(file.doing("make", target)?);
    std::io::copy(entry, &mut file).doing("write", target)?;
    Ok(file.into())
}

/// Makes room: whatever has the name goes, unless it is a directory.
fn clear(parent: &OwnedFd, name: &OsStr) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::PERM | Errno::ISDIR) => {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let there = rustix::fs::openat(parent, name, flags, Mode::empty())?;
            let is_directory = kind_of(&there)? == Kind::Directory;
            Err(if is_directory { Errno::ISDIR } else { Errno::PERM })
        }
        Err(error) => Err(error),
    }
}

fn node(
    parent: &OwnedFd,
    name: &OsStr,
    kind: EntryType,
    entry: &Entry<'_, impl Read>,
) -> rustix::io::Result<()> {
    clear(parent, name)?;
    let number = |number: std::io::Result<Option<u32>>| number.ok().flatten().unwrap_or(0);
    let header = entry.header();
    let device = rustix::fs::makedev(number(header.device_major()), number(header.device_minor()));
    let kind = match kind {
        EntryType::Fifo => FileType::Fifo,
        EntryType::Char => FileType::CharacterDevice,
        _ => FileType::BlockDevice,
    };
    rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device)
}
