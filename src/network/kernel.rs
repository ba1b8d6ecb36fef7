//! Whether the kernel has what the network needs, and lets us use it.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;

use super::netlink::{Batch, Connection, error_number};
use super::rules::{self, PublishedPort, RuleSet};
use super::{NetworkError, link};
use crate::model::Protocol;
use crate::sys::netlink::NetlinkFamily;

/// Opens the two ways to the kernel.
pub(super) fn open() -> Result<(Connection, Connection), NetworkError> {
    let route = Connection::open(NetlinkFamily::Route)
        .map_err(NetworkError::kernel("talk to the kernel about its network"))?;
    let filter = Connection::open(NetlinkFamily::Netfilter).map_err(missing_filter)?;
    filter.socket().set_buffers(SEND_BUFFER, RECEIVE_BUFFER).map_err(NetworkError::NotPermitted)?;
    Ok((route, filter))
}

/// A rule set of ten thousand published ports is some seven megabytes.
const SEND_BUFFER: usize = 64 * 1024 * 1024;
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// Tries the whole rule set in a transaction that removes it again, so that it is never in force, and
/// asks for links that cannot be made: what the kernel lacks shows now and not with the first
/// container.
pub(super) fn check(
    route: &Connection,
    filter: &Connection,
    table: &str,
) -> Result<(), NetworkError> {
    let rules = RuleSet {
        table: format!("{table}-check"),
        prefix: "orc-check".to_owned(),
        ports: [(0, 0), (1, 1), (2, 2)].map(port_with_backends).into(),
        ..RuleSet::default()
    };
    let (mut transaction, _) = rules::load(&rules);
    transaction.remove_table();
    filter.send(&transaction.finish()).map_err(missing_filter)?;
    check_kind(route, "bridges", "bridge")?;
    check_kind(route, "pairs of virtual links", "veth")
}

fn port_with_backends((port, count): (u16, u8)) -> (PublishedPort, BTreeSet<(Ipv4Addr, u16)>) {
    let published = PublishedPort { address: None, protocol: Protocol::Tcp, port };
    let backends = (0..count).map(|n| (Ipv4Addr::new(192, 0, 2, n), 1));
    (published, backends.collect())
}

fn check_kind(
    route: &Connection,
    what: &'static str,
    kind: &'static str,
) -> Result<(), NetworkError> {
    let mut batch = Batch::new();
    link::add_impossible(&mut batch, kind);
    match route.send(&batch) {
        Err(source) if error_number(&source) == Some(libc::EOPNOTSUPP) => {
            Err(NetworkError::Missing { what, module: kind, source })
        }
        Err(source) if error_number(&source) == Some(libc::EPERM) => {
            Err(NetworkError::NotPermitted(source))
        }
        // The kernel knows the kind and refuses the name.
        _ => Ok(()),
    }
}

/// The error of a kernel that does not take our rules.
fn missing_filter(source: io::Error) -> NetworkError {
    match error_number(&source) {
        Some(libc::EPERM | libc::EACCES) => NetworkError::NotPermitted(source),
        Some(libc::EPROTONOSUPPORT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EINVAL) => {
            NetworkError::Missing { what: "packet filter (nf_tables)", module: "nf_tables", source }
        }
        Some(libc::ENOENT) => NetworkError::Missing {
            what: "address translation in its packet filter",
            module: "nft_nat, nft_masq, nft_fib_inet, nft_numgen, nft_reject_inet",
            source,
        },
        _ => NetworkError::Kernel { action: "set up the packet filter".to_owned(), source },
    }
}
