//! The user namespace: `linux.uidMappings`, `linux.gidMappings`, and those of mounts.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType, Spec};

use super::super::super::compile::Unfit;
use super::super::error::Result;
use crate::model::{IdMaps, IdRange};

/// The most runs of numbers that the kernel takes.
const MOST: usize = 340;

/// The user namespace of a container.
#[derive(Debug, Clone)]
pub(in crate::runtime::oci) struct Users {
    /// Its users and groups.
    pub maps: IdMaps,
    /// Where it is, if it is not new.
    pub path: Option<PathBuf>,
}

/// The user namespace that is asked for.
pub(in crate::runtime::oci) fn of(spec: &Spec) -> Result<Option<Users>> {
    let none = Linux::default();
    let linux = spec.linux().as_ref().unwrap_or(&none);
    let mapped = linux.uid_mappings().as_ref().is_some_and(|all| !all.is_empty())
        || linux.gid_mappings().as_ref().is_some_and(|all| !all.is_empty());
    let asked = linux.namespaces().iter().flatten();
    let Some(namespace) = asked.clone().find(|one| one.typ() == LinuxNamespaceType::User) else {
        return if mapped {
            let text = "linux.uidMappings and gidMappings need a user namespace";
            Err(Unfit(text.to_owned()).into())
        } else {
            Ok(None)
        };
    };
    match namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => Ok(Some(Users { maps: maps_of(path)?, path: Some(path.clone()) })),
        None => {
            let maps = maps(linux.uid_mappings().as_deref(), linux.gid_mappings().as_deref());
            Ok(Some(Users {
                maps: maps.map_err(|unfit| Unfit(format!("linux: {}", unfit.0)))?,
                path: None,
            }))
        }
    }
}

/// Mappings as they stand in a configuration.
pub(super) fn maps(
    users: Option<&[LinuxIdMapping]>,
    groups: Option<&[LinuxIdMapping]>,
) -> std::result::Result<IdMaps, Unfit> {
    Ok(IdMaps { users: ranges(users, "uidMappings")?, groups: ranges(groups, "gidMappings")? })
}

fn ranges(
    mappings: Option<&[LinuxIdMapping]>,
    what: &str,
) -> std::result::Result<Vec<IdRange>, Unfit> {
    let mappings = mappings.unwrap_or_default();
    if mappings.is_empty() {
        return Err(Unfit(format!("a user namespace needs {what}")));
    }
    if mappings.len() > MOST {
        return Err(Unfit(format!("{what} has more than {MOST} entries")));
    }
    let range = |mapping: &LinuxIdMapping| {
        let range = IdRange {
            inside: mapping.container_id(),
            outside: mapping.host_id(),
            count: mapping.size(),
        };
        let fits = |first: u32| range.count > 0 && first.checked_add(range.count).is_some();
        if fits(range.inside) && fits(range.outside) {
            Ok(range)
        } else {
            Err(Unfit(format!("{what}: an entry of size {} leads nowhere", range.count)))
        }
    };
    mappings.iter().map(range).collect()
}

/// The users of the namespace of a process, which the kernel tells beside it.
fn maps_of(path: &Path) -> Result<IdMaps> {
    let unknown = || {
        let text = format!(
            "the user namespace {} is not one of a process, /proc/PID/ns/user: its users cannot be \
             known",
            path.display()
        );
        Unfit(text)
    };
    let process = path
        .parent()
        .filter(|ns| ns.ends_with("ns") && path.ends_with("user"))
        .and_then(Path::parent)
        .filter(|process| process.parent() == Some(Path::new("/proc")))
        .ok_or_else(unknown)?;
    let read = |name: &str| -> Result<Vec<IdRange>> {
        let text = std::fs::read_to_string(process.join(name))
            .map_err(|error| Unfit(format!("the user namespace {}: {error}", path.display())))?;
        let range = |line: &str| {
            let mut numbers = line.split_whitespace().map(str::parse::<u32>);
            let mut next = || numbers.next()?.ok();
            Some(IdRange { inside: next()?, outside: next()?, count: next()? })
        };
        Ok(text.lines().filter_map(range).collect())
    };
    Ok(IdMaps { users: read("uid_map")?, groups: read("gid_map")? })
}

/// A number of the container, as the host's.
pub(super) fn outside(
    maps: Option<&IdMaps>,
    inside: u32,
    group: bool,
) -> std::result::Result<u32, Unfit> {
    let Some(maps) = maps else { return Ok(inside) };
    let found = if group { maps.group(inside) } else { maps.user(inside) };
    found.ok_or_else(|| {
        let what = if group { "group" } else { "user" };
        Unfit(format!("there is no {what} {inside} in the container's user namespace"))
    })
}
