//! A bundle of one case's own, and a runtime to run it with.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::runtime::{Runtime, find};

/// How long anything may take: far more than it should.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a case says.
pub(crate) type Held = Result<(), String>;

/// A bundle with busybox as its root file system.
pub(crate) struct Bed {
    /// The runtime.
    pub(crate) runtime: Runtime,
    dir: TempDir,
    config: RefCell<Value>,
    id: String,
    written: Cell<bool>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit status; 128 and more for a signal.
    pub(crate) code: i32,
    /// Its standard output, without the last new line.
    pub(crate) out: String,
    /// Its standard error.
    pub(crate) err: String,
}

impl Bed {
    /// A new one.
    pub(crate) fn new(runtime: Runtime) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::Builder::new().prefix("orca-oci-").tempdir().unwrap();
        rootfs(&dir.path().join("bundle/rootfs"));
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("orca-test-{}-{number}", std::process::id());
        let config = RefCell::new(base(&id));
        Self { runtime, dir, config, id, written: Cell::new(false) }
    }

    /// The container's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The bundle.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.dir.path().join("bundle")
    }

    /// The root file system.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.bundle().join("rootfs")
    }

    /// A path of the case's own, outside the bundle.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Changes the configuration.
    pub(crate) fn config(&self, change: impl FnOnce(&mut Value)) -> &Self {
        change(&mut self.config.borrow_mut());
        self.written.set(false);
        self
    }

    /// The program is this script.
    pub(crate) fn script(&self, script: &str) -> &Self {
        self.config(|config| config["process"]["args"] = json!(["sh", "-c", script]))
    }

    /// One more mount.
    pub(crate) fn mount(&self, mount: Value) -> &Self {
        self.config(|config| config["mounts"].as_array_mut().unwrap().push(mount))
    }

    /// The text of the configuration, in place of what was built.
    pub(crate) fn raw(&self, text: &[u8]) -> &Self {
        fs::write(self.bundle().join("config.json"), text).unwrap();
        self.written.set(true);
        self
    }

    fn write(&self) {
        if !self.written.replace(true) {
            let text = serde_json::to_vec_pretty(&*self.config.borrow()).unwrap();
            fs::write(self.bundle().join("config.json"), text).unwrap();
        }
    }

    /// The runtime, ready for a verb.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.write();
        let mut command = self.runtime.command(&self.dir.path().join("state"));
        command.args(args).current_dir(self.bundle()).stdin(Stdio::null());
        command
    }

    /// Runs a verb to its end. Its output goes through files: a container that goes on holds it open.
    pub(crate) fn verb(&self, args: &[&str]) -> Ran {
        let (out, err) = (self.file("out"), self.file("err"));
        let open = |path: &Path| fs::File::create(path).unwrap();
        let mut child = self.command(args).stdout(open(&out)).stderr(open(&err)).spawn().unwrap();
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > PATIENCE {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let read = |path| fs::read(path).unwrap();
        Ran::of(&Output { status, stdout: read(out), stderr: read(err) })
    }

    /// Runs the container to its end.
    pub(crate) fn run(&self) -> Ran {
        self.verb(&["run", &self.id])
    }

    /// Runs a script as the container's program, to its end.
    pub(crate) fn sh(&self, script: &str) -> Ran {
        self.script(script).run()
    }

    /// What a script as the container's program prints; it must end well.
    pub(crate) fn prints(&self, script: &str) -> Result<String, String> {
        self.sh(script).well()
    }

    /// A verb about the container that must end well.
    pub(crate) fn does(&self, verb: &str) -> Result<String, String> {
        self.verb(&[verb, &self.id]).well()
    }

    /// `create` and `start`.
    pub(crate) fn begin(&self) -> Held {
        self.does("create")?;
        self.does("start").map(drop)
    }

    /// What `state` says.
    pub(crate) fn state(&self) -> Result<Value, String> {
        serde_json::from_str(&self.does("state")?).map_err(|error| error.to_string())
    }

    /// The status, once it is that or the time is up.
    pub(crate) fn status(&self, wanted: &str) -> Held {
        let mut status = String::new();
        let there = self.until(|| {
            status = self.state()?["status"].as_str().unwrap_or_default().to_owned();
            Ok(status == wanted)
        })?;
        if there { Ok(()) } else { Err(format!("the status is {status}, not {wanted}")) }
    }

    /// Whether it becomes so.
    pub(crate) fn until(
        &self,
        mut so: impl FnMut() -> Result<bool, String>,
    ) -> Result<bool, String> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if so()? {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(false)
    }

    /// The container's first process in the host's view.
    pub(crate) fn pid(&self) -> Result<i64, String> {
        self.state()?["pid"].as_i64().ok_or_else(|| "there is no pid".to_owned())
    }

    /// Takes the container away if it is there; whatever the kernel still has of it is an error.
    pub(crate) fn end(&self) -> Held {
        let deleted = self.verb(&["delete", "--force", &self.id]);
        if deleted.code != 0 {
            return Err(format!("delete --force: {}", deleted.err));
        }
        let shown = self.dir.path().to_string_lossy().into_owned();
        let mut left = String::new();
        let clean = self.until(|| {
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            left = mounts
                .lines()
                .filter(|line| line.contains(&shown))
                .map(|l| format!("{l}\n"))
                .collect();
            left += &cgroups(Path::new("/sys/fs/cgroup"), &self.id, 3);
            let state = self.dir.path().join("state").join(&self.id);
            if state.exists() {
                left.push_str(&line(&state));
            }
            Ok(left.is_empty())
        })?;
        if clean { Ok(()) } else { Err(format!("left behind:\n{left}")) }
    }
}

impl Drop for Bed {
    /// Where a container has no mount namespace, a reference may leave its root mounted on itself;
    /// one that fails may leave an empty cgroup; and crun gives its streams to the container's user,
    /// though they be the host's /dev/null. orca leaves nothing, whatever a case did: [`Bed::end`]
    /// asks in detail, and what is asked here holds for every bed.
    fn drop(&mut self) {
        let is_orca = self.runtime.name == "orca";
        if !is_orca {
            std::os::unix::fs::chown("/dev/null", Some(0), Some(0)).unwrap();
        }
        let detach = nix::mount::MntFlags::MNT_DETACH;
        while nix::mount::umount2(&self.rootfs(), detach).is_ok() {}
        let left = cgroups(Path::new("/sys/fs/cgroup"), &self.id, 3);
        for path in left.lines() {
            remove_cgroup(Path::new(path));
        }
        if is_orca && !std::thread::panicking() {
            assert_eq!(left, "", "cgroups are left");
        }
    }
}

/// Ends what is in a cgroup, and removes it with all below it. What will not go is told by the tests
/// that look for what is left.
fn remove_cgroup(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    let held = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    for pid in held.lines().filter_map(|line| line.parse().ok()) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGKILL,
        );
    }
    for _ in 0..100 {
        if fs::remove_dir(path).is_ok() || !path.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Ran {
    /// From a finished command.
    pub(crate) fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let status = output.status;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned();
        Self {
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Its output, if it ended well.
    pub(crate) fn well(self) -> Result<String, String> {
        if self.code == 0 {
            Ok(self.out)
        } else {
            Err(format!("status {}: {} {}", self.code, self.out, self.err))
        }
    }

    /// An error with these words, and not a panic.
    pub(crate) fn fails(self, words: &str) -> Held {
        match self.code {
            0 => Err(format!("it ended well and printed {:?}", self.out)),
            _ if self.err.contains("panicked") => Err(self.err),
            _ if !self.err.contains(words) => Err(format!("{:?} does not say {words:?}", self.err)),
            _ => Ok(()),
        }
    }
}

/// The two must be the same.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(left: &T, right: &T) -> Held {
    if left == right { Ok(()) } else { Err(format!("{left:?} is not {right:?}")) }
}

/// The text must hold the words.
pub(crate) fn says(text: &str, words: &str) -> Held {
    if text.contains(words) { Ok(()) } else { Err(format!("{text:?} does not say {words:?}")) }
}

fn line(path: &Path) -> String {
    format!("{}\n", path.display())
}

/// Cgroups whose names hold `id`, one a line.
fn cgroups(dir: &Path, id: &str, depth: usize) -> String {
    let mut found = String::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().contains(id) {
            found.push_str(&line(&path));
        } else if depth > 0 {
            found += &cgroups(&path, id, depth - 1);
        }
    }
    found
}

/// Busybox with all its applets.
fn rootfs(dir: &Path) {
    for name in ["bin", "etc", "tmp", "proc", "sys", "dev", "root"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    let busybox = find("busybox").unwrap();
    fs::copy(&busybox, dir.join("bin/busybox")).unwrap();
    fs::set_permissions(dir.join("bin/busybox"), fs::Permissions::from_mode(0o755)).unwrap();
    let listed = Command::new(&busybox).arg("--list").output().unwrap();
    for applet in String::from_utf8_lossy(&listed.stdout).lines().filter(|one| *one != "busybox") {
        symlink("busybox", dir.join("bin").join(applet)).unwrap();
    }
    fs::write(dir.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(dir.join("etc/group"), "root:x:0:\n").unwrap();
}

/// A container as an engine asks for it.
fn base(id: &str) -> Value {
    let capabilities = json!([
        "CAP_AUDIT_WRITE",
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_KILL",
        "CAP_MKNOD",
        "CAP_NET_BIND_SERVICE",
        "CAP_SETGID",
        "CAP_SETUID"
    ]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["true"],
            "env": ["PATH=/bin:/sbin"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs" },
        "hostname": "case",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            {
                "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
            },
            {
                "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            },
            {
                "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
            },
            {
                "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
                "options": ["nosuid", "noexec", "nodev"],
            },
            {
                "destination": "/sys", "type": "sysfs", "source": "sysfs",
                "options": ["nosuid", "noexec", "nodev", "ro"],
            },
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
                { "type": "network" }, { "type": "cgroup" },
            ],
        },
    })
}
