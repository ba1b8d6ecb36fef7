//! From what is asked for to a plan with nothing left to decide.
//!
//! Done by the daemon, before anything is made: an answer that cannot be carried out is an error here,
//! in words.

mod devices;
mod mounts;
mod process;
mod security;
mod sysctls;
mod users;

#[cfg(test)]
pub(super) mod tests;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::cgroup::{DeviceRules, Part};
use super::plan::{LogPlan, MountPlan, RootEntry, RootFiles, RootPlan, StartPlan, SystemPlan};
use super::record;
use crate::model::{AttemptId, Container, HostMount, Namespace, Rootfs, labels};
use crate::sys::mounts::{NO_DEV, NO_SUID};

pub(super) use devices::rules as device_rules;
pub(super) use process::{ExecWish, exec_process};
pub(super) use sysctls::{Own as OwnNamespaces, check as check_sysctl};
use users::Ids;

/// Something that is asked for and cannot be done, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unfit(pub String);

/// What a plan is made from.
pub(super) struct Wish<'a> {
    /// The container.
    pub container: &'a Container,
    /// Its root.
    pub rootfs: &'a Rootfs,
    /// Its mounts.
    pub mounts: &'a [HostMount],
    /// Mounts that come with devices: nothing in them is a device or makes anybody another user.
    pub guarded: &'a [HostMount],
    /// How it is connected.
    pub network: Network,
    /// Its log.
    pub log_dir: &'a Path,
    /// Its record.
    pub state_dir: &'a Path,
    /// Its cgroup.
    pub cgroup: Vec<Part>,
}

/// How a container is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// As the host.
    Host,
    /// To nothing.
    New,
    /// As the namespace that comes along, which is furnished.
    Given,
    /// As the namespace that comes along, which has only `lo`, and that is down.
    Bare,
}

/// Whether the container may use which devices, and the plan. The namespaces of `plan.joins` must
/// come along in that order.
pub(super) fn start(wish: Wish<'_>) -> Result<StartPlan, Unfit> {
    let container = wish.container;
    let namespaces = Namespaces::of(container, wish.network);
    let hostname = namespaces.makes(libc::CLONE_NEWUTS).then(|| text(&container.hostname));
    let domainname = container.domainname.as_deref().filter(|_| hostname.is_some()).map(text);
    let security = security::Security::parse(container)?;
    Ok(StartPlan {
        id: container.id.as_str().to_owned(),
        state_dir: wish.state_dir.to_owned(),
        log: log(container, wish.log_dir),
        new_cgroup_namespace: container.namespaces.cgroup == Namespace::Private,
        loopback: matches!(wish.network, Network::New | Network::Bare),
        id_maps: u32::from(container.users.is_some()),
        users: container.users.clone(),
        hostname: hostname.transpose()?.filter(|name| !name.is_empty()),
        domainname: domainname.transpose()?,
        root: root(container, wish.rootfs, wish.state_dir)?,
        system: system(container, &wish.cgroup, &security)?,
        mounts: all_mounts(&wish)?,
        sysctls: sysctls::settings(container, wish.network)?,
        tty: container.tty,
        stdin: container.stdin,
        init: container.init,
        process: process::first(container, &security)?,
        cgroup: wish.cgroup,
        new_namespaces: namespaces.new,
        joins: namespaces.joins,
        time_offsets: String::new(),
    })
}

fn all_mounts(wish: &Wish<'_>) -> Result<Vec<MountPlan>, Unfit> {
    let ids = Ids::of(wish.container);
    let guarded = wish.guarded.iter().map(|mount| {
        let mut plan = mounts::mount(mount, ids)?;
        plan.change_all.set |= NO_SUID | NO_DEV;
        Ok(plan)
    });
    guarded.chain(wish.mounts.iter().map(|mount| mounts::mount(mount, ids))).collect()
}

/// `CLONE_NEW…` of namespaces that are made, and of those that come along.
struct Namespaces {
    new: u64,
    joins: Vec<u32>,
}

impl Namespaces {
    fn of(container: &Container, network: Network) -> Self {
        let mut all = Self { new: flag(libc::CLONE_NEWNS).into(), joins: Vec::new() };
        match network {
            Network::Host => {}
            Network::New => all.new |= u64::from(flag(libc::CLONE_NEWNET)),
            Network::Given | Network::Bare => all.joins.push(flag(libc::CLONE_NEWNET)),
        }
        for (namespace, kind) in kinds(container) {
            match namespace {
                Namespace::Host => {}
                // A private cgroup namespace is made later, when the process is in its cgroup.
                Namespace::Private if kind == libc::CLONE_NEWCGROUP => {}
                Namespace::Private => all.new |= u64::from(flag(kind)),
                Namespace::Container(_) => all.joins.push(flag(kind)),
            }
            if kind == libc::CLONE_NEWIPC && matches!(namespace, Namespace::Container(_)) {
                // Its /dev/shm lies there.
                all.joins.push(super::plan::SHM);
            }
        }
        if container.users.is_some() {
            all.joins.push(flag(libc::CLONE_NEWUSER));
        }
        all
    }

    fn makes(&self, kind: i32) -> bool {
        self.new & u64::from(flag(kind)) != 0
    }
}

/// The namespaces of a container other than network, in the order in which they come along.
pub(super) fn kinds(container: &Container) -> [(&Namespace, i32); 4] {
    let namespaces = &container.namespaces;
    [
        (&namespaces.pid, libc::CLONE_NEWPID),
        (&namespaces.ipc, libc::CLONE_NEWIPC),
        (&namespaces.uts, libc::CLONE_NEWUTS),
        (&namespaces.cgroup, libc::CLONE_NEWCGROUP),
    ]
}

fn flag(kind: i32) -> u32 {
    kind.cast_unsigned()
}

fn log(container: &Container, dir: &Path) -> Option<LogPlan> {
    let logging = &container.logging;
    let attempt = container.labels.get(labels::ATTEMPT);
    let attempt = attempt.and_then(|label| label.parse::<AttemptId>().ok());
    logging.enabled.then(|| LogPlan {
        dir: dir.to_owned(),
        max_size: logging.max_size,
        max_files: logging.max_files,
        attempt: attempt.map_or(1, |attempt| attempt.number),
    })
}

fn root(container: &Container, rootfs: &Rootfs, state_dir: &Path) -> Result<RootPlan, Unfit> {
    if rootfs.lower.is_empty() {
        return Err(Unfit("the image has no layers".to_owned()));
    }
    Ok(RootPlan {
        files: RootFiles::Layers {
            lower: rootfs.lower.iter().map(|layer| path(layer)).collect::<Result<_, _>>()?,
            id_map: Ids::of(container).number(),
            upper: path(&rootfs.upper)?,
            work: path(&rootfs.work)?,
        },
        stage: path(&state_dir.join(record::STAGE))?,
        read_only: container.read_only,
        propagation: 0,
        entry: RootEntry::Pivot,
    })
}

/// What of the kernel's own files shows the whole host, as Docker and podman hide it.
const MASKED: [&str; 15] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
    "/sys/dev/block",
    "/proc/kallsyms",
];
/// What of them changes the whole host.
const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The group of terminals in every distribution.
const TTY_GROUP: u32 = 5;

fn system(
    container: &Container,
    cgroup: &[Part],
    security: &security::Security,
) -> Result<SystemPlan, Unfit> {
    let open = container.privileged || security.open_system_paths;
    let list = |paths: &[&str]| -> Result<Vec<CString>, Unfit> {
        if open { Ok(Vec::new()) } else { paths.iter().map(|one| text(one)).collect() }
    };
    Ok(SystemPlan {
        mounted: true,
        nodes: true,
        privileged: container.privileged,
        masked: list(&MASKED)?,
        read_only: list(&READ_ONLY)?,
        tty_group: Ids::of(container).group(TTY_GROUP)?,
        shm_size: container.shm_size,
        shm_from: match &container.namespaces.ipc {
            Namespace::Host => Some(c"/dev/shm".to_owned()),
            Namespace::Private | Namespace::Container(_) => None,
        },
        cgroups: shown_cgroups(container, cgroup)?,
        devices: devices::nodes(container)?,
    })
}

/// Under which name of `/sys/fs/cgroup` which directory is shown.
fn shown_cgroups(container: &Container, cgroup: &[Part]) -> Result<Vec<(CString, CString)>, Unfit> {
    if container.namespaces.cgroup == Namespace::Host {
        return Ok(vec![(CString::default(), c"/sys/fs/cgroup".to_owned())]);
    }
    shown(cgroup)
}

/// The directories of a cgroup, each under the name of its hierarchy.
pub(super) fn shown(cgroup: &[Part]) -> Result<Vec<(CString, CString)>, Unfit> {
    let only = cgroup.len() == 1;
    cgroup
        .iter()
        .map(|part| {
            let name = match part.v2 {
                true if only => String::new(),
                true => "unified".to_owned(),
                false => part.controllers.join(",").trim_start_matches("name=").to_owned(),
            };
            Ok((text(&name)?, path(&part.path)?))
        })
        .collect()
}

/// The text of the seccomp profile that the container brings along.
pub(super) fn seccomp_profile(container: &Container) -> Result<Option<String>, Unfit> {
    Ok(security::Security::parse(container)?.profile().map(str::to_owned))
}

/// What devices the container may use.
pub(super) fn allowed_devices(container: &Container) -> Result<DeviceRules, Unfit> {
    device_rules(container)
}

/// A text without NUL.
pub(super) fn text(value: &str) -> Result<CString, Unfit> {
    CString::new(value).map_err(|_| Unfit(format!("{value:?} holds a NUL character")))
}

pub(super) fn path(path: &Path) -> Result<CString, Unfit> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Unfit(format!("{} holds a NUL character", path.display())))
}
