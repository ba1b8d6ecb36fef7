//! Images that other programs wrote, and other programs reading ours.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use orca::image::{Format, ImageError, Store};
use tempfile::TempDir;

/// Runs a program of the host; it must be there and succeed.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the tests check against other programs")]
fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    super::support::prepare();
    let output = Command::new(program).args(&args).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| {
        panic!(
            "cannot run {program}: {error}; install it: apt-get install busybox-static skopeo umoci"
        )
    });
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?} failed: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn skopeo(from: &str, to: &str) {
    run("skopeo", ["--insecure-policy", "copy", "--quiet", from, to]);
}

/// An image of two layers, written by umoci as an OCI layout, and what umoci itself makes of it.
struct Foreign {
    dir: TempDir,
}

impl Foreign {
    const CAPABILITY: &[u8] = b"\x01\x00\x00\x02\x00\x04\x00\x00\0\0\0\0\0\0\0\0\0\0\0\0";

    fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let foreign = Self { dir };
        let (layout, tagged) = (foreign.path("layout"), foreign.layout_tag());
        run("umoci", ["init", "--layout", &layout]);
        run("umoci", ["new", "--image", &tagged]);
        foreign.layer("one", Self::first);
        foreign.layer("two", Self::second);
        let config = [
            "config",
            "--image",
            &tagged,
            "--config.cmd",
            "/bin/sh",
            "--config.env",
            "A=b c",
            "--config.user",
            "7:8",
            "--config.exposedports",
            "80/tcp",
            "--config.volume",
            "/data",
            "--config.workingdir",
            "/srv",
            "--config.stopsignal",
            "SIGQUIT",
            "--config.label",
            "k=v",
        ];
        run("umoci", config);
        run("umoci", ["unpack", "--image", &tagged, &foreign.path("final")]);
        foreign
    }

    fn layout_tag(&self) -> String {
        self.path("layout") + ":v1"
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn layer(&self, bundle: &str, change: impl FnOnce(&Path)) {
        let bundle = self.path(bundle);
        run("umoci", ["unpack", "--image", &self.layout_tag(), &bundle]);
        change(&Path::new(&bundle).join("rootfs"));
        run("umoci", ["repack", "--image", &self.layout_tag(), &bundle]);
    }

    fn first(root: &Path) {
        for dir in ["bin", "etc", "tmp", "gone/deep", "emptied", "usr/share"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let busybox = Path::new("/usr/bin/busybox");
        assert!(busybox.exists(), "no busybox; install it: apt-get install busybox-static");
        fs::copy(busybox, root.join("bin/busybox")).unwrap();
        for tool in ["sh", "ls", "cat"] {
            fs::hard_link(root.join("bin/busybox"), root.join("bin").join(tool)).unwrap();
        }
        mode(&root.join("bin/busybox"), 0o4755);
        mode(&root.join("tmp"), 0o1777);
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
        symlink("/etc/passwd", root.join("etc/absolute")).unwrap();
        symlink("../etc/passwd", root.join("usr/relative")).unwrap();
        fs::write(root.join("gone/deep/file"), "x").unwrap();
        fs::write(root.join("emptied/file"), "x").unwrap();
        fs::write(root.join("bin/ping"), "ping").unwrap();
        xattr(&root.join("bin/ping"), "security.capability", Self::CAPABILITY);
        xattr(&root.join("etc/passwd"), "user.note", b"binary\0\xff");
        let long = "n".repeat(200);
        fs::create_dir_all(root.join(&long)).unwrap();
        fs::write(root.join(&long).join(&long), "long").unwrap();
        std::os::unix::fs::chown(root.join("etc/passwd"), Some(70_000), Some(3_000_000)).unwrap();
    }

    fn second(root: &Path) {
        fs::remove_dir_all(root.join("gone")).unwrap();
        fs::remove_file(root.join("emptied/file")).unwrap();
        fs::write(root.join("etc/new"), "new").unwrap();
        fs::remove_file(root.join("usr/relative")).unwrap();
        fs::create_dir(root.join("usr/relative")).unwrap();
        fs::remove_dir(root.join("usr/share")).unwrap();
        symlink("relative", root.join("usr/share")).unwrap();
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

fn xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
}

/// Everything that can be said of the files of a tree, by path.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let (mut tree, mut first_names) = (BTreeMap::new(), BTreeMap::new());
    let mut todo = vec![PathBuf::new()];
    while let Some(path) = todo.pop() {
        let full = root.join(&path);
        let meta = fs::symlink_metadata(&full).unwrap();
        let kind = meta.file_type();
        let content = if kind.is_symlink() {
            format!("-> {}", fs::read_link(&full).unwrap().display())
        } else if kind.is_dir() {
            let mut names: Vec<_> =
                fs::read_dir(&full).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            todo.extend(names.iter().rev().map(|name| path.join(name)));
            "dir".to_owned()
        } else {
            let first = first_names.entry(meta.ino()).or_insert_with(|| path.clone()).clone();
            format!("{} bytes, same as {}, sum {}", meta.len(), first.display(), sum(&full))
        };
        let (mode, uid, gid, time) = (meta.mode(), meta.uid(), meta.gid(), meta.mtime());
        // umoci does not keep the time of the root directory.
        let time = if path.as_os_str().is_empty() { 0 } else { time };
        let line = format!("{mode:o} {uid}:{gid} {time} {content} {:?}", xattrs(&full));
        tree.insert(path, line);
    }
    tree
}

fn sum(path: &Path) -> u64 {
    let add = |sum: u64, byte: &u8| sum.wrapping_mul(31).wrapping_add(u64::from(*byte));
    fs::read(path).unwrap().iter().fold(7, add)
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap();
    let names = names[..length].split(|b| *b == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 4096];
        let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value).unwrap();
        value[..length].to_vec()
    };
    names.map(|name| (String::from_utf8(name.to_vec()).unwrap(), value(name))).collect()
}

/// What a container of the image sees.
fn files(store: &Store, image: &orca::model::Digest) -> (TempDir, BTreeMap<PathBuf, String>) {
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("data");
    fs::create_dir(&into).unwrap();
    assert!(store.copy_out(image, "/", &into).unwrap());
    let tree = tree(&into);
    (dir, tree)
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

/// What the kernel makes of the layers, for comparison.
fn mounted(store: &Store, image: &orca::model::Digest) -> BTreeMap<PathBuf, String> {
    let dir = tempfile::tempdir().unwrap();
    let lower: Vec<_> =
        store.layers(image).unwrap().iter().map(|l| l.display().to_string()).collect();
    let options = format!("lowerdir={}:{}", lower.join(":"), dir.path().join("empty").display());
    let merged = dir.path().join("merged");
    for dir in [&dir.path().join("empty"), &merged] {
        fs::create_dir(dir).unwrap();
    }
    let flags = nix::mount::MsFlags::MS_RDONLY;
    nix::mount::mount(Some("overlay"), &merged, Some("overlay"), flags, Some(options.as_str()))
        .unwrap();
    let tree = tree(&merged);
    nix::mount::umount(&merged).unwrap();
    tree
}

#[test]
fn images_of_umoci_and_skopeo_have_the_same_files_here() {
    let foreign = Foreign::make();
    let theirs = tree(&Path::new(&foreign.path("final")).join("rootfs"));
    let layout = format!("oci:{}", foreign.layout_tag());
    let docker = foreign.path("docker.tar");
    skopeo(&layout, &format!("docker-archive:{docker}:shop/web:1"));
    let oci = foreign.path("oci.tar");
    skopeo(&layout, &format!("oci-archive:{oci}:shop/web:2"));
    run("gzip", ["-k", &docker]);
    for path in [foreign.path("layout"), docker.clone(), format!("{docker}.gz"), oci] {
        let (_dir, store) = store();
        let loaded = store.load_path(Path::new(&path)).unwrap();
        assert_eq!(loaded.len(), 1, "{path}");
        let (_files, ours) = files(&store, &loaded[0].id);
        similar_trees(&ours, &theirs);
        similar_trees(&mounted(&store, &loaded[0].id), &theirs);
        let image = store.get(&loaded[0].id).unwrap().unwrap();
        assert_eq!(image.layers.len(), 2);
        let config = &image.config;
        assert_eq!(
            (config.cmd.as_slice(), config.user.as_str()),
            (["/bin/sh".to_owned()].as_slice(), "7:8")
        );
        assert!(config.env.contains(&"A=b c".to_owned()));
        assert_eq!(config.exposed_ports, ["80/tcp"]);
        assert_eq!(config.volumes, ["/data"]);
        assert_eq!((config.working_dir.as_str(), config.stop_signal.as_str()), ("/srv", "SIGQUIT"));
        assert_eq!(config.labels["k"], "v");
    }
}

#[track_caller]
fn similar_trees(ours: &BTreeMap<PathBuf, String>, theirs: &BTreeMap<PathBuf, String>) {
    for (path, line) in theirs {
        assert_eq!(ours.get(path), Some(line), "{}", path.display());
    }
    assert_eq!(ours.len(), theirs.len());
}

#[test]
fn names_come_from_the_archive() {
    let foreign = Foreign::make();
    let layout = format!("oci:{}", foreign.layout_tag());
    let cases = [
        ("docker-archive", "shop/web:1", Some("docker.io/shop/web:1")),
        ("docker-archive", "busybox", Some("docker.io/library/busybox:latest")),
        ("oci-archive", "shop/web:2", Some("docker.io/shop/web:2")),
        ("oci-archive", "localhost:5000/x:y", Some("localhost:5000/x:y")),
        ("oci-archive", "busybox", Some("docker.io/library/busybox:latest")),
        ("oci-archive", "latest", None),
        ("oci-archive", "v1.2", None),
    ];
    let (_dir, store) = store();
    for (at, (form, name, expected)) in cases.into_iter().enumerate() {
        let tar = foreign.path(&format!("{at}.tar"));
        skopeo(&layout, &format!("{form}:{tar}:{name}"));
        let loaded = store.load(&mut File::open(&tar).unwrap()).unwrap();
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(loaded[0].references, expected, "{form} {name}");
        assert!(
            store
                .resolve(expected.first().copied().unwrap_or(loaded[0].id.as_str()))
                .unwrap()
                .is_some()
        );
    }
}

#[test]
fn other_programs_read_what_is_saved_here() {
    let foreign = Foreign::make();
    let theirs = tree(&Path::new(&foreign.path("final")).join("rootfs"));
    let (_dir, store) = store();
    let id = store.load_path(Path::new(&foreign.path("layout"))).unwrap().remove(0).id;
    store.tag(id.as_str(), "shop/web:1").unwrap();
    let image = store.get(&id).unwrap().unwrap();
    for (format, form) in [(Format::Docker, "docker-archive"), (Format::Oci, "oci-archive")] {
        let tar = foreign.path(&format!("{form}.tar"));
        store.save(&["shop/web:1".to_owned()], format, File::create(&tar).unwrap()).unwrap();
        // skopeo reads it, and umoci unpacks what skopeo read.
        let again = foreign.path(&format!("{form}-again"));
        skopeo(&format!("{form}:{tar}"), &format!("oci:{again}:x"));
        let bundle = foreign.path(&format!("{form}-bundle"));
        run("umoci", ["unpack", "--image", &format!("{again}:x"), &bundle]);
        similar_trees(&tree(&Path::new(&bundle).join("rootfs")), &theirs);
        // We read it, too: the same image, with its name.
        let (_dir, second) = self::store();
        let loaded = second.load(&mut File::open(&tar).unwrap()).unwrap();
        assert_eq!(
            (&loaded[0].id, loaded[0].references.as_slice()),
            (&id, ["docker.io/shop/web:1".to_owned()].as_slice())
        );
        if format == Format::Oci {
            assert_eq!(second.get(&id).unwrap().unwrap().manifest, image.manifest);
        }
    }
}

#[test]
fn the_store_is_an_oci_layout_that_others_read() {
    let foreign = Foreign::make();
    let (dir, store) = store();
    let id = store.load_path(Path::new(&foreign.path("layout"))).unwrap().remove(0).id;
    store.tag(id.as_str(), "shop/web:1").unwrap();
    let images = dir.path().join("images");
    let name = format!("oci:{}:docker.io/shop/web:1", images.display());
    let config = run("skopeo", ["inspect", "--config", "--raw", &name]);
    assert!(config.contains("SIGQUIT"), "{config}");
}

#[test]
fn the_built_in_image_can_be_saved_and_loaded() {
    let (dir, store) = store();
    let exe = dir.path().join("exe");
    fs::write(&exe, vec![7; 100_001]).unwrap();
    let image = store.builtin(&exe).unwrap();
    for format in [Format::Docker, Format::Oci] {
        let mut tar = Vec::new();
        store.save(&["orca/builtin".to_owned()], format, &mut tar).unwrap();
        let (_dir, second) = self::store();
        let loaded = second.load(&mut tar.as_slice()).unwrap();
        assert_eq!(loaded[0].id, image.id);
        let program = second.read_file(&image.id, "/bin/orca", 1 << 20).unwrap();
        assert_eq!(program.map(|bytes| bytes.len()), Some(100_001));
    }
}

#[test]
fn damaged_archives_are_refused_and_leave_nothing() {
    let foreign = Foreign::make();
    let layout = format!("oci:{}", foreign.layout_tag());
    let docker = foreign.path("docker.tar");
    skopeo(&layout, &format!("docker-archive:{docker}:x"));
    let whole = fs::read(&docker).unwrap();
    let (dir, store) = store();
    for cut in [100, 5000, whole.len() / 2, whole.len() - 20_000] {
        let error = store.load(&mut &whole[..cut]).unwrap_err();
        assert!(!error.to_string().is_empty());
    }
    // A layer whose bytes are others than its name says.
    let blobs = PathBuf::from(foreign.path("layout/blobs/sha256"));
    let large = |entry: &fs::DirEntry| entry.metadata().unwrap().len() > 100_000;
    let layer = fs::read_dir(&blobs).unwrap().map(Result::unwrap).find(large).unwrap().path();
    let good = fs::read(&layer).unwrap();
    let mut bytes = good.clone();
    bytes[50_000] ^= 1;
    fs::write(&layer, &bytes).unwrap();
    store.load_path(Path::new(&foreign.path("layout"))).unwrap_err();
    fs::write(&layer, &good[..60_000]).unwrap();
    store.load_path(Path::new(&foreign.path("layout"))).unwrap_err();
    fs::remove_file(&layer).unwrap();
    store.load_path(Path::new(&foreign.path("layout"))).unwrap_err();
    assert_eq!(store.list().unwrap(), []);
    for place in ["images/blobs/sha256", "images/layers", "images/staging"] {
        assert_eq!(fs::read_dir(dir.path().join(place)).unwrap().count(), 0, "{place}");
    }
    // And the store is as good as before.
    store.load(&mut whole.as_slice()).unwrap();
    assert_eq!(store.list().unwrap().len(), 1);
}

#[test]
fn an_image_for_another_machine_is_refused() {
    let foreign = Foreign::make();
    let config = ["config", "--image", &foreign.layout_tag(), "--architecture", "s390x"];
    run("umoci", config);
    let (_dir, store) = store();
    let error = store.load_path(Path::new(&foreign.path("layout"))).unwrap_err();
    assert!(matches!(error, ImageError::Platform { .. }), "{error}");
    assert!(error.to_string().contains("linux/s390x"), "{error}");
}

#[test]
fn removal_keeps_what_is_in_use_and_shared() {
    let foreign = Foreign::make();
    let (dir, store) = store();
    let id = store.load_path(Path::new(&foreign.path("layout"))).unwrap().remove(0).id;
    store.tag(id.as_str(), "one").unwrap();
    store.tag("one", "two").unwrap();
    let container: orca::model::ContainerId = "c".repeat(64).parse().unwrap();
    store.create_root(&container, &id).unwrap();

    assert_eq!(store.list().unwrap()[0].containers, 1);
    assert!(matches!(store.remove(id.as_str(), false), Err(ImageError::OtherNames { .. })));
    assert_eq!(store.remove("two", false).unwrap().deleted, None);
    assert!(matches!(store.remove("one", false), Err(ImageError::InUse { .. })));
    assert_eq!(store.prune(&BTreeSet::new()).unwrap().images, []);
    // By force it loses its name; the container keeps its files.
    assert_eq!(store.remove("one", true).unwrap().deleted, None);
    assert!(store.get(&id).unwrap().unwrap().references.is_empty());
    assert!(store.layers(&id).unwrap()[0].exists());

    store.remove_root(&container).unwrap();
    let keep = BTreeSet::from([id.clone()]);
    assert_eq!(store.prune(&keep).unwrap().images, []);
    let pruned = store.prune_dangling(&BTreeSet::new()).unwrap();
    assert_eq!(pruned.images[0].deleted, Some(id));
    assert!(pruned.bytes > 500_000);
    for place in ["images/blobs/sha256", "images/layers", "images/staging"] {
        assert_eq!(fs::read_dir(dir.path().join(place)).unwrap().count(), 0, "{place}");
    }
    assert_eq!(store.disk_usage().unwrap().images, []);
}

#[test]
fn many_load_and_prune_at_once() {
    let foreign = Foreign::make();
    let docker = foreign.path("docker.tar");
    skopeo(&format!("oci:{}", foreign.layout_tag()), &format!("docker-archive:{docker}:x:1"));
    let theirs = tree(&Path::new(&foreign.path("final")).join("rootfs"));
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for number in 0..6 {
            // A store of its own, as in another process.
            let (root, docker) = (dir.path().to_owned(), docker.clone());
            scope.spawn(move || {
                let store = Store::open(&root).unwrap();
                for _ in 0..4 {
                    if number % 3 == 2 {
                        store.prune(&BTreeSet::new()).unwrap();
                    } else {
                        store.load(&mut File::open(&docker).unwrap()).unwrap();
                    }
                }
            });
        }
    });
    let store = Store::open(dir.path()).unwrap();
    let id = store.load(&mut File::open(&docker).unwrap()).unwrap().remove(0).id;
    similar_trees(&files(&store, &id).1, &theirs);
    assert_eq!(fs::read_dir(dir.path().join("images/staging")).unwrap().count(), 0);
}

#[test]
fn files_are_read_and_copied_without_a_container() {
    let foreign = Foreign::make();
    let (_dir, store) = store();
    let id = store.load_path(Path::new(&foreign.path("layout"))).unwrap().remove(0).id;
    let passwd = b"root:x:0:0:root:/root:/bin/sh\n".to_vec();
    for path in ["/etc/passwd", "etc/passwd", "/etc/absolute", "/usr/share/../../etc/passwd"] {
        assert_eq!(store.read_file(&id, path, 1000).unwrap().as_ref(), Some(&passwd), "{path}");
    }
    for path in ["/etc", "/nothing", "/gone/deep/file", "/etc/passwd/x"] {
        assert_eq!(store.read_file(&id, path, 1000).unwrap(), None, "{path}");
    }
    assert!(matches!(store.read_file(&id, "/etc/passwd", 5), Err(ImageError::TooLarge { .. })));
    let into = foreign.path("volume");
    fs::create_dir(&into).unwrap();
    for path in ["/nothing", "/etc/passwd", "/gone"] {
        assert!(!store.copy_out(&id, path, Path::new(&into)).unwrap(), "{path}");
        assert_eq!(fs::read_dir(&into).unwrap().count(), 0);
    }
    assert!(store.copy_out(&id, "/tmp", Path::new(&into)).unwrap());
    assert_eq!(fs::metadata(&into).unwrap().mode() & 0o7777, 0o1777);
}

/// Where the test below loads to, over and over, until it is killed.
const VICTIM: &str = "ORCA_TEST_LOAD_UNTIL_KILLED";

#[test]
fn a_load_into_a_store_that_others_use() {
    let Some(dir) = std::env::var_os(VICTIM).map(PathBuf::from) else {
        let foreign = Foreign::make();
        let (_dir, store) = store();
        let used = store.load_path(Path::new(&foreign.path("layout"))).unwrap();
        assert_eq!(store.load_path(Path::new(&foreign.path("layout"))).unwrap(), used);
        return;
    };
    // Ends by being killed, or after far more time than the other test takes.
    for _ in 0..1000 {
        let store = Store::open(&dir.join("root")).unwrap();
        store.load_path(&dir.join("layout")).unwrap();
        store.prune(&BTreeSet::new()).unwrap();
    }
}

#[test]
fn killed_at_any_moment_the_store_is_whole() {
    let foreign = Foreign::make();
    let theirs = tree(&Path::new(&foreign.path("final")).join("rootfs"));
    let root = PathBuf::from(foreign.path("root"));
    for round in 0..25 {
        #[expect(clippy::disallowed_methods, reason = "it starts this test itself")]
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "image::a_load_into_a_store_that_others_use"])
            .env(VICTIM, foreign.dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let wait = 20 + u64::try_from(orca::sys::random::below(280)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        victim.kill().unwrap();
        assert!(!victim.wait().unwrap().success(), "it ended before it was killed");

        let store = Store::open(&root).unwrap();
        check_whole(&root);
        for image in store.list().unwrap() {
            similar_trees(&files(&store, &image.id).1, &theirs);
        }
        let id = store.load_path(Path::new(&foreign.path("layout"))).unwrap().remove(0).id;
        similar_trees(&files(&store, &id).1, &theirs);
        if round % 2 == 0 {
            store.prune(&BTreeSet::new()).unwrap();
        }
    }
}

/// Nothing is half done in the store, and every blob is what its name says.
#[track_caller]
fn check_whole(root: &Path) {
    assert_eq!(fs::read_dir(root.join("images/staging")).unwrap().count(), 0);
    let blobs: Vec<_> = fs::read_dir(root.join("images/blobs/sha256"))
        .unwrap()
        .map(|blob| blob.unwrap().path())
        .collect();
    if blobs.is_empty() {
        return;
    }
    let sums = run("sha256sum", &blobs);
    for (line, blob) in sums.lines().zip(&blobs) {
        assert_eq!(line.split(' ').next(), blob.file_name().unwrap().to_str());
    }
}
