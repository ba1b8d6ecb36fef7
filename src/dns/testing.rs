//! A host of its own for a test: network and mount namespaces that end with it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::model::{DNS_ADDRESS, DNS_PORT, DnsSandbox};
use crate::sys::netns::in_netns;

/// Runs `work` on a runtime in new network and mount namespaces, with `lo` up. Every thread that the
/// runtime makes is in them too.
pub(crate) fn on_new_host<F>(work: impl FnOnce() -> F + Send + 'static)
where
    F: Future<Output = ()>,
{
    let test = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        // Of its own, so that namespaces bound to files there are gone with the files.
        let temporary = std::env::temp_dir();
        mount(none, &temporary, Some("tmpfs"), MsFlags::empty(), none).unwrap();
        lo_up();
        runtime().block_on(work());
    });
    if let Err(panic) = test.join() {
        std::panic::resume_unwind(panic);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Brings `lo` up in this thread's network namespace.
fn lo_up() {
    runtime().block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        let connection = tokio::spawn(connection);
        let lo = rtnetlink::LinkUnspec::new_with_index(1).up().build();
        handle.link().set(lo).execute().await.unwrap();
        connection.abort();
    });
}

/// A new network namespace with `lo` up, bound to a file `name` in `dir`.
pub(crate) fn new_netns(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, "").unwrap();
    let target = path.clone();
    thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let none = None::<&str>;
        mount(Some("/proc/thread-self/ns/net"), &target, none, MsFlags::MS_BIND, none).unwrap();
        lo_up();
    })
    .join()
    .unwrap();
    path
}

/// A sandbox that asks outside, with these names.
pub(crate) fn sandbox(netns: &Path, names: &[(&str, &[&str])]) -> DnsSandbox {
    let addresses = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
    DnsSandbox {
        netns: netns.to_owned(),
        names: names.iter().map(|(name, list)| ((*name).to_owned(), addresses(list))).collect(),
        forward: true,
        ..DnsSandbox::default()
    }
}

pub(crate) const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(DNS_ADDRESS), DNS_PORT);

/// The bytes of a question.
pub(crate) fn question(id: u16, name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_str_relaxed(name).unwrap(), kind));
    message.to_vec().unwrap()
}

/// A socket in the namespace at `netns` that talks to its resolver.
pub(crate) fn client(netns: &Path) -> UdpSocket {
    let socket = in_netns(netns, || {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(SERVER)?;
        Ok(socket)
    });
    UdpSocket::from_std(socket.unwrap()).unwrap()
}

/// A connection from the namespace at `netns` to its resolver.
pub(crate) fn tcp_client(netns: &Path) -> io::Result<TcpStream> {
    let stream = in_netns(netns, || {
        let stream = std::net::TcpStream::connect(SERVER)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    });
    TcpStream::from_std(stream?)
}

/// What the resolver in `netns` answers to `bytes` over UDP.
pub(crate) async fn exchange(netns: &Path, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let socket = client(netns);
    socket.send(bytes).await?;
    let mut reply = vec![0; 65535];
    let length = tokio::time::timeout(Duration::from_secs(15), socket.recv(&mut reply)).await??;
    reply.truncate(length);
    Ok(reply)
}

/// What the resolver in `netns` answers to `bytes` over TCP.
pub(crate) async fn tcp_exchange(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(bytes.len()).unwrap();
    stream.write_all(&[&length.to_be_bytes()[..], bytes].concat()).await?;
    let mut reply = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}

/// The answer of the resolver in `netns` to a question over UDP.
pub(crate) async fn ask(netns: &Path, name: &str, kind: RecordType) -> Message {
    let reply = exchange(netns, &question(77, name, kind)).await.unwrap();
    let message = Message::from_vec(&reply).unwrap();
    assert_eq!(message.metadata.id, 77);
    message
}

/// The code and the addresses of an answer, sorted: `NoError 10.0.0.2 10.0.0.3`.
pub(crate) fn text(message: &Message) -> String {
    let mut records: Vec<_> = message.answers.iter().map(|r| r.data.to_string()).collect();
    records.sort();
    let code = format!("{:?}", message.metadata.response_code);
    [vec![code], records].concat().join(" ")
}

/// How a server outside behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// Gives this address for every name.
    Gives(Ipv4Addr),
    /// Answers with this code.
    Fails(ResponseCode),
    /// Hears and says nothing.
    Silent,
    /// Cuts over UDP, and gives so many addresses over TCP.
    Cuts(u8),
    /// Gives so many addresses over UDP, however little the client takes, and over TCP.
    Pours(u8),
    /// Sends wrong answers (another id, another question) before the right one.
    Forged(Ipv4Addr),
}

/// A server outside.
#[derive(Debug)]
pub(crate) struct Upstream {
    asked: Arc<AtomicUsize>,
}

impl Upstream {
    /// Listens on port 53 of `address` in the current namespace.
    pub(crate) async fn start(address: &str, manner: Manner) -> Self {
        let address = SocketAddr::new(address.parse().unwrap(), 53);
        let udp = UdpSocket::bind(address).await.unwrap();
        let tcp = TcpListener::bind(address).await.unwrap();
        Self::serve(udp, tcp, manner)
    }

    /// Listens on port 53 of `address` in the namespace at `netns`.
    pub(crate) fn start_in(netns: &Path, address: &str, manner: Manner) -> Self {
        let address = SocketAddr::new(address.parse().unwrap(), 53);
        let sockets = in_netns(netns, || {
            let udp = std::net::UdpSocket::bind(address)?;
            let tcp = std::net::TcpListener::bind(address)?;
            udp.set_nonblocking(true)?;
            tcp.set_nonblocking(true)?;
            Ok((udp, tcp))
        });
        let (udp, tcp) = sockets.unwrap();
        Self::serve(UdpSocket::from_std(udp).unwrap(), TcpListener::from_std(tcp).unwrap(), manner)
    }

    fn serve(udp: UdpSocket, tcp: TcpListener, manner: Manner) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, client) = udp.recv_from(&mut buffer).await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                for reply in replies(&buffer[..length], manner) {
                    udp.send_to(&reply, client).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let mut bytes = vec![0; usize::from(stream.read_u16().await.unwrap())];
                stream.read_exact(&mut bytes).await.unwrap();
                let (Manner::Cuts(many) | Manner::Pours(many)) = manner else { continue };
                let reply = answer(&bytes, &addresses(many)).to_vec().unwrap();
                let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
                stream.write_all(&[&length[..], &reply].concat()).await.unwrap();
            }
        });
        Self { asked }
    }

    /// How many questions it got over UDP.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn addresses(many: u8) -> Vec<Ipv4Addr> {
    (0..many).map(|n| Ipv4Addr::new(192, 0, 2, n)).collect()
}

fn replies(bytes: &[u8], manner: Manner) -> Vec<Vec<u8>> {
    let with = |address| answer(bytes, &[address]);
    let messages = match manner {
        Manner::Gives(address) => vec![with(address)],
        Manner::Fails(code) => {
            let mut message = answer(bytes, &[]);
            message.metadata.response_code = code;
            vec![message]
        }
        Manner::Silent => vec![],
        Manner::Pours(many) => vec![answer(bytes, &addresses(many))],
        Manner::Cuts(_) => {
            let mut message = answer(bytes, &[]);
            message.metadata.truncation = true;
            vec![message]
        }
        Manner::Forged(address) => {
            let mut other_id = with(Ipv4Addr::new(6, 6, 6, 6));
            other_id.metadata.id = other_id.metadata.id.wrapping_add(1);
            let mut other_question = with(Ipv4Addr::new(6, 6, 6, 6));
            other_question.queries[0].set_name(Name::from_ascii("evil.example.").unwrap());
            let mut query = with(Ipv4Addr::new(6, 6, 6, 6));
            query.metadata.message_type = MessageType::Query;
            vec![other_id, other_question, query, with(address)]
        }
    };
    messages.iter().map(|message| message.to_vec().unwrap()).collect()
}

fn answer(bytes: &[u8], addresses: &[Ipv4Addr]) -> Message {
    let asked = Message::from_vec(bytes).unwrap();
    let mut reply = Message::response(asked.metadata.id, OpCode::Query);
    reply.metadata.authentic_data = true;
    let name = asked.queries[0].name().clone();
    reply.add_queries(asked.queries);
    for address in addresses {
        reply.add_answer(Record::from_rdata(name.clone(), 300, RData::A((*address).into())));
    }
    reply
}

/// Installs `dig` where it is missing, as the tests in `tests/` install what they need.
fn install_dig() {
    static INSTALLED: std::sync::Once = std::sync::Once::new();
    INSTALLED.call_once(|| {
        if !Path::new("/usr/bin/dig").exists() {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/install.sh");
            #[expect(clippy::disallowed_methods, reason = "a script of the tests")]
            let status = std::process::Command::new("sh").arg(script).status();
            assert!(status.unwrap().success(), "dig cannot be installed (Debian: bind9-dnsutils)");
        }
    });
}

/// What `dig` prints when it asks the resolver in `netns`.
pub(crate) async fn dig(netns: &Path, arguments: &'static str) -> String {
    let netns = netns.to_owned();
    let run = move || {
        install_dig();
        in_netns(&netns, || {
            #[expect(clippy::disallowed_methods, reason = "a client that is not ours")]
            std::process::Command::new("dig")
                .args([format!("@{DNS_ADDRESS}"), format!("-p{DNS_PORT}")])
                .args(["+tries=1", "+time=15"])
                .args(arguments.split(' '))
                .output()
        })
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let output = output.expect("these tests need `dig` (Debian: bind9-dnsutils)");
    assert!(output.status.success(), "dig {arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
