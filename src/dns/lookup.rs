//! What a name means to one sandbox.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::PTR;
use hickory_proto::rr::{Name, RData, RecordType};
use ipnet::IpNet;

use super::view::View;

/// How long a client may keep an answer, in seconds. Replicas come and go, and a client that holds a
/// dead address is the best known trouble of resolvers in container hosts.
pub const TTL: u32 = 1;

/// What is asked: a name and a type of record, in the class `IN`.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The name, in any case, with or without the final dot.
    pub name: &'a Name,
    /// The type of record.
    pub kind: RecordType,
}

/// What to do with a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These are the records.
    Records(Vec<RData>),
    /// The name exists, but has no record of this type: an answer without an error, and without
    /// records. An error instead would make musl believe that the name has no address at all.
    NoData,
    /// There is no such name.
    NxDomain,
    /// Somebody outside knows.
    Forward,
    /// Nobody here answers that kind of question.
    Refused,
}

/// Answers `question` as `view` has it.
pub fn answer(view: &View, question: Question<'_>) -> Answer {
    if matches!(question.kind, RecordType::AXFR | RecordType::IXFR | RecordType::OPT) {
        return Answer::Refused;
    }
    if let Ok(net) = fully_qualified(question.name).parse_arpa_name() {
        return reverse(view, net, question.kind);
    }
    let name = plain(question.name);
    if let Some(addresses) = view.addresses(&name) {
        return known(addresses, question.kind);
    }
    if is_localhost(&name) {
        return known(&[Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], question.kind);
    }
    if is_service_of_known(view, &name) {
        return Answer::NxDomain;
    }
    outside(view)
}

/// The records of a name that the table has.
fn known(addresses: &[IpAddr], kind: RecordType) -> Answer {
    let records: Vec<RData> = addresses
        .iter()
        .filter(|address| match kind {
            RecordType::A => address.is_ipv4(),
            RecordType::AAAA => address.is_ipv6(),
            RecordType::ANY => true,
            _ => false,
        })
        .map(|address| match *address {
            IpAddr::V4(v4) => RData::A(v4.into()),
            IpAddr::V6(v6) => RData::AAAA(v6.into()),
        })
        .collect();
    if records.is_empty() { Answer::NoData } else { Answer::Records(records) }
}

/// A question below `in-addr.arpa` or `ip6.arpa`. One about our own networks never leaves the host:
/// nobody outside can know, and the addresses are nobody's business.
fn reverse(view: &View, net: IpNet, kind: RecordType) -> Answer {
    let is_whole = net.prefix_len() == net.max_prefix_len();
    if is_whole && let Some(name) = view.name_of(net.addr()) {
        let asks_name = matches!(kind, RecordType::PTR | RecordType::ANY);
        let labels = name.split('.').map(str::as_bytes);
        return match Name::from_labels(labels) {
            Ok(name) if asks_name => Answer::Records(vec![RData::PTR(PTR(name))]),
            _ => Answer::NoData,
        };
    }
    if view.sandbox.own_networks.iter().any(|own| own.contains(&net)) {
        return Answer::NxDomain;
    }
    outside(view)
}

/// A name that the table does not have.
fn outside(view: &View) -> Answer {
    if view.sandbox.forward { Answer::Forward } else { Answer::NxDomain }
}

/// `_http._tcp.web`, where `web` is ours: nobody outside can know of it.
fn is_service_of_known(view: &View, name: &str) -> bool {
    let mut rest = name;
    while let Some((label, parent)) = rest.split_once('.') {
        if !label.starts_with('_') {
            return false;
        }
        if view.addresses(parent).is_some() {
            return true;
        }
        rest = parent;
    }
    false
}

/// `localhost` and all below it mean the asker itself, and are not asked outside (RFC 6761, 6.3).
fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// The name as the table writes it: lower case, no final dot. A dot within a label stays escaped, so
/// that it cannot pass for two labels.
fn plain(name: &Name) -> String {
    let mut text = name.to_ascii();
    if text.ends_with('.') {
        text.pop();
    }
    text.make_ascii_lowercase();
    text
}

/// Names from the wire have a final dot already; those from elsewhere may not.
fn fully_qualified(name: &Name) -> Cow<'_, Name> {
    if name.is_fqdn() {
        return Cow::Borrowed(name);
    }
    let mut name = name.clone();
    name.set_fqdn(true);
    Cow::Owned(name)
}
