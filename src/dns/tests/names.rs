//! What names mean, by the pure function alone.

use hickory_proto::rr::{Name, RecordType};

use std::sync::Arc;

use crate::dns::{Answer, Question, View, answer};
use crate::model::{DnsSandbox, DnsZone};

fn shop() -> DnsSandbox {
    let list = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    DnsSandbox {
        names: [
            ("web", list(&["10.210.0.2", "10.210.0.3"])),
            ("web.shop", list(&["10.210.0.2", "10.210.0.3"])),
            ("dual", list(&["10.210.0.4", "fd00::4"])),
            ("six", list(&["fd00::6"])),
            ("api.example.com", list(&["10.210.0.5"])),
            ("resting", list(&[])),
        ]
        .map(|(name, addresses)| (name.to_owned(), addresses))
        .into(),
        reverse: [
            ("10.210.0.2".parse().unwrap(), "shop-web-1.shop_default".to_owned()),
            ("fd00::4".parse().unwrap(), "shop-dual-1.shop_default".to_owned()),
        ]
        .into(),
        forward: true,
        own_networks: vec!["10.210.0.0/24".parse().unwrap(), "fd00::/64".parse().unwrap()],
        ..DnsSandbox::default()
    }
}

fn meaning(sandbox: &DnsSandbox, name: &str, kind: RecordType) -> String {
    let view = View { sandbox: sandbox.clone(), zones: Vec::new() };
    meaning_in(&view, name, kind)
}

fn meaning_in(view: &View, name: &str, kind: RecordType) -> String {
    let name = Name::from_str_relaxed(name).unwrap();
    match answer(view, Question { name: &name, kind }) {
        Answer::Records(records) => {
            records.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    }
}

#[track_caller]
fn check(name: &str, kind: RecordType, expected: &str) {
    assert_eq!(meaning(&shop(), name, kind), expected, "{name} {kind}");
}

#[test]
fn a_name_has_the_addresses_of_the_table_in_any_case_and_with_any_dot() {
    check("web", RecordType::A, "10.210.0.2 10.210.0.3");
    check("web.", RecordType::A, "10.210.0.2 10.210.0.3");
    check("WEB", RecordType::A, "10.210.0.2 10.210.0.3");
    check("Web.Shop.", RecordType::A, "10.210.0.2 10.210.0.3");
    check("dual", RecordType::A, "10.210.0.4");
    check("dual", RecordType::AAAA, "fd00::4");
    check("dual", RecordType::ANY, "10.210.0.4 fd00::4");
    check("six", RecordType::AAAA, "fd00::6");
}

#[test]
fn a_known_name_without_such_a_record_is_no_error_and_never_asked_outside() {
    check("web", RecordType::AAAA, "NoData");
    check("six", RecordType::A, "NoData");
    check("resting", RecordType::A, "NoData");
    check("resting", RecordType::ANY, "NoData");
    for kind in [RecordType::MX, RecordType::SRV, RecordType::TXT, RecordType::HTTPS] {
        check("web", kind, "NoData");
        check("api.example.com", kind, "NoData");
    }
}

#[test]
fn a_name_that_only_resembles_a_known_one_is_asked_outside() {
    check("example.com", RecordType::A, "Forward");
    check("www.api.example.com", RecordType::A, "Forward");
    check("web.corp.example", RecordType::A, "Forward");
    check("shop", RecordType::A, "Forward");
    check("we", RecordType::A, "Forward");
    check("webb", RecordType::MX, "Forward");
    check(".", RecordType::NS, "Forward");
    check(r"web\.shop", RecordType::A, "Forward");
}

#[test]
fn services_of_a_known_name_are_not_asked_outside() {
    check("_http._tcp.web", RecordType::SRV, "NxDomain");
    check("_dmarc.api.example.com", RecordType::TXT, "NxDomain");
    check("_http._tcp.example.com", RecordType::SRV, "Forward");
    check("a._tcp.web", RecordType::SRV, "Forward");
}

#[test]
fn localhost_is_the_asker() {
    check("localhost", RecordType::A, "127.0.0.1");
    check("LocalHost.", RecordType::AAAA, "::1");
    check("db.localhost", RecordType::A, "127.0.0.1");
    check("localhost", RecordType::MX, "NoData");
    check("localhost.example.com", RecordType::A, "Forward");
}

#[test]
fn addresses_of_our_networks_have_names_or_none_but_are_not_asked_outside() {
    check("2.0.210.10.in-addr.arpa", RecordType::PTR, "shop-web-1.shop_default.");
    check("2.0.210.10.IN-ADDR.ARPA.", RecordType::PTR, "shop-web-1.shop_default.");
    check("2.0.210.10.in-addr.arpa", RecordType::A, "NoData");
    check("9.0.210.10.in-addr.arpa", RecordType::PTR, "NxDomain");
    check("0.210.10.in-addr.arpa", RecordType::SOA, "NxDomain");
    check("210.10.in-addr.arpa", RecordType::SOA, "Forward");
    check("1.2.0.192.in-addr.arpa", RecordType::PTR, "Forward");
    let zeros = "0.".repeat(27);
    check(&format!("4.{zeros}0.0.d.f.ip6.arpa"), RecordType::PTR, "shop-dual-1.shop_default.");
    check(&format!("5.{zeros}0.0.d.f.ip6.arpa"), RecordType::PTR, "NxDomain");
    check(&format!("5.{zeros}1.0.d.f.ip6.arpa"), RecordType::PTR, "Forward");
}

#[test]
fn broken_names_below_arpa_are_asked_outside_like_any_other() {
    for name in ["in-addr.arpa", "x.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "g.ip6.arpa", "arpa"] {
        check(name, RecordType::PTR, "Forward");
    }
    check("300.0.210.10.in-addr.arpa", RecordType::PTR, "Forward");
}

#[test]
fn a_sandbox_that_may_not_ask_outside_learns_that_there_is_no_such_name() {
    let inside = DnsSandbox { forward: false, ..shop() };
    assert_eq!(meaning(&inside, "web", RecordType::A), "10.210.0.2 10.210.0.3");
    assert_eq!(meaning(&inside, "example.com", RecordType::A), "NxDomain");
    assert_eq!(meaning(&inside, "1.2.0.192.in-addr.arpa", RecordType::PTR), "NxDomain");
}

#[test]
fn zones_are_not_given_away() {
    check("web", RecordType::AXFR, "Refused");
    check("example.com", RecordType::IXFR, "Refused");
}

#[test]
fn own_names_come_first_and_then_zones_in_order() {
    let zone = |names: &[(&str, &[&str])], reverse: &[(&str, &str)]| {
        let addresses = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(DnsZone {
            names: names.iter().map(|(n, list)| ((*n).to_owned(), addresses(list))).collect(),
            reverse: reverse.iter().map(|(a, n)| (a.parse().unwrap(), (*n).to_owned())).collect(),
        })
    };
    let view = View {
        sandbox: shop(),
        zones: vec![
            zone(&[("web", &["10.0.0.9"]), ("resting", &[]), ("db", &["10.0.0.7"])], &[]),
            zone(&[("db", &["10.0.1.7"]), ("resting", &["10.0.1.8"])], &[("10.0.1.8", "r")]),
        ],
    };
    let check = |name: &str, kind: RecordType, expected: &str| {
        assert_eq!(meaning_in(&view, name, kind), expected, "{name} {kind}");
    };
    check("web", RecordType::A, "10.210.0.2 10.210.0.3");
    check("db", RecordType::A, "10.0.0.7");
    check("db", RecordType::AAAA, "NoData");
    // Known at three places, and with an address at the last.
    check("resting", RecordType::A, "10.0.1.8");
    check("_x._tcp.db", RecordType::SRV, "NxDomain");
    check("8.1.0.10.in-addr.arpa", RecordType::PTR, "r.");
    check("nobody", RecordType::A, "Forward");
}
