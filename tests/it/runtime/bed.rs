//! An instance of its own for each test, with busybox as the image.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use orca::model::{
    AttemptId, Container, ContainerId, Digest, Exit, HostMount, Instance, Logging, Namespaces,
    Resolv, Resources, Rootfs, TaskId, Ulimits,
};
use orca::runtime::log::{LogQuery, LogReader};
use orca::runtime::{ExecRequest, NetworkPath, Runtime, StartError, StartRequest};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;

/// One instance.
pub(crate) struct Bed {
    pub(crate) dir: TempDir,
    pub(crate) instance: Instance,
    pub(crate) runtime: Runtime,
    count: AtomicU64,
}

const APPLETS: [&str; 41] = [
    "chown", "sh", "true", "false", "sleep", "cat", "echo", "id", "mount", "ls", "kill", "ps",
    "env", "pwd", "hostname", "ip", "test", "touch", "mkdir", "stat", "head", "wc", "yes", "tty",
    "stty", "seq", "dd", "grep", "ulimit", "sysctl", "mknod", "chmod", "rm", "od", "tr",
    "readlink", "nc", "sort", "find", "ln", "cut",
];

impl Bed {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("orca-rt").tempdir().unwrap();
        let instance = Instance { root: dir.path().join("root"), run: dir.path().join("run") };
        fs::create_dir_all(&instance.root).unwrap();
        fs::create_dir_all(&instance.run).unwrap();
        image(&dir.path().join("image"));
        let runtime = open(&instance).await;
        Self { dir, instance, runtime, count: AtomicU64::new(1) }
    }

    /// A request to run `args`, which a test may change.
    pub(crate) fn request(&self, args: &[&str]) -> StartRequest {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let attempt = AttemptId { task: TaskId(number), number: 1 };
        let id = ContainerId::of(&self.instance.id(), attempt);
        let files = self.dir.path().join(format!("c{number}"));
        for name in ["upper", "work", "log"] {
            fs::create_dir_all(files.join(name)).unwrap();
        }
        StartRequest {
            container: container(id, args),
            rootfs: Rootfs {
                lower: vec![self.dir.path().join("image")],
                upper: files.join("upper"),
                work: files.join("work"),
            },
            mounts: Vec::new(),
            network: NetworkPath::None,
            log_dir: files.join("log"),
        }
    }

    pub(crate) fn shell(&self, script: &str) -> StartRequest {
        self.request(&["sh", "-c", script])
    }

    /// Runs it to its end: how it ended, and what it wrote.
    pub(crate) async fn run(&self, request: StartRequest) -> (Exit, String) {
        let id = request.container.id.clone();
        let log = request.log_dir.clone();
        if let Err(StartError { code, message }) = self.runtime.start(request).await {
            panic!("cannot start: {code} {message}");
        }
        let exit = self.wait(&id).await;
        (exit, output(&log).await)
    }

    pub(crate) async fn wait(&self, id: &ContainerId) -> Exit {
        tokio::time::timeout(Duration::from_secs(20), self.runtime.wait(id)).await.unwrap().unwrap()
    }

    /// What is in the log once it has `words` in it.
    pub(crate) async fn until(&self, log: &Path, words: &str) -> String {
        for _ in 0..2000 {
            let said = output(log).await;
            if said.contains(words) {
                return said;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no {words:?} in {}", output(log).await)
    }

    /// What a script in the container `id` writes, and its exit status.
    pub(crate) async fn exec(&self, id: &ContainerId, script: &str) -> (i32, String) {
        let args = ["sh", "-c", script].map(str::to_owned).to_vec();
        self.exec_request(id, ExecRequest { args, ..ExecRequest::default() }).await
    }

    pub(crate) async fn exec_request(
        &self,
        id: &ContainerId,
        request: ExecRequest,
    ) -> (i32, String) {
        let mut exec = self.runtime.exec(id, request).await.unwrap();
        let mut text = String::new();
        exec.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
        if let Some(mut error) = exec.stderr.take() {
            error.read_to_string(&mut text).await.unwrap();
        }
        (exec.wait().await.unwrap(), text)
    }

    /// Ends everything and checks that nothing is left in the kernel.
    pub(crate) async fn end(&self) {
        for id in self.runtime.containers().keys() {
            self.runtime.remove(id).await.unwrap();
        }
        self.runtime.close().await.unwrap();
        let name = self.instance.kernel_name();
        assert_eq!(cgroups(Path::new("/sys/fs/cgroup"), &name), Vec::<PathBuf>::new());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&*self.dir.path().to_string_lossy()), "{mounts}");
        assert_eq!(fs::read_dir(self.instance.run.join("c")).unwrap().count(), 0);
        self.no_processes(&name).await;
    }

    /// Processes of the instance name it in their command line or their root.
    async fn no_processes(&self, name: &str) {
        for _ in 0..200 {
            if processes(name).is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("processes are left: {:?}", processes(name));
    }
}

impl Drop for Bed {
    /// A test that failed leaves nothing behind either.
    fn drop(&mut self) {
        let instance = self.instance.clone();
        let cleaning = std::thread::spawn(move || {
            let own = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            own.block_on(async {
                // The test's own runtime hears nothing while this thread is in here.
                let runtime = open(&instance).await;
                for id in runtime.containers().keys() {
                    drop(runtime.remove(id).await);
                }
                drop(runtime.close().await);
            });
        });
        drop(cleaning.join());
    }
}

pub(crate) async fn open(instance: &Instance) -> Runtime {
    Runtime::open_with(instance, Path::new(env!("CARGO_BIN_EXE_orca"))).await.unwrap()
}

fn image(dir: &Path) {
    crate::support::prepare();
    for name in ["bin", "etc", "tmp", "data"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    fs::copy("/bin/busybox", dir.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("busybox", dir.join("bin").join(applet)).unwrap();
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
    fs::write(dir.join("etc/passwd"), passwd).unwrap();
    fs::write(dir.join("etc/group"), "root:x:0:\napp:x:1000:\nextra:x:2000:app\n").unwrap();
}

fn container(id: ContainerId, args: &[&str]) -> Container {
    Container {
        name: format!("test-{}", id.short()),
        id,
        labels: BTreeMap::from([("test".to_owned(), "yes".to_owned())]),
        image: Digest::sha256(&"0".repeat(64)).unwrap(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: Vec::new(),
        cwd: String::new(),
        user: String::new(),
        groups: Vec::new(),
        tty: false,
        stdin: false,
        init: false,
        hostname: "box".to_owned(),
        domainname: None,
        mounts: Vec::new(),
        read_only: false,
        shm_size: 64 << 20,
        storage_size: None,
        extra_hosts: Vec::new(),
        resolv: Resolv::default(),
        namespaces: Namespaces::default(),
        cap_add: Vec::new(),
        cap_drop: Vec::new(),
        users: Some(orca::model::IdMaps::numbered(7)),
        privileged: false,
        security_opt: Vec::new(),
        devices: Vec::new(),
        device_requests: Vec::new(),
        device_cgroup_rules: Vec::new(),
        sysctls: BTreeMap::new(),
        ulimits: Ulimits::new(),
        oom_score_adj: None,
        resources: Resources::default(),
        cgroup_parent: None,
        logging: Logging::default(),
        stop_signal: String::new(),
        stop_grace: Duration::from_secs(10),
        annotations: BTreeMap::new(),
        post_start: Vec::new(),
        pre_stop: Vec::new(),
    }
}

/// A bind mount of a host path.
pub(crate) fn bind(path: &Path, target: &str, read_only: bool) -> HostMount {
    HostMount {
        target: target.to_owned(),
        read_only,
        source: orca::model::HostMountSource::Bind {
            path: path.to_owned(),
            subpath: None,
            propagation: None,
            recursive: true,
        },
    }
}

/// What is in the log, as text.
pub(crate) async fn output(log: &Path) -> String {
    let mut reader = LogReader::open(log, LogQuery::default()).unwrap();
    let mut text = String::new();
    while let Some(record) = reader.read().unwrap() {
        text += &String::from_utf8_lossy(&record.bytes);
        if !record.partial {
            text.push('\n');
        }
    }
    text
}

/// Directories of that name, two levels deep.
fn cgroups(dir: &Path, name: &str) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    hierarchies
        .chain([dir.to_owned()])
        .map(|one| one.join(name))
        .filter(|one| one.exists())
        .collect()
}

/// Command lines that name the instance, and zombies of this process.
fn processes(name: &str) -> Vec<String> {
    let own = std::process::id();
    let all = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    all.filter(|pid| *pid != own)
        .filter_map(|pid| fs::read(format!("/proc/{pid}/cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(name))
        .collect()
}

/// The process with this command line.
pub(crate) fn process_named(line: &str) -> Option<i32> {
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let shown = fs::read(entry.path().join("cmdline")).ok()?;
        (String::from_utf8_lossy(&shown).trim_end_matches('\0') == line).then_some(pid)
    })
}
