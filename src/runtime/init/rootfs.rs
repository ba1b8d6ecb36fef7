//! The root file system: overlayfs over the image's layers.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
};

use super::super::plan::{RootEntry, RootFiles, RootPlan};
use super::failure::{Doing as _, Failure};
use super::inside;
use crate::sys::mounts::{self, MountChange};

/// Where no layer changes.
pub(super) struct Writable<'a> {
    upper: &'a CStr,
    work: &'a CStr,
}

/// Mounts the root at its stage, in the caller's own mount namespace. `prepared` is the root if it is
/// a directory of the host.
pub(super) fn mount(plan: &RootPlan, prepared: Option<&OwnedFd>) -> Result<OwnedFd, Failure> {
    let doing = || format!("attach the root to {:?}", plan.stage);
    match (&plan.files, prepared) {
        (RootFiles::Layers { lower, upper, work }, _) => {
            overlay(lower, Some(&Writable { upper, work }), &plan.stage)
        }
        (RootFiles::Directory(_), Some(tree)) => {
            attach(tree, CWD, &plan.stage).doing(doing)?;
            tree.try_clone().doing(doing)
        }
        (RootFiles::Directory(path), None) => {
            Err(Failure::new(format!("the root {path:?} was not opened")))
        }
    }
}

/// An overlay of `lower`, the top one first, mounted on the directory `stage` of the host.
pub(super) fn overlay(
    lower: &[CString],
    writable: Option<&Writable<'_>>,
    stage: &CStr,
) -> Result<OwnedFd, Failure> {
    match by_descriptors(lower, writable) {
        Ok(overlay) => {
            attach(&overlay, CWD, stage).doing(|| format!("attach the root to {stage:?}"))?;
            Ok(overlay)
        }
        // Before Linux 6.13 layers cannot be given as descriptors.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            by_option_string(lower, writable, stage)
        }
        Err(error) => Err(error).doing(|| match first_missing(lower, writable) {
            Some(path) => format!("use the layer {path:?}"),
            None => "mount the root file system".to_owned(),
        }),
    }
}

fn by_descriptors(
    lower: &[CString],
    writable: Option<&Writable<'_>>,
) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for layer in lower {
        rustix::mount::fsconfig_set_fd(&context, c"lowerdir+", layer_handle(layer)?)?;
    }
    if let Some(Writable { upper, work }) = writable {
        rustix::mount::fsconfig_set_fd(&context, c"upperdir", layer_handle(upper)?)?;
        rustix::mount::fsconfig_set_fd(&context, c"workdir", layer_handle(work)?)?;
    }
    for (key, value) in PORTABLE {
        rustix::mount::fsconfig_set_string(&context, key, value)?;
    }
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// What keeps an upper layer usable elsewhere, whatever the kernel was built with.
const PORTABLE: [(&CStr, &CStr); 3] =
    [(c"index", c"off"), (c"metacopy", c"off"), (c"redirect_dir", c"off")];

/// The options in one page, with each layer as `/proc/self/fd/N`: 200 layers fit however long their
/// paths are.
fn by_option_string(
    lower: &[CString],
    writable: Option<&Writable<'_>>,
    stage: &CStr,
) -> Result<OwnedFd, Failure> {
    let doing = || "mount the root file system";
    let mut handles = Vec::with_capacity(lower.len() + 2);
    let mut by_number = |path: &CStr| -> Result<String, Failure> {
        let handle = layer_handle(path).doing(|| format!("use the layer {path:?}"))?;
        let shown = format!("/proc/self/fd/{}", handle.as_raw_fd());
        handles.push(handle);
        Ok(shown)
    };
    let lower = lower.iter().map(|layer| by_number(layer)).collect::<Result<Vec<_>, _>>()?;
    let mut options = vec![
        "index=off,metacopy=off,redirect_dir=off".to_owned(),
        format!("lowerdir={}", lower.join(":")),
    ];
    if let Some(Writable { upper, work }) = writable {
        options.push(format!("upperdir={}", by_number(upper)?));
        options.push(format!("workdir={}", by_number(work)?));
    }
    let options = options.join(",");
    if options.len() > 4095 {
        return Err(Failure::new("the image has more layers than this kernel can mount"));
    }
    let options = CString::new(options).map_err(std::io::Error::from).doing(doing)?;
    rustix::mount::mount(c"overlay", stage, c"overlay", MountFlags::empty(), options.as_c_str())
        .doing(doing)?;
    rustix::fs::open(stage, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .doing(doing)
}

fn layer_handle(path: &CStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn first_missing<'a>(lower: &'a [CString], writable: Option<&Writable<'a>>) -> Option<&'a CStr> {
    let writable = writable.iter().flat_map(|w| [w.upper, w.work]).collect::<Vec<_>>();
    lower.iter().map(CString::as_c_str).chain(writable).find(|path| layer_handle(path).is_err())
}

/// Attaches the detached mount `mount` at `path` under `dir` (empty: `dir` itself).
pub(super) fn attach(
    mount: &OwnedFd,
    dir: impl std::os::fd::AsFd,
    path: &CStr,
) -> rustix::io::Result<()> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if path.is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    rustix::mount::move_mount(mount, c"", dir, path, flags)
}

/// Makes `root` the root of the calling process.
pub(super) fn enter(root: &OwnedFd, entry: RootEntry) -> Result<(), Failure> {
    let doing = || "make the container's files the root";
    rustix::process::fchdir(root).doing(doing)?;
    match entry {
        RootEntry::Pivot => {
            rustix::process::pivot_root(c".", c".").doing(doing)?;
            // The old root now lies over the new one at the same place: the host's files are gone.
            rustix::mount::unmount(c".", UnmountFlags::DETACH).doing(doing)?;
        }
        RootEntry::Move => {
            cover_host().doing(doing)?;
            rustix::mount::mount_move(c".", c"/").doing(doing)?;
            rustix::process::chroot(c".").doing(doing)?;
        }
        RootEntry::Chroot => rustix::process::chroot(c".").doing(doing)?,
    }
    rustix::process::chdir(c"/").doing(doing)
}

/// Takes the host's views of the kernel off, or covers them: the host's root stays below the
/// container's when that is moved over it, and a process that gets there must not find a `/proc`
/// through which it could do more.
fn cover_host() -> std::io::Result<()> {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo")?;
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let kind = right.split(' ').next().unwrap_or_default();
        let Some(point) = left.split(' ').nth(4) else { continue };
        let outside = point == "/proc" || point == "/sys";
        if outside && matches!(kind, "proc" | "sysfs") {
            rustix::mount::mount_change(
                point,
                rustix::mount::MountPropagationFlags::PRIVATE
                    | rustix::mount::MountPropagationFlags::REC,
            )?;
            rustix::mount::unmount(point, UnmountFlags::DETACH)?;
        }
    }
    Ok(())
}

/// How the root hears of other mounts, in the end.
pub(super) fn set_propagation(root: &OwnedFd, plan: &RootPlan) -> Result<(), Failure> {
    use std::os::fd::AsFd as _;
    if plan.propagation == 0 {
        return Ok(());
    }
    let recursive = plan.propagation & libc::MS_REC != 0;
    let propagation = plan.propagation & !libc::MS_REC;
    let change = MountChange { propagation, ..MountChange::default() };
    mounts::mount_setattr(root.as_fd(), c"", recursive, change)
        .doing(|| "set the propagation of the root file system")
}

/// Makes the root read-only; mounts below it keep what they are.
pub(super) fn make_read_only(root: &OwnedFd) -> Result<(), Failure> {
    use std::os::fd::AsFd as _;
    let change = MountChange { set: mounts::READ_ONLY, ..MountChange::default() };
    mounts::mount_setattr(root.as_fd(), c"", false, change)
        .doing(|| "make the root file system read-only")
}

/// The directory in `root` to start in: made if it is missing, as Docker does.
pub(super) fn ensure_cwd(root: &OwnedFd, cwd: &CStr) -> Result<(), Failure> {
    inside::find_or_make_dir(root, cwd)
        .map(drop)
        .doing(|| format!("make the working directory {cwd:?}"))
}
