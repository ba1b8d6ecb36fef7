//! `linux.namespaces` and `linux.timeOffsets`.

use std::path::PathBuf;

use oci_spec::runtime::{Linux, LinuxNamespaceType};

use super::super::super::compile::Unfit;
use super::super::error::Result;

/// The namespaces of a container.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    /// `CLONE_NEW…` of those that are made, without the cgroup namespace.
    pub new: u64,
    /// Whether a cgroup namespace is made.
    pub new_cgroup: bool,
    /// Those that are entered.
    pub joins: Vec<Joined>,
    /// Whether it has a mount namespace of its own.
    pub has_mount: bool,
}

/// A namespace to enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime::oci) struct Joined {
    /// `CLONE_NEW…`.
    pub kind: u32,
    /// Where it is.
    pub path: PathBuf,
}

impl Namespaces {
    /// Whether one of this kind is made.
    pub(super) fn makes(&self, kind: i32) -> bool {
        self.new & u64::from(kind.cast_unsigned()) != 0
    }

    /// Whether the container's differs from the host's.
    pub(super) fn has(&self, kind: i32) -> bool {
        self.makes(kind) || self.joins.iter().any(|joined| joined.kind == kind.cast_unsigned())
    }
}

/// The namespaces that are asked for. Those that are not listed are the caller's.
pub(super) fn of(linux: &Linux) -> Result<Namespaces> {
    let mut all = Namespaces::default();
    let mut seen = Vec::new();
    for namespace in linux.namespaces().iter().flatten() {
        let kind = kind(namespace.typ());
        if seen.contains(&kind) {
            let text = format!("linux.namespaces lists the {} namespace twice", namespace.typ());
            return Err(Unfit(text).into());
        }
        seen.push(kind);
        all.has_mount |= kind == libc::CLONE_NEWNS;
        if kind == libc::CLONE_NEWUSER {
            // See `users`.
            continue;
        }
        match namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) if path.is_absolute() => {
                all.joins.push(Joined { kind: kind.cast_unsigned(), path: path.clone() });
            }
            Some(path) => {
                let text = format!("the namespace {} is not an absolute path", path.display());
                return Err(Unfit(text).into());
            }
            // Made later, when the process is in its cgroup.
            None if kind == libc::CLONE_NEWCGROUP => all.new_cgroup = true,
            None => all.new |= u64::from(kind.cast_unsigned()),
        }
    }
    // The mount namespace last: the others are made in the one before it.
    all.joins.sort_by_key(|joined| joined.kind == libc::CLONE_NEWNS.cast_unsigned());
    Ok(all)
}

fn kind(kind: LinuxNamespaceType) -> i32 {
    match kind {
        LinuxNamespaceType::Mount => libc::CLONE_NEWNS,
        LinuxNamespaceType::Cgroup => libc::CLONE_NEWCGROUP,
        LinuxNamespaceType::Uts => libc::CLONE_NEWUTS,
        LinuxNamespaceType::Ipc => libc::CLONE_NEWIPC,
        LinuxNamespaceType::Pid => libc::CLONE_NEWPID,
        LinuxNamespaceType::Network => libc::CLONE_NEWNET,
        LinuxNamespaceType::Time => libc::CLONE_NEWTIME,
        LinuxNamespaceType::User => libc::CLONE_NEWUSER,
    }
}

/// The lines of `timens_offsets`.
pub(super) fn time_offsets(linux: &Linux, namespaces: &Namespaces) -> Result<String> {
    let Some(offsets) = linux.time_offsets().as_ref().filter(|all| !all.is_empty()) else {
        return Ok(String::new());
    };
    if !namespaces.makes(libc::CLONE_NEWTIME) {
        let text = "linux.timeOffsets needs a new time namespace in linux.namespaces";
        return Err(Unfit(text.to_owned()).into());
    }
    let mut lines = Vec::new();
    for (clock, offset) in offsets {
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            let text = format!(
                "linux.timeOffsets: there is no clock {clock:?} to set: only \
                monotonic and boottime"
            );
            return Err(Unfit(text).into());
        }
        let nanoseconds = offset.nanosecs().unwrap_or(0);
        lines.push(format!("{clock} {} {nanoseconds}\n", offset.secs().unwrap_or(0)));
    }
    lines.sort();
    Ok(lines.concat())
}
