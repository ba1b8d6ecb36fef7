//! Routes of the main table.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::address::{family, octets, read_ip};
use super::netlink::{Answer, Batch, CREATE, Connection, DUMP, REPLACE, ne32};

const NEW: u16 = 24;
const GET: u16 = 26;
const HEADER: usize = 12;

const MAIN_TABLE: u8 = 254;
const UNIVERSE: u8 = 0;
const BY_STATIC: u8 = 4;
const UNICAST: u8 = 1;

/// A route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    /// Where to; the whole family for the default route.
    pub(super) to: IpNet,
    pub(super) link: Option<u32>,
    pub(super) gateway: Option<IpAddr>,
}

/// Sets the default route of `gateway`'s family.
pub(super) fn set_default(batch: &mut Batch, gateway: IpAddr, link: u32) {
    const LINK: u16 = 4;
    const GATEWAY: u16 = 5;
    batch.message(NEW, CREATE | REPLACE, |m| {
        m.header(&[family(gateway), 0, 0, 0, MAIN_TABLE, BY_STATIC, UNIVERSE, UNICAST, 0, 0, 0, 0]);
        m.bytes(GATEWAY, &octets(gateway));
        m.ne32(LINK, link);
    });
}

/// All unicast routes of the main table of the namespace of `connection`, both families.
pub(super) fn list(connection: &Connection) -> io::Result<Vec<Route>> {
    let mut batch = Batch::new();
    batch.message(GET, DUMP, |m| m.header(&[0; HEADER]));
    Ok(connection.ask(&batch)?.iter().filter_map(read).collect())
}

fn read(answer: &Answer) -> Option<Route> {
    const TO: u16 = 1;
    const LINK: u16 = 4;
    const GATEWAY: u16 = 5;
    let [family, length, _, _, table, _, _, kind, ..] = *answer.body.first_chunk::<12>()?;
    if table != MAIN_TABLE || kind != UNICAST {
        return None;
    }
    let any = match i32::from(family) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let attributes = answer.attributes(HEADER);
    let to = attributes.get(TO).map_or(Some(any), read_ip)?;
    Some(Route {
        to: IpNet::new(to, length).ok()?,
        link: attributes.get(LINK).and_then(ne32),
        gateway: attributes.get(GATEWAY).and_then(read_ip),
    })
}
