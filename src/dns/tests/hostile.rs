//! Clients that send nonsense, or are slow on purpose.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::dns::Resolvers;
use crate::dns::testing::{
    ask, client, new_netns, on_new_host, question, sandbox, tcp_client, tcp_exchange, text,
};
use crate::model::{DnsTable, TaskId};

async fn serve(netns: &Path) -> Resolvers {
    let view = sandbox(netns, &[("web", &["10.0.0.2"])]);
    let mut resolvers = Resolvers::new("/no/such/resolv.conf");
    let table =
        DnsTable { generation: 1, sandboxes: [(TaskId(1), view)].into(), ..DnsTable::default() };
    assert_eq!(resolvers.put(table).await, BTreeMap::new());
    resolvers
}

async fn still_answers(netns: &Path) {
    assert_eq!(text(&ask(netns, "web", RecordType::A).await), "NoError 10.0.0.2");
}

/// The reply to `bytes` over UDP in hexadecimal; empty if there is none.
async fn reply_to(netns: &Path, bytes: &[u8]) -> String {
    let socket = client(netns);
    socket.send(bytes).await.unwrap();
    // The answer to a good question that is sent after the bad one tells that there is no more to
    // wait for.
    socket.send(&question(0x4d4d, "web", RecordType::A)).await.unwrap();
    let mut reply = [0; 4096];
    let length = socket.recv(&mut reply).await.unwrap();
    let is_second = reply[..2] == [0x4d, 0x4d];
    if is_second { String::new() } else { crate::model::hex(&reply[..length]) }
}

#[test]
fn nonsense_over_udp_is_answered_with_an_error_or_not_at_all() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let _resolvers = serve(&netns).await;
        let head = [0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let form_error = "123481010000000000000000";
        let with = |rest: &[u8]| [&head[..], rest].concat();
        let cases: [(&str, Vec<u8>, &str); 9] = [
            ("nothing", vec![], ""),
            ("half a header", head[..11].to_vec(), ""),
            ("an answer", [&[0x12, 0x34, 0x81][..], &head[3..]].concat(), ""),
            ("no question", with(&[]), form_error),
            ("a name that points to itself", with(&[0xc0, 12, 0, 1, 0, 1]), form_error),
            ("a label that is too long", with(&[63, 1, 2, 3, 0, 0, 1, 0, 1]), form_error),
            ("a label of an unknown kind", with(&[0x80, 1, 0, 0, 1, 0, 1]), form_error),
            ("65535 questions", [&head[..4], &[0xff; 60]].concat(), form_error),
            (
                "a status request",
                [&[0x12, 0x34, 0x10][..], &head[3..]].concat(),
                "123490040000000000000000",
            ),
        ];
        for (what, bytes, expected) in cases {
            assert_eq!(reply_to(&netns, &bytes).await, expected, "{what}");
        }
        let two = {
            let mut bytes = question(0x1234, "web", RecordType::A);
            let second = bytes[12..].to_vec();
            bytes.extend(second);
            bytes[5] = 2;
            bytes
        };
        assert_eq!(reply_to(&netns, &two).await, form_error);
        let mut long = question(0x1234, "web", RecordType::A);
        long.resize(60_000, 0);
        reply_to(&netns, &long).await;
        still_answers(&netns).await;
    });
}

#[test]
fn every_prefix_and_every_flipped_bit_of_a_question_is_survived() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let mut resolvers = Resolvers::new("/no/such/resolv.conf");
        let mut view = sandbox(&netns, &[("web", &["10.0.0.2"])]);
        view.forward = false;
        resolvers
            .put(DnsTable {
                generation: 1,
                sandboxes: [(TaskId(1), view)].into(),
                ..DnsTable::default()
            })
            .await;
        let good = question(0x1234, "web", RecordType::A);
        for length in 0..good.len() {
            reply_to(&netns, &good[..length]).await;
        }
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            reply_to(&netns, &bytes).await;
        }
        still_answers(&netns).await;
    });
}

#[test]
fn many_questions_come_over_one_connection() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let _resolvers = serve(&netns).await;
        let mut stream = tcp_client(&netns).unwrap();
        for id in 0..100 {
            let bytes = question(id, "web", RecordType::A);
            let reply = tcp_exchange(&mut stream, &bytes).await.unwrap();
            let message = Message::from_vec(&reply).unwrap();
            assert_eq!((message.metadata.id, text(&message)), (id, "NoError 10.0.0.2".to_owned()));
        }
    });
}

#[test]
fn a_connection_with_nonsense_is_closed() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let _resolvers = serve(&netns).await;
        for bytes in [&[0xff, 0xff][..], &[0, 0], &[0, 3, 1, 2, 3], &[0x20, 0x00, 1]] {
            let mut stream = tcp_client(&netns).unwrap();
            stream.write_all(bytes).await.unwrap();
            assert_closes(&mut stream, Duration::from_secs(1)).await;
        }
        still_answers(&netns).await;
    });
}

async fn assert_closes(stream: &mut TcpStream, within: Duration) {
    let mut rest = Vec::new();
    let ended = timeout(within, stream.read_to_end(&mut rest)).await;
    ended.expect("the connection is closed").ok();
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn a_slow_client_is_cut_off_and_holds_up_nobody() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let _resolvers = serve(&netns).await;
        let mut slow = Vec::new();
        for _ in 0..40 {
            let mut stream = tcp_client(&netns).unwrap();
            stream.write_all(&[0, 30, 0]).await.unwrap();
            slow.push(stream);
        }
        let started = Instant::now();
        let mut good = tcp_client(&netns).unwrap();
        tcp_exchange(&mut good, &question(1, "web", RecordType::A)).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(1));
        for stream in &mut slow {
            assert_closes(stream, Duration::from_secs(4)).await;
        }
        assert!(started.elapsed() < Duration::from_secs(4));
    });
}

#[test]
fn more_connections_than_the_limit_close_the_oldest() {
    on_new_host(|| async {
        let dir = tempfile::tempdir().unwrap();
        let netns = new_netns(dir.path(), "one");
        let _resolvers = serve(&netns).await;
        let mut idle: Vec<_> = (0..64).map(|_| tcp_client(&netns).unwrap()).collect();
        let mut newest = tcp_client(&netns).unwrap();
        tcp_exchange(&mut newest, &question(1, "web", RecordType::A)).await.unwrap();
        assert_closes(&mut idle[0], Duration::from_secs(1)).await;
        tcp_exchange(&mut idle[1], &question(1, "web", RecordType::A)).await.unwrap();
    });
}
