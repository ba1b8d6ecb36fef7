//! An executable that no container can change.
//!
//! A process that enters a container shows it the file it runs as `/proc/<pid>/exe`, and root in the
//! container could write to that file through it (CVE-2019-5736). The launcher and all its copies
//! therefore run from a read-only mount of their executable that is attached nowhere, or, where the
//! kernel cannot do that, from a sealed copy in memory.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::mount::OpenTreeFlags;

use crate::sys::exec::{Strings, execve_fd};
use crate::sys::mounts::{self, MountChange};

const OWN: &std::ffi::CStr = c"/proc/self/exe";
const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// Returns if the calling process runs from such a file, else becomes itself from one.
///
/// # Errors
/// If neither way works here.
pub(in crate::runtime) fn ensure() -> io::Result<()> {
    if is_sealed()? {
        return Ok(());
    }
    let program = read_only_mount().or_else(|_| sealed_copy())?;
    let args = strings(std::env::args_os())?;
    let env = strings(std::env::vars_os().map(|(mut key, value)| {
        key.push("=");
        key.push(value);
        key
    }))?;
    Err(execve_fd(program.as_fd(), &args, &env))
}

fn is_sealed() -> io::Result<bool> {
    let own = rustix::fs::open(OWN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    if rustix::fs::fcntl_get_seals(&own).is_ok_and(|seals| seals.contains(SEALS)) {
        return Ok(true);
    }
    Ok(rustix::fs::fstatvfs(&own)?.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn read_only_mount() -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(CWD, OWN, flags)?;
    let change = MountChange { set: mounts::READ_ONLY, ..MountChange::default() };
    mounts::mount_setattr(tree.as_fd(), c"", false, change)?;
    Ok(tree)
}

fn sealed_copy() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = File::from(rustix::fs::memfd_create(c"orca", flags)?);
    io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
    rustix::fs::fcntl_add_seals(&copy, SEALS)?;
    Ok(copy.into())
}

fn strings(from: impl Iterator<Item = std::ffi::OsString>) -> io::Result<Strings> {
    let strings = from.map(|text| CString::new(text.into_vec())).collect::<Result<_, _>>()?;
    Ok(Strings::new(strings))
}
