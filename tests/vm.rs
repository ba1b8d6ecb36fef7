//! orca on a kernel that has cgroup version 2 alone, whatever this machine has. See `tests/vm/`.

use std::path::Path;
use std::process::{Command, Stdio};

const NEEDED: [&str; 7] =
    ["qemu-system-x86_64", "busybox", "nft", "curl", "setfattr", "strip", "dpkg-deb"];

#[test]
fn orca_does_its_work_on_cgroup_version_2_alone() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !missing().is_empty() {
        let install = repository.join("tests/host/install.sh");
        assert!(command("sh").arg(install).status().unwrap().success());
    }
    let missing = missing();
    assert!(missing.is_empty(), "install {missing:?} first: tests/README.md says how");

    let script = repository.join("tests/vm/run.sh");
    let output = command("sh").arg(script).env("CARGO", env!("CARGO")).output().expect("sh runs");
    let console = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the virtual machine's console:\n{console}{said}");
}

fn missing() -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &&str| std::env::split_paths(&path).any(|dir| dir.join(program).exists());
    NEEDED.into_iter().filter(|program| !is_there(program)).collect()
}

fn command(program: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "programs of the host, for the test alone")]
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}
