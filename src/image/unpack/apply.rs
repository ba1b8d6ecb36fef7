//! The entries of one layer, put in place one after another.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, Uid};

use super::attributes::{
    copy_attributes, is_dir, is_symlink, is_whiteout, look, set, set_opaque, stat_times, times,
};
use super::merged::DIRECTORY;
use super::place::{Place, joined, make_dir, make_file};
use super::write::{copy, own, remove_tree};
use super::{Merged, Node, OPAQUE, WHITEOUT};
use crate::image::archive::{Entry, Kind, TarReader};
use crate::image::error::shown;
use crate::image::limits::Limits;

/// What file systems give to files at least.
const BLOCK: u64 = 4096;

/// What is left to do once the layers below are known, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Bytes of the files.
    pub(crate) size: u64,
    /// Bytes of the whole archive; set by whoever reads it.
    pub(crate) archive: u64,
    /// About how many bytes it takes on the disk: file systems give files whole blocks.
    pub(crate) disk: u64,
    /// Device nodes that were left out: a container gets its devices from the runtime.
    pub(crate) devices: u64,
    /// See `Place::implied`.
    pub(super) implied: BTreeSet<Vec<u8>>,
    /// Whiteouts that were made.
    pub(super) whiteouts: BTreeSet<Vec<u8>>,
    /// The times of directories, set last: what is put into them changes them.
    pub(super) times: BTreeMap<Vec<u8>, Duration>,
}

/// Why a layer could not be applied.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Something in it depends on the layers below, which were not given.
    NeedsBelow,
    /// An entry is bad, or the host would not.
    Failed {
        /// The entry, as text.
        path: String,
        /// Why.
        error: io::Error,
    },
}

/// Puts a layer into an empty directory.
#[derive(Debug)]
pub(crate) struct Applier {
    place: Place,
    limits: Limits,
    /// Whether names mean nothing but themselves: it is no layer.
    literal: bool,
    applied: Applied,
    buffer: Vec<u8>,
}

impl Applier {
    /// Makes the layer in `root`, an empty directory. Without the layers below it, a layer that
    /// depends on them is not applied: [`Halt::NeedsBelow`].
    pub(crate) fn new(root: &Path, below: Option<Merged>, limits: Limits) -> io::Result<Self> {
        let root = fs::open(root, DIRECTORY, Mode::empty())?;
        let mut applied = Applied::default();
        applied.implied.insert(Vec::new());
        let buffer = vec![0; 128 << 10];
        Ok(Self { place: Place::new(root, below), limits, literal: false, applied, buffer })
    }

    /// The archive is no layer: names of whiteouts are names like others, and what is in the directory
    /// already may be replaced.
    pub(crate) fn literally(mut self) -> Self {
        self.applied.implied.clear();
        self.literal = true;
        self
    }

    /// Applies all entries of `archive`, and reads it to its end.
    pub(crate) fn apply(mut self, archive: impl Read) -> Result<Applied, Halt> {
        let mut archive = TarReader::new(archive, self.limits);
        let whole = |error| Halt::Failed { path: "the archive".to_owned(), error };
        while let Some(entry) = archive.next().map_err(whole)? {
            self.entry(&entry, &mut archive).map_err(|stop| match stop {
                Stop::NeedsBelow => Halt::NeedsBelow,
                Stop::Failed(error) => Halt::Failed { path: shown(&entry.path), error },
            })?;
        }
        archive.drain().map_err(whole)?;
        self.applied.implied.extend(self.place.implied);
        Ok(self.applied)
    }

    fn entry(&mut self, entry: &Entry, data: &mut impl Read) -> Result<(), Stop> {
        let names = names(&entry.path)?;
        let Some((name, parents)) = names.split_last() else { return self.root(entry) };
        let parent = parents.join(&b'/');
        if self.literal {
            return self.put(entry, &parent, name, data);
        }
        if parents.iter().chain([name]).any(|n| n.starts_with(b".wh..wh.") && *n != OPAQUE) {
            // Bookkeeping of aufs, which was how Docker began.
            return Ok(());
        }
        if parents.iter().any(|parent| parent.starts_with(WHITEOUT)) {
            return Err(bad("a directory has the name of a whiteout"));
        }
        if *name == OPAQUE {
            return Ok(set_opaque(&self.place.dir(&parent)?.dir)?);
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.whiteout(&parent, hidden);
        }
        self.put(entry, &parent, name, data)
    }

    fn put(
        &mut self,
        entry: &Entry,
        parent: &[u8],
        name: &[u8],
        data: &mut impl Read,
    ) -> Result<(), Stop> {
        match entry.kind {
            Kind::Directory => self.directory(entry, parent, name),
            Kind::File => self.file(entry, parent, name, data),
            Kind::Symlink => self.symlink(entry, parent, name),
            Kind::HardLink => self.hard_link(entry, parent, name),
            Kind::Fifo => self.fifo(entry, parent, name),
            Kind::Device => {
                self.applied.devices += 1;
                Ok(())
            }
        }
    }

    /// The root directory itself.
    fn root(&mut self, entry: &Entry) -> Result<(), Stop> {
        if entry.kind != Kind::Directory {
            return Err(bad("the root of an image must be a directory"));
        }
        set(self.place.root.as_fd(), entry)?;
        self.applied.implied.remove(b"".as_slice());
        self.applied.times.insert(Vec::new(), entry.mtime);
        Ok(())
    }

    /// `hidden` of the layers below is gone. What this layer has itself stays.
    fn whiteout(&mut self, parent: &[u8], hidden: &[u8]) -> Result<(), Stop> {
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return Err(bad("a whiteout without a proper name"));
        }
        let spot = self.place.dir(parent)?;
        match look(&spot.dir, hidden)? {
            None => {
                let path = joined(&spot.path, hidden);
                let kind = FileType::CharacterDevice;
                fs::mknodat(&spot.dir, hidden, kind, Mode::empty(), 0)?;
                self.applied.whiteouts.insert(path);
            }
            Some(stat) if is_dir(&stat) => {
                set_opaque(fs::openat(&spot.dir, hidden, DIRECTORY, Mode::empty())?)?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn directory(&mut self, entry: &Entry, parent: &[u8], name: &[u8]) -> Result<(), Stop> {
        let spot = self.place.dir(parent)?;
        let path = joined(&spot.path, name);
        let dir = match look(&spot.dir, name)? {
            Some(stat) if is_dir(&stat) => {
                fs::openat(&spot.dir, name, DIRECTORY, Mode::empty()).map_err(io::Error::from)?
            }
            None => {
                self.applied.disk += BLOCK;
                make_dir(&spot.dir, name)?
            }
            Some(_) => {
                // It hid what is below; so must the directory.
                fs::unlinkat(&spot.dir, name, AtFlags::empty())?;
                let made = make_dir(&spot.dir, name)?;
                if !self.literal {
                    set_opaque(&made)?;
                }
                self.applied.whiteouts.remove(&path);
                self.place.forget();
                made
            }
        };
        set(dir.as_fd(), entry)?;
        self.place.implied.remove(&path);
        self.applied.implied.remove(&path);
        self.applied.times.insert(path, entry.mtime);
        Ok(())
    }

    fn file(
        &mut self,
        entry: &Entry,
        parent: &[u8],
        name: &[u8],
        data: &mut impl Read,
    ) -> Result<(), Stop> {
        self.applied.size = self.applied.size.saturating_add(entry.size);
        if self.applied.size > self.limits.bytes {
            return Err(bad(format!("the layer is larger than {} bytes", self.limits.bytes)));
        }
        let stored = entry.segments.as_ref().map(|all| all.iter().map(|part| part.length).sum());
        self.applied.disk += stored.unwrap_or(entry.size).next_multiple_of(BLOCK);
        // Mostly nothing is there yet.
        let made = match make_file(&self.place.dir(parent)?.dir, name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                make_file(&self.clear(parent, name)?, name)
            }
            done => done,
        };
        let file = File::from(made?);
        self.fill(entry, &file, data)?;
        set(file.as_fd(), entry)?;
        Ok(fs::futimens(&file, &times(entry.mtime))?)
    }

    fn fill(&mut self, entry: &Entry, file: &File, data: &mut impl Read) -> io::Result<()> {
        let Some(segments) = &entry.segments else {
            return copy(data, file, &mut self.buffer, 0, entry.size);
        };
        file.set_len(entry.size)?;
        for segment in segments {
            copy(data, file, &mut self.buffer, segment.offset, segment.length)?;
        }
        Ok(())
    }

    fn symlink(&mut self, entry: &Entry, parent: &[u8], name: &[u8]) -> Result<(), Stop> {
        if entry.link.is_empty() {
            return Err(bad("a symbolic link to nothing"));
        }
        let dir = self.clear(parent, name)?;
        fs::symlinkat(entry.link.as_slice(), &dir, name)?;
        self.place.forget();
        Ok(own(&dir, name, entry)?)
    }

    fn fifo(&mut self, entry: &Entry, parent: &[u8], name: &[u8]) -> Result<(), Stop> {
        let dir = self.clear(parent, name)?;
        fs::mknodat(&dir, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
        own(&dir, name, entry)?;
        // No link can be in between: the name was made here, and nobody else writes here.
        Ok(fs::chmodat(&dir, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?)
    }

    fn hard_link(&mut self, entry: &Entry, parent: &[u8], name: &[u8]) -> Result<(), Stop> {
        let target = names(&entry.link)?;
        let Some((target, parents)) = target.split_last() else {
            return Err(bad("a hard link to the root directory"));
        };
        let spot = self.place.dir(&parents.join(&b'/'))?;
        let (from, path) = (spot.dir.try_clone()?, joined(&spot.path, target));
        if path == joined(&self.place.dir(parent)?.path, name) {
            return Ok(());
        }
        match look(&from, target)? {
            Some(stat) if is_dir(&stat) => return Err(bad("a hard link to a directory")),
            Some(stat) if is_whiteout(&stat) => return Err(no_target(&entry.link)),
            Some(_) => {}
            None if self.literal => return Err(no_target(&entry.link)),
            None => self.copy_up(&path, &from, target, &entry.link)?,
        }
        let dir = self.clear(parent, name)?;
        fs::linkat(&from, *target, &dir, name, AtFlags::empty())?;
        Ok(())
    }

    /// Brings the file at `path` of the layers below into this one, so that it can be linked to.
    fn copy_up(
        &mut self,
        path: &[u8],
        dir: &OwnedFd,
        name: &[u8],
        link: &[u8],
    ) -> Result<(), Stop> {
        let Some(below) = &self.place.below else { return Err(Stop::NeedsBelow) };
        let node = below.find(path, false)?.ok_or_else(|| no_target(link))?;
        let Node::Other { stat, .. } = &node else {
            return Err(bad("a hard link to a directory"));
        };
        if is_symlink(stat) {
            let target = node.link()?.unwrap_or_default();
            fs::symlinkat(target.as_slice(), dir, name)?;
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            fs::chownat(dir, name, Some(uid), Some(gid), flags)?;
            return Ok(fs::utimensat(dir, name, &stat_times(stat), flags)?);
        }
        let from = node.open()?.ok_or_else(|| bad("a hard link to a special file"))?;
        let to = File::from(make_file(dir, name)?);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let from = File::from(from);
        copy(&mut &from, &to, &mut self.buffer, 0, size)?;
        self.applied.size += size;
        Ok(copy_attributes(from.as_fd(), to.as_fd())?)
    }

    /// The directory of `parent`, with nothing at `name` any more.
    fn clear(&mut self, parent: &[u8], name: &[u8]) -> Result<OwnedFd, Stop> {
        let spot = self.place.dir(parent)?;
        let dir = spot.dir.try_clone()?;
        if let Some(stat) = look(&dir, name)? {
            let path = joined(&spot.path, name);
            if is_dir(&stat) {
                remove_tree(&dir, name)?;
                self.forget_times(path);
            } else {
                fs::unlinkat(&dir, name, AtFlags::empty())?;
                self.applied.whiteouts.remove(&path);
            }
            self.place.forget();
        }
        Ok(dir)
    }

    /// The directory at `path` is gone, with all in it.
    fn forget_times(&mut self, path: Vec<u8>) {
        let below = joined(&path, b"");
        self.applied.times.remove(&path);
        let gone: Vec<_> = (self.applied.times.range(below.clone()..))
            .map(|(known, _)| known)
            .take_while(|known| known.starts_with(&below))
            .cloned()
            .collect();
        for path in gone {
            self.applied.times.remove(&path);
        }
    }
}

/// Why an entry was not applied.
#[derive(Debug)]
enum Stop {
    NeedsBelow,
    Failed(io::Error),
}

impl<E: Into<io::Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn bad(reason: impl Into<String>) -> Stop {
    Stop::Failed(io::Error::new(io::ErrorKind::InvalidData, reason.into()))
}

fn no_target(link: &[u8]) -> Stop {
    bad(format!("a hard link to {}, which is not in the image", shown(link)))
}

/// The names of a path: an absolute one begins at the image's root, as in other tools.
fn names(path: &[u8]) -> Result<Vec<&[u8]>, Stop> {
    let mut names = Vec::new();
    for name in path.split(|b| *b == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return Err(bad("the path has `..` in it, and could lead out of the image")),
            name if name.len() > 255 => return Err(bad("a name is longer than 255 bytes")),
            name => names.push(name),
        }
    }
    Ok(names)
}
