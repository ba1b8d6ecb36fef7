//! Round trips, and archives that want to be elsewhere.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::*;

fn how(rename: Option<&str>) -> Unpack {
    Unpack {
        at: PathBuf::from("/"),
        rename: rename.map(PathBuf::from),
        owner: Owner::Maker,
        special: true,
    }
}

fn container(path: &Path) -> Place {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY;
    let root = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).unwrap();
    Place::container(root, Ids::default())
}

fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_mtime(1_000_000);
        // Written by hand: the library refuses to write what it would refuse to read.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        let link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if link {
            header.as_gnu_mut().unwrap().linkname[..content.len()]
                .copy_from_slice(content.as_bytes());
        }
        let content = if link { "" } else { content };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn a_tree_comes_out_as_it_went_in() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let tree = from.path().join("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::write(tree.join("a/file"), "content").unwrap();
    fs::set_permissions(tree.join("a/file"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(tree.join("a/file"), tree.join("a/twin")).unwrap();
    symlink("../nowhere", tree.join("a/link")).unwrap();
    fs::write(tree.join("a/b").join("n".repeat(200)), "long").unwrap();
    fs::set_permissions(tree.join("a/b"), fs::Permissions::from_mode(0o500)).unwrap();
    let mut bytes = Vec::new();
    let place = Place::directory(from.path()).unwrap();
    pack(&place, Path::new("tree"), false, Path::new("tree"), &mut bytes).unwrap();

    unpack(&container(to.path()), &how(Some("other")), bytes.as_slice()).unwrap();
    let made = to.path().join("other");
    assert_eq!(fs::read_to_string(made.join("a/file")).unwrap(), "content");
    let metadata = |path: &str| fs::metadata(made.join(path)).unwrap();
    assert_eq!(metadata("a/file").mode() & 0o7777, 0o4755);
    assert_eq!(metadata("a/file").ino(), metadata("a/twin").ino());
    assert_eq!(metadata("a/b").mode() & 0o7777, 0o500);
    assert_eq!(metadata("a").mtime(), fs::metadata(tree.join("a")).unwrap().mtime());
    assert_eq!(fs::read_link(made.join("a/link")).unwrap(), Path::new("../nowhere"));
    assert_eq!(fs::read_to_string(made.join("a/b").join("n".repeat(200))).unwrap(), "long");
}

#[test]
fn links_lead_where_they_lead_for_the_container() {
    let root = TempDir::new().unwrap();
    let outside = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join("srv/real")).unwrap();
    symlink("/srv/real", root.path().join("current")).unwrap();
    symlink(outside.path(), root.path().join("out")).unwrap();
    let place = container(root.path());
    let into = |at: &str| Unpack { at: PathBuf::from(at), ..how(None) };
    let bytes = archive(&[("file", EntryType::Regular, "x")]);
    unpack(&place, &into("/current"), bytes.as_slice()).unwrap();
    assert!(root.path().join("srv/real/file").exists());
    // The host's path does not exist in the container, so it is made there.
    unpack(&place, &into("/out"), bytes.as_slice()).unwrap_err();
    assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
}

#[test]
fn an_archive_cannot_leave_its_directory() {
    let cases: &[&[(&str, EntryType, &str)]] = &[
        &[("../file", EntryType::Regular, "x")],
        &[("a/../../file", EntryType::Regular, "x")],
        &[("link", EntryType::Symlink, "/"), ("link/tmp/file", EntryType::Regular, "x")],
        &[("link", EntryType::Symlink, "../.."), ("link/file", EntryType::Regular, "x")],
        &[("hard", EntryType::Link, "../secret")],
        &[("link", EntryType::Symlink, "../secret"), ("link", EntryType::Regular, "x")],
    ];
    for case in cases {
        let around = TempDir::new().unwrap();
        fs::write(around.path().join("secret"), "secret").unwrap();
        let inside = around.path().join("inside");
        fs::create_dir(&inside).unwrap();
        for place in [Place::directory(&inside).unwrap(), container(&inside)] {
            // Some are refused, some harmless: what matters is what is outside.
            let _refused = unpack(&place, &how(None), archive(case).as_slice());
            let names: Vec<_> =
                fs::read_dir(around.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(names.len(), 2, "{case:?}: {names:?}");
            let secret = around.path().join("secret");
            assert_eq!(fs::read_to_string(&secret).unwrap(), "secret", "{case:?}");
            assert_eq!(fs::metadata(&secret).unwrap().nlink(), 1, "{case:?}");
        }
    }
    assert!(!Path::new("/tmp/file").exists());
}

#[test]
fn absolute_names_begin_in_the_directory() {
    let to = TempDir::new().unwrap();
    let bytes = archive(&[("/etc/file", EntryType::Regular, "x")]);
    unpack(&Place::directory(to.path()).unwrap(), &how(None), bytes.as_slice()).unwrap();
    assert!(to.path().join("etc/file").exists());
}

#[test]
fn what_is_broken_off_is_an_error() {
    let to = TempDir::new().unwrap();
    let bytes = archive(&[("file", EntryType::Regular, &"x".repeat(5000))]);
    let place = container(to.path());
    assert!(unpack(&place, &how(None), &bytes[..2000]).is_err());
    assert!(
        unpack(&place, &how(None), &b"no archive at all, but long enough to be read"[..]).is_err()
    );
}

#[test]
fn without_special_there_are_no_devices_and_no_set_user_id() {
    let to = TempDir::new().unwrap();
    let mut builder = Builder::new(Vec::new());
    for (path, kind) in [("device", EntryType::Char), ("program", EntryType::Regular)] {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o4755);
        header.set_size(0);
        builder.append_data(&mut header, path, std::io::empty()).unwrap();
    }
    let bytes = builder.into_inner().unwrap();
    let how = Unpack { special: false, ..how(None) };
    unpack(&Place::directory(to.path()).unwrap(), &how, bytes.as_slice()).unwrap();
    assert!(!to.path().join("device").exists());
    let mode = fs::metadata(to.path().join("program")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn users_are_counted_as_inside() {
    let ids = Ids { users: vec![(0, 100_000, 65_536)], groups: vec![(0, 200_000, 10)] };
    assert_eq!(ids.outside((5, 5)), (100_005, 200_005));
    assert_eq!(ids.inside((100_005, 200_005)), (5, 5));
    assert_eq!(ids.inside((5, 5)), (5, 5), "one that is in no range stays what it is");
    assert_eq!(Ids::ranges("0 100000 65536\n").unwrap(), [(0, 100_000, 65_536)]);
    assert!(Ids::ranges("x").is_err());
}
