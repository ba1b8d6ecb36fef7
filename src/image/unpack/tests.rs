use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use tar::EntryType;
use tempfile::TempDir;

use super::{Applier, Halt, Merged, Node, settle};
use crate::image::limits::Limits;
use crate::image::testing::{Archive, header};

/// Layers on a disk, and beside them a file that no layer may touch.
struct Stack {
    dir: TempDir,
    /// The top one first.
    layers: Vec<PathBuf>,
}

impl Stack {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("outside"), "safe").unwrap();
        Self { dir, layers: Vec::new() }
    }

    fn below(&self) -> Merged {
        Merged::open(&self.layers).unwrap()
    }

    /// Applies one more layer: alone if that can be, else over the others.
    fn add(&mut self, archive: Archive) -> Result<PathBuf, String> {
        self.apply(&archive.end(), Limits::default())
    }

    fn apply(&mut self, bytes: &[u8], limits: Limits) -> Result<PathBuf, String> {
        for attempt in 0..2 {
            let layer = self.dir.path().join(format!("layer{}", crate::image::disk::unique()));
            fs::create_dir(&layer).unwrap();
            let below = (attempt == 1).then(|| self.below());
            match Applier::new(&layer, below, limits).unwrap().apply(bytes) {
                Ok(applied) => {
                    if settle(&layer, &applied, &self.below()).unwrap() {
                        self.layers.insert(0, layer.clone());
                        return Ok(layer);
                    }
                }
                Err(Halt::NeedsBelow) if attempt == 0 => {}
                Err(Halt::Failed { path, error }) => return Err(format!("{path}: {error}")),
                Err(Halt::NeedsBelow) => panic!("the layers below were given"),
            }
        }
        Err("the layer does not fit those below".to_owned())
    }

    /// What a container would see, by the kernel: path to content (or kind, or link target).
    fn seen(&self) -> BTreeMap<String, String> {
        let (merged, work) = (self.dir.path().join("merged"), self.dir.path().join("empty"));
        for dir in [&merged, &work] {
            fs::create_dir_all(dir).unwrap();
        }
        let mut lower: Vec<_> = self.layers.iter().map(|layer| layer.to_str().unwrap()).collect();
        // A single layer cannot be stacked.
        lower.push(work.to_str().unwrap());
        let options = format!("lowerdir={}", lower.join(":"));
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("overlay"), &merged, Some("overlay"), flags, Some(options.as_str()))
            .unwrap();
        let mut seen = BTreeMap::new();
        walk(&merged, "", &mut seen);
        nix::mount::umount(&merged).unwrap();
        seen
    }

    /// The same by our own view of the layers.
    fn merged(&self) -> BTreeMap<String, String> {
        let (merged, mut seen) = (self.below(), BTreeMap::new());
        for path in self.seen().into_keys() {
            let node = merged.find(path.as_bytes(), false).unwrap();
            let text = match &node {
                None => "missing".to_owned(),
                Some(Node::Dir(_)) => "dir".to_owned(),
                Some(other) => match other.link().unwrap() {
                    Some(target) => format!("-> {}", String::from_utf8(target).unwrap()),
                    None => {
                        let file = other.open().unwrap().unwrap();
                        std::io::read_to_string(fs::File::from(file)).unwrap()
                    }
                },
            };
            seen.insert(path, text);
        }
        seen
    }

    #[track_caller]
    fn check(&self, expected: &[(&str, &str)]) {
        let pairs = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        let expected: BTreeMap<_, _> = expected.iter().map(pairs).collect();
        assert_eq!(self.seen(), expected);
        assert_eq!(self.merged(), expected);
    }

    #[track_caller]
    fn nothing_outside_changed(&self) {
        assert_eq!(fs::read_to_string(self.dir.path().join("outside")).unwrap(), "safe");
        let known = |name: &str| name == "outside" || name.starts_with("layer");
        for entry in fs::read_dir(self.dir.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(known(&name), "{name} was made");
        }
    }
}

fn walk(dir: &Path, prefix: &str, seen: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            seen.insert(path.clone(), "dir".to_owned());
            walk(&entry.path(), &format!("{path}/"), seen);
        } else if kind.is_symlink() {
            seen.insert(path, format!("-> {}", fs::read_link(entry.path()).unwrap().display()));
        } else {
            seen.insert(path, fs::read_to_string(entry.path()).unwrap());
        }
    }
}

#[test]
fn owners_modes_times_and_links_are_as_the_archive_says() {
    let mut stack = Stack::new();
    let archive = Archive::new()
        .entry("bin/", EntryType::Directory, 0o1750, "", b"")
        .entry("bin/su", EntryType::Regular, 0o4755, "", b"su")
        .hard_link("bin/again", "./bin/su")
        .symlink("bin/link", "/absolute/nowhere")
        .entry("pipe", EntryType::Fifo, 0o620, "", b"");
    let layer = stack.add(archive).unwrap();
    let of = |name: &str| fs::symlink_metadata(layer.join(name)).unwrap();
    for (name, mode) in [("bin", 0o1750), ("bin/su", 0o4755), ("pipe", 0o620)] {
        let meta = of(name);
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (mode, 1000, 1001), "{name}");
        assert_eq!((meta.mtime(), meta.mtime_nsec()), (1_234_567_890, 0), "{name}");
    }
    assert_eq!((of("bin/link").uid(), of("bin/link").mtime()), (1000, 1_234_567_890));
    assert_eq!(of("bin/su").ino(), of("bin/again").ino());
    assert!(of("pipe").file_type().is_fifo());
}

#[test]
fn only_harmless_attributes_are_kept() {
    let capability =
        b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let pax: &[(&str, &[u8])] = &[
        ("SCHILY.xattr.security.capability", capability),
        ("SCHILY.xattr.user.mine", b"1"),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.security.selinux", b"x"),
        ("SCHILY.xattr.system.posix_acl_access", b"x"),
    ];
    let mut stack = Stack::new();
    let archive = Archive::new().pax(pax).file("ping", "p").pax(pax).dir("dir/");
    let layer = stack.add(archive).unwrap();
    let get = |name: &str, attribute: &str| {
        let mut value = [0; 64];
        let length = rustix::fs::getxattr(layer.join(name), attribute, &mut value).ok()?;
        Some(value[..length].to_vec())
    };
    assert_eq!(get("ping", "security.capability").as_deref(), Some(capability.as_slice()));
    for name in ["ping", "dir"] {
        assert_eq!(get(name, "user.mine"), Some(b"1".to_vec()));
        for attribute in
            ["trusted.overlay.opaque", "user.overlay.opaque", "system.posix_acl_access"]
        {
            assert_eq!(get(name, attribute), None, "{attribute}");
        }
    }
}

#[test]
fn whiteouts_hide_what_is_below_and_only_that() {
    let mut stack = Stack::new();
    let bottom = Archive::new()
        .dir("a/")
        .file("a/1", "1")
        .file("a/2", "2")
        .file("b", "b")
        .dir("c/")
        .file("c/x", "x");
    stack.add(bottom).unwrap();
    let top = Archive::new()
        .file("a/.wh.1", "")
        .file(".wh.b", "")
        .file("c/new", "new")
        .file("c/.wh..wh..opq", "")
        .file(".wh.never-there", "")
        .file("mine", "m")
        .file(".wh.mine", "");
    stack.add(top).unwrap();
    stack.check(&[("a", "dir"), ("a/2", "2"), ("c", "dir"), ("c/new", "new"), ("mine", "m")]);
}

#[test]
fn a_directory_after_a_whiteout_begins_empty() {
    let mut stack = Stack::new();
    stack
        .add(
            Archive::new()
                .dir("d/")
                .file("d/old", "o")
                .dir("e/")
                .file("e/old", "o")
                .file("f/old", "o"),
        )
        .unwrap();
    let top = Archive::new()
        .file(".wh.d", "")
        .dir("d/")
        .file("d/new", "n")
        .file(".wh.e", "")
        .file("e/deep/new", "n")
        .file("f", "now a file")
        .dir("f/");
    stack.add(top).unwrap();
    stack.check(&[
        ("d", "dir"),
        ("d/new", "n"),
        ("e", "dir"),
        ("e/deep", "dir"),
        ("e/deep/new", "n"),
        ("f", "dir"),
    ]);
}

#[test]
fn kinds_replace_each_other() {
    let mut stack = Stack::new();
    let bottom =
        Archive::new().file("file", "f").dir("dir/").file("dir/x", "x").symlink("link", "dir");
    stack.add(bottom).unwrap();
    let top = Archive::new()
        .dir("file/")
        .file("file/y", "y")
        .file("dir", "now")
        .dir("link/")
        .file("link/z", "z");
    stack.add(top).unwrap();
    stack.check(&[
        ("dir", "now"),
        ("file", "dir"),
        ("file/y", "y"),
        ("link", "dir"),
        ("link/z", "z"),
    ]);

    let twice = Archive::new()
        .dir("a/")
        .dir("a/b/")
        .file("a/b/c", "1")
        .file("a", "2")
        .symlink("a", "3")
        .file("d", "1")
        .file("d", "22");
    let mut stack = Stack::new();
    stack.add(twice).unwrap();
    stack.check(&[("a", "-> 3"), ("d", "22")]);
}

#[test]
fn directories_that_are_only_passed_keep_what_they_were() {
    let mut stack = Stack::new();
    let bottom = Archive::new()
        .entry("./", EntryType::Directory, 0o711, "", b"")
        .entry("tmp/", EntryType::Directory, 0o1777, "", b"")
        .entry("tmp/in/", EntryType::Directory, 0o700, "", b"");
    stack.add(bottom).unwrap();
    let layer = stack.add(Archive::new().file("tmp/in/file", "x").file("new/file", "x")).unwrap();
    for (name, mode, uid) in
        [("", 0o711, 1000), ("tmp", 0o1777, 1000), ("tmp/in", 0o700, 1000), ("new", 0o755, 0)]
    {
        let meta = fs::metadata(layer.join(name)).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (mode, uid), "{name}");
    }
    assert_eq!(fs::metadata(layer.join("tmp/in")).unwrap().mtime(), 1_234_567_890);
}

#[test]
fn links_of_lower_layers_lead_where_they_do_in_a_container() {
    let mut stack = Stack::new();
    let bottom = Archive::new()
        .dir("usr/")
        .dir("usr/bin/")
        .file("usr/bin/sh", "sh")
        .symlink("bin", "usr/bin")
        .symlink("abs", "/usr")
        .symlink("up", "../../usr");
    stack.add(bottom).unwrap();
    stack
        .add(
            Archive::new().file("bin/tool", "t").file("abs/bin/two", "2").file("up/bin/three", "3"),
        )
        .unwrap();
    stack.check(&[
        ("abs", "-> /usr"),
        ("bin", "-> usr/bin"),
        ("up", "-> ../../usr"),
        ("usr", "dir"),
        ("usr/bin", "dir"),
        ("usr/bin/sh", "sh"),
        ("usr/bin/tool", "t"),
        ("usr/bin/two", "2"),
        ("usr/bin/three", "3"),
    ]);
    stack.nothing_outside_changed_but_mounts();
}

#[test]
fn hard_links_to_lower_layers_bring_the_file_up() {
    let mut stack = Stack::new();
    stack
        .add(
            Archive::new()
                .dir("d/")
                .entry("d/a", EntryType::Regular, 0o4711, "", b"a")
                .symlink("s", "d/a"),
        )
        .unwrap();
    let layer = stack.add(Archive::new().hard_link("b", "d/a").hard_link("t", "s")).unwrap();
    stack.check(&[("b", "a"), ("d", "dir"), ("d/a", "a"), ("s", "-> d/a"), ("t", "-> d/a")]);
    let (a, b) = (fs::metadata(layer.join("d/a")).unwrap(), fs::metadata(layer.join("b")).unwrap());
    assert_eq!(
        (a.ino(), a.mode() & 0o7777, a.uid(), a.mtime()),
        (b.ino(), 0o4711, 1000, 1_234_567_890)
    );

    // The directory that had to be made for it is as it was, too.
    let dir = fs::metadata(layer.join("d")).unwrap();
    assert_eq!((dir.uid(), dir.mtime()), (1000, 1_234_567_890));

    stack.add(Archive::new().file("d/.wh.a", "")).unwrap();
    let error = stack.add(Archive::new().hard_link("c", "d/a")).unwrap_err();
    assert!(error.contains("not in the image"), "{error}");
}

#[test]
fn holes_stay_holes() {
    let mut map = b"1\n1048576\n4\n".to_vec();
    map.resize(512, 0);
    map.extend_from_slice(b"data");
    let keys: [(&str, &[u8]); 3] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.realsize", b"104857600"),
    ];
    let mut stack = Stack::new();
    let layer = stack.add(Archive::new().pax(&keys).bytes("f", &map)).unwrap();
    let meta = fs::metadata(layer.join("f")).unwrap();
    assert_eq!(meta.len(), 104_857_600);
    assert!(meta.blocks() < 100);
    let bytes = fs::read(layer.join("f")).unwrap();
    assert_eq!(&bytes[1_048_576..1_048_580], b"data");
}

/// Archives that try to get out, each with what is said of it; empty where it is done harmlessly.
fn hostile() -> Vec<(&'static str, Archive, &'static str)> {
    let new = Archive::new;
    vec![
        ("a path upwards", new().file("../outside", "x"), "`..`"),
        ("a path upwards inside", new().dir("a/").file("a/../../outside", "x"), "`..`"),
        ("an absolute path", new().file("/tmp/../outside", "x"), "`..`"),
        ("a directory upwards", new().dir("../made/"), "`..`"),
        ("a hard link upwards", new().hard_link("x", "../outside"), "`..`"),
        ("a link upwards, then through it", new().symlink("up", "..").file("up/outside", "x"), ""),
        ("a long link upwards", new().symlink("up", "../../../..").file("up/outside", "x"), ""),
        (
            "an absolute link, then through it",
            new().symlink("abs", "/").file("abs/outside", "x"),
            "",
        ),
        ("a link to a link", new().symlink("a", "b").symlink("b", "..").file("a/outside", "x"), ""),
        (
            "a link in place of a directory",
            new().dir("d/").symlink("d", "..").file("d/outside", "x"),
            "",
        ),
        (
            "a file in place of a link",
            new().symlink("outside", "../outside").file("outside", "x"),
            "",
        ),
        (
            "a hard link to a link",
            new().symlink("l", "../outside").hard_link("h", "l").file("h", "x"),
            "",
        ),
        (
            "a hard link through a link",
            new().symlink("l", "..").hard_link("h", "l/outside"),
            "not in the image",
        ),
        ("a link around itself", new().symlink("l", "l").file("l/x", "x"), "symbolic link"),
        ("a link to a file", new().file("f", "").file("f/x", "x"), "Not a directory"),
        ("a whiteout of itself", new().file(".wh..", ""), "whiteout"),
        ("a whiteout of what is above", new().file(".wh...", ""), "whiteout"),
        ("a whiteout of nothing", new().file(".wh.", ""), "whiteout"),
        ("a whiteout through a link", new().symlink("l", "..").file("l/.wh.outside", ""), ""),
        ("a directory like a whiteout", new().file(".wh.d/x", ""), "whiteout"),
        ("a root that is a link", new().symlink("./", "/tmp"), "must be a directory"),
        ("a root that is a file", new().file(".", "x"), "must be a directory"),
        ("a hard link to the root", new().hard_link("x", "/"), "root"),
        ("a hard link to a directory", new().dir("d/").hard_link("x", "d"), "directory"),
        ("a link to nothing", new().symlink("l", ""), "nothing"),
        ("a long name", new().pax(&[("path", [b'n'; 300].as_slice())]).file("x", ""), "255"),
        (
            "a very long name",
            new().pax(&[("path", [b'n'; 10_000].as_slice())]).file("x", ""),
            "long",
        ),
        (
            "a very deep path",
            new().pax(&[("path", "d/".repeat(1_000).as_bytes())]).file("x", ""),
            "too deep",
        ),
        ("a name that is no text", new().pax(&[("path", b"a\xff/b\xfe")]).file("x", "x"), ""),
        (
            "a size beyond everything",
            new().pax(&[("size", u64::MAX.to_string().as_bytes())]).file("x", "x"),
            "larger than",
        ),
        ("a size below nothing", new().pax(&[("size", b"-1")]).file("x", "x"), "malformed"),
        ("an opaque mark through a link", new().symlink("l", "..").file("l/.wh..wh..opq", ""), ""),
        (
            "an opaque mark through a link to a file",
            new().file("f", "").symlink("l", "f").file("l/.wh..wh..opq", ""),
            "Not a directory",
        ),
        (
            "a file twice, then as a directory, then as a file",
            new().file("d", "1").file("d", "2").dir("d/").file("d/x", "3").file("d", "4"),
            "",
        ),
        ("a path with NUL", new().pax(&[("path", b"a\0b")]).file("x", ""), "NUL"),
    ]
}

#[test]
fn hostile_archives_are_refused_or_stay_inside() {
    for (name, archive, reason) in hostile() {
        let mut stack = Stack::new();
        let result = stack.add(archive);
        stack.nothing_outside_changed();
        match (reason, result) {
            ("", result) => drop(result.unwrap_or_else(|error| panic!("{name}: {error}"))),
            (reason, Err(error)) => assert!(error.contains(reason), "{name}: {error}"),
            (_, Ok(_)) => panic!("{name} was taken"),
        }
    }
}

#[test]
fn a_layer_cannot_leave_through_a_link_that_is_there_already() {
    // Not by an archive: somebody has tampered with the directory.
    let mut stack = Stack::new();
    let layer = stack.add(Archive::new().dir("d/")).unwrap();
    fs::remove_dir(layer.join("d")).unwrap();
    symlink(stack.dir.path(), layer.join("d")).unwrap();
    let bytes = Archive::new().file("d/outside", "x").end();
    Applier::new(&layer, None, Limits::default()).unwrap().apply(bytes.as_slice()).unwrap();
    stack.nothing_outside_changed();
}

#[test]
fn devices_are_left_out() {
    let mut node = header("null", EntryType::Char, 0o666, 0);
    node.set_device_major(1).unwrap();
    node.set_device_minor(3).unwrap();
    node.set_cksum();
    let mut archive = Archive::new();
    archive.raw(&node, b"");
    // What overlayfs takes for "gone" cannot be smuggled in either.
    let mut gone = header("etc", EntryType::Char, 0o666, 0);
    gone.set_device_major(0).unwrap();
    gone.set_device_minor(0).unwrap();
    gone.set_cksum();
    archive.raw(&gone, b"");
    let mut stack = Stack::new();
    stack.add(Archive::new().file("etc", "e")).unwrap();
    stack.add(archive).unwrap();
    stack.check(&[("etc", "e")]);
}

#[test]
fn a_layer_has_limits() {
    let mut stack = Stack::new();
    let limits = Limits { bytes: 100, ..Limits::default() };
    let archive = Archive::new().bytes("a", &[1; 60]).bytes("b", &[1; 60]).end();
    assert!(stack.apply(&archive, limits).unwrap_err().contains("larger than 100 bytes"));
    // Names that lead ever deeper, each through the link before.
    let mut archive = Archive::new();
    let deep = "d/".repeat(100);
    for step in 0..20 {
        let before = if step == 0 { String::new() } else { format!("l{}/", step - 1) };
        archive = archive.pax(&[("path", format!("{before}{deep}x").as_bytes())]).file("x", "");
        let target = format!("{before}{deep}");
        archive = archive.pax(&[("linkpath", target.as_bytes())]).symlink(&format!("l{step}"), "x");
    }
    let error = stack.add(archive).unwrap_err();
    assert!(error.contains("too long") || error.contains("too deep"), "{error}");
}

impl Stack {
    /// After `check`, which makes two directories of its own.
    #[track_caller]
    fn nothing_outside_changed_but_mounts(&self) {
        for dir in ["merged", "empty"] {
            fs::remove_dir(self.dir.path().join(dir)).unwrap();
        }
        self.nothing_outside_changed();
    }
}
