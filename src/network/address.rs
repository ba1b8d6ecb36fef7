//! Addresses of links.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use super::netlink::{Answer, Batch, CREATE, Connection, DUMP, Message, REPLACE, ne32};

const NEW: u16 = 20;
const DELETE: u16 = 21;
const GET: u16 = 22;
const HEADER: usize = 8;

const UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
/// `IFA_F_NODAD`: the address works at once; it was chosen so that nobody else has it.
const NO_DUPLICATE_DETECTION: u8 = 2;

/// An address that a link has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) link: u32,
    pub(super) net: IpNet,
    /// Whether it is of the link only (`fe80::…`), made by the kernel.
    pub(super) link_local: bool,
}

/// Gives a link an address, or does nothing if it has it.
pub(super) fn add(batch: &mut Batch, link: u32, net: IpNet) {
    batch.message(NEW, CREATE | REPLACE, |m| write(m, link, net));
}

/// Takes an address from a link.
pub(super) fn remove(batch: &mut Batch, link: u32, net: IpNet) {
    batch.message(DELETE, 0, |m| write(m, link, net));
}

fn write(m: &mut Message<'_>, link: u32, net: IpNet) {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    const BROADCAST: u16 = 4;
    let flags = if net.addr().is_ipv6() { NO_DUPLICATE_DETECTION } else { 0 };
    let mut header = vec![family(net.addr()), net.prefix_len(), flags, UNIVERSE];
    header.extend(link.to_ne_bytes());
    m.header(&header);
    m.bytes(LOCAL, &octets(net.addr()));
    m.bytes(ADDRESS, &octets(net.addr()));
    if net.addr().is_ipv4() {
        m.bytes(BROADCAST, &octets(net.broadcast()));
    }
}

/// All addresses of the namespace of `connection`.
pub(super) fn list(connection: &Connection) -> io::Result<Vec<Address>> {
    let mut batch = Batch::new();
    batch.message(GET, DUMP, |m| m.header(&[0; HEADER]));
    Ok(connection.ask(&batch)?.iter().filter_map(read).collect())
}

fn read(answer: &Answer) -> Option<Address> {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    let attributes = answer.attributes(HEADER);
    let value = attributes.get(LOCAL).or_else(|| attributes.get(ADDRESS))?;
    Some(Address {
        link: ne32(answer.body.get(4..8)?)?,
        net: IpNet::new(read_ip(value)?, *answer.body.get(1)?).ok()?,
        link_local: *answer.body.get(3)? == SCOPE_LINK,
    })
}

/// An address as the kernel writes it.
pub(super) fn read_ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
        _ => None,
    }
}

/// The number of the address's family.
pub(super) fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    u8::try_from(family).unwrap_or_default()
}

/// The address as the kernel reads it.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
