//! The user namespace of a container that is about to start.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::CWD;
use rustix::mount::OpenTreeFlags;

use super::super::compile::Network;
use super::{Runtime, RuntimeError};
use crate::model::{Container, HostMount, HostMountSource, IdMaps, Namespace};
use crate::sys::{mounts, users};

/// Where a container gets its user namespace from.
pub(super) struct Users {
    /// The namespace.
    pub namespace: OwnedFd,
    /// The network namespace that was made with it, for a container without a network.
    pub network: Option<OwnedFd>,
}

/// Why a container that could have a user namespace does not get one, as a sentence.
#[derive(Debug)]
pub(super) struct Excuse(pub String);

impl Runtime {
    /// The user namespace of a container with these users, whose network is `network` in `joined`.
    ///
    /// Not every container can have one: what it shares with others may belong to the host, and what
    /// is mounted may lie on file systems that cannot show other owners. It then runs as it would
    /// without.
    pub(super) fn users(
        &self,
        container: &Container,
        maps: &IdMaps,
        (network, joined): (Network, Option<&OwnedFd>),
        mounts: &[&[HostMount]],
    ) -> Result<Result<Users, Excuse>, RuntimeError> {
        if let Err(why) = &self.inner.user_namespaces {
            return Ok(Err(Excuse(why.clone())));
        }
        let made = match (network, joined) {
            (Network::Host, _) => {
                return Ok(Err(Excuse("it uses the network of the host".to_owned())));
            }
            (_, Some(network)) => match users::owner(network) {
                Ok(namespace) if users::is_own(&namespace).is_ok_and(|own| own) => {
                    return Ok(Err(Excuse("its network belongs to the host's users".to_owned())));
                }
                Ok(namespace) => Users { namespace, network: None },
                Err(error) => return Ok(Err(Excuse(format!("its network has no users: {error}")))),
            },
            (_, None) => {
                let made = users::make(maps, true).map_err(|error| {
                    RuntimeError::Unfit(format!("cannot make a user namespace: {error}"))
                })?;
                Users { namespace: made.users, network: made.network }
            }
        };
        if let Some(other) = self.with_the_hosts_users(container)? {
            return Ok(Err(Excuse(format!("it shares with {other}, which has the host's users"))));
        }
        let mut mounts = mounts.iter().copied().flatten();
        let odd = mounts.find_map(|mount| unmappable(mount, &made.namespace));
        Ok(match odd {
            Some(why) => Err(Excuse(why)),
            None => Ok(made),
        })
    }

    /// The container whose namespaces this one uses, if that one has the users of the host: its files
    /// and processes are out of reach for others.
    fn with_the_hosts_users(&self, container: &Container) -> Result<Option<String>, RuntimeError> {
        for (namespace, _) in super::super::compile::kinds(container) {
            let Namespace::Container(other) = namespace else { continue };
            let other = self.entry(other)?;
            if other.asked.container.users.is_none() {
                return Ok(Some(other.asked.container.name.clone()));
            }
        }
        Ok(None)
    }
}

/// Why the source of `mount` cannot be shown with other owners; `None` if it can, or if it cannot be
/// used at all, which the start tells better.
fn unmappable(mount: &HostMount, users: &OwnedFd) -> Option<String> {
    let HostMountSource::Bind { path, recursive, .. } = &mount.source else { return None };
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, *recursive);
    let tree = rustix::mount::open_tree(CWD, path, flags).ok()?;
    let error = mounts::map_ids(tree.as_fd(), *recursive, users.as_fd()).err()?;
    let what = if *recursive { "it, or what is mounted below it, is" } else { "it is" };
    Some(format!(
        "{} cannot be mounted with other owners ({error}): {what} on a file system that lacks this",
        path.display()
    ))
}

/// Gives the files that were made for the container's task to its root.
pub(super) fn give(container: &Container, mounts: &[HostMount]) -> std::io::Result<()> {
    let root = |find: fn(&IdMaps, u32) -> Option<u32>| match &container.users {
        None => Some(0),
        Some(maps) => find(maps, 0),
    };
    let (user, group) = (root(IdMaps::user), root(IdMaps::group));
    let own = mounts.iter().filter_map(|mount| match &mount.source {
        HostMountSource::Own { path } => Some(path),
        _ => None,
    });
    own.into_iter().try_for_each(|path| std::os::unix::fs::chown(path, user, group))
}

/// Whether containers can have user namespaces here, with layers in `directory`; or why not.
pub(super) fn support(directory: &std::path::Path) -> Result<(), String> {
    let made = users::make(&IdMaps::numbered(0), false)
        .map_err(|error| format!("the kernel makes no user namespaces: {error}"))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mapped = |path: &std::path::Path| -> std::io::Result<OwnedFd> {
        let tree = rustix::mount::open_tree(CWD, path, flags)?;
        mounts::map_ids(tree.as_fd(), false, made.users.as_fd())?;
        Ok(tree)
    };
    mapped(directory).map(drop).map_err(|error| {
        format!("the file system of {} cannot show other owners: {error}", directory.display())
    })?;
    overlay_takes_mapped_layers()
}

/// Overlayfs takes such layers from Linux 5.19 on. Only the version tells: what an older one makes of
/// them is an overlay with the wrong owners.
fn overlay_takes_mapped_layers() -> Result<(), String> {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (5, 19) {
        return Ok(());
    }
    Err(format!("overlayfs of Linux {release} cannot show other owners: that came with 5.19"))
}
