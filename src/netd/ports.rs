//! The published ports: held, so that nobody else takes them and a conflict is named.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::OwnedFd;

use tokio::net::TcpListener;

use super::holder::holder;
use super::relay::{Backends, Relay};
use crate::model::{HeldPort, Protocol, Publication};
use crate::sys::port::{Arrivals, Kind, hold};

/// The ports that are held.
#[derive(Debug, Default)]
pub(super) struct Ports {
    held: BTreeMap<HeldPort, Held>,
}

/// What keeps one port.
#[derive(Debug)]
struct Held {
    /// Open for as long as the port is ours; nothing is read from them.
    #[expect(dead_code, reason = "they hold the port by being open")]
    silent: Vec<OwnedFd>,
    relay: Option<Relay>,
}

impl Held {
    async fn release(self) {
        if let Some(relay) = self.relay {
            relay.stop().await;
        }
    }
}

/// The sockets of one port.
struct Opened {
    silent: Vec<OwnedFd>,
    relayed: Option<StdTcpListener>,
}

impl Ports {
    /// Holds exactly `wanted`, and relays to what `forwards` say. Returns the ports that cannot be
    /// had, and why; they are tried again with the next state.
    pub(super) async fn put(
        &mut self,
        wanted: &BTreeSet<HeldPort>,
        forwards: &[Publication],
    ) -> Vec<(HeldPort, String)> {
        // First let go: a port that moves from all addresses to one is in its own way otherwise.
        for (_, held) in self.held.extract_if(.., |port, _| !wanted.contains(port)) {
            held.release().await;
        }
        let mut backends = by_port(forwards);
        for (port, held) in &self.held {
            if let Some(relay) = &held.relay {
                relay.swap(backends.remove(port).unwrap_or_default());
            }
        }
        let missing: Vec<HeldPort> =
            wanted.iter().filter(|port| !self.held.contains_key(port)).copied().collect();
        // It fails only when the runtime is ending.
        let opened = tokio::task::spawn_blocking(move || open_all(missing)).await;
        let mut refused = Vec::new();
        for (port, opened) in opened.unwrap_or_default() {
            let backends = backends.remove(&port).unwrap_or_default();
            match opened.and_then(|opened| start(opened, backends).map_err(|e| e.to_string())) {
                Ok(held) => drop(self.held.insert(port, held)),
                Err(why) => refused.push((port, why)),
            }
        }
        refused
    }
}

/// The backends of each port.
fn by_port(forwards: &[Publication]) -> BTreeMap<HeldPort, Backends> {
    forwards
        .iter()
        .map(|publication| {
            let port = HeldPort {
                host_ip: publication.host_ip,
                port: publication.host_port,
                protocol: publication.protocol,
            };
            (port, publication.backends.iter().copied().map(SocketAddr::from).collect())
        })
        .collect()
}

fn start(opened: Opened, backends: Backends) -> io::Result<Held> {
    let relay = match opened.relayed {
        Some(listener) => Some(Relay::start(TcpListener::from_std(listener)?, backends)),
        None => None,
    };
    Ok(Held { silent: opened.silent, relay })
}

fn open_all(ports: Vec<HeldPort>) -> Vec<(HeldPort, Result<Opened, String>)> {
    ports.into_iter().map(|port| (port, open(port))).collect()
}

/// Opens the sockets of one port: all of them or none.
fn open(port: HeldPort) -> Result<Opened, String> {
    let mut opened = Opened { silent: Vec::new(), relayed: None };
    for address in addresses(port) {
        let is_relayed = address.is_ipv6() && port.protocol == Protocol::Tcp;
        let arrivals = if is_relayed { Arrivals::Taken } else { Arrivals::Dropped };
        match hold(kind(port.protocol), address, arrivals) {
            Ok(socket) if is_relayed => opened.relayed = Some(socket.into()),
            Ok(socket) => opened.silent.push(socket),
            Err(error) if may_go_without(port, address, &error) => {}
            Err(error) => return Err(explain(port.protocol, address, &error)),
        }
    }
    Ok(opened)
}

fn addresses(port: HeldPort) -> Vec<SocketAddr> {
    let all = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let addresses = port.host_ip.map_or(all.to_vec(), |ip| vec![ip]);
    addresses.into_iter().map(|ip| SocketAddr::new(ip, port.port)).collect()
}

fn kind(protocol: Protocol) -> Kind {
    match protocol {
        Protocol::Tcp => Kind::Tcp,
        Protocol::Udp => Kind::Udp,
        Protocol::Sctp => Kind::Sctp,
    }
}

/// Whether there is nothing to hold: a host without IPv6, or a kernel without the protocol, where
/// nobody else can take the port either.
fn may_go_without(port: HeldPort, address: SocketAddr, error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::Unsupported => port.host_ip.is_none() || port.protocol == Protocol::Sctp,
        io::ErrorKind::AddrNotAvailable => port.host_ip.is_none() && address.is_ipv6(),
        _ => false,
    }
}

fn explain(protocol: Protocol, address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => match holder(protocol, address) {
            Some(holder) => format!("address already in use by {holder}"),
            None => "address already in use".to_owned(),
        },
        io::ErrorKind::AddrNotAvailable => {
            format!("{} is not an address of this host", address.ip())
        }
        _ => format!("cannot hold {address}: {error}"),
    }
}
