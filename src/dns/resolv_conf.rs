//! Which servers the host asks: `/etc/resolv.conf`, read again whenever it changed.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// As many servers as the C library looks at (`MAXNS` in `resolv.h`).
pub(super) const MAX_SERVERS: usize = 3;

/// Where systemd-resolved writes the servers that its own stub asks.
const BEHIND_THE_STUB: &str = "/run/systemd/resolve/resolv.conf";

/// The longest file that is read.
const MAX_SIZE: u64 = 64 << 10;

const PORT: u16 = 53;

/// The host's servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Servers {
    /// Asked in this order.
    pub(super) first: Vec<SocketAddr>,
    /// Asked if none of the first is there at all: what is behind systemd-resolved, should it be
    /// dead.
    pub(super) spare: Vec<SocketAddr>,
}

/// What tells one state of a file from another without reading it.
type Mark = Option<(u64, u64, i64, i64, u64)>;

/// The file, and what it said when it was last read.
#[derive(Debug)]
pub(super) struct ResolvConf {
    path: PathBuf,
    read: Mutex<Option<(Mark, Arc<Servers>)>>,
}

impl ResolvConf {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::new(None) }
    }

    /// The servers as the file names them now. Looking at its state costs a microsecond, needs no
    /// watch, and also notices a symbolic link that points elsewhere.
    pub(super) fn servers(&self) -> Arc<Servers> {
        let mark = mark(&self.path);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, servers)) = &*read
            && *seen == mark
        {
            return Arc::clone(servers);
        }
        let servers = Arc::new(load(&self.path));
        tracing::debug!(?servers, path = %self.path.display(), "read the host's name servers");
        *read = Some((mark, Arc::clone(&servers)));
        servers
    }
}

fn mark(path: &Path) -> Mark {
    let meta = fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size()))
}

fn load(path: &Path) -> Servers {
    let mut first = read(path).map(|text| parse(&text)).unwrap_or_default();
    if first.is_empty() {
        // What the C library does without a name server (resolv.conf(5)).
        first.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    let is_stub = first.iter().all(|server| is_resolved_stub(server.ip()));
    let spare = if is_stub {
        read(Path::new(BEHIND_THE_STUB)).map(|text| parse(&text)).unwrap_or_default()
    } else {
        Vec::new()
    };
    Servers { first, spare }
}

fn read(path: &Path) -> Option<String> {
    if fs::metadata(path).ok()?.len() > MAX_SIZE {
        tracing::warn!(path = %path.display(), "too long for a list of name servers: not read");
        return None;
    }
    Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned())
}

fn is_resolved_stub(address: IpAddr) -> bool {
    [Ipv4Addr::new(127, 0, 0, 53), Ipv4Addr::new(127, 0, 0, 54)].iter().any(|stub| address == *stub)
}

/// The first servers that `text` names. A line that is not understood is passed over, as the C
/// library does.
fn parse(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver")).then(|| words.next()).flatten()
        })
        .filter_map(server)
        .take(MAX_SERVERS)
        .collect()
}

/// `192.0.2.1`, `2001:db8::1`, or `fe80::1%eth0`.
fn server(word: &str) -> Option<SocketAddr> {
    let Some((address, zone)) = word.split_once('%') else {
        return Some(SocketAddr::new(word.parse().ok()?, PORT));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let scope = zone.parse().ok().or_else(|| nix::net::if_::if_nametoindex(zone).ok())?;
    Some(SocketAddrV6::new(address, PORT, 0, scope).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let got: Vec<_> = parse(text).iter().map(ToString::to_string).collect();
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn servers_are_read_as_the_c_library_reads_them() {
        check("", &[]);
        check("nameserver 192.0.2.1\n", &["192.0.2.1:53"]);
        check("# x\n;y\nsearch a\nnameserver\t192.0.2.1 # c\n", &["192.0.2.1:53"]);
        check("nameserver 2001:db8::1\nnameserver ::1", &["[2001:db8::1]:53", "[::1]:53"]);
        check("nameserver fe80::1%lo\n", &["[fe80::1%1]:53"]);
        check("nameserver fe80::1%no-such-link\n", &[]);
        check("nameserver\nnameserver x\nnameservers 192.0.2.1\n", &[]);
        check("nameserver 192.0.2.1\n".repeat(9).as_str(), &["192.0.2.1:53"; 3]);
    }

    #[test]
    fn a_file_that_changes_or_goes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        let conf = ResolvConf::new(path.clone());
        let first = |conf: &ResolvConf| conf.servers().first[0].to_string();
        assert_eq!(first(&conf), "127.0.0.1:53");
        fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
        assert_eq!(first(&conf), "192.0.2.1:53");
        let next = dir.path().join("next");
        fs::write(&next, "nameserver 192.0.2.2\n").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(first(&conf), "192.0.2.2:53");
        fs::remove_file(&path).unwrap();
        assert_eq!(first(&conf), "127.0.0.1:53");
    }
}
