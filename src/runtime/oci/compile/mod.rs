//! From a `config.json` to a start plan: all that can be wrong with it is an error here, before
//! anything is made.

mod devices;
mod hooks;
mod labels;
mod mounts;
mod namespaces;
mod options;
mod process;
mod resources;
mod seccomp;
mod users;

#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, Spec};

use super::super::cgroup::DeviceRules;
use super::super::compile::{OwnNamespaces, Unfit, check_sysctl, path, text};
use super::super::plan::{RootEntry, RootFiles, RootPlan, StartPlan, SystemPlan};
use super::error::Result;
use crate::model::{IdMaps, Resources};

pub(super) use hooks::{Hooks, of as hooks};
pub(super) use labels::has_apparmor;
pub(super) use namespaces::Joined;
pub(super) use options::ALL as MOUNT_OPTIONS;
pub(super) use process::{exec, initial_cpus};
pub(super) use resources::resources;
pub(super) use users::{Users, of as users};

/// A container that can be made.
#[derive(Debug)]
pub(super) struct Compiled {
    /// What its first process is to do; without its cgroup.
    pub plan: StartPlan,
    /// The namespaces to enter, in the order of `plan.joins`.
    pub joins: Vec<Joined>,
    /// Its user namespace, which goes in front of those.
    pub users: Option<Users>,
    /// The users that mounts are seen through: `plan.mounts` names them by number.
    pub id_maps: Vec<IdMaps>,
    /// Its hooks.
    pub hooks: Hooks,
    /// Where its cgroup is to be; `None` leaves that to orca.
    pub cgroup: Option<String>,
    /// What it may use.
    pub resources: Resources,
    /// What devices it may use.
    pub devices: DeviceRules,
    /// Its root.
    pub rootfs: PathBuf,
    /// The size of its terminal: rows and columns.
    pub size: Option<(u16, u16)>,
    /// What is passed over, in sentences.
    pub warnings: Vec<String>,
}

/// How a container is to be made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// Without `pivot_root`.
    pub no_pivot: bool,
    /// `cgroupsPath` is of systemd's form.
    pub systemd: bool,
}

/// Works out the plan of a configuration in `bundle`.
pub(super) fn start(spec: &Spec, id: &str, bundle: &Path, manner: Manner) -> Result<Compiled> {
    let none = Linux::default();
    let linux = spec.linux().as_ref().unwrap_or(&none);
    refuse(linux)?;
    let mut warnings = Vec::new();
    let namespaces = namespaces::of(linux)?;
    let rootfs = rootfs(spec, bundle)?;
    let asked = process::first(spec, &mut warnings)?;
    let root = root(spec, linux, &rootfs, &namespaces, manner)?;
    let users = users(spec)?;
    let maps = users.as_ref().map(|users| &users.maps);
    let mut id_maps = Vec::new();
    let plan = StartPlan {
        id: id.to_owned(),
        state_dir: PathBuf::new(),
        cgroup: Vec::new(),
        log: None,
        new_namespaces: namespaces.new,
        joins: namespaces.joins.iter().map(|joined| joined.kind).collect(),
        id_maps: 0,
        users: maps.cloned(),
        time_offsets: namespaces::time_offsets(linux, &namespaces)?,
        new_cgroup_namespace: namespaces.new_cgroup,
        loopback: namespaces.makes(libc::CLONE_NEWNET),
        hostname: name(spec.hostname().as_deref(), "hostname", &namespaces)?,
        domainname: name(spec.domainname().as_deref(), "domainname", &namespaces)?,
        root,
        system: system(spec, linux, maps)?,
        mounts: mounts::all(spec, bundle, maps, &mut id_maps)?,
        sysctls: sysctls(linux, &namespaces, spec.domainname().is_some())?,
        tty: asked.terminal,
        stdin: false,
        init: false,
        process: asked.plan,
    };
    let blank = oci_spec::runtime::LinuxResources::default();
    let limits = linux.resources().as_ref().unwrap_or(&blank);
    Ok(Compiled {
        plan,
        joins: namespaces.joins,
        users,
        id_maps,
        hooks: hooks(spec)?,
        cgroup: cgroup_path(linux, manner)?,
        resources: resources(limits)?,
        devices: devices::rules(limits)?,
        rootfs,
        size: asked.size,
        warnings,
    })
}

/// What changes the meaning of a container and is not done.
fn refuse(linux: &Linux) -> Result<()> {
    let asked = [
        (linux.intel_rdt().is_some(), "linux.intelRdt"),
        (linux.net_devices().as_ref().is_some_and(|all| !all.is_empty()), "linux.netDevices"),
    ];
    match asked.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Unfit(format!("{what} is not supported")).into()),
        None => Ok(()),
    }
}

fn rootfs(spec: &Spec, bundle: &Path) -> Result<PathBuf> {
    let root = spec.root().as_ref().ok_or_else(|| Unfit("root is missing".to_owned()))?;
    let asked = bundle.join(root.path());
    let found = asked.canonicalize().map_err(|error| {
        let why = super::super::init::plain(&error);
        Unfit(format!("root.path {}: {why}", asked.display()))
    })?;
    if !found.is_dir() {
        return Err(Unfit(format!("root.path {} is not a directory", found.display())).into());
    }
    if found == Path::new("/") {
        return Err(Unfit("root.path is the host's own root".to_owned()).into());
    }
    Ok(found)
}

fn root(
    spec: &Spec,
    linux: &Linux,
    rootfs: &Path,
    namespaces: &namespaces::Namespaces,
    manner: Manner,
) -> Result<RootPlan> {
    let propagation = match linux.rootfs_propagation().as_deref() {
        None | Some("") => 0,
        Some(name) => options::propagation(name).ok_or_else(|| {
            Unfit(format!(
                "linux.rootfsPropagation {name:?} is not known: it is one of slave, \
                private, shared and unbindable"
            ))
        })?,
    };
    let entry = match (namespaces.has_mount, manner.no_pivot) {
        (false, _) => RootEntry::Chroot,
        (true, true) => RootEntry::Move,
        (true, false) => RootEntry::Pivot,
    };
    Ok(RootPlan {
        files: RootFiles::Directory(path(rootfs)?),
        stage: path(rootfs)?,
        read_only: spec
            .root()
            .as_ref()
            .and_then(oci_spec::runtime::Root::readonly)
            .unwrap_or(false),
        propagation,
        entry,
    })
}

fn system(spec: &Spec, linux: &Linux, maps: Option<&IdMaps>) -> Result<SystemPlan> {
    // Relative ones are below the root: the specification does not allow them, all runtimes do.
    let list = |paths: &Option<Vec<String>>| -> Result<Vec<CString>> {
        let paths = paths.iter().flatten();
        Ok(paths
            .map(|one| path(&Path::new("/").join(one)))
            .collect::<std::result::Result<_, _>>()?)
    };
    Ok(SystemPlan {
        mounted: false,
        nodes: !mounts::binds_dev(spec),
        privileged: false,
        masked: list(linux.masked_paths())?,
        read_only: list(linux.readonly_paths())?,
        tty_group: 0,
        shm_size: 0,
        shm_from: None,
        cgroups: Vec::new(),
        devices: devices::nodes(linux, maps)?,
    })
}

fn sysctls(
    linux: &Linux,
    namespaces: &namespaces::Namespaces,
    domainname: bool,
) -> Result<Vec<(CString, CString)>> {
    let mut settings = linux.sysctl().iter().flatten().collect::<Vec<_>>();
    settings.sort();
    let own = OwnNamespaces {
        network: namespaces.has(libc::CLONE_NEWNET),
        ipc: namespaces.has(libc::CLONE_NEWIPC),
        uts: namespaces.has(libc::CLONE_NEWUTS),
    };
    settings
        .into_iter()
        .map(|(name, value)| {
            let name = name.replace('/', ".");
            if name == "kernel.domainname" && domainname {
                let text = "domainname and the kernel setting kernel.domainname exclude each other";
                return Err(Unfit(text.to_owned()).into());
            }
            check_sysctl(&name, own)?;
            Ok((text(&format!("sys/{}", name.replace('.', "/")))?, text(value)?))
        })
        .collect()
}

fn name(
    value: Option<&str>,
    what: &str,
    namespaces: &namespaces::Namespaces,
) -> Result<Option<CString>> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    if !namespaces.has(libc::CLONE_NEWUTS) {
        let text = format!("{what} is given without a uts namespace: it would change the host's");
        return Err(Unfit(text).into());
    }
    Ok(Some(text(value)?))
}

/// Where the container's cgroup is to be. Of systemd's form, `slice:prefix:name`, the same place is
/// meant that systemd would choose.
fn cgroup_path(linux: &Linux, manner: Manner) -> Result<Option<String>> {
    let Some(path) = linux.cgroups_path() else { return Ok(None) };
    let path = std::str::from_utf8(path.as_os_str().as_bytes())
        .map_err(|_| Unfit("linux.cgroupsPath is not UTF-8".to_owned()))?;
    if path.is_empty() {
        return Ok(None);
    }
    let parts: Vec<&str> = path.split(':').collect();
    match (parts.as_slice(), manner.systemd) {
        ([slice, prefix, name], true) => {
            let slice = if slice.is_empty() { "system.slice" } else { slice };
            let unit = match (*prefix, name.ends_with(".slice")) {
                (_, true) => (*name).to_owned(),
                ("", _) => format!("{name}.scope"),
                (prefix, _) => format!("{prefix}-{name}.scope"),
            };
            Ok(Some(format!("/{}/{unit}", expand_slice(slice)?)))
        }
        (_, true) => Err(Unfit(format!(
            "linux.cgroupsPath {path:?} is not of the form slice:prefix:name that --systemd-cgroup \
             wants"
        ))
        .into()),
        (_, false) => Ok(Some(path.to_owned())),
    }
}

/// `a-b.slice` lies in `a.slice`.
fn expand_slice(slice: &str) -> Result<String> {
    let Some(name) = slice.strip_suffix(".slice") else {
        return Err(Unfit(format!("{slice:?} is not the name of a slice of systemd")).into());
    };
    if name == "-" {
        return Ok(String::new());
    }
    if name.contains('/') || name.split('-').any(str::is_empty) {
        return Err(Unfit(format!("{slice:?} is not the name of a slice of systemd")).into());
    }
    let ends = name.match_indices('-').map(|(at, _)| at).chain([name.len()]);
    Ok(ends.map(|end| format!("{}.slice", &name[..end])).collect::<Vec<_>>().join("/"))
}
