//! Where in the layer's own directory a path of an archive leads.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::attributes::{is_dir, is_symlink, is_whiteout, look, set_opaque};
use super::merged::{DIRECTORY, child, push_names};
use super::{LINKS, Merged, Node};

/// Links could otherwise lead deeper with each entry.
const DEEPEST: usize = 512;

/// The layer that is being made, over the layers below it.
#[derive(Debug)]
pub(super) struct Place {
    /// Its root.
    pub(super) root: OwnedFd,
    /// The layers below, when they are known.
    pub(super) below: Option<Merged>,
    /// Directories that were made because something in them was: their owner, mode and time come
    /// from below, at the end, for what is made in them changes their time. Paths from the root, without links.
    pub(super) implied: BTreeSet<Vec<u8>>,
    /// The directory used last: archives are mostly in the order of their directories.
    last: Option<(Vec<u8>, Spot)>,
}

/// A directory of the layer.
#[derive(Debug)]
pub(super) struct Spot {
    /// The directory itself.
    pub(super) dir: OwnedFd,
    /// Its path from the root, without links; empty for the root.
    pub(super) path: Vec<u8>,
}

impl Place {
    pub(super) fn new(root: OwnedFd, below: Option<Merged>) -> Self {
        Self { root, below, implied: BTreeSet::new(), last: None }
    }

    /// The directory that `path` (names only, no `..`) leads to. Missing directories are made;
    /// links, of this layer and those below, lead where they would in a container.
    pub(super) fn dir(&mut self, path: &[u8]) -> io::Result<&Spot> {
        if self.last.as_ref().is_none_or(|(known, _)| known != path) {
            let spot = match self.quick(path)? {
                Some(dir) => Spot { dir, path: path.to_owned() },
                None => self.walk(path)?,
            };
            self.last = Some((path.to_owned(), spot));
        }
        match &self.last {
            Some((_, spot)) => Ok(spot),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Forgets what paths led to: something other than a file has changed.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// The directory in one call, if it is there and no link leads to it.
    fn quick(&self, path: &[u8]) -> io::Result<Option<OwnedFd>> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let path = if path.is_empty() { b"." } else { path };
        match fs::openat2(&self.root, path, DIRECTORY, Mode::empty(), resolve) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NOSYS | Errno::AGAIN) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn walk(&mut self, path: &[u8]) -> io::Result<Spot> {
        let mut todo: Vec<Vec<u8>> = Vec::new();
        push_names(&mut todo, path);
        let mut stack = vec![self.start()?];
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == b".." {
                stack.truncate(stack.len().saturating_sub(1).max(1));
                continue;
            }
            if stack.len() > DEEPEST {
                return Err(Errno::NAMETOOLONG.into());
            }
            let Some(here) = stack.last() else { break };
            match self.step(here, &name)? {
                Step::Into(next) => stack.push(next),
                Step::Link(target) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    if target.starts_with(b"/") {
                        stack.truncate(1);
                    }
                    push_names(&mut todo, &target);
                }
            }
        }
        let here = stack.pop().ok_or(io::ErrorKind::NotFound)?;
        Ok(here.spot)
    }

    fn start(&self) -> io::Result<Here> {
        let dir = self.root.try_clone()?;
        let below = self.below.as_ref().map(Merged::root);
        Ok(Here { spot: Spot { dir, path: Vec::new() }, below })
    }

    /// One name further.
    fn step(&mut self, here: &Here, name: &[u8]) -> io::Result<Step> {
        let dir = &here.spot.dir;
        let below = match &here.below {
            Some(below) => child(below, name)?,
            None => None,
        };
        let below_dir = match &below {
            Some(Node::Dir(dirs)) => Some(dirs.clone()),
            _ => None,
        };
        let path = joined(&here.spot.path, name);
        let into =
            |dir, below| Ok(Step::Into(Here { spot: Spot { dir, path: path.clone() }, below }));
        match look(dir, name)? {
            Some(stat) if is_dir(&stat) => {
                let dir = fs::openat(dir, name, DIRECTORY, Mode::empty())?;
                let below = below_dir.filter(|_| !super::attributes::is_opaque(&dir));
                into(dir, below)
            }
            Some(stat) if is_symlink(&stat) => {
                Ok(Step::Link(fs::readlinkat(dir, name, Vec::new())?.into_bytes()))
            }
            // What was below is gone: the new directory begins empty.
            Some(stat) if is_whiteout(&stat) => {
                fs::unlinkat(dir, name, AtFlags::empty())?;
                let made = make_dir(dir, name)?;
                set_opaque(&made)?;
                into(made, None)
            }
            Some(_) => Err(Errno::NOTDIR.into()),
            None => {
                if let Some(target) = below.as_ref().map(Node::link).transpose()?.flatten() {
                    return Ok(Step::Link(target));
                }
                let made = make_dir(dir, name)?;
                if below.is_some() && below_dir.is_none() {
                    return Err(Errno::NOTDIR.into());
                }
                self.implied.insert(path.clone());
                into(made, below_dir)
            }
        }
    }
}

/// A directory on the way, and what shows through from below.
struct Here {
    spot: Spot,
    below: Option<super::merged::MergedDir>,
}

enum Step {
    Into(Here),
    Link(Vec<u8>),
}

/// `name` in the directory at `path`.
pub(super) fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    let mut joined = path.to_owned();
    if !joined.is_empty() {
        joined.push(b'/');
    }
    joined.extend_from_slice(name);
    joined
}

/// Makes a directory with the usual mode, and opens it.
pub(super) fn make_dir(dir: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    fs::mkdirat(dir, name, Mode::from_raw_mode(0o755))?;
    let made = fs::openat(dir, name, DIRECTORY, Mode::empty())?;
    fs::fchmod(&made, Mode::from_raw_mode(0o755))?;
    Ok(made)
}

/// Opens a regular file of the layer for writing; it must not be there yet.
pub(super) fn make_file(dir: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))?)
}
