//! What a sandbox should be, worked out to the last detail.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{IdMaps, Interface, Sandbox, TaskId};
use crate::network::NetworkError;
use crate::network::bridge::Network;
use crate::network::names::{Names, hardware_address, is_interface_name};

/// A sandbox with all details: nothing is left to decide.
#[derive(Debug)]
pub(in crate::network) struct Plan<'a> {
    pub(super) names: &'a Names,
    pub(super) task: TaskId,
    pub(super) interfaces: Vec<Planned>,
    pub(super) gateways: Vec<Gateway>,
    /// The users of the user namespace that it belongs to.
    pub(super) users: Option<&'a IdMaps>,
    pub(super) sysctls: &'a BTreeMap<String, String>,
}

/// One interface with all details.
#[derive(Debug)]
pub(super) struct Planned {
    /// The name inside.
    pub(super) name: String,
    /// The hardware address.
    pub(super) address: [u8; 6],
    pub(super) addresses: Vec<IpNet>,
    /// The bridge's index.
    pub(super) bridge: u32,
    pub(super) bridge_name: String,
    pub(super) mtu: u32,
    /// The host's end, if it has to be made.
    pub(super) host_end: String,
}

/// A default route.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) address: IpAddr,
    /// Which of the interfaces it leads out by.
    pub(super) interface: usize,
}

impl<'a> Plan<'a> {
    /// Works out the details of `sandbox` in these networks. `nonce` is never the same.
    pub(in crate::network) fn new(
        names: &'a Names,
        networks: &BTreeMap<String, Network>,
        sandbox: &'a Sandbox,
        nonce: u64,
    ) -> Result<Self, NetworkError> {
        let mut plan = Self {
            names,
            task: sandbox.task,
            interfaces: Vec::new(),
            gateways: Vec::new(),
            users: sandbox.users.as_ref(),
            sysctls: &sandbox.sysctls,
        };
        for (number, interface) in sandbox.interfaces.iter().enumerate() {
            let network = networks.get(&interface.network).ok_or_else(|| {
                let network = interface.network.clone();
                NetworkError::NoSuchNetwork { task: sandbox.task, network }
            })?;
            plan.interfaces.push(Planned {
                name: interface_name(interface, number)?,
                address: interface
                    .mac
                    .unwrap_or_else(|| hardware_address(&interface.network, interface.address)),
                addresses: addresses(sandbox.task, interface, network)?,
                bridge: network.index,
                bridge_name: network.link.clone(),
                mtu: network.mtu,
                host_end: names.veth(sandbox.task, number, nonce),
            });
            plan.add_gateways(interface, network, number);
        }
        Ok(plan)
    }

    /// The first network with a way out has the default route, in each family.
    fn add_gateways(&mut self, interface: &Interface, network: &Network, number: usize) {
        let four = Some(IpAddr::V4(network.gateway));
        let six = network.subnet6.map(|(_, gateway)| IpAddr::V6(gateway));
        let six = six.filter(|_| interface.address6.is_some());
        for address in [four, six].into_iter().flatten().filter(|_| !network.internal) {
            let same = |known: &Gateway| known.address.is_ipv4() == address.is_ipv4();
            if !self.gateways.iter().any(same) {
                self.gateways.push(Gateway { address, interface: number });
            }
        }
    }

    /// Whether any interface has IPv6.
    pub(super) fn has_ipv6(&self) -> bool {
        self.interfaces.iter().any(Planned::has_ipv6)
    }

    /// For `map_err`: the kernel did not do this to the sandbox.
    pub(super) fn failed(&self, what: &str) -> impl FnOnce(std::io::Error) -> NetworkError + use<> {
        NetworkError::kernel(format!("{what} of task {}", self.task))
    }
}

impl Planned {
    /// Whether it has an IPv6 address.
    pub(super) fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(|net| net.addr().is_ipv6())
    }
}

fn interface_name(interface: &Interface, number: usize) -> Result<String, NetworkError> {
    match &interface.name {
        None => Ok(format!("eth{number}")),
        Some(name) if is_interface_name(name) => Ok(name.clone()),
        Some(name) => Err(NetworkError::BadInterfaceName(name.clone())),
    }
}

fn addresses(
    task: TaskId,
    interface: &Interface,
    network: &Network,
) -> Result<Vec<IpNet>, NetworkError> {
    let outside = |address| NetworkError::AddressOutside {
        task,
        network: interface.network.clone(),
        address,
    };
    let within = |net: IpNet, address: IpAddr| {
        let inside = net.contains(&address);
        let net = IpNet::new(address, net.prefix_len()).ok().filter(|_| inside);
        net.ok_or_else(|| outside(address))
    };
    let mut addresses = vec![within(network.subnet.into(), interface.address.into())?];
    if let Some(address) = interface.address6 {
        let subnet = network.subnet6.ok_or_else(|| outside(address.into()))?.0;
        addresses.push(within(subnet.into(), address.into())?);
    }
    Ok(addresses)
}
