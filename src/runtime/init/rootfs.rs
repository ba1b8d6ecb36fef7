//! The root file system: overlayfs over the image's layers.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
};

use super::super::plan::RootPlan;
use super::failure::{Doing as _, Failure};
use super::inside;
use crate::sys::mounts::{self, MountChange};

/// Where no layer changes.
pub(super) struct Writable<'a> {
    upper: &'a CStr,
    work: &'a CStr,
}

/// Mounts the root at its stage, in the caller's own mount namespace.
pub(super) fn mount(plan: &RootPlan) -> Result<OwnedFd, Failure> {
    let writable = Writable { upper: &plan.upper, work: &plan.work };
    overlay(&plan.lower, Some(&writable), &plan.stage)
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

/// Makes `root` the root of the caller's mount namespace; the host's files are gone.
pub(super) fn enter(root: &OwnedFd) -> Result<(), Failure> {
    let doing = || "make the container's files the root";
    rustix::process::fchdir(root).doing(doing)?;
    rustix::process::pivot_root(c".", c".").doing(doing)?;
    // The old root now lies over the new one at the same place.
    rustix::mount::unmount(c".", UnmountFlags::DETACH).doing(doing)?;
    rustix::process::chdir(c"/").doing(doing)
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
