use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use super::{pack, unpack_into};
use crate::image::testing::{Archive, gzip, zstd};

#[test]
fn what_is_packed_is_unpacked_the_same() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = from.path();
    let long = "n".repeat(120);
    fs::create_dir_all(dir.join(&long).join(&long)).unwrap();
    fs::write(dir.join(&long).join(&long).join("deep"), "deep").unwrap();
    fs::write(dir.join("a"), vec![7; 70_000]).unwrap();
    fs::hard_link(dir.join("a"), dir.join("b")).unwrap();
    symlink("nowhere/".repeat(30), dir.join("link")).unwrap();
    // Names that mean something in a layer mean nothing here.
    fs::write(dir.join(".wh.a"), "whiteout").unwrap();
    fs::write(dir.join(".wh..wh..opq"), "opaque").unwrap();
    std::os::unix::fs::chown(dir.join("a"), Some(70_000), Some(3_000_000)).unwrap();
    fs::set_permissions(dir.join("a"), std::os::unix::fs::PermissionsExt::from_mode(0o4751))
        .unwrap();
    fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(dir.join("a"), "user.note", b"bin\0\xff", flags).unwrap();
    fs::write(to.path().join("kept"), "was there").unwrap();
    fs::write(to.path().join("a"), "goes").unwrap();

    let mut tar = Vec::new();
    pack(dir, &mut tar).unwrap();
    unpack_into(tar.as_slice(), to.path()).unwrap();

    for name in ["a", "b", ".wh.a", ".wh..wh..opq", &format!("{long}/{long}/deep")] {
        let (mine, its) = (dir.join(name), to.path().join(name));
        assert_eq!(fs::read(&mine).unwrap(), fs::read(&its).unwrap(), "{name}");
        let of = |meta: fs::Metadata| {
            (meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec(), meta.nlink())
        };
        assert_eq!(of(mine.metadata().unwrap()), of(its.metadata().unwrap()), "{name}");
    }
    assert_eq!(
        fs::read_link(to.path().join("link")).unwrap(),
        fs::read_link(dir.join("link")).unwrap()
    );
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(to.path().join("b"), "user.note", &mut value).unwrap();
    assert_eq!(&value[..length], b"bin\0\xff");
    assert_eq!(fs::metadata(to.path()).unwrap().mode() & 0o7777, 0o1777);
    assert_eq!(fs::read_to_string(to.path().join("kept")).unwrap(), "was there");
}

#[test]
fn packed_archives_may_be_compressed() {
    let tar = Archive::new().file("f", "content").end();
    for bytes in [gzip(&tar), zstd(&tar)] {
        let to = tempfile::tempdir().unwrap();
        unpack_into(bytes.as_slice(), to.path()).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("f")).unwrap(), "content");
    }
}

#[test]
fn an_archive_cannot_leave_the_directory_through_what_is_there() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("f"), "safe").unwrap();
    let to = tempfile::tempdir().unwrap();
    symlink(outside.path(), to.path().join("out")).unwrap();
    symlink(outside.path().join("f"), to.path().join("file")).unwrap();
    let tar = Archive::new().file("out/f", "x").file("file", "x").end();
    unpack_into(tar.as_slice(), to.path()).unwrap();
    assert_eq!(fs::read_to_string(outside.path().join("f")).unwrap(), "safe");
    unpack_into(Archive::new().file("../f", "x").end().as_slice(), to.path()).unwrap_err();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}
