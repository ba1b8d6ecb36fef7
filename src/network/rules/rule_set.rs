//! What the rules should be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use crate::model::{NetworkTable, Protocol};
use crate::network::forwarding::Guarded;
use crate::network::names::Names;

/// All that the rules depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::network) struct RuleSet {
    pub(in crate::network) table: String,
    /// What the names of the instance's bridges begin with.
    pub(in crate::network) prefix: String,
    /// The links of the networks.
    pub(in crate::network) bridges: BTreeSet<String>,
    /// Those of them that have no way out.
    pub(in crate::network) internal: BTreeSet<String>,
    pub(in crate::network) subnets: BTreeSet<Ipv4Net>,
    /// The published ports and who answers there.
    pub(in crate::network) ports: BTreeMap<PublishedPort, BTreeSet<(Ipv4Addr, u16)>>,
    /// The links between which nothing is forwarded: those that the host had when orca switched
    /// forwarding on, which must not make a router of it.
    pub(in crate::network) guarded: Guarded,
}

/// A published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::network) struct PublishedPort {
    /// The host's address; `None` is any.
    pub(in crate::network) address: Option<Ipv4Addr>,
    pub(in crate::network) protocol: Protocol,
    pub(in crate::network) port: u16,
}

impl RuleSet {
    pub(in crate::network) fn of(names: &Names, table: &NetworkTable, guarded: Guarded) -> Self {
        let mut rules = Self {
            table: names.table.clone(),
            prefix: names.bridge_prefix(),
            guarded,
            ..Self::default()
        };
        for bridge in table.bridges.values() {
            let link = names.bridge(&bridge.name);
            if bridge.internal {
                rules.internal.insert(link.clone());
            }
            rules.bridges.insert(link);
            rules.subnets.insert(bridge.subnet.trunc());
        }
        for publication in &table.publications {
            let address = match publication.host_ip {
                None => None,
                Some(IpAddr::V4(address)) if address.is_unspecified() => None,
                Some(IpAddr::V4(address)) => Some(address),
                // The backends have IPv4 addresses only: what arrives by IPv6 cannot be translated to
                // them, only taken by a proxy.
                Some(IpAddr::V6(_)) => continue,
            };
            let (protocol, port) = (publication.protocol, publication.host_port);
            rules
                .ports
                .entry(PublishedPort { address, protocol, port })
                .or_default()
                .extend(&publication.backends);
        }
        rules
    }
}

impl PublishedPort {
    /// The chain that leads to the backends.
    pub(in crate::network) fn chain(&self) -> String {
        let (protocol, port) = (self.protocol.as_str(), self.port);
        match self.address {
            None => format!("{protocol}-{port}"),
            Some(address) => format!("{protocol}-{port}-at-{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::{Bridge, Instance, Publication};

    fn names() -> Names {
        Names::of(&Instance { root: Path::new("/a").into(), run: Path::new("/b").into() })
    }

    fn publication(host_ip: Option<&str>, backend: &str) -> Publication {
        let backend: std::net::SocketAddrV4 = backend.parse().unwrap();
        Publication {
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
            host_port: 80,
            protocol: Protocol::Tcp,
            backends: vec![(*backend.ip(), backend.port())],
            owner: "shop/web".to_owned(),
        }
    }

    fn chains(publications: Vec<Publication>) -> Vec<String> {
        let table = NetworkTable { publications, ..NetworkTable::default() };
        RuleSet::of(&names(), &table, Guarded::default())
            .ports
            .keys()
            .map(PublishedPort::chain)
            .collect()
    }

    #[test]
    fn every_address_and_the_unspecified_one_are_the_same() {
        let both =
            vec![publication(None, "10.0.0.2:1"), publication(Some("0.0.0.0"), "10.0.0.3:1")];
        assert_eq!(chains(both), ["tcp-80"]);
    }

    #[test]
    fn an_address_of_its_own_has_a_chain_of_its_own() {
        let both =
            vec![publication(None, "10.0.0.2:1"), publication(Some("192.0.2.1"), "10.0.0.3:1")];
        assert_eq!(chains(both), ["tcp-80", "tcp-80-at-192.0.2.1"]);
    }

    #[test]
    fn an_ipv6_address_is_not_translated() {
        assert!(chains(vec![publication(Some("::1"), "10.0.0.2:1")]).is_empty());
    }

    #[test]
    fn an_internal_network_is_a_bridge_too() {
        let bridge = Bridge {
            name: "back".to_owned(),
            subnet: "10.1.0.0/24".parse().unwrap(),
            gateway: "10.1.0.1".parse().unwrap(),
            subnet6: None,
            internal: true,
            mtu: None,
        };
        let table = NetworkTable {
            bridges: BTreeMap::from([("back".to_owned(), bridge)]),
            ..NetworkTable::default()
        };
        let rules = RuleSet::of(&names(), &table, Guarded::default());
        assert_eq!(rules.bridges, rules.internal);
        assert_eq!(rules.bridges.len(), 1);
    }
}
