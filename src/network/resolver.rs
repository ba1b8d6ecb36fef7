//! The way to the resolver inside a sandbox.
//!
//! Programs ask 127.0.0.11 at port 53, as in Docker. The server listens at another port of that
//! address, so that a program in the container can have `0.0.0.0:53` for itself.

use super::NetworkError;
use super::netlink::Connection;
use super::rules::{Expressions, Family, Hook, Kind, R0, R1, Transaction, listing};
use crate::model::{DNS_ADDRESS, DNS_PORT};
use crate::sys::netlink::NetlinkFamily;

const TABLE: &str = "orca-dns";
const CHAIN: &str = "output";

/// Puts the rules in force in the network namespace of the calling thread, unless they are.
pub(super) fn redirect() -> Result<(), NetworkError> {
    let failed = || NetworkError::kernel("set the way to the resolver in a sandbox");
    let connection = Connection::open(NetlinkFamily::Netfilter).map_err(failed())?;
    let question = listing(Kind::GetRule, Family::Ipv4, Some(TABLE), Some(CHAIN));
    let rules = connection.ask(&question).map_or(0, |rules| rules.len());
    if rules == PROTOCOLS.len() {
        return Ok(());
    }
    connection.send(&transaction(rules > 0).finish()).map_err(failed())
}

const PROTOCOLS: [i32; 2] = [libc::IPPROTO_UDP, libc::IPPROTO_TCP];

/// `afresh` first takes away what is there. To remove a chain that sees packets costs the kernel 5 to
/// 15 ms, which a new sandbox need not wait for.
fn transaction(afresh: bool) -> Transaction {
    let mut transaction = Transaction::of_family(TABLE, Family::Ipv4);
    transaction.add_table();
    if afresh {
        transaction.remove_table();
        transaction.add_table();
    }
    transaction.add_chain(CHAIN, Some(Hook { kind: "nat", place: 3, priority: -100 }));
    for protocol in PROTOCOLS {
        transaction.rule(CHAIN, |e| to_the_server(e, u8::try_from(protocol).unwrap_or_default()));
    }
    transaction
}

fn to_the_server(e: &mut Expressions<'_, '_>, protocol: u8) {
    e.destination_is(DNS_ADDRESS);
    e.transport(protocol);
    e.destination_port_is(53);
    e.value(&DNS_ADDRESS.octets(), R0);
    e.value(&DNS_PORT.to_be_bytes(), R1);
    e.translate_to(R0, R1);
}
