//! The bridges: made, corrected and removed so that exactly the wanted ones are there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::address::{self, Address};
use super::link::{self, Link, NewBridge};
use super::names::{Names, hardware_address};
use super::netlink::{Batch, Connection, error_number};
use super::{NetworkError, route, sysctl};
use crate::model::Bridge;

/// Where no default route tells otherwise, Ethernet's.
const DEFAULT_MTU: u32 = 1500;
/// The limits of a veth's and a bridge's packet size.
const MTU_RANGE: (u32, u32) = (68, 65535);

/// A network that is in force, as sandboxes need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Network {
    /// The bridge's index.
    pub(super) index: u32,
    /// The bridge's name.
    pub(super) link: String,
    pub(super) subnet: Ipv4Net,
    pub(super) gateway: Ipv4Addr,
    pub(super) subnet6: Option<(Ipv6Net, Ipv6Addr)>,
    pub(super) internal: bool,
    pub(super) mtu: u32,
}

/// Makes the bridges be exactly `wanted`.
pub(super) fn assert(
    connection: &Connection,
    names: &Names,
    wanted: &BTreeMap<String, Bridge>,
) -> Result<BTreeMap<String, Network>, NetworkError> {
    let listing = NetworkError::kernel("list the network links");
    let links = link::links(connection).map_err(listing)?;
    let default_mtu = default_mtu(connection, &links)?;
    let by_link = by_link(names, wanted)?;
    remove_others(connection, names, &links, &by_link)?;
    let mut made = Vec::new();
    for (name, bridge) in &by_link {
        let new = NewBridge {
            name,
            address: hardware_address(name, bridge.gateway),
            mtu: mtu(bridge, default_mtu),
            group: names.group(),
        };
        let found = links.iter().find(|link| link.name == *name);
        made.push(found.is_none());
        put_in_order(connection, names, bridge, &new, found)?;
    }
    let links = if made.contains(&true) { relist(connection)? } else { links };
    let networks = networks(&by_link, &links, default_mtu)?;
    correct_addresses(connection, &networks)?;
    connect_lost_ports(connection, names, &links, &networks)?;
    for network in networks.values() {
        settings(network)?;
    }
    Ok(networks)
}

/// Two names in 28 bits: it will hardly ever happen, and then it must not be a riddle.
fn by_link<'a>(
    names: &Names,
    wanted: &'a BTreeMap<String, Bridge>,
) -> Result<BTreeMap<String, &'a Bridge>, NetworkError> {
    let mut by_link: BTreeMap<String, &Bridge> = BTreeMap::new();
    for bridge in wanted.values() {
        if let Some(other) = by_link.insert(names.bridge(&bridge.name), bridge) {
            return Err(NetworkError::SameLink(other.name.clone(), bridge.name.clone()));
        }
    }
    Ok(by_link)
}

fn remove_others(
    connection: &Connection,
    names: &Names,
    links: &[Link],
    wanted: &BTreeMap<String, &Bridge>,
) -> Result<(), NetworkError> {
    let prefix = names.bridge_prefix();
    let others = links.iter().filter(|link| {
        link.kind == "bridge" && link.name.starts_with(&prefix) && !wanted.contains_key(&link.name)
    });
    let mut batch = Batch::new();
    for link in others {
        link::set_group(&mut batch, link.index, names.removal_group());
    }
    if batch.len() > 0 {
        link::remove_group(&mut batch, names.removal_group());
        connection.send(&batch).map_err(NetworkError::kernel("remove bridges"))?;
    }
    Ok(())
}

fn put_in_order(
    connection: &Connection,
    names: &Names,
    bridge: &Bridge,
    new: &NewBridge<'_>,
    found: Option<&Link>,
) -> Result<(), NetworkError> {
    let mut batch = Batch::new();
    match found {
        Some(link) if link.kind != "bridge" => {
            let (network, link) = (bridge.name.clone(), link.name.clone());
            return Err(NetworkError::NotABridge { network, link });
        }
        Some(link) => link::correct_bridge(&mut batch, link.index, new),
        None => {
            link::add_bridge(&mut batch, new);
            link::set_alias(&mut batch, new.name, &names.bridge_alias(&bridge.name));
        }
    }
    let action = format!("make the bridge of network `{}`", bridge.name);
    connection.send(&batch).map_err(|source| match error_number(&source) {
        Some(libc::EOPNOTSUPP) => {
            NetworkError::Missing { what: "bridges", module: "bridge", source }
        }
        _ => NetworkError::Kernel { action, source },
    })
}

fn networks(
    wanted: &BTreeMap<String, &Bridge>,
    links: &[Link],
    default_mtu: u32,
) -> Result<BTreeMap<String, Network>, NetworkError> {
    let network = |(name, bridge): (&String, &&Bridge)| {
        let link = links.iter().find(|link| link.name == *name).ok_or_else(|| {
            let gone = io::Error::from(io::ErrorKind::NotFound);
            NetworkError::kernel(format!("find the bridge of network `{}`", bridge.name))(gone)
        })?;
        let network = Network {
            index: link.index,
            link: name.clone(),
            subnet: bridge.subnet,
            gateway: bridge.gateway,
            subnet6: bridge.subnet6,
            internal: bridge.internal,
            mtu: mtu(bridge, default_mtu),
        };
        Ok((bridge.name.clone(), network))
    };
    wanted.iter().map(network).collect()
}

impl Network {
    /// The addresses of the bridge itself.
    fn addresses(&self) -> BTreeSet<IpNet> {
        let four = IpNet::new(IpAddr::V4(self.gateway), self.subnet.prefix_len());
        let six = self
            .subnet6
            .map(|(subnet, gateway)| IpNet::new(IpAddr::V6(gateway), subnet.prefix_len()));
        // A prefix length that came out of a network is never too long for it.
        [Some(four), six].into_iter().flatten().flatten().collect()
    }
}

fn correct_addresses(
    connection: &Connection,
    networks: &BTreeMap<String, Network>,
) -> Result<(), NetworkError> {
    let listing = NetworkError::kernel("list the addresses of the host");
    let found = address::list(connection).map_err(listing)?;
    for (name, network) in networks {
        // A bridge that was made without IPv6 has it switched off, and takes no address then.
        let off = if network.subnet6.is_some() { "0" } else { "1" };
        sysctl::set_if_there(&format!("net/ipv6/conf/{}/disable_ipv6", network.link), off)?;
        let mut batch = Batch::new();
        let wanted = network.addresses();
        let has: Vec<&Address> = found.iter().filter(|a| a.link == network.index).collect();
        for address in has.iter().filter(|a| !a.link_local && !wanted.contains(&a.net)) {
            address::remove(&mut batch, network.index, address.net);
        }
        for net in wanted.iter().filter(|net| !has.iter().any(|a| a.net == **net)) {
            address::add(&mut batch, network.index, *net);
        }
        let action = format!("give network `{name}` the address {}", network.gateway);
        connection.send(&batch).map_err(NetworkError::kernel(action))?;
    }
    Ok(())
}

/// A bridge that somebody removed has been made again, but its ports have not.
fn connect_lost_ports(
    connection: &Connection,
    names: &Names,
    links: &[Link],
    networks: &BTreeMap<String, Network>,
) -> Result<(), NetworkError> {
    let by_link: BTreeMap<&str, u32> =
        networks.values().map(|network| (network.link.as_str(), network.index)).collect();
    let prefix = names.veth_prefix();
    let mut batch = Batch::new();
    for port in links.iter().filter(|link| link.name.starts_with(&prefix)) {
        let bridge = names.bridge_in_alias(&port.alias).and_then(|bridge| by_link.get(bridge));
        if let Some(bridge) = bridge.filter(|bridge| port.master != Some(**bridge)) {
            link::attach(&mut batch, port.index, *bridge);
        }
    }
    // A port may go at any time: its sandbox is removed.
    connection
        .send_expecting(&batch, |error| error.kind() == io::ErrorKind::NotFound || is_gone(error))
        .map_err(NetworkError::kernel("connect sandboxes to their bridges again"))
}

fn is_gone(error: &io::Error) -> bool {
    error_number(error) == Some(libc::ENODEV)
}

fn settings(network: &Network) -> Result<(), NetworkError> {
    let link = &network.link;
    let four = |name: &str| format!("net/ipv4/conf/{link}/{name}");
    // 127.0.0.1:port of the host leads to a container: its packets leave by the bridge.
    sysctl::set(&four("route_localnet"), "1")?;
    // A container in two networks answers by the one that has its default route.
    sysctl::set(&four("rp_filter"), "2")?;
    sysctl::set(&four("send_redirects"), "0")?;
    // Other programs switch forwarding off by link.
    sysctl::set(&four("forwarding"), "1")?;
    sysctl::set_if_there(&format!("net/ipv6/conf/{link}/accept_ra"), "0")?;
    sysctl::set_if_there(&format!("net/ipv6/conf/{link}/accept_dad"), "0")
}

fn mtu(bridge: &Bridge, default: u32) -> u32 {
    bridge.mtu.unwrap_or(default).clamp(MTU_RANGE.0, MTU_RANGE.1)
}

/// The packet size of the link that has the default route: larger packets would not get out.
fn default_mtu(connection: &Connection, links: &[Link]) -> Result<u32, NetworkError> {
    let listing = NetworkError::kernel("list the routes of the host");
    let routes = route::list(connection).map_err(listing)?;
    let out = routes
        .iter()
        .filter(|route| route.to.prefix_len() == 0)
        .filter_map(|route| links.iter().find(|link| Some(link.index) == route.link));
    Ok(out.map(|link| link.mtu).min().unwrap_or(DEFAULT_MTU))
}

fn relist(connection: &Connection) -> Result<Vec<Link>, NetworkError> {
    link::links(connection).map_err(NetworkError::kernel("list the network links"))
}
