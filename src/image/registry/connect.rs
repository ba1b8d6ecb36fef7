//! A connection to a registry: directly or through a proxy, encrypted or not.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::proxy::Proxy;
use super::settings::Registries;
use super::tls;
use super::url::{Scheme, Url};

/// Bytes both ways.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// The longest answer of a proxy to the wish for a tunnel.
const LONGEST: usize = 16 << 10;

/// Connects to the host of `url`, as far as HTTP may begin.
pub(super) async fn connect(registries: &Registries, url: &Url) -> io::Result<Box<dyn Wire>> {
    let proxy = registries.proxies.of(url)?;
    let Some(proxy) = proxy else { return reach(registries, url).await };
    let through = |error: io::Error| {
        io::Error::new(error.kind(), format!("through the proxy {}: {error}", proxy.url))
    };
    let mut wire = reach(registries, &proxy.url).await.map_err(through)?;
    if url.scheme == Scheme::Https {
        tunnel(&mut wire, url, &proxy).await.map_err(through)?;
        wire = encrypt(registries, wire, url).await?;
    }
    Ok(wire)
}

async fn reach(registries: &Registries, url: &Url) -> io::Result<Box<dyn Wire>> {
    let stream = dial(registries, url).await?;
    stream.set_nodelay(true)?;
    match url.scheme {
        Scheme::Http => Ok(Box::new(stream)),
        Scheme::Https => encrypt(registries, Box::new(stream), url).await,
    }
}

/// Tries the addresses of a host one after another: one that does not answer must not use up all the
/// time there is. IPv4 comes first, because where one of the two is broken it is mostly the other.
async fn dial(registries: &Registries, url: &Url) -> io::Result<TcpStream> {
    let (name, port) = url.address();
    let found = tokio::net::lookup_host((name.as_str(), port)).await.map_err(|error| {
        let reason = format!("cannot find the address of {name}: {error}");
        io::Error::new(io::ErrorKind::NotFound, reason)
    })?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let tries = u32::try_from(addresses.len().clamp(1, 4)).unwrap_or(1);
    let mut failure = io::Error::other(format!("{name} has no address"));
    for address in addresses {
        match timeout(registries.timeouts.connect / tries, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => {
                failure = io::Error::new(error.kind(), format!("{address}: {error}"));
            }
            Err(_) => {
                let reason = format!("{address} does not answer");
                failure = io::Error::new(io::ErrorKind::TimedOut, reason);
            }
        }
    }
    Err(failure)
}

async fn encrypt(
    registries: &Registries,
    wire: Box<dyn Wire>,
    url: &Url,
) -> io::Result<Box<dyn Wire>> {
    let (name, _) = url.address();
    let config = registries.tls.config(&url.host, registries.is_insecure(&url.host))?;
    let handshake = TlsConnector::from(config).connect(tls::server_name(&name)?, wire).await;
    let stream = handshake.map_err(|error| tls::explained(&error, &url.host))?;
    Ok(Box::new(stream))
}

/// Asks a proxy to pass on bytes.
async fn tunnel(wire: &mut Box<dyn Wire>, url: &Url, proxy: &Proxy) -> io::Result<()> {
    let (name, port) = url.address();
    let name = if name.contains(':') { format!("[{name}]") } else { name };
    let who = proxy.authorization.as_ref();
    let who = who.map(|who| format!("Proxy-Authorization: {who}\r\n")).unwrap_or_default();
    let wish = format!("CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n{who}\r\n");
    wire.write_all(wish.as_bytes()).await?;
    let mut answer = Vec::new();
    // Byte by byte: what comes behind the empty line is the host's.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is too long"));
        }
        answer.push(wire.read_u8().await?);
    }
    let answer = String::from_utf8_lossy(&answer);
    let line = answer.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some("200") => Ok(()),
        // It will say the same next time.
        Some("403" | "405" | "407") => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("it answers `{line}`")))
        }
        _ => Err(io::Error::other(format!("it answers `{line}`"))),
    }
}
