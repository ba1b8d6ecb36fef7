//! The other side: containers, what of the host is tried, and what came of it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::linux::fs::MetadataExt as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::PathBuf;

use super::attempts::ATTEMPTS;
use super::support::{Orca, eventually};

/// As the program of a container, by the service's part of a stack file.
struct Probe {
    orca: Orca,
    environment: String,
    _listeners: (TcpListener, UnixListener),
    _marker: tempfile::TempDir,
}

impl Probe {
    fn new() -> Self {
        let orca = Orca::new().with_busybox();
        let stack = "name: victim\nservices:\n  victim:\n    image: busybox\n    \
             command: sh -c 'echo secret > /secret; exec nc -ll -p 7000 -e cat /secret'\n    \
             networks: [private]\nnetworks: {private: {}}\n";
        orca.write("victim.yaml", stack);
        orca.ok(&["up", "-f", "victim.yaml"]);
        let text = orca.ok(&["ps", "-f", "victim.yaml", "--format", "json"]);
        let victim: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        let address = orca.ok(&["exec", "-T", "-f", "victim.yaml", "victim", "hostname", "-i"]);

        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        answer(port.try_clone().unwrap());
        let name = format!("orca-probe-{}", std::process::id());
        let socket =
            UnixListener::bind_addr(&UnixAddr::from_abstract_name(&name).unwrap()).unwrap();
        let marker = tempfile::Builder::new().prefix("orca-marker").tempdir().unwrap();
        let file = marker.path().join("host");
        std::fs::write(&file, "of the host\n").unwrap();
        let disk = std::fs::metadata("/").unwrap().st_dev();
        let environment = format!(
            "pid={} disk={}:{} marker={} port={} abstract={name} victim={}:7000 \
             name=victim-victim-1",
            victim["Pid"],
            libc::major(disk),
            libc::minor(disk),
            file.display(),
            port.local_addr().unwrap().port(),
            address.split_whitespace().next().unwrap(),
        );
        Self { orca, environment, _listeners: (port, socket), _marker: marker }
    }

    /// What each attempt came to: `true` is reached.
    fn run(&self, options: &str) -> BTreeMap<String, (bool, String)> {
        let program = own_executable();
        let stack = format!(
            "name: probe\nservices:\n  probe:\n    image: busybox\n    command: /probe\n    \
             restart: 'no'\n    environment: {{{}: '{}'}}\n    \
             volumes: ['{}:/probe:ro']\n{options}",
            super::INSIDE,
            self.environment,
            program.display(),
        );
        self.orca.write("stack.yaml", &stack);
        // It ends by itself, which `up` may call a failure or not.
        let _ran = self.orca.run(&["up", "-f", "stack.yaml"]);
        let text = eventually("the probe ends", || {
            let text = self.orca.run(&["-f", "stack.yaml", "logs", "--no-log-prefix"]);
            text.stdout.contains("done\t").then_some(text.stdout)
        });
        self.orca.ok(&["down", "-f", "stack.yaml"]);
        let mut found = BTreeMap::new();
        for line in text.lines() {
            let mut parts = line.split('\t');
            let (word, name, how) = (parts.next(), parts.next(), parts.next());
            if let (Some(word @ ("reached" | "refused")), Some(name)) = (word, name) {
                let how = how.unwrap_or_default().to_owned();
                found.insert(name.to_owned(), (word == "reached", how));
            }
        }
        assert_eq!(found.len(), ATTEMPTS.len(), "{text}");
        found
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        drop(self.orca.run(&["down", "-f", "victim.yaml"]));
    }
}

/// Whoever connects is told something.
fn answer(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream.and_then(|mut stream| stream.write_all(b"the host")));
        }
    });
}

fn own_executable() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// With the defaults, with rights that a user namespace makes harmless, and without one.
pub(crate) fn defaults_refuse() {
    let probe = Probe::new();
    for options in [
        "",
        "    userns_mode: host\n",
        "    init: true\n    security_opt: ['no-new-privileges:true']\n",
        "    read_only: true\n    tmpfs: [/tmp]\n    cap_drop: [ALL]\n",
    ] {
        let found = probe.run(options);
        let reached: Vec<_> = found.iter().filter(|(_, (reached, _))| *reached).collect();
        assert!(reached.is_empty(), "with {options:?}: {reached:#?}");
    }
}

/// An attempt that nothing could make succeed would show nothing.
pub(crate) fn privileged_reaches() {
    let probe = Probe::new();
    let found =
        probe.run("    privileged: true\n    pid: host\n    network_mode: host\n    init: true\n");
    let reached = found.values().filter(|(reached, _)| *reached).count();
    assert!(reached * 2 > ATTEMPTS.len(), "only {reached} of {}: {found:#?}", ATTEMPTS.len());
}
