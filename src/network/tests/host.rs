//! A host to test on: a network namespace of its own, with a neighbour outside.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ipnet::IpNet;
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

use crate::model::{
    Bridge, Instance, Interface, NetworkTable, Protocol, Publication, Sandbox, TaskId,
};
use crate::network::link::{self, NewBridge, NewVeth};
use crate::network::netlink::{Batch, Connection};
use crate::network::{Networks, address, files_of_sandboxes, namespace, route, sysctl};
use crate::sys::netlink::NetlinkFamily;
use crate::sys::netns::in_netns;

/// How long a test waits for something that comes at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long a test waits for something that should not come.
pub(super) const NOTHING: Duration = Duration::from_millis(300);

pub(super) struct Host {
    directory: PathBuf,
    pub(super) networks: Networks,
}

/// Runs `test` on a host of its own. `bridged_frames` says whether bridged frames pass the rules of the
/// host, which is so where docker runs.
pub(super) fn on_a_host<F: Future<Output = ()>>(
    bridged_frames: bool,
    test: impl FnOnce(Host) -> F + Send,
) {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let value = if bridged_frames { "1" } else { "0" };
            sysctl::set_if_there("net/bridge/bridge-nf-call-iptables", value).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let files = Files(tempfile::tempdir().unwrap());
                let directory = files.0.path().to_owned();
                connect_neighbour(&directory.join("outside"));
                let networks = Networks::open(&instance(&directory, "one")).await.unwrap();
                test(Host { directory, networks }).await;
            });
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// The directory of a test, without the namespaces in it when it goes.
struct Files(TempDir);

impl Drop for Files {
    fn drop(&mut self) {
        namespace::remove(&self.0.path().join("outside")).unwrap_or_default();
        for name in ["one", "two"] {
            let directory = instance(self.0.path(), name).run.join("netns");
            for path in files_of_sandboxes(&directory).unwrap_or_default().values() {
                namespace::remove(path).unwrap_or_default();
            }
        }
    }
}

pub(super) fn instance(directory: &Path, name: &str) -> Instance {
    Instance { root: directory.join(name), run: directory.join(name).join("run") }
}

/// A LAN (`ext0`) with the host and a neighbour in it. The neighbour sends to containers through the
/// host, as somebody who wants in would.
fn connect_neighbour(path: &Path) {
    let host = Connection::open(NetlinkFamily::Route).unwrap();
    let mut batch = Batch::new();
    link::set_up(&mut batch, 1);
    link::add_bridge(
        &mut batch,
        &NewBridge { name: "ext0", address: [2, 0, 0, 0, 0, 1], mtu: 1500, group: 0 },
    );
    host.send(&batch).unwrap();
    let bridge = index(&host, "ext0");
    neighbour(path, &host, bridge, "ext0-out", ["198.51.100.1/24", "198.51.100.9/24"]);
}

/// Somebody in the LAN `bridge` of the host: the host and he have these addresses.
pub(super) fn neighbour(
    path: &Path,
    host: &Connection,
    bridge: u32,
    name: &str,
    [ours, his]: [&str; 2],
) {
    namespace::make(path, None, |namespace| {
        let mut batch = Batch::new();
        let ours: IpNet = ours.parse().unwrap();
        address::add(&mut batch, bridge, ours);
        let veth = NewVeth {
            name,
            alias: "",
            bridge,
            group: 0,
            mtu: 1500,
            inside: "eth0",
            address: [2, 0, 0, 0, 0, 9],
            namespace: std::os::fd::AsRawFd::as_raw_fd(namespace),
        };
        link::add_veth(&mut batch, &veth);
        host.send(&batch).unwrap();
        let inside = Connection::open(NetlinkFamily::Route).unwrap();
        let eth0 = index(&inside, "eth0");
        let mut batch = Batch::new();
        link::set_up(&mut batch, 1);
        address::add(&mut batch, eth0, his.parse().unwrap());
        link::set_up(&mut batch, eth0);
        route::set_default(&mut batch, ours.addr(), eth0);
        inside.send(&batch).unwrap();
        Ok(())
    })
    .unwrap();
}

fn index(connection: &Connection, name: &str) -> u32 {
    link::links(connection).unwrap().iter().find(|link| link.name == name).unwrap().index
}

impl Host {
    /// The namespace of the neighbour.
    pub(super) fn outside(&self) -> PathBuf {
        self.directory.join("outside")
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Another instance of orca on the same host.
    pub(super) async fn other_instance(&self) -> Networks {
        Networks::open(&instance(&self.directory, "two")).await.unwrap()
    }

    /// The same instance after the process was killed and started again.
    pub(super) async fn again(&self) -> Networks {
        Networks::open(&instance(&self.directory, "one")).await.unwrap()
    }

    /// Makes a sandbox in `network` with this address.
    pub(super) async fn sandbox(&self, task: u64, network: &str, address: &str) -> PathBuf {
        self.networks.ensure_sandbox(&sandbox(task, network, address)).await.unwrap()
    }
}

pub(super) fn sandbox(task: u64, network: &str, address: &str) -> Sandbox {
    Sandbox {
        task: TaskId(task),
        users: Some(crate::model::IdMaps::numbered(1)),
        interfaces: vec![Interface {
            network: network.to_owned(),
            address: address.parse().unwrap(),
            address6: None,
            mac: None,
            name: None,
        }],
        sysctls: std::collections::BTreeMap::new(),
    }
}

/// The network `10.<number>.0.0/24`, and whether it is internal.
pub(super) fn bridge(name: &str, number: u8, internal: bool) -> Bridge {
    Bridge {
        name: name.to_owned(),
        subnet: format!("10.{number}.0.0/24").parse().unwrap(),
        gateway: Ipv4Addr::new(10, number, 0, 1),
        subnet6: None,
        internal,
        mtu: None,
    }
}

/// `front` (10.1.0.0/24), `other` (10.2.0.0/24) and `inner` (10.3.0.0/24, internal), with these
/// published ports.
pub(super) fn table(publications: Vec<Publication>) -> NetworkTable {
    let bridges = [bridge("front", 1, false), bridge("other", 2, false), bridge("inner", 3, true)];
    NetworkTable {
        bridges: bridges.into_iter().map(|bridge| (bridge.name.clone(), bridge)).collect(),
        publications,
    }
}

/// A port published at every address, for these backends.
pub(super) fn published(port: u16, protocol: Protocol, backends: &[&str]) -> Publication {
    let backend = |text: &&str| {
        let address: std::net::SocketAddrV4 = text.parse().unwrap();
        (*address.ip(), address.port())
    };
    Publication {
        host_ip: None,
        host_port: port,
        protocol,
        backends: backends.iter().map(backend).collect(),
        owner: "shop/web".to_owned(),
    }
}

/// A server that tells each client its own name and the client's address. Ends when dropped.
pub(super) struct Server {
    stop: Arc<AtomicBool>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

impl Server {
    /// Over TCP, in the namespace at `path` or on the host.
    pub(super) fn tcp(path: Option<&Path>, address: &str, name: &str) -> Self {
        let listener = at(path, || TcpListener::bind(address)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let name = name.to_owned();
        Self::serve(move || match listener.accept() {
            Ok((mut stream, from)) => {
                stream.set_nonblocking(false).unwrap();
                write!(stream, "{name} {}", from.ip()).unwrap_or_default();
            }
            Err(_) => thread::sleep(Duration::from_millis(1)),
        })
    }

    /// Over UDP.
    pub(super) fn udp(path: Option<&Path>, address: &str, name: &str) -> Self {
        let socket = at(path, || UdpSocket::bind(address)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let name = name.to_owned();
        Self::serve(move || {
            if let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
                socket.send_to(format!("{name} {}", from.ip()).as_bytes(), from).unwrap();
            }
        })
    }

    fn serve(mut step: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                step();
            }
        });
        Self { stop }
    }
}

/// What the TCP server at `address` says to a client in the namespace at `path`, or on the host.
pub(super) fn ask(path: Option<&Path>, address: &str, patience: Duration) -> io::Result<String> {
    let address: SocketAddr = address.parse().unwrap();
    let mut stream = at(path, || TcpStream::connect_timeout(&address, patience))?;
    stream.set_read_timeout(Some(patience))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A UDP socket in the namespace at `path`, or on the host.
pub(super) fn datagram_client(path: Option<&Path>, address: &str) -> UdpSocket {
    let socket = at(path, || UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.connect(address).unwrap();
    socket
}

/// What the UDP server says to a client.
pub(super) fn ask_datagram(socket: &UdpSocket, patience: Duration) -> io::Result<String> {
    socket.set_read_timeout(Some(patience))?;
    socket.send(b"?")?;
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn at<T: Send>(path: Option<&Path>, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    match path {
        Some(path) => in_netns(path, work),
        None => work(),
    }
}
