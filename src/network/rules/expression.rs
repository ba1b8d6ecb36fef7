//! The expressions of a rule (`linux/netfilter/nf_tables.h`): small machines that load values into
//! registers, compare them, and act.

use std::net::Ipv4Addr;

use crate::network::netlink::Message;

/// Where a rule's verdict goes.
pub(in crate::network) const VERDICT: u32 = 0;
/// The first of the 4-byte registers; a longer value takes several.
pub(in crate::network) const R0: u32 = 8;
/// The second.
pub(in crate::network) const R1: u32 = 9;
/// The third.
pub(in crate::network) const R2: u32 = 10;
/// The fifth: behind a link's name (16 bytes) in the first four.
pub(in crate::network) const R4: u32 = 12;

const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 10;
const SOURCE_OFFSET: u32 = 12;
const DESTINATION_OFFSET: u32 = 16;

/// What a packet's way ends with.
pub(in crate::network) mod verdict {
    pub(in crate::network) const DROP: i32 = 0;
    pub(in crate::network) const ACCEPT: i32 = 1;
    pub(in crate::network) const JUMP: i32 = -3;
    pub(in crate::network) const GOTO: i32 = -4;
    pub(in crate::network) const RETURN: i32 = -5;
}

/// A property of a packet that is not in it.
#[derive(Debug, Clone, Copy)]
pub(in crate::network) enum Meta {
    /// The name of the link it came in by.
    InName = 6,
    /// The name of the link it goes out by.
    OutName = 7,
    /// IPv4 or IPv6.
    Family = 15,
    /// TCP, UDP, …
    Transport = 16,
}

/// The expressions of one rule, as they are written.
#[derive(Debug)]
pub(in crate::network) struct Expressions<'m, 'b>(pub(in crate::network) &'m mut Message<'b>);

impl Expressions<'_, '_> {
    /// Goes on only if the link's name begins with `prefix`.
    pub(in crate::network) fn name_begins(&mut self, which: Meta, prefix: &str) {
        self.load(which, R0);
        self.compare(R0, EQUAL, prefix.as_bytes());
    }

    /// Goes on only if the link's name does not begin with `prefix`.
    pub(in crate::network) fn name_does_not_begin(&mut self, which: Meta, prefix: &str) {
        self.load(which, R0);
        self.compare(R0, NOT_EQUAL, prefix.as_bytes());
    }

    /// Goes on only if the link's name is in the set.
    pub(in crate::network) fn name_in(&mut self, which: Meta, set: &str) {
        self.load(which, R0);
        self.lookup(set, None, R0, None);
    }

    /// Goes on only if the names of both links are a pair in the set.
    pub(in crate::network) fn names_in(&mut self, set: &str) {
        self.load(Meta::InName, R0);
        self.load(Meta::OutName, R4);
        self.lookup(set, None, R0, None);
    }

    /// Goes on only with IPv4 packets.
    pub(in crate::network) fn ipv4(&mut self) {
        self.load(Meta::Family, R0);
        self.compare(R0, EQUAL, &[IPV4]);
    }

    /// Goes on only with IPv6 packets.
    pub(in crate::network) fn ipv6(&mut self) {
        self.load(Meta::Family, R0);
        self.compare(R0, EQUAL, &[IPV6]);
    }

    /// Goes on only with packets of this transport protocol.
    pub(in crate::network) fn transport(&mut self, protocol: u8) {
        self.load(Meta::Transport, R0);
        self.compare(R0, EQUAL, &[protocol]);
    }

    /// Goes on only with packets to a port of this number.
    pub(in crate::network) fn destination_port_is(&mut self, port: u16) {
        self.load_port(R0);
        self.compare(R0, EQUAL, &port.to_be_bytes());
    }

    /// Goes on only with IPv4 packets to 127.0.0.0/8.
    pub(in crate::network) fn destination_is_loopback(&mut self) {
        self.ipv4();
        self.payload(1, DESTINATION_OFFSET, 1, R0);
        self.compare(R0, EQUAL, &[127]);
    }

    /// Goes on only with IPv4 packets to this address.
    pub(in crate::network) fn destination_is(&mut self, address: Ipv4Addr) {
        self.load_destination(R0);
        self.compare(R0, EQUAL, &address.octets());
    }

    /// Goes on only with IPv4 packets to any other address.
    pub(in crate::network) fn destination_is_not(&mut self, address: Ipv4Addr) {
        self.load_destination(R0);
        self.compare(R0, NOT_EQUAL, &address.octets());
    }

    /// Goes on only if the packet is from a unique local IPv6 address (fc00::/7).
    pub(in crate::network) fn source_is_local_ipv6(&mut self) {
        self.ipv6();
        self.payload(1, 8, 16, R0);
        self.mask(R0, &first_byte(0xfe));
        self.compare(R0, EQUAL, &first_byte(0xfc));
    }

    /// Goes on only if the destination is an address of the host.
    pub(in crate::network) fn destination_is_host(&mut self) {
        self.fib(2);
    }

    /// Goes on only if the source is an address of the host.
    pub(in crate::network) fn source_is_host(&mut self) {
        self.fib(1);
    }

    /// Goes on only with packets of connections whose destination was translated.
    pub(in crate::network) fn translated(&mut self) {
        const STATUS: u32 = 2;
        const DESTINATION_TRANSLATED: u32 = 1 << 5;
        self.connection_bits(STATUS, DESTINATION_TRANSLATED);
    }

    /// Goes on only with packets of connections that are there, or belong to one.
    pub(in crate::network) fn established(&mut self) {
        const STATE: u32 = 0;
        const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
        self.connection_bits(STATE, ESTABLISHED_OR_RELATED);
    }

    /// Loads the IPv4 source address.
    pub(in crate::network) fn load_source(&mut self, register: u32) {
        self.payload(1, SOURCE_OFFSET, 4, register);
    }

    /// Loads the IPv4 destination address.
    pub(in crate::network) fn load_destination(&mut self, register: u32) {
        self.payload(1, DESTINATION_OFFSET, 4, register);
    }

    /// Loads the destination port.
    pub(in crate::network) fn load_port(&mut self, register: u32) {
        self.payload(2, 2, 2, register);
    }

    /// Loads a property.
    pub(in crate::network) fn load(&mut self, which: Meta, register: u32) {
        self.expression("meta", |m| {
            m.be32(1, register);
            m.be32(2, which as u32);
        });
    }

    /// Loads a number from 0 to below `modulus`, by chance.
    pub(in crate::network) fn random(&mut self, modulus: u32, register: u32) {
        const RANDOM: u32 = 1;
        self.expression("numgen", |m| {
            m.be32(1, register);
            m.be32(2, modulus);
            m.be32(3, RANDOM);
            m.be32(4, 0);
        });
    }

    /// Loads a value.
    pub(in crate::network) fn value(&mut self, value: &[u8], register: u32) {
        self.expression("immediate", |m| {
            m.be32(1, register);
            m.nest(2, |m| m.bytes(1, value));
        });
    }

    /// Looks the registers from `source` up in a set or map; goes on only if they are there. A map's
    /// value goes to `target` ([`VERDICT`]: it decides). `id` is for a set of the same transaction
    /// that has no name yet.
    pub(in crate::network) fn lookup(
        &mut self,
        set: &str,
        id: Option<u32>,
        source: u32,
        target: Option<u32>,
    ) {
        self.expression("lookup", |m| {
            m.text(1, set);
            m.be32(2, source);
            if let Some(target) = target {
                m.be32(3, target);
            }
            if let Some(id) = id {
                m.be32(4, id);
            }
        });
    }

    /// Translates the destination to the IPv4 address and port in these registers.
    pub(in crate::network) fn translate_to(&mut self, address: u32, port: u32) {
        const DESTINATION: u32 = 1;
        self.expression("nat", |m| {
            m.be32(1, DESTINATION);
            m.be32(2, u32::from(IPV4));
            m.be32(3, address);
            m.be32(5, port);
        });
    }

    /// Translates the source to the address of the link that the packet leaves by.
    pub(in crate::network) fn masquerade(&mut self) {
        self.expression("masq", |_| {});
    }

    /// Refuses a TCP connection.
    pub(in crate::network) fn reset(&mut self) {
        const TCP_RESET: u32 = 1;
        self.expression("reject", |m| {
            m.be32(1, TCP_RESET);
            m.bytes(2, &[0]);
        });
    }

    /// Says that nobody listens at the port.
    pub(in crate::network) fn port_unreachable(&mut self) {
        const ICMP_OF_EITHER_FAMILY: u32 = 2;
        const PORT_UNREACHABLE: u8 = 1;
        self.expression("reject", |m| {
            m.be32(1, ICMP_OF_EITHER_FAMILY);
            m.bytes(2, &[PORT_UNREACHABLE]);
        });
    }

    /// Counts packets.
    pub(in crate::network) fn counter(&mut self) {
        self.expression("counter", |_| {});
    }

    /// Ends with a verdict.
    pub(in crate::network) fn verdict(&mut self, code: i32) {
        self.verdict_to(code, None);
    }

    /// Goes through another chain and comes back.
    pub(in crate::network) fn jump(&mut self, chain: &str) {
        self.verdict_to(verdict::JUMP, Some(chain));
    }

    fn verdict_to(&mut self, code: i32, chain: Option<&str>) {
        self.expression("immediate", |m| {
            m.be32(1, VERDICT);
            m.nest(2, |m| write_verdict(m, code, chain));
        });
    }

    fn connection_bits(&mut self, key: u32, bits: u32) {
        self.expression("ct", |m| {
            m.be32(1, R0);
            m.be32(2, key);
        });
        self.mask(R0, &bits.to_ne_bytes());
        self.compare(R0, NOT_EQUAL, &[0; 4]);
    }

    /// Goes on only if the address (1 is the source, 2 the destination) is one of the host's.
    fn fib(&mut self, which: u32) {
        const ADDRESS_TYPE: u32 = 3;
        const LOCAL: u32 = 2;
        self.expression("fib", |m| {
            m.be32(1, R0);
            m.be32(2, ADDRESS_TYPE);
            m.be32(3, which);
        });
        self.compare(R0, EQUAL, &LOCAL.to_ne_bytes());
    }

    fn payload(&mut self, base: u32, offset: u32, length: u32, register: u32) {
        self.expression("payload", |m| {
            m.be32(1, register);
            m.be32(2, base);
            m.be32(3, offset);
            m.be32(4, length);
        });
    }

    fn mask(&mut self, register: u32, mask: &[u8]) {
        let length = u32::try_from(mask.len()).unwrap_or_default();
        self.expression("bitwise", |m| {
            m.be32(1, register);
            m.be32(2, register);
            m.be32(3, length);
            m.nest(4, |m| m.bytes(1, mask));
            m.nest(5, |m| m.bytes(1, &vec![0; mask.len()]));
        });
    }

    fn compare(&mut self, register: u32, operation: u32, value: &[u8]) {
        self.expression("cmp", |m| {
            m.be32(1, register);
            m.be32(2, operation);
            m.nest(3, |m| m.bytes(1, value));
        });
    }

    fn expression(&mut self, name: &str, write: impl FnOnce(&mut Message<'_>)) {
        const ELEMENT: u16 = 1;
        self.0.nest(ELEMENT, |m| {
            m.text(1, name);
            m.nest(2, write);
        });
    }
}

/// An IPv6 address that begins with this byte, and is zero but for it.
fn first_byte(byte: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[0] = byte;
    address
}

/// Writes a verdict as data of an expression or of a map.
pub(in crate::network) fn write_verdict(m: &mut Message<'_>, code: i32, chain: Option<&str>) {
    const VERDICT_DATA: u16 = 2;
    m.nest(VERDICT_DATA, |m| {
        m.bytes(1, &code.to_be_bytes());
        if let Some(chain) = chain {
            m.text(2, chain);
        }
    });
}
