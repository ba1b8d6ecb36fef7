//! The users and groups of a container, and what they are on the host.

use serde::{Deserialize, Serialize};

use super::user_pool::first_of;
use super::{NamespaceMode, NetworkMode, Service};

/// How many users and groups a container has: as many as an image can name with 16 bits, which is what
/// distributions keep to.
pub const USERS: u32 = 1 << 16;
/// The first host number that is given out. The range up to [`LAST_USER`] is what systemd sets aside
/// for containers; `useradd` and `/etc/subuid` stay below it by default.
pub const FIRST_USER: u32 = 0x3000_0000;
/// The last host number that is given out.
pub const LAST_USER: u32 = 0x6fff_ffff;
/// How many ranges there are.
pub const RANGES: u32 = (LAST_USER - FIRST_USER) / USERS + 1;

/// A run of numbers in a user namespace, and what they are outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdRange {
    /// The first number inside.
    pub inside: u32,
    /// What it is outside.
    pub outside: u32,
    /// How many there are.
    pub count: u32,
}

/// The users and groups of a user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdMaps {
    /// Users.
    pub users: Vec<IdRange>,
    /// Groups.
    pub groups: Vec<IdRange>,
}

impl IdMaps {
    /// The `number`th range of the default pool; they begin anew after [`RANGES`].
    pub fn numbered(number: u32) -> Self {
        Self::starting(Self::first_of_numbered(number))
    }

    /// Where that begins.
    pub(super) fn first_of_numbered(number: u32) -> u32 {
        FIRST_USER + (number % RANGES) * USERS
    }

    /// The range that a stack was given: see `Stack::users`.
    pub fn given(kept: u32) -> Self {
        Self::starting(first_of(kept))
    }

    /// [`USERS`] users and groups from `outside` on.
    fn starting(outside: u32) -> Self {
        let all = vec![IdRange { inside: 0, outside, count: USERS }];
        Self { users: all.clone(), groups: all }
    }

    /// What the user is outside; `None` if there is no such user.
    pub fn user(&self, inside: u32) -> Option<u32> {
        find(&self.users, inside)
    }

    /// The user inside that is `outside`; `None` if there is none.
    pub fn user_inside(&self, outside: u32) -> Option<u32> {
        self.users.iter().find_map(|range| {
            let offset = outside.checked_sub(range.outside).filter(|o| *o < range.count)?;
            range.inside.checked_add(offset)
        })
    }

    /// What the group is outside; `None` if there is no such group.
    pub fn group(&self, inside: u32) -> Option<u32> {
        find(&self.groups, inside)
    }
}

/// Rights that count in a user namespace as they do without one. All others are rights over the host,
/// which a user namespace takes away: a service that adds one of those means that.
const RIGHTS: [&str; 18] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "LEASE",
];

/// Settings that the kernel does not show in a network namespace that does not belong to the host.
const HIDDEN_SETTINGS: [&str; 2] = ["net.core.", "net.ipv6.route."];

/// Why containers have the users of the host and no user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostUsers {
    /// The attribute of the service that makes it so.
    pub attribute: &'static str,
    /// Why, as a sentence's end.
    pub why: String,
}

impl Service {
    /// Why the service's containers have the users of the host; `None` if they have a user namespace.
    /// `image_user` is the user that the image names.
    pub fn why_host_users(&self, image_user: &str) -> Option<HostUsers> {
        let because = |attribute, why| Some(HostUsers { attribute, why });
        let modes = [("pid", &self.pid), ("ipc", &self.ipc)];
        if self.userns_mode.as_deref() == Some("host") {
            return because("userns_mode", "userns_mode is host".to_owned());
        }
        if self.privileged {
            return because("privileged", "it is privileged".to_owned());
        }
        if self.network_mode == NetworkMode::Host {
            return because("network_mode", "network_mode is host".to_owned());
        }
        if let Some((name, _)) = modes.iter().find(|(_, mode)| **mode == NamespaceMode::Host) {
            return because(name, format!("{name} is host"));
        }
        if let Some(right) = self.cap_add.iter().find(|right| !counts_inside(right)) {
            return because("cap_add", format!("cap_add {right} is a right over the whole host"));
        }
        let hidden = |name: &str| {
            let name = name.replace('/', ".");
            HIDDEN_SETTINGS.iter().any(|hidden| name.starts_with(hidden))
        };
        if let Some(name) = self.sysctls.keys().find(|name| hidden(name)) {
            let why = format!("sysctl {name} is not there in a user namespace");
            return because("sysctls", why);
        }
        let user = self.user.as_deref().unwrap_or(image_user);
        let large = |part: &&str| part.parse::<u32>().is_ok_and(|number| number >= USERS);
        let users = user.split(':').map(|part| ("user", part));
        let groups = self.group_add.iter().map(|group| ("group_add", group.as_str()));
        let (attribute, number) = users.chain(groups).find(|(_, part)| large(part))?;
        let why = format!("there is no user or group {number} in a user namespace of {USERS}");
        because(attribute, why)
    }
}

fn counts_inside(right: &str) -> bool {
    let name = right.to_ascii_uppercase();
    RIGHTS.contains(&name.strip_prefix("CAP_").unwrap_or(&name))
}

fn find(ranges: &[IdRange], inside: u32) -> Option<u32> {
    ranges.iter().find_map(|range| {
        let offset = inside.checked_sub(range.inside).filter(|offset| *offset < range.count)?;
        range.outside.checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_lie_beside_each_other_and_end_where_they_should() {
        let outside = |number| IdMaps::numbered(number).user(0).unwrap();
        assert_eq!(outside(0), FIRST_USER);
        assert_eq!(outside(1), FIRST_USER + USERS);
        assert_eq!(IdMaps::numbered(RANGES - 1).group(USERS - 1), Some(LAST_USER));
        assert_eq!(outside(RANGES), FIRST_USER);
    }

    #[test]
    fn who_asks_for_the_host_has_its_users() {
        let check = |change: &dyn Fn(&mut Service), why: Option<&str>| {
            let mut service = Service::default();
            change(&mut service);
            let found = service.why_host_users("app");
            assert_eq!(
                found.as_ref().map(|found| found.why.contains(why.unwrap_or("no"))),
                why.map(|_| true),
                "{found:?}"
            );
        };
        let words =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        check(&|_| {}, None);
        check(&|s| s.cap_add = words(&["NET_ADMIN", "cap_sys_ptrace"]), None);
        check(&|s| s.user = Some("65535:100".to_owned()), None);
        check(&|s| s.network_mode = NetworkMode::Service("db".to_owned()), None);
        check(&|s| s.userns_mode = Some("host".to_owned()), Some("userns_mode"));
        check(&|s| s.privileged = true, Some("privileged"));
        check(&|s| s.network_mode = NetworkMode::Host, Some("network_mode"));
        check(&|s| s.pid = NamespaceMode::Host, Some("pid"));
        check(&|s| s.ipc = NamespaceMode::Host, Some("ipc"));
        check(&|s| s.cap_add = words(&["KILL", "SYS_ADMIN"]), Some("SYS_ADMIN"));
        check(&|s| s.cap_add = words(&["all"]), Some("all"));
        check(&|s| s.user = Some("app:65536".to_owned()), Some("65536"));
        check(&|s| s.group_add = words(&["70000"]), Some("70000"));
        check(
            &|s| drop(s.sysctls.insert("net/core/somaxconn".to_owned(), "1".to_owned())),
            Some("somaxconn"),
        );
    }

    #[test]
    fn a_number_is_found_in_its_range_only() {
        let range = |inside, outside, count| IdRange { inside, outside, count };
        let users = vec![range(0, 1000, 1), range(1, 5000, 10), range(100, u32::MAX - 1, 10)];
        let maps = IdMaps { users, groups: Vec::new() };
        for (inside, outside) in
            [(0, Some(1000)), (1, Some(5000)), (10, Some(5009)), (11, None), (103, None)]
        {
            assert_eq!(maps.user(inside), outside, "{inside}");
            if let Some(outside) = outside {
                assert_eq!(maps.user_inside(outside), Some(inside), "{outside}");
            }
        }
        assert_eq!(maps.group(0), None);
    }
}
