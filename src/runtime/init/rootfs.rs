//! The root file system: overlayfs over the image's layers.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use super::super::plan::{RootEntry, RootFiles, RootPlan};
use super::failure::{Doing as _, Failure};
use super::{inside, system, users};
use crate::sys::mounts::{self, MountChange};

/// What an overlay is made of.
pub(super) struct Layers<'a> {
    /// Read-only, the top one first.
    pub lower: &'a [CString],
    /// Where changes go.
    pub writable: Option<Writable<'a>>,
    /// The user namespace that they are seen through.
    pub users: Option<&'a OwnedFd>,
}

/// Where changes go, and what overlayfs needs beside it.
pub(super) struct Writable<'a> {
    upper: &'a CStr,
    work: &'a CStr,
}

/// Mounts the root at its stage, in the caller's own mount namespace. `prepared` is the root if it is
/// a directory of the host.
pub(super) fn mount(
    plan: &RootPlan,
    prepared: Option<&OwnedFd>,
    id_maps: &[OwnedFd],
) -> Result<OwnedFd, Failure> {
    let doing = || format!("attach the root to {:?}", plan.stage);
    match (&plan.files, prepared) {
        (RootFiles::Layers { lower, id_map, upper, work }, _) => {
            let users = users::map(id_maps, *id_map)?;
            let writable = Some(Writable { upper, work });
            overlay(&Layers { lower, writable, users }, &plan.stage)
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

/// An overlay, mounted on the directory `stage` of the host.
pub(super) fn overlay(layers: &Layers<'_>, stage: &CStr) -> Result<OwnedFd, Failure> {
    if let Some(writable) = &layers.writable {
        unmark(writable.work);
    }
    match layers.open().and_then(|opened| by_descriptors(&opened)) {
        Ok(overlay) => {
            attach(&overlay, CWD, stage).doing(|| format!("attach the root to {stage:?}"))?;
            Ok(overlay)
        }
        // Before Linux 6.13 layers cannot be given as descriptors, before 6.15 not as mounts that are
        // attached nowhere.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => by_option_string(layers, stage),
        Err(error) => Err(error).doing(|| match layers.first_missing() {
            Some(path) => format!("use the layer {path:?}"),
            None => "mount the root file system".to_owned(),
        }),
    }
}

/// Lets a writable layer be mounted once more. Overlayfs marks one that it does not write back, and takes
/// no marked one, as its files might be torn after a crash; ours are of this boot.
fn unmark(work: &CStr) {
    let Ok(work) = directory(CWD, work) else { return };
    let mark = [
        (c"work/incompat/volatile/dirty", AtFlags::empty()),
        (c"work/incompat/volatile", AtFlags::REMOVEDIR),
    ];
    for (path, flags) in mark {
        // A new one has no mark.
        let _none = rustix::fs::unlinkat(&work, path, flags);
    }
}

/// Handles on the layers of an overlay.
struct Opened {
    lower: Vec<OwnedFd>,
    writable: Option<OpenedWritable>,
}

struct OpenedWritable {
    /// The mount that both are in, if it is one of their own.
    mount: Option<OwnedFd>,
    upper: OwnedFd,
    work: OwnedFd,
}

impl Layers<'_> {
    fn open(&self) -> rustix::io::Result<Opened> {
        let lower = self.lower.iter().map(|layer| self.open_layer(layer));
        Ok(Opened {
            lower: lower.collect::<rustix::io::Result<_>>()?,
            writable: self.writable.as_ref().map(|w| self.open_writable(w)).transpose()?,
        })
    }

    /// The layer as it is, or a mount of it that is seen through the user namespace.
    fn open_layer(&self, path: &CStr) -> rustix::io::Result<OwnedFd> {
        let Some(users) = self.users else { return directory(CWD, path) };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let mount = rustix::mount::open_tree(CWD, path, flags)?;
        mounts::map_ids(mount.as_fd(), false, users.as_fd())
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(mount)
    }

    /// Both in one mount: overlayfs takes nothing else.
    fn open_writable(&self, writable: &Writable<'_>) -> rustix::io::Result<OpenedWritable> {
        let Writable { upper, work } = writable;
        if self.users.is_none() {
            let (upper, work) = (directory(CWD, upper)?, directory(CWD, work)?);
            return Ok(OpenedWritable { mount: None, upper, work });
        }
        let (parent, upper) = split(upper)?;
        let (other, work) = split(work)?;
        if parent != other {
            return Err(Errno::XDEV);
        }
        let mount = self.open_layer(&parent)?;
        let (upper, work) = (directory(&mount, &upper)?, directory(&mount, &work)?);
        Ok(OpenedWritable { mount: Some(mount), upper, work })
    }

    fn first_missing(&self) -> Option<&CStr> {
        let writable = self.writable.iter().flat_map(|w| [w.upper, w.work]);
        let all = self.lower.iter().map(CString::as_c_str).chain(writable);
        all.into_iter().find(|path| directory(CWD, path).is_err())
    }
}

/// A path as the directory it is in, and its name there.
fn split(path: &CStr) -> rustix::io::Result<(CString, CString)> {
    let bytes = path.to_bytes();
    let cut = bytes.iter().rposition(|byte| *byte == b'/').ok_or(Errno::INVAL)?;
    let whole = |bytes: &[u8]| CString::new(bytes).map_err(|_| Errno::INVAL);
    Ok((whole(&bytes[..cut.max(1)])?, whole(&bytes[cut + 1..])?))
}

fn directory(parent: impl AsFd, path: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(parent, path, flags, Mode::empty())
}

fn by_descriptors(layers: &Opened) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for layer in &layers.lower {
        rustix::mount::fsconfig_set_fd(&context, c"lowerdir+", layer)?;
    }
    if let Some(OpenedWritable { upper, work, .. }) = &layers.writable {
        rustix::mount::fsconfig_set_fd(&context, c"upperdir", upper)?;
        rustix::mount::fsconfig_set_fd(&context, c"workdir", work)?;
        rustix::mount::fsconfig_set_flag(&context, c"volatile")?;
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
fn by_option_string(layers: &Layers<'_>, stage: &CStr) -> Result<OwnedFd, Failure> {
    let doing = || match layers.first_missing() {
        Some(path) => format!("use the layer {path:?}"),
        None => "mount the root file system".to_owned(),
    };
    let opened = layers.open().doing(doing)?;
    if layers.users.is_some() {
        attach_layers(&opened, stage).doing(|| "attach the layers")?;
    }
    let by_number = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let lower = opened.lower.iter().map(by_number).collect::<Vec<_>>();
    let mut options = vec![
        "index=off,metacopy=off,redirect_dir=off".to_owned(),
        format!("lowerdir={}", lower.join(":")),
    ];
    if let Some(OpenedWritable { upper, work, .. }) = &opened.writable {
        options.push(format!("upperdir={}", by_number(upper)));
        options.push(format!("workdir={}", by_number(work)));
        options.push("volatile".to_owned());
    }
    let options = options.join(",");
    if options.len() > 4095 {
        return Err(Failure::new("the image has more layers than this kernel can mount"));
    }
    let options = CString::new(options).map_err(std::io::Error::from).doing(doing)?;
    rustix::mount::mount(c"overlay", stage, c"overlay", MountFlags::empty(), options.as_c_str())
        .doing(doing)?;
    if layers.users.is_some() {
        return alone(stage).doing(doing);
    }
    directory(CWD, stage).doing(doing)
}

/// Leaves the overlay alone at `stage`, without the places of its layers, which it does not need any
/// more.
fn alone(stage: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let overlay = rustix::mount::open_tree(CWD, stage, flags)?;
    rustix::mount::unmount(stage, UnmountFlags::DETACH)?;
    rustix::mount::unmount(stage, UnmountFlags::DETACH)?;
    attach(&overlay, CWD, stage)?;
    Ok(overlay)
}

/// Gives the mounts of the layers a place, under what will be mounted at `stage`: a kernel that takes
/// paths only takes no mount that has none.
fn attach_layers(opened: &Opened, stage: &CStr) -> rustix::io::Result<()> {
    let parameters = [(c"mode", c"0700"), (c"size", c"64k")];
    let places = system::new_mount(c"tmpfs", &parameters, MountAttrFlags::empty())?;
    attach(&places, CWD, stage)?;
    let writable = opened.writable.as_ref().and_then(|writable| writable.mount.as_ref());
    for (number, mount) in opened.lower.iter().chain(writable).enumerate() {
        let name = CString::new(number.to_string()).map_err(|_| Errno::INVAL)?;
        rustix::fs::mkdirat(&places, &name, Mode::from_raw_mode(0o700))?;
        attach(mount, &places, &name)?;
    }
    Ok(())
}

/// Attaches the detached mount `mount` at `path` under `dir` (empty: `dir` itself).
pub(super) fn attach(mount: &OwnedFd, dir: impl AsFd, path: &CStr) -> rustix::io::Result<()> {
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
