//! Which hierarchies a host has mounted, and where in each orca has its base.

use std::path::{Path, PathBuf};

/// The two designs of cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller.
    V1,
    /// One hierarchy.
    V2,
}

/// The controllers orca uses, by their v2 names.
const USED: [&str; 8] = ["cpuset", "cpu", "io", "memory", "pids", "hugetlb", "rdma", "misc"];
/// The v1 controllers without which v1 is not what the host runs on.
const V1_NEEDED: [&str; 6] = ["cpu", "memory", "pids", "devices", "freezer", "blkio"];

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// Its design.
    pub(super) version: Version,
    /// By the kernel's names: v1 says `blkio` where v2 says `io`. A v1 hierarchy may have only a
    /// name, as `name=systemd`.
    pub(super) controllers: Vec<String>,
    /// Where it is mounted.
    pub(super) mount: PathBuf,
    /// The cgroup this process is in, as a directory.
    pub(super) own: PathBuf,
    /// Below what orca makes its own.
    pub(super) base: PathBuf,
}

impl Hierarchy {
    /// Whether it has a controller, by its v2 name.
    pub(super) fn has(&self, controller: &str) -> bool {
        has(self.version, &self.controllers, controller)
    }

    /// Where a path starts.
    pub(super) fn start(&self, path: &str) -> &Path {
        if path.starts_with('/') { &self.mount } else { &self.base }
    }

    /// With the base at a delegated cgroup, if this process is in one; and with what controllers
    /// there are in the base.
    pub(super) fn with_base(mut self) -> Self {
        if let Some(base) = delegated(self.version, &self.own) {
            self.base = base;
        }
        if self.version == Version::V2 {
            let there = std::fs::read_to_string(self.base.join("cgroup.controllers"));
            let there = there.unwrap_or_default();
            let used = there.split_whitespace().filter(|one| USED.contains(one));
            self.controllers = used.map(str::to_owned).collect();
        }
        self
    }
}

/// Whether a controller, by its v2 name, is among these of a hierarchy.
pub(super) fn has(version: Version, controllers: &[String], controller: &str) -> bool {
    let name = match (version, controller) {
        (Version::V1, "io") => "blkio",
        _ => controller,
    };
    controllers.iter().any(|one| one == name)
}

/// The hierarchies that `/proc/self/mountinfo` and `/proc/self/cgroup` tell of. The v1 ones are
/// left out where they hold no controller that matters: such a host runs on v2.
pub(super) fn hierarchies(mountinfo: &str, own: &str) -> Vec<Hierarchy> {
    let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::parse).collect();
    let mut found: Vec<Hierarchy> =
        own.lines().filter_map(|line| hierarchy(line, &mounts)).collect();
    let needed = |controller: &String| V1_NEEDED.contains(&controller.as_str());
    let v1_matters =
        found.iter().any(|one| one.version == Version::V1 && one.controllers.iter().any(needed));
    let has_v2 = found.iter().any(|one| one.version == Version::V2);
    if has_v2 && !v1_matters {
        found.retain(|one| one.version == Version::V2);
    }
    found
}

/// The hierarchy of one line of `/proc/self/cgroup`: `4:memory:/some/path`, for v2 `0::/some/path`.
fn hierarchy(line: &str, mounts: &[Mount<'_>]) -> Option<Hierarchy> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let version = if controllers.is_empty() { Version::V2 } else { Version::V1 };
    let controllers: Vec<String> =
        controllers.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect();
    let mount = mounts.iter().find(|mount| {
        mount.version == version
            && controllers.iter().all(|one| mount.options.contains(&one.as_str()))
    })?;
    let point = mount.point();
    // A bind mount of a part of the hierarchy shows paths below that part only.
    let below = match mount.root {
        "/" => Some(path),
        root => path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/')),
    };
    let below = below.filter(|below| !below.split('/').any(|part| part == ".."));
    let own = point.join(below.unwrap_or("").trim_start_matches('/'));
    Some(Hierarchy { version, controllers, base: point.clone(), own, mount: point })
}

/// A cgroup mount.
struct Mount<'a> {
    version: Version,
    root: &'a str,
    point: &'a str,
    options: Vec<&'a str>,
}

impl<'a> Mount<'a> {
    /// A line of mountinfo: `id parent dev root point options [optional]* - type source options`.
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let version = match right.next()? {
            "cgroup" => Version::V1,
            "cgroup2" => Version::V2,
            _ => return None,
        };
        let options = right.nth(1).unwrap_or("").split(',').collect();
        Some(Self { version, root, point, options })
    }

    /// The mount point, with the octal escapes of spaces and the like undone.
    fn point(&self) -> PathBuf {
        let mut plain = self.point.to_owned();
        for (escape, byte) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
            plain = plain.replace(escape, byte);
        }
        PathBuf::from(plain)
    }
}

/// The cgroup that systemd handed to this process's unit (`Delegate=yes`), which it marks with an
/// attribute: the one above this process's own when the unit names a `DelegateSubgroup`, else its own.
///
/// The latter is of no use in v2. Once it has children with controllers it may hold no process, and
/// systemd, which starts the unit's process in it, could not start the unit again (`EBUSY`, shown as
/// `219/CGROUP`) while containers run.
fn delegated(version: Version, own: &Path) -> Option<PathBuf> {
    let marked = |dir: &&Path| {
        ["user.delegate", "trusted.delegate"].iter().any(|name| {
            let mut value = [0; 8];
            rustix::fs::getxattr(*dir, *name, &mut value)
                .is_ok_and(|length| value[..length] == *b"1")
        })
    };
    let nearest = if version == Version::V2 { 1 } else { 0 };
    own.ancestors().take(2).skip(nearest).find(marked).map(Path::to_owned)
}

#[cfg(test)]
mod tests;
