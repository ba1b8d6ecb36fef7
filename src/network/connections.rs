//! The kernel's table of connections (conntrack).
//!
//! A connection keeps the backend that was chosen for its first packet. That is what lets a service
//! change without a lost connection, and it has to end when the backend is gone: a client that goes
//! on sending UDP from one port would talk to nobody for ever.

use std::net::Ipv4Addr;

use super::NetworkError;
use super::netlink::{Answer, Attributes, Batch, Connection, DUMP, error_number};
use crate::model::Protocol;

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const IPV4: u8 = 2;
const HEADER: usize = 4;

const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;

// Within one direction.
const ADDRESSES: u16 = 1;
const SOURCE: u16 = 1;
const DESTINATION: u16 = 2;

/// Which connections are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that this address answers.
    AnsweredBy(Ipv4Addr),
    /// Those to this port, that were not translated.
    Untranslated(Protocol, u16),
}

/// Forgets the connections that one of `which` means. The next packet of each is looked at as if it
/// were the first.
pub(super) fn forget(connection: &Connection, which: &[Which]) -> Result<(), NetworkError> {
    let failed = || NetworkError::kernel("forget connections to a backend that is gone");
    if which.is_empty() {
        return Ok(());
    }
    let found = connection.ask(&question(which)).map_err(failed())?;
    let mut batch = Batch::new();
    for answer in &found {
        if which.iter().any(|which| which.means(answer.attributes(HEADER))) {
            remove(&mut batch, answer);
        }
    }
    // One that ended by itself in the meantime is fine.
    connection
        .send_expecting(&batch, |error| error_number(error) == Some(libc::ENOENT))
        .map_err(failed())
}

/// The question for the connections. When one backend is meant, the kernel is asked for its
/// connections only, which saves reading all of a busy host's; kernels before 5.8 tell all of them.
fn question(which: &[Which]) -> Batch {
    const FILTER: u16 = 25;
    const FILTER_REPLY: u16 = 2;
    const BY_SOURCE: u32 = 1;
    let mut question = Batch::new();
    question.message(GET, DUMP, |m| {
        m.header(&[IPV4, 0, 0, 0]);
        if let [Which::AnsweredBy(address)] = which {
            m.nest(REPLY, |m| m.nest(ADDRESSES, |m| m.bytes(SOURCE, &address.octets())));
            m.nest(FILTER, |m| m.ne32(FILTER_REPLY, BY_SOURCE));
        }
    });
    question
}

impl Which {
    fn means(self, entry: Attributes<'_>) -> bool {
        let (original, reply) =
            (Tuple::read(entry.nested(ORIGINAL)), Tuple::read(entry.nested(REPLY)));
        let (Some(original), Some(reply)) = (original, reply) else { return false };
        match self {
            Self::AnsweredBy(address) => reply.source == address,
            Self::Untranslated(protocol, port) => {
                original.protocol == number(protocol)
                    && original.to_port == Some(port)
                    && reply.source == original.destination
            }
        }
    }
}

/// One direction of a connection.
#[derive(Debug)]
struct Tuple {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    to_port: Option<u16>,
}

impl Tuple {
    fn read(tuple: Attributes<'_>) -> Option<Self> {
        const TRANSPORT: u16 = 2;
        let address = |kind| {
            let octets: [u8; 4] = tuple.nested(ADDRESSES).get(kind)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets))
        };
        let transport = tuple.nested(TRANSPORT);
        Some(Self {
            source: address(SOURCE)?,
            destination: address(DESTINATION)?,
            protocol: *transport.get(1)?.first()?,
            to_port: transport.get(3).and_then(|p| p.try_into().ok()).map(u16::from_be_bytes),
        })
    }
}

/// The entry is named by its first direction, its zone and its id: another one that took its place
/// meanwhile is not meant.
fn remove(batch: &mut Batch, entry: &Answer) {
    let attributes = entry.attributes(HEADER);
    batch.message(DELETE, 0, |m| {
        m.header(&[IPV4, 0, 0, 0]);
        if let Some(original) = attributes.get(ORIGINAL) {
            m.bytes(ORIGINAL | 0x8000, original);
        }
        for kind in [ID, ZONE] {
            if let Some(value) = attributes.get(kind) {
                m.bytes(kind, value);
            }
        }
    });
}

fn number(protocol: Protocol) -> u8 {
    let number = match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Udp => libc::IPPROTO_UDP,
        Protocol::Sctp => libc::IPPROTO_SCTP,
    };
    u8::try_from(number).unwrap_or_default()
}
