//! Users and groups of the container, as the host's.

use super::Unfit;
use crate::model::{Container, IdMaps};

/// What the container's users are on the host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids<'a>(Option<&'a IdMaps>);

impl<'a> Ids<'a> {
    /// Those of a container.
    pub(super) fn of(container: &'a Container) -> Self {
        Self(container.users.as_ref())
    }

    /// Which of the user namespaces that come along files are seen through.
    pub(super) fn number(self) -> Option<u32> {
        self.0.map(|_| 0)
    }

    /// A user.
    pub(super) fn user(self, inside: u32) -> Result<u32, Unfit> {
        match self.0 {
            None => Ok(inside),
            Some(maps) => maps.user(inside).ok_or_else(|| missing("user", inside)),
        }
    }

    /// A group.
    pub(super) fn group(self, inside: u32) -> Result<u32, Unfit> {
        match self.0 {
            None => Ok(inside),
            Some(maps) => maps.group(inside).ok_or_else(|| missing("group", inside)),
        }
    }
}

fn missing(what: &str, inside: u32) -> Unfit {
    Unfit(format!(
        "there is no {what} {inside} in the container's user namespace: `userns_mode: host` gives it \
         the host's"
    ))
}
