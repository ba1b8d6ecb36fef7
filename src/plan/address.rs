//! Which address a new task has in each of its networks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::{AgreedNetwork, Attachment, Network, Service, Stack, Task, TaskAddress, TaskId};

use super::look::Look;
use super::networks::networks_of;

/// The addresses in use, as they are while a plan makes new tasks.
pub(super) struct Addresses<'a> {
    look: &'a Look<'a>,
    /// By network: who has what.
    used: BTreeMap<&'a str, BTreeSet<Ipv4Addr>>,
    /// By network: given out last.
    last: BTreeMap<&'a str, Ipv4Addr>,
}

impl<'a> Addresses<'a> {
    pub(super) fn new(look: &'a Look<'a>) -> Self {
        let mut used: BTreeMap<&str, BTreeSet<Ipv4Addr>> = BTreeMap::new();
        for (name, network) in &look.agreed.networks {
            used.entry(name).or_default().extend([
                network.gateway,
                network.subnet.network(),
                network.subnet.broadcast(),
            ]);
        }
        for task in look.agreed.tasks.values() {
            for (name, address) in &task.addresses {
                used.entry(name).or_default().insert(address.v4);
            }
        }
        for (name, address) in reserved(look) {
            used.entry(name).or_default().insert(address);
        }
        let last = look.agreed.networks.iter().map(|(name, n)| (name.as_str(), n.last)).collect();
        Self { look, used, last }
    }

    /// Chooses the addresses of a new task. `before` is the task it takes the place of, which is gone:
    /// its addresses are kept where they still fit. `None` if a network has none left.
    pub(super) fn assign(
        &mut self,
        stack: &'a Stack,
        service: &'a Service,
        id: TaskId,
        before: Option<&Task>,
    ) -> Option<BTreeMap<String, TaskAddress>> {
        let mut addresses = BTreeMap::new();
        for (key, definition) in networks_of(stack, service) {
            let name = definition.name.as_str();
            let network = self.look.agreed.networks.get(name)?;
            let attachment = service.networks.get(key)?;
            let old = before.and_then(|task| task.addresses.get(name));
            let v4 = match (attachment.ipv4_address, old) {
                (Some(fixed), _) => fixed,
                (None, Some(old)) if self.can_keep(network, old.v4, stack, key) => old.v4,
                (None, _) => self.next(name, network, definition)?,
            };
            self.used.entry(name).or_default().insert(v4);
            let v6 = address6(network, attachment, v4, id);
            addresses.insert(name.to_owned(), TaskAddress { v4, v6 });
        }
        Some(addresses)
    }

    /// An address is kept unless the network changed or somebody now asks for exactly this one.
    fn can_keep(&self, network: &AgreedNetwork, old: Ipv4Addr, stack: &Stack, key: &str) -> bool {
        let asked_for =
            stack.project.services.values().any(|service| {
                service.networks.get(key).is_some_and(|a| a.ipv4_address == Some(old))
            });
        network.subnet.contains(&old) && network.gateway != old && !asked_for
    }

    /// The next free address behind the one given out last.
    fn next(
        &mut self,
        name: &'a str,
        network: &AgreedNetwork,
        definition: &Network,
    ) -> Option<Ipv4Addr> {
        let range = definition.ip_range.unwrap_or(network.subnet);
        let (first, end) = (u32::from(range.network()), u32::from(range.broadcast()));
        let last = u32::from(*self.last.get(name).unwrap_or(&network.last));
        let used = self.used.entry(name).or_default();
        let free = |n: &u32| !used.contains(&Ipv4Addr::from(*n));
        let behind = last.clamp(first.saturating_sub(1), end).saturating_add(1)..=end;
        let found = behind.chain(first..=end).find(free).map(Ipv4Addr::from)?;
        self.last.insert(name, found);
        Some(found)
    }
}

/// Addresses that users wrote down, for a service or for somebody outside: never given to others.
fn reserved<'a>(look: &'a Look<'a>) -> impl Iterator<Item = (&'a str, Ipv4Addr)> {
    look.agreed.stacks.values().flat_map(|stack| {
        let fixed = stack.project.services.values().flat_map(move |service| {
            networks_of(stack, service).filter_map(move |(key, network)| {
                Some((network.name.as_str(), service.networks.get(key)?.ipv4_address?))
            })
        });
        let others = stack.project.networks.values().flat_map(|network| {
            network.aux_addresses.values().filter_map(move |address| match address {
                IpAddr::V4(v4) => Some((network.name.as_str(), *v4)),
                IpAddr::V6(_) => None,
            })
        });
        fixed.chain(others)
    })
}

/// The IPv6 address: the fixed one, else the network's prefix with the IPv4 address as its end, which
/// is as free as that one is.
fn address6(
    network: &AgreedNetwork,
    attachment: &Attachment,
    v4: Ipv4Addr,
    id: TaskId,
) -> Option<Ipv6Addr> {
    let (subnet, gateway) = network.subnet6?;
    if attachment.ipv6_address.is_some() {
        return attachment.ipv6_address;
    }
    let host = u128::from(subnet.hostmask());
    let derived = |tail: u128| Ipv6Addr::from(u128::from(subnet.network()) | (tail & host));
    let address = derived(u128::from(u32::from(v4)));
    // Only with prefixes too long for the IPv4 address can this be the gateway's.
    Some(if address == gateway { derived(u128::from(id.0) + 2) } else { address })
}
