//! Ports and relays on real sockets, in namespaces of their own.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::state::InForce;
use crate::dns::testing::on_new_host;
use crate::model::{HeldPort, NetdReport, NetdState, Protocol, Publication};
use crate::sys::port::{Arrivals, Kind, hold};

fn port(host_ip: &str, port: u16, protocol: Protocol) -> HeldPort {
    let host_ip = (host_ip != "*").then(|| host_ip.parse().unwrap());
    HeldPort { host_ip, port, protocol }
}

fn holding(ports: &[HeldPort]) -> NetdState {
    NetdState { ports: ports.iter().copied().collect(), ..NetdState::default() }
}

fn published(host_ip: &str, number: u16, backends: &[SocketAddr]) -> NetdState {
    let held = port(host_ip, number, Protocol::Tcp);
    let backends = backends
        .iter()
        .map(|backend| match backend {
            SocketAddr::V4(v4) => (*v4.ip(), v4.port()),
            SocketAddr::V6(_) => panic!("backends are IPv4"),
        })
        .collect();
    let publication = Publication {
        host_ip: held.host_ip,
        host_port: number,
        protocol: Protocol::Tcp,
        backends,
        owner: "shop/web".to_owned(),
    };
    NetdState { forwards: vec![publication], ..holding(&[held]) }
}

fn in_force() -> InForce {
    InForce::new(Path::new("/no/such/resolv.conf"))
}

fn refusals(report: &NetdReport) -> Vec<&str> {
    report.refused.iter().map(|(_, why)| why.as_str()).collect()
}

#[track_caller]
fn assert_taken(address: &str) {
    let tcp = StdTcpListener::bind(address).unwrap_err();
    assert_eq!(tcp.kind(), ErrorKind::AddrInUse, "{address}");
}

#[test]
fn a_held_port_is_nobody_else_s_until_it_is_let_go() {
    on_new_host(|| async {
        let mut in_force = in_force();
        let tcp = port("*", 8080, Protocol::Tcp);
        let udp = port("127.0.0.1", 5353, Protocol::Udp);
        let report = in_force.put(holding(&[tcp, udp])).await;
        assert_eq!(report, NetdReport::default());
        for address in ["0.0.0.0:8080", "127.0.0.1:8080", "[::]:8080", "[::1]:8080"] {
            assert_taken(address);
        }
        let taken = StdUdpSocket::bind("0.0.0.0:5353").unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        StdUdpSocket::bind("127.0.0.2:5353").unwrap();
        StdTcpListener::bind("0.0.0.0:8081").unwrap();
        in_force.put(holding(&[udp])).await;
        StdTcpListener::bind("0.0.0.0:8080").unwrap();
        StdTcpListener::bind("[::]:8080").unwrap();
        in_force.put(NetdState::default()).await;
        StdUdpSocket::bind("0.0.0.0:5353").unwrap();
    });
}

#[test]
fn a_port_may_move_from_all_addresses_to_one() {
    on_new_host(|| async {
        let mut in_force = in_force();
        for address in ["*", "127.0.0.1", "::1", "0.0.0.0", "*"] {
            let report = in_force.put(holding(&[port(address, 80, Protocol::Tcp)])).await;
            assert_eq!(refusals(&report), [] as [&str; 0], "{address}");
        }
    });
}

#[test]
fn who_has_a_port_is_named() {
    on_new_host(|| async {
        // Opened by this very process, so it is known by its own name.
        let tcp = StdTcpListener::bind("[::]:80").unwrap();
        let udp = StdUdpSocket::bind("127.0.0.1:53").unwrap();
        let mut in_force = in_force();
        let wanted = holding(&[
            port("*", 80, Protocol::Tcp),
            port("*", 53, Protocol::Udp),
            port("192.0.2.7", 81, Protocol::Tcp),
        ]);
        let report = in_force.put(wanted.clone()).await;
        let mut why = refusals(&report);
        why.sort_unstable();
        assert_eq!(
            why,
            [
                "192.0.2.7 is not an address of this host",
                "address already in use by another published port",
                "address already in use by another published port",
            ]
        );
        // Nothing is half held.
        drop((tcp, udp));
        assert_eq!(in_force.put(wanted).await.refused.len(), 1);
        assert_taken("127.0.0.1:80");
    });
}

#[test]
fn a_port_with_former_connections_is_had_at_once() {
    on_new_host(|| async {
        let listener = TcpListener::bind("127.0.0.1:80").await.unwrap();
        let mut client = TcpStream::connect("127.0.0.1:80").await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        // The server's end closes first, and is in TIME_WAIT for a minute.
        drop((server, listener));
        client.read_to_end(&mut Vec::new()).await.unwrap();
        drop(client);
        let report = in_force().put(holding(&[port("*", 80, Protocol::Tcp)])).await;
        assert_eq!(refusals(&report), [] as [&str; 0]);
    });
}

#[test]
fn what_arrives_at_a_silent_socket_is_dropped() {
    on_new_host(|| async {
        let mut in_force = in_force();
        in_force.put(holding(&[port("127.0.0.1", 80, Protocol::Tcp)])).await;
        let connect = timeout(Duration::from_millis(300), TcpStream::connect("127.0.0.1:80")).await;
        assert!(connect.is_err(), "nobody answers, and nobody refuses: {connect:?}");
    });
}

#[test]
fn a_thousand_ports_are_held_at_once() {
    on_new_host(|| async {
        let ports: BTreeSet<_> = (20000..21000).map(|n| port("*", n, Protocol::Tcp)).collect();
        let state = NetdState { ports, ..NetdState::default() };
        // Two sockets each: more files than a process may open by default.
        let limit = nix::sys::resource::Resource::RLIMIT_NOFILE;
        let (_, hard) = nix::sys::resource::getrlimit(limit).unwrap();
        nix::sys::resource::setrlimit(limit, hard, hard).unwrap();
        let started = std::time::Instant::now();
        assert_eq!(in_force().put(state).await, NetdReport::default());
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    });
}

/// A server that says its name, and then what it heard, once the client has said all.
async fn backend(address: &str, name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                stream.write_all(name.as_bytes()).await.unwrap();
                let mut heard = Vec::new();
                stream.read_to_end(&mut heard).await.unwrap();
                stream.write_all(&heard).await.unwrap();
            });
        }
    });
    address
}

async fn talk(address: &str, say: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(say).await?;
    stream.shutdown().await?;
    let mut heard = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut heard)).await??;
    Ok(heard)
}

#[test]
fn ipv6_clients_reach_ipv4_backends() {
    on_new_host(|| async {
        let web = backend("127.0.5.1:80", "web:").await;
        let mut in_force = in_force();
        in_force.put(published("*", 8080, &[web])).await;
        // Half-closed by the client, answered by the server afterwards.
        assert_eq!(talk("[::1]:8080", b"hello").await.unwrap(), b"web:hello");
        let much: Vec<u8> = (0..4_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let heard = talk("[::1]:8080", &much).await.unwrap();
        assert!(heard[4..] == much, "{} bytes came", heard.len());
        in_force.put(published("::1", 8080, &[web])).await;
        assert_eq!(talk("[::1]:8080", b"again").await.unwrap(), b"web:again");
    });
}

#[test]
fn connections_go_to_all_replicas_and_past_those_that_are_gone() {
    on_new_host(|| async {
        let one = backend("127.0.5.1:80", "1").await;
        let two = backend("127.0.5.2:80", "2").await;
        let gone: SocketAddr = (Ipv4Addr::new(127, 0, 5, 3), 80).into();
        let mut in_force = in_force();
        in_force.put(published("*", 8080, &[one, gone, two])).await;
        let mut heard = [0; 2];
        for _ in 0..100 {
            let answer = talk("[::1]:8080", b"").await.unwrap();
            heard[usize::from(answer == b"2")] += 1;
        }
        assert!(heard.iter().all(|count| *count > 5), "{heard:?}");
        in_force.put(published("*", 8080, &[two])).await;
        for _ in 0..10 {
            assert_eq!(talk("[::1]:8080", b"").await.unwrap(), b"2");
        }
    });
}

#[test]
fn without_a_replica_a_connection_is_refused() {
    on_new_host(|| async {
        let mut in_force = in_force();
        in_force.put(published("*", 8080, &[])).await;
        let refused = talk("[::1]:8080", b"x").await.unwrap_err();
        assert!(
            [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::NotConnected]
                .contains(&refused.kind()),
            "{refused:?}"
        );
        let web = backend("127.0.5.1:80", "web:").await;
        in_force.put(published("*", 8080, &[web])).await;
        assert_eq!(talk("[::1]:8080", b"x").await.unwrap(), b"web:x");
    });
}

#[test]
fn open_connections_outlive_a_swap_and_even_the_port() {
    on_new_host(|| async {
        let web = backend("127.0.5.1:80", "web:").await;
        let mut in_force = in_force();
        in_force.put(published("*", 8080, &[web])).await;
        let mut stream = TcpStream::connect("[::1]:8080").await.unwrap();
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting).await.unwrap();
        in_force.put(published("*", 8080, &[])).await;
        in_force.put(NetdState::default()).await;
        sleep(Duration::from_millis(20)).await;
        assert_eq!(
            TcpStream::connect("[::1]:8080").await.unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
        stream.write_all(b"still here").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "still here");
    });
}

#[test]
fn a_backend_that_breaks_off_breaks_off_the_client() {
    on_new_host(|| async {
        let listener = TcpListener::bind("127.0.5.1:80").await.unwrap();
        let web = listener.local_addr().unwrap();
        let mut in_force = in_force();
        in_force.put(published("*", 8080, &[web])).await;
        let mut client = TcpStream::connect("[::1]:8080").await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(b"half").await.unwrap();
        let mut half = [0; 4];
        client.read_exact(&mut half).await.unwrap();
        crate::sys::port::reset_on_close(std::os::fd::AsFd::as_fd(&server)).unwrap();
        drop(server);
        let broken = timeout(Duration::from_secs(5), client.read(&mut half)).await.unwrap();
        assert_eq!(broken.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_port_can_be_held_for_udp_and_sctp() {
    on_new_host(|| async {
        for kind in [Kind::Udp, Kind::Sctp] {
            let address = "127.0.0.1:99".parse().unwrap();
            match hold(kind, address, Arrivals::Dropped) {
                Ok(_first) => {
                    let second = hold(kind, address, Arrivals::Dropped).unwrap_err();
                    assert_eq!(second.kind(), ErrorKind::AddrInUse, "{kind:?}");
                }
                Err(error) => {
                    assert_eq!((kind, error.kind()), (Kind::Sctp, ErrorKind::Unsupported));
                }
            }
        }
        let sctp = holding(&[port("*", 99, Protocol::Sctp)]);
        assert_eq!(in_force().put(sctp).await, NetdReport::default());
    });
}
