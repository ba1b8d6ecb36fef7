//! Images for tests, made from Debian packages on this machine: no registry is needed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{Orca, host, repository};

/// The reference of the busybox image.
pub(crate) const BUSYBOX: &str = "busybox";

/// The reference of the image with nginx, redis and PostgreSQL.
pub(crate) const SERVICES: &str = "debian-services";

impl Orca {
    /// Imports a small image with busybox, and starts the daemon if there is none.
    pub(crate) fn with_busybox(self) -> Self {
        let tar = busybox_tar();
        self.ok(&["image", "import", tar.to_str().unwrap(), BUSYBOX]);
        self
    }

    /// Imports the image with nginx, redis and PostgreSQL.
    pub(crate) fn with_services(self) -> Self {
        let tar = services_tar();
        self.ok(&["image", "import", tar.to_str().unwrap(), SERVICES]);
        self
    }
}

/// A root file system with busybox as every command, as a tar.
pub(crate) fn busybox_tar() -> &'static Path {
    static TAR: OnceLock<PathBuf> = OnceLock::new();
    TAR.get_or_init(|| {
        once("busybox.tar", |out| {
            let root = tempfile::tempdir().unwrap();
            let bin = root.path().join("bin");
            for directory in ["bin", "etc", "tmp", "root", "home", "var", "proc", "sys", "dev"] {
                std::fs::create_dir_all(root.path().join(directory)).unwrap();
            }
            std::fs::copy("/usr/bin/busybox", bin.join("busybox"))
                .expect("busybox-static is installed (tests/README.md)");
            let applets = host("/usr/bin/busybox", &["--list"]);
            for applet in String::from_utf8(applets.stdout).unwrap().lines() {
                if applet != "busybox" {
                    std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
                }
            }
            let etc = root.path().join("etc");
            let users = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home:/bin/sh\n";
            std::fs::write(etc.join("passwd"), users).unwrap();
            std::fs::write(etc.join("group"), "root:x:0:\napp:x:1000:\nextra:x:2000:app\n")
                .unwrap();
            tar(root.path(), out);
        })
    })
}

/// A Debian root file system with nginx, redis and PostgreSQL, as a tar.
pub(crate) fn services_tar() -> &'static Path {
    static TAR: OnceLock<PathBuf> = OnceLock::new();
    TAR.get_or_init(|| {
        once("services.tar", |out| {
            let script = repository().join("tests/images/debian-root.sh");
            let packages = ["nginx-light", "redis-server", "redis-tools", "postgresql-15"];
            let status = Command::new("sh").arg(script).arg(out).args(packages).status().unwrap();
            assert!(
                status.success(),
                "cannot build the image: is the list of packages up to date?"
            );
        })
    })
}

/// A file in the build directory that is made once and then kept. Other test processes wait.
fn once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let directory = repository().join("target/test-images");
    std::fs::create_dir_all(&directory).unwrap();
    let lock = std::fs::File::create(directory.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let path = directory.join(name);
    if !path.exists() {
        let new = directory.join(format!("{name}.new"));
        make(&new);
        std::fs::rename(&new, &path).unwrap();
    }
    path
}

fn tar(root: &Path, out: &Path) {
    let args = ["-C", root.to_str().unwrap(), "--numeric-owner", "--owner=0", "--group=0", "-cf"];
    let status = Command::new("tar").args(args).arg(out).arg(".").status().unwrap();
    assert!(status.success());
}
