//! Who has a port that we want: from `/proc`, as `ss -p` finds it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::model::Protocol;

/// A socket that the kernel lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    local: SocketAddr,
    is_listening: bool,
    inode: u64,
}

/// The state of a TCP socket that listens, and of a UDP socket that is not connected
/// (`include/net/tcp_states.h`).
const TCP_LISTEN: u8 = 0x0a;
const UDP_UNCONNECTED: u8 = 0x07;

/// Who holds `address`: `nginx (pid 812)`. `None` if it is not to be seen.
pub fn holder(protocol: Protocol, address: SocketAddr) -> Option<String> {
    let files = match protocol {
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
        Protocol::Sctp => return None,
    };
    let mut entries: Vec<Entry> = files
        .iter()
        // Of this thread, because network namespaces belong to threads.
        .filter_map(|file| fs::read_to_string(Path::new("/proc/thread-self/net").join(file)).ok())
        .flat_map(|text| text.lines().skip(1).filter_map(entry).collect::<Vec<_>>())
        .filter(|entry| in_the_way(entry.local, address))
        .collect();
    entries.sort_by_key(|entry| !entry.is_listening);
    let entry = entries.first()?;
    match process_with(entry.inode) {
        Some((_, pid)) if pid == std::process::id() => Some("another published port".to_owned()),
        Some((name, pid)) => Some(format!("{name} (pid {pid})")),
        None if entry.inode == 0 => Some("a connection that is ending".to_owned()),
        None => Some("a process that cannot be seen from here".to_owned()),
    }
}

/// Whether a socket at `local` keeps others from `wanted`.
fn in_the_way(local: SocketAddr, wanted: SocketAddr) -> bool {
    let (theirs, ours) = (local.ip().to_canonical(), wanted.ip().to_canonical());
    let overlap = if theirs.is_ipv4() == ours.is_ipv4() {
        theirs == ours || theirs.is_unspecified() || ours.is_unspecified()
    } else {
        // `[::]` may take IPv4 too; which of them do is not shown.
        theirs == Ipv6Addr::UNSPECIFIED
    };
    local.port() == wanted.port() && overlap
}

/// Reads a line of `/proc/net/tcp` and its like (proc_net_tcp(5)).
fn entry(line: &str) -> Option<Entry> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let state = u8::from_str_radix(fields.get(3)?, 16).ok()?;
    Some(Entry {
        local: SocketAddr::new(self::address(address)?, port),
        is_listening: matches!(state, TCP_LISTEN | UDP_UNCONNECTED),
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Addresses are shown as words of four bytes, each in the machine's order.
fn address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok();
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?.to_ne_bytes()).into()),
        32 => {
            let mut bytes = [0; 16];
            for (n, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(n * 8)?.to_ne_bytes());
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

/// The name and id of a process that has the socket `inode` open.
fn process_with(inode: u64) -> Option<(String, u32)> {
    let link = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|dir| {
        let pid: u32 = dir.file_name().to_str()?.parse().ok()?;
        let open = fs::read_dir(dir.path().join("fd")).ok()?;
        open.flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == &*link))
            .then(|| (name_of(&dir.path()), pid))
    })
}

fn name_of(process: &Path) -> String {
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() { "a process".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let v4 = "   0: 0B00007F:4E55 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 52757 1 x";
        let v6 = "   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 9 1";
        let first = entry(v4).unwrap();
        assert_eq!(first.local.to_string(), "127.0.0.11:20053");
        assert_eq!((first.is_listening, first.inode), (true, 52757));
        assert_eq!(entry(v6).unwrap().local.to_string(), "[::1]:80");
        for broken in ["", "0:", "0: x", "0: 0B00007F", "0: 0B00007F:4E55 x zz", "0: 0B:1 x 0A"] {
            assert_eq!(entry(broken), None, "{broken}");
        }
    }

    #[test]
    fn an_address_is_in_the_way_of_itself_and_of_all_addresses() {
        let check =
            |theirs: &str, ours: &str| in_the_way(theirs.parse().unwrap(), ours.parse().unwrap());
        for (theirs, ours) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "0.0.0.0:80"),
            ("[::]:80", "127.0.0.1:80"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
            ("[::1]:80", "[::]:80"),
        ] {
            assert!(check(theirs, ours), "{theirs} {ours}");
        }
        for (theirs, ours) in [
            ("127.0.0.1:81", "127.0.0.1:80"),
            ("127.0.0.2:80", "127.0.0.1:80"),
            ("[::1]:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "[::]:80"),
        ] {
            assert!(!check(theirs, ours), "{theirs} {ours}");
        }
    }
}
