//! Which addresses the host uses itself, so that no network takes them.

use std::fs;
use std::net::IpAddr;

use ipnet::IpNet;

use super::names::Names;
use super::netlink::Connection;
use super::{NetworkError, link, route};

/// The name servers of the host, and those behind a local stub.
const RESOLVER_FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/// A file longer than this is no resolver configuration.
const FILE_LIMIT: usize = 64 * 1024;

/// The subnets that are directly connected to the host, but for the instance's own, and the host's
/// name servers. Routes through a gateway do not count: a VPN's `0.0.0.0/1` would take everything.
pub(super) fn on_link(connection: &Connection, names: &Names) -> Result<Vec<IpNet>, NetworkError> {
    let links = link::links(connection).map_err(NetworkError::kernel("list the network links"))?;
    let routes =
        route::list(connection).map_err(NetworkError::kernel("list the routes of the host"))?;
    let prefix = names.bridge_prefix();
    let own: Vec<u32> =
        links.iter().filter(|link| link.name.starts_with(&prefix)).map(|link| link.index).collect();
    let mut nets: Vec<IpNet> = routes
        .iter()
        .filter(|route| route.gateway.is_none() && route.to.prefix_len() > 0)
        .filter(|route| !route.link.is_some_and(|link| own.contains(&link)))
        .map(|route| route.to.trunc())
        .filter(|net| !is_local_to_a_link(net.addr()))
        .collect();
    nets.extend(name_servers());
    nets.sort_unstable();
    nets.dedup();
    Ok(nets)
}

fn name_servers() -> Vec<IpNet> {
    let texts = RESOLVER_FILES.iter().filter_map(|file| fs::read_to_string(file).ok());
    let texts: Vec<String> = texts.filter(|text| text.len() < FILE_LIMIT).collect();
    texts.iter().flat_map(|text| text.lines()).filter_map(name_server).collect()
}

fn name_server(line: &str) -> Option<IpNet> {
    let address = line.trim().strip_prefix("nameserver")?.trim();
    let address: IpAddr = address.split('%').next()?.parse().ok()?;
    Some(IpNet::from(address)).filter(|net| !net.addr().is_loopback())
}

fn is_local_to_a_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<&str>) {
        assert_eq!(name_server(line), expected.map(|net| net.parse().unwrap()), "{line}");
    }

    #[test]
    fn name_servers_are_read() {
        check("nameserver 192.0.2.53", Some("192.0.2.53/32"));
        check("  nameserver\tfd00::53", Some("fd00::53/128"));
        check("nameserver fe80::1%eth0", Some("fe80::1/128"));
    }

    #[test]
    fn a_stub_at_the_loopback_takes_no_network() {
        check("nameserver 127.0.0.53", None);
        check("search example.org", None);
        check("nameserver nonsense", None);
    }
}
