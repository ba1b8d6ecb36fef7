//! What the kernel and the disk still have of an instance.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use orca::model::Instance;

use super::host;

/// Things that should be gone, one line each.
#[derive(Debug, Default)]
pub(crate) struct Leaks(Vec<String>);

impl Leaks {
    /// Looks again until nothing is left or the time is up: the kernel takes a moment to drop
    /// namespaces.
    pub(crate) fn wait_for_none(directory: &Path, patience: Duration) -> Self {
        let began = Instant::now();
        loop {
            let leaks = Self::of(directory);
            if leaks.is_empty() || began.elapsed() > patience {
                return leaks;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The same without the processes of orca itself, which stay until the daemon is stopped.
    pub(crate) fn of_kernel(directory: &Path, patience: Duration) -> Self {
        let began = Instant::now();
        loop {
            let mut leaks = Self::of(directory);
            leaks.0.retain(|line| !line.starts_with("process "));
            if leaks.is_empty() || began.elapsed() > patience {
                return leaks;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What there is now of the instance in `directory`.
    pub(crate) fn of(directory: &Path) -> Self {
        let instance = Instance { root: directory.join("root"), run: directory.join("run") };
        let mut found = Vec::new();
        for (pid, line) in processes_of(directory) {
            found.push(format!("process {pid}: {line}"));
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let shown = directory.to_str().unwrap();
        found.extend(
            mounts.lines().filter(|line| line.contains(shown)).map(|l| format!("mount {l}")),
        );
        found.extend(cgroups_of(&instance).into_iter().map(|path| format!("cgroup {path}")));
        found.extend(links_of(&instance).into_iter().map(|name| format!("link {name}")));
        found.extend(tables_of(&instance).into_iter().map(|name| format!("nft table {name}")));
        Self(found)
    }

    /// Whether everything is gone.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// Processes whose command line or environment names the directory.
pub(crate) fn processes_of(directory: &Path) -> Vec<(i32, String)> {
    let needle = directory.as_os_str().as_encoded_bytes();
    let own = i32::try_from(std::process::id()).unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if pid != own && line.windows(needle.len()).any(|window| window == needle) {
            found.push((pid, String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    found
}

fn cgroups_of(instance: &Instance) -> Vec<String> {
    let name = instance.kernel_name();
    let mut found = Vec::new();
    let mut look = |path: &Path| {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&name) {
                found.push(entry.path().display().to_string());
            }
        }
    };
    look(Path::new("/sys/fs/cgroup"));
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        look(&hierarchy.path());
    }
    found
}

fn links_of(instance: &Instance) -> Vec<String> {
    let alias = instance.id();
    let links = std::fs::read_dir("/sys/class/net").unwrap().flatten();
    links
        .map(|link| link.file_name().to_string_lossy().into_owned())
        .filter(|name| {
            name.contains(&alias[..4])
                || std::fs::read_to_string(format!("/sys/class/net/{name}/ifalias"))
                    .is_ok_and(|text| text.contains(&alias))
        })
        .collect()
}

fn tables_of(instance: &Instance) -> Vec<String> {
    let tables = host("nft", &["list", "tables"]);
    let name = instance.kernel_name();
    String::from_utf8_lossy(&tables.stdout)
        .lines()
        .filter(|line| line.split(' ').any(|word| word == name))
        .map(str::to_owned)
        .collect()
}

/// Removes what a failed test left, so that it does not disturb others.
pub(crate) fn remove_all(directory: &Path) {
    for (pid, _) in processes_of(directory) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGKILL,
        );
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    for line in mounts.lines().rev() {
        let Some(target) = line.split(' ').nth(4) else { continue };
        if Path::new(target).starts_with(directory) {
            let _ = nix::mount::umount2(target, nix::mount::MntFlags::MNT_DETACH);
        }
    }
}
