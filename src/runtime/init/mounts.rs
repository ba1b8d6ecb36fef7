//! The container's own mounts.
//!
//! What comes from the host is opened by the shim, in the host's mount namespace, so that a shared
//! mount stays shared with it; the rest is made by the container's first process.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::mount::{MountAttrFlags, OpenTreeFlags, UnmountFlags};

use super::super::plan::{Attributes, MountPlan, MountSource, RootFiles, RootPlan, StartPlan};
use super::failure::{Doing as _, Failure};
use super::rootfs::{Layers, attach, overlay};
use super::{inside, system, users};
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
pub(in crate::runtime) fn prepare(
    plans: &[MountPlan],
    id_maps: &[OwnedFd],
) -> Result<Vec<Option<OwnedFd>>, Failure> {
    plans
        .iter()
        .map(|plan| match &plan.source {
            MountSource::Bind { path, subpath, propagation, recursive, id_map, id_map_all } => {
                let users = users::map(id_maps, *id_map)?;
                let what = || match subpath {
                    Some(part) => {
                        format!("use {} in {}", part.to_string_lossy(), path.to_string_lossy())
                    }
                    None => format!("use {}", path.to_string_lossy()),
                };
                let all = MountChange {
                    set: plan.change_all.set,
                    clear: plan.change_all.clear,
                    propagation: *propagation,
                };
                let users = users.map(|users| (users, *id_map_all));
                let source = Source { path, subpath: subpath.as_deref(), users };
                let tree = bind(&source, *recursive, all).doing(what)?;
                change(&tree, plan.change).doing(what)?;
                Ok(Some(tree))
            }
            _ => Ok(None),
        })
        .collect()
}

/// The directory of the host that is the root, detached, with all that is mounted below it.
pub(in crate::runtime) fn prepare_root(plan: &RootPlan) -> Result<Option<OwnedFd>, Failure> {
    let RootFiles::Directory(path) = &plan.files else { return Ok(None) };
    // Not shared, whatever it is to be in the end: a shared one cannot become the root.
    let all = MountChange { propagation: libc::MS_SLAVE, ..MountChange::default() };
    bind(&Source { path, subpath: None, users: None }, true, all)
        .doing(|| format!("use the root file system {}", path.to_string_lossy()))
        .map(Some)
}

/// What of the host is shown.
struct Source<'a> {
    path: &'a CStr,
    /// Only this of it.
    subpath: Option<&'a CStr>,
    /// The user namespace that it is seen through, and whether all mounts below are.
    users: Option<(&'a OwnedFd, bool)>,
}

fn bind(source: &Source<'_>, recursive: bool, change: MountChange) -> std::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let whole = rustix::fs::open(source.path, flags, Mode::empty())?;
    let shown = match source.subpath {
        Some(subpath) => inside::find(&whole, subpath)?,
        None => whole,
    };
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    let tree = rustix::mount::open_tree(&shown, c"", flags)?;
    if let Some((users, all)) = source.users {
        mounts::map_ids(tree.as_fd(), recursive && all, users.as_fd())?;
    }
    mounts::mount_setattr(tree.as_fd(), c"", recursive, change)?;
    Ok(tree)
}

/// Changes one mount, if anything is to change.
fn change(mount: &OwnedFd, Attributes { set, clear }: Attributes) -> std::io::Result<()> {
    if (set, clear) == (0, 0) {
        return Ok(());
    }
    mounts::mount_setattr(mount.as_fd(), c"", false, MountChange { set, clear, propagation: 0 })
}

/// Mounts them in `root`. `prepared` is what [`prepare`] made of the same plans. What is returned is
/// to be made read-only once nothing is made in it any more.
pub(super) fn mount(
    root: &OwnedFd,
    plan: &StartPlan,
    prepared: &[Option<OwnedFd>],
    id_maps: &[OwnedFd],
) -> Result<Vec<OwnedFd>, Failure> {
    let stage = plan.root.stage.as_c_str();
    let mut files = Files { mount: None, count: 0 };
    let mut late = Vec::new();
    for (mount, prepared) in plan.mounts.iter().zip(prepared) {
        let made;
        match (prepared, &mount.source) {
            (_, MountSource::Cgroups) => {
                let target = inside::find_or_make_dir(root, &mount.target)
                    .doing(|| format!("mount {}", mount.target.to_string_lossy()))?;
                system::show_cgroups(&target, c"", &plan.system.cgroups, mount.change)?;
            }
            (Some(tree), _) => place(root, mount, tree, plan.system.privileged)?,
            (None, _) => {
                made = make(mount, stage, id_maps, &mut files)?;
                place(root, mount, &made, plan.system.privileged)?;
                if mount.read_only() && is_memory(mount) {
                    late.push(made);
                }
            }
        }
    }
    files.leave(stage).doing(|| "take the files in memory off their stage")?;
    Ok(late)
}

/// Makes read-only what [`mount`] left to be.
pub(super) fn make_read_only(late: &[OwnedFd]) -> Result<(), Failure> {
    let read_only = Attributes { set: READ_ONLY, clear: 0 };
    late.iter().try_for_each(|mount| change(mount, read_only).doing(|| "make a mount read-only"))
}

fn is_memory(mount: &MountPlan) -> bool {
    matches!(&mount.source, MountSource::New { kind, .. } if kind.as_c_str() == c"tmpfs")
}

fn make(
    mount: &MountPlan,
    stage: &CStr,
    id_maps: &[OwnedFd],
    files: &mut Files,
) -> Result<OwnedFd, Failure> {
    match &mount.source {
        MountSource::New { kind, parameters, .. } => {
            let parameters = parameters
                .iter()
                .map(|(key, value)| (key.as_c_str(), value.as_c_str()))
                .collect::<Vec<_>>();
            // Until everything is in it.
            let late = if is_memory(mount) { READ_ONLY } else { 0 };
            let attributes = u32::try_from(mount.change.set & !late).unwrap_or_default();
            let attributes = MountAttrFlags::from_bits_retain(attributes);
            system::new_mount(kind, &parameters, attributes).doing(|| {
                format!("make a {} for {}", kind.to_string_lossy(), mount.target.to_string_lossy())
            })
        }
        MountSource::File { content, uid, gid, mode } => files
            .make(stage, &content.0, (*uid, *gid, *mode), mount.read_only())
            .doing(|| "make a file in memory"),
        MountSource::Layers { lower, subpath, id_map } => {
            let users = users::map(id_maps, *id_map)?;
            show_layers(&Layers { lower, writable: None, users }, subpath.as_deref(), stage)
        }
        // Those are made elsewhere: this one was not, which is a fault of ours.
        MountSource::Bind { .. } | MountSource::Cgroups => {
            Err(Failure::new(format!("the source of {:?} was not opened", mount.target)))
        }
    }
}

/// Another image's files: one layer by itself, or an overlay of them all.
fn show_layers(
    layers: &Layers<'_>,
    subpath: Option<&CStr>,
    stage: &CStr,
) -> Result<OwnedFd, Failure> {
    let change = MountChange { set: READ_ONLY | NO_SUID | NO_DEV, ..MountChange::default() };
    if let [layer] = layers.lower {
        let source =
            Source { path: layer, subpath, users: layers.users.map(|users| (users, false)) };
        return bind(&source, false, change).doing(|| format!("use the layer {layer:?}"));
    }
    let whole = overlay(layers, stage)?;
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
    let target = if is_kernels_own(plan) {
        inside::ordinary_dir(root, &plan.target)?
    } else if directory {
        inside::find_or_make_dir(root, &plan.target).doing(doing)?
    } else {
        inside::find_or_make_file(root, &plan.target).doing(doing)?
    };
    if !directory && inside::is_dir(&target).doing(doing)? {
        let target = plan.target.to_string_lossy();
        return Err(Failure::new(format!(
            "cannot mount {target}: it is a directory, and what is mounted is a file"
        )));
    }
    guard(root, plan, &target, privileged)?;
    if covers && directory && is_memory(plan) {
        keep_mode(&target, tree, plan).doing(doing)?;
        if plan.copy_up {
            super::copy_up::copy(&target, tree)
                .doing(|| format!("copy what is at {} into it", plan.target.to_string_lossy()))?;
        }
    }
    attach(tree, &target, c"").doing(doing)?;
    match &plan.source {
        MountSource::New { propagation: propagation @ 1.., .. } => {
            let recursive = propagation & libc::MS_REC != 0;
            let change =
                MountChange { propagation: propagation & !libc::MS_REC, ..MountChange::default() };
            mounts::mount_setattr(tree.as_fd(), c"", recursive, change).doing(doing)
        }
        _ => Ok(()),
    }
}

/// Whether it is a view of the kernel, which the rest of the start trusts.
fn is_kernels_own(plan: &MountPlan) -> bool {
    matches!(&plan.source, MountSource::New { kind, .. }
        if kind.as_c_str() == c"proc" || kind.as_c_str() == c"sysfs")
}

/// A tmpfs without a mode of its own takes that of the directory it covers, as Docker's does.
fn keep_mode(target: &OwnedFd, tree: &OwnedFd, plan: &MountPlan) -> rustix::io::Result<()> {
    let MountSource::New { parameters, .. } = &plan.source else { return Ok(()) };
    if parameters.iter().any(|(key, _)| key.as_c_str() == c"mode") {
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
