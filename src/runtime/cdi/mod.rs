//! Devices by name, as their vendors describe them: the Container Device Interface.
//!
//! A description is a file in one of [`DIRECTORIES`]; it says which device files, mounts and variables
//! a container needs for a device. Read at each start, so that a device that was just described can
//! be used at once.

mod registry;
mod request;
mod spec;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::model::{Container, Device, HostMount, HostMountSource};

use registry::Registry;
use spec::Edits;

/// Where descriptions are; those of a later directory win.
const DIRECTORIES: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

/// A device that cannot be had, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct CdiError(String);

/// Puts what `container` asks for by name into it; the mounts that come with it are returned.
///
/// # Errors
/// If a device is not described, or its description asks for what orca does not do.
pub(super) fn apply(container: &mut Container) -> Result<Vec<HostMount>, CdiError> {
    let by_name = |device: &Device| is_name(&device.source);
    if container.device_requests.is_empty() && !container.devices.iter().any(by_name) {
        return Ok(Vec::new());
    }
    apply_from(container, &Registry::read(&DIRECTORIES.map(Path::new)))
}

fn apply_from(container: &mut Container, registry: &Registry) -> Result<Vec<HostMount>, CdiError> {
    let (named, paths) = std::mem::take(&mut container.devices)
        .into_iter()
        .partition::<Vec<_>, _>(|device| is_name(&device.source));
    container.devices = paths;
    let mut names: Vec<String> = named.into_iter().map(|device| device.source).collect();
    for request in &container.device_requests {
        names.extend(request::names(request, registry)?);
    }
    let mut mounts = Vec::new();
    for edits in registry.edits(&names)? {
        edit(container, edits, &mut mounts)?;
    }
    Ok(mounts)
}

/// `vendor.com/class=name`, which no path is.
fn is_name(source: &str) -> bool {
    !source.starts_with('/')
        && source.split_once('=').is_some_and(|(kind, name)| {
            !name.is_empty()
                && kind.split_once('/').is_some_and(|(vendor, class)| {
                    !vendor.is_empty() && !class.is_empty() && !class.contains('/')
                })
        })
}

fn edit(
    container: &mut Container,
    edits: &Edits,
    mounts: &mut Vec<HostMount>,
) -> Result<(), CdiError> {
    container.env.extend(edits.env.iter().cloned());
    container.groups.extend(edits.additional_gids.iter().map(ToString::to_string));
    for node in &edits.device_nodes {
        container.devices.push(Device {
            source: node.host_path.clone().unwrap_or_else(|| node.path.clone()),
            target: node.path.clone(),
            permissions: node.permissions.clone().unwrap_or_else(|| "rwm".to_owned()),
        });
    }
    for mount in &edits.mounts {
        let has = |word: &str| mount.options.iter().any(|option| option == word);
        mounts.push(HostMount {
            target: mount.container_path.clone(),
            read_only: has("ro"),
            source: HostMountSource::Bind {
                path: mount.host_path.clone().into(),
                subpath: None,
                propagation: None,
                recursive: has("rbind"),
            },
        });
    }
    Ok(())
}
