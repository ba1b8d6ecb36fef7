//! Links: the messages (rtnetlink(7)) and what the kernel lists.

use std::io;

use super::netlink::{
    Answer, Batch, CREATE, Connection, DUMP, EXCLUSIVE, Message, NO_ACKNOWLEDGE, error_number, ne32,
};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;

const LINK_HEADER: usize = 16;

mod link_attribute {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const NAME: u16 = 3;
    pub(super) const MTU: u16 = 4;
    pub(super) const PEER: u16 = 5;
    pub(super) const MASTER: u16 = 10;
    pub(super) const INFO: u16 = 18;
    pub(super) const ALIAS: u16 = 20;
    pub(super) const GROUP: u16 = 27;
    pub(super) const NAMESPACE_FD: u16 = 28;
}

const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_PORT_KIND: u16 = 4;
const INFO_PORT_DATA: u16 = 5;
const UP: u32 = 1;

/// A link that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) up: bool,
    /// `bridge`, `veth`, …; empty for hardware.
    pub(super) kind: String,
    pub(super) address: Vec<u8>,
    pub(super) mtu: u32,
    /// The bridge it is a port of.
    pub(super) master: Option<u32>,
    /// The other end of a veth pair, by its index in its own namespace.
    pub(super) peer: Option<u32>,
    pub(super) alias: String,
    pub(super) group: u32,
}

/// How a bridge is to be made.
#[derive(Debug)]
pub(super) struct NewBridge<'a> {
    pub(super) name: &'a str,
    pub(super) address: [u8; 6],
    pub(super) mtu: u32,
    pub(super) group: u32,
}

/// How a veth pair is to be made.
#[derive(Debug)]
pub(super) struct NewVeth<'a> {
    /// The host's end.
    pub(super) name: &'a str,
    pub(super) alias: &'a str,
    pub(super) bridge: u32,
    pub(super) group: u32,
    pub(super) mtu: u32,
    /// The sandbox's end.
    pub(super) inside: &'a str,
    pub(super) address: [u8; 6],
    pub(super) namespace: i32,
}

/// Makes a bridge. Its address is fixed: a bridge without one takes that of a port and changes it as
/// ports come and go. No spanning tree and no wait before forwarding: the ports are our own. No
/// multicast snooping: without a querier it drops multicast after some minutes.
pub(super) fn add_bridge(batch: &mut Batch, bridge: &NewBridge<'_>) {
    batch.message(NEW_LINK, CREATE | EXCLUSIVE, |m| {
        m.header(&link_header(0, UP, UP));
        m.text(link_attribute::NAME, bridge.name);
        m.bytes(link_attribute::ADDRESS, &bridge.address);
        m.ne32(link_attribute::MTU, bridge.mtu);
        m.ne32(link_attribute::GROUP, bridge.group);
        m.nest(link_attribute::INFO, |m| {
            m.text(INFO_KIND, "bridge");
            m.nest(INFO_DATA, bridge_settings);
        });
    });
}

/// Puts a bridge that is there back in order.
pub(super) fn correct_bridge(batch: &mut Batch, index: u32, bridge: &NewBridge<'_>) {
    batch.message(NEW_LINK, 0, |m| {
        m.header(&link_header(index, UP, UP));
        m.bytes(link_attribute::ADDRESS, &bridge.address);
        m.ne32(link_attribute::MTU, bridge.mtu);
        m.ne32(link_attribute::GROUP, bridge.group);
        m.nest(link_attribute::INFO, |m| {
            m.text(INFO_KIND, "bridge");
            m.nest(INFO_DATA, bridge_settings);
        });
    });
}

fn bridge_settings(m: &mut Message<'_>) {
    const FORWARD_DELAY: u16 = 1;
    const STP_STATE: u16 = 5;
    const MULTICAST_SNOOPING: u16 = 23;
    m.ne32(STP_STATE, 0);
    m.ne32(FORWARD_DELAY, 0);
    m.bytes(MULTICAST_SNOOPING, &[0]);
}

/// Makes a veth pair: one end up and in the bridge, the other in a namespace. The sandbox's end must
/// not be up yet: the kernel opens it before the pair is joined and answers `ENOTCONN`.
pub(super) fn add_veth(batch: &mut Batch, veth: &NewVeth<'_>) {
    const PEER: u16 = 1;
    batch.message(NEW_LINK, CREATE | EXCLUSIVE, |m| {
        m.header(&link_header(0, UP, UP));
        m.text(link_attribute::NAME, veth.name);
        m.ne32(link_attribute::MTU, veth.mtu);
        m.ne32(link_attribute::MASTER, veth.bridge);
        m.ne32(link_attribute::GROUP, veth.group);
        m.nest(link_attribute::INFO, |m| {
            m.text(INFO_KIND, "veth");
            m.nest(INFO_DATA, |m| {
                m.nest(PEER, |m| {
                    m.header(&link_header(0, 0, 0));
                    m.text(link_attribute::NAME, veth.inside);
                    m.bytes(link_attribute::ADDRESS, &veth.address);
                    m.ne32(link_attribute::MTU, veth.mtu);
                    m.bytes(link_attribute::NAMESPACE_FD, &veth.namespace.to_ne_bytes());
                });
            });
        });
    });
    // An alias is not taken when a link is made, nor is a port's mode.
    batch.message(NEW_LINK, 0, |m| {
        m.header(&link_header(0, 0, 0));
        m.text(link_attribute::NAME, veth.name);
        m.text(link_attribute::ALIAS, veth.alias);
        m.nest(link_attribute::INFO, hairpin);
    });
}

/// Asks for a link of this kind with a name that no link can have: the answer tells whether the
/// kernel knows the kind, and nothing is made.
pub(super) fn add_impossible(batch: &mut Batch, kind: &str) {
    const PEER: u16 = 1;
    const NO_NAME: &str = "orca/check";
    batch.message(NEW_LINK, CREATE | EXCLUSIVE, |m| {
        m.header(&link_header(0, 0, 0));
        m.text(link_attribute::NAME, NO_NAME);
        m.nest(link_attribute::INFO, |m| {
            m.text(INFO_KIND, kind);
            if kind == "veth" {
                m.nest(INFO_DATA, |m| {
                    m.nest(PEER, |m| {
                        m.header(&link_header(0, 0, 0));
                        m.text(link_attribute::NAME, NO_NAME);
                    });
                });
            }
        });
    });
}

/// Makes a link a port of `bridge`, and up.
pub(super) fn attach(batch: &mut Batch, link: u32, bridge: u32) {
    batch.message(NEW_LINK, 0, |m| {
        m.header(&link_header(link, UP, UP));
        m.ne32(link_attribute::MASTER, bridge);
    });
    batch.message(NEW_LINK, 0, |m| {
        m.header(&link_header(link, 0, 0));
        m.nest(link_attribute::INFO, hairpin);
    });
}

/// A frame may leave by the port it came from: a container that calls its own published port, while
/// bridged frames pass the host's rules (`bridge-nf-call-iptables`), gets it back that way.
fn hairpin(m: &mut Message<'_>) {
    const MODE: u16 = 4;
    m.text(INFO_PORT_KIND, "bridge");
    m.nest(INFO_PORT_DATA, |m| m.bytes(MODE, &[1]));
}

/// Sets the alias of a link.
pub(super) fn set_alias(batch: &mut Batch, name: &str, alias: &str) {
    batch.message(NEW_LINK, 0, |m| {
        m.header(&link_header(0, 0, 0));
        m.text(link_attribute::NAME, name);
        m.text(link_attribute::ALIAS, alias);
    });
}

/// Switches a link on.
pub(super) fn set_up(batch: &mut Batch, index: u32) {
    batch.message(NEW_LINK, 0, |m| m.header(&link_header(index, UP, UP)));
}

/// Gives a link its hardware address and largest packet.
pub(super) fn set_address_and_mtu(batch: &mut Batch, index: u32, address: [u8; 6], mtu: u32) {
    batch.message(NEW_LINK, 0, |m| {
        m.header(&link_header(index, 0, 0));
        m.bytes(link_attribute::ADDRESS, &address);
        m.ne32(link_attribute::MTU, mtu);
    });
}

/// Sets the largest packet of a link.
pub(super) fn set_mtu(batch: &mut Batch, index: u32, mtu: u32) {
    batch.message(NEW_LINK, 0, |m| {
        m.header(&link_header(index, 0, 0));
        m.ne32(link_attribute::MTU, mtu);
    });
}

/// Puts a link in a group.
pub(super) fn set_group(batch: &mut Batch, index: u32, group: u32) {
    batch.message(NEW_LINK, 0, |m| {
        m.header(&link_header(index, 0, 0));
        m.ne32(link_attribute::GROUP, group);
    });
}

/// Removes a link. Takes 10–20 ms: the kernel waits until no packet uses it.
pub(super) fn remove(batch: &mut Batch, index: u32) {
    batch.message(DELETE_LINK, 0, |m| m.header(&link_header(index, 0, 0)));
}

/// Removes all links of a group, in the time that one takes.
pub(super) fn remove_group(batch: &mut Batch, group: u32) {
    batch.message(DELETE_LINK, 0, |m| {
        m.header(&link_header(0, 0, 0));
        m.ne32(link_attribute::GROUP, group);
    });
}

/// All links of the namespace of `connection`.
pub(super) fn links(connection: &Connection) -> io::Result<Vec<Link>> {
    let mut batch = Batch::new();
    batch.message(GET_LINK, DUMP, |m| m.header(&link_header(0, 0, 0)));
    Ok(connection.ask(&batch)?.iter().filter_map(read_link).collect())
}

/// One link of the namespace of `connection`, if it is there.
pub(super) fn by_index(connection: &Connection, index: u32) -> io::Result<Option<Link>> {
    let mut batch = Batch::new();
    batch.message(GET_LINK, NO_ACKNOWLEDGE, |m| m.header(&link_header(index, 0, 0)));
    match connection.ask(&batch) {
        Ok(answers) => Ok(answers.iter().find_map(read_link)),
        Err(error) if error_number(&error) == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The link in a `RTM_NEWLINK` or `RTM_DELLINK` message.
pub(super) fn read_link(answer: &Answer) -> Option<Link> {
    if answer.kind != NEW_LINK && answer.kind != DELETE_LINK {
        return None;
    }
    let attributes = answer.attributes(LINK_HEADER);
    let number = |kind| attributes.get(kind).and_then(ne32);
    Some(Link {
        index: ne32(answer.body.get(4..8)?)?,
        name: attributes.text(link_attribute::NAME)?.to_owned(),
        up: ne32(answer.body.get(8..12)?)? & UP != 0,
        kind: attributes
            .nested(link_attribute::INFO)
            .text(INFO_KIND)
            .unwrap_or_default()
            .to_owned(),
        address: attributes.get(link_attribute::ADDRESS).unwrap_or_default().to_vec(),
        mtu: number(link_attribute::MTU).unwrap_or_default(),
        master: number(link_attribute::MASTER),
        peer: number(link_attribute::PEER),
        alias: attributes.text(link_attribute::ALIAS).unwrap_or_default().to_owned(),
        group: number(link_attribute::GROUP).unwrap_or_default(),
    })
}

/// Whether the message says that a link is gone.
pub(super) fn is_removal(answer: &Answer) -> bool {
    answer.kind == DELETE_LINK
}

fn link_header(index: u32, flags: u32, mask: u32) -> [u8; LINK_HEADER] {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&mask.to_ne_bytes());
    header
}
