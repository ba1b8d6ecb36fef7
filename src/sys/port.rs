//! Holding a port so that nobody else gets it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockaddrStorage, bind, listen, setsockopt, sockopt,
};

/// The kinds of socket that have ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP, one to one.
    Sctp,
}

/// What a held port does with what arrives at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// The socket takes it: a listener that somebody accepts from.
    Taken,
    /// A filter drops it before the socket sees it. Such a socket needs no memory and no attention;
    /// what is redirected by the kernel never comes to it.
    Dropped,
}

/// The number of connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// A non-blocking socket that holds `address`, IPv6 addresses without their IPv4 twins. A TCP or SCTP
/// socket also listens: only that keeps out a program that sets `SO_REUSEADDR`, as most servers do.
///
/// # Errors
/// If the address is taken (`AddrInUse`), is not of this host (`AddrNotAvailable`), or the kernel
/// lacks its family or protocol (`Unsupported`).
pub fn hold(kind: Kind, address: SocketAddr, arrivals: Arrivals) -> io::Result<OwnedFd> {
    let socket = open(kind, address)?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    if kind != Kind::Udp {
        // Otherwise connections of a former holder that are in TIME_WAIT would keep us out. With
        // UDP it would let another program in beside us.
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    if arrivals == Arrivals::Dropped {
        // Before bind: nothing slips in between.
        drop_arrivals(&socket)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    if kind != Kind::Udp {
        listen(&socket, Backlog::new(BACKLOG)?)?;
    }
    Ok(socket)
}

fn open(kind: Kind, address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let (form, protocol) = match kind {
        Kind::Tcp => (libc::SOCK_STREAM, libc::IPPROTO_TCP),
        Kind::Udp => (libc::SOCK_DGRAM, libc::IPPROTO_UDP),
        Kind::Sctp => (libc::SOCK_STREAM, libc::IPPROTO_SCTP),
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::socket(family as i32, form | flags.bits(), protocol) };
    if fd < 0 {
        let error = io::Error::last_os_error();
        let lacks = [libc::EAFNOSUPPORT, libc::EPROTONOSUPPORT, libc::ESOCKTNOSUPPORT];
        return Err(match error.raw_os_error() {
            Some(code) if lacks.contains(&code) => {
                io::Error::new(io::ErrorKind::Unsupported, error)
            }
            _ => error,
        });
    }
    // SAFETY: the descriptor is new, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets the kernel drop every packet for `socket` (`SO_ATTACH_FILTER`, socket(7)).
fn drop_arrivals(socket: &OwnedFd) -> io::Result<()> {
    /// `ret #0`: keep nothing of the packet.
    const RETURN_NOTHING: libc::sock_filter = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 };
    let mut program = [RETURN_NOTHING];
    let filter = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
    let size = libc::socklen_t::try_from(size_of_val(&filter)).map_err(io::Error::other)?;
    // SAFETY: `filter` and the program it points to outlive the call, which copies both; `size` is
    // the size of `filter`.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes the next close of `socket` an abort: the other side gets a reset and no orderly end.
///
/// # Errors
/// If it is not a socket.
pub fn reset_on_close(socket: BorrowedFd<'_>) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&socket, sockopt::Linger, &linger)?;
    Ok(())
}

/// Lets the kernel probe an idle connection after `idle_seconds`, so that a peer that is gone
/// without a word does not hold it for ever.
///
/// # Errors
/// If it is not a TCP socket.
pub fn keep_alive(socket: BorrowedFd<'_>, idle_seconds: u32) -> io::Result<()> {
    setsockopt(&socket, sockopt::KeepAlive, &true)?;
    setsockopt(&socket, sockopt::TcpKeepIdle, &idle_seconds)?;
    Ok(())
}
