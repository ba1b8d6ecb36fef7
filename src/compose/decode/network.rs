//! How a service reaches the network.

use std::net::IpAddr;

use super::Decode;
use super::fields::{int, items, pairs, text, texts};
use crate::compose::load::members;
use crate::compose::tree::{Node, Path};
use crate::model::{Attachment, NetworkMode, Port, Protocol, Service};

impl Decode<'_> {
    /// Mode, networks, ports and names.
    pub(super) fn service_network(&mut self, node: &Node, path: &Path<'_>, service: &mut Service) {
        service.network_mode = self.network_mode(node, path);
        let networks = path.key("networks");
        for (name, attachment) in members(node, "networks") {
            let attachment = self.attachment(attachment, &networks.key(name));
            service.networks.insert(name.clone(), attachment);
        }
        let ports = path.key("ports");
        let mut known = std::collections::HashSet::new();
        for (index, port) in items(node, "ports").iter().enumerate() {
            // Two files may have written the same port in two ways.
            let port = self.port(port, &ports.item(index));
            service.ports.extend(port.filter(|port| known.insert(port.clone())));
        }
        service.links = texts(node, "links")
            .into_iter()
            .map(|link| match link.split_once(':') {
                Some((service, alias)) => (service.to_owned(), alias.to_owned()),
                None => (link.clone(), link),
            })
            .collect();
        self.hosts(node, path, service);
        let dns = path.key("dns");
        for (index, item) in items(node, "dns").iter().enumerate() {
            match item.as_text().unwrap_or_default().parse() {
                Ok(address) => service.dns.push(address),
                Err(_) => {
                    let message =
                        format!("{:?} is not an IP address", item.as_text().unwrap_or(""));
                    self.error(item.mark, &dns.item(index), message);
                }
            }
        }
        service.dns_search = texts(node, "dns_search");
        service.dns_opt = texts(node, "dns_opt");
        service.mac_address = self.mac_address(node, path);
    }

    fn network_mode(&mut self, node: &Node, path: &Path<'_>) -> NetworkMode {
        let Some(member) = node.get("network_mode") else { return NetworkMode::Networks };
        let path = path.key("network_mode");
        let text = member.as_text().unwrap_or_default();
        match text {
            "host" => NetworkMode::Host,
            "none" => NetworkMode::None,
            // The engine's own bridge: here it is the project's default network.
            "bridge" | "default" => NetworkMode::Networks,
            text => match text.split_once(':') {
                Some(("service", name)) => {
                    self.service_exists(name, member.mark, &path);
                    NetworkMode::Service(name.to_owned())
                }
                Some(("container", name)) if !name.is_empty() => {
                    NetworkMode::Container(name.to_owned())
                }
                _ => {
                    let message = format!(
                        "invalid network_mode {text:?}: must be host, none, bridge, service:<name> or container:<name>"
                    );
                    self.error(member.mark, &path, message)
                        .hint("use `networks:` to join a network");
                    NetworkMode::Networks
                }
            },
        }
    }

    fn attachment(&mut self, node: &Node, path: &Path<'_>) -> Attachment {
        let number = |name: &str| int(node, name).and_then(|number| i32::try_from(number).ok());
        let mut link_local_ips = Vec::new();
        for (index, item) in items(node, "link_local_ips").iter().enumerate() {
            match item.as_text().unwrap_or_default().parse::<IpAddr>() {
                Ok(address) => link_local_ips.push(address),
                Err(_) => {
                    let path = path.key("link_local_ips");
                    self.error(item.mark, &path.item(index), "not an IP address");
                }
            }
        }
        let ipv4 = |text: &str| text.parse().ok();
        let ipv6 = |text: &str| text.parse().ok();
        Attachment {
            aliases: texts(node, "aliases"),
            ipv4_address: self.parsed(node, "ipv4_address", path, "an IPv4 address", ipv4),
            ipv6_address: self.parsed(node, "ipv6_address", path, "an IPv6 address", ipv6),
            link_local_ips,
            mac_address: self.mac_address(node, path),
            interface_name: self.parsed(
                node,
                "interface_name",
                path,
                "a name of an interface",
                |name| {
                    let fits = name.len() <= 15
                        && !name.contains(['/', ' '])
                        && !matches!(name, "." | "..");
                    fits.then(|| name.to_owned())
                },
            ),
            priority: number("priority").unwrap_or(0),
            gw_priority: number("gw_priority").unwrap_or(0),
            driver_opts: pairs(node, "driver_opts"),
        }
    }

    fn mac_address(&mut self, node: &Node, path: &Path<'_>) -> Option<String> {
        self.parsed(
            node,
            "mac_address",
            path,
            "a hardware address, such as 02:42:ac:11:00:02",
            |text| {
                let parts: Vec<&str> = text.split([':', '-']).collect();
                let fits = parts.len() == 6
                    && parts
                        .iter()
                        .all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()));
                fits.then(|| text.to_owned())
            },
        )
    }

    fn port(&mut self, node: &Node, path: &Path<'_>) -> Option<Port> {
        let Some(target) = int(node, "target").and_then(|port| u16::try_from(port).ok()) else {
            self.error(node.mark, path, "target must be a port from 1 to 65535");
            return None;
        };
        if target == 0 {
            self.error(node.mark, path, "target must be a port from 1 to 65535");
            return None;
        }
        let protocol = self.parsed(node, "protocol", path, "one of tcp, udp, sctp", |text| {
            match text.to_ascii_lowercase().as_str() {
                "tcp" => Some(Protocol::Tcp),
                "udp" => Some(Protocol::Udp),
                "sctp" => Some(Protocol::Sctp),
                _ => None,
            }
        });
        let mode = |text: &str| matches!(text, "ingress" | "host").then_some(());
        self.parsed(node, "mode", path, "one of ingress, host", mode);
        let published =
            self.parsed(node, "published", path, "a port or a range of ports", |text| {
                let port = |text: &str| text.parse::<u16>().ok();
                match text.split_once('-') {
                    Some((first, last)) => {
                        Some((port(first)?, port(last)?)).filter(|(first, last)| first <= last)
                    }
                    None => port(text).map(|port| (port, port)),
                }
            });
        let address = |text: &str| text.parse().ok();
        let host_ip = self.parsed(node, "host_ip", path, "an IP address", address);
        Some(Port {
            target,
            published: published.filter(|(first, _)| *first != 0),
            host_ip: host_ip.filter(|address: &IpAddr| !address.is_unspecified()),
            protocol: protocol.unwrap_or_default(),
            name: text(node, "name"),
        })
    }

    fn hosts(&mut self, node: &Node, path: &Path<'_>, service: &mut Service) {
        let path = path.key("extra_hosts");
        for (index, item) in items(node, "extra_hosts").iter().enumerate() {
            let line = item.as_text().unwrap_or_default();
            let Some((name, address)) = line.split_once('=') else { continue };
            if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
                let message = format!("{address:?} is not an IP address");
                self.error(item.mark, &path.item(index), message);
            }
            service.extra_hosts.push((name.to_owned(), address.to_owned()));
        }
    }
}
