//! podman with orca as its runtime, beside what it does with crun.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::bed::{Bed, Ran};
use crate::runtime::Runtime;

/// podman with a store of its own.
struct Podman {
    dir: TempDir,
    bed: Bed,
}

impl Podman {
    fn new() -> Self {
        let bed = Bed::new(Runtime::orca());
        let dir = tempfile::Builder::new().prefix("orca-podman-").tempdir().unwrap();
        // podman passes its global options to some verbs and not to others: a script has them.
        let script = dir.path().join("runtime");
        let state = dir.path().join("state");
        let orca = env!("CARGO_BIN_EXE_orca");
        let text = format!("#!/bin/sh\nexec {orca} oci --root {} \"$@\"\n", state.display());
        std::fs::write(&script, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        Self { dir, bed }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("podman");
        for (option, name) in [("--root", "root"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            command.arg(option).arg(self.dir.path().join(name));
        }
        command
            .args(["--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime"])
            .arg(self.dir.path().join("runtime"))
            .args(args)
            .stdin(Stdio::null());
        command
    }

    fn podman(&self, args: &[&str]) -> Ran {
        Ran::of(&self.command(args).output().unwrap())
    }

    /// `run` with what this machine needs, and the bed's files.
    fn run(&self, options: &[&str], program: &[&str]) -> Ran {
        let rootfs = self.bed.rootfs();
        let mut args = vec!["run", "--network", "none", "--ulimit", "nofile=1000:1000"];
        args.extend(["--ulimit", "nproc=1000:1000"]);
        args.extend(options);
        args.extend(["--rootfs", rootfs.to_str().unwrap()]);
        args.extend(program);
        self.podman(&args)
    }

    fn end(self) {
        let left = self.podman(&["ps", "--all", "--quiet"]).well().unwrap();
        assert_eq!(left, "", "containers are left");
        let state = self.dir.path().join("state");
        assert_eq!(std::fs::read_dir(state).map_or(0, Iterator::count), 0);
        self.bed.end().unwrap();
    }
}

#[test]
fn podman_runs_stops_and_removes_containers() {
    let podman = Podman::new();
    let ran = podman.run(&["--rm"], &["sh", "-c", "id -u; echo err >&2; exit 3"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, "0"), "{}", ran.err);
    assert!(ran.err.contains("err"), "{}", ran.err);

    let loops = "trap 'exit 9' TERM; echo out; while :; do sleep 0.1; done";
    podman.run(&["--detach", "--name", "long"], &["sh", "-c", loops]).well().unwrap();
    let seen = podman.bed.until(|| Ok(podman.podman(&["logs", "long"]).out == "out"));
    assert_eq!(seen, Ok(true));
    let ran = podman.podman(&[
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
    assert!(podman.podman(&["top", "long"]).well().unwrap().contains("trap"));
    podman.podman(&["pause", "long"]).well().unwrap();
    let status = ["inspect", "--format", "{{.State.Status}}", "long"];
    assert_eq!(podman.podman(&status).well().unwrap(), "paused");
    podman.podman(&["unpause", "long"]).well().unwrap();
    podman.podman(&["update", "--memory", "64m", "long"]).well().unwrap();
    podman.podman(&["stop", "--time", "5", "long"]).well().unwrap();
    let code = ["inspect", "--format", "{{.State.ExitCode}}", "long"];
    assert_eq!(podman.podman(&code).well().unwrap(), "9");
    podman.podman(&["rm", "long"]).well().unwrap();
    podman.end();
}

#[test]
fn podman_knows_programs_that_cannot_be_run() {
    let podman = Podman::new();
    assert_eq!(podman.run(&["--rm"], &["no-such-program"]).code, 127);
    assert_eq!(podman.run(&["--rm"], &["/etc"]).code, 126);
    podman.run(&["--detach", "--name", "long"], &["sleep", "100"]).well().unwrap();
    assert_eq!(podman.podman(&["exec", "long", "no-such-program"]).code, 127);
    podman.podman(&["rm", "--force", "--time", "0", "long"]).well().unwrap();
    podman.end();
}

#[test]
fn podman_gives_terminals_and_confines() {
    let podman = Podman::new();
    let ran = podman.run(&["--rm", "--tty"], &["sh", "-c", "tty; test -c /dev/console && echo c"]);
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
    ];
    let script = "touch /x 2>&1; touch /t/x && echo t; grep -E 'CapBnd|NoNew|Seccomp:' \
        /proc/self/status | cut -f 2 | tr '\\n' ' '";
    let ran = podman.run(&options, &["sh", "-c", script]);
    assert!(ran.out.contains("Read-only"), "{} {}", ran.out, ran.err);
    assert!(ran.out.ends_with("t\n0000000000000000 1 2 "), "{}", ran.out);
    podman.end();
}
