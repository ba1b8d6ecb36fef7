//! Attempts to reach over the network what is not the container's.

use std::ffi::c_long;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::time::Duration;

use super::attempts::{Attempt, Target, number};

const WAIT: Duration = Duration::from_secs(2);

fn connect(address: &str) -> Attempt {
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    let mut text = [0; 64];
    let length = stream.read(&mut text)?;
    Ok(String::from_utf8_lossy(&text[..length]).into_owned())
}

pub(crate) fn reach_the_hosts_loopback(target: &Target) -> Attempt {
    connect(&format!("127.0.0.1:{}", target.get("port")))
}

pub(crate) fn reach_another_network(target: &Target) -> Attempt {
    connect(target.get("victim"))
}

pub(crate) fn reach_an_abstract_socket(target: &Target) -> Attempt {
    let address = UnixAddr::from_abstract_name(target.get("abstract"))?;
    let mut stream = UnixStream::connect_addr(&address)?;
    stream.write_all(b"x")?;
    Ok("connected".to_owned())
}

pub(crate) fn reach_the_hypervisor(_: &Target) -> Attempt {
    const AF_VSOCK: i32 = 40;
    number(c_long::from(unsafe { libc::socket(AF_VSOCK, libc::SOCK_STREAM, 0) }))
}

/// Asks the resolver for the name of a service that shares no network with this one.
pub(crate) fn learn_a_name(target: &Target) -> Attempt {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(WAIT))?;
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in target.get("name").split('.') {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    socket.send_to(&question, "127.0.0.11:53")?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    match (length, answer[3] & 15, u16::from_be_bytes([answer[6], answer[7]])) {
        (12.., 0, 1..) => Ok("it has an address".to_owned()),
        (_, code, _) => Err(io::Error::other(format!("answered with code {code}"))),
    }
}

/// One message of rtnetlink or nfnetlink, and the error it is answered with.
fn netlink(family: i32, message: &[u8]) -> Attempt {
    let socket = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, family) };
    number(c_long::from(socket))?;
    let sent = unsafe { libc::send(socket, message.as_ptr().cast(), message.len(), 0) };
    number(c_long::try_from(sent).unwrap())?;
    let mut answer = [0_u8; 1024];
    let got = unsafe { libc::recv(socket, answer.as_mut_ptr().cast(), answer.len(), 0) };
    number(c_long::try_from(got).unwrap())?;
    match i32::from_ne_bytes(answer[16..20].try_into().unwrap()) {
        0 => Ok("done".to_owned()),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

/// Length, kind, flags (a request that is answered), number and sender in front of `body`.
fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&(flags | 5).to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(body);
    message
}

pub(crate) fn make_a_link(_: &Target) -> Attempt {
    // A dummy link whose name is too long to be made: the right is asked for first.
    let mut body = vec![0; 16];
    let name = b"a-name-that-is-too-long-for-a-link\0\0";
    body.extend_from_slice(&u16::try_from(4 + name.len()).unwrap().to_ne_bytes());
    body.extend_from_slice(&3_u16.to_ne_bytes());
    body.extend_from_slice(name);
    match netlink(libc::NETLINK_ROUTE, &message(16, 0x600, &body)) {
        Err(error) if error.raw_os_error() != Some(libc::EPERM) => Ok(error.to_string()),
        answer => answer,
    }
}

pub(crate) fn set_a_link_down(_: &Target) -> Attempt {
    // Link 1 is `lo`; nothing of it is asked to change.
    let mut body = vec![0; 16];
    body[4..8].copy_from_slice(&1_i32.to_ne_bytes());
    netlink(libc::NETLINK_ROUTE, &message(16, 0, &body))
}

pub(crate) fn change_the_rules(_: &Target) -> Attempt {
    const NETLINK_NETFILTER: i32 = 12;
    // NFT_MSG_DELTABLE of a table that is not there, outside a batch: refused for either reason.
    let mut body = vec![2, 0, 0, 0];
    body.extend_from_slice(&[10, 0, 1, 0]);
    body.extend_from_slice(b"probe\0\0\0");
    match netlink(NETLINK_NETFILTER, &message((10 << 8) | 1, 0, &body)) {
        Err(error) if error.raw_os_error() != Some(libc::EPERM) => Ok(error.to_string()),
        answer => answer,
    }
}
