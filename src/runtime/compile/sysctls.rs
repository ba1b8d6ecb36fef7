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
    let namespaces = &container.namespaces;
    let own = Own {
        network: network != Network::Host,
        ipc: namespaces.ipc != Namespace::Host,
        uts: namespaces.uts != Namespace::Host,
    };
    container
        .sysctls
        .iter()
        .map(|(name, value)| {
            let name = name.replace('/', ".");
            check(&name, own)?;
            let path = format!("sys/{}", name.replace('.', "/"));
            Ok((text(&path)?, text(value)?))
        })
        .collect()
}

/// The namespaces of its own that a container has.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtime) struct Own {
    /// Network.
    pub network: bool,
    /// System V and POSIX messages, and memory shared by them.
    pub ipc: bool,
    /// Host and domain name.
    pub uts: bool,
}

/// Checks that a setting (with dots) is one of a namespace that is the container's own.
pub(in crate::runtime) fn check(name: &str, own: Own) -> Result<(), Unfit> {
    let odd = |part: &str| part.is_empty() || part == "..";
    if name.split('.').any(odd) {
        return Err(Unfit(format!("there is no kernel setting {name:?}")));
    }
    let (kind, own) = if name.starts_with("net.") {
        ("network", own.network)
    } else if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        ("IPC", own.ipc)
    } else if name == "kernel.domainname" {
        ("UTS", own.uts)
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
