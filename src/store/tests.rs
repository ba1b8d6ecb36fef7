//! What survives what.

use std::fs;
use std::path::PathBuf;

use crate::model::*;

use super::*;

/// A stack without services: enough for a command.
fn stack(name: &str) -> Stack {
    Stack { project: Project { name: name.to_owned(), ..Project::default() }, ..Stack::default() }
}

fn up(name: &str) -> Command {
    Command::ApplyStack(Box::new(stack(name)))
}

fn commit_all(store: &mut Store, names: &[&str]) {
    for name in names {
        store.commit(&up(name)).unwrap();
    }
}

fn names(agreed: &Agreed) -> Vec<&str> {
    agreed.stacks.keys().map(String::as_str).collect()
}

fn file(root: &Path, prefix: &str) -> PathBuf {
    let mut files: Vec<_> = fs::read_dir(root.join("state"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix))
        .collect();
    files.sort();
    files.pop().unwrap()
}

/// A store with the stacks a, b and c, closed; and where each command ends in its log.
fn three(root: &Path) -> Vec<u64> {
    let (mut store, _) = Store::open(root).unwrap();
    let mut ends = Vec::new();
    for name in ["a", "b", "c"] {
        store.commit(&up(name)).unwrap();
        ends.push(fs::metadata(file(root, "log-")).unwrap().len());
    }
    ends
}

#[test]
fn a_new_store_has_an_identity_that_stays() {
    let root = tempfile::tempdir().unwrap();
    let (store, first) = Store::open(root.path()).unwrap();
    assert_eq!(first.identity.len(), 32);
    drop(store);
    let (_store, second) = Store::open(root.path()).unwrap();
    assert_eq!(first, second);
    let other = tempfile::tempdir().unwrap();
    assert_ne!(Store::open(other.path()).unwrap().1.identity, first.identity);
}

#[test]
fn what_is_committed_is_there_after_reopening() {
    let root = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(root.path()).unwrap();
    commit_all(&mut store, &["a", "b"]);
    let before = store.agreed().clone();
    drop(store);
    let (mut store, after) = Store::open(root.path()).unwrap();
    assert_eq!(before, after);
    commit_all(&mut store, &["c"]);
    drop(store);
    assert_eq!(names(&Store::open(root.path()).unwrap().1), ["a", "b", "c"]);
}

#[test]
fn a_refused_command_leaves_no_trace() {
    let root = tempfile::tempdir().unwrap();
    let (mut store, before) = Store::open(root.path()).unwrap();
    let command = Command::RemoveStack { stack: "no".to_owned(), removal: Removal::default() };
    let error = store.commit(&command).unwrap_err();
    assert_eq!(error.to_string(), "there is no stack called `no`");
    assert_eq!(*store.agreed(), before);
    drop(store);
    assert_eq!(Store::open(root.path()).unwrap().1, before);
}

#[test]
fn two_daemons_cannot_have_one_store() {
    let root = tempfile::tempdir().unwrap();
    let (_store, _) = Store::open(root.path()).unwrap();
    assert!(matches!(Store::open(root.path()), Err(StoreError::InUse { .. })));
}

#[test]
fn a_log_cut_at_any_byte_opens_with_the_commands_that_are_whole() {
    let root = tempfile::tempdir().unwrap();
    let ends = three(root.path());
    let log = file(root.path(), "log-");
    let whole = fs::read(&log).unwrap();
    for length in 0..=whole.len() {
        fs::write(&log, &whole[..length]).unwrap();
        let (mut store, agreed) = Store::open(root.path()).unwrap();
        let expected = ends.iter().filter(|end| **end <= length as u64).count();
        assert_eq!(agreed.stacks.len(), expected, "cut at {length}");
        // And it goes on from there.
        commit_all(&mut store, &["z"]);
        drop(store);
        assert_eq!(Store::open(root.path()).unwrap().1.stacks.len(), expected + 1);
        for extra in fs::read_dir(root.path().join("state")).unwrap() {
            let path = extra.unwrap().path();
            if path != log && path.to_str().unwrap().contains("log-") {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

#[test]
fn a_tail_of_zeros_is_a_torn_tail() {
    let root = tempfile::tempdir().unwrap();
    three(root.path());
    let log = file(root.path(), "log-");
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend([0; 4096]);
    fs::write(&log, &bytes).unwrap();
    assert_eq!(names(&Store::open(root.path()).unwrap().1), ["a", "b", "c"]);
}

#[test]
fn a_flipped_bit_before_the_last_command_is_refused_with_its_place() {
    let root = tempfile::tempdir().unwrap();
    let ends = three(root.path());
    let log = file(root.path(), "log-");
    let whole = fs::read(&log).unwrap();
    let last = usize::try_from(ends[1]).unwrap();
    for byte in 0..last {
        let mut bytes = whole.clone();
        bytes[byte] ^= 1 << (byte % 8);
        fs::write(&log, &bytes).unwrap();
        let error = Store::open(root.path()).map(|_| ()).unwrap_err();
        let named = error.to_string();
        assert!(named.contains(log.to_str().unwrap()), "bit of byte {byte}: {named}");
        match error {
            StoreError::Damaged { offset, .. } => assert!(offset <= byte as u64),
            StoreError::Format { .. } => assert!((8..12).contains(&byte)),
            other => panic!("bit of byte {byte}: {other}"),
        }
        assert_eq!(fs::read(&log).unwrap(), bytes, "a damaged log is left as it is");
    }
}

#[test]
fn a_flipped_bit_in_the_last_command_never_gives_another_command() {
    let root = tempfile::tempdir().unwrap();
    let ends = three(root.path());
    let log = file(root.path(), "log-");
    let whole = fs::read(&log).unwrap();
    for byte in usize::try_from(ends[1]).unwrap()..whole.len() {
        let mut bytes = whole.clone();
        bytes[byte] ^= 1 << (byte % 8);
        fs::write(&log, &bytes).unwrap();
        let (store, agreed) = Store::open(root.path()).unwrap();
        assert_eq!(names(&agreed), ["a", "b"], "bit of byte {byte}");
        drop(store);
    }
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let root = tempfile::tempdir().unwrap();
    three(root.path());
    let snapshot = file(root.path(), "snapshot-");
    let whole = fs::read(&snapshot).unwrap();
    for byte in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[byte] ^= 1 << (byte % 8);
        fs::write(&snapshot, &bytes).unwrap();
        let error = Store::open(root.path()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("snapshot-"), "bit of byte {byte}: {error}");
    }
}

#[test]
fn a_snapshot_makes_the_log_before_it_superfluous() {
    let root = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(root.path()).unwrap();
    for name in ["a", "b", "c", "d"] {
        commit_all(&mut store, &[name]);
        let agreed = store.agreed().clone();
        store.log.snapshot(&agreed).unwrap();
    }
    commit_all(&mut store, &["e"]);
    drop(store);
    let state = fs::read_dir(root.path().join("state")).unwrap();
    // The lock, two snapshots, and what follows the older of them.
    assert_eq!(state.count(), 1 + 2 + 2);
    assert_eq!(names(&Store::open(root.path()).unwrap().1), ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_crash_before_a_snapshot_has_its_name_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    three(root.path());
    fs::write(root.path().join("state/snapshot-00000000000000000003.tmp"), b"half").unwrap();
    let (mut store, agreed) = Store::open(root.path()).unwrap();
    assert_eq!(names(&agreed), ["a", "b", "c"]);
    store.log.snapshot(&agreed).unwrap();
    drop(store);
    assert_eq!(names(&Store::open(root.path()).unwrap().1), ["a", "b", "c"]);
}

#[test]
fn a_crash_between_a_snapshot_and_the_next_segment_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    three(root.path());
    let (mut store, agreed) = Store::open(root.path()).unwrap();
    store.log.snapshot(&agreed).unwrap();
    drop(store);
    let (mut store, again) = Store::open(root.path()).unwrap();
    assert_eq!(agreed, again);
    commit_all(&mut store, &["d"]);
    drop(store);
    assert_eq!(names(&Store::open(root.path()).unwrap().1), ["a", "b", "c", "d"]);
}

#[test]
fn a_missing_segment_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(root.path()).unwrap();
    commit_all(&mut store, &["a"]);
    let agreed = store.agreed().clone();
    store.log.snapshot(&agreed).unwrap();
    commit_all(&mut store, &["b"]);
    drop(store);
    // The latest snapshot and the first segment are lost; what is left does not fit together.
    fs::remove_file(file(root.path(), "snapshot-")).unwrap();
    fs::remove_file(root.path().join("state/log-00000000000000000001")).unwrap();
    assert!(matches!(Store::open(root.path()), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_log_without_any_snapshot_is_refused() {
    let root = tempfile::tempdir().unwrap();
    three(root.path());
    fs::remove_file(file(root.path(), "snapshot-")).unwrap();
    let error = Store::open(root.path()).map(|_| ()).unwrap_err();
    assert!(error.to_string().ends_with("its snapshot is missing"), "{error}");
}

#[test]
fn the_state_can_be_read_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    three(root.path());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&root.path().join("state")), 0o700);
    assert_eq!(mode(&file(root.path(), "log-")), 0o600);
    assert_eq!(mode(&file(root.path(), "snapshot-")), 0o600);
}

#[test]
fn what_was_agreed_in_memory_only_is_written_with_the_next_commit() {
    let root = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(root.path()).unwrap();
    commit_all(&mut store, &["a"]);
    store.apply_volatile(&up("b")).unwrap();
    assert!(!store.is_durable());
    commit_all(&mut store, &["c"]);
    assert!(store.is_durable());
    let before = store.agreed().clone();
    drop(store);
    let (_store, after) = Store::open(root.path()).unwrap();
    assert_eq!(names(&after), ["a", "b", "c"]);
    assert_eq!(before, after);
}

#[test]
fn what_was_agreed_in_memory_only_is_gone_after_a_crash() {
    let root = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(root.path()).unwrap();
    commit_all(&mut store, &["a"]);
    store.apply_volatile(&up("b")).unwrap();
    drop(store);
    assert_eq!(names(&Store::open(root.path()).unwrap().1), ["a"]);
}

#[test]
fn a_write_that_may_have_reached_the_disk_never_comes_back() {
    let root = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(root.path()).unwrap();
    commit_all(&mut store, &["a"]);
    // As after a sync that failed: the record is there, and nobody was told so.
    store.log.append(&up("ghost"), true).unwrap();
    store.log.forget_last_as_uncertain();
    commit_all(&mut store, &["b"]);
    drop(store);
    assert_eq!(names(&Store::open(root.path()).unwrap().1), ["a", "b"]);
}

/// A file system of its own that is 96 KiB large, gone at the end of the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        use nix::mount::{MsFlags, mount};
        let dir = tempfile::tempdir().unwrap();
        let none = None::<&str>;
        mount(none, dir.path(), Some("tmpfs"), MsFlags::empty(), Some("size=96k")).unwrap();
        Self(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_is_said_and_nothing_is_lost_or_half_done() {
    let disk = SmallDisk::mount();
    let root = disk.0.path();
    let (mut store, _) = Store::open(root).unwrap();
    commit_all(&mut store, &["a"]);
    let ballast = root.join("ballast");
    // Fill what is left, to the last byte.
    let mut filler = fs::File::create(&ballast).unwrap();
    while std::io::Write::write(&mut filler, &[0; 512]).is_ok_and(|n| n > 0) {}
    drop(filler);
    let mut error = None;
    for n in 0..200 {
        let before = store.agreed().clone();
        if let Err(failed) = store.commit(&up(&format!("filler{n}"))) {
            assert_eq!(*store.agreed(), before);
            error = Some(failed);
            break;
        }
    }
    let error = error.expect("the disk is full");
    assert!(matches!(error, CommitError::Store(StoreError::NoSpace { .. })), "{error:?}");
    assert_eq!(error.to_string(), "cannot keep the change");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.ends_with("no space is left on its disk"), "{cause}");

    // The planner goes on in memory, and once there is space everything is written.
    store.apply_volatile(&up("volatile")).unwrap();
    assert!(matches!(store.commit(&up("b")), Err(CommitError::Store(_))));
    fs::remove_file(&ballast).unwrap();
    commit_all(&mut store, &["b"]);
    let before = store.agreed().clone();
    drop(store);
    let (store, after) = Store::open(root).unwrap();
    assert_eq!(before, after);
    assert!(after.stacks.contains_key("volatile") && after.stacks.contains_key("b"));
    drop(store);
}

mod commands;
