//! A netlink socket: bytes to the kernel and back.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::sockopt::{RcvBufForce, SndBufForce};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname,
    recv, send, setsockopt, socket,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Which part of the kernel a socket speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetlinkFamily {
    /// Links, addresses and routes.
    Route,
    /// Packet filter and connection tracking.
    Netfilter,
}

/// An open netlink socket. It belongs to the network namespace of the thread that opened it, for as
/// long as it lives and wherever it is used. Never blocks: the kernel answers a request before
/// [`NetlinkSocket::send`] returns.
#[derive(Debug)]
pub struct NetlinkSocket {
    socket: OwnedFd,
}

impl NetlinkSocket {
    /// Opens a socket in the network namespace of the calling thread. `groups` is the bit mask of the
    /// multicast groups to listen to (bit 0 is group 1).
    ///
    /// # Errors
    /// If the kernel has no such family, or no file descriptor is left.
    pub fn open(family: NetlinkFamily, groups: u32) -> io::Result<Self> {
        let protocol = match family {
            NetlinkFamily::Route => SockProtocol::NetlinkRoute,
            NetlinkFamily::Netfilter => SockProtocol::NetlinkNetFilter,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        let opened = Self { socket };
        // Both are comforts: acknowledgements without a copy of the request, and a reason in words.
        // Kernels before 4.12 lack them.
        for option in [libc::NETLINK_CAP_ACK, libc::NETLINK_EXT_ACK] {
            opened.turn_on(option).unwrap_or_default();
        }
        Ok(opened)
    }

    /// Lets one message (a whole rule set) be as long as `send` bytes, and lets `receive` bytes of
    /// notifications wait to be read.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`.
    pub fn set_buffers(&self, send: usize, receive: usize) -> io::Result<()> {
        setsockopt(&self.socket, SndBufForce, &send)?;
        setsockopt(&self.socket, RcvBufForce, &receive)?;
        Ok(())
    }

    /// The port id of the socket: the sender that notifications of its own changes carry.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn port(&self) -> io::Result<u32> {
        Ok(getsockname::<NetlinkAddr>(self.socket.as_raw_fd())?.pid())
    }

    /// Sends `messages` in one piece.
    ///
    /// # Errors
    /// If they are larger than the send buffer, or the kernel does not take them.
    pub fn send(&self, messages: &[u8]) -> io::Result<()> {
        let sent = send(self.socket.as_raw_fd(), messages, MsgFlags::empty())?;
        if sent == messages.len() {
            Ok(())
        } else {
            Err(io::Error::other("the kernel took a part of a netlink message"))
        }
    }

    /// Reads one datagram of answers into `buffer` and returns its length.
    ///
    /// # Errors
    /// `WouldBlock` when nothing waits, `ENOBUFS` when notifications were lost, or when the datagram
    /// is longer than `buffer`.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC)?;
        if length <= buffer.len() {
            Ok(length)
        } else {
            Err(io::Error::other("a netlink answer is longer than the buffer for it"))
        }
    }

    /// Makes the socket one that tokio waits for.
    ///
    /// # Errors
    /// If tokio cannot wait for it.
    pub fn into_async(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: the socket owns its descriptor from `open` to `drop` and never changes or closes it.
        let registered = unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) };
        registered.map_err(io::Error::from)
    }

    fn turn_on(&self, option: libc::c_int) -> io::Result<()> {
        let on: libc::c_int = 1;
        // SAFETY: the descriptor is open, and the pointer and the length are those of `on`.
        let result = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_NETLINK,
                option,
                (&raw const on).cast(),
                libc::socklen_t::try_from(size_of_val(&on)).unwrap_or_default(),
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for NetlinkSocket {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}
