//! `/proc`, `/dev`, `/sys` and the cgroups, and what of them is hidden.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};

use super::super::plan::{Attributes, DevicePlan, StartPlan, SystemPlan};
use super::failure::{Doing as _, Failure};
use super::inside;
use super::rootfs::attach;
use crate::sys::mounts::{self, MountChange, NO_DEV, NO_EXEC, NO_SUID, READ_ONLY};

/// Handles on what later steps work through, not by path.
pub(super) struct System {
    /// A `/proc` of the container's own, which nothing can have been mounted on.
    pub proc: Option<OwnedFd>,
    /// `/dev`.
    pub dev: Option<OwnedFd>,
    /// `/dev/pts`.
    pub pts: Option<OwnedFd>,
}

impl System {
    /// The container's processes, as files.
    pub(super) fn proc(&self) -> Result<&OwnedFd, Failure> {
        self.proc.as_ref().ok_or_else(|| Failure::new("the container's /proc was not made"))
    }
}

/// `DEVPTS_SUPER_MAGIC`.
pub(in crate::runtime) const DEVPTS_MAGIC: i64 = 0x1cd1;

/// `TMPFS_MAGIC`.
const TMPFS_MAGIC: i64 = 0x0102_1994;

const PLAIN: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// The nodes that every program expects: name, major and minor number.
const NODES: [(&CStr, u32, u32); 6] = [
    (c"null", 1, 3),
    (c"zero", 1, 5),
    (c"full", 1, 7),
    (c"random", 1, 8),
    (c"urandom", 1, 9),
    (c"tty", 5, 0),
];
const LINKS: [(&CStr, &CStr); 6] = [
    (c"pts/ptmx", c"ptmx"),
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
    (c"/proc/kcore", c"core"),
];

/// Mounts them all in `root`.
pub(super) fn mount(
    root: &OwnedFd,
    plan: &SystemPlan,
    shm: Option<&OwnedFd>,
) -> Result<System, Failure> {
    let proc = new_mount(c"proc", &[], PLAIN).doing(|| "mount /proc")?;
    let place = inside::real_dir(root, c"proc").doing(|| "use the image's /proc")?;
    attach(&proc, &place, c"").doing(|| "mount /proc")?;
    let (dev, pts) = devices(root, plan, shm)?;
    sys(root, plan)?;
    Ok(System { proc: Some(proc), dev: Some(dev), pts: Some(pts) })
}

/// Finds them where the container's mounts are a list that somebody else made.
pub(super) fn find(root: &OwnedFd, plan: &StartPlan) -> Result<System, Failure> {
    let tuning = &plan.process.tuning;
    let proc = if plan.sysctls.is_empty() && tuning.labels.is_empty() {
        None
    } else {
        Some(new_mount(c"proc", &[], PLAIN).doing(|| "make a /proc")?)
    };
    let mut system = System { proc, dev: None, pts: None };
    if plan.system.nodes {
        let dev = inside::ordinary_dir(root, c"/dev")?;
        usual_nodes(&dev)?;
        system.dev = Some(dev);
    } else if plan.tty {
        system.dev = inside::find(root, c"/dev").ok();
    }
    for device in &plan.system.devices {
        make_node(root, device)?;
    }
    if plan.tty {
        system.pts = Some(find_pts(root)?);
    }
    Ok(system)
}

/// The container's own devpts: what lies at `/dev/pts` is checked to be one.
pub(in crate::runtime) fn find_pts(root: &OwnedFd) -> Result<OwnedFd, Failure> {
    let doing = || "use the container's /dev/pts";
    let pts = inside::find(root, c"dev/pts").doing(doing)?;
    if rustix::fs::fstatfs(&pts).doing(doing)?.f_type != DEVPTS_MAGIC {
        return Err(Failure::new("the container's /dev/pts is not one of terminals"));
    }
    Ok(pts)
}

/// A new, detached file system. An empty value is a flag.
pub(super) fn new_mount(
    kind: &CStr,
    parameters: &[(&CStr, &CStr)],
    attributes: MountAttrFlags,
) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in parameters {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(&context, *key)?;
        } else {
            rustix::mount::fsconfig_set_string(&context, *key, *value)?;
        }
    }
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn devices(
    root: &OwnedFd,
    plan: &SystemPlan,
    shm: Option<&OwnedFd>,
) -> Result<(OwnedFd, OwnedFd), Failure> {
    let parameters = [(c"mode", c"755"), (c"size", c"65536k")];
    let dev = new_mount(c"tmpfs", &parameters, MountAttrFlags::MOUNT_ATTR_NOSUID)
        .doing(|| "mount /dev")?;
    let place = inside::real_dir(root, c"dev").doing(|| "use the image's /dev")?;
    attach(&dev, &place, c"").doing(|| "mount /dev")?;
    usual_nodes(&dev)?;
    let group = CString::new(plan.tty_group.to_string()).map_err(std::io::Error::from);
    let group = group.doing(|| "mount /dev/pts")?;
    let pts = [(c"ptmxmode", c"0666"), (c"mode", c"0620"), (c"gid", group.as_c_str())];
    let pts = new_mount(
        c"devpts",
        &pts,
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )
    .doing(|| "mount /dev/pts")?;
    attach_in(&dev, c"pts", &pts)?;
    let queues = new_mount(c"mqueue", &[], PLAIN).doing(|| "mount /dev/mqueue")?;
    attach_in(&dev, c"mqueue", &queues)?;
    match shm {
        Some(shm) => attach_in(&dev, c"shm", shm)?,
        None => attach_in(&dev, c"shm", &shared_memory(plan)?)?,
    }
    for device in &plan.devices {
        make_node(root, device)?;
    }
    Ok((dev, pts))
}

/// What every program expects in `/dev`. What is there already stays, unless it is a file.
fn usual_nodes(dev: &OwnedFd) -> Result<(), Failure> {
    for (name, major, minor) in NODES {
        let mode = Mode::from_raw_mode(0o666);
        let number = rustix::fs::makedev(major, minor);
        let make = || rustix::fs::mknodat(dev, name, FileType::CharacterDevice, mode, number);
        // A root that cannot be written may have them.
        if rustix::fs::statat(dev, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| stat.st_rdev == number)
        {
            continue;
        }
        replacing(dev, name, make).doing(|| format!("make the device {name:?}"))?;
    }
    for (to, name) in LINKS {
        let make = || rustix::fs::symlinkat(to, dev, name);
        replacing(dev, name, make).doing(|| format!("make /dev/{}", name.to_string_lossy()))?;
    }
    Ok(())
}

/// Makes something in place of the file that may be there. A directory stays.
fn replacing(
    dir: &OwnedFd,
    name: &CStr,
    make: impl Fn() -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    match make() {
        Err(Errno::EXIST) => match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::BUSY) => Ok(()),
            gone => gone.and_then(|()| make()),
        },
        made => made,
    }
}

fn attach_in(dev: &OwnedFd, name: &CStr, mount: &OwnedFd) -> Result<(), Failure> {
    rustix::fs::mkdirat(dev, name, Mode::from_raw_mode(0o755))
        .and_then(|()| attach(mount, dev, name))
        .doing(|| format!("mount /dev/{}", name.to_string_lossy()))
}

fn shared_memory(plan: &SystemPlan) -> Result<OwnedFd, Failure> {
    if let Some(path) = &plan.shm_from {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        return rustix::mount::open_tree(CWD, path.as_c_str(), flags)
            .doing(|| format!("share {path:?}"));
    }
    let size = format!("{}\0", plan.shm_size);
    let size = CStr::from_bytes_with_nul(size.as_bytes()).unwrap_or(c"67108864");
    new_mount(c"tmpfs", &[(c"mode", c"1777"), (c"size", size)], PLAIN).doing(|| "mount /dev/shm")
}

/// A copy of the `/dev/shm` in the mount namespace `namespace`, which the calling process enters.
pub(in crate::runtime) fn take_shm(namespace: &OwnedFd) -> Result<OwnedFd, Failure> {
    let kind = Some(rustix::thread::LinkNameSpaceType::Mount);
    rustix::thread::move_into_link_name_space(namespace.as_fd(), kind)
        .doing(|| "enter its mount namespace")?;
    let root = super::own_root()?;
    let shm = inside::find(&root, c"dev/shm").doing(|| "find it")?;
    if rustix::fs::fstatfs(&shm).doing(|| "look at it")?.f_type != TMPFS_MAGIC {
        return Err(Failure::new("it is no memory file system"));
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(&shm, c"", flags).doing(|| "copy its mount")
}

/// A device node at a path of the container, which may lie anywhere.
fn make_node(root: &OwnedFd, device: &DevicePlan) -> Result<(), Failure> {
    let doing = || format!("make the device {:?}", device.path);
    let path = device.path.to_bytes();
    let cut = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (parent, name) = path.split_at(cut);
    let parent = std::ffi::CString::new(parent).map_err(std::io::Error::from).doing(doing)?;
    let parent = inside::find_or_make_dir(root, &parent).doing(doing)?;
    let kind = FileType::from_raw_mode(device.mode);
    let mode = Mode::from_raw_mode(device.mode & 0o7777);
    let number = rustix::fs::makedev(device.major, device.minor);
    match rustix::fs::mknodat(&parent, name, kind, mode, number) {
        // The usual nodes are there already; a later one of the same name wins.
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(&parent, name, AtFlags::empty()).doing(doing)?;
            rustix::fs::mknodat(&parent, name, kind, mode, number).doing(doing)?;
        }
        made => made.doing(doing)?,
    }
    let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
    rustix::fs::chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).doing(doing)
}

fn sys(root: &OwnedFd, plan: &SystemPlan) -> Result<(), Failure> {
    let read_only =
        if plan.privileged { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
    let sys = new_mount(c"sysfs", &[], PLAIN | read_only).doing(|| "mount /sys")?;
    let place = inside::real_dir(root, c"sys").doing(|| "use the image's /sys")?;
    attach(&sys, &place, c"").doing(|| "mount /sys")?;
    let set = NO_SUID | NO_DEV | NO_EXEC | if plan.privileged { 0 } else { READ_ONLY };
    show_cgroups(&sys, c"fs/cgroup", &plan.cgroups, Attributes { set, clear: 0 })
}

/// The container's own cgroups at `path` below `dir`: as that directory itself in version 2, below it
/// in version 1.
pub(super) fn show_cgroups(
    dir: &OwnedFd,
    path: &CStr,
    cgroups: &[(std::ffi::CString, std::ffi::CString)],
    attributes: Attributes,
) -> Result<(), Failure> {
    let doing = || "mount the cgroups";
    let change = MountChange { set: attributes.set, clear: attributes.clear, propagation: 0 };
    let mut parent = None;
    for (name, source) in cgroups {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = rustix::mount::open_tree(CWD, source.as_c_str(), flags).doing(doing)?;
        mounts::mount_setattr(tree.as_fd(), c"", false, change).doing(doing)?;
        if name.is_empty() {
            return attach(&tree, dir, path).doing(doing);
        }
        if parent.is_none() {
            let made =
                new_mount(c"tmpfs", &[(c"mode", c"755"), (c"size", c"64k")], PLAIN).doing(doing)?;
            attach(&made, dir, path).doing(doing)?;
            parent = Some(made);
        }
        if let Some(parent) = &parent {
            rustix::fs::mkdirat(parent, name.as_c_str(), Mode::from_raw_mode(0o755))
                .doing(doing)?;
            attach(&tree, parent, name).doing(doing)?;
            alone(parent, name)?;
        }
    }
    match parent {
        Some(parent) => mounts::mount_setattr(parent.as_fd(), c"", false, change).doing(doing),
        None => Ok(()),
    }
}

/// A hierarchy of several controllers has a link by the name of each.
fn alone(parent: &OwnedFd, name: &CStr) -> Result<(), Failure> {
    let names = name.to_bytes();
    if !names.contains(&b',') {
        return Ok(());
    }
    names
        .split(|byte| *byte == b',')
        .try_for_each(|one| rustix::fs::symlinkat(name, parent, one).doing(|| "mount the cgroups"))
}

/// Hides what the kernel shows of the whole host, and guards what changes it.
pub(super) fn restrict(root: &OwnedFd, system: &System, plan: &SystemPlan) -> Result<(), Failure> {
    let null = Null::of(system);
    for path in &plan.read_only {
        freeze(root, path).doing(|| format!("make {path:?} read-only"))?;
    }
    let mut empty = None;
    for path in &plan.masked {
        mask(root, &null, path, &mut empty).doing(|| format!("hide {path:?}"))?;
    }
    Ok(())
}

fn freeze(root: &OwnedFd, path: &CStr) -> std::io::Result<()> {
    let place = match inside::find(root, path) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        place => place?,
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(&place, c"", flags)?;
    let set = READ_ONLY | NO_SUID | NO_DEV | NO_EXEC;
    let change = MountChange { set, ..MountChange::default() };
    mounts::mount_setattr(tree.as_fd(), c"", true, change)?;
    Ok(attach(&tree, &place, c"")?)
}

/// Where a `/dev/null` comes from that covers files.
enum Null<'a> {
    /// The `/dev` that we made ourselves.
    Own(&'a OwnedFd),
    /// The host's, once it is known to be just that.
    Host,
}

impl<'a> Null<'a> {
    fn of(system: &'a System) -> Self {
        system.dev.as_ref().filter(|_| system.pts.is_some()).map_or(Self::Host, Self::Own)
    }

    fn copy(&self) -> std::io::Result<OwnedFd> {
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let null = match self {
            Self::Own(dev) => inside::find(dev, c"null")?,
            Self::Host => {
                super::null().map_err(|failure| std::io::Error::other(failure.message))?
            }
        };
        let stat = rustix::fs::statat(&null, c"", AtFlags::EMPTY_PATH)?;
        if stat.st_rdev != rustix::fs::makedev(1, 3) {
            return Err(std::io::Error::other("/dev/null is not the null device"));
        }
        Ok(rustix::mount::open_tree(&null, c"", clone | OpenTreeFlags::AT_EMPTY_PATH)?)
    }
}

/// A file is covered by our own `/dev/null` (by its descriptor: CVE-2025-31133), a directory by one
/// empty read-only file system that all of them share.
fn mask(
    root: &OwnedFd,
    null: &Null<'_>,
    path: &CStr,
    empty: &mut Option<OwnedFd>,
) -> std::io::Result<()> {
    let place = match inside::find(root, path) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        place => place?,
    };
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if !inside::is_dir(&place)? {
        return Ok(attach(&null.copy()?, &place, c"")?);
    }
    if let Some(empty) = empty {
        let flags = clone | OpenTreeFlags::AT_EMPTY_PATH;
        return Ok(attach(&rustix::mount::open_tree(&*empty, c"", flags)?, &place, c"")?);
    }
    let parameters = [(c"size", c"4k"), (c"nr_inodes", c"1")];
    let made = new_mount(c"tmpfs", &parameters, PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    attach(&made, &place, c"")?;
    *empty = Some(made);
    Ok(())
}

/// Writes kernel settings through the container's own, fresh `/proc` (CVE-2025-52881: never by a path
/// that something could have been mounted on).
pub(super) fn sysctls(
    proc: &OwnedFd,
    settings: &[(std::ffi::CString, std::ffi::CString)],
) -> Result<(), Failure> {
    use rustix::fs::ResolveFlags;
    for (path, value) in settings {
        let doing = || format!("set {path:?} to {value:?}");
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat2(proc, path.as_c_str(), flags, Mode::empty(), resolve)
            .doing(doing)?;
        rustix::io::write(&file, value.as_bytes()).doing(doing)?;
    }
    Ok(())
}
