//! Networks, volumes, configs and secrets of a project.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::Decode;
use super::fields::{flag, items, optional_flag, pairs, text};
use crate::compose::load::{VALUE, members};
use crate::compose::tree::{Node, Path, Value};
use crate::model::{FileSource, Network, Project, Volume};

impl Decode<'_> {
    /// Everything at the top level but the services.
    pub(super) fn top(&mut self, project: &mut Project) {
        let root = self.root;
        let path = Path::ROOT;
        let networks = path.key("networks");
        for (name, node) in members(root, "networks") {
            let network = self.network(node, &networks.key(name));
            project.networks.insert(name.clone(), network);
        }
        let volumes = path.key("volumes");
        for (name, node) in members(root, "volumes") {
            let volume = self.volume(node, &volumes.key(name));
            project.volumes.insert(name.clone(), volume);
        }
        let configs = path.key("configs");
        for (name, node) in members(root, "configs") {
            let source = self.file_source(node, &configs.key(name));
            project.configs.extend(source.map(|source| (name.clone(), source)));
        }
        let secrets = path.key("secrets");
        for (name, node) in members(root, "secrets") {
            let source = self.file_source(node, &secrets.key(name));
            project.secrets.extend(source.map(|source| (name.clone(), source)));
        }
    }

    fn network(&mut self, node: &Node, path: &Path<'_>) -> Network {
        let mut network = Network {
            name: text(node, "name").unwrap_or_default(),
            external: flag(node, "external"),
            internal: flag(node, "internal"),
            enable_ipv6: flag(node, "enable_ipv6"),
            labels: pairs(node, "labels"),
            ..Network::default()
        };
        match node.text_of("driver") {
            None | Some("bridge" | "default") => {}
            Some(driver @ "overlay") => {
                let message = format!("there is one machine only: {driver} is made as a bridge");
                self.warn(node.mark, &path.key("driver"), message);
            }
            Some(driver) => {
                let message = format!("orca makes bridges only, not networks of type {driver:?}");
                self.refuse(node.mark, &path.key("driver"), message);
            }
        }
        if optional_flag(node, "enable_ipv4") == Some(false) {
            self.refuse(node.mark, &path.key("enable_ipv4"), "every network has IPv4");
        }
        let options = path.key("driver_opts");
        for (name, option) in members(node, "driver_opts") {
            match name.as_str() {
                "com.docker.network.driver.mtu" => {
                    network.mtu = option.scalar_text().and_then(|text| text.parse().ok());
                    if network.mtu.is_none_or(|mtu| !(68..=65535).contains(&mtu)) {
                        self.error(option.mark, &options.key(name), "must be from 68 to 65535");
                    }
                }
                _ => {
                    let message = "volumes have the options `type`, `device`, `o` and `size`";
                    self.refuse(option.mark, &options.key(name), message);
                }
            }
        }
        if let Some(ipam) = node.get("ipam") {
            self.ipam(ipam, &path.key("ipam"), &mut network);
        }
        self.unsupported_network(node, path);
        network
    }

    fn ipam(&mut self, node: &Node, path: &Path<'_>, network: &mut Network) {
        if let Some(driver) = node.text_of("driver").filter(|driver| *driver != "default") {
            let message = format!("orca chooses addresses itself, not {driver:?}");
            self.refuse(node.mark, &path.key("driver"), message);
        }
        let path = path.key("config");
        for (index, pool) in items(node, "config").iter().enumerate() {
            let path = path.item(index);
            let net = |text: &str| text.parse::<IpNet>().ok();
            let address = |text: &str| text.parse::<IpAddr>().ok();
            let subnet = self.parsed(pool, "subnet", &path, "a subnet, such as 10.1.0.0/24", net);
            let gateway = self.parsed(pool, "gateway", &path, "an IP address", address);
            let range = self.parsed(pool, "ip_range", &path, "a subnet, such as 10.1.0.0/25", net);
            match subnet {
                Some(IpNet::V4(subnet)) if network.subnet.is_none() => {
                    network.subnet = Some(subnet.trunc());
                    if let Some(IpNet::V4(range)) = range {
                        network.ip_range = Some(range);
                    }
                }
                Some(IpNet::V6(subnet)) if network.subnet6.is_none() => {
                    network.subnet6 = Some(subnet.trunc());
                }
                Some(other) => network.more_subnets.push(other),
                None => {}
            }
            match gateway {
                Some(IpAddr::V4(gateway)) => network.gateway = Some(gateway),
                Some(IpAddr::V6(gateway)) => network.gateway6 = Some(gateway),
                None => {}
            }
            for (what, inner) in [("gateway", gateway), ("ip_range", range.map(|r| r.network()))] {
                if let (Some(subnet), Some(inner)) = (subnet, inner)
                    && !subnet.contains(&inner)
                {
                    self.error(pool.mark, &path, format!("{what} {inner} is not in {subnet}"));
                }
            }
            let others = path.key("aux_addresses");
            for (name, node) in members(pool, "aux_addresses") {
                match node.as_text().unwrap_or_default().parse() {
                    Ok(address) => {
                        network.aux_addresses.insert(name.clone(), address);
                    }
                    Err(_) => {
                        self.error(node.mark, &others.key(name), "not an IP address");
                    }
                }
            }
        }
    }

    fn volume(&mut self, node: &Node, path: &Path<'_>) -> Volume {
        if let Some(driver) = node.text_of("driver").filter(|driver| *driver != "local") {
            let message = format!("orca has local volumes only, not {driver:?}");
            self.refuse(node.mark, &path.key("driver"), message);
        }
        let driver_opts = pairs(node, "driver_opts");
        let options = path.key("driver_opts");
        for (name, option) in members(node, "driver_opts") {
            if !matches!(name.as_str(), "type" | "device" | "o" | "size") {
                self.warn(option.mark, &options.key(name), "this option is not used");
            }
        }
        Volume {
            name: text(node, "name").unwrap_or_default(),
            external: flag(node, "external"),
            driver_opts,
            labels: pairs(node, "labels"),
        }
    }

    fn file_source(&mut self, node: &Node, path: &Path<'_>) -> Option<FileSource> {
        if flag(node, "external") {
            return Some(FileSource::External(text(node, "name").unwrap_or_default()));
        }
        if let Some(file) = node.text_of("file") {
            return Some(FileSource::File(PathBuf::from(file)));
        }
        if let Some(variable) = node.get("environment") {
            if let Some(Value::Text(value)) = node.get(VALUE).map(|node| &node.value) {
                return Some(FileSource::Content(value.clone().into_bytes()));
            }
            let name = variable.as_text().unwrap_or_default();
            let message = format!("the environment variable {name:?} is not set");
            self.refuse(variable.mark, &path.key("environment"), message);
            return Some(FileSource::Content(Vec::new()));
        }
        let content = node.text_of("content").unwrap_or_default();
        Some(FileSource::Content(content.as_bytes().to_vec()))
    }
}
