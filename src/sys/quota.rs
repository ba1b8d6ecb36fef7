//! Limits on what a directory may hold: project quotas of ext4 and xfs.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// `struct fsxattr` of `linux/fs.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

/// `struct if_dqblk` of `linux/quota.h`; blocks are of 1024 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Limits {
    hard_blocks: u64,
    soft_blocks: u64,
    bytes: u64,
    hard_inodes: u64,
    soft_inodes: u64,
    inodes: u64,
    block_time: u64,
    inode_time: u64,
    valid: u32,
}

const GET_ATTRIBUTES: u32 = 0x801c_581f;
const SET_ATTRIBUTES: u32 = 0x401c_5820;
/// What is made in the directory belongs to its project.
const INHERIT: u32 = 0x200;
const GET_QUOTA: u32 = 0x80_0007;
const SET_QUOTA: u32 = 0x80_0008;
/// Of projects, not of users or groups.
const PROJECT: u32 = 2;
/// Only the limits of blocks are meant.
const BLOCK_LIMITS: u32 = 1;
/// Projects below are left to administrators, who number theirs by hand.
const FIRST: u32 = 1 << 20;

/// Lets all files of these empty directories together hold `bytes` at most. The directories must be on
/// one file system.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] with what is missing, if the file system has no project quotas; or if
/// the kernel refuses.
pub fn limit(directories: &[&Path], bytes: u64) -> io::Result<()> {
    let opened = directories.iter().map(|path| open(path)).collect::<io::Result<Vec<_>>>()?;
    let Some(first) = opened.first() else { return Ok(()) };
    let project = free_project(first).map_err(|error| explained(first, error))?;
    let limits = Limits {
        hard_blocks: bytes.div_ceil(1024).max(1),
        valid: BLOCK_LIMITS,
        ..Limits::default()
    };
    quota(first, SET_QUOTA, project, &mut { limits }).map_err(|error| explained(first, error))?;
    for directory in &opened {
        let mut attributes = attributes(directory)?;
        attributes.project = project;
        attributes.flags |= INHERIT;
        // SAFETY: the kernel reads a structure of this layout, which outlives the call.
        let done = unsafe { ioctl(directory.as_raw_fd(), SET_ATTRIBUTES, &raw mut attributes) };
        if done == -1 {
            let error = io::Error::last_os_error();
            return Err(explained(first, error));
        }
    }
    Ok(())
}

/// Whether directories made in this one can be limited.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] with what is missing, if they cannot.
pub fn check(directory: &Path) -> io::Result<()> {
    let opened = open(directory)?;
    free_project(&opened).map(drop).map_err(|error| explained(&opened, error))
}

/// Whether a directory has a limit.
///
/// # Errors
/// If it cannot be read.
pub fn is_limited(directory: &Path) -> io::Result<bool> {
    // A file system that knows no projects has no limits either.
    Ok(attributes(&open(directory)?).is_ok_and(|found| found.project >= FIRST))
}

/// Takes the limit of a directory away; what is in it stays. Fine if there is none.
///
/// # Errors
/// If the kernel refuses.
pub fn lift(directory: &Path) -> io::Result<()> {
    let opened = open(directory)?;
    let project = match attributes(&opened) {
        Ok(found) if found.project >= FIRST => found.project,
        _ => return Ok(()),
    };
    quota(&opened, SET_QUOTA, project, &mut Limits { valid: BLOCK_LIMITS, ..Limits::default() })
}

/// A project without a limit, and so without files of ours.
fn free_project(directory: &File) -> io::Result<u32> {
    // A few tries are plenty: there are four thousand million.
    for _ in 0..100 {
        let project = u32::from_ne_bytes(super::random::bytes()?) | FIRST;
        let mut limits = Limits::default();
        match quota(directory, GET_QUOTA, project, &mut limits) {
            Ok(()) if limits.hard_blocks == 0 && limits.bytes == 0 => return Ok(project),
            Ok(()) => {}
            // xfs: nothing is known of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(project),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there is no free project"))
}

fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    File::options().read(true).custom_flags(flags).open(path)
}

fn attributes(directory: &File) -> io::Result<Attributes> {
    let mut attributes = Attributes::default();
    // SAFETY: the kernel fills a structure of this layout, which outlives the call.
    let done = unsafe { ioctl(directory.as_raw_fd(), GET_ATTRIBUTES, &raw mut attributes) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(attributes) }
}

/// # Safety
/// `argument` must be what `request` reads or fills.
unsafe fn ioctl(file: RawFd, request: u32, argument: *mut Attributes) -> libc::c_int {
    // SAFETY: as the caller promises.
    unsafe { libc::ioctl(file, request.into(), argument) }
}

fn quota(directory: &File, command: u32, project: u32, limits: &mut Limits) -> io::Result<()> {
    // SAFETY: both commands read or fill a structure of this layout, which outlives the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_quotactl_fd,
            directory.as_raw_fd(),
            (command << 8) | PROJECT,
            project,
            &raw mut *limits,
        )
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Says what is missing for quotas.
fn explained(directory: &File, error: io::Error) -> io::Error {
    let missing = [libc::ENOSYS, libc::EOPNOTSUPP, libc::ESRCH, libc::ENOTTY, libc::EINVAL];
    if !error.raw_os_error().is_some_and(|code| missing.contains(&code)) {
        return error;
    }
    let kind = rustix::fs::fstatfs(directory).map_or(0, |stat| stat.f_type);
    let reason = match kind {
        0xef53 => {
            "ext4 here has no project quotas: make it with `mkfs.ext4 -O quota,project -E \
             quotatype=prjquota` (or tune2fs) and mount it with the option `prjquota`"
        }
        0x5846_5342 => "xfs here has no project quotas: mount it with the option `pquota`",
        0x0102_1994 => "tmpfs has no project quotas",
        0x9123_683e => "btrfs has no project quotas",
        _ => "this file system has no project quotas; ext4 and xfs can have them",
    };
    io::Error::new(io::ErrorKind::Unsupported, reason)
}
