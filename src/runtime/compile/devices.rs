//! Device nodes and the rules for devices.

use std::ffi::CString;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::super::cgroup::{DeviceKind, DeviceRule, DeviceRules};
use super::super::plan::DevicePlan;
use super::{Ids, Unfit, path};
use crate::model::{Container, Device};

/// The most device nodes of a container, and how deep directories of them are walked.
const MOST: usize = 4096;
const DEPTH: usize = 8;
/// What is not passed on from the host's `/dev` even to a privileged container: it has its own.
const OWN: [&str; 16] = [
    "pts", "shm", "mqueue", "fd", "stdin", "stdout", "stderr", "console", "ptmx", "core", "null",
    "zero", "full", "random", "urandom", "tty",
];

/// A device of the host, and where it goes.
struct Found {
    target: PathBuf,
    data: Metadata,
}

/// The nodes beside those that every container has.
pub(super) fn nodes(container: &Container) -> Result<Vec<DevicePlan>, Unfit> {
    let mut found = Vec::new();
    if container.privileged {
        for entry in fs::read_dir("/dev").into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !OWN.iter().any(|own| *own == name) {
                // What disappears meanwhile, as devices do, is not missed.
                let _gone = collect(&entry.path(), &entry.path(), DEPTH, &mut found);
            }
        }
    }
    for device in &container.devices {
        collect_asked(device, &mut found)?;
    }
    found.iter().map(|found| node(found, Ids::of(container))).collect()
}

/// What may be done with which devices.
pub(in crate::runtime) fn rules(container: &Container) -> Result<DeviceRules, Unfit> {
    if container.privileged {
        return Ok(DeviceRules::all());
    }
    let mut rules = DeviceRules::default();
    for device in &container.devices {
        let access = if device.permissions.is_empty() { "rwm" } else { &device.permissions };
        let access = access.parse().map_err(|error| {
            Unfit(format!("the permissions {access:?} of device {:?}: {error}", device.source))
        })?;
        let mut found = Vec::new();
        collect_asked(device, &mut found)?;
        rules.0.extend(found.iter().map(|one| {
            let (major, minor) = numbers(&one.data);
            let kind = if one.data.file_type().is_block_device() {
                DeviceKind::Block
            } else {
                DeviceKind::Char
            };
            DeviceRule {
                allow: true,
                kind: Some(kind),
                major: Some(major),
                minor: Some(minor),
                access,
            }
        }));
    }
    for rule in &container.device_cgroup_rules {
        let parsed = rule
            .parse::<DeviceRule>()
            .map_err(|error| Unfit(format!("the device rule {rule:?}: {error}")))?;
        rules.0.push(parsed);
    }
    Ok(rules)
}

fn collect_asked(device: &Device, found: &mut Vec<Found>) -> Result<(), Unfit> {
    let Device { source, target, .. } = device;
    if !source.starts_with('/') {
        return Err(Unfit(format!("the device {source:?} is not a path of this host")));
    }
    let target = if target.is_empty() { source } else { target };
    if !target.starts_with('/') {
        return Err(Unfit(format!("the place {target:?} of device {source:?} is not absolute")));
    }
    let before = found.len();
    collect(Path::new(source), Path::new(target), DEPTH, found)
        .map_err(|error| Unfit(format!("cannot use the device {source:?}: {error}")))?;
    if found.len() == before {
        return Err(Unfit(format!("{source:?} is not a device")));
    }
    Ok(())
}

/// The device at `source`, or all of them below it.
fn collect(
    source: &Path,
    target: &Path,
    depth: usize,
    found: &mut Vec<Found>,
) -> std::io::Result<()> {
    let data = fs::metadata(source)?;
    let kind = data.file_type();
    if kind.is_block_device() || kind.is_char_device() {
        if found.len() >= MOST {
            return Err(std::io::Error::other("there are too many devices"));
        }
        found.push(Found { target: target.to_owned(), data });
    } else if kind.is_dir() && depth > 0 {
        for entry in fs::read_dir(source)? {
            let entry = entry?;
            collect(&entry.path(), &target.join(entry.file_name()), depth - 1, found)?;
        }
    }
    Ok(())
}

fn node(found: &Found, ids: Ids<'_>) -> Result<DevicePlan, Unfit> {
    let (major, minor) = numbers(&found.data);
    let path: CString = path(&found.target)?;
    let data = &found.data;
    // An owner that the container does not have is nobody there, as the host's number is.
    let uid = ids.user(data.uid()).unwrap_or(data.uid());
    let gid = ids.group(data.gid()).unwrap_or(data.gid());
    Ok(DevicePlan { path, mode: data.mode(), major, minor, uid, gid })
}

fn numbers(data: &Metadata) -> (u32, u32) {
    (rustix::fs::major(data.rdev()), rustix::fs::minor(data.rdev()))
}
