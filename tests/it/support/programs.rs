//! The programs of the host that tests need.

use std::path::Path;
use std::process::Command;
use std::sync::Once;

use super::repository;

/// One program of each package in `tests/host/packages` that the tests here run.
const NEEDED: [&str; 8] =
    ["busybox", "curl", "dig", "docker-registry", "nft", "skopeo", "tar", "umoci"];

/// Installs what is missing, once. Whatever is still missing then fails the test that runs it, by name.
pub(crate) fn prepare() {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        if NEEDED.iter().any(|program| !is_there(program)) {
            let script = repository().join("tests/host/install.sh");
            let status = Command::new("sh").arg(script).status();
            assert!(
                status.is_ok_and(|status| status.success()),
                "the programs these tests need cannot be installed: tests/README.md lists them"
            );
        }
    });
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| Path::new(&directory).join(program).exists())
}
