//! The container's own mounts.
//!
//! What comes from the host is opened by the shim, in the host's mount namespace, so that a shared
//! mount stays shared with it; the rest is made by the container's first process.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::mount::{MountAttrFlags, OpenTreeFlags, UnmountFlags};

use super::super::plan::{MountPlan, MountSource};
use super::failure::{Doing as _, Failure};
use super::rootfs::{attach, overlay};
use super::{inside, system};
use crate::sys::mounts::{self, MountChange, NO_DEV, NO_SUID, READ_ONLY};

/// `PROC_SUPER_MAGIC`.
const PROC_MAGIC: i64 = 0x9fa0;
/// What may be mounted over in `/proc`: files that only inform, which lxcfs and the like replace.
const PROC_FILES: [&[u8]; 9] = [
    b"cpuinfo",
    b"diskstats",
    b"meminfo",
    b"stat",
    b"swaps",
    b"uptime",
    b"loadavg",
    b"slabinfo",
    b"net/dev",
];

/// Opens what comes from the host, detached; `None` for what the first process makes itself.
pub(in crate::runtime) fn prepare(plans: &[MountPlan]) -> Result<Vec<Option<OwnedFd>>, Failure> {
    plans
        .iter()
        .map(|plan| match &plan.source {
            MountSource::Bind { path, subpath, propagation, recursive } => {
                let change = MountChange {
                    set: if plan.read_only { READ_ONLY } else { 0 },
                    clear: 0,
                    propagation: *propagation,
                };
                let what = || match subpath {
                    Some(part) => {
                        format!("use {} in {}", part.to_string_lossy(), path.to_string_lossy())
                    }
                    None => format!("use {}", path.to_string_lossy()),
                };
                bind(path, subpath.as_deref(), *recursive, change).doing(what).map(Some)
            }
            _ => Ok(None),
        })
        .collect()
}

fn bind(
    path: &CStr,
    subpath: Option<&CStr>,
    recursive: bool,
    change: MountChange,
) -> std::io::Result<OwnedFd> {
    let source = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let source = match subpath {
        Some(subpath) => inside::find(&source, subpath)?,
        None => source,
    };
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    let tree = rustix::mount::open_tree(&source, c"", flags)?;
    mounts::mount_setattr(tree.as_fd(), c"", recursive, change)?;
    Ok(tree)
}

/// Mounts them in `root`. `prepared` is what [`prepare`] made of the same plans. `stage` is a
/// directory of the host for what needs a place before it can be copied.
pub(super) fn mount(
    root: &OwnedFd,
    plans: &[MountPlan],
    prepared: &[Option<OwnedFd>],
    stage: &CStr,
    privileged: bool,
) -> Result<(), Failure> {
    let mut files = Files { mount: None, count: 0 };
    for (plan, prepared) in plans.iter().zip(prepared) {
        let made;
        let tree = match (prepared, &plan.source) {
            (Some(tree), _) => tree,
            (None, source) => {
                made = make(source, plan.read_only, stage, &mut files)?;
                &made
            }
        };
        place(root, plan, tree, privileged)?;
    }
    files.leave(stage).doing(|| "take the files in memory off their stage")
}

fn make(
    source: &MountSource,
    read_only: bool,
    stage: &CStr,
    files: &mut Files,
) -> Result<OwnedFd, Failure> {
    match source {
        MountSource::Tmpfs { attributes, parameters } => {
            let parameters = parameters
                .iter()
                .map(|(key, value)| (key.as_c_str(), value.as_c_str()))
                .collect::<Vec<_>>();
            let mut attributes = MountAttrFlags::from_bits_retain(*attributes);
            attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, read_only);
            system::new_mount(c"tmpfs", &parameters, attributes).doing(|| "make a tmpfs")
        }
        MountSource::File { content, uid, gid, mode } => files
            .make(stage, &content.0, (*uid, *gid, *mode), read_only)
            .doing(|| "make a file in memory"),
        MountSource::Layers { lower, subpath } => layers(lower, subpath.as_deref(), stage),
        // Those are prepared: this one was not, which is a fault of ours.
        MountSource::Bind { path, .. } => Err(Failure::new(format!("{path:?} was not opened"))),
    }
}

/// Another image's files: one layer by itself, or an overlay of them all.
fn layers(lower: &[CString], subpath: Option<&CStr>, stage: &CStr) -> Result<OwnedFd, Failure> {
    let change = MountChange { set: READ_ONLY | NO_SUID | NO_DEV, ..MountChange::default() };
    if let [layer] = lower {
        return bind(layer, subpath, false, change).doing(|| format!("use the layer {layer:?}"));
    }
    let whole = overlay(lower, None, stage)?;
    let doing = || "use the files of an image";
    let part = inside::find(&whole, subpath.unwrap_or(c".")).doing(doing)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(&part, c"", flags).doing(doing)?;
    mounts::mount_setattr(tree.as_fd(), c"", false, change).doing(doing)?;
    unstage(stage).doing(doing)?;
    Ok(tree)
}

/// Takes off what was attached last to the stage. The container's root is there as well: whatever
/// stayed on top of it would hide the root from every program that enters the container later.
fn unstage(stage: &CStr) -> std::io::Result<()> {
    Ok(rustix::mount::unmount(stage, UnmountFlags::DETACH)?)
}

/// One memory file system of the container that holds all its files in memory.
struct Files {
    mount: Option<OwnedFd>,
    count: u32,
}

impl Files {
    /// Gives its place back, once there will be no more files.
    fn leave(self, stage: &CStr) -> std::io::Result<()> {
        self.mount.map_or(Ok(()), |_| unstage(stage))
    }

    fn make(
        &mut self,
        stage: &CStr,
        content: &[u8],
        (uid, gid, mode): (u32, u32, u32),
        read_only: bool,
    ) -> std::io::Result<OwnedFd> {
        if self.mount.is_none() {
            // Programs may be among them: docker compose mounts such files from the host, where they
            // can be run as well.
            let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
            let made = system::new_mount(c"tmpfs", &[(c"mode", c"0700")], attributes)?;
            // It needs a place before parts of it can be mounted elsewhere.
            attach(&made, CWD, stage)?;
            self.mount = Some(made);
        }
        let Some(mount) = &self.mount else { return Err(std::io::ErrorKind::NotFound.into()) };
        let name = format!("{}", self.count);
        self.count += 1;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(mount, name.as_str(), flags, Mode::from_raw_mode(0o600))?;
        let mut rest = content;
        while !rest.is_empty() {
            let written = rustix::io::write(&file, rest)?;
            rest = &rest[written..];
        }
        rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o7777))?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = rustix::mount::open_tree(mount, name.as_str(), flags)?;
        if read_only {
            let change = MountChange { set: READ_ONLY, ..MountChange::default() };
            mounts::mount_setattr(tree.as_fd(), c"", false, change)?;
        }
        Ok(tree)
    }
}

fn place(
    root: &OwnedFd,
    plan: &MountPlan,
    tree: &OwnedFd,
    privileged: bool,
) -> Result<(), Failure> {
    let doing = || format!("mount {}", plan.target.to_string_lossy());
    let directory = inside::is_dir(tree).doing(doing)?;
    // One that the image does not have is made, and then a tmpfs has the mode that the kernel gives.
    let covers = inside::find(root, &plan.target).is_ok();
    let target = if directory {
        inside::find_or_make_dir(root, &plan.target)
    } else {
        inside::find_or_make_file(root, &plan.target)
    }
    .doing(doing)?;
    guard(root, plan, &target, privileged)?;
    if covers && directory && matches!(plan.source, MountSource::Tmpfs { .. }) {
        keep_mode(&target, tree, plan).doing(doing)?;
    }
    attach(tree, &target, c"").doing(doing)
}

/// A tmpfs without a mode of its own takes that of the directory it covers, as Docker's does.
fn keep_mode(target: &OwnedFd, tree: &OwnedFd, plan: &MountPlan) -> rustix::io::Result<()> {
    let MountSource::Tmpfs { parameters, .. } = &plan.source else { return Ok(()) };
    if plan.read_only || parameters.iter().any(|(key, _)| key.as_c_str() == c"mode") {
        return Ok(());
    }
    let covered = rustix::fs::statat(target, c"", AtFlags::EMPTY_PATH)?;
    let mode = Mode::from_raw_mode(covered.st_mode & 0o7777);
    rustix::fs::chmodat(tree, c".", mode, AtFlags::empty())
}

/// Nothing may be put over what the rest of the start trusts: the root itself, and `/proc`, wherever
/// a link of the image leads (CVE-2023-27561).
fn guard(
    root: &OwnedFd,
    plan: &MountPlan,
    target: &OwnedFd,
    privileged: bool,
) -> Result<(), Failure> {
    let doing = || format!("mount {}", plan.target.to_string_lossy());
    let identity = |fd: &OwnedFd| {
        rustix::fs::statat(fd, c"", AtFlags::EMPTY_PATH).map(|stat| (stat.st_dev, stat.st_ino))
    };
    if identity(root).doing(doing)? == identity(target).doing(doing)? {
        return Err(Failure::new("cannot mount on the root of a container"));
    }
    let kind = rustix::fs::fstatfs(target).doing(doing)?;
    if kind.f_type != PROC_MAGIC || privileged {
        return Ok(());
    }
    match plan.target.to_bytes().strip_prefix(b"/proc/") {
        Some(file) if PROC_FILES.contains(&file) => Ok(()),
        _ => Err(Failure::new(format!(
            "cannot mount {}: it lies in /proc, which belongs to the kernel",
            plan.target.to_string_lossy()
        ))),
    }
}
