//! A container with nothing left to decide: what the runtime is asked to run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    ContainerId, Device, DeviceRequest, Digest, Hook, IdMaps, Logging, Resources, TaskId, Ulimits,
};

/// Everything about one container. It is made by the planner; the hands only carry it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Its name, such as `shop-web-1`.
    pub name: String,
    /// What it is, in words the runtime keeps and gives back: see [`labels`].
    pub labels: BTreeMap<String, String>,
    /// The configuration digest of the image whose files are its root.
    pub image: Digest,
    /// Program and arguments.
    pub args: Vec<String>,
    /// `KEY=VALUE`.
    pub env: Vec<String>,
    /// The directory the program starts in; made if it is missing.
    pub cwd: String,
    /// `user[:group]`, by name or number, looked up in the container's own files; empty is root.
    pub user: String,
    /// More groups, by name or number.
    pub groups: Vec<String>,
    /// A terminal for the program.
    pub tty: bool,
    /// Keep standard input open.
    pub stdin: bool,
    /// Run a small init as process 1.
    pub init: bool,
    /// The host name.
    pub hostname: String,
    /// The NIS domain name.
    pub domainname: Option<String>,
    /// What is mounted, in order.
    pub mounts: Vec<ContainerMount>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// How many bytes it may change in its root file system; `None`: as many as there are.
    #[serde(default)]
    pub storage_size: Option<u64>,
    /// Lines of `/etc/hosts` beside those for itself: address and name.
    pub extra_hosts: Vec<(String, String)>,
    /// What `/etc/resolv.conf` says.
    pub resolv: Resolv,
    /// Whose namespaces it uses.
    pub namespaces: Namespaces,
    /// More rights than the default.
    pub cap_add: Vec<String>,
    /// Fewer rights than the default.
    pub cap_drop: Vec<String>,
    /// Its users and groups as those of the host; `None` are the host's own: no user namespace.
    #[serde(default)]
    pub users: Option<IdMaps>,
    /// All rights and all devices.
    pub privileged: bool,
    /// As in compose's `security_opt`.
    pub security_opt: Vec<String>,
    /// Host devices.
    pub devices: Vec<Device>,
    /// Host devices by what they are.
    #[serde(default)]
    pub device_requests: Vec<DeviceRequest>,
    /// Rules for devices.
    pub device_cgroup_rules: Vec<String>,
    /// Kernel settings of its own namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Limits of the process.
    pub ulimits: Ulimits,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Limits of the container.
    pub resources: Resources,
    /// The cgroup to be made in, instead of the instance's own.
    pub cgroup_parent: Option<String>,
    /// Where output goes.
    pub logging: Logging,
    /// The signal that asks it to end.
    pub stop_signal: String,
    /// How long it has to end.
    pub stop_grace: Duration,
    /// Run in it, one after the other, once its program runs.
    #[serde(default)]
    pub post_start: Vec<Hook>,
    /// Run in it, one after the other, before it is asked to end.
    #[serde(default)]
    pub pre_stop: Vec<Hook>,
    /// OCI annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Container {
    /// The names of the volumes that are mounted.
    pub fn volumes(&self) -> BTreeSet<String> {
        let volume = |mount: &ContainerMount| match &mount.source {
            ContainerMountSource::Volume { name, .. } => Some(name.clone()),
            _ => None,
        };
        self.mounts.iter().filter_map(volume).collect()
    }
}

/// The labels by which a container is known again, as docker compose writes them where it has them.
pub mod labels {
    /// The stack's name.
    pub const PROJECT: &str = "com.docker.compose.project";
    /// The service's name.
    pub const SERVICE: &str = "com.docker.compose.service";
    /// The slot, counted from 1.
    pub const NUMBER: &str = "com.docker.compose.container-number";
    /// The revision's hash.
    pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
    /// The attempt, such as `t12.3`.
    pub const ATTEMPT: &str = "dev.orca.attempt";
    /// The container's name.
    pub const NAME: &str = "dev.orca.name";
}

/// What `/etc/resolv.conf` of a container says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resolv {
    /// `nameserver` lines; empty copies the host's file.
    pub nameservers: Vec<std::net::IpAddr>,
    /// Domains of the `search` line; `None` is the host's.
    pub search: Option<Vec<String>>,
    /// Words of the `options` line.
    pub options: Vec<String>,
}

/// Whose namespaces a container uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// Network.
    pub network: NetworkNamespace,
    /// Processes.
    pub pid: Namespace,
    /// IPC.
    pub ipc: Namespace,
    /// Host name.
    pub uts: Namespace,
    /// Cgroups.
    pub cgroup: Namespace,
}

/// The network namespace of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkNamespace {
    /// The host's.
    Host,
    /// A new one with only `lo`, up.
    #[default]
    None,
    /// The sandbox of this task.
    Sandbox(TaskId),
}

/// A namespace of a container other than network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// Its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// That of this container, which must run.
    Container(ContainerId),
}

/// A mount of a container, with the place on the host known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerMount {
    /// Where in the container.
    pub target: String,
    /// Whether it is read-only.
    pub read_only: bool,
    /// What.
    pub source: ContainerMountSource,
}

/// What a container's mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerMountSource {
    /// A path of the host.
    Bind {
        /// Absolute.
        path: PathBuf,
        /// Make a directory there if there is nothing.
        create: bool,
        /// `rprivate` and the like; `None` is `rprivate`.
        propagation: Option<String>,
        /// Whether mounts below come along.
        recursive: bool,
    },
    /// A named volume of the instance, by its full name.
    Volume {
        /// The name.
        name: String,
        /// Only this directory of it.
        subpath: Option<String>,
        /// Do not fill a new volume from the image.
        nocopy: bool,
    },
    /// Memory.
    Tmpfs {
        /// Bytes.
        size: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
        /// More options.
        options: Vec<String>,
    },
    /// A file with this content, kept in memory.
    File {
        /// The content.
        content: Vec<u8>,
        /// The owner.
        uid: u32,
        /// The group.
        gid: u32,
        /// Permission bits.
        mode: u32,
    },
    /// Another image's files.
    Image {
        /// Its configuration digest.
        image: Digest,
        /// Only this directory of it.
        subpath: Option<String>,
    },
}

/// The layers of a container's root file system, as directories of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    /// Read-only layers, the top one first.
    pub lower: Vec<PathBuf>,
    /// Where changes go. Empty at first, on one file system with `work`.
    pub upper: PathBuf,
    /// What overlayfs needs for itself. Empty at first.
    pub work: PathBuf,
}

/// A mount of a container with its source as the runtime can use it: volumes are directories,
/// images are layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostMount {
    /// Where in the container: an absolute path, resolved inside the container's root.
    pub target: String,
    /// Whether it is read-only.
    pub read_only: bool,
    /// What.
    pub source: HostMountSource,
}

/// What the runtime mounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostMountSource {
    /// A file or directory of the host.
    Bind {
        /// Absolute.
        path: PathBuf,
        /// Only this path below `path`, resolved so that it cannot leave it.
        subpath: Option<String>,
        /// `rprivate` and the like; `None` is `rprivate`.
        propagation: Option<String>,
        /// Whether mounts below come along.
        recursive: bool,
    },
    /// A file of the host that was made for this container's task alone: its root owns it.
    Own {
        /// Absolute.
        path: PathBuf,
    },
    /// Memory.
    Tmpfs {
        /// Bytes.
        size: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
        /// More options.
        options: Vec<String>,
    },
    /// A file kept in memory.
    File {
        /// The content.
        content: Vec<u8>,
        /// The owner.
        uid: u32,
        /// The group.
        gid: u32,
        /// Permission bits.
        mode: u32,
    },
    /// Layers of another image, read-only, the top one first.
    Layers {
        /// The directories.
        lower: Vec<PathBuf>,
        /// Only this path of them.
        subpath: Option<String>,
    },
}
