//! Which addresses the host uses itself, so that no network takes them.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType,
};
use tokio::task::JoinHandle;

use super::NetworkError;
use super::names::Names;

/// The name servers of the host, and those behind a local stub.
const RESOLVER_FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/// A file longer than this is no resolver configuration.
const FILE_LIMIT: usize = 64 * 1024;

/// What the host's own networks are asked with. It stays in the network namespace it was opened in.
#[derive(Debug)]
pub(super) struct Surroundings {
    handle: rtnetlink::Handle,
    connection: JoinHandle<()>,
}

impl Drop for Surroundings {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Surroundings {
    /// Opens a connection to the kernel.
    ///
    /// # Errors
    /// If there is no netlink, or no file descriptor is left.
    pub(super) fn open() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// The subnets that are directly connected to the host, but for the instance's own, and the host's
    /// name servers. Routes through a gateway do not count: a VPN's `0.0.0.0/1` would take everything.
    pub(super) async fn on_link(&self, names: &Names) -> Result<Vec<IpNet>, NetworkError> {
        let own = self.own_links(names).await.map_err(refused("list the network links"))?;
        let mut nets = Vec::new();
        let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
        for wanted in [v4, v6] {
            let mut routes = self.handle.route().get(wanted).execute();
            let doing = refused("list the routes of the host");
            while let Some(route) = routes.try_next().await.map_err(&doing)? {
                nets.extend(directly_connected(&route, &own));
            }
        }
        nets.retain(|net| !is_local_to_a_link(net.addr()));
        nets.extend(name_servers());
        nets.sort_unstable();
        nets.dedup();
        Ok(nets)
    }

    /// The indices of the instance's own bridges.
    async fn own_links(&self, names: &Names) -> Result<Vec<u32>, rtnetlink::Error> {
        let prefix = names.bridge_prefix();
        let mut own = Vec::new();
        let mut links = self.handle.link().get().execute();
        while let Some(link) = links.try_next().await? {
            let is_own = |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfName(name) if name.starts_with(&prefix));
            if link.attributes.iter().any(is_own) {
                own.push(link.header.index);
            }
        }
        Ok(own)
    }
}

/// The subnet of a route of the main table that leads straight to a link not among `own`.
fn directly_connected(route: &RouteMessage, own: &[u32]) -> Option<IpNet> {
    let header = &route.header;
    if header.table != RouteHeader::RT_TABLE_MAIN || header.kind != RouteType::Unicast {
        return None;
    }
    let mut to = None;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) | RouteAttribute::MultiPath(_) => {
                return None;
            }
            RouteAttribute::Oif(link) if own.contains(link) => return None,
            RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                to = Some(IpAddr::V4(*address));
            }
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => {
                to = Some(IpAddr::V6(*address));
            }
            _ => {}
        }
    }
    // Without a destination it is the default route.
    let net = IpNet::new(to?, header.destination_prefix_length).ok()?;
    (net.prefix_len() > 0).then(|| net.trunc())
}

fn refused(doing: &'static str) -> impl Fn(rtnetlink::Error) -> NetworkError {
    move |error| NetworkError::kernel(doing)(io::Error::other(error))
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
