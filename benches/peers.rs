//! orca beside docker and podman, in one run on one machine: `cargo bench --bench peers`, as root.
//!
//! The same image (busybox) and the same commands. Each daemon has directories of its own and is
//! stopped afterwards. A peer that is not installed is left out and said so. Nothing here judges: it
//! prints medians, and how many times orca's they are.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench that cannot go on panics, runs the programs it measures, and prints"
)]

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often each thing is done.
const ROUNDS: usize = 15;
/// How much a container prints.
const PRINTED: u64 = 256 << 20;

fn main() {
    assert!(nix::unistd::geteuid().is_root(), "containers need root");
    let place = Place::new();
    let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(Orca::begin(&place))];
    match Docker::begin(&place) {
        Some(docker) => peers.push(Box::new(docker)),
        None => println!("docker is not installed: left out"),
    }
    match Podman::begin(&place) {
        Some(podman) => peers.push(Box::new(podman)),
        None => println!("podman is not installed: left out"),
    }
    println!("{:<34} {:>10} {:>14} {:>10}", "what", "peer", "median", "times");
    let measure = |what: &str, one: &dyn Fn(&dyn Peer) -> Duration, rounds: usize| {
        let mut first = None;
        for peer in &peers {
            let mut times: Vec<Duration> = (0..rounds).map(|_| one(peer.as_ref())).collect();
            times.sort_unstable();
            let median = times[times.len() / 2].as_secs_f64();
            let times = median / *first.get_or_insert(median);
            let shown = format!("{:.1} ms", median * 1000.0);
            println!("{what:<34} {:>10} {shown:>14} {times:>9.1}x", peer.name());
        }
    };
    measure("run to its end", &|peer| timed(peer.run(&["true"])), ROUNDS);
    measure("exec", &|peer| timed(peer.exec(&["true"])), ROUNDS);
    let base = |peer: &dyn Peer| timed(peer.print(&["true"]));
    let printed = |peer: &dyn Peer| {
        let nothing = base(peer);
        timed(peer.print(&["cat", "/lines"])).saturating_sub(nothing)
    };
    measure(&format!("print {} MB to the log", PRINTED >> 20), &printed, 3);
}

/// One of those that run containers.
trait Peer {
    fn name(&self) -> &'static str;
    /// A container that runs a program to its end and is removed.
    fn run(&self, args: &[&str]) -> Command;
    /// A program in the container that waits.
    fn exec(&self, args: &[&str]) -> Command;
    /// A container whose output goes only to its log, with the lines mounted at `/lines`; the command
    /// returns when it has ended.
    fn print(&self, args: &[&str]) -> Command;
}

fn timed(mut command: Command) -> Duration {
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let took = began.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

fn quietly(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The files that all share.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("orca-peers-").tempdir().unwrap();
        let place = Self { directory };
        place.image();
        place.lines();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The root file system of the image: busybox and a link for each program.
    fn image(&self) {
        let root = self.path("root/bin");
        std::fs::create_dir_all(&root).unwrap();
        let busybox =
            ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|p| Path::new(p).exists());
        std::fs::copy(busybox.expect("busybox is installed"), root.join("busybox")).unwrap();
        for applet in ["sh", "true", "cat", "sleep"] {
            std::os::unix::fs::symlink("busybox", root.join(applet)).unwrap();
        }
        let tar = Command::new("tar")
            .args(["-C", self.path("root").to_str().unwrap(), "-cf"])
            .arg(self.path("image.tar"))
            .arg(".")
            .status();
        assert!(tar.unwrap().success());
    }

    /// Lines of a hundred bytes.
    fn lines(&self) {
        let mut file = BufWriter::new(File::create(self.path("lines")).unwrap());
        let line = format!("{}\n", "x".repeat(99));
        for _ in 0..PRINTED / 100 {
            file.write_all(line.as_bytes()).unwrap();
        }
    }
}

struct Orca {
    root: PathBuf,
    run: PathBuf,
    directory: PathBuf,
}

impl Orca {
    fn begin(place: &Place) -> Self {
        let this = Self {
            root: place.path("orca/root"),
            run: place.path("orca/run"),
            directory: place.path("orca"),
        };
        std::fs::create_dir_all(&this.directory).unwrap();
        std::fs::write(
            this.directory.join("compose.yaml"),
            format!(
                "name: peers\nservices:\n  wait:\n    image: peers\n    command: sleep 100000\n    \
                 stop_grace_period: 0s\n  once:\n    image: peers\n    profiles: [once]\n    \
                 volumes: ['{}:/lines:ro']\n",
                place.path("lines").display()
            ),
        )
        .unwrap();
        let image = place.path("image.tar");
        // `up` of nothing but the daemon: the image is imported into it.
        let daemon = this.command(&["daemon"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        drop(daemon.unwrap());
        while !quietly(&mut this.command(&["ls"])) || !this.run.join("orca.sock").exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(quietly(&mut this.command(&["image", "import", image.to_str().unwrap(), "peers"])));
        assert!(quietly(&mut this.command(&["up"])), "orca up");
        this
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orca"));
        command.args(args).env("ORCA_ROOT", &self.root).env("ORCA_RUN", &self.run);
        command.current_dir(&self.directory);
        command
    }
}

impl Peer for Orca {
    fn name(&self) -> &'static str {
        "orca"
    }

    fn run(&self, args: &[&str]) -> Command {
        self.command(&[&["run", "--rm", "-T", "once"], args].concat())
    }

    fn exec(&self, args: &[&str]) -> Command {
        self.command(&[&["exec", "-T", "wait"], args].concat())
    }

    fn print(&self, args: &[&str]) -> Command {
        let script = format!(
            "name=$(\"$0\" run -d once {}); \"$0\" wait \"$name\" >/dev/null; \"$0\" rm --force \"$name\"",
            args.join(" ")
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_orca")]);
        command.env("ORCA_ROOT", &self.root).env("ORCA_RUN", &self.run);
        command.current_dir(&self.directory);
        command
    }
}

impl Drop for Orca {
    fn drop(&mut self) {
        quietly(&mut self.command(&["down"]));
        quietly(&mut self.command(&["system", "stop", "--containers"]));
    }
}

struct Docker {
    daemon: Child,
    host: String,
    lines: PathBuf,
}

impl Docker {
    fn begin(place: &Place) -> Option<Self> {
        let directory = place.path("docker");
        std::fs::create_dir_all(&directory).unwrap();
        let host = format!("unix://{}", directory.join("docker.sock").display());
        let log = File::create(directory.join("log")).unwrap();
        let daemon = Command::new("dockerd")
            .args(["--bridge=none", "--iptables=false", "-H", &host])
            .arg("--data-root")
            .arg(directory.join("data"))
            .arg("--exec-root")
            .arg(directory.join("exec"))
            .arg("--pidfile")
            .arg(directory.join("pid"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .ok()?;
        let this = Self { daemon, host, lines: place.path("lines") };
        let began = Instant::now();
        while !quietly(&mut this.command(&["version"])) {
            assert!(began.elapsed() < Duration::from_secs(60), "dockerd does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        let image = place.path("image.tar");
        assert!(quietly(&mut this.command(&["import", image.to_str().unwrap(), "peers"])));
        let wait = ["run", "-d", "--name", "wait", "--network", "none", "peers", "sleep", "100000"];
        assert!(quietly(&mut this.command(&wait)), "docker run");
        Some(this)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["-H", &self.host]).args(args);
        command
    }
}

impl Peer for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn run(&self, args: &[&str]) -> Command {
        self.command(&[&["run", "--rm", "--network", "none", "peers"], args].concat())
    }

    fn exec(&self, args: &[&str]) -> Command {
        self.command(&[&["exec", "wait"], args].concat())
    }

    fn print(&self, args: &[&str]) -> Command {
        // The same bounds as orca's.
        let script = format!(
            "id=$(docker -H {0} run -d --network none --log-opt max-size=10m --log-opt max-file=3 \
             -v {1}:/lines:ro peers {2}); docker -H {0} wait $id >/dev/null; docker -H {0} rm -f $id",
            self.host,
            self.lines.display(),
            args.join(" ")
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        command
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        quietly(&mut self.command(&["rm", "-f", "wait"]));
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.daemon.id()).unwrap());
        let _gone = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ended = self.daemon.wait();
    }
}

struct Podman {
    root: PathBuf,
    run: PathBuf,
    lines: PathBuf,
}

impl Podman {
    fn begin(place: &Place) -> Option<Self> {
        let this = Self {
            root: place.path("podman/root"),
            run: place.path("podman/run"),
            lines: place.path("lines"),
        };
        if !quietly(&mut this.command(&["version"])) {
            return None;
        }
        let image = place.path("image.tar");
        assert!(quietly(&mut this.command(&["import", image.to_str().unwrap(), "peers"])));
        let wait = ["run", "-d", "--name", "wait", "--network", "none", "peers", "sleep", "100000"];
        assert!(quietly(&mut this.command(&wait)), "podman run");
        Some(this)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command.arg("--root").arg(&self.root).arg("--runroot").arg(&self.run);
        command.args(["--cgroup-manager", "cgroupfs", "--log-level", "fatal"]).args(args);
        command
    }
}

impl Peer for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn run(&self, args: &[&str]) -> Command {
        self.command(&[&["run", "--rm", "--network", "none", "peers"], args].concat())
    }

    fn exec(&self, args: &[&str]) -> Command {
        self.command(&[&["exec", "wait"], args].concat())
    }

    fn print(&self, args: &[&str]) -> Command {
        let mount = format!("{}:/lines:ro", self.lines.display());
        let run =
            ["run", "--rm", "--network", "none", "--log-driver", "k8s-file", "--attach", "stderr"];
        self.command(&[&run[..], &["-v", &mount, "peers"], args].concat())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        quietly(&mut self.command(&["rm", "-f", "-t", "0", "wait"]));
        // Its storage holds mounts of its own.
        quietly(&mut self.command(&["system", "reset", "-f"]));
    }
}
