//! The files of an image, without a container.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};

use super::disk::unique;
use super::error::{Doing as _, ImageError, Result};
use super::staging::remove;
use super::store::Store;
use super::unpack::{Merged, MergedDir, Node, child, copy_attributes, stat_times};
use crate::model::Digest;

impl Store {
    /// The content of a regular file of an image; links lead where they would in a container. `None`
    /// if there is no such file.
    ///
    /// # Errors
    /// If the image is not there, or the file is longer than `limit` bytes or cannot be read.
    pub fn read_file(&self, image: &Digest, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let read = || -> io::Result<_> {
            let merged = Merged::open(self.layers(image).map_err(io::Error::other)?)?;
            let Some(node @ Node::Other { .. }) = merged.find(path.as_bytes(), true)? else {
                return Ok(None);
            };
            let Some(file) = node.open()? else { return Ok(None) };
            let mut bytes = Vec::new();
            File::from(file).take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        };
        self.layers(image)?;
        let bytes = read().doing("read", path)?;
        if bytes.as_ref().is_some_and(|bytes| bytes.len() as u64 > limit) {
            let limit = format!("{limit} bytes");
            return Err(ImageError::TooLarge { what: format!("{path} of image {image}"), limit });
        }
        Ok(bytes)
    }

    /// Copies the directory `path` of an image into the empty directory `into`, with owners, modes,
    /// times, attributes and links, and gives `into` the owner and mode of `path`. False if the image
    /// has no such directory. The own directory of a volume (beside its `volume.json`) has all of it
    /// or nothing, also after a crash.
    ///
    /// # Errors
    /// If the image is not there, or something cannot be copied.
    pub fn copy_out(&self, image: &Digest, path: &str, into: &Path) -> Result<bool> {
        let merged =
            Merged::open(self.layers(image)?).doing("read the layers of", image.as_str())?;
        let Some(Node::Dir(from)) = merged.find(path.as_bytes(), true).doing("find", path)? else {
            return Ok(false);
        };
        // A directory of the host must stay the one that it is: others may have it open or mounted.
        if !into.with_file_name("volume.json").exists() {
            return copy_tree(&from, into).doing("copy", path).map(|()| true);
        }
        let name = into.file_name().unwrap_or_default().to_string_lossy();
        let draft = into.with_file_name(format!(".{name}.{}", unique()));
        std::fs::create_dir(&draft).doing("make", &draft)?;
        let copied = copy_tree(&from, &draft).doing("copy", path);
        let moved = copied.and_then(|()| match std::fs::rename(&draft, into) {
            // A mount point, or a directory on another disk, cannot be replaced.
            Err(error) if is_fixed(&error) => copy_tree(&from, into).doing("copy", path),
            done => done.doing("fill", into),
        });
        if draft.exists() {
            remove(&draft)?;
        }
        moved.map(|()| true)
    }
}

fn is_fixed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices)
}

fn copy_tree(from: &MergedDir, into: &Path) -> io::Result<()> {
    let root = fs::open(into, DIRECTORY, Mode::empty())?;
    let mut copy = Copy { root: root.try_clone()?, links: HashMap::new() };
    copy.dir(from, &root, &[])
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

struct Copy {
    /// Where all goes.
    root: OwnedFd,
    /// Where files with several names were copied to first, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl Copy {
    /// Copies what is in `from` to `to`, which is at `path`; then its attributes, which end with the
    /// time of the last change.
    fn dir(&mut self, from: &MergedDir, to: &OwnedFd, path: &[u8]) -> io::Result<()> {
        for name in names(from)? {
            let path = [path, &name].join(&b'/');
            match child(from, &name)? {
                None => {}
                Some(Node::Dir(inner)) => {
                    fs::mkdirat(to, name.as_slice(), Mode::RWXU)?;
                    let made = fs::openat(to, name.as_slice(), DIRECTORY, Mode::empty())?;
                    self.dir(&inner, &made, &path)?;
                }
                Some(node) => self.other(&node, to, &name, path)?,
            }
        }
        match from.first() {
            Some(top) => copy_attributes(top.as_fd(), to.as_fd()),
            None => Ok(()),
        }
    }

    fn other(&mut self, node: &Node, to: &OwnedFd, name: &[u8], path: Vec<u8>) -> io::Result<()> {
        let Node::Other { stat, .. } = node else { return Ok(()) };
        let key = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.links.get(&key) {
            let first = first.strip_prefix(b"/").unwrap_or(first);
            return Ok(fs::linkat(&self.root, first, to, name, AtFlags::empty())?);
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let Some(from) = node.open()? else { return Ok(()) };
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let file = File::from(fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?);
                let from = File::from(from);
                io::copy(&mut &from, &mut &file)?;
                copy_attributes(from.as_fd(), file.as_fd())?;
            }
            FileType::Symlink => {
                let target = node.link()?.unwrap_or_default();
                fs::symlinkat(target.as_slice(), to, name)?;
                own(stat, to, name)?;
            }
            FileType::Fifo => {
                let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                fs::mknodat(to, name, FileType::Fifo, mode, 0)?;
                own(stat, to, name)?;
                fs::chmodat(to, name, mode, AtFlags::empty())?;
            }
            // Layers have no other files.
            _ => return Ok(()),
        }
        if stat.st_nlink > 1 {
            self.links.insert(key, path);
        }
        Ok(())
    }
}

fn own(stat: &Stat, to: &OwnedFd, name: &[u8]) -> io::Result<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    fs::chownat(to, name, Some(uid), Some(gid), flags)?;
    Ok(fs::utimensat(to, name, &stat_times(stat), flags)?)
}

/// The names in any of the directories, also those that are hidden.
fn names(dirs: &MergedDir) -> io::Result<BTreeSet<Vec<u8>>> {
    let mut names = BTreeSet::new();
    for dir in dirs.iter() {
        for entry in fs::Dir::read_from(dir)? {
            let name = entry?.file_name().to_bytes().to_owned();
            if name != b"." && name != b".." {
                names.insert(name);
            }
        }
    }
    Ok(names)
}
