//! The network helper as a process: started by a client, killed, replaced, stopped.

#![expect(clippy::unwrap_used, reason = "all of this file is tests, and their hands")]

use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orca::model::{
    DNS_ADDRESS, DNS_PORT, DnsSandbox, DnsTable, HeldPort, Instance, NetdState, Protocol, TaskId,
};
use orca::netd::{Client, NetdError};
use orca::sys::netns::in_netns;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// The program, by a file that is opened before the test's own file systems hide where it was built.
fn orca() -> PathBuf {
    static PROGRAM: OnceLock<File> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| File::open(env!("CARGO_BIN_EXE_orca")).unwrap());
    format!("/proc/self/fd/{}", program.as_raw_fd()).into()
}

/// A host of its own: network and mount namespaces that end with the test, and a helper that does
/// too.
struct Host {
    dir: tempfile::TempDir,
    instance: Instance,
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            kill(pid, Signal::SIGKILL).ok();
        }
    }
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance { root: dir.path().join("root"), run: dir.path().join("run") };
        Self { dir, instance }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.instance.run.join(name)
    }

    async fn client(&self) -> Client {
        Client::connect_or_start(&self.instance, &orca()).await.unwrap()
    }

    /// The helper's process, as its last log line of the kind tells.
    fn pid(&self) -> Option<Pid> {
        let log = std::fs::read_to_string(self.file("netd.log")).ok()?;
        let (_, after) = log.rsplit_once("pid=")?;
        after.split_whitespace().next()?.parse().ok().map(Pid::from_raw)
    }

    fn kill(&self, signal: Signal) {
        let pid = self.pid().expect("a helper runs");
        kill(pid, signal).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while Path::new(&format!("/proc/{pid}")).exists() {
            assert!(Instant::now() < deadline, "{pid} does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn files(&self) -> Vec<String> {
        let Ok(dir) = self.instance.run.read_dir() else { return Vec::new() };
        let mut names: Vec<_> =
            dir.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn on_new_host<F: Future<Output = ()>>(work: impl FnOnce(Host) -> F + Send + 'static) {
    let test = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        orca();
        // Of its own, so that namespaces bound to files there are gone with the files.
        let temporary = std::env::temp_dir();
        mount(none, &temporary, Some("tmpfs"), MsFlags::empty(), none).unwrap();
        lo_up();
        runtime().block_on(work(Host::new()));
    });
    if let Err(panic) = test.join() {
        std::panic::resume_unwind(panic);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn lo_up() {
    runtime().block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        let connection = tokio::spawn(connection);
        let lo = rtnetlink::LinkUnspec::new_with_index(1).up().build();
        handle.link().set(lo).execute().await.unwrap();
        connection.abort();
    });
}

fn new_netns(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, "").unwrap();
    let target = path.clone();
    let made = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let none = None::<&str>;
        mount(Some("/proc/thread-self/ns/net"), &target, none, MsFlags::MS_BIND, none).unwrap();
        lo_up();
    });
    made.join().unwrap();
    path
}

/// One sandbox in which `web` has `address`, and port 8080 held.
fn state(generation: u64, netns: &Path, address: &str) -> NetdState {
    let sandbox = DnsSandbox {
        netns: netns.to_owned(),
        names: [("web".to_owned(), vec![address.parse().unwrap()])].into(),
        ..DnsSandbox::default()
    };
    NetdState {
        dns: DnsTable {
            generation,
            sandboxes: [(TaskId(7), sandbox)].into(),
            ..DnsTable::default()
        },
        ports: [HeldPort { host_ip: None, port: 8080, protocol: Protocol::Tcp }].into(),
        ..NetdState::default()
    }
}

/// The address of `web` as the resolver in `netns` gives it.
fn web(netns: &Path) -> Result<IpAddr, ErrorKind> {
    let exchange = || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(SocketAddr::from((DNS_ADDRESS, DNS_PORT)))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut question = Message::new(1, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(Name::from_ascii("web.").unwrap(), RecordType::A));
        socket.send(&question.to_vec().unwrap())?;
        let mut reply = [0; 512];
        let length = socket.recv(&mut reply)?;
        Ok(Message::from_vec(&reply[..length]).unwrap())
    };
    let reply = in_netns(netns, exchange).map_err(|error| error.kind())?;
    Ok(reply.answers[0].data.ip_addr().unwrap())
}

fn is_held() -> bool {
    std::net::TcpListener::bind("127.0.0.1:8080").is_err()
}

#[test]
fn a_helper_is_started_once_and_serves_all_who_ask() {
    on_new_host(|host| async move {
        let netns = new_netns(host.dir.path(), "one");
        let client = host.client().await;
        let first = host.pid();
        let report = client.put(&state(3, &netns, "10.0.0.2")).await.unwrap();
        assert_eq!((report.generation, report.refused.len(), report.failed.len()), (3, 0, 0));
        assert_eq!(web(&netns), Ok("10.0.0.2".parse().unwrap()));
        assert!(is_held());
        let other = host.client().await;
        assert_eq!(other.get().await.unwrap(), report);
        assert_eq!(host.pid(), first);
    });
}

#[test]
fn clients_that_start_at_the_same_moment_share_one_helper() {
    on_new_host(|host| async move {
        let (one, two, three) = tokio::join!(host.client(), host.client(), host.client());
        let netns = new_netns(host.dir.path(), "one");
        one.put(&state(9, &netns, "10.0.0.2")).await.unwrap();
        assert_eq!(two.get().await.unwrap().generation, 9);
        assert_eq!(three.get().await.unwrap().generation, 9);
    });
}

#[test]
fn a_helper_that_was_killed_goes_on_from_its_file() {
    on_new_host(|host| async move {
        let (one, gone) = (new_netns(host.dir.path(), "one"), new_netns(host.dir.path(), "gone"));
        let client = host.client().await;
        let mut both = state(3, &one, "10.0.0.2");
        let other = DnsSandbox { netns: gone.clone(), ..DnsSandbox::default() };
        both.dns.sandboxes.insert(TaskId(8), other);
        assert_eq!(client.put(&both).await.unwrap().failed.len(), 0);
        host.kill(Signal::SIGKILL);
        assert_eq!(web(&one), Err(ErrorKind::ConnectionRefused));
        assert!(!is_held());
        nix::mount::umount(&gone).unwrap();
        // The old line is broken; the client finds a new helper by itself.
        let report = client.get().await.unwrap();
        assert_eq!((report.generation, report.failed.len()), (3, 0));
        assert_eq!(web(&one), Ok("10.0.0.2".parse().unwrap()));
        assert!(is_held());
        let report = client.put(&state(4, &one, "10.0.0.3")).await.unwrap();
        assert_eq!(report.generation, 4);
        assert_eq!(web(&one), Ok("10.0.0.3".parse().unwrap()));
    });
}

#[test]
fn a_client_hears_when_the_helper_ends() {
    on_new_host(|host| async move {
        let client = host.client().await;
        let wait = tokio::time::timeout(Duration::from_millis(50), client.gone()).await;
        wait.unwrap_err();
        let (_, ()) = tokio::join!(
            async {
                let wait = tokio::time::timeout(Duration::from_secs(5), client.gone()).await;
                wait.expect("the end is heard");
            },
            async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                host.kill(Signal::SIGKILL);
            }
        );
        // Nothing runs: nothing to wait for.
        client.gone().await;
    });
}

#[test]
fn sigterm_keeps_the_state_and_stop_leaves_nothing() {
    on_new_host(|host| async move {
        let netns = new_netns(host.dir.path(), "one");
        let client = host.client().await;
        client.put(&state(3, &netns, "10.0.0.2")).await.unwrap();
        host.kill(Signal::SIGTERM);
        assert_eq!(host.files(), ["netd.json", "netd.lock", "netd.log"]);
        assert_eq!(client.get().await.unwrap().generation, 3);
        Client::stop(&host.instance).await.unwrap();
        assert_eq!(host.files(), [] as [&str; 0]);
        assert_eq!(web(&netns), Err(ErrorKind::ConnectionRefused));
        assert!(!is_held());
        Client::stop(&host.instance).await.unwrap();
        assert_eq!(client.get().await.unwrap().generation, 0);
        host.kill(Signal::SIGKILL);
        Client::stop(&host.instance).await.unwrap();
        assert_eq!(host.files(), [] as [&str; 0]);
    });
}

/// The daemon talks to its helper until it ends it, and once more after that.
#[test]
fn a_client_that_is_closed_does_not_bring_back_a_helper_that_was_stopped() {
    on_new_host(|host| async move {
        let client = host.client().await;
        client.close();
        client.put(&NetdState::default()).await.unwrap();
        Client::stop(&host.instance).await.unwrap();
        let refused = client.put(&NetdState::default()).await.unwrap_err();
        assert!(matches!(refused, NetdError::Closed), "{refused}");
        assert_eq!(host.files(), [] as [&str; 0]);
    });
}

#[test]
fn a_state_that_cannot_be_read_is_no_reason_not_to_start() {
    on_new_host(|host| async move {
        std::fs::create_dir_all(&host.instance.run).unwrap();
        for text in ["", "{", "7", "{\"dns\": 7}", "\0\u{7f}"] {
            std::fs::write(host.file("netd.json"), text).unwrap();
            assert_eq!(host.client().await.get().await.unwrap().generation, 0, "{text:?}");
            host.kill(Signal::SIGKILL);
        }
    });
}

#[test]
fn nonsense_on_the_socket_is_refused_and_does_no_harm() {
    on_new_host(|host| async move {
        let client = host.client().await;
        let frame = |length: u32, version: u16, code: u16, body: &[u8]| {
            let head = [&length.to_be_bytes()[..], &version.to_be_bytes(), &code.to_be_bytes()];
            [&head.concat()[..], body].concat()
        };
        // The frame, and the status of the answer; `None` if the line is cut.
        let cases: [(Vec<u8>, Option<u16>); 7] = [
            (frame(0, 1, 99, b""), Some(1)),
            (frame(4, 1, 1, b"{\"a\""), Some(1)),
            (frame(1, 1, 1, b"7"), Some(1)),
            (frame(0, 1, 1, b""), Some(1)),
            (frame(0, 2, 2, b""), Some(2)),
            (frame(u32::MAX, 1, 1, b""), None),
            (frame(2, 1, 2, b"{}"), Some(0)),
        ];
        for (bytes, expected) in cases {
            let mut stream = UnixStream::connect(host.file("netd.sock")).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            let mut head = [0; 8];
            let status = match stream.read_exact(&mut head).await {
                Ok(_) => Some(u16::from_be_bytes([head[6], head[7]])),
                Err(_) => None,
            };
            assert_eq!(status, expected, "{bytes:?}");
        }
        // Lines that say nothing do not keep others away.
        let mut idle = Vec::new();
        for _ in 0..8 {
            idle.push(UnixStream::connect(host.file("netd.sock")).await.unwrap());
        }
        client.get().await.unwrap();
    });
}

#[test]
fn only_the_owner_and_root_may_speak() {
    use std::os::unix::fs::PermissionsExt as _;
    on_new_host(|host| async move {
        let _client = host.client().await;
        let mode = std::fs::metadata(host.file("netd.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // Even where somebody opened the files up.
        let open = |path: &Path| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        };
        open(&host.file("netd.sock"));
        open(&host.instance.run);
        open(host.dir.path());
        let socket = host.file("netd.sock");
        for (user, expected) in [(0, Some(0)), (65534, None)] {
            assert_eq!(status_for(user, socket.clone()).await, expected, "user {user}");
        }
    });
}

#[test]
fn who_has_a_port_is_named_with_its_process() {
    on_new_host(|host| async move {
        let client = host.client().await;
        let squatter = std::net::TcpListener::bind("0.0.0.0:8080").unwrap();
        let netns = new_netns(host.dir.path(), "one");
        let wanted = state(1, &netns, "10.0.0.2");
        let report = client.put(&wanted).await.unwrap();
        let name = std::fs::read_to_string("/proc/self/comm").unwrap();
        let us = format!("{} (pid {})", name.trim(), std::process::id());
        let port = HeldPort { host_ip: None, port: 8080, protocol: Protocol::Tcp };
        assert_eq!(report.refused, [(port, format!("address already in use by {us}"))]);
        drop(squatter);
        assert_eq!(client.put(&wanted).await.unwrap().refused, []);
    });
}

#[test]
fn a_helper_of_another_version_is_replaced() {
    on_new_host(|host| async move {
        std::fs::create_dir_all(&host.instance.run).unwrap();
        let socket = host.file("netd.sock");
        let old = tokio::net::UnixListener::bind(&socket).unwrap();
        let old = tokio::spawn(async move {
            loop {
                let (mut stream, _) = old.accept().await.unwrap();
                let mut head = [0; 8];
                stream.read_exact(&mut head).await.unwrap();
                if head[7] == 3 {
                    std::fs::remove_file(socket).unwrap();
                    return;
                }
                // Version 9, and: no other.
                stream.write_all(&[0, 0, 0, 0, 0, 9, 0, 2]).await.unwrap();
            }
        });
        let client = host.client().await;
        old.await.unwrap();
        assert_eq!(client.get().await.unwrap().generation, 0);
    });
}

/// The status of the answer that a process of `user` gets; `None` if it is turned away.
async fn status_for(user: u32, socket: PathBuf) -> Option<u16> {
    // The thread alone changes its identity, and ends.
    let connect = thread::spawn(move || {
        rustix::thread::set_thread_uid(rustix::thread::Uid::from_raw(user)).unwrap();
        let stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    });
    let mut stream = UnixStream::from_std(connect.join().unwrap()).unwrap();
    stream.write_all(&[0, 0, 0, 0, 0, 1, 0, 2]).await.ok()?;
    let mut head = [0; 8];
    stream.read_exact(&mut head).await.ok()?;
    Some(u16::from_be_bytes([head[6], head[7]]))
}

#[test]
fn a_program_that_is_no_helper_is_an_error_with_the_place_of_its_log() {
    on_new_host(|host| async move {
        let missing = Client::connect_or_start(&host.instance, Path::new("/no/such/orca")).await;
        let error = missing.unwrap_err().to_string();
        assert_eq!(error, "cannot start the network helper (`/no/such/orca netd`)");
        let wrong = Client::connect_or_start(&host.instance, Path::new("/bin/true")).await;
        let error = wrong.unwrap_err().to_string();
        assert!(error.contains("does not start") && error.contains("netd.log"), "{error}");
    });
}
