//! Shims of other builds: a daemon that was replaced finds them, commands them, and never has anything
//! misread. The peers here speak the packets as they were recorded, not with this build's code.

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, accept, bind, listen, recv,
    send, socket,
};
use orca::model::ContainerId;
use orca::runtime::{ContainerPhase, ExecRequest};

use super::bed::{Bed, open};

/// A record as an earlier build wrote it.
const RECORD: &str = include_str!("recorded/container.json");

/// What stands in front of each packet.
const HEAD: &[u8] = b"orca\x01";

/// A shim of another build, with a program of its own.
struct Peer {
    id: ContainerId,
    program: Child,
    listener: OwnedFd,
    lock: File,
    dir: std::path::PathBuf,
}

impl Peer {
    fn new(bed: &Bed) -> Self {
        let id: ContainerId = "5".repeat(64).parse().unwrap();
        let dir = bed.instance.run.join("c").join(id.as_str());
        std::fs::create_dir_all(dir.join("root")).unwrap();
        let record = RECORD
            .replace("THE-ID", id.as_str())
            .replace("THE-LOG", bed.dir.path().join("log").to_str().unwrap());
        std::fs::write(dir.join("container.json"), record).unwrap();
        let program = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = program.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let made = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap();
        std::fs::write(dir.join("started"), format!("{pid} {made} 1000000\n")).unwrap();
        std::fs::write(dir.join("exit.new"), " ".repeat(4096)).unwrap();
        let lock = File::create(dir.join("lock")).unwrap();
        lock.lock().unwrap();
        let listener =
            socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(&dir.join("shim.sock")).unwrap()).unwrap();
        listen(&listener, Backlog::new(16).unwrap()).unwrap();
        Self { id, program, listener, lock, dir }
    }

    /// The next connection's first packet, without its head.
    fn hear(&self) -> (i32, Vec<u8>) {
        let connection = accept(self.listener.as_raw_fd()).unwrap();
        let mut buffer = [0; 1024];
        let length = recv(connection, &mut buffer, MsgFlags::empty()).unwrap();
        let message = buffer[..length].strip_prefix(HEAD).expect("a packet of version 1");
        (connection, message.to_vec())
    }

    fn say(connection: i32, message: &[u8]) {
        send(connection, &[HEAD, message].concat(), MsgFlags::MSG_NOSIGNAL).unwrap();
    }

    /// Its status: kind 4, the process, since when, then stopping, paused and ended.
    fn status(&self, flags: [u8; 3]) -> Vec<u8> {
        let pid = self.program.id().to_le_bytes();
        [&[4][..], &pid, &1_000_000_u64.to_le_bytes(), &flags].concat()
    }

    /// Ends as a shim does: the record first.
    fn end(mut self, watcher: i32) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
        std::fs::write(self.dir.join("exit"), "7 0 2000000 1000000\n").unwrap();
        Self::say(watcher, &self.status([1, 0, 1]));
        drop(self.lock);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_an_earlier_build_is_adopted_commanded_and_ended() {
    let bed = Bed::new().await;
    let peer = Peer::new(&bed);
    let (id, pid) = (peer.id.clone(), peer.program.id());
    let shim = std::thread::spawn(move || {
        let (watcher, asked) = peer.hear();
        assert_eq!(asked, [3], "it is watched");
        Peer::say(watcher, &peer.status([0, 0, 0]));
        let (connection, asked) = peer.hear();
        assert_eq!(asked, [4, 10, 0, 0, 0], "a signal");
        Peer::say(connection, &[0]);
        let (connection, asked) = peer.hear();
        assert_eq!(asked, [6], "to be frozen; an earlier build may not know how");
        Peer::say(connection, &[2]);
        // Nothing else is heard of until the end: a program is not this shim's affair.
        let (connection, asked) = peer.hear();
        assert_eq!(asked, [5, 15, 0, 0, 0, 0xb8, 0x0b, 0, 0, 0, 0, 0, 0], "to end, within 3 s");
        Peer::say(connection, &[0]);
        peer.end(watcher);
    });
    let again = open(&bed.instance).await;
    let found = again.containers()[&id].clone();
    assert!(
        matches!(found.phase, ContainerPhase::Running { pid: found, .. } if found == pid),
        "{found:#?}"
    );
    again.kill(&id, "SIGUSR1").await.unwrap();
    let refused = again.pause(&id).await.unwrap_err().to_string();
    assert!(refused.contains("its shim is of another version"), "{refused}");
    // A program inside needs nothing of the shim.
    let args = ["sh", "-c", "exit 9"].map(str::to_owned).to_vec();
    let mut exec = again.exec(&id, ExecRequest { args, ..ExecRequest::default() }).await.unwrap();
    assert_eq!(exec.wait().await.unwrap(), 9);
    again.stop(&id, "TERM", Duration::from_secs(3)).await.unwrap();
    assert_eq!(again.wait(&id).await.unwrap().code, 7);
    shim.join().unwrap();
    again.remove(&id).await.unwrap();
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_a_later_build_is_adopted_without_what_is_not_known_of_it() {
    let bed = Bed::new().await;
    let peer = Peer::new(&bed);
    let id = peer.id.clone();
    // Its record and its words have more in them than this build knows.
    let path = peer.dir.join("container.json");
    let record = std::fs::read_to_string(&path).unwrap();
    let later = record.replacen('{', "{\"from a later build\": [1, 2], ", 1);
    std::fs::write(&path, later).unwrap();
    let shim = std::thread::spawn(move || {
        let (watcher, _) = peer.hear();
        Peer::say(watcher, &[&peer.status([0, 1, 0])[..], b"more"].concat());
        let (connection, asked) = peer.hear();
        assert_eq!(asked, [7], "to be thawed");
        Peer::say(connection, &[0, 1, 2, 3]);
        peer.end(watcher);
    });
    let again = open(&bed.instance).await;
    let found = again.containers()[&id].clone();
    assert!(matches!(found.phase, ContainerPhase::Running { paused: true, .. }), "{found:#?}");
    again.unpause(&id).await.unwrap();
    assert_eq!(again.wait(&id).await.unwrap().code, 7);
    shim.join().unwrap();
    again.remove(&id).await.unwrap();
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shim_takes_no_orders_of_another_build() {
    let bed = Bed::new().await;
    let request = bed.request(&["sleep", "1000"]);
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    let path = bed.instance.run.join("c").join(id.as_str()).join("shim.sock");
    // What a daemon of an earlier build sends to run a program (kind 8), a kind of a later build, and a
    // packet of another version: none of them does anything.
    for packet in [&b"orca\x01\x08\x10\0\0\0\0\0\0\0"[..], b"orca\x01\xc8", b"orca\x07\x03", b"?"] {
        assert_eq!(ask(&path, packet), [HEAD, &[2]].concat(), "{packet:?}: it is not known");
    }
    assert_eq!(bed.exec(&id, "echo fine").await, (0, "fine\n".to_owned()));
    bed.end().await;
}

fn ask(path: &Path, packet: &[u8]) -> Vec<u8> {
    let connection =
        socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    nix::sys::socket::connect(connection.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
    send(connection.as_raw_fd(), packet, MsgFlags::empty()).unwrap();
    let mut buffer = [0; 1024];
    let length = recv(connection.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
    buffer[..length].to_vec()
}
