//! The last touches to a layer, once the layers below it are there.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, Mode};
use rustix::io::Errno;

use super::attributes::{copy_attributes, is_opaque, is_whiteout, look, times};
use super::merged::{DIRECTORY, MergedDir, child};
use super::{Applied, Merged, Node};

/// Makes the layer in `root` right for the layers `below` it: directories that were made only for
/// what is in them get the owner and mode they have there, whiteouts of nothing go, and
/// directories get their times. False if the layer has to be applied again with the layers below: it
/// took a link of theirs for a directory.
pub(crate) fn settle(root: &Path, applied: &Applied, below: &Merged) -> io::Result<bool> {
    let root = fs::open(root, DIRECTORY, Mode::empty())?;
    for path in &applied.whiteouts {
        let (parent, name) = split(path);
        let Some((dir, under)) = walk(&root, parent, below)? else { continue };
        let nothing = under.map(|under| child(&under, name)).transpose()?.flatten().is_none();
        if nothing && look(&dir, name)?.is_some_and(|stat| is_whiteout(&stat)) {
            fs::unlinkat(&dir, name, AtFlags::empty())?;
        }
    }
    // Upwards, so that a directory's time is copied when its own directories are done.
    for path in applied.implied.iter().rev() {
        let Some((dir, _)) = walk(&root, path, below)? else { continue };
        match beside(&root, path, below)? {
            Some(node @ Node::Dir(_)) => {
                if let Some(from) = node.open()? {
                    copy_attributes(from.as_fd(), dir.as_fd())?;
                }
            }
            Some(Node::Other { .. }) => return Ok(false),
            None => {}
        }
    }
    for (path, mtime) in &applied.times {
        if let Some((dir, _)) = walk(&root, path, below)? {
            fs::futimens(&dir, &times(*mtime))?;
        }
    }
    Ok(true)
}

/// Gives directories that are no layer their times.
pub(crate) fn settle_alone(root: &Path, applied: &Applied) -> io::Result<()> {
    settle(root, applied, &Merged::default()).map(drop)
}

/// The directory at `path` of the layer, and what shows through in it. `None` if it is not there any
/// more.
fn walk(
    root: &OwnedFd,
    path: &[u8],
    below: &Merged,
) -> io::Result<Option<(OwnedFd, Option<MergedDir>)>> {
    let mut here = (root.try_clone()?, Some(below.root()));
    for name in path.split(|b| *b == b'/').filter(|name| !name.is_empty()) {
        let dir = match fs::openat(&here.0, name, DIRECTORY, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let under = match here.1.map(|under| child(&under, name)).transpose()?.flatten() {
            Some(Node::Dir(under)) if !is_opaque(&dir) => Some(under),
            _ => None,
        };
        here = (dir, under);
    }
    Ok(Some(here))
}

/// What the layers below have at `path`, as far as it shows through in the directory it is in.
fn beside(root: &OwnedFd, path: &[u8], below: &Merged) -> io::Result<Option<Node>> {
    if path.is_empty() {
        return Ok(Some(Node::Dir(below.root())));
    }
    let (parent, name) = split(path);
    match walk(root, parent, below)? {
        Some((_, Some(under))) => child(&under, name),
        _ => Ok(None),
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}
