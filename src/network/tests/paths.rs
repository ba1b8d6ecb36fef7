//! Who reaches whom.

use std::path::Path;

use super::host::*;
use crate::model::Protocol;

/// Every path, with and without bridged frames passing the rules of the host.
fn in_both_kinds_of_hosts<F: Future<Output = ()>>(test: impl Fn(Host) -> F + Send + Copy) {
    on_a_host(true, test);
    on_a_host(false, test);
}

/// `web` (10.1.0.2) and `peer` (10.1.0.3) in `front`, `far` (10.2.0.2) in `other`; port 8080 of the
/// host leads to `web`.
struct Shop {
    host: Host,
    peer: std::path::PathBuf,
    far: std::path::PathBuf,
    web: std::path::PathBuf,
    _server: Server,
}

async fn shop(host: Host) -> Shop {
    let port = published(8080, Protocol::Tcp, &["10.1.0.2:80"]);
    host.networks.apply(&table(vec![port])).await.unwrap();
    let web = host.sandbox(1, "front", "10.1.0.2").await;
    let peer = host.sandbox(2, "front", "10.1.0.3").await;
    let far = host.sandbox(3, "other", "10.2.0.2").await;
    let server = Server::tcp(Some(&web), "0.0.0.0:80", "web");
    Shop { host, peer, far, web, _server: server }
}

fn reaches(from: Option<&Path>, address: &str, answer: &str) {
    let found = ask(from, address, PATIENCE);
    assert_eq!(found.unwrap(), answer, "{from:?} -> {address}");
}

fn does_not_reach(from: Option<&Path>, address: &str) {
    let found = ask(from, address, NOTHING);
    assert!(found.is_err(), "{from:?} -> {address}: {found:?}");
}

#[test]
fn tasks_of_a_network_reach_each_other() {
    in_both_kinds_of_hosts(async |host| {
        let shop = shop(host).await;
        reaches(Some(&shop.peer), "10.1.0.2:80", "web 10.1.0.3");
    });
}

#[test]
fn tasks_of_different_networks_do_not_reach_each_other() {
    in_both_kinds_of_hosts(async |host| {
        let shop = shop(host).await;
        does_not_reach(Some(&shop.far), "10.1.0.2:80");
    });
}

#[test]
fn a_task_reaches_the_host_at_its_gateway() {
    in_both_kinds_of_hosts(async |host| {
        let shop = shop(host).await;
        let _server = Server::tcp(None, "0.0.0.0:7000", "host");
        reaches(Some(&shop.peer), "10.1.0.1:7000", "host 10.1.0.3");
    });
}

#[test]
fn a_task_does_not_reach_the_loopback_of_the_host() {
    on_a_host(true, async |host| {
        let shop = shop(host).await;
        let _server = Server::tcp(None, "127.0.0.1:7000", "host");
        does_not_reach(Some(&shop.peer), "127.0.0.1:7000");
    });
}

#[test]
fn the_host_reaches_a_published_port_at_all_its_addresses() {
    in_both_kinds_of_hosts(async |host| {
        let _shop = shop(host).await;
        reaches(None, "127.0.0.1:8080", "web 10.1.0.1");
        reaches(None, "198.51.100.1:8080", "web 10.1.0.1");
        reaches(None, "10.1.0.1:8080", "web 10.1.0.1");
    });
}

#[test]
fn the_neighbour_reaches_a_published_port_and_is_known_by_its_address() {
    in_both_kinds_of_hosts(async |host| {
        let shop = shop(host).await;
        reaches(Some(&shop.host.outside()), "198.51.100.1:8080", "web 198.51.100.9");
    });
}

#[test]
fn the_neighbour_does_not_reach_what_is_not_published() {
    in_both_kinds_of_hosts(async |host| {
        let shop = shop(host).await;
        does_not_reach(Some(&shop.host.outside()), "10.1.0.2:80");
    });
}

#[test]
fn tasks_reach_a_published_port_from_everywhere_even_their_own() {
    in_both_kinds_of_hosts(async |host| {
        let shop = shop(host).await;
        reaches(Some(&shop.web), "198.51.100.1:8080", "web 10.1.0.1");
        reaches(Some(&shop.peer), "198.51.100.1:8080", "web 10.1.0.1");
        reaches(Some(&shop.peer), "10.1.0.1:8080", "web 10.1.0.1");
        reaches(Some(&shop.far), "198.51.100.1:8080", "web 10.2.0.2");
    });
}

#[test]
fn a_task_goes_out_with_the_address_of_the_host() {
    in_both_kinds_of_hosts(async |host| {
        let shop = shop(host).await;
        let _server = Server::tcp(Some(&shop.host.outside()), "0.0.0.0:9000", "neighbour");
        reaches(Some(&shop.peer), "198.51.100.9:9000", "neighbour 198.51.100.1");
    });
}

#[test]
fn an_internal_network_has_no_way_out_and_none_in() {
    in_both_kinds_of_hosts(async |host| {
        let shop = shop(host).await;
        let one = shop.host.sandbox(10, "inner", "10.3.0.2").await;
        let two = shop.host.sandbox(11, "inner", "10.3.0.3").await;
        let _inner = Server::tcp(Some(&one), "0.0.0.0:80", "inner");
        let _neighbour = Server::tcp(Some(&shop.host.outside()), "0.0.0.0:9000", "neighbour");
        reaches(Some(&two), "10.3.0.2:80", "inner 10.3.0.3");
        does_not_reach(Some(&one), "198.51.100.9:9000");
        does_not_reach(Some(&one), "10.1.0.2:80");
        does_not_reach(Some(&shop.peer), "10.3.0.2:80");
        does_not_reach(Some(&shop.host.outside()), "10.3.0.2:80");
    });
}

#[test]
fn a_port_published_at_the_loopback_is_for_the_host_only() {
    on_a_host(true, async |host| {
        let shop = shop(host).await;
        let mut port = published(8081, Protocol::Tcp, &["10.1.0.2:80"]);
        port.host_ip = Some("127.0.0.1".parse().unwrap());
        shop.host.networks.apply(&table(vec![port])).await.unwrap();
        reaches(None, "127.0.0.1:8081", "web 10.1.0.1");
        does_not_reach(Some(&shop.host.outside()), "198.51.100.1:8081");
        does_not_reach(Some(&shop.peer), "10.1.0.1:8081");
    });
}
