//! Networks, addresses and ports as the hands need them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::{ContainerId, IdMaps, TaskId};

/// Where a container's resolver is, as in Docker. It listens in each sandbox on [`DNS_PORT`]; rules in
/// the sandbox bring port 53 of this address there, so that a program in the container may bind
/// `0.0.0.0:53` itself.
pub const DNS_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// The port on which orca's server really listens in each sandbox, UDP and TCP.
pub const DNS_PORT: u16 = 20053;

/// A transport protocol of a published port.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// `tcp`, `udp` or `sctp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A bridge network as it should be in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// The network's name, unique in the instance, such as `shop_default`. The link's own name is
    /// made from it (at most 15 characters, with the instance's id).
    pub name: String,
    /// The addresses of the network; the bridge itself has `gateway`.
    pub subnet: Ipv4Net,
    /// The bridge's address, and the containers' default route.
    pub gateway: Ipv4Addr,
    /// The IPv6 addresses and gateway, when the network has IPv6.
    pub subnet6: Option<(Ipv6Net, Ipv6Addr)>,
    /// Whether the network has no way out.
    pub internal: bool,
    /// The size of the largest packet; `None` takes it from the host's default route.
    pub mtu: Option<u32>,
}

/// A task's network namespace as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// The task it belongs to: the sandbox outlives the task's containers.
    pub task: TaskId,
    /// The network interfaces beside `lo`, in order: `eth0`, `eth1`, … The first whose network is
    /// not internal has the default route.
    pub interfaces: Vec<Interface>,
    /// The users of the user namespace that it belongs to; `None` is the host's.
    #[serde(default)]
    pub users: Option<IdMaps>,
    /// `net.*` settings of the namespace.
    pub sysctls: BTreeMap<String, String>,
}

/// One interface of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The network's name, as in [`Bridge::name`].
    pub network: String,
    /// The address in the network.
    pub address: Ipv4Addr,
    /// The IPv6 address, when the network has IPv6.
    pub address6: Option<Ipv6Addr>,
    /// The hardware address; `None` derives it from `address`.
    pub mac: Option<[u8; 6]>,
    /// The name inside the namespace; `None` is `eth<n>`.
    pub name: Option<String>,
}

/// One published port: what arrives at the host's port goes to one of the backends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Publication {
    /// The host address; `None` is every address, IPv4 and IPv6.
    pub host_ip: Option<IpAddr>,
    /// The port on the host.
    pub host_port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// Who answers, as address and port. Empty while no replica can: connections are refused.
    pub backends: Vec<(Ipv4Addr, u16)>,
    /// `<stack>/<service>`, for messages.
    pub owner: String,
}

/// All that the kernel should do for the stacks of an instance, as one value: it is put in force at
/// once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkTable {
    /// The bridges, by name.
    pub bridges: BTreeMap<String, Bridge>,
    /// The published ports.
    pub publications: Vec<Publication>,
}

/// The names that a sandbox can ask for, and who answers the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsTable {
    /// Counts up with each new table.
    pub generation: u64,
    /// One entry for each sandbox that has a resolver.
    pub sandboxes: BTreeMap<TaskId, DnsSandbox>,
    /// Names that many sandboxes see alike, such as those of one network, each set written once: a
    /// table of a hundred sandboxes that see a hundred services then grows with their sum and not
    /// with their product.
    #[serde(default)]
    pub zones: BTreeMap<String, DnsZone>,
}

/// Names that sandboxes share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsZone {
    /// As in [`DnsSandbox::names`].
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// As in [`DnsSandbox::reverse`].
    pub reverse: BTreeMap<IpAddr, String>,
}

/// The view of names of one sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsSandbox {
    /// The network namespace (a bind mount under the run directory) to listen in.
    pub netns: PathBuf,
    /// Lower-case names without a final dot, and their addresses. A name with no addresses exists
    /// but has nobody to answer just now: NODATA, never a question to the outside.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// Names for addresses (PTR), without a final dot.
    pub reverse: BTreeMap<IpAddr, String>,
    /// The keys of the [zones](DnsTable::zones) that it sees beside its own names, in order: its own
    /// names come first, then the first zone in which the name has addresses.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Whether other questions are asked outside. False on internal networks.
    pub forward: bool,
    /// Servers to ask instead of the host's own (`dns:`), from inside the namespace.
    pub upstreams: Vec<IpAddr>,
    /// The networks of this instance: reverse questions for them are never asked outside.
    pub own_networks: Vec<IpNet>,
}

/// An address that a running container has, for display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressOf {
    /// The container.
    pub container: ContainerId,
    /// The network's name.
    pub network: String,
    /// The address.
    pub address: Ipv4Addr,
}

/// Everything that the long-lived network helper (`orca netd`) holds open, as one value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetdState {
    /// The names.
    pub dns: DnsTable,
    /// The host ports to hold, so that nobody else takes them.
    pub ports: std::collections::BTreeSet<HeldPort>,
    /// Who answers at the published ports. The kernel brings IPv4 connections there by itself; netd
    /// carries TCP connections that arrive by IPv6, from clients elsewhere or from `[::1]`, at ports
    /// that it holds.
    pub forwards: Vec<Publication>,
}

/// A host port that orca holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HeldPort {
    /// The address; `None` is every address, IPv4 and IPv6.
    pub host_ip: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// What could not be held, and why: `address already in use by nginx (pid 812)`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetdReport {
    /// The generation of the table that is in force.
    pub generation: u64,
    /// The ports that are not held.
    pub refused: Vec<(HeldPort, String)>,
    /// Sandboxes whose resolver could not be started.
    pub failed: BTreeMap<TaskId, String>,
}
