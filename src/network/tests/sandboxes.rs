//! What is in a sandbox.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use super::host::*;
use crate::model::{DNS_ADDRESS, DNS_PORT, Interface, NetworkTable, Protocol, Sandbox, TaskId};
use crate::network::link::{self, Link};
use crate::network::netlink::{Batch, Connection};
use crate::network::{address, namespace, route};
use crate::sys::netlink::NetlinkFamily;

fn links(path: &Path) -> Vec<Link> {
    namespace::enter(path, |_| {
        Ok(link::links(&Connection::open(NetlinkFamily::Route).unwrap()).unwrap())
    })
    .unwrap()
}

fn eth0(path: &Path) -> Link {
    links(path).into_iter().find(|link| link.name == "eth0").unwrap()
}

fn addresses(path: &Path) -> BTreeSet<String> {
    namespace::enter(path, |_| {
        let found = address::list(&Connection::open(NetlinkFamily::Route).unwrap()).unwrap();
        let found = found.iter().filter(|a| !a.link_local && !a.net.addr().is_loopback());
        Ok(found.map(|address| address.net.to_string()).collect())
    })
    .unwrap()
}

fn change(path: &Path, write: impl FnOnce(&mut Batch) + Send) {
    namespace::enter(path, |_| {
        let mut batch = Batch::new();
        write(&mut batch);
        Connection::open(NetlinkFamily::Route).unwrap().send(&batch).unwrap();
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_resolver_is_asked_at_port_53_and_listens_elsewhere() {
    on_a_host(true, async |host| {
        host.networks.apply(&table(Vec::new())).await.unwrap();
        let path = host.sandbox(1, "front", "10.1.0.2").await;
        let server = format!("{DNS_ADDRESS}:{DNS_PORT}");
        let _tcp = Server::tcp(Some(&path), &server, "tcp");
        let _udp = Server::udp(Some(&path), &server, "udp");
        let _own = Server::tcp(Some(&path), "0.0.0.0:53", "the container's own");
        let question = format!("{DNS_ADDRESS}:53");
        assert!(ask(Some(&path), &question, PATIENCE).unwrap().starts_with("tcp"));
        let client = datagram_client(Some(&path), &question);
        assert!(ask_datagram(&client, PATIENCE).unwrap().starts_with("udp"));
        let own = ask(Some(&path), "10.1.0.2:53", PATIENCE).unwrap();
        assert!(own.starts_with("the container's own"));
    });
}

#[test]
fn a_sandbox_that_is_there_stays_as_it_is() {
    on_a_host(true, async |host| {
        host.networks.apply(&table(Vec::new())).await.unwrap();
        let path = host.sandbox(1, "front", "10.1.0.2").await;
        let (before, found) = (links(&path), addresses(&path));
        assert_eq!(found, BTreeSet::from(["10.1.0.2/24".to_owned()]));
        host.sandbox(1, "front", "10.1.0.2").await;
        assert_eq!((links(&path), addresses(&path)), (before, found));
        let known = host.networks.sandboxes().await.unwrap();
        assert_eq!(known, BTreeMap::from([(TaskId(1), path)]));
    });
}

type Damage = Box<dyn FnOnce(&mut Batch) + Send>;

#[test]
fn a_sandbox_that_was_damaged_is_mended() {
    on_a_host(true, async |host| {
        host.networks.apply(&table(Vec::new())).await.unwrap();
        let path = host.sandbox(1, "front", "10.1.0.2").await;
        let peer = host.sandbox(2, "front", "10.1.0.3").await;
        let _server = Server::tcp(Some(&path), "0.0.0.0:80", "web");
        let index = eth0(&path).index;
        let damages: [Damage; 4] = [
            Box::new(move |b| address::remove(b, index, "10.1.0.2/24".parse().unwrap())),
            Box::new(move |b| address::add(b, index, "10.9.0.2/24".parse().unwrap())),
            Box::new(move |b| link::set_address_and_mtu(b, index, [2, 2, 2, 2, 2, 2], 900)),
            Box::new(move |b| link::remove(b, index)),
        ];
        for damage in damages {
            change(&path, damage);
            host.sandbox(1, "front", "10.1.0.2").await;
            assert_eq!(ask(Some(&peer), "10.1.0.2:80", PATIENCE).unwrap(), "web 10.1.0.3");
            assert_eq!(addresses(&path), BTreeSet::from(["10.1.0.2/24".to_owned()]));
            assert_eq!(eth0(&path).mtu, 1500);
        }
    });
}

#[test]
fn a_sandbox_moves_to_another_network() {
    on_a_host(true, async |host| {
        host.networks.apply(&table(Vec::new())).await.unwrap();
        let path = host.sandbox(1, "front", "10.1.0.2").await;
        host.sandbox(1, "other", "10.2.0.2").await;
        let peer = host.sandbox(2, "other", "10.2.0.3").await;
        let _server = Server::tcp(Some(&path), "0.0.0.0:80", "web");
        assert_eq!(ask(Some(&peer), "10.2.0.2:80", PATIENCE).unwrap(), "web 10.2.0.3");
    });
}

#[test]
fn a_task_in_two_networks_is_reached_by_both_and_goes_out_by_the_first_that_has_a_way() {
    on_a_host(true, async |host| {
        host.networks.apply(&table(Vec::new())).await.unwrap();
        let mut both = sandbox(1, "inner", "10.3.0.2");
        both.interfaces.extend(sandbox(1, "other", "10.2.0.2").interfaces);
        both.interfaces[1].name = Some("backend".to_owned());
        let path = host.networks.ensure_sandbox(&both).await.unwrap();
        let inner = host.sandbox(2, "inner", "10.3.0.3").await;
        let other = host.sandbox(3, "other", "10.2.0.3").await;
        let _server = Server::tcp(Some(&path), "0.0.0.0:80", "web");
        let _outside = Server::tcp(Some(&host.outside()), "0.0.0.0:9000", "neighbour");
        assert_eq!(ask(Some(&inner), "10.3.0.2:80", PATIENCE).unwrap(), "web 10.3.0.3");
        assert_eq!(ask(Some(&other), "10.2.0.2:80", PATIENCE).unwrap(), "web 10.2.0.3");
        let out = ask(Some(&path), "198.51.100.9:9000", PATIENCE);
        assert_eq!(out.unwrap(), "neighbour 198.51.100.1");
        let names: Vec<_> = links(&path).into_iter().map(|link| link.name).collect();
        assert!(names.contains(&"eth0".to_owned()) && names.contains(&"backend".to_owned()));
    });
}

#[test]
fn a_port_leads_to_a_task_by_the_network_that_is_not_its_way_out() {
    for bridged_frames in [true, false] {
        on_a_host(bridged_frames, async |host| {
            let port = published(8080, Protocol::Tcp, &["10.2.0.2:80"]);
            host.networks.apply(&table(vec![port])).await.unwrap();
            let mut both = sandbox(1, "front", "10.1.0.2");
            both.interfaces.extend(sandbox(1, "other", "10.2.0.2").interfaces);
            let path = host.networks.ensure_sandbox(&both).await.unwrap();
            let _server = Server::tcp(Some(&path), "0.0.0.0:80", "web");
            let answer = ask(Some(&host.outside()), "198.51.100.1:8080", PATIENCE);
            assert_eq!(answer.unwrap(), "web 198.51.100.9");
            assert_eq!(ask(None, "127.0.0.1:8080", PATIENCE).unwrap(), "web 10.2.0.1");
        });
    }
}

#[test]
fn a_sandbox_whose_mount_was_taken_away_is_made_again() {
    on_a_host(true, async |host| {
        host.networks.apply(&table(Vec::new())).await.unwrap();
        let path = host.sandbox(1, "front", "10.1.0.2").await;
        nix::mount::umount(&path).unwrap();
        assert!(host.networks.sandboxes().await.unwrap().is_empty());
        wait_until_no_sandbox_is_connected();
        host.sandbox(1, "front", "10.1.0.2").await;
        let _server = Server::tcp(Some(&path), "0.0.0.0:80", "web");
        assert_eq!(ask(None, "10.1.0.2:80", PATIENCE).unwrap(), "web 10.1.0.1");
    });
}

/// The kernel takes a namespace apart in the background.
fn wait_until_no_sandbox_is_connected() {
    let host = Connection::open(NetlinkFamily::Route).unwrap();
    let end = std::time::Instant::now() + PATIENCE;
    while link::links(&host).unwrap().iter().any(|link| link.name.starts_with("orv")) {
        assert!(std::time::Instant::now() < end, "the old link is still there");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_sandbox_without_networks_has_its_loopback() {
    on_a_host(true, async |host| {
        let nothing = Sandbox {
            task: TaskId(1),
            users: None,
            interfaces: Vec::new(),
            sysctls: BTreeMap::from([(
                "net.ipv4.ip_unprivileged_port_start".to_owned(),
                "0".to_owned(),
            )]),
        };
        let path = host.networks.ensure_sandbox(&nothing).await.unwrap();
        let _server = Server::tcp(Some(&path), "127.0.0.1:80", "alone");
        assert_eq!(ask(Some(&path), "127.0.0.1:80", PATIENCE).unwrap(), "alone 127.0.0.1");
        let start = namespace::enter(&path, |_| {
            Ok(fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap())
        });
        assert_eq!(start.unwrap(), "0\n");
    });
}

fn dual(task: u64, last: u8) -> Sandbox {
    let mut sandbox = sandbox(task, "dual", &format!("10.4.0.{last}"));
    sandbox.interfaces[0].address6 = Some(format!("fd00:4::{last}").parse().unwrap());
    sandbox
}

#[test]
fn a_network_with_ipv6_carries_it_and_keeps_strangers_out() {
    on_a_host(true, async |host| {
        let mut wide = bridge("dual", 4, false);
        wide.subnet6 = Some(("fd00:4::/64".parse().unwrap(), "fd00:4::1".parse().unwrap()));
        let mut table = table(Vec::new());
        table.bridges.insert("dual".to_owned(), wide);
        host.networks.apply(&table).await.unwrap();
        let one = host.networks.ensure_sandbox(&dual(1, 2)).await.unwrap();
        let two = host.networks.ensure_sandbox(&dual(2, 3)).await.unwrap();
        let _server = Server::tcp(Some(&one), "[::]:80", "web");
        assert_eq!(ask(Some(&two), "[fd00:4::2]:80", PATIENCE).unwrap(), "web fd00:4::3");
        assert_eq!(ask(Some(&two), "10.4.0.2:80", PATIENCE).unwrap(), "web ::ffff:10.4.0.3");

        let outside = host.outside();
        let route = Connection::open(NetlinkFamily::Route).unwrap();
        let links = link::links(&route).unwrap();
        let ext0 = links.iter().find(|link| link.name == "ext0").unwrap().index;
        let mut batch = Batch::new();
        address::add(&mut batch, ext0, "fd00:ff::1/64".parse().unwrap());
        route.send(&batch).unwrap();
        let index = eth0(&outside).index;
        change(&outside, |batch| {
            address::add(batch, index, "fd00:ff::9/64".parse().unwrap());
            route::set_default(batch, "fd00:ff::1".parse::<IpAddr>().unwrap(), index);
        });
        let _neighbour = Server::tcp(Some(&outside), "[::]:9000", "neighbour");
        let out = ask(Some(&two), "[fd00:ff::9]:9000", PATIENCE);
        assert_eq!(out.unwrap(), "neighbour fd00:ff::1");
        assert!(ask(Some(&outside), "[fd00:4::2]:80", NOTHING).is_err());
    });
}

#[test]
fn the_packet_size_follows_the_network() {
    on_a_host(true, async |host| {
        let mut table = table(Vec::new());
        table.bridges.get_mut("front").unwrap().mtu = Some(1400);
        host.networks.apply(&table).await.unwrap();
        let path = host.sandbox(1, "front", "10.1.0.2").await;
        assert_eq!(eth0(&path).mtu, 1400);
        table.bridges.get_mut("front").unwrap().mtu = Some(1300);
        host.networks.apply(&table).await.unwrap();
        host.sandbox(1, "front", "10.1.0.2").await;
        assert_eq!(eth0(&path).mtu, 1300);
    });
}

#[test]
fn a_sandbox_that_cannot_be_made_leaves_nothing() {
    on_a_host(true, async |host| {
        host.networks.apply(&table(Vec::new())).await.unwrap();
        let check = async |change: fn(&mut Sandbox), expected: &str| {
            let mut wrong = sandbox(1, "front", "10.1.0.2");
            change(&mut wrong);
            let error = host.networks.ensure_sandbox(&wrong).await.unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert!(!host.networks.sandbox_path(TaskId(1)).exists(), "{expected}");
        };
        check(
            |s| s.interfaces[0].network = "nowhere".to_owned(),
            "cannot connect task t1 to network `nowhere`: the network is not there",
        )
        .await;
        check(
            |s| s.interfaces[0].address = "10.9.0.2".parse().unwrap(),
            "cannot give task t1 the address 10.9.0.2: it is not in network `front`",
        )
        .await;
        check(
            |s| s.interfaces[0].name = Some("a/b".to_owned()),
            "`a/b` cannot be the name of an interface: at most 15 letters, digits and `-_.@+`",
        )
        .await;
        check(
            |s| s.interfaces[0].address6 = Some("fd00::2".parse().unwrap()),
            "cannot give task t1 the address fd00::2: it is not in network `front`",
        )
        .await;
        check(
            |s| {
                s.sysctls.insert("kernel.core_pattern".to_owned(), "x".to_owned());
            },
            "cannot set `kernel.core_pattern`: it is not a setting of the form `net.a.b`",
        )
        .await;
        check(
            |s| {
                s.sysctls.insert("net.ipv4.nothing".to_owned(), "1".to_owned());
            },
            "cannot set `net.ipv4.nothing` to `1`",
        )
        .await;
    });
}

#[test]
fn a_removed_sandbox_gives_its_address_back_even_if_somebody_has_it_open() {
    on_a_host(true, async |host| {
        host.networks.apply(&table(Vec::new())).await.unwrap();
        let old = host.sandbox(1, "front", "10.1.0.2").await;
        let _server = Server::tcp(Some(&old), "0.0.0.0:80", "old");
        host.networks.remove_sandbox(TaskId(1)).await.unwrap();
        assert!(!old.exists());
        let new = host.sandbox(2, "front", "10.1.0.2").await;
        let _new = Server::tcp(Some(&new), "0.0.0.0:80", "new");
        for _ in 0..5 {
            assert_eq!(ask(None, "10.1.0.2:80", PATIENCE).unwrap(), "new 10.1.0.1");
        }
    });
}

#[test]
fn removing_what_is_not_there_is_fine() {
    on_a_host(true, async |host| {
        host.networks.remove_sandbox(TaskId(9)).await.unwrap();
        let path = host.networks.sandbox_path(TaskId(9));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "left by a process that was killed before the mount").unwrap();
        assert!(host.networks.sandboxes().await.unwrap().is_empty());
        host.networks.remove_sandbox(TaskId(9)).await.unwrap();
        assert!(!path.exists());
    });
}

#[test]
fn a_hundred_sandboxes_are_made_at_the_same_time() {
    on_a_host(true, async |host| {
        let one_network = NetworkTable {
            bridges: BTreeMap::from([("front".to_owned(), bridge("front", 1, false))]),
            publications: Vec::new(),
        };
        host.networks.apply(&one_network).await.unwrap();
        let made = (1..=100_u8).map(|n| {
            let networks = host.networks.clone();
            let interface = Interface {
                network: "front".to_owned(),
                address: std::net::Ipv4Addr::new(10, 1, 0, 100 + n),
                address6: None,
                mac: None,
                name: None,
            };
            let sandbox = Sandbox {
                task: TaskId(n.into()),
                users: Some(crate::model::IdMaps::numbered(n.into())),
                interfaces: vec![interface],
                sysctls: BTreeMap::new(),
            };
            tokio::spawn(async move { networks.ensure_sandbox(&sandbox).await })
        });
        for made in made.collect::<Vec<_>>() {
            made.await.unwrap().unwrap();
        }
        let known = host.networks.sandboxes().await.unwrap();
        assert_eq!(known.len(), 100);
        for (task, path) in known {
            let address = format!("10.1.0.{}/24", 100 + task.0);
            assert_eq!(addresses(&path), BTreeSet::from([address]));
            host.networks.remove_sandbox(task).await.unwrap();
        }
        assert!(host.networks.sandboxes().await.unwrap().is_empty());
    });
}
