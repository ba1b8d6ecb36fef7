//! Content of files, and its removal, in the directory of a layer.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{self, AtFlags, Gid, Mode, Uid};

use super::attributes::{is_dir, look, times};
use super::merged::DIRECTORY;
use crate::image::archive::Entry;

/// Owner and time of a file that cannot be opened.
pub(super) fn own(dir: &OwnedFd, name: &[u8], entry: &Entry) -> io::Result<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    fs::chownat(dir, name, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)), flags)?;
    Ok(fs::utimensat(dir, name, &times(entry.mtime), flags)?)
}

/// Copies `length` bytes to `offset` of `file`; all of them must come.
pub(super) fn copy(
    data: &mut impl Read,
    file: &File,
    buffer: &mut [u8],
    mut offset: u64,
    mut length: u64,
) -> io::Result<()> {
    while length > 0 {
        let most = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
        let got = match data.read(&mut buffer[..most]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            done => done?,
        };
        file.write_all_at(&buffer[..got], offset)?;
        (offset, length) = (offset + got as u64, length - got as u64);
    }
    Ok(())
}

/// Removes a directory of the layer and all that is in it; links are not followed.
pub(super) fn remove_tree(dir: &OwnedFd, name: &[u8]) -> io::Result<()> {
    let inner = fs::openat(dir, name, DIRECTORY, Mode::empty())?;
    for entry in fs::Dir::read_from(&inner)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        match look(&inner, name)? {
            Some(stat) if is_dir(&stat) => remove_tree(&inner, name)?,
            Some(_) => fs::unlinkat(&inner, name, AtFlags::empty())?,
            None => {}
        }
    }
    Ok(fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}
