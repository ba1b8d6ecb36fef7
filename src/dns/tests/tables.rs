//! Servers follow their table.

use std::collections::BTreeMap;
use std::path::Path;

use hickory_proto::rr::RecordType;
use tokio::net::UdpSocket;

use crate::dns::Resolvers;
use crate::dns::testing::{
    ask, client, dig, exchange, new_netns, on_new_host, question, sandbox, text,
};
use crate::model::{DNS_PORT, DnsSandbox, DnsTable, DnsZone, TaskId};

fn table(sandboxes: &[DnsSandbox]) -> DnsTable {
    let sandboxes = (1..).map(TaskId).zip(sandboxes.iter().cloned()).collect();
    DnsTable { generation: 1, sandboxes, ..DnsTable::default() }
}

fn resolvers() -> Resolvers {
    Resolvers::new("/no/such/resolv.conf")
}

#[test]
fn each_sandbox_has_its_own_view() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (new_netns(dir.path(), "one"), new_netns(dir.path(), "two"));
        let mut resolvers = resolvers();
        let failed = resolvers
            .put(table(&[
                sandbox(&one, &[("db", &["10.0.0.2", "10.0.0.3"])]),
                sandbox(&two, &[("db", &["10.9.0.2", "fd00::2"])]),
            ]))
            .await;
        assert_eq!(failed, BTreeMap::new());
        assert_eq!(text(&ask(&one, "db", RecordType::A).await), "NoError 10.0.0.2 10.0.0.3");
        assert_eq!(text(&ask(&one, "DB.", RecordType::AAAA).await), "NoError");
        assert_eq!(text(&ask(&two, "db", RecordType::A).await), "NoError 10.9.0.2");
        assert_eq!(text(&ask(&two, "db", RecordType::AAAA).await), "NoError fd00::2");
    });
}

#[test]
fn dig_understands_the_answers() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let mut resolvers = resolvers();
        let mut view = sandbox(&netns, &[("Web".to_lowercase().as_str(), &["10.0.0.2"])]);
        view.reverse.insert("10.0.0.2".parse().unwrap(), "shop-web-1.shop_default".to_owned());
        assert_eq!(resolvers.put(table(&[view])).await, BTreeMap::new());
        assert_eq!(dig(&netns, "web +short").await, "10.0.0.2\n");
        assert_eq!(dig(&netns, "web +tcp +short").await, "10.0.0.2\n");
        assert_eq!(dig(&netns, "-x 10.0.0.2 +short").await, "shop-web-1.shop_default.\n");
        let whole = dig(&netns, "wEb").await;
        assert!(whole.contains("status: NOERROR"), "{whole}");
        assert!(whole.contains("flags: qr aa rd ra;"), "{whole}");
        assert!(whole.contains("EDNS: version: 0, flags:; udp: 1232"), "{whole}");
        assert!(whole.contains("wEb.\t\t\t1\tIN\tA\t10.0.0.2"), "{whole}");
        let empty = dig(&netns, "web AAAA").await;
        assert!(empty.contains("status: NOERROR") && empty.contains("ANSWER: 0"), "{empty}");
        assert!(dig(&netns, "web CH TXT").await.contains("status: REFUSED"));
        assert!(dig(&netns, "web +edns=1 +noednsnegotiation").await.contains("status: BADVERS"));
        assert!(dig(&netns, "web +opcode=5").await.contains("status: NOTIMP"));
    });
}

#[test]
fn replicas_come_in_an_order_of_chance() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let mut resolvers = resolvers();
        let four = sandbox(&netns, &[("db", &["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"])]);
        resolvers.put(table(&[four])).await;
        let mut first = BTreeMap::new();
        for _ in 0..200 {
            let answer = ask(&netns, "db", RecordType::A).await;
            *first.entry(answer.answers[0].data.to_string()).or_insert(0) += 1;
        }
        assert_eq!(first.len(), 4, "{first:?}");
        assert!(first.values().all(|count| *count > 10), "{first:?}");
    });
}

#[test]
fn more_replicas_than_fit_are_cut_over_udp_and_whole_over_tcp() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let mut resolvers = resolvers();
        let mut view = sandbox(&netns, &[]);
        let many = (0..200).map(|n| std::net::Ipv4Addr::new(10, 0, 0, n).into()).collect();
        view.names.insert("db".to_owned(), many);
        resolvers.put(table(&[view])).await;
        let plain = exchange(&netns, &question(1, "db", RecordType::A)).await.unwrap();
        assert!(plain.len() <= 512, "{}", plain.len());
        let answer = ask(&netns, "db", RecordType::A).await;
        assert!(answer.metadata.truncation);
        assert!(answer.answers.len() > 20, "{}", answer.answers.len());
        let lines = |text: String| text.lines().count();
        assert_eq!(lines(dig(&netns, "db +short").await), 200);
        assert_eq!(lines(dig(&netns, "db +short +bufsize=4096").await), 200);
        let cut = dig(&netns, "db +ignore +bufsize=1232").await;
        assert!(
            cut.contains("flags: qr aa tc rd ra;") && cut.contains("EDNS: version: 0"),
            "{cut}"
        );
    });
}

#[test]
fn a_new_table_is_in_force_at_once_and_sockets_stay_open() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let mut resolvers = resolvers();
        resolvers.put(table(&[sandbox(&netns, &[("db", &["10.0.0.2"])])])).await;
        let inode = listening_inode(&netns);
        let socket = client(&netns);
        for round in 0..50_u8 {
            let address = format!("10.0.0.{round}");
            resolvers.put(table(&[sandbox(&netns, &[("db", &[&address])])])).await;
            assert_eq!(ask_on(&socket, "db").await, format!("NoError {address}"));
        }
        assert_eq!(listening_inode(&netns), inode);
    });
}

async fn ask_on(socket: &UdpSocket, name: &str) -> String {
    socket.send(&question(5, name, RecordType::A)).await.unwrap();
    let mut reply = [0; 512];
    let length = socket.recv(&mut reply).await.unwrap();
    text(&hickory_proto::op::Message::from_vec(&reply[..length]).unwrap())
}

/// The inode of the resolver's UDP socket, as the kernel shows it.
fn listening_inode(netns: &Path) -> String {
    let udp =
        crate::sys::netns::in_netns(netns, || std::fs::read_to_string("/proc/thread-self/net/udp"));
    let port = format!(":{DNS_PORT:04X} 00000000:0000 ");
    let udp = udp.unwrap();
    let line = udp.lines().find(|line| line.contains(&port)).expect("the resolver listens");
    line.split_whitespace().nth(9).unwrap().to_owned()
}

#[test]
fn a_sandbox_that_leaves_the_table_is_let_go() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (new_netns(dir.path(), "one"), new_netns(dir.path(), "two"));
        let views = [sandbox(&one, &[]), sandbox(&two, &[("a", &["10.0.0.2"])])];
        let mut resolvers = resolvers();
        resolvers.put(table(&views)).await;
        assert_eq!(resolvers.len(), 2);
        resolvers
            .put(DnsTable {
                sandboxes: [(TaskId(2), views[1].clone())].into(),
                generation: 2,
                ..DnsTable::default()
            })
            .await;
        assert_eq!(resolvers.len(), 1);
        assert_eq!(text(&ask(&two, "a", RecordType::A).await), "NoError 10.0.0.2");
        let refused = exchange(&one, &question(1, "a", RecordType::A)).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_sandbox_whose_namespace_is_gone_or_taken_is_named_and_tried_again() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let gone = dir.path().join("gone");
        let squatter = crate::sys::netns::in_netns(&netns, || {
            std::net::UdpSocket::bind(("0.0.0.0", DNS_PORT))
        });
        let view = table(&[
            sandbox(&netns, &[("a", &["10.0.0.2"])]),
            sandbox(&gone, &[]),
            sandbox(Path::new("/etc/passwd"), &[]),
        ]);
        let mut resolvers = resolvers();
        let failed = resolvers.put(view.clone()).await;
        assert_eq!(failed[&TaskId(1)], "127.0.0.11:20053 is in use in the network namespace");
        assert_eq!(failed[&TaskId(2)], "the network namespace is gone");
        assert!(failed[&TaskId(3)].contains("Invalid argument"), "{failed:?}");
        drop(squatter.unwrap());
        assert_eq!(
            resolvers.put(view).await.into_keys().collect::<Vec<_>>(),
            [TaskId(2), TaskId(3)]
        );
        assert_eq!(text(&ask(&netns, "a", RecordType::A).await), "NoError 10.0.0.2");
    });
}

#[test]
fn a_namespace_that_is_replaced_under_the_same_path_gets_a_server_too() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let view = table(&[sandbox(&netns, &[("a", &["10.0.0.2"])])]);
        let mut resolvers = resolvers();
        resolvers.put(view.clone()).await;
        nix::mount::umount(&netns).unwrap();
        assert_eq!(new_netns(dir.path(), "one"), netns);
        assert_eq!(resolvers.put(view).await, BTreeMap::new());
        assert_eq!(text(&ask(&netns, "a", RecordType::A).await), "NoError 10.0.0.2");
    });
}

#[test]
fn a_change_of_a_zone_is_seen_by_all_who_see_the_zone() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (new_netns(dir.path(), "one"), new_netns(dir.path(), "two"));
        let mut seeing = sandbox(&one, &[]);
        seeing.zones = vec!["no-such-zone".to_owned(), "shop".to_owned()];
        let blind = DnsSandbox { forward: false, ..sandbox(&two, &[]) };
        let mut resolvers = resolvers();
        for address in ["10.0.0.2", "10.0.0.3"] {
            let zone = DnsZone {
                names: [("db".to_owned(), vec![address.parse().unwrap()])].into(),
                ..DnsZone::default()
            };
            let mut table = table(&[seeing.clone(), blind.clone()]);
            table.zones.insert("shop".to_owned(), zone);
            assert_eq!(resolvers.put(table).await, BTreeMap::new());
            let expected = format!("NoError {address}");
            assert_eq!(text(&ask(&one, "db", RecordType::A).await), expected);
            assert_eq!(text(&ask(&two, "db", RecordType::A).await), "NXDomain");
        }
    });
}
