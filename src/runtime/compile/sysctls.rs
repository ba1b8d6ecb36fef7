//! Kernel settings: only those that belong to a namespace of the container's own.

use std::ffi::CString;

use super::{Network, Unfit, text};
use crate::model::{Container, Namespace};

/// Settings of the IPC namespace.
const IPC: [&str; 9] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
    "kernel.auto_msgmni",
];

/// Paths below `/proc` and their values.
pub(super) fn settings(
    container: &Container,
    network: Network,
) -> Result<Vec<(CString, CString)>, Unfit> {
    container
        .sysctls
        .iter()
        .map(|(name, value)| {
            let name = name.replace('/', ".");
            check(&name, container, network)?;
            let path = format!("sys/{}", name.replace('.', "/"));
            Ok((text(&path)?, text(value)?))
        })
        .collect()
}

fn check(name: &str, container: &Container, network: Network) -> Result<(), Unfit> {
    let odd = |part: &str| part.is_empty() || part == "..";
    if name.split('.').any(odd) {
        return Err(Unfit(format!("there is no kernel setting {name:?}")));
    }
    let namespaces = &container.namespaces;
    let (kind, own) = if name.starts_with("net.") {
        ("network", network != Network::Host)
    } else if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        ("IPC", namespaces.ipc != Namespace::Host)
    } else {
        return Err(Unfit(format!(
            "the kernel setting {name} belongs to the whole host, not to a container"
        )));
    };
    if own {
        Ok(())
    } else {
        Err(Unfit(format!(
            "the kernel setting {name} would change the host: the container uses its {kind} namespace"
        )))
    }
}
