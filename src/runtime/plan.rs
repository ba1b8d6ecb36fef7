//! A start with nothing left to decide, as bytes: what a shim is told.
//!
//! Everything that needs thought, memory or a file of the host is worked out by the daemon; the shim
//! and the container's first process only walk through it.

use std::ffi::CString;
use std::path::PathBuf;

use super::cgroup::Part;
use super::wire::{Blob, Wire, WireError, wire_struct};

wire_struct!(Part { v2, controllers, path });

/// Counts up with each change of the bytes below or of `protocol`. A daemon only hands plans to a
/// launcher of the same version.
pub(super) const VERSION: u32 = 1;
/// The largest plan in bytes: its mounted files and environment are most of it.
pub(super) const MAX_BYTES: usize = 64 << 20;

/// What a shim is told. The descriptors that come along are, in this order: the held lock, the
/// listening socket, and those of `joins`.
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
    /// Namespaces to enter: `CLONE_NEW…` of each descriptor.
    pub joins: Vec<u32>,
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
    /// Read-only layers, the top one first.
    pub lower: Vec<CString>,
    /// Where changes go.
    pub upper: CString,
    /// For overlayfs.
    pub work: CString,
    /// An empty directory of the host to attach the root to while it is made.
    pub stage: CString,
    /// Whether it is read-only in the end.
    pub read_only: bool,
}
wire_struct!(RootPlan { lower, upper, work, stage, read_only });

/// `/proc`, `/dev`, `/sys` and what is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SystemPlan {
    /// Whether `/sys` and the cgroups can be written, and nothing is hidden.
    pub privileged: bool,
    /// Paths shown empty.
    pub masked: Vec<CString>,
    /// Paths below `/proc` that cannot be written.
    pub read_only: Vec<CString>,
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
wire_struct!(SystemPlan { privileged, masked, read_only, shm_size, shm_from, cgroups, devices });

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
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}
wire_struct!(DevicePlan { path, mode, major, minor, uid, gid });

/// One mount of the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountPlan {
    /// Where, in the container.
    pub target: CString,
    /// Whether it is read-only.
    pub read_only: bool,
    /// What.
    pub source: MountSource,
}
wire_struct!(MountPlan { target, read_only, source });

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MountSource {
    /// A path of the host.
    Bind {
        /// Absolute.
        path: CString,
        /// Below it, without leaving it.
        subpath: Option<CString>,
        /// `MS_PRIVATE` and the like.
        propagation: u64,
        /// Mounts below come along.
        recursive: bool,
    },
    /// Memory: mount attributes, and parameters of tmpfs.
    Tmpfs {
        /// `MOUNT_ATTR_…`.
        attributes: u32,
        /// Key and value; an empty value is a flag.
        parameters: Vec<(CString, CString)>,
    },
    /// A file in memory.
    File {
        /// The content.
        content: Blob,
        /// The owner.
        uid: u32,
        /// The group.
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
    },
}

impl Wire for MountSource {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bind { path, subpath, propagation, recursive } => {
                out.push(0);
                path.put(out);
                subpath.put(out);
                propagation.put(out);
                recursive.put(out);
            }
            Self::Tmpfs { attributes, parameters } => {
                out.push(1);
                attributes.put(out);
                parameters.put(out);
            }
            Self::File { content, uid, gid, mode } => {
                out.push(2);
                content.put(out);
                uid.put(out);
                gid.put(out);
                mode.put(out);
            }
            Self::Layers { lower, subpath } => {
                out.push(3);
                lower.put(out);
                subpath.put(out);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        match u8::take(from)? {
            0 => Ok(Self::Bind {
                path: Wire::take(from)?,
                subpath: Wire::take(from)?,
                propagation: Wire::take(from)?,
                recursive: Wire::take(from)?,
            }),
            1 => Ok(Self::Tmpfs { attributes: Wire::take(from)?, parameters: Wire::take(from)? }),
            2 => Ok(Self::File {
                content: Wire::take(from)?,
                uid: Wire::take(from)?,
                gid: Wire::take(from)?,
                mode: Wire::take(from)?,
            }),
            3 => Ok(Self::Layers { lower: Wire::take(from)?, subpath: Wire::take(from)? }),
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
    /// Capabilities, one bit each.
    pub capabilities: u64,
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
}
wire_struct!(ProcessPlan {
    args,
    env,
    cwd,
    make_cwd,
    user,
    groups,
    capabilities,
    no_new_privileges,
    seccomp,
    seccomp_flags,
    oom_score_adj,
    rlimits,
});

/// A program to run in a container that runs. The descriptors that come along are: the pidfd of the
/// container's first process and, without a terminal, standard input, output and error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExecPlan {
    /// Whether it has a terminal.
    pub tty: bool,
    /// Rows and columns of it.
    pub size: Option<(u16, u16)>,
    /// The program.
    pub process: ProcessPlan,
}
wire_struct!(ExecPlan { tty, size, process });
