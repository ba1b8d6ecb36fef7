//! The view of a stack of layers, as overlayfs would show it, without mounting it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{self, Mode, OFlags, Stat};

use super::LINKS;
use super::attributes::{is_dir, is_opaque, is_symlink, is_whiteout, look};

/// Layers, the top one first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Merged {
    root: MergedDir,
}

/// The directories that show as one, the top one first.
pub(crate) type MergedDir = Arc<Vec<OwnedFd>>;

/// What is at a path.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// A directory.
    Dir(MergedDir),
    /// Anything else: the directory it really is in, its name there, and what it is.
    Other { dir: MergedDir, at: usize, name: Vec<u8>, stat: Box<Stat> },
}

impl Merged {
    /// The view of these layers' directories.
    pub(crate) fn open<P: AsRef<Path>>(layers: impl IntoIterator<Item = P>) -> io::Result<Self> {
        let mut dirs = Vec::new();
        for layer in layers {
            let dir = fs::open(layer.as_ref(), DIRECTORY, Mode::empty())?;
            let opaque = is_opaque(&dir);
            dirs.push(dir);
            if opaque {
                break;
            }
        }
        Ok(Self { root: Arc::new(dirs) })
    }

    /// The root directory.
    pub(crate) fn root(&self) -> MergedDir {
        self.root.clone()
    }

    /// What is at `path` (relative to the root, absolute or not), following symbolic links; the last
    /// one only if `follow`. Links and `..` cannot leave the root. `None` if nothing is there.
    pub(crate) fn find(&self, path: &[u8], follow: bool) -> io::Result<Option<Node>> {
        let mut stack = vec![self.root.clone()];
        let mut todo: Vec<Vec<u8>> = Vec::new();
        push_names(&mut todo, path);
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == b".." {
                stack.truncate(stack.len().saturating_sub(1).max(1));
                continue;
            }
            let Some(top) = stack.last() else { return Ok(None) };
            match child(top, &name)? {
                None => return Ok(None),
                Some(Node::Dir(dir)) => stack.push(dir),
                Some(node @ Node::Other { .. }) => {
                    let Some(target) = node.link()?.filter(|_| follow || !todo.is_empty()) else {
                        return Ok(todo.is_empty().then_some(node));
                    };
                    links += 1;
                    if links > LINKS {
                        return Err(rustix::io::Errno::LOOP.into());
                    }
                    if target.starts_with(b"/") {
                        stack.truncate(1);
                    }
                    push_names(&mut todo, &target);
                }
            }
        }
        Ok(stack.pop().map(Node::Dir))
    }
}

impl Node {
    /// The target, of a symbolic link.
    pub(crate) fn link(&self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Other { dir, at, name, stat } if is_symlink(stat) => {
                Ok(Some(fs::readlinkat(&dir[*at], name.as_slice(), Vec::new())?.into_bytes()))
            }
            _ => Ok(None),
        }
    }

    /// The directory or regular file, open for reading; `None` for other files.
    pub(crate) fn open(&self) -> io::Result<Option<OwnedFd>> {
        match self {
            Self::Dir(dirs) => {
                Ok(dirs.first().map(|dir| dir.as_fd().try_clone_to_owned()).transpose()?)
            }
            Self::Other { dir, at, name, stat } => {
                if fs::FileType::from_raw_mode(stat.st_mode) != fs::FileType::RegularFile {
                    return Ok(None);
                }
                Ok(Some(fs::openat(&dir[*at], name.as_slice(), FILE, Mode::empty())?))
            }
        }
    }
}

pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
pub(crate) const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// What `name` is in a merged directory.
pub(crate) fn child(dirs: &MergedDir, name: &[u8]) -> io::Result<Option<Node>> {
    let mut merged = Vec::new();
    for (at, dir) in dirs.iter().enumerate() {
        let Some(stat) = look(dir, name)? else { continue };
        if is_dir(&stat) {
            let dir = fs::openat(dir, name, DIRECTORY, Mode::empty())?;
            let opaque = is_opaque(&dir);
            merged.push(dir);
            if opaque {
                break;
            }
        } else if merged.is_empty() && !is_whiteout(&stat) {
            let node =
                Node::Other { dir: dirs.clone(), at, name: name.to_owned(), stat: Box::new(stat) };
            return Ok(Some(node));
        } else {
            break;
        }
    }
    Ok((!merged.is_empty()).then(|| Node::Dir(Arc::new(merged))))
}

/// Puts the names of `path` on top of `todo`, the first one last.
pub(super) fn push_names(todo: &mut Vec<Vec<u8>>, path: &[u8]) {
    let names = path.split(|b| *b == b'/').filter(|name| !name.is_empty() && *name != b".");
    let at = todo.len();
    todo.extend(names.map(<[u8]>::to_owned));
    todo[at..].reverse();
}
