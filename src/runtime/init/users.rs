//! The user namespace of a container.
//!
//! It is entered last. Until then the first process is root of the host: it alone can mount layers,
//! make device nodes and the like. What it makes has to belong to the container's root, though, and
//! files that are seen through a user namespace can be owned by nobody else: so it makes everything as
//! that user ([`make_as_root_of`]), with the rights of the host's root.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::thread::LinkNameSpaceType;

use super::failure::{Doing as _, Failure};
use crate::model::IdMaps;

/// From here on files of the calling process belong to root of a user namespace with these users.
pub(super) fn make_as_root_of(maps: &IdMaps) -> Result<(), Failure> {
    let doing = || "act as root of the user namespace";
    let missing = || Failure::new("the user namespace has no root");
    let (user, group) = (maps.user(0).ok_or_else(missing)?, maps.group(0).ok_or_else(missing)?);
    let mut sets = rustix::thread::capabilities(None).doing(doing)?;
    nix::unistd::setfsgid(group.into());
    nix::unistd::setfsuid(user.into());
    // The kernel takes the rights over files from whoever is not root. They come back when the user
    // changes for good.
    sets.effective = sets.permitted;
    rustix::thread::set_capabilities(None, sets).doing(doing)
}

/// Enters it: there is no way back, and no right over anything of the host any more.
pub(super) fn enter(namespace: &OwnedFd) -> Result<(), Failure> {
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User))
        .doing(|| "enter the user namespace")
}

/// The user namespace that a mount is seen through.
pub(super) fn map(id_maps: &[OwnedFd], number: Option<u32>) -> Result<Option<&OwnedFd>, Failure> {
    let missing = || Failure::new("a user namespace of the plan did not come along");
    number
        .map(|number| {
            usize::try_from(number).ok().and_then(|at| id_maps.get(at)).ok_or_else(missing)
        })
        .transpose()
}
