//! Keeping it so, among others who change things, and leaving nothing behind.

use std::collections::BTreeSet;
use std::time::Duration;

use super::host::*;
use crate::model::{NetworkTable, Protocol, TaskId};
use crate::network::link;
use crate::network::names::Names;
use crate::network::netlink::{Answer, Batch, Connection};
use crate::network::rules::{self, Family, Hook, Kind, Transaction, listing};
use crate::network::sysctl;
use crate::sys::netlink::NetlinkFamily;

/// What somebody else, with a socket of his own, does to the rules.
fn as_somebody_else(transaction: Transaction) {
    let other = Connection::open(NetlinkFamily::Netfilter).unwrap();
    other.send(&transaction.finish()).unwrap();
}

fn remove_link(name: &str) {
    let route = Connection::open(NetlinkFamily::Route).unwrap();
    let found = link::links(&route).unwrap().into_iter().find(|link| link.name == name).unwrap();
    let mut batch = Batch::new();
    link::remove(&mut batch, found.index);
    route.send(&batch).unwrap();
}

fn all(kind: Kind) -> Vec<Answer> {
    let filter = Connection::open(NetlinkFamily::Netfilter).unwrap();
    let families = [Family::Inet, Family::Ipv4, Family::Ipv6];
    families
        .into_iter()
        .flat_map(|family| filter.ask(&listing(kind, family, None, None)).unwrap())
        // Who asked, and how often the rules have changed, is not what is compared.
        .map(|answer| Answer { sequence: 0, port: 0, body: answer.body[4..].to_vec(), ..answer })
        .collect()
}

fn link_names() -> BTreeSet<String> {
    let route = Connection::open(NetlinkFamily::Route).unwrap();
    link::links(&route).unwrap().into_iter().map(|link| link.name).collect()
}

fn names(host: &Host) -> Names {
    Names::of(&instance(host.directory(), "one"))
}

fn shop() -> NetworkTable {
    table(vec![published(8080, Protocol::Tcp, &["10.1.0.2:80"])])
}

#[test]
fn the_same_table_again_changes_nothing() {
    on_a_host(true, async |host| {
        host.networks.apply(&shop()).await.unwrap();
        let before = (all(Kind::GetChain), all(Kind::GetRule), link_names());
        host.networks.apply(&shop()).await.unwrap();
        assert_eq!((all(Kind::GetChain), all(Kind::GetRule), link_names()), before);
    });
}

#[test]
fn a_process_that_was_killed_is_followed_by_one_that_changes_nothing() {
    on_a_host(true, async |host| {
        host.networks.apply(&shop()).await.unwrap();
        let path = host.sandbox(1, "front", "10.1.0.2").await;
        let _server = Server::tcp(Some(&path), "0.0.0.0:80", "web");
        let before = (all(Kind::GetChain), all(Kind::GetRule), link_names());
        let next = host.again().await;
        next.apply(&shop()).await.unwrap();
        assert_eq!(next.ensure_sandbox(&sandbox(1, "front", "10.1.0.2")).await.unwrap(), path);
        assert_eq!((all(Kind::GetChain), all(Kind::GetRule), link_names()), before);
        assert_eq!(ask(None, "127.0.0.1:8080", PATIENCE).unwrap(), "web 10.1.0.1");
    });
}

#[test]
fn what_a_process_left_that_was_killed_while_it_made_or_removed_a_sandbox_is_swept() {
    on_a_host(true, async |host| {
        host.networks.apply(&shop()).await.unwrap();
        let path = host.sandbox(1, "front", "10.1.0.2").await;
        let half = path.with_file_name("t2");
        std::fs::write(&half, "").unwrap();
        let next = host.again().await;
        next.sweep_sandboxes().await.unwrap();
        assert!(!half.exists());
        assert_eq!(next.sandboxes().await.unwrap().into_values().collect::<Vec<_>>(), [path]);
    });
}

#[test]
fn a_difference_ends_where_loading_everything_ends() {
    on_a_host(true, async |host| {
        let tables = [
            shop(),
            table(vec![
                published(8080, Protocol::Tcp, &["10.1.0.2:80", "10.1.0.3:80"]),
                published(53, Protocol::Udp, &[]),
            ]),
            NetworkTable::default(),
            table(vec![published(9090, Protocol::Tcp, &["10.2.0.2:80"])]),
        ];
        for table in &tables {
            host.networks.apply(table).await.unwrap();
        }
        let by_differences = (all(Kind::GetChain).len(), all(Kind::GetRule).len());
        as_somebody_else(rules::unload(&names(&host).table));
        host.again().await.apply(&tables[3]).await.unwrap();
        assert_eq!((all(Kind::GetChain).len(), all(Kind::GetRule).len()), by_differences);
    });
}

#[test]
fn bridges_that_are_no_longer_wanted_go() {
    on_a_host(true, async |host| {
        host.networks.apply(&shop()).await.unwrap();
        let mut smaller = shop();
        smaller.bridges.retain(|name, _| name == "front");
        host.networks.apply(&smaller).await.unwrap();
        let prefix = names(&host).bridge_prefix();
        let left: Vec<_> = link_names().into_iter().filter(|n| n.starts_with(&prefix)).collect();
        assert_eq!(left, [names(&host).bridge("front")]);
    });
}

#[test]
fn rules_that_somebody_flushed_come_back() {
    on_a_host(true, async |host| {
        host.networks.apply(&shop()).await.unwrap();
        let path = host.sandbox(1, "front", "10.1.0.2").await;
        let _server = Server::tcp(Some(&path), "0.0.0.0:80", "web");
        let mut changes = host.networks.changes();
        changes.mark_unchanged();
        as_somebody_else(rules::unload(&names(&host).table));
        tokio::time::timeout(PATIENCE, changes.changed()).await.unwrap().unwrap();
        assert!(ask(None, "127.0.0.1:8080", NOTHING).is_err(), "the flush did its work");
        host.networks.apply(&shop()).await.unwrap();
        assert_eq!(ask(None, "127.0.0.1:8080", PATIENCE).unwrap(), "web 10.1.0.1");
    });
}

#[test]
fn a_bridge_that_somebody_removed_comes_back_with_its_tasks() {
    on_a_host(true, async |host| {
        host.networks.apply(&shop()).await.unwrap();
        let path = host.sandbox(1, "front", "10.1.0.2").await;
        let _server = Server::tcp(Some(&path), "0.0.0.0:80", "web");
        let mut changes = host.networks.changes();
        changes.mark_unchanged();
        remove_link(&names(&host).bridge("front"));
        tokio::time::timeout(PATIENCE, changes.changed()).await.unwrap().unwrap();
        host.networks.apply(&shop()).await.unwrap();
        assert_eq!(ask(None, "127.0.0.1:8080", PATIENCE).unwrap(), "web 10.1.0.1");
    });
}

#[test]
fn our_own_changes_are_not_taken_for_those_of_others() {
    on_a_host(true, async |host| {
        let changes = host.networks.changes();
        host.networks.apply(&shop()).await.unwrap();
        host.sandbox(1, "front", "10.1.0.2").await;
        host.networks.apply(&table(Vec::new())).await.unwrap();
        host.networks.remove_sandbox(TaskId(1)).await.unwrap();
        host.networks.apply(&NetworkTable::default()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(*changes.borrow(), 0);
    });
}

/// The filter of docker, or of an administrator, that forwards nothing by default.
fn filter_that_drops(for_users: bool) -> Transaction {
    let mut transaction = Transaction::of_family("filter", Family::Ipv4);
    transaction.add_table();
    if for_users {
        transaction.add_chain("DOCKER-USER", None);
    }
    let hook = Hook { kind: "filter", place: 2, priority: 0 };
    transaction.add_dropping_chain("FORWARD", hook);
    if for_users {
        transaction.rule("FORWARD", |e| e.jump("DOCKER-USER"));
    }
    transaction
}

#[test]
fn a_filter_that_drops_by_default_lets_the_networks_pass() {
    for for_users in [false, true] {
        on_a_host(true, async |host| {
            as_somebody_else(filter_that_drops(for_users));
            let before = all(Kind::GetRule).len();
            host.networks.apply(&shop()).await.unwrap();
            let web = host.sandbox(1, "front", "10.1.0.2").await;
            let peer = host.sandbox(2, "front", "10.1.0.3").await;
            let _server = Server::tcp(Some(&web), "0.0.0.0:80", "web");
            assert_eq!(ask(Some(&peer), "10.1.0.2:80", PATIENCE).unwrap(), "web 10.1.0.3");
            let published = ask(Some(&host.outside()), "198.51.100.1:8080", PATIENCE);
            assert_eq!(published.unwrap(), "web 198.51.100.9");

            let now = all(Kind::GetRule).len();
            host.again().await.apply(&shop()).await.unwrap();
            assert_eq!(all(Kind::GetRule).len(), now, "they are put there once");
            host.networks.remove_all().await.unwrap();
            assert_eq!(all(Kind::GetRule).len(), before);
        });
    }
}

#[test]
fn a_filter_that_begins_to_drop_is_noticed() {
    on_a_host(true, async |host| {
        host.networks.apply(&shop()).await.unwrap();
        let web = host.sandbox(1, "front", "10.1.0.2").await;
        let peer = host.sandbox(2, "front", "10.1.0.3").await;
        let _server = Server::tcp(Some(&web), "0.0.0.0:80", "web");
        let mut changes = host.networks.changes();
        changes.mark_unchanged();
        as_somebody_else(filter_that_drops(true));
        tokio::time::timeout(PATIENCE, changes.changed()).await.unwrap().unwrap();
        host.networks.apply(&shop()).await.unwrap();
        assert_eq!(ask(Some(&peer), "10.1.0.2:80", PATIENCE).unwrap(), "web 10.1.0.3");
    });
}

#[test]
fn two_instances_live_side_by_side() {
    on_a_host(true, async |host| {
        let two = host.other_instance().await;
        host.networks.apply(&shop()).await.unwrap();
        let mut other = table(vec![published(9090, Protocol::Tcp, &["10.7.0.2:80"])]);
        other.bridges = [("front".to_owned(), bridge("front", 7, false))].into();
        two.apply(&other).await.unwrap();
        let web = host.sandbox(1, "front", "10.1.0.2").await;
        let web_of_two = two.ensure_sandbox(&sandbox(1, "front", "10.7.0.2")).await.unwrap();
        let _one = Server::tcp(Some(&web), "0.0.0.0:80", "one");
        let _two = Server::tcp(Some(&web_of_two), "0.0.0.0:80", "two");
        let outside = host.outside();
        assert_eq!(ask(Some(&outside), "198.51.100.1:8080", PATIENCE).unwrap(), "one 198.51.100.9");
        assert_eq!(ask(Some(&outside), "198.51.100.1:9090", PATIENCE).unwrap(), "two 198.51.100.9");
        assert!(ask(Some(&web), "198.51.100.1:9090", PATIENCE).unwrap().starts_with("two"));
        assert!(ask(Some(&web), "10.7.0.2:80", NOTHING).is_err());

        two.remove_all().await.unwrap();
        assert_eq!(ask(Some(&outside), "198.51.100.1:8080", PATIENCE).unwrap(), "one 198.51.100.9");
    });
}

#[test]
fn removing_everything_leaves_nothing() {
    on_a_host(true, async |host| {
        let before = (all(Kind::GetChain), link_names());
        host.networks.apply(&shop()).await.unwrap();
        for (task, address) in [(1, "10.1.0.2"), (2, "10.1.0.3")] {
            host.sandbox(task, "front", address).await;
        }
        host.networks.remove_all().await.unwrap();
        assert_eq!((all(Kind::GetChain), link_names()), before);
        assert!(host.networks.sandboxes().await.unwrap().is_empty());
        let run = host.directory().join("one/run");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(run.to_str().unwrap()));
        assert_eq!(std::fs::read_dir(&run).unwrap().count(), 0);
        host.networks.remove_all().await.unwrap();
    });
}

#[test]
fn the_host_does_not_become_a_router_for_its_neighbours() {
    on_a_host(true, async |host| {
        // A new namespace begins with what the host has now, and that may forward already.
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        // A second LAN of the host, with a task of another instance's network as its neighbour.
        let route = Connection::open(NetlinkFamily::Route).unwrap();
        let mut batch = Batch::new();
        let lan =
            link::NewBridge { name: "lan1", address: [2, 0, 0, 0, 1, 1], mtu: 1500, group: 0 };
        link::add_bridge(&mut batch, &lan);
        route.send(&batch).unwrap();
        host.networks.apply(&shop()).await.unwrap();
        assert_eq!(sysctl::get("net/ipv4/ip_forward").as_deref(), Some("1"));
        let second = second_neighbour(&host, &route);
        let _server = Server::tcp(Some(&second), "0.0.0.0:80", "second");
        assert_eq!(ask(None, "203.0.113.9:80", PATIENCE).unwrap(), "second 203.0.113.1");
        assert!(ask(Some(&host.outside()), "203.0.113.9:80", NOTHING).is_err());
        crate::network::namespace::remove(&second).unwrap();
    });
}

fn second_neighbour(host: &Host, route: &Connection) -> std::path::PathBuf {
    let path = host.directory().join("second");
    let links = link::links(route).unwrap();
    let lan = links.iter().find(|link| link.name == "lan1").unwrap().index;
    neighbour(&path, route, lan, "lan1-two", ["203.0.113.1/24", "203.0.113.9/24"]);
    path
}

#[test]
fn the_surroundings_do_not_contain_the_instance_itself() {
    on_a_host(true, async |host| {
        host.networks.apply(&shop()).await.unwrap();
        let found = host.networks.on_link().await.unwrap();
        assert!(found.contains(&"198.51.100.0/24".parse().unwrap()), "{found:?}");
        assert!(!found.contains(&"10.1.0.0/24".parse().unwrap()), "{found:?}");
        let two = host.other_instance().await;
        let found = two.on_link().await.unwrap();
        assert!(found.contains(&"10.1.0.0/24".parse().unwrap()), "{found:?}");
    });
}
