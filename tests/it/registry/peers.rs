//! Images of others, and ours with others: docker, podman and skopeo against one registry.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::images::busybox_tar;
use crate::support::{Orca, PATIENCE};

use super::server::Registry;

/// Makes a root file system with everything that can go wrong between programs, as a tar: modes,
/// owners, links, holes, attributes, odd names, many files.
fn tricky_tar(dir: &Path) -> PathBuf {
    let root = dir.join("root");
    fs::create_dir_all(&root).unwrap();
    let tar = dir.join("tricky.tar");
    let script = r#"
set -eu
cd "$1"
tar -xf "$2"
mkdir -p tree/empty tree/deep/er/est tree/sticky tree/private
echo hello > tree/file; chmod 640 tree/file; chown 1000:2000 tree/file
echo other > tree/deep/er/est/file; chown 4000000:3000000 tree/deep/er/est/file
ln tree/file tree/hard; ln tree/file tree/deep/hard
ln -s file tree/soft; ln -s /nowhere/at/all tree/dangling; chown -h 7:8 tree/soft
cp bin/busybox tree/setuid; chmod 4755 tree/setuid
cp bin/busybox tree/setgid; chown 5:6 tree/setgid; chmod 2711 tree/setgid
chmod 1777 tree/sticky; chmod 700 tree/private; chown 11:12 tree/private
truncate -s 3M tree/hole; printf end >> tree/hole
mkfifo tree/pipe; chmod 622 tree/pipe
touch "tree/name with spaces" "tree/näme" "tree/-dash" 'tree/quote"s' "$(printf 'tree/%0150d' 7)"
touch -d '2001-02-03 04:05:06' tree/old
cp bin/busybox tree/capable
i=0; while [ $i -lt 300 ]; do echo $i > tree/deep/$i; i=$((i+1)); done
"#;
    ran(Command::new("sh").args(["-c", script, "sh"]).arg(&root).arg(busybox_tar()));
    // What `setcap cap_net_bind_service=ep` writes.
    let capability = [[1, 0, 0, 2], [0, 4, 0, 0], [0; 4], [0; 4], [0; 4]].concat();
    let flags = rustix::fs::XattrFlags::empty();
    let file = root.join("tree/capable");
    rustix::fs::setxattr(&file, "security.capability", &capability, flags).unwrap();
    ran(Command::new("tar")
        .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-cf"])
        .arg(&tar)
        .arg("-C")
        .arg(&root)
        .arg("."));
    tar
}

/// All that matters of one file.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    mode: u32,
    owner: (u32, u32),
    size: u64,
    time: i64,
    /// The first name of the same file.
    link: Option<String>,
    target: Option<PathBuf>,
    content: Vec<u8>,
    attributes: BTreeMap<String, Vec<u8>>,
}

/// The files below `/tree` of the root file system of a process.
fn tree(pid: i32) -> BTreeMap<String, Entry> {
    let root = PathBuf::from(format!("/proc/{pid}/root/tree"));
    let (mut found, mut inodes) = (BTreeMap::new(), BTreeMap::new());
    let mut todo = vec![root.clone()];
    while let Some(dir) = todo.pop() {
        let mut paths: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let meta = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let first = inodes.entry(meta.ino()).or_insert_with(|| name.clone()).clone();
            let attributes = ["security.capability"].into_iter().filter_map(|key| {
                let mut value = vec![0; 256];
                let got = rustix::fs::lgetxattr(&path, key, &mut value).ok()?;
                value.truncate(got);
                Some((key.to_owned(), value))
            });
            found.insert(
                name.clone(),
                Entry {
                    mode: meta.mode(),
                    owner: (meta.uid(), meta.gid()),
                    // Directories have the size that their file system gives them.
                    size: if meta.is_dir() { 0 } else { meta.size() },
                    time: if meta.is_dir() { 0 } else { meta.mtime() },
                    link: (!meta.is_dir() && first != name).then_some(first),
                    target: fs::read_link(&path).ok(),
                    content: if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() },
                    attributes: attributes.collect(),
                },
            );
            if meta.is_dir() {
                todo.push(path);
            }
        }
    }
    assert!(found.len() > 300 && found["capable"].attributes.len() == 1);
    found
}

#[track_caller]
fn same(ours: &BTreeMap<String, Entry>, theirs: &BTreeMap<String, Entry>) {
    let names: Vec<_> = ours.keys().chain(theirs.keys()).collect();
    for name in names {
        let (one, two) = (ours.get(name), theirs.get(name));
        let brief = |entry: Option<&Entry>| {
            entry.map(|e| {
                format!(
                    "{:o} {:?} {} {} {:?} {:?}",
                    e.mode, e.owner, e.size, e.time, e.link, e.target
                )
            })
        };
        assert!(one == two, "{name}: {:?} is not {:?}", brief(one), brief(two));
    }
}

/// The tree of an image as a container of orca sees it.
fn tree_in_orca(orca: &Orca, name: &str) -> BTreeMap<String, Entry> {
    // With the users of the host, as the others run theirs: so owners can be compared.
    orca.up(&format!(
        "name: peers\nservices:\n  one:\n    image: {name}\n    command: [sleep, inf]\n    stop_grace_period: 0s\n    userns_mode: host\n"
    ));
    let tree = tree(orca.pid("peers-one-1"));
    orca.ok(&["down", "-f", "stack.yaml"]);
    tree
}

/// A docker of our own, until it is dropped.
struct Docker {
    process: Child,
    dir: TempDir,
}

impl Docker {
    fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("orca-it-docker-").tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let process = Command::new("dockerd")
            .args([
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--storage-driver=overlay2",
            ])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--pidfile", &path("pid"), "-H", &format!("unix://{}", path("sock"))])
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .expect("dockerd is installed (tests/host/packages)");
        let docker = Self { process, dir };
        let began = Instant::now();
        while !docker.command(&["version"]).output().unwrap().status.success() {
            let log = || fs::read_to_string(docker.dir.path().join("log")).unwrap();
            assert!(began.elapsed() < PATIENCE, "dockerd does not answer:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
        docker
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_CONFIG", self.dir.path().join("config"));
        command.arg("-H").arg(format!("unix://{}", self.dir.path().join("sock").display()));
        command.args(args);
        command
    }

    fn ok(&self, args: &[&str]) -> String {
        ran(&mut self.command(args))
    }

    /// The tree of an image as a container of docker sees it.
    fn tree(&self, name: &str) -> BTreeMap<String, Entry> {
        let id = self.ok(&["run", "-d", "--network=none", name, "sleep", "1000"]);
        let pid = self.ok(&["inspect", "-f", "{{.State.Pid}}", &id]);
        let tree = tree(pid.parse().unwrap());
        self.ok(&["rm", "-f", &id]);
        tree
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        let _gone = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).is_err();
        drop(self.process.wait());
        crate::support::leaks::remove_all(self.dir.path());
    }
}

/// Podman with a storage of our own, until it is dropped.
struct Podman(TempDir);

impl Podman {
    fn new() -> Self {
        Self(tempfile::Builder::new().prefix("orca-it-podman-").tempdir().unwrap())
    }

    fn command(&self, args: &[&str]) -> Command {
        let path = |name: &str| self.0.path().join(name).display().to_string();
        let mut command = Command::new("podman");
        command
            .args(["--root", &path("root"), "--runroot", &path("run"), "--tmpdir", &path("tmp")])
            .args(["--cgroup-manager=cgroupfs", "--events-backend=none"])
            .args(["--storage-driver=overlay", "--runtime=runc"])
            .args(args);
        command
    }

    fn ok(&self, args: &[&str]) -> String {
        ran(&mut self.command(args))
    }

    fn tree(&self, name: &str) -> BTreeMap<String, Entry> {
        self.ok(&["pull", "-q", "--tls-verify=false", name]);
        // Podman's own limits are more than a test in a container may give.
        let limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
        let run =
            [&["run", "-d", "--network=none"][..], &limits, &[name, "sleep", "1000"]].concat();
        let id = self.ok(&run);
        let pid = self.ok(&["inspect", "-f", "{{.State.Pid}}", &id]);
        let tree = tree(pid.parse().unwrap());
        self.ok(&["rm", "-f", "-t", "0", &id]);
        tree
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        drop(self.command(&["rm", "-fa", "-t", "0"]).output());
        crate::support::leaks::remove_all(self.0.path());
    }
}

#[track_caller]
fn ran(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn an_image_has_the_same_files_everywhere() {
    let registry = Registry::start();
    let orca = Orca::new();
    let dir = tempfile::tempdir().unwrap();
    let tar = tricky_tar(dir.path());
    let tar = tar.to_str().unwrap();
    let (docker, podman) = (Docker::start(), Podman::new());

    // Made by docker, in two layers, run here.
    let theirs = registry.name("peers/docker:1");
    docker.ok(&["import", tar, "base"]);
    let id = docker.ok(&["create", "base", "sh", "-c", "exit"]);
    fs::write(dir.path().join("added"), "added").unwrap();
    docker.ok(&[
        "cp",
        &dir.path().join("added").display().to_string(),
        &format!("{id}:/tree/deep/added"),
    ]);
    docker.ok(&["commit", &id, &theirs]);
    docker.ok(&["push", &theirs]);
    let made_by_docker = docker.tree(&theirs);
    let in_orca = tree_in_orca(&orca, &theirs);
    assert!(in_orca.contains_key("deep/added"));
    same(&in_orca, &made_by_docker);

    // Made here, run by docker and podman.
    let ours = registry.name("peers/orca:1");
    orca.ok(&["image", "import", tar, &ours]);
    let made_here = tree_in_orca(&orca, &ours);
    orca.ok(&["image", "push", &ours]);
    docker.ok(&["pull", &ours]);
    same(&made_here, &docker.tree(&ours));
    same(&made_here, &podman.tree(&ours));

    // Pushed on from what docker made, as it was: the same digest.
    let on = registry.name("peers/on:1");
    orca.ok(&["image", "tag", &theirs, &on]);
    let said = orca.ok(&["image", "push", &on]);
    let digest = docker.ok(&["inspect", "-f", "{{index .RepoDigests 0}}", &theirs]);
    let digest = digest.split_once('@').unwrap().1;
    assert!(said.contains(digest), "{said} has no {digest}");

    // By podman, packed with zstd and as OCI, run here.
    let packed = registry.name("peers/podman:1");
    podman.ok(&["tag", &ours, &packed]);
    podman.ok(&[
        "push",
        "-q",
        "--tls-verify=false",
        "--format=oci",
        "--compression-format=zstd",
        &packed,
    ]);
    same(&tree_in_orca(&orca, &packed), &made_here);
}
