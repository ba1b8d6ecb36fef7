//! One question to one server outside.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use hickory_proto::op::Query;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::timeout;

use super::message::{Verdict, judge};
use crate::sys;

/// How long one server may take, as Docker's resolver gives it.
const PATIENCE: Duration = Duration::from_secs(4);

/// The longest answer that is taken from a server which sends more than the client asked for.
const MAX_UNASKED: usize = 4096;

/// From where a question goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// From the host's network namespace: the one this process is in.
    Host,
    /// From the network namespace at this path.
    Netns(PathBuf),
}

impl Place {
    async fn make<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        match self {
            Self::Host => make(),
            Self::Netns(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || sys::netns::in_netns(&path, make))
                    .await
                    .map_err(io::Error::other)?
            }
        }
    }
}

/// A question as it goes to the servers outside.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    /// The client's message. Its id is not used: a client must not choose what we send.
    pub(super) bytes: &'a [u8],
    /// What it asks, to know the answer by.
    pub(super) query: &'a Query,
    /// The longest answer over UDP that the client said it takes.
    pub(super) payload: usize,
}

/// Asks `server` over UDP, from a new port and with a new id. The reply is empty if it was too long
/// for anybody.
///
/// # Errors
/// If it does not answer in time, or the question cannot be sent.
pub(super) async fn ask_udp(
    server: SocketAddr,
    place: &Place,
    out: &Outgoing<'_>,
) -> io::Result<(Verdict, Vec<u8>)> {
    let socket = place
        .make(move || {
            let socket = StdUdpSocket::bind(SocketAddr::new(unspecified(server), 0))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
        .await?;
    let socket = UdpSocket::from_std(socket)?;
    // A connected socket takes packets from this server alone, and hears when its port is closed.
    socket.connect(server).await?;
    let (id, bytes) = with_new_id(out.bytes)?;
    let exchange = async {
        socket.send(&bytes).await?;
        // One byte more than anybody takes, to see what did not fit.
        let mut reply = vec![0; out.payload.max(MAX_UNASKED) + 1];
        loop {
            let length = socket.recv(&mut reply).await?;
            match judge(&reply[..length], id, out.query) {
                Verdict::Foreign => {}
                _ if length == reply.len() => return Ok((Verdict::Cut, Vec::new())),
                verdict => {
                    reply.truncate(length);
                    return Ok((verdict, reply));
                }
            }
        }
    };
    timeout(PATIENCE, exchange).await?
}

/// Asks `server` over TCP.
///
/// # Errors
/// If it does not answer in time, or answers something else.
pub(super) async fn ask_tcp(
    server: SocketAddr,
    place: &Place,
    out: &Outgoing<'_>,
) -> io::Result<(Verdict, Vec<u8>)> {
    let is_v4 = server.is_ipv4();
    let make = move || if is_v4 { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let (id, bytes) = with_new_id(out.bytes)?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    let exchange = async {
        let mut stream = place.make(make).await?.connect(server).await?;
        stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
        let mut reply = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut reply).await?;
        match judge(&reply, id, out.query) {
            Verdict::Foreign => Err(io::Error::from(io::ErrorKind::InvalidData)),
            verdict => Ok((verdict, reply)),
        }
    };
    timeout(PATIENCE, exchange).await?
}

fn with_new_id(bytes: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let id: [u8; 2] = sys::random::bytes()?;
    let mut bytes = bytes.to_vec();
    bytes.get_mut(..2).ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(&id);
    Ok((u16::from_be_bytes(id), bytes))
}

fn unspecified(server: SocketAddr) -> IpAddr {
    if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}
