//! The rules themselves. `nft list table inet orca` shows them in text.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::expression::{Expressions, Meta, R0, R1, R2, VERDICT, verdict};
use super::rule_set::{PublishedPort, RuleSet};
use super::transaction::{Data, Element, Hook, Set, Transaction};
use crate::model::Protocol;

/// Published at any address: protocol and port lead to a chain.
const PORTS: &str = "ports";
/// Published at one address: address, protocol and port lead to a chain.
const PORTS_AT: &str = "ports_at";
/// The pairs of the same bridge.
const SAME_BRIDGE: &str = "same_bridge";
/// The pairs of the same subnet.
const SAME_SUBNET: &str = "same_subnet";
/// The bridges without a way out.
const INTERNAL: &str = "internal";
/// The links between which nothing is forwarded.
const GUARDED4: &str = "guarded4";
/// The same for IPv6.
const GUARDED6: &str = "guarded6";

// Types as nft numbers them, so that `nft list` can show the sets, and lengths in bytes.
const ADDRESS: (u32, u32) = (7, 4);
const PROTOCOL: (u32, u32) = (12, 1);
const PORT: (u32, u32) = (13, 2);
const LINK_NAME: (u32, u32) = (41, 16);

static SETS: [Set<'_>; 7] = [
    Set { name: PORTS, fields: &[PROTOCOL, PORT], verdicts: true, ranges: false },
    Set { name: PORTS_AT, fields: &[ADDRESS, PROTOCOL, PORT], verdicts: true, ranges: false },
    Set { name: SAME_BRIDGE, fields: &[LINK_NAME, LINK_NAME], verdicts: false, ranges: false },
    Set { name: SAME_SUBNET, fields: &[ADDRESS, ADDRESS], verdicts: false, ranges: true },
    Set { name: INTERNAL, fields: &[LINK_NAME], verdicts: false, ranges: false },
    Set { name: GUARDED4, fields: &[LINK_NAME], verdicts: false, ranges: false },
    Set { name: GUARDED6, fields: &[LINK_NAME], verdicts: false, ranges: false },
];

/// The names of all sets and maps.
pub(in crate::network) fn set_names() -> impl Iterator<Item = &'static str> {
    SETS.iter().map(|set| set.name)
}

/// The rules of a [`RuleSet`], and where they are written.
pub(super) struct Chains<'a>(pub(super) &'a mut Transaction, pub(super) &'a RuleSet);

impl Chains<'_> {
    /// Writes all of it into an empty table.
    pub(super) fn write(&mut self) {
        for set in SETS {
            self.0.add_set(set);
        }
        for chain in ["published", "from_network", "to_network"] {
            self.0.add_chain(chain, None);
        }
        self.loopback_stays_closed();
        self.published_ports();
        self.sources();
        self.forwarding();
        let nothing = RuleSet::default();
        self.write_difference(&nothing);
    }

    /// Writes what differs from `old`: only elements and the chains of published ports do.
    pub(super) fn write_difference(&mut self, old: &RuleSet) {
        let new = self.1;
        self.difference(SAME_BRIDGE, &old.bridges, &new.bridges, |link| {
            element([link_name(link), link_name(link)].concat())
        });
        self.difference(INTERNAL, &old.internal, &new.internal, |link| element(link_name(link)));
        let (before, after) = (&old.guarded, &new.guarded);
        self.difference(GUARDED4, &before.four, &after.four, |link| element(link_name(link)));
        self.difference(GUARDED6, &before.six, &after.six, |link| element(link_name(link)));
        self.difference(SAME_SUBNET, &old.subnets, &new.subnets, subnet_element);
        self.ports_difference(old);
    }

    /// `route_localnet` on our bridges, which 127.0.0.1:port needs on its way to a container, must not
    /// open the host's loopback to containers.
    fn loopback_stays_closed(&mut self) {
        let Self(t, rules) = self;
        t.add_chain("raw", Some(Hook { kind: "filter", place: 0, priority: -300 }));
        t.rule("raw", |e| {
            e.name_begins(Meta::InName, &rules.prefix);
            e.destination_is_loopback();
            e.verdict(verdict::DROP);
        });
    }

    fn published_ports(&mut self) {
        let Self(t, _) = self;
        t.add_chain("prerouting", Some(Hook { kind: "nat", place: 0, priority: -100 }));
        t.add_chain("output", Some(Hook { kind: "nat", place: 3, priority: -100 }));
        // Translation comes before the kernel's own check for strange addresses: a neighbour must not
        // reach what is published at 127.0.0.1.
        t.rule("prerouting", |e| {
            e.destination_is_loopback();
            e.verdict(verdict::RETURN);
        });
        // Services of the host at other loopback addresses (127.0.0.53) keep their ports.
        t.rule("output", |e| {
            e.destination_is_loopback();
            e.destination_is_not(Ipv4Addr::LOCALHOST);
            e.verdict(verdict::RETURN);
        });
        for chain in ["prerouting", "output"] {
            t.rule(chain, |e| {
                e.ipv4();
                e.destination_is_host();
                e.jump("published");
            });
        }
        t.rule("published", |e| {
            e.ipv4();
            e.load_destination(R0);
            e.load(Meta::Transport, R1);
            e.load_port(R2);
            e.lookup(PORTS_AT, None, R0, Some(VERDICT));
        });
        t.rule("published", |e| {
            e.load(Meta::Transport, R0);
            e.load_port(R1);
            e.lookup(PORTS, None, R0, Some(VERDICT));
        });
    }

    fn sources(&mut self) {
        let Self(t, rules) = self;
        let chain = "postrouting";
        t.add_chain(chain, Some(Hook { kind: "nat", place: 4, priority: 100 }));
        // From the host itself, 127.0.0.1 above all, which means nothing in a container.
        t.rule(chain, |e| {
            e.ipv4();
            e.name_begins(Meta::OutName, &rules.prefix);
            e.translated();
            e.source_is_host();
            e.masquerade();
        });
        // From a container to one of its own network (or itself) by a published port: the answer has
        // to come back this way. By address, since a bridged frame has no incoming link here.
        t.rule(chain, |e| {
            e.ipv4();
            e.translated();
            e.load_source(R0);
            e.load_destination(R1);
            e.lookup(SAME_SUBNET, None, R0, None);
            e.masquerade();
        });
        // The way out.
        t.rule(chain, |e| {
            e.ipv4();
            e.name_begins(Meta::InName, &rules.prefix);
            e.name_does_not_begin(Meta::OutName, &rules.prefix);
            e.masquerade();
        });
        // Public IPv6 addresses need no translation.
        t.rule(chain, |e| {
            e.source_is_local_ipv6();
            e.name_begins(Meta::InName, &rules.prefix);
            e.name_does_not_begin(Meta::OutName, &rules.prefix);
            e.masquerade();
        });
    }

    fn forwarding(&mut self) {
        let Self(t, rules) = self;
        t.add_chain("forward", Some(Hook { kind: "filter", place: 2, priority: 0 }));
        t.rule("forward", |e| {
            e.established();
            e.verdict(verdict::ACCEPT);
        });
        t.rule("forward", |e| {
            e.name_begins(Meta::InName, &rules.prefix);
            e.jump("from_network");
        });
        t.rule("forward", |e| {
            e.name_begins(Meta::OutName, &rules.prefix);
            e.jump("to_network");
        });
        rule(t, "forward", verdict::DROP, |e| {
            e.ipv4();
            e.name_in(Meta::InName, GUARDED4);
            e.name_in(Meta::OutName, GUARDED4);
        });
        rule(t, "forward", verdict::DROP, |e| {
            e.ipv6();
            e.name_in(Meta::InName, GUARDED6);
            e.name_in(Meta::OutName, GUARDED6);
        });
        let from = "from_network";
        rule(t, from, verdict::ACCEPT, |e| e.names_in(SAME_BRIDGE));
        rule(t, from, verdict::DROP, |e| e.name_in(Meta::InName, INTERNAL));
        rule(t, from, verdict::DROP, |e| e.name_in(Meta::OutName, INTERNAL));
        // Networks reach each other by published ports only.
        t.rule(from, |e| {
            e.translated();
            e.verdict(verdict::ACCEPT);
        });
        rule(t, from, verdict::DROP, |e| e.name_begins(Meta::OutName, &rules.prefix));
        // A way out. What goes to another instance's network is that one's to judge.
        rule(t, from, verdict::ACCEPT, |_| {});
        let to = "to_network";
        rule(t, to, verdict::DROP, |e| e.name_in(Meta::OutName, INTERNAL));
        t.rule(to, |e| {
            e.translated();
            e.verdict(verdict::ACCEPT);
        });
        rule(t, to, verdict::DROP, |_| {});
    }

    fn ports_difference(&mut self, old: &RuleSet) {
        let Self(t, new) = self;
        for port in old.ports.keys().filter(|port| !new.ports.contains_key(port)) {
            t.remove_elements(port_map(port), &[port_element(port)]);
            t.remove_chain(&port.chain());
        }
        for (port, backends) in &new.ports {
            match old.ports.get(port) {
                Some(same) if same == backends => {}
                Some(_) => {
                    t.flush_chain(&port.chain());
                    to_backends(t, port, backends);
                }
                None => {
                    t.add_chain(&port.chain(), None);
                    to_backends(t, port, backends);
                }
            }
        }
        for map in [PORTS, PORTS_AT] {
            let added: Vec<_> = new
                .ports
                .keys()
                .filter(|port| !old.ports.contains_key(port) && port_map(port) == map)
                .map(port_element)
                .collect();
            t.add_elements(map, &added);
        }
    }

    fn difference<T: Ord>(
        &mut self,
        set: &str,
        old: &BTreeSet<T>,
        new: &BTreeSet<T>,
        element: impl Fn(&T) -> Element + Copy,
    ) {
        let removed: Vec<_> = old.difference(new).map(element).collect();
        let added: Vec<_> = new.difference(old).map(element).collect();
        self.0.remove_elements(set, &removed);
        self.0.add_elements(set, &added);
    }
}

/// The rules of a published port's chain: one of the backends by chance, or a refusal.
fn to_backends(t: &mut Transaction, port: &PublishedPort, backends: &BTreeSet<(Ipv4Addr, u16)>) {
    let chain = port.chain();
    let transport = protocol_number(port.protocol);
    let mut backends = backends.iter();
    match (backends.next(), backends.len()) {
        (None, _) if port.protocol == Protocol::Tcp => t.rule(&chain, |e| {
            e.transport(transport);
            e.reset();
        }),
        (None, _) => t.rule(&chain, |e| {
            e.transport(transport);
            e.port_unreachable();
        }),
        (Some((address, number)), 0) => t.rule(&chain, |e| {
            e.transport(transport);
            e.value(&address.octets(), R0);
            e.value(&number.to_be_bytes(), R1);
            e.translate_to(R0, R1);
        }),
        (Some(first), others) => {
            let values = std::iter::once(first).chain(backends);
            let values = values.map(|(address, number)| address_and_port(*address, *number));
            let (map, id) = t.add_address_map(values);
            let count = u32::try_from(others + 1).unwrap_or(u32::MAX);
            t.rule(&chain, |e| {
                e.transport(transport);
                e.random(count, R0);
                e.lookup(map, Some(id), R0, Some(R0));
                e.translate_to(R0, R1);
            });
        }
    }
}

fn rule(
    t: &mut Transaction,
    chain: &str,
    code: i32,
    condition: impl FnOnce(&mut Expressions<'_, '_>),
) {
    t.rule(chain, |e| {
        condition(e);
        e.verdict(code);
    });
}

fn port_map(port: &PublishedPort) -> &'static str {
    if port.address.is_some() { PORTS_AT } else { PORTS }
}

fn port_element(port: &PublishedPort) -> Element {
    let mut key = port.address.map(|address| address.octets().to_vec()).unwrap_or_default();
    key.extend([protocol_number(port.protocol), 0, 0, 0]);
    key.extend(port.port.to_be_bytes());
    key.extend([0, 0]);
    Element { key, last: None, data: Data::Verdict(verdict::GOTO, port.chain()) }
}

fn subnet_element(subnet: &Ipv4Net) -> Element {
    let (first, last) = (subnet.network().octets(), subnet.broadcast().octets());
    Element { key: [first, first].concat(), last: Some([last, last].concat()), data: Data::None }
}

fn element(key: Vec<u8>) -> Element {
    Element { key, last: None, data: Data::None }
}

fn address_and_port(address: Ipv4Addr, port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    [address.octets(), [high, low, 0, 0]].concat()
}

/// A link's name as it is in a register: 16 bytes, zeros at the end.
fn link_name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

fn protocol_number(protocol: Protocol) -> u8 {
    let number = match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Udp => libc::IPPROTO_UDP,
        Protocol::Sctp => libc::IPPROTO_SCTP,
    };
    u8::try_from(number).unwrap_or_default()
}
