//! Directories into archives and back, as they are: nothing in them speaks of layers.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{self, FileType, Mode, Stat};
use tar::{Builder, EntryType, Header};

use super::decode;
use super::error::{Doing as _, ImageError, Result, shown};
use super::limits::Limits;
use super::unpack::{Applier, DIRECTORY, FILE, Halt, look, settle_alone, xattrs};

/// Writes all that is in `dir` as a tar stream: owners, modes, times, extended attributes and links
/// stay. Sockets and device nodes are left out.
///
/// # Errors
/// If something cannot be read, or nobody takes the stream.
pub fn pack(dir: &Path, out: impl Write) -> Result<()> {
    let root = fs::open(dir, DIRECTORY, Mode::empty()).doing("open", dir)?;
    let mut packer = Packer { tar: Builder::new(out), links: HashMap::new() };
    packer.dir(&root, b"./").doing("pack", dir)?;
    packer.tar.into_inner().and_then(|mut out| out.flush()).doing("pack", dir)
}

/// Puts the files of an archive (plain, gzip or zstd) into `dir`, over what is there. Nothing outside of
/// it is touched, whatever the archive says.
///
/// # Errors
/// If the archive is bad, or something cannot be written: what came before stays.
pub fn unpack_into(archive: impl Read + Send, dir: &Path) -> Result<()> {
    let limits = Limits { bytes: u64::MAX, ..Limits::default() };
    let failed = |path: &str, source| ImageError::Io { doing: format!("unpack {path}"), source };
    let archive =
        decode::unpacked(archive, limits).map_err(|source| failed("the archive", source))?;
    let applier = Applier::new(dir, None, limits).doing("open", dir)?.literally();
    match applier.apply(archive) {
        Ok(applied) => settle_alone(dir, &applied).doing("finish", dir),
        Err(Halt::NeedsBelow) => Err(failed("the archive", io::ErrorKind::InvalidData.into())),
        Err(Halt::Failed { path, error }) => Err(failed(&path, error)),
    }
}

struct Packer<W: Write> {
    tar: Builder<W>,
    /// Where files with several names were written first, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> Packer<W> {
    /// Writes `dir`, which is at `path` (ends with a slash), and what is in it.
    fn dir(&mut self, dir: &OwnedFd, path: &[u8]) -> io::Result<()> {
        let stat = fs::fstat(dir)?;
        let attributes = xattrs(dir.as_fd())?;
        self.entry(path, &stat, EntryType::Directory, &[], attributes, 0, io::empty())?;
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(dir)? {
            let name = entry?.file_name().to_bytes().to_owned();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        names.sort();
        for name in names {
            // It may be gone by now: somebody may work in the directory.
            let Some(stat) = look(dir, &name)? else { continue };
            let path = [path, &name].concat();
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    let inner = fs::openat(dir, name.as_slice(), DIRECTORY, Mode::empty())?;
                    self.dir(&inner, &[path.as_slice(), b"/"].concat())?;
                }
                kind => self.other(dir, &name, path, &stat, kind)?,
            }
        }
        Ok(())
    }

    fn other(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: Vec<u8>,
        stat: &Stat,
        kind: FileType,
    ) -> io::Result<()> {
        let key = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.links.get(&key) {
            let first = first.clone();
            return self.entry(&path, stat, EntryType::Link, &first, Vec::new(), 0, io::empty());
        }
        match kind {
            FileType::RegularFile => {
                let file = File::from(fs::openat(dir, name, FILE, Mode::empty())?);
                let stat = fs::fstat(&file)?;
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                let attributes = xattrs(file.as_fd())?;
                // One that shrinks meanwhile is filled up: its size is written already.
                let data = (&file).chain(io::repeat(0)).take(size);
                self.entry(&path, &stat, EntryType::Regular, &[], attributes, size, data)?;
            }
            FileType::Symlink => {
                let target = fs::readlinkat(dir, name, Vec::new())?.into_bytes();
                self.entry(&path, stat, EntryType::Symlink, &target, Vec::new(), 0, io::empty())?;
            }
            FileType::Fifo => {
                self.entry(&path, stat, EntryType::Fifo, &[], Vec::new(), 0, io::empty())?;
            }
            _ => return Ok(()),
        }
        if stat.st_nlink > 1 {
            self.links.insert(key, path);
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of an entry")]
    fn entry(
        &mut self,
        path: &[u8],
        stat: &Stat,
        kind: EntryType,
        link: &[u8],
        attributes: Vec<(String, Vec<u8>)>,
        size: u64,
        data: impl Read,
    ) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(stat.st_mode & 0o7777);
        header.set_uid(stat.st_uid.into());
        header.set_gid(stat.st_gid.into());
        header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
        header.set_size(size);
        let mut more: Vec<(String, Vec<u8>)> = Vec::new();
        for (name, value) in attributes {
            more.push((format!("SCHILY.xattr.{name}"), value));
        }
        let nanos = stat.st_mtime_nsec;
        if nanos > 0 && stat.st_mtime >= 0 && kind != EntryType::Link {
            more.push(("mtime".to_owned(), format!("{}.{nanos:09}", stat.st_mtime).into_bytes()));
        }
        let fields = header.as_gnu_mut().ok_or(io::ErrorKind::InvalidData)?;
        if !fits(&mut fields.name, path) {
            more.push(("path".to_owned(), path.to_owned()));
        }
        if !fits(&mut fields.linkname, link) {
            more.push(("linkpath".to_owned(), link.to_owned()));
        }
        header.set_cksum();
        if !more.is_empty() {
            let records = more.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
            self.tar.append_pax_extensions(records)?;
        }
        self.tar
            .append(&header, data)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", shown(path))))
    }
}

/// Writes a path into its field; false if it is too long and only its beginning is there.
fn fits(field: &mut [u8; 100], path: &[u8]) -> bool {
    let length = path.len().min(field.len());
    field[..length].copy_from_slice(&path[..length]);
    path.len() <= field.len()
}

#[cfg(test)]
mod tests;
