//! Images that go because there are too many, beside all who use them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use orca::image::{Budget, Store};
use orca::model::{ContainerId, Digest, ImageConfig};

use crate::support::{Orca, eventually};

/// The tar of a root file system: a part that all have, and megabytes of its own.
fn tar(number: u8) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut state = u32::from(number) + 1;
    let own: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(2 << 20)
    .collect();
    for (path, content) in [("own", own.as_slice()), ("number", &[number])] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, path, content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn name(number: u8) -> String {
    format!("image{number}:1")
}

/// Two megabytes, twice: as it came and unpacked.
const ONE: u64 = 4 << 20;

/// What is on the disk, whatever the store says of it.
fn on_disk(root: &Path) -> u64 {
    ["blobs", "layers"].iter().map(|name| size(&root.join("images").join(name))).sum()
}

fn size(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size(&entry.path())).sum()
}

fn container(number: usize) -> ContainerId {
    format!("{number:064x}").parse().unwrap()
}

/// All files of an image are there and right.
#[track_caller]
fn check(lower: &[PathBuf], number: u8) {
    assert_eq!(fs::read(lower[0].join("number")).unwrap(), [number]);
    assert_eq!(fs::read(lower[0].join("own")).unwrap().len(), 2 << 20);
}

#[test]
fn the_longest_unused_images_go_and_needed_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let ids: Vec<Digest> = (0..6)
        .map(|n| store.import(tar(n).as_slice(), &name(n), ImageConfig::default()).unwrap().id)
        .collect();
    let root = store.create_root(&container(1), &ids[0]).unwrap();
    let budget = |images: u64| Budget { max_size: Some(ONE * images + (1 << 20)), max_age: None };
    assert_eq!(store.shrink(&BTreeSet::new(), budget(6)).unwrap().images, []);
    // The second one is kept, the first one has a container: the third and fourth are next.
    let keep = BTreeSet::from([ids[1].clone()]);
    let gone = store.shrink(&keep, budget(4)).unwrap();
    let deleted: Vec<_> = gone.images.into_iter().filter_map(|image| image.deleted).collect();
    assert_eq!(deleted.iter().collect::<BTreeSet<_>>(), ids[2..4].iter().collect());
    assert!(gone.bytes >= 2 * ONE);
    assert!(on_disk(dir.path()) <= 4 * ONE + (1 << 20));
    // With no room at all, what is needed stays all the same.
    store.shrink(&keep, Budget { max_size: Some(0), max_age: None }).unwrap();
    assert_eq!(store.list().unwrap().len(), 2);
    check(&root.lower, 0);
    check(&store.layers(&ids[1]).unwrap(), 1);
    let usage = store.disk_usage().unwrap();
    assert!(usage.size() >= 2 * ONE && usage.size() < 2 * ONE + (1 << 20), "{usage:?}");
}

#[test]
fn an_image_that_somebody_holds_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let id = store.import(tar(1).as_slice(), "x", ImageConfig::default()).unwrap().id;
    let (hold, there) = store.hold(&id).unwrap();
    assert!(there);
    // Another process looks at the same files.
    let other = Store::open(dir.path()).unwrap();
    assert_eq!(other.prune(&BTreeSet::new()).unwrap().images, []);
    check(&other.layers(&id).unwrap(), 1);
    drop(hold);
    assert_eq!(other.prune(&BTreeSet::new()).unwrap().images.len(), 1);
    assert!(!store.hold(&id).unwrap().1);
    assert_eq!(fs::read_dir(dir.path().join("images/staging")).unwrap().count(), 0);
}

#[test]
fn collecting_all_the_time_never_takes_what_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let (over, next) = (AtomicBool::new(false), AtomicUsize::new(1));
    let kept = Store::open(root).unwrap();
    let kept_id = kept.import(tar(99).as_slice(), "kept", ImageConfig::default()).unwrap().id;
    let keep = BTreeSet::from([kept_id.clone()]);
    // Two images' worth: less than what is needed at times.
    let budget = Budget { max_size: Some(2 * ONE), max_age: None };
    std::thread::scope(|scope| {
        let (over, keep) = (&over, &keep);
        let mut workers = Vec::new();
        for worker in 0..3_u8 {
            let next = &next;
            workers.push(scope.spawn(move || {
                let store = Store::open(root).unwrap();
                for round in 0..12 {
                    let number = (worker + round) % 5;
                    let tar = tar(number);
                    let image = store
                        .import(tar.as_slice(), &name(number), ImageConfig::default())
                        .unwrap();
                    let id = container(next.fetch_add(1, Ordering::Relaxed));
                    // It may be collected between the load and this; then it is said so.
                    let Ok(files) = store.create_root(&id, &image.id) else { continue };
                    for _ in 0..5 {
                        check(&files.lower, number);
                        std::thread::yield_now();
                    }
                    store.remove_root(&id).unwrap();
                }
            }));
        }
        let collector = scope.spawn(move || {
            let store = Store::open(root).unwrap();
            let mut gone = 0;
            while !over.load(Ordering::Relaxed) {
                gone += store.shrink(keep, budget).unwrap().images.len();
            }
            // All five have come, and two are more than there is room for.
            gone + store.shrink(keep, budget).unwrap().images.len()
        });
        let looker = scope.spawn(move || {
            let store = Store::open(root).unwrap();
            while !over.load(Ordering::Relaxed) {
                check(&store.layers(&kept_id).unwrap(), 99);
            }
        });
        let ended: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
        looker.join().unwrap();
        assert!(collector.join().unwrap() > 0, "nothing was collected");
    });
    let store = Store::open(root).unwrap();
    store.shrink(&keep, budget).unwrap();
    assert!(on_disk(root) <= 2 * ONE + (1 << 20), "{}", on_disk(root));
    let left = store.find("kept").unwrap().id;
    check(&store.layers(&left).unwrap(), 99);
}

#[test]
fn the_daemon_keeps_its_budget_and_what_stacks_need() {
    let orca = Orca::new().with_busybox();
    orca.ok(&["system", "stop"]);
    let start = orca.command(&["image", "ls"]).output().unwrap();
    assert!(start.status.success());
    // The daemon that a command starts has the command's environment.
    let limited = |args: &[&str]| {
        let output = orca.command(args).env("ORCA_MAX_SIZE", "14MB").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    orca.write("stack.yaml", "services:\n  web:\n    image: busybox\n    command: sleep 1000\n");
    limited(&["up", "-f", "stack.yaml"]);
    for number in 0..6_u8 {
        orca.write("rootfs.tar", "");
        fs::write(orca.files().join("rootfs.tar"), tar(number)).unwrap();
        limited(&["image", "import", "rootfs.tar", &name(number)]);
        let listed = limited(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
        assert!(listed.contains(&name(number)), "what has just come is there: {listed}");
        limited(&["up", "-f", "stack.yaml"]);
    }
    eventually("the budget holds", || (on_disk(&orca.root()) <= 14_700_000).then_some(()));
    let listed = limited(&["image", "ls", "--format", "{{.Repository}}"]);
    assert!(listed.lines().any(|line| line == "busybox"), "{listed}");
    assert!(listed.lines().any(|line| line == "image5"), "{listed}");
    assert!(!listed.lines().any(|line| line == "image0"), "{listed}");
    assert_eq!(
        limited(&["exec", "-T", "-f", "stack.yaml", "web", "echo", "alive"]).trim(),
        "alive"
    );

    let table = limited(&["system", "df"]);
    assert!(table.starts_with("TYPE"), "{table}");
    let verbose = limited(&["system", "df", "-v"]);
    assert!(verbose.contains("busybox:latest") && verbose.contains("web"), "{verbose}");
    limited(&["down", "-f", "stack.yaml"]);
    let freed = limited(&["system", "prune", "-a", "-f"]);
    assert!(freed.contains("Total reclaimed space"), "{freed}");
    assert_eq!(limited(&["image", "ls", "-q"]), "");
}
