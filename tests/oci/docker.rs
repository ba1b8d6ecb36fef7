//! docker with orca as one of its runtimes.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::bed::{Bed, Ran};
use crate::runtime::Runtime;

/// A docker daemon of its own, without networks.
pub(crate) struct Docker {
    dir: TempDir,
    bed: Bed,
    daemon: Child,
}

impl Docker {
    pub(crate) fn new() -> Self {
        let bed = Bed::new(Runtime::orca());
        let dir = tempfile::Builder::new().prefix("orca-docker-").tempdir().unwrap();
        let runtime = dir.path().join("orca-oci");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_orca"), &runtime).unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let daemon = Command::new("dockerd")
            .args([
                "--data-root",
                &path("data"),
                "--exec-root",
                &path("exec"),
                "--pidfile",
                &path("pid"),
            ])
            .args([
                "--host",
                &format!("unix://{}", path("sock")),
                "--bridge=none",
                "--iptables=false",
            ])
            .args([
                "--storage-driver",
                "vfs",
                "--add-runtime",
                &format!("orca={}", runtime.display()),
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let docker = Self { dir, bed, daemon };
        let there = docker.bed.until(|| Ok(docker.docker(&["info"]).code == 0));
        assert_eq!(there, Ok(true), "the docker daemon does not answer");
        docker.import();
        docker
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.socket().display())).args(args);
        command.stdin(Stdio::null());
        command
    }

    fn docker(&self, args: &[&str]) -> Ran {
        Ran::of(&self.command(args).output().unwrap())
    }

    fn import(&self) {
        let tar = self.dir.path().join("image.tar");
        let mut pack = Command::new("tar");
        pack.arg("-C").arg(self.bed.rootfs()).arg("-cf").arg(&tar).arg(".");
        assert!(pack.status().is_ok_and(|status| status.success()));
        self.docker(&["import", tar.to_str().unwrap(), "image"]).well().unwrap();
    }

    fn run(&self, options: &[&str], program: &[&str]) -> Ran {
        let mut args = vec!["run", "--runtime", "orca", "--network", "none"];
        args.extend(options);
        args.push("image");
        args.extend(program);
        self.docker(&args)
    }

    /// The configuration that docker gives a runtime for a container with these options.
    pub(crate) fn bundle(&self, options: &[&str]) -> serde_json::Value {
        let ran = self.run(&[&["--detach", "--init"], options].concat(), &["sleep", "100"]);
        let id = ran.well().unwrap();
        let tasks = "exec/containerd/daemon/io.containerd.runtime.v2.task/moby";
        let path = self.dir.path().join(tasks).join(&id).join("config.json");
        let config = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        self.docker(&["rm", "--force", &id]).well().unwrap();
        config
    }

    pub(crate) fn end(mut self) {
        let left = self.docker(&["ps", "--all", "--quiet"]).well().unwrap();
        assert_eq!(left, "", "containers are left");
        let pid = i32::try_from(self.daemon.id()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGTERM).unwrap();
        self.daemon.wait().unwrap();
        self.bed.end().unwrap();
    }
}

#[test]
fn docker_runs_stops_and_removes_containers() {
    let docker = Docker::new();
    let ran = docker.run(&["--rm"], &["sh", "-c", "id -u; echo err >&2; exit 3"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, "0"), "{}", ran.err);

    let loops = "trap 'exit 9' TERM; echo out; while :; do sleep 0.1; done";
    docker.run(&["--detach", "--name", "long"], &["sh", "-c", loops]).well().unwrap();
    let seen = docker.bed.until(|| Ok(docker.docker(&["logs", "long"]).out == "out"));
    assert_eq!(seen, Ok(true));
    let ran = docker.docker(&[
        "exec",
        "-u",
        "7:8",
        "-w",
        "/tmp",
        "-e",
        "A=b",
        "long",
        "sh",
        "-c",
        "id -u; id -g; pwd; echo $A; exit 4",
    ]);
    assert_eq!((ran.code, ran.out.as_str()), (4, "7\n8\n/tmp\nb"), "{}", ran.err);
    assert!(docker.docker(&["top", "long"]).well().unwrap().contains("trap"));
    docker.docker(&["pause", "long"]).well().unwrap();
    let status = ["inspect", "--format", "{{.State.Status}}", "long"];
    assert_eq!(docker.docker(&status).well().unwrap(), "paused");
    docker.docker(&["unpause", "long"]).well().unwrap();
    let update =
        ["update", "--memory", "64m", "--memory-swap", "64m", "--pids-limit", "99", "long"];
    docker.docker(&update).well().unwrap();
    docker.docker(&["stop", "--time", "5", "long"]).well().unwrap();
    let code = ["inspect", "--format", "{{.State.ExitCode}}", "long"];
    assert_eq!(docker.docker(&code).well().unwrap(), "9");
    docker.docker(&["start", "long"]).well().unwrap();
    docker.docker(&["kill", "long"]).well().unwrap();
    docker.docker(&["wait", "long"]).well().unwrap();
    docker.docker(&["rm", "long"]).well().unwrap();

    assert_eq!(docker.run(&["--rm"], &["no-such-program"]).code, 127);
    assert_eq!(docker.run(&["--rm"], &["/etc"]).code, 126);
    let ran = docker.run(&["--rm", "--tty"], &["sh", "-c", "tty; test -c /dev/console && echo c"]);
    assert_eq!(ran.out.replace('\r', ""), "/dev/pts/0\nc", "{}", ran.err);
    let options = [
        "--rm",
        "--read-only",
        "--cap-drop",
        "all",
        "--user",
        "5:5",
        "--security-opt",
        "no-new-privileges",
        "--tmpfs",
        "/t",
        "--init",
    ];
    let script = "touch /x 2>&1; touch /t/x && echo t; grep -E 'CapBnd|NoNew|Seccomp:' \
        /proc/self/status | cut -f 2 | tr '\\n' ' '";
    let ran = docker.run(&options, &["sh", "-c", script]);
    assert!(ran.out.contains("Read-only"), "{} {}", ran.out, ran.err);
    assert!(ran.out.ends_with("t\n0000000000000000 1 2 "), "{}", ran.out);
    docker.end();
}
