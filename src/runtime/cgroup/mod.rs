//! Control groups: what a container may use, and the handle by which all its processes are held.
//!
//! Linux has two versions of them, and a host may use both at once. Here a host is a list of
//! hierarchies, each with its version and its controllers; a container's cgroup is one directory
//! in each. Limits are translated for the version that has the controller. Nothing above this
//! folder knows about versions.
//!
//! Existing cgroups are never changed: orca makes children of a base of its own. The base is the
//! cgroup that systemd delegated to the daemon's unit, or else the root of each hierarchy. In v2 the
//! unit must name a `DelegateSubgroup` for that (systemd 254).
//!
//! Sources: `Documentation/admin-guide/cgroup-v1/`, `Documentation/admin-guide/cgroup-v2.rst`.

mod devices;
mod error;
mod files;
mod freeze;
mod layout;
mod limits;
mod oom;
mod parts;
mod remove;
mod stats;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

pub use devices::{Access, DEFAULT_DEVICES, DeviceKind, DeviceRule, DeviceRules};
pub use error::CgroupError;
pub use layout::Version;
pub use parts::Part;
pub use stats::Stats;

use layout::Hierarchy;

use crate::model::Resources;
use crate::sys::bpf;

/// The leaf the processes of a delegated base move to: a v2 cgroup with controllers for its children
/// may hold no process itself.
const LEAF: &str = "daemon";
/// The deepest path of a cgroup, in components.
const MAX_DEPTH: usize = 32;

/// The cgroup hierarchies of this host.
#[derive(Debug, Clone)]
pub struct Cgroups {
    hierarchies: Vec<Hierarchy>,
}

/// One container's cgroup: a directory in every hierarchy.
#[derive(Debug, Clone)]
pub struct Cgroup {
    dirs: Vec<Dir>,
}

/// A cgroup in one hierarchy.
#[derive(Debug, Clone)]
struct Dir {
    version: Version,
    controllers: Vec<String>,
    path: PathBuf,
}

impl Cgroups {
    /// Finds the hierarchies that are mounted.
    ///
    /// # Errors
    /// If `/proc` cannot be read or no hierarchy is mounted.
    pub fn detect() -> Result<Self, CgroupError> {
        let mountinfo = files::read(Path::new("/proc/self/mountinfo"))?;
        let own = files::read(Path::new("/proc/self/cgroup"))?;
        let hierarchies = layout::hierarchies(&mountinfo, &own);
        if hierarchies.is_empty() {
            return Err(CgroupError::NotMounted);
        }
        Ok(Self { hierarchies: hierarchies.into_iter().map(Hierarchy::with_base).collect() })
    }

    /// The version that has most to say: v2 only if no v1 hierarchy has a controller.
    pub fn version(&self) -> Version {
        let v1 = |hierarchy: &Hierarchy| hierarchy.version == Version::V1;
        if self.hierarchies.iter().any(v1) { Version::V1 } else { Version::V2 }
    }

    /// Whether a controller (by its v2 name: `cpu`, `io`, …) can be used.
    pub fn has(&self, controller: &str) -> bool {
        self.hierarchies.iter().any(|hierarchy| hierarchy.has(controller))
    }

    /// Sentences about settings that this host's cgroups cannot carry and that are passed over,
    /// because a container works without them.
    pub fn warnings(&self, resources: &Resources) -> Vec<String> {
        limits::warnings(self, resources)
    }

    /// Moves the processes of a delegated base into a leaf of it, so that the base may have children
    /// with controllers. The daemon calls it once, before it makes containers; it is safe to repeat.
    ///
    /// # Errors
    /// If the leaf cannot be made or a process cannot be moved.
    pub fn make_room(&self) -> Result<(), CgroupError> {
        for hierarchy in self.hierarchies.iter().filter(|one| one.version == Version::V2) {
            // Only a cgroup that is not the root of the host's hierarchy has a type.
            if !hierarchy.base.join("cgroup.type").exists() {
                continue;
            }
            let pids = files::pids(&hierarchy.base)?;
            if pids.is_empty() {
                continue;
            }
            let leaf = hierarchy.base.join(LEAF);
            files::make_dir(&leaf)?;
            for pid in pids {
                match files::write(&leaf, "cgroup.procs", &pid.to_string()) {
                    Err(error) if error.is(rustix::io::Errno::SRCH) => {}
                    moved => moved?,
                }
            }
        }
        Ok(())
    }

    /// Makes the cgroup at `path` with these limits, and its missing parents. A relative path is
    /// below the base (`orca/<container>`), an absolute one below the root of each hierarchy. If
    /// anything fails, what was made is removed again.
    ///
    /// # Errors
    /// If the path is not plain, a directory cannot be made, or a limit cannot be put in force:
    /// the error names the controller, the file and the value.
    pub fn create(
        &self,
        path: &str,
        resources: &Resources,
        devices: &DeviceRules,
    ) -> Result<Cgroup, CgroupError> {
        let components = components(path)?;
        let cgroup = self.at(path, &components);
        let made = self
            .hierarchies
            .iter()
            .try_for_each(|hierarchy| make(hierarchy, path, &components))
            .and_then(|()| limits::write(&cgroup, resources))
            .and_then(|()| cgroup.restrict_devices(devices));
        match made {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                // The first error is the one to tell.
                drop(cgroup.remove());
                Err(error)
            }
        }
    }

    /// The cgroup at `path`, which some process made before.
    ///
    /// # Errors
    /// If the path is not plain or the cgroup is not there.
    pub fn open(&self, path: &str) -> Result<Cgroup, CgroupError> {
        let mut cgroup = self.at(path, &components(path)?);
        cgroup.dirs.retain(|dir| dir.path.is_dir());
        if cgroup.dirs.is_empty() { Err(CgroupError::Gone(path.to_owned())) } else { Ok(cgroup) }
    }

    /// Removes the cgroup at `path` with all empty cgroups below it; nothing if it is not there.
    ///
    /// # Errors
    /// If a cgroup below holds a process.
    pub fn remove_base(&self, path: &str) -> Result<(), CgroupError> {
        self.at(path, &components(path)?).remove()
    }

    fn at(&self, path: &str, components: &[&str]) -> Cgroup {
        let dirs = self.hierarchies.iter().map(|hierarchy| Dir {
            version: hierarchy.version,
            controllers: hierarchy.controllers.clone(),
            path: components
                .iter()
                .fold(hierarchy.start(path).to_owned(), |dir, one| dir.join(one)),
        });
        Cgroup { dirs: dirs.collect() }
    }
}

impl Cgroup {
    /// The directory of the v2 hierarchy, opened for `CLONE_INTO_CGROUP`; `None` where a process
    /// must be written into v1 hierarchies as well.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn v2_dir(&self) -> Result<Option<OwnedFd>, CgroupError> {
        match self.dirs.as_slice() {
            [dir] if dir.version == Version::V2 => files::open_dir(&dir.path).map(Some),
            _ => Ok(None),
        }
    }

    /// Moves a process, with all its threads, into the cgroup.
    ///
    /// # Errors
    /// If a hierarchy refuses it.
    pub fn enter(&self, pid: u32) -> Result<(), CgroupError> {
        let pid = pid.to_string();
        self.dirs.iter().try_for_each(|dir| files::write(&dir.path, "cgroup.procs", &pid))
    }

    /// The `cgroup.procs` of each hierarchy, opened for writing, for a process that cannot open
    /// them: `0` stands for the writer.
    ///
    /// # Errors
    /// If one cannot be opened.
    pub fn procs_fds(&self) -> Result<Vec<OwnedFd>, CgroupError> {
        let open = |dir: &Dir| files::open_write(&dir.path, "cgroup.procs").map(File::into);
        self.dirs.iter().map(open).collect()
    }

    /// The processes in it and below it.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn pids(&self) -> Result<Vec<u32>, CgroupError> {
        // Any hierarchy holds all of them; v2 knows a killed one soonest.
        let dir = self.dirs.iter().find(|dir| dir.version == Version::V2);
        match dir.or(self.dirs.first()) {
            Some(dir) => files::pids_below(&dir.path, MAX_DEPTH),
            None => Ok(Vec::new()),
        }
    }

    /// Changes the limits that are given; others stay.
    ///
    /// # Errors
    /// As [`Cgroups::create`].
    pub fn update(&self, resources: &Resources) -> Result<(), CgroupError> {
        limits::write(self, resources)
    }

    /// The cgroup at `path` below this one, which some process made before.
    ///
    /// # Errors
    /// If the path is not plain or the cgroup is not there.
    pub fn below(&self, path: &str) -> Result<Self, CgroupError> {
        let components = components(path)?;
        let mut cgroup = self.clone();
        for dir in &mut cgroup.dirs {
            dir.path.extend(&components);
        }
        cgroup.dirs.retain(|dir| dir.path.is_dir());
        if cgroup.dirs.is_empty() { Err(CgroupError::Gone(path.to_owned())) } else { Ok(cgroup) }
    }

    /// Its directories, one in each hierarchy.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.dirs.iter().map(|dir| dir.path.as_path())
    }

    /// Where a controller (by its v2 name) is.
    fn dir(&self, controller: &str) -> Option<&Dir> {
        self.dirs.iter().find(|dir| layout::has(dir.version, &dir.controllers, controller))
    }

    /// The files of v2 that need no controller: `cgroup.kill`, `cgroup.freeze`, device programs.
    fn v2(&self) -> Option<&Dir> {
        self.dirs.iter().find(|dir| dir.version == Version::V2)
    }

    fn restrict_devices(&self, rules: &DeviceRules) -> Result<(), CgroupError> {
        let rules = rules.normalised();
        if let Some(dir) = self.dir("devices") {
            return devices::write_v1(&dir.path, &rules);
        }
        if rules.allows_everything() {
            return Ok(());
        }
        let Some(dir) = self.v2() else { return Err(CgroupError::NoDeviceControl) };
        let program = rules.program()?;
        let cgroup = files::open_dir(&dir.path)?;
        bpf::load_device_program(&program)
            .and_then(|program| bpf::attach_device_program(&program, &cgroup))
            .map_err(|source| CgroupError::DeviceProgram { path: dir.path.clone(), source })
    }
}

/// Makes the directories of `path` in one hierarchy, each ready for children with controllers.
fn make(hierarchy: &Hierarchy, path: &str, components: &[&str]) -> Result<(), CgroupError> {
    let mut dir = hierarchy.start(path).to_owned();
    for component in components {
        if hierarchy.version == Version::V2 {
            files::enable_controllers(&dir, &hierarchy.controllers)?;
        }
        let parent = dir.clone();
        dir.push(component);
        files::make_dir(&dir)?;
        if hierarchy.version == Version::V1 && hierarchy.has("cpuset") {
            files::inherit_cpuset(&parent, &dir)?;
        }
    }
    Ok(())
}

/// The parts of a path of a cgroup. It can come from a user's file: `..` would lead out of the base.
fn components(path: &str) -> Result<Vec<&str>, CgroupError> {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    // The kernel's own files are named `<controller>.<file>`; a new line ends a record of
    // /proc/<pid>/cgroup.
    let odd = |part: &&str| *part == ".." || part.len() > 255 || part.contains(['\0', '\n']);
    if parts.is_empty() || parts.len() > MAX_DEPTH || parts.iter().any(odd) {
        return Err(CgroupError::Path(path.to_owned()));
    }
    Ok(parts)
}
