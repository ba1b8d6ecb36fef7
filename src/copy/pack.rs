//! From files to an archive.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use super::place::{Kind, kind_of};
use super::{CopyError, Doing as _, Place, Result};

/// How deep directories may be.
const DEPTH: usize = 512;
/// The most of a file of the kernel's own, which says that it is empty.
const KERNEL_FILE: u64 = 1 << 20;
/// The kernel's own file systems (`statfs(2)`): what is in them is not the container's. proc, sysfs,
/// cgroup, cgroup2, devpts, mqueue, securityfs, debugfs, tracefs, bpf.
const KERNEL: [u64; 10] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x1cd1,
    0x1980_0202,
    0x7363_6673,
    0x6462_6720,
    0x7472_6163,
    0xcafe_4a11,
];

/// Writes what is at `path` as an archive whose first entry is called `name`. The last link on the way
/// is followed if `follow`; those below never are.
///
/// # Errors
/// If something cannot be read, or the archive not written.
pub fn pack(place: &Place, path: &Path, follow: bool, name: &Path, out: impl Write) -> Result<()> {
    let handle = place.open(path, follow, OFlags::PATH).doing("find", path)?;
    let mut builder = Builder::new(out);
    builder.sparse(false);
    let mut packing = Packing { place, builder, links: BTreeMap::new() };
    packing.add(handle, name, 0)?;
    packing.builder.into_inner()?.flush()?;
    Ok(())
}

struct Packing<'a, W: Write> {
    place: &'a Place,
    builder: Builder<W>,
    /// Files with several names, by device and number: the name that is in the archive.
    links: BTreeMap<(u64, u64), PathBuf>,
}

impl<W: Write> Packing<'_, W> {
    fn add(&mut self, handle: OwnedFd, name: &Path, depth: usize) -> Result<()> {
        let stat = rustix::fs::statat(&handle, c"", AtFlags::EMPTY_PATH).doing("look at", name)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory && stat.st_nlink > 1 {
            #[allow(clippy::unnecessary_cast, reason = "the types differ between machines")]
            let identity = (stat.st_dev as u64, stat.st_ino as u64);
            if let Some(first) = self.links.get(&identity).cloned() {
                let mut header = self.header(&stat, EntryType::Link);
                return Ok(self.builder.append_link(&mut header, name, first)?);
            }
            self.links.insert(identity, name.to_owned());
        }
        match kind {
            FileType::Directory => self.directory(&handle, &stat, name, depth),
            FileType::RegularFile => self.file(&handle, &stat, name),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&handle, c"", Vec::new());
                let target = target.doing("read the link", name)?;
                let mut header = self.header(&stat, EntryType::Symlink);
                let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                Ok(self.builder.append_link(&mut header, name, target)?)
            }
            FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice => {
                let mut header = self.header(
                    &stat,
                    match kind {
                        FileType::Fifo => EntryType::Fifo,
                        FileType::CharacterDevice => EntryType::Char,
                        _ => EntryType::Block,
                    },
                );
                header.set_device_major(rustix::fs::major(stat.st_rdev))?;
                header.set_device_minor(rustix::fs::minor(stat.st_rdev))?;
                Ok(self.builder.append_data(&mut header, name, io::empty())?)
            }
            // A socket means nothing without the program that listens.
            _ => Ok(()),
        }
    }

    fn header(&self, stat: &Stat, kind: EntryType) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(stat.st_mode & 0o7777);
        let (user, group) = self.place.ids.inside((stat.st_uid, stat.st_gid));
        header.set_uid(user.into());
        header.set_gid(group.into());
        header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
        header.set_size(0);
        header
    }

    fn directory(
        &mut self,
        handle: &OwnedFd,
        stat: &Stat,
        name: &Path,
        depth: usize,
    ) -> Result<()> {
        if depth > DEPTH {
            return Err(CopyError::Refused(format!("{} is too deep", name.display())));
        }
        let directory = reopen(handle, OFlags::RDONLY | OFlags::DIRECTORY).doing("open", name)?;
        self.attributes(&directory)?;
        let mut header = self.header(stat, EntryType::Directory);
        self.builder.append_data(&mut header, name, io::empty())?;
        if depth > 0 && is_kernels(&directory) {
            return Ok(());
        }
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory).doing("read", name)? {
            let entry = entry.doing("read", name)?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().to_owned());
            }
        }
        // An order that does not depend on the file system.
        names.sort_unstable();
        for entry in names {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let below = name.join(OsStr::from_bytes(entry.to_bytes()));
            match rustix::fs::openat(&directory, &entry, flags, Mode::empty()) {
                Ok(handle) => self.add(handle, &below, depth + 1)?,
                // It was removed meanwhile.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error).doing("open", below),
            }
        }
        Ok(())
    }

    fn file(&mut self, handle: &OwnedFd, stat: &Stat, name: &Path) -> Result<()> {
        let file = reopen(handle, OFlags::RDONLY | OFlags::NONBLOCK).doing("open", name)?;
        let mut header = self.header(stat, EntryType::Regular);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.attributes(&file)?;
        if size == 0 {
            let mut content = Vec::new();
            if is_kernels(&file) {
                let read = File::from(file).take(KERNEL_FILE).read_to_end(&mut content);
                read.doing("read", name)?;
            }
            header.set_size(content.len() as u64);
            return Ok(self.builder.append_data(&mut header, name, content.as_slice())?);
        }
        header.set_size(size);
        // A file that shrinks meanwhile ends in zeroes, one that grows is cut: the archive stays whole.
        let content = File::from(file).chain(io::repeat(0)).take(size);
        Ok(self.builder.append_data(&mut header, name, content)?)
    }

    /// The extended attributes of what comes next.
    fn attributes(&mut self, file: &OwnedFd) -> Result<()> {
        let mut names = [0_u8; 4096];
        // File systems without attributes, and lists that are too long, are as good as none.
        let Ok(length) = rustix::fs::flistxattr(file, &mut names) else { return Ok(()) };
        let mut records = Vec::new();
        for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let kept = name.starts_with(b"user.") || name == b"security.capability";
            let Ok(text) = std::str::from_utf8(name) else { continue };
            let mut value = vec![0_u8; 64 << 10];
            if kept && let Ok(length) = rustix::fs::fgetxattr(file, name, &mut value) {
                value.truncate(length);
                records.push((format!("SCHILY.xattr.{text}"), value));
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        let records = records.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        Ok(self.builder.append_pax_extensions(records)?)
    }
}

/// Opens what a handle is of. No path is walked again: what the handle shows is what is opened.
fn reopen(handle: &OwnedFd, flags: OFlags) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd as _;
    // Only directories and files come here: opening them does nothing by itself.
    if !matches!(kind_of(handle)?, Kind::Directory | Kind::File) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if flags.contains(OFlags::DIRECTORY) {
        return Ok(rustix::fs::openat(handle, c".", flags | OFlags::CLOEXEC, Mode::empty())?);
    }
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())?)
}

fn is_kernels(file: &OwnedFd) -> bool {
    rustix::fs::fstatfs(file.as_fd()).is_ok_and(|stat| {
        #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, reason = "a bit pattern")]
        let kind = stat.f_type as u64;
        KERNEL.contains(&kind)
    })
}
