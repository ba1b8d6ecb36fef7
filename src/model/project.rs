//! What a user wants: a compose project, checked, with every default filled in.
//!
//! Field by field this is the Compose Specification's service as far as it changes what runs. Paths
//! are absolute, variables are gone, short forms are long ones, `env_file`s have been read.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::{HealthCheck, Protocol, Resources, Ulimits, parse_bytes};

/// A compose project: one stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Project {
    /// The project's name: `[a-z0-9][a-z0-9_-]*`.
    pub name: String,
    /// The directory of the first compose file, for `ps` and labels.
    pub directory: PathBuf,
    /// The compose files, in order.
    pub files: Vec<PathBuf>,
    /// The services that are to run, by name.
    pub services: BTreeMap<String, Service>,
    /// The networks that services name, by key.
    pub networks: BTreeMap<String, Network>,
    /// The volumes that services name, by key.
    pub volumes: BTreeMap<String, Volume>,
    /// The configs that services name, by key.
    pub configs: BTreeMap<String, FileSource>,
    /// The secrets that services name, by key.
    pub secrets: BTreeMap<String, FileSource>,
}

/// One service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// The image reference as written.
    pub image: String,
    /// When to look for a newer image.
    pub pull_policy: PullPolicy,
    /// The platform wanted, such as `linux/amd64`.
    pub platform: Option<String>,

    /// Replaces the image's program; `Some([])` clears it.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's arguments; `Some([])` clears them.
    pub command: Option<Vec<String>>,
    /// `env_file` and `environment` together. `None` removes the image's variable.
    pub environment: BTreeMap<String, Option<String>>,
    /// The directory the program starts in.
    pub working_dir: Option<String>,
    /// `user[:group]`.
    pub user: Option<String>,
    /// More groups, by name or number.
    pub group_add: Vec<String>,
    /// A terminal for the program.
    pub tty: bool,
    /// Keep standard input open.
    pub stdin_open: bool,
    /// Run a small init as process 1.
    pub init: bool,
    /// The signal that asks the program to end, such as `SIGTERM`.
    pub stop_signal: Option<String>,
    /// How long the program has to end before it is killed. `None` is ten seconds.
    pub stop_grace_period: Option<Duration>,
    /// Commands to run in the container after its start.
    pub post_start: Vec<Hook>,
    /// Commands to run in the container before it is stopped.
    pub pre_stop: Vec<Hook>,

    /// The container's own name, for one replica.
    pub container_name: Option<String>,
    /// The host name.
    pub hostname: Option<String>,
    /// The NIS domain name.
    pub domainname: Option<String>,
    /// Labels of the containers.
    pub labels: BTreeMap<String, String>,
    /// Labels of the service (`deploy.labels`).
    pub service_labels: BTreeMap<String, String>,
    /// OCI annotations.
    pub annotations: BTreeMap<String, String>,

    /// What to mount, in order.
    pub mounts: Vec<Mount>,
    /// Configs as files.
    pub configs: Vec<FileMount>,
    /// Secrets as files.
    pub secrets: Vec<FileMount>,
    /// Mount all that another service (or `container:<name>`) mounts.
    pub volumes_from: Vec<VolumesFrom>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Limits of the writable layer, such as `size`.
    pub storage_opt: BTreeMap<String, String>,

    /// How the container reaches the network.
    pub network_mode: NetworkMode,
    /// The networks it is in, by key, when `network_mode` is [`NetworkMode::Networks`].
    pub networks: BTreeMap<String, Attachment>,
    /// Published ports.
    pub ports: Vec<Port>,
    /// Ports that others may use, for information.
    pub expose: Vec<String>,
    /// Other services' extra names in this container's view: service (or `service:alias`).
    pub links: Vec<(String, String)>,
    /// More lines of `/etc/hosts`: name and address, or `host-gateway`.
    pub extra_hosts: Vec<(String, String)>,
    /// Name servers instead of the host's.
    pub dns: Vec<IpAddr>,
    /// Search domains instead of the host's.
    pub dns_search: Vec<String>,
    /// Resolver options.
    pub dns_opt: Vec<String>,
    /// The hardware address on the first network.
    pub mac_address: Option<String>,

    /// More rights than the default, such as `NET_ADMIN`, or `ALL`.
    pub cap_add: Vec<String>,
    /// Fewer rights than the default.
    pub cap_drop: Vec<String>,
    /// All rights and all devices: no boundary.
    pub privileged: bool,
    /// `no-new-privileges[:bool]`, `seccomp=…`, `apparmor=…`, `label=…`, `systempaths=unconfined`.
    pub security_opt: Vec<String>,
    /// Host devices.
    pub devices: Vec<Device>,
    /// Host devices by what they are.
    pub device_requests: Vec<DeviceRequest>,
    /// Rules for devices, such as `c 1:3 mr`.
    pub device_cgroup_rules: Vec<String>,
    /// Process namespace.
    pub pid: NamespaceMode,
    /// IPC namespace.
    pub ipc: NamespaceMode,
    /// Host name namespace.
    pub uts: NamespaceMode,
    /// Cgroup namespace.
    pub cgroup: NamespaceMode,
    /// `host` opts out of user namespaces.
    pub userns_mode: Option<String>,
    /// The cgroup to be made in.
    pub cgroup_parent: Option<String>,
    /// Kernel settings of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Limits of the process.
    pub ulimits: Ulimits,
    /// -1000 (kill last) to 1000 (kill first).
    pub oom_score_adj: Option<i32>,
    /// Limits of the container.
    pub resources: Resources,

    /// Where the output goes.
    pub logging: Logging,
    /// How to see whether it works.
    pub healthcheck: Option<HealthCheck>,
    /// What must be there first, by service.
    pub depends_on: BTreeMap<String, Dependency>,
    /// How many, and how they change.
    pub deploy: Deploy,
    /// orca's own settings (`x-orca`).
    pub orca: OrcaOptions,
    /// Set for a service that was not written down: a container made from another service to run one
    /// program (`orca run`). It stays through an `up` and is not part of what a stack has to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_off: Option<OneOff>,
}

/// What a container that runs one program beside a service is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OneOff {
    /// The service it was made from.
    pub service: String,
    /// Whether it goes once its program has ended (`run --rm`).
    pub remove: bool,
}

/// When to look for a newer image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// When there is none here.
    #[default]
    Missing,
    /// At every `up`.
    Always,
    /// Never: the image must be here.
    Never,
    /// When the last look is older than this.
    Every(Duration),
    /// It is built here.
    Build,
}

/// A command beside the program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// Program and arguments.
    pub command: Vec<String>,
    /// `user[:group]`; `None` is the container's.
    pub user: Option<String>,
    /// With all rights.
    pub privileged: bool,
    /// The directory; `None` is the container's.
    pub working_dir: Option<String>,
    /// More variables.
    pub environment: BTreeMap<String, Option<String>>,
}

/// Something mounted in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where: an absolute, clean path.
    pub target: String,
    /// Whether it is read-only.
    pub read_only: bool,
    /// What.
    pub source: MountSource,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A path of the host.
    Bind {
        /// Absolute.
        path: PathBuf,
        /// Make a directory there if there is nothing.
        create: bool,
        /// `rprivate`, `private`, `rshared`, `shared`, `rslave`, `slave`.
        propagation: Option<String>,
        /// Whether mounts below the path come along.
        recursive: bool,
    },
    /// A named volume, by key in [`Project::volumes`].
    Volume {
        /// The key.
        volume: String,
        /// Only this directory of it.
        subpath: Option<String>,
        /// Do not fill a new volume from the image.
        nocopy: bool,
    },
    /// A volume without a name, one for each task.
    Anonymous,
    /// Memory.
    Tmpfs {
        /// Bytes.
        size: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
        /// More options, as `mount(8)` writes them: `noexec`, `uid=1000`, …
        options: Vec<String>,
    },
    /// Another image's files.
    Image {
        /// The reference.
        image: String,
        /// Only this directory of it.
        subpath: Option<String>,
    },
}

/// A config or secret as a file in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMount {
    /// The key in [`Project::configs`] or [`Project::secrets`].
    pub source: String,
    /// The absolute path.
    pub target: String,
    /// The owner, a number.
    pub uid: u32,
    /// The group, a number.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// Where a config's or secret's content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSource {
    /// A file of the host, absolute. It is read when a stack is applied.
    File(PathBuf),
    /// The content itself: from `content:` or `environment:`, or read from a file.
    Content(Vec<u8>),
    /// Kept by orca under this name.
    External(String),
}

/// `volumes_from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesFrom {
    /// The service.
    pub service: String,
    /// Whether they are read-only here.
    pub read_only: bool,
}

/// How a service's containers reach the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// By the networks in [`Service::networks`].
    #[default]
    Networks,
    /// The host's own network.
    Host,
    /// Nothing but `lo`.
    None,
    /// The network namespace of another service's first task.
    Service(String),
    /// The network namespace of a container, by name.
    Container(String),
}

/// Whose namespace a container uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamespaceMode {
    /// Its own.
    #[default]
    Private,
    /// Its own, and others may join (`ipc: shareable`).
    Shareable,
    /// None at all (`ipc: none`).
    None,
    /// The host's.
    Host,
    /// That of another service's first task.
    Service(String),
    /// That of a container, by name.
    Container(String),
}

/// A service's place in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// More names for it in this network.
    pub aliases: Vec<String>,
    /// A fixed address.
    pub ipv4_address: Option<Ipv4Addr>,
    /// A fixed IPv6 address.
    pub ipv6_address: Option<Ipv6Addr>,
    /// More link-local addresses.
    pub link_local_ips: Vec<IpAddr>,
    /// A fixed hardware address.
    pub mac_address: Option<String>,
    /// The interface's name in the container.
    pub interface_name: Option<String>,
    /// Order of interfaces, high first.
    pub priority: i32,
    /// Who has the default route, high first.
    pub gw_priority: i32,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
}

/// A published port, one container port each (ranges are spread out).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// The port in the container.
    pub target: u16,
    /// First and last port on the host to choose from; `None` leaves the choice to orca.
    pub published: Option<(u16, u16)>,
    /// The host address; `None` is every address.
    pub host_ip: Option<IpAddr>,
    /// The protocol.
    pub protocol: Protocol,
    /// A name, for people.
    pub name: Option<String>,
}

/// A host device in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The path on the host, or a CDI name such as `vendor.com/gpu=0`.
    pub source: String,
    /// The path in the container.
    pub target: String,
    /// Of `r`, `w`, `m`.
    pub permissions: String,
}

/// Host devices that are asked for by what they are: `gpus`, and
/// `deploy.resources.reservations.devices`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRequest {
    /// Whose devices: `nvidia`, a kind such as `vendor.com/gpu`, or `cdi` for `ids` that are whole
    /// names; empty is whoever has such devices here.
    pub driver: String,
    /// How many; `None` is all.
    pub count: Option<u64>,
    /// Which.
    pub ids: Vec<String>,
    /// What they must be able to do, such as `gpu`.
    pub capabilities: Vec<String>,
    /// For the driver.
    pub options: BTreeMap<String, String>,
}

/// Where output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Logging {
    /// Whether output is kept at all.
    pub enabled: bool,
    /// Largest log file in bytes before it is rotated.
    pub max_size: u64,
    /// How many files are kept, the current one included.
    pub max_files: u32,
}

impl Default for Logging {
    /// Three files of ten megabytes: bounded unless a user says otherwise.
    fn default() -> Self {
        Self { enabled: true, max_size: 10 << 20, max_files: 3 }
    }
}

/// What a dependent waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dependency {
    /// The condition.
    pub condition: Condition,
    /// Restart the dependent when the dependency is replaced by an update.
    pub restart: bool,
    /// Whether the dependent cannot do without.
    pub required: bool,
}

/// When a dependency is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Its process runs.
    #[default]
    #[serde(rename = "service_started")]
    Started,
    /// Every replica is healthy.
    #[serde(rename = "service_healthy")]
    Healthy,
    /// It ended with exit status 0, at its current revision.
    #[serde(rename = "service_completed_successfully")]
    Completed,
}

/// How many containers, and how they change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deploy {
    /// Kept running, or run to their end.
    pub mode: DeployMode,
    /// How many; `None` is one.
    pub replicas: Option<u32>,
    /// What happens when a container ends.
    pub restart: RestartPolicy,
    /// How a new revision replaces the old.
    pub update: UpdatePolicy,
    /// How an old revision comes back.
    pub rollback: Option<UpdatePolicy>,
}

/// Whether a service is to stay up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeployMode {
    /// That many containers, always.
    #[default]
    Replicated,
    /// One on each machine.
    Global,
    /// That many containers, each once to its end.
    ReplicatedJob,
    /// One on each machine, once to its end.
    GlobalJob,
}

/// What happens when a container ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartPolicy {
    /// Which ends lead to a restart.
    pub condition: RestartCondition,
    /// Whether it starts again after a reboot of the host although it was stopped by hand
    /// (`restart: always`).
    pub even_if_stopped: bool,
    /// The wait before the second restart in a row; it doubles with each further one.
    pub delay: Option<Duration>,
    /// The longest wait. `None` is [`RestartPolicy::MAX_DELAY`].
    pub max_delay: Option<Duration>,
    /// Give up after this many failures in a row (within `window`, if there is one).
    pub max_attempts: Option<u32>,
    /// Failures older than this are forgotten.
    pub window: Option<Duration>,
    /// Whether an unhealthy container is restarted.
    pub on_unhealthy: bool,
}

impl RestartPolicy {
    /// The first wait of the back-off.
    pub const DELAY: Duration = Duration::from_millis(100);
    /// The longest wait of the back-off.
    pub const MAX_DELAY: Duration = Duration::from_secs(60);
    /// A container that ran this long, or was healthy, has started well: failures are forgotten.
    pub const STABLE: Duration = Duration::from_secs(10);
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            condition: RestartCondition::Any,
            even_if_stopped: false,
            delay: None,
            max_delay: None,
            max_attempts: None,
            window: None,
            on_unhealthy: true,
        }
    }
}

/// Which ends of a container lead to a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartCondition {
    /// None.
    Never,
    /// An exit status other than 0, a signal, or being unhealthy.
    OnFailure,
    /// Every end.
    #[default]
    Any,
}

/// How one revision replaces another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdatePolicy {
    /// How many at once; 0 is all.
    pub parallelism: u32,
    /// The wait between two.
    pub delay: Duration,
    /// What to do when a new container fails.
    pub failure_action: Option<FailureAction>,
    /// How long a new container must stay up to count as working.
    pub monitor: Option<Duration>,
    /// Tolerated failures, in millionths of the replicas.
    pub max_failure_ppm: u32,
    /// Which comes first.
    pub order: UpdateOrder,
}

impl Default for UpdatePolicy {
    fn default() -> Self {
        Self {
            parallelism: 1,
            delay: Duration::ZERO,
            failure_action: None,
            monitor: None,
            max_failure_ppm: 0,
            order: UpdateOrder::StopFirst,
        }
    }
}

/// What to do when an update fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureAction {
    /// Stop where it is.
    Pause,
    /// Go on.
    Continue,
    /// Bring the old revision back.
    Rollback,
}

/// Which comes first in an update.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateOrder {
    /// The old container goes, then the new one starts.
    #[default]
    StopFirst,
    /// The new container works, then the old one goes.
    StartFirst,
}

/// orca's own settings of a service (`x-orca`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrcaOptions {
    /// How long a new container may take to work before its start counts as failed.
    pub progress_deadline: Option<Duration>,
    /// How long an old container keeps its connections after new ones go elsewhere.
    pub drain: Option<Duration>,
}

/// A network of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Its name in the instance, such as `shop_default`.
    pub name: String,
    /// Whether it must be there already and stays.
    pub external: bool,
    /// Whether it has no way out.
    pub internal: bool,
    /// Whether it has IPv6.
    pub enable_ipv6: bool,
    /// The addresses wanted; `None` leaves the choice to orca.
    pub subnet: Option<Ipv4Net>,
    /// The gateway wanted.
    pub gateway: Option<Ipv4Addr>,
    /// Addresses are chosen from here.
    pub ip_range: Option<Ipv4Net>,
    /// The IPv6 addresses wanted.
    pub subnet6: Option<Ipv6Net>,
    /// The IPv6 gateway wanted.
    pub gateway6: Option<Ipv6Addr>,
    /// Addresses that are taken, by the name of who has them.
    pub aux_addresses: BTreeMap<String, IpAddr>,
    /// The size of the largest packet (`com.docker.network.driver.mtu`).
    pub mtu: Option<u32>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Further subnets, as written, for display.
    pub more_subnets: Vec<IpNet>,
}

/// A volume of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Its name in the instance, such as `shop_data`.
    pub name: String,
    /// Whether it must be there already and stays.
    pub external: bool,
    /// Options of the local driver: `type`, `device`, `o`.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl Service {
    /// How many containers are wanted.
    pub fn replicas(&self) -> u32 {
        match self.deploy.mode {
            DeployMode::Global | DeployMode::GlobalJob => 1,
            DeployMode::Replicated | DeployMode::ReplicatedJob => self.deploy.replicas.unwrap_or(1),
        }
    }

    /// How many bytes a container may change in its root file system.
    pub fn storage_size(&self) -> Option<u64> {
        let size = parse_bytes(self.storage_opt.get("size")?).ok()?;
        u64::try_from(size).ok().filter(|size| *size > 0)
    }

    /// How long its program has to end.
    pub fn grace(&self) -> Duration {
        self.stop_grace_period.unwrap_or(Duration::from_secs(10))
    }
}
