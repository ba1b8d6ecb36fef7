//! What an instance calls its things in the kernel, where at most 15 characters tell them apart.

use std::net::Ipv4Addr;

use sha2::{Digest as _, Sha256};

use crate::model::{Instance, TaskId, hex};

/// What every bridge of every instance begins with, so that one pattern (`orc+` in iptables) means
/// all of them.
pub(super) const ALL_BRIDGES: &str = "orc";

/// The names of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    id: String,
    /// The nftables table, family `inet`.
    pub(super) table: String,
}

impl Names {
    pub(super) fn of(instance: &Instance) -> Self {
        Self { id: instance.id(), table: instance.kernel_name() }
    }

    /// What the bridges of this instance begin with, and no other link does.
    pub(super) fn bridge_prefix(&self) -> String {
        format!("{ALL_BRIDGES}{}", &self.id[..5])
    }

    /// The link of the network `network`.
    pub(super) fn bridge(&self, network: &str) -> String {
        format!("{}{}", self.bridge_prefix(), digits(&[&self.id, network], 7))
    }

    /// What the host's ends of the veth pairs of this instance begin with.
    pub(super) fn veth_prefix(&self) -> String {
        format!("orv{}", &self.id[..5])
    }

    /// The host's end of one veth pair. `nonce` is never the same: the link of a sandbox that was
    /// removed lives on for some milliseconds, and its name with it.
    pub(super) fn veth(&self, task: TaskId, interface: usize, nonce: u64) -> String {
        let parts = [&task.to_string(), &interface.to_string(), &nonce.to_string()];
        format!("{}{}", self.veth_prefix(), digits(&parts.map(String::as_str), 7))
    }

    /// The link group of everything this instance makes: the kernel removes a group at once.
    pub(super) fn group(&self) -> u32 {
        // The top bit is off (groups are signed inside the kernel), the next is on: never the group 0
        // of all other links, never one of the small numbers that people choose.
        (u32::from_str_radix(&self.id, 16).unwrap_or_default() & 0x3fff_fffe) | 0x4000_0000
    }

    /// The group that bridges are put in to be removed together.
    pub(super) fn removal_group(&self) -> u32 {
        self.group() | 1
    }

    /// The alias of a bridge: what `ip link` shows to people.
    pub(super) fn bridge_alias(&self, network: &str) -> String {
        bounded(format!("{} network {network}", self.table))
    }

    /// The alias of the host's end of a veth pair: which bridge it belongs to, so that a bridge that
    /// was lost and made again gets its ports back.
    pub(super) fn veth_alias(&self, bridge: &str, task: TaskId) -> String {
        bounded(format!("{} {bridge} {task}", self.table))
    }

    /// The bridge in an alias that [`Names::veth_alias`] made.
    pub(super) fn bridge_in_alias<'a>(&self, alias: &'a str) -> Option<&'a str> {
        alias.strip_prefix(&self.table)?.strip_prefix(' ')?.split(' ').next()
    }
}

/// The hardware address of a bridge or of an interface that has `address` in `network`. The same
/// address always has the same one, so that no neighbour remembers a wrong one when an address is
/// used again.
pub(super) fn hardware_address(network: &str, address: Ipv4Addr) -> [u8; 6] {
    let hash = Sha256::new().chain_update(network).chain_update([0]).chain_update(address.octets());
    let hash = hash.finalize();
    [2, hash[0], hash[1], hash[2], hash[3], hash[4]]
}

/// Whether a link can have this name.
pub(super) fn is_interface_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.@+".contains(c);
    (1..=15).contains(&name.len())
        && name.chars().all(allowed)
        && ![".", "..", "lo", "all", "default"].contains(&name)
}

fn digits(parts: &[&str], count: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    let mut digits = hex(&hash.finalize());
    digits.truncate(count);
    digits
}

/// The kernel keeps 255 bytes of an alias.
fn bounded(mut text: String) -> String {
    while text.len() > 255 {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn names(root: &str) -> Names {
        Names::of(&Instance { root: PathBuf::from(root), run: PathBuf::from("/run/x") })
    }

    #[test]
    fn a_bridge_name_fits_and_tells_networks_and_instances_apart() {
        let (one, other) = (names("/a"), names("/b"));
        assert_eq!(one.bridge("shop_default").len(), 15);
        assert!(one.bridge("shop_default").starts_with(&one.bridge_prefix()));
        assert_ne!(one.bridge("shop_default"), one.bridge("shop_back"));
        assert_ne!(one.bridge_prefix(), other.bridge_prefix());
    }

    #[test]
    fn a_veth_is_never_taken_for_a_bridge() {
        let names = names("/a");
        let veth = names.veth(TaskId(7), 0, 1);
        assert_eq!(veth.len(), 15);
        assert!(!veth.starts_with(ALL_BRIDGES));
        assert_ne!(veth, names.veth(TaskId(7), 0, 2));
    }

    #[test]
    fn the_alias_of_a_veth_names_its_bridge() {
        let names = names("/a");
        let alias = names.veth_alias("orc123", TaskId(3));
        assert_eq!(names.bridge_in_alias(&alias), Some("orc123"));
        assert_eq!(names.bridge_in_alias("something else"), None);
    }

    #[test]
    fn groups_of_instances_differ_from_each_other_and_from_the_default() {
        let names = names("/a");
        assert_ne!(names.group(), names.removal_group());
        assert!(names.group() >= 0x4000_0000 && names.group() < 0x8000_0000);
    }

    #[test]
    fn a_hardware_address_is_local_unicast_and_follows_the_address() {
        let one = hardware_address("n", Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(one[0], 2);
        assert_eq!(one, hardware_address("n", Ipv4Addr::new(10, 0, 0, 2)));
        assert_ne!(one, hardware_address("n", Ipv4Addr::new(10, 0, 0, 3)));
        assert_ne!(one, hardware_address("m", Ipv4Addr::new(10, 0, 0, 2)));
    }

    #[test]
    fn interface_names_are_checked() {
        assert!(is_interface_name("eth0"));
        for bad in ["", "..", "lo", "a/b", "a b", "sixteen-letters-x"] {
            assert!(!is_interface_name(bad), "{bad}");
        }
    }
}
