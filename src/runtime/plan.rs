//! A start with nothing left to decide, as bytes: what a shim is told.
//!
//! Everything that needs thought, memory or a file of the host is worked out by the daemon; the shim
//! and the container's first process only walk through it.

use std::ffi::CString;
use std::path::PathBuf;

use super::cgroup::Part;
use super::wire::{Blob, Wire, WireError, wire_struct};
use crate::model::{IdMaps, IdRange};
use crate::sys::mounts::READ_ONLY;

wire_struct!(Part { v2, controllers, path });
wire_struct!(IdRange { inside, outside, count });
wire_struct!(IdMaps { users, groups });

/// Counts up with each change of the bytes below or of `protocol`. A daemon only hands plans to a
/// launcher of the same version.
pub(super) const VERSION: u32 = 4;
/// The largest plan in bytes: its mounted files and environment are most of it.
pub(super) const MAX_BYTES: usize = 64 << 20;

/// In place of a kind of namespace: a mount namespace whose `/dev/shm` is shared.
pub(super) const SHM: u32 = 1;

/// What a shim is told. The descriptors that come along are, in this order: the held lock, the
/// listening socket, those of `joins`, and the user namespaces of `id_maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StartPlan {
    /// The container's id.
    pub id: String,
    /// Where the container's record is.
    pub state_dir: PathBuf,
    /// The container's cgroup.
    pub cgroup: Vec<Part>,
    /// Where output goes; `None` drops it.
    pub log: Option<LogPlan>,
    /// Namespaces to be made: `CLONE_NEW…`, without the cgroup namespace.
    pub new_namespaces: u64,
    /// Namespaces to enter: `CLONE_NEW…` of each descriptor, or [`SHM`].
    pub joins: Vec<u32>,
    /// How many user namespaces come along for mounts to be seen through: mounts name them by number.
    pub id_maps: u32,
    /// The users of the user namespace among `joins`. The first process enters it last of all: until
    /// then it makes things as root of the host, and what it makes belongs to root of that namespace.
    pub users: Option<IdMaps>,
    /// What `timens_offsets` is to say, where the time namespace is new.
    pub time_offsets: String,
    /// Whether to make a cgroup namespace.
    pub new_cgroup_namespace: bool,
    /// Whether the network namespace is new and its `lo` must be set up.
    pub loopback: bool,
    /// The host name, where the UTS namespace is new.
    pub hostname: Option<CString>,
    /// The NIS domain name, where the UTS namespace is new.
    pub domainname: Option<CString>,
    /// The root file system.
    pub root: RootPlan,
    /// The system's own mounts.
    pub system: SystemPlan,
    /// The container's mounts, in order.
    pub mounts: Vec<MountPlan>,
    /// Settings below `/proc/sys`.
    pub sysctls: Vec<(CString, CString)>,
    /// Whether the program has a terminal.
    pub tty: bool,
    /// Whether its standard input is held open.
    pub stdin: bool,
    /// Whether a small init is process 1.
    pub init: bool,
    /// The program.
    pub process: ProcessPlan,
}
wire_struct!(StartPlan {
    id,
    state_dir,
    cgroup,
    log,
    new_namespaces,
    joins,
    id_maps,
    users,
    time_offsets,
    new_cgroup_namespace,
    loopback,
    hostname,
    domainname,
    root,
    system,
    mounts,
    sysctls,
    tty,
    stdin,
    init,
    process,
});

/// Where output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogPlan {
    /// The directory.
    pub dir: PathBuf,
    /// Largest file in bytes.
    pub max_size: u64,
    /// How many files.
    pub max_files: u32,
    /// Which attempt of the task this is: all of them share a log.
    pub attempt: u32,
}
wire_struct!(LogPlan { dir, max_size, max_files, attempt });

/// The root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RootPlan {
    /// What it is made of.
    pub files: RootFiles,
    /// A directory of the host to attach the root to while it is made.
    pub stage: CString,
    /// Whether it is read-only in the end.
    pub read_only: bool,
    /// How its mounts hear of others in the end: `MS_SLAVE` and the like, `MS_REC` for those below
    /// it too; 0 leaves it as it is.
    pub propagation: u64,
    /// How it takes the place of the host's root.
    pub entry: RootEntry,
}
wire_struct!(RootPlan { files, stage, read_only, propagation, entry });

/// What a root is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RootFiles {
    /// An overlay.
    Layers {
        /// Read-only layers, the top one first.
        lower: Vec<CString>,
        /// The number of the user namespace that the layers are seen through.
        id_map: Option<u32>,
        /// Where changes go.
        upper: CString,
        /// For overlayfs. In the same directory as `upper`.
        work: CString,
    },
    /// A directory of the host.
    Directory(CString),
}

impl Wire for RootFiles {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Layers { lower, id_map, upper, work } => {
                out.push(0);
                lower.put(out);
                id_map.put(out);
                upper.put(out);
                work.put(out);
            }
            Self::Directory(path) => {
                out.push(1);
                path.put(out);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        match u8::take(from)? {
            0 => Ok(Self::Layers {
                lower: Wire::take(from)?,
                id_map: Wire::take(from)?,
                upper: Wire::take(from)?,
                work: Wire::take(from)?,
            }),
            1 => Ok(Self::Directory(Wire::take(from)?)),
            _ => Err(WireError::Invalid),
        }
    }
}

/// How a root takes the place of the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RootEntry {
    /// `pivot_root`: the host's files are gone.
    Pivot,
    /// It is moved over `/`: for a host whose root cannot be exchanged, as on an initial RAM disk.
    Move,
    /// `chroot`: for a container in the host's own mount namespace.
    Chroot,
}

impl Wire for RootEntry {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Pivot => 0,
            Self::Move => 1,
            Self::Chroot => 2,
        });
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        match u8::take(from)? {
            0 => Ok(Self::Pivot),
            1 => Ok(Self::Move),
            2 => Ok(Self::Chroot),
            _ => Err(WireError::Invalid),
        }
    }
}

/// `/proc`, `/dev`, `/sys` and what is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SystemPlan {
    /// Whether they are mounted as part of the system; else they are among the container's mounts,
    /// if anywhere, and only what is in `/dev` is made.
    pub mounted: bool,
    /// Whether the usual nodes and links are made in `/dev`.
    pub nodes: bool,
    /// Whether `/sys` and the cgroups can be written, and nothing is hidden.
    pub privileged: bool,
    /// Paths shown empty.
    pub masked: Vec<CString>,
    /// Paths below `/proc` that cannot be written.
    pub read_only: Vec<CString>,
    /// The group of terminals, as a number of the host.
    pub tty_group: u32,
    /// Bytes of a new `/dev/shm`.
    pub shm_size: u64,
    /// A `/dev/shm` of the host to share instead.
    pub shm_from: Option<CString>,
    /// The cgroup hierarchies to show: name below `/sys/fs/cgroup` (empty is that directory itself,
    /// which is version 2), and the container's directory in the host's view.
    pub cgroups: Vec<(CString, CString)>,
    /// Device nodes beside the usual ones.
    pub devices: Vec<DevicePlan>,
}
wire_struct!(SystemPlan {
    mounted,
    nodes,
    privileged,
    masked,
    read_only,
    tty_group,
    shm_size,
    shm_from,
    cgroups,
    devices,
});

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DevicePlan {
    /// The path in the container.
    pub path: CString,
    /// Kind and permission bits, as in `st_mode`.
    pub mode: u32,
    /// Device number.
    pub major: u32,
    /// Device number.
    pub minor: u32,
    /// The owner, as a number of the host.
    pub uid: u32,
    /// The group, as a number of the host.
    pub gid: u32,
}
wire_struct!(DevicePlan { path, mode, major, minor, uid, gid });

/// One mount of the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountPlan {
    /// Where, in the container.
    pub target: CString,
    /// What changes about the mount itself.
    pub change: Attributes,
    /// What changes about the mount and all that came along below it.
    pub change_all: Attributes,
    /// What.
    pub source: MountSource,
    /// Whether what the container's files have at the target is copied into it.
    pub copy_up: bool,
}
wire_struct!(MountPlan { target, change, change_all, source, copy_up });

impl MountPlan {
    /// Whether it cannot be written.
    pub(super) fn read_only(&self) -> bool {
        (self.change.set | self.change_all.set) & READ_ONLY != 0
    }
}

/// `MOUNT_ATTR_…` to set and to clear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// To set.
    pub set: u64,
    /// To clear.
    pub clear: u64,
}
wire_struct!(Attributes { set, clear });

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MountSource {
    /// A path of the host.
    Bind {
        /// Absolute.
        path: CString,
        /// Below it, without leaving it.
        subpath: Option<CString>,
        /// `MS_PRIVATE` and the like, for all that comes along.
        propagation: u64,
        /// Mounts below come along.
        recursive: bool,
        /// The number of the user namespace that it is seen through.
        id_map: Option<u32>,
        /// Whether mounts below that come along are seen through it as well.
        id_map_all: bool,
    },
    /// A new file system.
    New {
        /// Its type, such as `tmpfs`.
        kind: CString,
        /// Key and value; an empty value is a flag.
        parameters: Vec<(CString, CString)>,
        /// How it hears of other mounts, if it is to.
        propagation: u64,
    },
    /// The container's cgroups.
    Cgroups,
    /// A file in memory.
    File {
        /// The content.
        content: Blob,
        /// The owner, as a number of the host.
        uid: u32,
        /// The group, as a number of the host.
        gid: u32,
        /// Permission bits.
        mode: u32,
    },
    /// Read-only layers, the top one first.
    Layers {
        /// The directories.
        lower: Vec<CString>,
        /// Below them, without leaving them.
        subpath: Option<CString>,
        /// The number of the user namespace that they are seen through.
        id_map: Option<u32>,
    },
}

impl Wire for MountSource {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bind { path, subpath, propagation, recursive, id_map, id_map_all } => {
                out.push(0);
                path.put(out);
                subpath.put(out);
                propagation.put(out);
                recursive.put(out);
                id_map.put(out);
                id_map_all.put(out);
            }
            Self::New { kind, parameters, propagation } => {
                out.push(1);
                kind.put(out);
                parameters.put(out);
                propagation.put(out);
            }
            Self::File { content, uid, gid, mode } => {
                out.push(2);
                content.put(out);
                uid.put(out);
                gid.put(out);
                mode.put(out);
            }
            Self::Layers { lower, subpath, id_map } => {
                out.push(3);
                lower.put(out);
                subpath.put(out);
                id_map.put(out);
            }
            Self::Cgroups => out.push(4),
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        match u8::take(from)? {
            0 => Ok(Self::Bind {
                path: Wire::take(from)?,
                subpath: Wire::take(from)?,
                propagation: Wire::take(from)?,
                recursive: Wire::take(from)?,
                id_map: Wire::take(from)?,
                id_map_all: Wire::take(from)?,
            }),
            1 => Ok(Self::New {
                kind: Wire::take(from)?,
                parameters: Wire::take(from)?,
                propagation: Wire::take(from)?,
            }),
            2 => Ok(Self::File {
                content: Wire::take(from)?,
                uid: Wire::take(from)?,
                gid: Wire::take(from)?,
                mode: Wire::take(from)?,
            }),
            3 => Ok(Self::Layers {
                lower: Wire::take(from)?,
                subpath: Wire::take(from)?,
                id_map: Wire::take(from)?,
            }),
            4 => Ok(Self::Cgroups),
            _ => Err(WireError::Invalid),
        }
    }
}

/// A program and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProcessPlan {
    /// Program and arguments; never empty.
    pub args: Vec<CString>,
    /// `KEY=VALUE`.
    pub env: Vec<CString>,
    /// The directory it starts in.
    pub cwd: CString,
    /// Whether to make that directory if it is missing.
    pub make_cwd: bool,
    /// `user[:group]`.
    pub user: String,
    /// More groups.
    pub groups: Vec<String>,
    /// Whether its first group is among those as well.
    pub first_among_groups: bool,
    /// What it may do.
    pub capabilities: Capabilities,
    /// Whether it can never gain privileges.
    pub no_new_privileges: bool,
    /// The system call filter; empty is none.
    pub seccomp: Blob,
    /// `SECCOMP_FILTER_FLAG_…`.
    pub seccomp_flags: u32,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Number of each limit, and its soft and hard value.
    pub rlimits: Vec<(u32, (u64, u64))>,
    /// What else is set for it.
    pub tuning: Tuning,
}
wire_struct!(ProcessPlan {
    args,
    env,
    cwd,
    make_cwd,
    user,
    groups,
    first_among_groups,
    capabilities,
    no_new_privileges,
    seccomp,
    seccomp_flags,
    oom_score_adj,
    rlimits,
    tuning,
});

/// Capabilities, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// What may ever be gained.
    pub bounding: u64,
    /// What counts.
    pub effective: u64,
    /// What may be made to count.
    pub permitted: u64,
    /// What programs may inherit by their files.
    pub inheritable: u64,
    /// What programs inherit without.
    pub ambient: u64,
}
wire_struct!(Capabilities { bounding, effective, permitted, inheritable, ambient });

impl Capabilities {
    /// The same for all that a program started as root needs; the inheritable set stays empty
    /// (CVE-2022-29162).
    pub(super) fn plain(set: u64) -> Self {
        Self { bounding: set, effective: set, permitted: set, inheritable: 0, ambient: 0 }
    }
}

/// Settings of a process that are seldom asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tuning {
    /// The mode bits that new files do not get; 022 unless given.
    pub umask: Option<u32>,
    /// Policy, flags, nice, priority, runtime, deadline, period: `struct sched_attr`.
    pub scheduler: Option<Scheduler>,
    /// As `ioprio_set(2)` has it.
    pub io_priority: Option<i32>,
    /// As `personality(2)` has it.
    pub personality: Option<u32>,
    /// The CPUs it may run on, one bit each, in words of 64.
    pub affinity: Option<Vec<u64>>,
    /// Mode with flags, and nodes, as `set_mempolicy(2)` has them.
    pub memory_policy: Option<(u32, Vec<u64>)>,
    /// What is written to `attr/…` below the process's directory in `/proc`: the file, the text.
    pub labels: Vec<(CString, CString)>,
}
wire_struct!(Tuning {
    umask,
    scheduler,
    io_priority,
    personality,
    affinity,
    memory_policy,
    labels,
});

/// `struct sched_attr`, but for its size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Scheduler {
    /// `SCHED_…`.
    pub policy: u32,
    /// `SCHED_FLAG_…`.
    pub flags: u64,
    /// -20 to 19.
    pub nice: i32,
    /// 1 to 99.
    pub priority: u32,
    /// Nanoseconds.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}
wire_struct!(Scheduler { policy, flags, nice, priority, runtime, deadline, period });

/// What the launcher is told of a program to run in a container that runs. The descriptors that come
/// along are: the pidfd of the container's first process and, without a terminal, standard input, output
/// and error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExecOrder {
    /// The container's cgroup.
    pub cgroup: Vec<Part>,
    /// Whether it goes on when nobody wants to know of it any more.
    pub detached: bool,
    /// The program.
    pub plan: ExecPlan,
}
wire_struct!(ExecOrder { cgroup, detached, plan });

/// A program to run in a container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExecPlan {
    /// Whether it has a terminal.
    pub tty: bool,
    /// Rows and columns of it.
    pub size: Option<(u16, u16)>,
    /// The users of the container's user namespace, if it has one.
    pub users: Option<IdMaps>,
    /// Whether it ends with its helper.
    pub tied: bool,
    /// How many descriptors from 3 on the program keeps.
    pub keep: u32,
    /// The program.
    pub process: ProcessPlan,
}
wire_struct!(ExecPlan { tty, size, users, tied, keep, process });
