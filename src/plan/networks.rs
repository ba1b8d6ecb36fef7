//! Which networks exist, and which addresses each has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::model::{AgreedNetwork, Bridge, Decision, Network, NetworkMode, Service, Stack};

use super::Decided;
use super::backoff::hash;
use super::look::Look;

/// Networks are /24s of this /10, the upper half of 10.128.0.0/9: far from what home routers, VPNs and
/// Docker like to use.
const POOL: (Ipv4Addr, u32) = (Ipv4Addr::new(10, 192, 0, 0), 1 << 14);

/// Gives addresses to networks that some service uses, and drops those that nobody does.
pub(super) fn decide(look: &Look<'_>) -> Decided {
    let mut decided = Decided::default();
    let used = look.agreed.tasks.values().flat_map(|task| task.addresses.keys());
    let used: BTreeSet<&String> = used.collect();
    let wanted = wanted(look);
    let mut taken = fixed_subnets(look);
    for (name, network) in &look.agreed.networks {
        let keep =
            wanted.get(name).is_some_and(|(_, _, network_wanted)| fits(network, network_wanted));
        if keep || used.contains(name) {
            taken.push(network.subnet);
        } else {
            decided.group.push(Decision::DropNetwork { name: name.clone() });
        }
    }
    for (name, (stack, key, network)) in wanted {
        let dropped = decided
            .group
            .iter()
            .any(|d| matches!(d, Decision::DropNetwork { name: n } if *n == name));
        if look.agreed.networks.contains_key(&name) && !dropped {
            continue;
        }
        let Some(subnet) = network.subnet.or_else(|| choose_subnet(look, &name, &taken)) else {
            continue;
        };
        taken.push(subnet);
        let gateway = network.gateway.unwrap_or_else(|| first_host(subnet));
        let agreed = AgreedNetwork {
            stack: stack.to_owned(),
            key: key.to_owned(),
            subnet,
            gateway,
            subnet6: subnet6(look, &name, network),
            last: gateway,
        };
        decided.group.push(Decision::AddNetwork { name, network: agreed });
    }
    decided
}

/// The bridges that should exist, by name.
pub(super) fn bridges(look: &Look<'_>) -> BTreeMap<String, Bridge> {
    let bridge = |(name, agreed): (&String, &AgreedNetwork)| {
        let definition = definition(look, agreed);
        let bridge = Bridge {
            name: name.clone(),
            subnet: agreed.subnet,
            gateway: agreed.gateway,
            subnet6: agreed.subnet6,
            internal: definition.is_some_and(|network| network.internal),
            mtu: definition.and_then(|network| network.mtu),
        };
        (name.clone(), bridge)
    };
    look.agreed.networks.iter().map(bridge).collect()
}

/// What the project that made a network says of it.
pub(super) fn definition<'a>(look: &Look<'a>, agreed: &AgreedNetwork) -> Option<&'a Network> {
    look.agreed.stacks.get(&agreed.stack)?.project.networks.get(&agreed.key)
}

/// Whether a service needs a network whose addresses are not (or not any more) as wanted: its tasks
/// then all have to go before new ones can come.
pub(super) fn is_changing(look: &Look<'_>, stack: &Stack, service: &Service) -> bool {
    networks_of(stack, service).any(|(_, network)| {
        let agreed = look.agreed.networks.get(&network.name);
        !network.external && agreed.is_none_or(|agreed| !fits(agreed, network))
    })
}

/// Why a service cannot have its networks, if so.
pub(super) fn obstacle(look: &Look<'_>, stack: &Stack, service: &Service) -> Option<String> {
    networks_of(stack, service).find_map(|(key, network)| {
        let name = &network.name;
        match look.agreed.networks.get(name) {
            None if network.external => Some(format!(
                "network {name} does not exist: it is external, so another stack has to make it"
            )),
            None => Some(format!("no addresses are left for network {name}")),
            Some(agreed) if !network.external && agreed.stack != stack.project.name => {
                Some(format!("network {name} (`{key}`) belongs to the stack {}", agreed.stack))
            }
            Some(_) => None,
        }
    })
}

/// The networks a service is in, by key.
pub(super) fn networks_of<'a>(
    stack: &'a Stack,
    service: &'a Service,
) -> impl Iterator<Item = (&'a String, &'a Network)> {
    let uses = service.network_mode == NetworkMode::Networks;
    let keys = service.networks.keys().filter(move |_| uses);
    keys.filter_map(|key| Some((key, stack.project.networks.get(key)?)))
}

/// The networks that some service uses and its stack makes itself: owner, key and definition.
fn wanted<'a>(look: &Look<'a>) -> BTreeMap<String, (&'a str, &'a str, &'a Network)> {
    let mut wanted = BTreeMap::new();
    for (name, stack) in look.agreed.stacks.iter().filter(|(_, s)| s.removing.is_none()) {
        for service in stack.project.services.values() {
            for (key, network) in networks_of(stack, service).filter(|(_, n)| !n.external) {
                let owner = (name.as_str(), key.as_str(), network);
                wanted.entry(network.name.clone()).or_insert(owner);
            }
        }
    }
    wanted
}

/// Whether a network has the addresses that its definition asks for.
fn fits(agreed: &AgreedNetwork, wanted: &Network) -> bool {
    wanted.subnet.is_none_or(|subnet| subnet == agreed.subnet)
        && wanted.gateway.is_none_or(|gateway| gateway == agreed.gateway)
        && (wanted.enable_ipv6 || wanted.subnet6.is_some()) == agreed.subnet6.is_some()
        && wanted.subnet6.is_none_or(|s6| agreed.subnet6.is_some_and(|(net, _)| net == s6))
        && wanted.gateway6.is_none_or(|g6| agreed.subnet6.is_some_and(|(_, gateway)| gateway == g6))
}

/// Subnets that users wrote down, also those that are not made yet.
fn fixed_subnets(look: &Look<'_>) -> Vec<Ipv4Net> {
    let stacks = look.agreed.stacks.values();
    stacks.flat_map(|s| s.project.networks.values().filter_map(|n| n.subnet)).collect()
}

/// A free /24 of the pool, from a place that depends on the store and the name on: a stack finds the
/// same addresses again where it can.
fn choose_subnet(look: &Look<'_>, name: &str, taken: &[Ipv4Net]) -> Option<Ipv4Net> {
    let (base, count) = POOL;
    let start = hash(&format!("{}/{name}", look.agreed.identity)) % u64::from(count);
    let start = u32::try_from(start).unwrap_or(0);
    let candidate = |n: u32| {
        let address = u32::from(base) + ((start + n) % count) * 256;
        Ipv4Net::new(Ipv4Addr::from(address), 24).ok()
    };
    let overlaps = |a: &Ipv4Net, b: &Ipv4Net| a.contains(&b.network()) || b.contains(&a.network());
    (0..count).filter_map(candidate).find(|candidate| {
        !taken.iter().any(|other| overlaps(candidate, other))
            && !look.observed.on_link.iter().any(|route| match route {
                // A default route is on every host's list and says nothing about neighbours.
                IpNet::V4(route) => route.prefix_len() > 0 && overlaps(candidate, route),
                IpNet::V6(_) => false,
            })
    })
}

/// The first address after the network's own.
fn first_host(subnet: Ipv4Net) -> Ipv4Addr {
    subnet.hosts().next().unwrap_or_else(|| subnet.network())
}

/// The IPv6 addresses of a network that wants them: as written, else a /64 of the unique local
/// addresses (RFC 4193) that depends on the store and the name.
fn subnet6(look: &Look<'_>, name: &str, network: &Network) -> Option<(Ipv6Net, Ipv6Addr)> {
    if !network.enable_ipv6 && network.subnet6.is_none() {
        return None;
    }
    let subnet = match network.subnet6 {
        Some(subnet) => subnet,
        None => {
            let site = hash(&format!("{}/site", look.agreed.identity)) & 0xff_ffff_ffff;
            let link = hash(&format!("{}/{name}/v6", look.agreed.identity)) & 0xffff;
            let prefix =
                u128::from(0xfd_u8) << 120 | u128::from(site) << 80 | u128::from(link) << 64;
            Ipv6Net::new(Ipv6Addr::from(prefix), 64).ok()?
        }
    };
    let first = Ipv6Addr::from(u128::from(subnet.network()) + 1);
    Some((subnet, network.gateway6.unwrap_or(first)))
}
