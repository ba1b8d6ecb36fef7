//! The runtimes that cases run against.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

/// A runtime with runc's command line.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    /// Its name.
    pub(crate) name: &'static str,
    words: Vec<String>,
}

impl Runtime {
    /// The one under test.
    pub(crate) fn orca() -> Self {
        prepare();
        Self { name: "orca", words: vec![env!("CARGO_BIN_EXE_orca").to_owned(), "oci".to_owned()] }
    }

    /// The reference.
    pub(crate) fn runc() -> Self {
        prepare();
        Self { name: "runc", words: vec!["runc".to_owned()] }
    }

    /// Another one. It refuses to work where cgroup v2 has controllers beside v1: there it is shown a
    /// host without v2.
    pub(crate) fn crun() -> Self {
        prepare();
        let hidden = "umount /sys/fs/cgroup/unified 2>/dev/null; exec crun \"$@\"";
        let words = ["unshare", "-m", "sh", "-c", hidden, "crun"];
        Self { name: "crun", words: words.map(str::to_owned).to_vec() }
    }

    /// The program, with its containers in `root`.
    pub(crate) fn command(&self, root: &Path) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).arg("--root").arg(root);
        command
    }
}

/// The repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Installs what the tests need (`tests/host/packages`), once.
pub(crate) fn prepare() {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests make namespaces and cgroups: run them as root"
        );
        let needed = ["busybox", "conmon", "crun", "dockerd", "podman", "runc"];
        if needed.iter().any(|program| find(program).is_none()) {
            let script = repository().join("tests/host/install.sh");
            let status = Command::new("sh").arg(script).status();
            assert!(
                status.is_ok_and(|status| status.success()),
                "the programs these tests need cannot be installed: tests/README.md lists them"
            );
        }
    });
}

/// A program in the path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path).map(|directory| directory.join(program));
    all.into_iter().find(|path| path.exists())
}
