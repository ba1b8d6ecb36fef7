//! An orca of one test's own, driven from outside by the real program.
//!
//! Each test has its own instance: other directories, and so other names of everything in the kernel.
//! When a test ends, its instance is taken down and everything that the kernel still has of it is a
//! failure of the test.

pub(crate) mod images;
pub(crate) mod leaks;
mod programs;
pub(crate) mod remains;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use self::leaks::Leaks;
pub(crate) use self::programs::prepare;

/// How long anything may take before a test gives up on it. Far more than it should: a machine that
/// builds at the same time is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An instance of orca, with a directory for its stack files.
#[derive(Debug)]
pub(crate) struct Orca {
    directory: TempDir,
}

impl Orca {
    /// An instance that nothing runs in yet.
    pub(crate) fn new() -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests make namespaces, networks and cgroups: run them as root"
        );
        prepare();
        Self { directory: tempfile::Builder::new().prefix("orca-it-").tempdir().unwrap() }
    }

    /// What is kept.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// What a boot would end.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// The directory of the test's own files.
    pub(crate) fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    /// Writes a file of the test and returns its path.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.files().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The program with this instance's directories, in the test's directory.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        std::fs::create_dir_all(self.files()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_orca"));
        command
            .args(args)
            .env("ORCA_ROOT", self.root())
            .env("ORCA_RUN", self.run_dir())
            .env("ORCA_CONFIG", self.files().join("config"))
            .env("DOCKER_CONFIG", self.files().join("docker"))
            .env_remove("COMPOSE_FILE")
            .current_dir(self.files())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end, whatever that is.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::new(args, self.command(args).output().unwrap())
    }

    /// Runs the program with something on its standard input.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        use std::io::Write as _;
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ran::new(args, child.wait_with_output().unwrap())
    }

    /// Runs the program; it must succeed. Returns what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        self.run(args).expect(0).stdout
    }

    /// `up` with this stack file's text; it must succeed.
    pub(crate) fn up(&self, stack: &str) -> String {
        self.write("stack.yaml", stack);
        self.ok(&["up", "-f", "stack.yaml"])
    }

    /// Begins the program and goes on.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The containers of a stack, as `ps --format json` shows them.
    pub(crate) fn ps(&self) -> Vec<serde_json::Value> {
        let text = self.ok(&["ps", "-a", "-f", "stack.yaml", "--format", "json"]);
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// One container by its name in `ps`.
    pub(crate) fn container(&self, name: &str) -> serde_json::Value {
        let containers = self.ps();
        let found = containers.iter().find(|container| container["Name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {containers:#?}")).clone()
    }

    /// The first process of a container.
    pub(crate) fn pid(&self, name: &str) -> i32 {
        let container = self.container(name);
        i32::try_from(container["Pid"].as_i64().expect("it runs")).unwrap()
    }

    /// The daemon's process.
    pub(crate) fn daemon(&self) -> i32 {
        let own = self.processes();
        let daemon = own.iter().find(|(_, line)| line.contains(" daemon "));
        daemon.unwrap_or_else(|| panic!("no daemon in {own:#?}")).0
    }

    /// The processes that were started for this instance: their command lines name its directories.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        leaks::processes_of(self.directory.path())
    }

    /// Sends a signal to a process.
    pub(crate) fn kill(pid: i32, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
    }
}

impl Drop for Orca {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What the daemon said is often the reason.
            let log =
                std::fs::read_to_string(self.run_dir().join("daemon.log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("the end of the daemon's log:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
        let stopped = self.run(&["system", "stop", "--containers"]);
        let leaks = Leaks::wait_for_none(self.directory.path(), Duration::from_secs(15));
        leaks::remove_all(self.directory.path());
        if !std::thread::panicking() {
            assert!(
                leaks.is_empty(),
                "the instance left things behind after `system stop`:\n{leaks}\n{}",
                stopped.stderr
            );
        }
    }
}

/// How a program ended and what it printed.
#[derive(Debug)]
pub(crate) struct Ran {
    what: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn new(args: &[&str], output: Output) -> Self {
        Self {
            what: args.join(" "),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// It must have ended with this status.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "orca {}\n--- stdout\n{}--- stderr\n{}",
            self.what,
            self.stdout,
            self.stderr
        );
        self
    }

    /// It must have said this on its standard error.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in:\n{}", self.stderr);
        self
    }
}

/// Waits until `what` gives something.
#[track_caller]
pub(crate) fn eventually<T>(description: &str, mut what: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{description}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// Runs a program of the host that a test needs; a missing one is a failure that says what to install.
#[track_caller]
pub(crate) fn host(program: &str, args: &[&str]) -> Output {
    match Command::new(program).args(args).stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => {
            panic!("cannot run {program} ({error}): tests/README.md says what to install")
        }
    }
}

/// What `curl` gets from a URL; `None` if it cannot connect or the status is not one of success.
pub(crate) fn curl(url: &str) -> Option<String> {
    let output = host("curl", &["--silent", "--show-error", "--fail", "--max-time", "5", url]);
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A port of the host that is free now.
pub(crate) fn free_port() -> u16 {
    // Below the range from which the kernel takes the ports of outgoing connections.
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let start = u16::try_from(std::process::id() % 7_000).unwrap();
        let port = 20_100 + (start + step) % 9_000;
        if std::net::TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// Where the repository is.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
