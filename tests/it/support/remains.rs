//! Everything that a host and a disk have of an instance, to be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use orca::model::Instance;

use super::{Orca, PATIENCE, host, leaks};

/// What there is, by kind, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remains(BTreeMap<&'static str, BTreeSet<String>>);

/// Only compared within the life of one daemon.
const DAEMON: &str = "descriptor of the daemon";

/// Processes whose descriptors are counted, by a word of their command line.
const KINDS: [(&str, &str); 3] = [
    (" daemon ", DAEMON),
    (" netd", "descriptor of netd"),
    ("orca launcher", "descriptor of the launcher"),
];

impl Remains {
    /// What there is once it does not change any more.
    pub(crate) fn settled(orca: &Orca) -> Self {
        // Also makes sure that there is a daemon.
        orca.ok(&["ls", "--all"]);
        let began = Instant::now();
        let mut last = Self::of(orca);
        loop {
            std::thread::sleep(Duration::from_millis(700));
            let now = Self::of(orca);
            if now == last || began.elapsed() > PATIENCE {
                return now;
            }
            last = now;
        }
    }

    fn of(orca: &Orca) -> Self {
        let instance = Instance { root: orca.root(), run: orca.run_dir() };
        let directory = orca.files().parent().unwrap().to_owned();
        let mut all = BTreeMap::from([
            ("mount", mounts(&directory)),
            ("cgroup", cgroups(&instance.kernel_name())),
            ("link", links(&instance.id())),
            ("rule", rules(&instance.kernel_name())),
            ("file of the run directory", files(&instance.run)),
            ("file of the root directory", files(&instance.root)),
        ]);
        let mut processes = Vec::new();
        for (pid, line) in own_processes(&directory, &instance.kernel_name()) {
            let kind = KINDS.into_iter().find(|(word, _)| line.contains(word));
            if let Some((_, kind)) = kind {
                all.insert(kind, descriptors(pid));
            }
            processes.extend(descendants(pid));
            processes.push(line);
        }
        all.insert("process", numbered(processes.into_iter()));
        Self(all)
    }

    /// Waits until everything is again as it was: the kernel takes a moment to drop namespaces.
    #[track_caller]
    pub(crate) fn come_back(&self, orca: &Orca) -> Self {
        let began = Instant::now();
        loop {
            let now = Self::settled(orca);
            let differences = self.differences(&now);
            if differences.is_empty() {
                return now;
            }
            assert!(began.elapsed() < PATIENCE, "not as before:\n{}", differences.join("\n"));
        }
    }

    /// What the other one has more or less, one line each.
    fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let kinds: BTreeSet<_> =
            self.0.keys().chain(other.0.keys()).filter(|k| **k != DAEMON).collect();
        let none = BTreeSet::new();
        for kind in kinds {
            let (mine, theirs) =
                (self.0.get(kind).unwrap_or(&none), other.0.get(kind).unwrap_or(&none));
            found.extend(mine.difference(theirs).map(|line| format!("- {kind} {line}")));
            found.extend(theirs.difference(mine).map(|line| format!("+ {kind} {line}")));
        }
        found
    }

    /// What the daemon has open.
    pub(crate) fn daemon(&self) -> BTreeSet<String> {
        self.0.get(DAEMON).cloned().unwrap_or_default()
    }
}

/// Without the numbers that the kernel gives to mounts.
fn mounts(directory: &Path) -> BTreeSet<String> {
    let shown = directory.to_str().unwrap();
    let all = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let own = all.lines().filter(|line| line.contains(shown));
    numbered(own.map(|line| line.split(' ').skip(4).collect::<Vec<_>>().join(" ")))
}

fn cgroups(name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut look = |base: &Path| {
        walk(&base.join(name), &mut |path, is_dir| {
            if is_dir {
                found.insert(path.display().to_string());
            }
        });
    };
    look(Path::new("/sys/fs/cgroup"));
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        look(&hierarchy.path());
    }
    found
}

fn links(id: &str) -> BTreeSet<String> {
    let all = std::fs::read_dir("/sys/class/net").unwrap().flatten();
    let name = |link: std::fs::DirEntry| link.file_name().to_string_lossy().into_owned();
    let alias = |name: &String| {
        std::fs::read_to_string(format!("/sys/class/net/{name}/ifalias"))
            .is_ok_and(|text| text.contains(id))
    };
    all.map(name).filter(|name| name.contains(&id[..4]) || alias(name)).collect()
}

fn rules(table: &str) -> BTreeSet<String> {
    let listed = host("nft", &["--stateless", "list", "table", "inet", table]).stdout;
    numbered(String::from_utf8_lossy(&listed).lines().map(str::to_owned))
}

/// Names. Whether images have reached the disk yet is a matter of time.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(directory, &mut |path, _| {
        if path.ends_with("images/unsettled") {
            return;
        }
        found.insert(path.strip_prefix(directory).unwrap().display().to_string());
    });
    found
}

fn walk(directory: &Path, found: &mut impl FnMut(&Path, bool)) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    found(directory, true);
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), found);
        } else {
            found(&entry.path(), false);
        }
    }
}

/// What a process has open, by kind and how many.
fn descriptors(pid: i32) -> BTreeSet<String> {
    let all = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let kind = |entry: std::fs::DirEntry| {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        target.split_once(":[").map(|(kind, _)| kind.to_owned()).unwrap_or(target)
    };
    numbered(all.map(kind))
}

/// Those that live as long as the instance: the daemon, netd and the launcher.
fn own_processes(directory: &Path, name: &str) -> Vec<(i32, String)> {
    let mut found = leaks::processes_of(directory);
    let launcher = format!("orca launcher {name}");
    let launchers = leaks::processes_of(Path::new(&launcher)).into_iter();
    found.extend(launchers.map(|(pid, _)| (pid, launcher.clone())));
    found
}

/// The shims and their helpers below a process, and those that nobody has waited for. A launcher is
/// looked at by itself: it may be a child of a daemon, or of one that is dead.
fn descendants(pid: i32) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(child) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(')') else { continue };
        let mut fields = rest.split_whitespace();
        let (state, parent) = (fields.next().unwrap_or_default(), fields.next());
        if parent.and_then(|parent| parent.parse().ok()) != Some(pid) {
            continue;
        }
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if state == "Z" {
            found.push(format!("zombie {name})"));
        } else if line.starts_with("orca ") && !line.starts_with("orca launcher") {
            found.push(line.trim_end().to_owned());
            found.extend(descendants(child));
        }
    }
    found
}

/// Lines that are there more than once stay as many.
fn numbered(lines: impl Iterator<Item = String>) -> BTreeSet<String> {
    let mut counts = BTreeMap::<String, usize>::new();
    for line in lines {
        *counts.entry(line).or_default() += 1;
    }
    counts.into_iter().map(|(line, count)| format!("{line} ({count})")).collect()
}
