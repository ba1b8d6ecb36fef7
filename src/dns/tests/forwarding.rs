//! Questions for the outside, with servers of our own there.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;

use crate::dns::Resolvers;
use crate::dns::testing::{
    Manner, Upstream, ask, client, dig, exchange, new_netns, on_new_host, question, sandbox,
    tcp_client, tcp_exchange, text,
};
use crate::model::{DNS_ADDRESS, DnsSandbox, DnsTable, TaskId};

const ONE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const TWO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

async fn serve(dir: &Path, conf: &str, view: DnsSandbox) -> Resolvers {
    std::fs::write(dir.join("resolv.conf"), conf).unwrap();
    let mut resolvers = Resolvers::new(dir.join("resolv.conf"));
    let table =
        DnsTable { generation: 1, sandboxes: [(TaskId(1), view)].into(), ..DnsTable::default() };
    assert_eq!(resolvers.put(table).await, BTreeMap::new());
    resolvers
}

async fn ask_a(netns: &Path, name: &str) -> String {
    text(&ask(netns, name, RecordType::A).await)
}

#[test]
fn unknown_names_are_asked_at_the_host_s_servers_from_the_host() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let upstream = Upstream::start("127.0.0.53", Manner::Gives(ONE)).await;
        let view = sandbox(&netns, &[("web", &["10.0.0.2"])]);
        let _resolvers = serve(dir.path(), "nameserver 127.0.0.53\n", view).await;
        assert_eq!(ask_a(&netns, "example.com").await, "NoError 192.0.2.1");
        assert_eq!(ask_a(&netns, "web").await, "NoError 10.0.0.2");
        assert_eq!(ask_a(&netns, "web.corp.example").await, "NoError 192.0.2.1");
        assert_eq!(upstream.asked(), 2);
        let whole = dig(&netns, "eXample.com +noedns").await;
        assert!(whole.contains("eXample.com.\t\t300\tIN\tA\t192.0.2.1"), "{whole}");
        assert!(whole.contains("flags: qr ad;"), "passed back as it came: {whole}");
    });
}

#[test]
fn a_change_of_resolv_conf_is_followed() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let _one = Upstream::start("127.0.1.1", Manner::Gives(ONE)).await;
        let _two = Upstream::start("127.0.1.2", Manner::Gives(TWO)).await;
        let _resolvers = serve(dir.path(), "nameserver 127.0.1.1\n", sandbox(&netns, &[])).await;
        assert_eq!(ask_a(&netns, "example.com").await, "NoError 192.0.2.1");
        std::fs::write(dir.path().join("new"), "nameserver 127.0.1.2\n").unwrap();
        std::fs::rename(dir.path().join("new"), dir.path().join("resolv.conf")).unwrap();
        assert_eq!(ask_a(&netns, "example.com").await, "NoError 192.0.2.2");
    });
}

#[test]
fn servers_of_the_table_are_asked_from_inside_the_sandbox() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let _outside = Upstream::start("127.0.1.1", Manner::Gives(ONE)).await;
        let _inside = Upstream::start_in(&netns, "127.0.1.1", Manner::Gives(TWO));
        let mut view = sandbox(&netns, &[]);
        view.upstreams = vec!["127.0.1.1".parse().unwrap()];
        let _resolvers = serve(dir.path(), "nameserver 127.0.1.1\n", view).await;
        assert_eq!(ask_a(&netns, "example.com").await, "NoError 192.0.2.2");
    });
}

#[test]
fn a_resolver_does_not_ask_itself() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let mut view = sandbox(&netns, &[]);
        view.upstreams = vec![DNS_ADDRESS.into()];
        let itself = Upstream::start_in(&netns, "127.0.0.11", Manner::Gives(ONE));
        let _resolvers = serve(dir.path(), "", view).await;
        assert_eq!(ask_a(&netns, "example.com").await, "ServFail");
        assert_eq!(itself.asked(), 0);
    });
}

#[test]
fn the_next_server_is_asked_when_one_declines_or_is_not_there() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let _fails = Upstream::start("127.0.1.1", Manner::Fails(ResponseCode::ServFail)).await;
        let _refuses = Upstream::start("127.0.1.2", Manner::Fails(ResponseCode::Refused)).await;
        let _gives = Upstream::start("127.0.1.3", Manner::Gives(ONE)).await;
        let _denies = Upstream::start("127.0.1.4", Manner::Fails(ResponseCode::NXDomain)).await;
        let _resolvers = serve(dir.path(), "", sandbox(&netns, &[])).await;
        let cases = [
            ("1 2 3", "NoError 192.0.2.1"),
            // Nobody listens on the first two.
            ("8 9 3", "NoError 192.0.2.1"),
            ("8 1 9", "ServFail"),
            ("2 8 1", "Refused"),
            ("8 9", "ServFail"),
            // That is an answer.
            ("4 3", "NXDomain"),
            // Nobody looks at a fourth.
            ("1 2 8 3", "ServFail"),
        ];
        for (servers, expected) in cases {
            let conf: String =
                servers.split(' ').map(|n| format!("nameserver 127.0.1.{n}\n")).collect();
            std::fs::write(dir.path().join("resolv.conf"), conf).unwrap();
            let started = Instant::now();
            assert_eq!(ask_a(&netns, "example.com").await, expected, "{servers}");
            assert!(started.elapsed() < Duration::from_secs(2), "{servers}");
        }
    });
}

#[test]
fn a_silent_server_costs_four_seconds_and_holds_up_nobody_else() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let _silent = Upstream::start("127.0.1.1", Manner::Silent).await;
        let _gives = Upstream::start("127.0.1.2", Manner::Gives(ONE)).await;
        let conf = "nameserver 127.0.1.1\nnameserver 127.0.1.2\n";
        let view = sandbox(&netns, &[("web", &["10.0.0.2"])]);
        let _resolvers = serve(dir.path(), conf, view).await;
        let started = Instant::now();
        let (outside, inside) = tokio::join!(ask_a(&netns, "example.com"), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let started = Instant::now();
            assert_eq!(ask_a(&netns, "web").await, "NoError 10.0.0.2");
            started.elapsed()
        });
        assert!(inside < Duration::from_secs(1), "{inside:?}");
        assert_eq!(outside, "NoError 192.0.2.1");
        let waited = started.elapsed();
        assert!(waited >= Duration::from_secs(4), "{waited:?}");
        assert!(waited < Duration::from_secs(6), "{waited:?}");
    });
}

#[test]
fn forged_answers_are_passed_over() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let _forged = Upstream::start("127.0.1.1", Manner::Forged(ONE)).await;
        let _resolvers = serve(dir.path(), "nameserver 127.0.1.1\n", sandbox(&netns, &[])).await;
        for _ in 0..5 {
            assert_eq!(ask_a(&netns, "example.com").await, "NoError 192.0.2.1");
        }
    });
}

#[test]
fn an_answer_that_is_cut_is_had_whole_over_tcp() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let _cuts = Upstream::start("127.0.1.1", Manner::Cuts(200)).await;
        let _resolvers = serve(dir.path(), "nameserver 127.0.1.1\n", sandbox(&netns, &[])).await;
        let cut = ask(&netns, "example.com", RecordType::A).await;
        assert!(cut.metadata.truncation && cut.answers.is_empty());
        assert_eq!(dig(&netns, "example.com +short").await.lines().count(), 200);
    });
}

#[test]
fn half_an_answer_is_passed_on_if_the_server_does_not_talk_over_tcp() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        // It closes each connection without a word.
        let _gives = Upstream::start("127.0.1.1", Manner::Gives(ONE)).await;
        let _resolvers = serve(dir.path(), "nameserver 127.0.1.1\n", sandbox(&netns, &[])).await;
        let mut stream = tcp_client(&netns).unwrap();
        let bytes = question(9, "example.com", RecordType::A);
        let reply = tcp_exchange(&mut stream, &bytes).await.unwrap();
        assert_eq!(text(&Message::from_vec(&reply).unwrap()), "NoError 192.0.2.1");
    });
}

#[test]
fn a_sandbox_without_a_way_out_asks_nobody() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let upstream = Upstream::start("127.0.1.1", Manner::Gives(ONE)).await;
        let view = DnsSandbox { forward: false, ..sandbox(&netns, &[]) };
        let _resolvers = serve(dir.path(), "nameserver 127.0.1.1\n", view).await;
        assert_eq!(ask_a(&netns, "example.com").await, "NXDomain");
        assert_eq!(upstream.asked(), 0);
    });
}

#[test]
fn more_questions_than_the_limit_are_refused_at_once() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let _silent = Upstream::start("127.0.1.1", Manner::Silent).await;
        let _resolvers = serve(dir.path(), "nameserver 127.0.1.1\n", sandbox(&netns, &[])).await;
        let socket = client(&netns);
        let mut reply = [0; 512];
        // A few at a time, so that none is lost in the socket's buffer.
        for id in 0..1024 {
            socket.send(&question(id, "example.com", RecordType::A)).await.unwrap();
            tokio::task::yield_now().await;
        }
        let bytes = question(2000, "example.com", RecordType::A);
        let refused = exchange(&netns, &bytes).await.unwrap();
        assert_eq!(text(&Message::from_vec(&refused).unwrap()), "Refused");
        // The others wait their four seconds.
        let length = socket.recv(&mut reply).await.unwrap();
        assert_eq!(text(&Message::from_vec(&reply[..length]).unwrap()), "ServFail");
    });
}

#[test]
fn an_answer_that_is_too_long_for_the_client_is_not_sent_in_pieces() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        // They send over UDP whatever was asked for: 1.6 and 6.4 kilobytes.
        let _long = Upstream::start("127.0.1.1", Manner::Pours(100)).await;
        let _longer = Upstream::start("127.0.1.2", Manner::Pours(250)).await;
        let _resolvers = serve(dir.path(), "nameserver 127.0.1.1\n", sandbox(&netns, &[])).await;
        let cut = ask(&netns, "example.com", RecordType::A).await;
        assert!(cut.metadata.truncation && cut.answers.is_empty());
        let lines = |text: String| text.lines().count();
        assert_eq!(lines(dig(&netns, "example.com +short +noedns").await), 100);
        assert_eq!(lines(dig(&netns, "example.com +short +bufsize=4096").await), 100);
        std::fs::write(dir.path().join("resolv.conf"), "nameserver 127.0.1.2 \n").unwrap();
        let whole = dig(&netns, "example.com +short +bufsize=4096").await;
        assert_eq!(lines(whole), 250, "over TCP");
    });
}

#[test]
fn what_is_behind_a_dead_stub_of_systemd_resolved_is_asked() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let none = None::<&str>;
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(none, "/run", Some("tmpfs"), flags, none).unwrap();
        std::fs::create_dir_all("/run/systemd/resolve").unwrap();
        std::fs::write("/run/systemd/resolve/resolv.conf", "nameserver 127.0.1.1\n").unwrap();
        let behind = Upstream::start("127.0.1.1", Manner::Gives(ONE)).await;
        let _resolvers = serve(dir.path(), "nameserver 127.0.0.53\n", sandbox(&netns, &[])).await;
        assert_eq!(ask_a(&netns, "example.com").await, "NoError 192.0.2.1");
        // While the stub lives, its word holds: it may know of a reason not to answer.
        let stub = Upstream::start("127.0.0.53", Manner::Fails(ResponseCode::ServFail)).await;
        assert_eq!(ask_a(&netns, "example.com").await, "ServFail");
        assert_eq!((behind.asked(), stub.asked()), (1, 1));
    });
}
