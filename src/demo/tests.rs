//! The server and its client on real sockets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::names::Names;
use super::{Command, fetch, web};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn web_options(arguments: &str) -> web::Options {
    let words = ["demo", "web"].into_iter().chain(arguments.split_whitespace());
    match Arguments::try_parse_from(words).unwrap().command {
        Command::Web(options) => options,
        other => panic!("{other:?}"),
    }
}

/// A server that runs.
struct Served {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn start(arguments: &str) -> Served {
    start_with(arguments, Names::default()).await
}

async fn start_with(arguments: &str, names: Names) -> Served {
    let pages = Arc::new(web::pages(web_options(arguments), names).unwrap());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(web::serve(listener, pages, stopped));
    Served { address, stop, task }
}

async fn get(address: impl std::fmt::Display, path: &str) -> String {
    let url = format!("http://{address}{path}").parse().unwrap();
    match fetch::get(&url, &Names::default(), Duration::from_secs(5)).await {
        Ok(page) => format!("{} {}", page.status, String::from_utf8_lossy(&page.body)),
        Err(why) => why,
    }
}

fn hostname() -> String {
    nix::unistd::gethostname().unwrap().into_string().unwrap()
}

#[tokio::test]
async fn pages_show_where_the_server_runs() {
    let web = start("--message Hi").await;
    let host = hostname();
    assert_eq!(get(web.address, "/").await, format!("200 Hi (from {host})\n"));
    assert_eq!(get(web.address, "/hostname").await, format!("200 {host}\n"));
    assert_eq!(get(web.address, "/health?x").await, "200 healthy\n");
    assert!(get(web.address, "/env").await.contains("\nPATH="));
    assert!(get(web.address, "/nothing").await.starts_with("404 there is no such page"));
}

#[tokio::test]
async fn health_ends_after_so_many_probes() {
    let web = start("--unhealthy-after 2").await;
    for expected in ["200 healthy\n", "200 healthy\n", "503 unhealthy\n", "503 unhealthy\n"] {
        assert_eq!(get(web.address, "/health").await, expected);
    }
}

#[tokio::test]
async fn the_counter_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("count.txt");
    let arguments = format!("--data {}", file.display());
    let first = start(&arguments).await;
    assert_eq!(get(first.address, "/counter").await, "200 1\n");
    assert_eq!(get(first.address, "/counter").await, "200 2\n");
    let second = start(&arguments).await;
    assert_eq!(get(second.address, "/counter").await, "200 3\n");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "3\n");
    std::fs::write(&file, "many").unwrap();
    let why = web::pages(web_options(&arguments), Names::default()).unwrap_err();
    assert_eq!(why, format!("{} does not hold a number", file.display()));
    std::fs::remove_file(&file).unwrap();
    let lost = start(&arguments).await;
    drop(dir);
    assert!(get(lost.address, "/counter").await.starts_with("500 cannot write"));
}

#[tokio::test]
async fn the_front_page_shows_the_other_server_or_why_not() {
    let api = start("--message I-am-the-api").await;
    let web = start(&format!("--message Hi --upstream http://{}/", api.address)).await;
    let host = hostname();
    assert_eq!(
        get(web.address, "/").await,
        format!("200 Hi (from {host})\nhttp://{}/ says: I-am-the-api (from {host})\n", api.address)
    );
    let sad = start(&format!("--message Hi --upstream http://{}/none", api.address)).await;
    assert!(get(sad.address, "/").await.starts_with("502 Hi"));
    let alone = start("--message Hi --upstream http://127.0.0.1:1/").await;
    assert_eq!(
        get(alone.address, "/").await,
        format!(
            "502 Hi (from {host})\ncannot get http://127.0.0.1:1/: 127.0.0.1:1: Connection refused \
             (os error 111)\n"
        )
    );
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let web = start("").await;
    let mut stream = TcpStream::connect(web.address).await.unwrap();
    let request = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "HEAD /health HTTP/1.1\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{request}{request}{last}").as_bytes()).await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    assert_eq!(all.matches("HTTP/1.1 200 OK\r\n").count(), 3);
    assert_eq!(all.matches("\r\n\r\nhealthy\n").count(), 2, "a HEAD has no body");
    assert!(all.ends_with("\r\n\r\n"), "{all}");
}

#[tokio::test]
async fn what_is_no_request_gets_an_error_and_the_end() {
    let web = start("").await;
    for (bytes, expected) in [
        ("nonsense\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nConnection: close\r\n\r\n", "405"),
        ("GET / HTTP/3\r\n\r\n", "505"),
    ] {
        let mut stream = TcpStream::connect(web.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        assert!(all.starts_with(&format!("HTTP/1.1 {expected} ")), "{bytes}: {all}");
    }
}

#[tokio::test]
async fn told_to_stop_the_server_answers_what_is_under_way_and_ends() {
    // An upstream that takes its time.
    let slow = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let upstream = slow.local_addr().unwrap();
    let web = start(&format!("--message Hi --upstream http://{upstream}/")).await;
    let _idle = TcpStream::connect(web.address).await.unwrap();
    let asked = tokio::spawn(get(web.address, "/"));
    let (mut late, _) = slow.accept().await.unwrap();
    web.stop.send_replace(true);
    tokio::time::sleep(Duration::from_millis(50)).await;
    TcpStream::connect(web.address).await.unwrap_err();
    late.write_all(b"HTTP/1.1 200 OK\r\n\r\nlate").await.unwrap();
    drop(late);
    assert!(asked.await.unwrap().ends_with("says: late\n"));
    timeout(Duration::from_secs(2), web.task).await.expect("it ends").unwrap();
}

/// A name server on a port of its own that knows `api`, and `web.corp.example`.
async fn name_server() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
            let asked = Message::from_vec(&buffer[..length]).unwrap();
            let query = asked.queries[0].clone();
            assert_eq!(query.query_type(), RecordType::A);
            let mut reply = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
            match query.name().to_ascii().as_str() {
                "api." | "web.corp.example." => {
                    let data = RData::A(Ipv4Addr::LOCALHOST.into());
                    reply.add_answer(Record::from_rdata(query.name().clone(), 1, data));
                }
                "broken." => reply.metadata.response_code = ResponseCode::ServFail,
                _ => reply.metadata.response_code = ResponseCode::NXDomain,
            }
            reply.add_query(query);
            // First a wrong one, which must be passed over.
            let mut wrong = reply.clone();
            wrong.metadata.id = wrong.metadata.id.wrapping_add(1);
            for message in [wrong, reply] {
                socket.send_to(&message.to_vec().unwrap(), client).await.unwrap();
            }
        }
    });
    port
}

fn names(dir: &Path, port: u16, resolv_conf: &str) -> Names {
    std::fs::write(dir.join("hosts"), "127.0.0.1 localhost\n127.0.0.9 db\n").unwrap();
    std::fs::write(dir.join("resolv.conf"), resolv_conf).unwrap();
    Names { hosts: dir.join("hosts"), resolv_conf: dir.join("resolv.conf"), port }
}

#[tokio::test]
async fn names_are_found_in_the_hosts_file_and_by_the_name_server() {
    let dir = tempfile::tempdir().unwrap();
    let conf = "nameserver 127.0.0.1\nsearch corp.example\noptions ndots:0\n";
    let names = names(dir.path(), name_server().await, conf);
    let first = |found: Result<Vec<IpAddr>, String>| found.map(|found| found[0].to_string());
    for (host, expected) in [
        ("db", "127.0.0.9"),
        ("api", "127.0.0.1"),
        ("web", "127.0.0.1"),
        ("web.corp.example.", "127.0.0.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
    ] {
        assert_eq!(first(names.addresses(host).await).as_deref(), Ok(expected), "{host}");
    }
    for (host, expected) in [
        ("nobody", "there is no host `nobody`"),
        ("a..b", "cannot find the host `a..b`"),
        ("broken.", "cannot find the host `broken.`: the name server answers"),
    ] {
        let why = names.addresses(host).await.unwrap_err();
        assert!(why.starts_with(expected), "{host}: {why}");
    }
}

#[tokio::test]
async fn the_next_name_server_is_asked_when_one_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let conf = "nameserver 127.0.0.77\nnameserver 127.0.0.1\n";
    let names = names(dir.path(), name_server().await, conf);
    assert_eq!(names.addresses("api").await.unwrap(), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
}

#[tokio::test]
async fn an_upstream_is_found_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let api = start("--message I-am-the-api").await;
    let names = names(dir.path(), name_server().await, "nameserver 127.0.0.1\n");
    let arguments = format!("--upstream http://api:{}/", api.address.port());
    let web = start_with(&arguments, names).await;
    assert!(get(web.address, "/").await.contains("says: I-am-the-api"));
}

#[tokio::test]
async fn a_page_that_does_not_come_is_an_error_in_time() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap()).parse().unwrap();
    let why = fetch::get(&url, &Names::default(), Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(why, format!("cannot get {url}: no answer within 0.1 s"));
}

#[tokio::test]
async fn a_page_without_end_is_cut_off() {
    let endless = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = endless.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = endless.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    assert!(get(address, "/").await.ends_with("the answer is longer than 1048576 bytes"));
}
