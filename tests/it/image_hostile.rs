//! Archives that were made to do harm: each is refused or stays inside of the store.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use orca::image::{Limits, Store};
use orca::model::ImageConfig;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use tar::{EntryType, Header};
use tempfile::TempDir;

/// A host with files that nothing may touch, and a store beside them.
struct Host {
    dir: TempDir,
    store: Store,
    before: BTreeMap<PathBuf, String>,
}

impl Host {
    fn new(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        fs::create_dir_all(precious.join("deep")).unwrap();
        fs::write(precious.join("file"), "safe").unwrap();
        fs::write(precious.join("deep/file"), "safe too").unwrap();
        symlink("file", precious.join("link")).unwrap();
        let store = Store::with_limits(&dir.path().join("root"), limits).unwrap();
        let before = tree(dir.path());
        Self { dir, store, before }
    }

    /// Everything outside of the store is as it was, and the store holds nothing half done.
    #[track_caller]
    fn check(&self, what: &str) {
        assert_eq!(tree(self.dir.path()), self.before, "{what}");
        let images = self.dir.path().join("root/images");
        let staging = fs::read_dir(images.join("staging")).unwrap().count();
        assert_eq!(staging, 0, "{what}: staging is not empty");
        for layer in fs::read_dir(images.join("layers")).unwrap() {
            check_layer(&layer.unwrap().path().join("fs"), what);
        }
    }

    fn precious(&self) -> String {
        self.dir.path().join("precious").to_str().unwrap().to_owned()
    }
}

/// A layer has no device but whiteouts, and says nothing to overlayfs but what orca itself says.
#[track_caller]
fn check_layer(dir: &Path, what: &str) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let kind = meta.file_type();
        let device = kind.is_block_device() || (kind.is_char_device() && meta.rdev() != 0);
        assert!(!device, "{what}: a device at {}", path.display());
        let mut names = vec![0; 4096];
        let length = rustix::fs::llistxattr(&path, &mut names).unwrap();
        for name in String::from_utf8_lossy(&names[..length]).split('\0') {
            let known = name.is_empty()
                || name == "security.capability"
                || (name.starts_with("user.") && !name.starts_with("user.overlay."))
                || (name == "trusted.overlay.opaque" && kind.is_dir());
            assert!(known, "{what}: {name} at {}", path.display());
        }
        if kind.is_dir() {
            check_layer(&path, what);
        }
    }
}

/// What is at each path, but for the store's own.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let (mut found, mut todo) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let own = path.starts_with(root.join("root/images"));
            if !own {
                let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
                let said =
                    format!("{:o} {} {:?} {content:?}", meta.mode(), meta.uid(), meta.mtime());
                found.insert(path.clone(), if meta.is_dir() { String::new() } else { said });
                if meta.is_dir() {
                    todo.push(path);
                }
            }
        }
    }
    found
}

/// One entry of an archive, with all that can be wrong with it.
#[derive(Debug, Clone)]
struct Hostile {
    path: Vec<u8>,
    link: Vec<u8>,
    kind: u8,
    size: Vec<u8>,
    content: Vec<u8>,
    pax: Vec<(String, Vec<u8>)>,
    device: (u32, u32),
    broken_sum: bool,
}

fn name() -> impl Strategy<Value = &'static str> {
    let odd = vec!["..", ".", "", ".wh..wh..opq", ".wh..", ".wh...", ".wh..wh.plnk", ".wh.", "dev"];
    prop_oneof![
        30 => prop::sample::select(vec!["a", "b", "l", "etc", ".wh.a", ".wh.b"]),
        1 => prop::sample::select(odd),
    ]
}

/// Relative, absolute and climbing paths. `HOST` stands for the directory that must not change.
fn path() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        40 => vec(name(), 1..4).prop_map(|names| names.join("/").into_bytes()),
        1 => Just(b"HOST/file".to_vec()),
        1 => Just(b"../../../../../../../../../../../../../../../HOST/file".to_vec()),
        1 => Just(vec![b'n'; 300]),
        1 => Just(b"a\0b".to_vec()),
        1 => Just("d/".repeat(600).into_bytes()),
    ]
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        path(),
        prop::sample::select(vec![
            "/",
            "..",
            "../../../../../../..",
            "HOST",
            "HOST/deep",
            "a",
            "l",
            ""
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

fn pax() -> impl Strategy<Value = (String, Vec<u8>)> {
    let keys = vec![
        "path",
        "linkpath",
        "size",
        "uid",
        "gid",
        "mtime",
        "GNU.sparse.major",
        "GNU.sparse.minor",
        "GNU.sparse.name",
        "GNU.sparse.realsize",
        "SCHILY.xattr.trusted.overlay.opaque",
        "SCHILY.xattr.trusted.overlay.redirect",
        "SCHILY.xattr.user.overlay.opaque",
        "SCHILY.xattr.security.capability",
        "SCHILY.xattr.user.x",
        "SCHILY.xattr.",
        "comment",
        "",
    ];
    let values = prop_oneof![
        path(),
        prop::sample::select(vec![
            "0",
            "1",
            "-1",
            "99999999999999999999",
            "18446744073709551615",
            "y",
            "1e3",
            "",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    (prop::sample::select(keys).prop_map(str::to_owned), values)
}

fn pax_records() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    prop_oneof![12 => Just(Vec::new()), 1 => vec(pax(), 1..3)]
}

fn entry() -> impl Strategy<Value = Hostile> {
    let kinds = prop_oneof![
        30 => prop::sample::select(b"0000555522223461".to_vec()),
        1 => prop::sample::select(b"7LKSxgDMVz\0".to_vec()),
    ];
    let sizes = prop_oneof![
        60 => Just(Vec::new()),
        1 => Just(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        1 => Just(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        1 => Just(b"-0000000010\0".to_vec()),
        1 => Just(b"77777777777\0".to_vec()),
        1 => Just(b"0000000000x\0".to_vec()),
    ];
    let device = prop::sample::select(vec![(0, 0), (1, 3), (8, 0)]);
    (path(), target(), kinds, sizes, vec(any::<u8>(), 0..700), pax_records(), device, 0..60_u8)
        .prop_map(|(path, link, kind, size, content, pax, device, luck)| Hostile {
            path,
            link,
            kind,
            size,
            content,
            pax,
            device,
            broken_sum: luck == 0,
        })
}

/// The bytes of an archive; `host` is put where entries speak of the host.
fn archive(entries: &[Hostile], host: &str, ended: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let fill = |text: &[u8]| {
            let text = String::from_utf8_lossy(text).replace("HOST", host.trim_start_matches('/'));
            let absolute = text.starts_with(host.trim_start_matches('/'));
            if absolute { format!("/{text}").into_bytes() } else { text.into_bytes() }
        };
        if !entry.pax.is_empty() {
            let mut data = Vec::new();
            for (key, value) in &entry.pax {
                let value = fill(value);
                let rest = key.len() + value.len() + 3;
                let mut length = rest + 1;
                while length != rest + length.to_string().len() {
                    length += 1;
                }
                write!(data, "{length} {key}=").unwrap();
                data.extend_from_slice(&value);
                data.push(b'\n');
            }
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::XHeader);
            header.set_size(data.len() as u64);
            header.set_cksum();
            push(&mut out, &header, &data);
        }
        let mut header = Header::new_gnu();
        let (path, link) = (fill(&entry.path), fill(&entry.link));
        let gnu = header.as_gnu_mut().unwrap();
        let length = path.len().min(100);
        gnu.name[..length].copy_from_slice(&path[..length]);
        let length = link.len().min(100);
        gnu.linkname[..length].copy_from_slice(&link[..length]);
        header.set_entry_type(EntryType::new(entry.kind));
        header.set_mode(0o4755);
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_mtime(1);
        header.set_size(entry.content.len() as u64);
        header.set_device_major(entry.device.0).unwrap();
        header.set_device_minor(entry.device.1).unwrap();
        let length = entry.size.len();
        header.as_gnu_mut().unwrap().size[..length].copy_from_slice(&entry.size);
        header.set_cksum();
        if entry.broken_sum {
            header.as_gnu_mut().unwrap().cksum = *b"0000000\0";
        }
        push(&mut out, &header, &entry.content);
    }
    if ended {
        out.resize(out.len() + 1024, 0);
    }
    out
}

fn push(out: &mut Vec<u8>, header: &Header, content: &[u8]) {
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn generated_layers_stay_inside() {
    let host = Host::new(Limits { bytes: 64 << 20, ..Limits::default() });
    let precious = host.precious();
    let config =
        ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let mut taken = 0;
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let strategy = (vec(entry(), 1..7), any::<bool>(), 0..3_u8);
    let taken_ref = std::cell::RefCell::new(&mut taken);
    runner
        .run(&strategy, |(entries, ended, packing)| {
            let bytes = archive(&entries, &precious, ended);
            let bytes = match packing {
                0 => bytes,
                1 => gzip(&bytes),
                _ => zstd(&bytes),
            };
            let done = host.store.import(bytes.as_slice(), "hostile", ImageConfig::default());
            if done.is_ok() {
                **taken_ref.borrow_mut() += 1;
            }
            host.check(&format!("{entries:?}: {done:?}"));
            if done.is_ok() {
                host.store.remove("hostile", true).unwrap();
            }
            Ok(())
        })
        .unwrap();
    // Otherwise it would be the form that is refused, and nothing would have been tried.
    assert!(taken > 20, "only {taken} archives were taken");
    assert_eq!(fs::read_dir(host.dir.path().join("root/images/layers")).unwrap().count(), 0);
}

#[test]
fn a_second_layer_cannot_use_what_the_first_prepared() {
    let host = Host::new(Limits::default());
    let precious = host.precious();
    let entry = |path: &str, kind: EntryType, link: &str, content: &[u8]| Hostile {
        path: path.into(),
        link: link.into(),
        kind: kind.as_byte(),
        size: Vec::new(),
        content: content.to_vec(),
        pax: Vec::new(),
        device: (0, 0),
        broken_sum: false,
    };
    let first = [
        entry("out", EntryType::Symlink, "HOST", b""),
        entry("up", EntryType::Symlink, "../../../../../..", b""),
        entry("file", EntryType::Symlink, "HOST/file", b""),
        entry("dir", EntryType::Directory, "", b""),
    ];
    let second = [
        entry("out/file", EntryType::Regular, "", b"harm"),
        entry("out/.wh.file", EntryType::Regular, "", b""),
        entry("out/deep/.wh..wh..opq", EntryType::Regular, "", b""),
        entry("up/new", EntryType::Regular, "", b"harm"),
        entry("hard", EntryType::Link, "file", b""),
        entry("hard", EntryType::Regular, "", b"harm"),
        entry("dir", EntryType::Symlink, "HOST", b""),
        entry("dir/file", EntryType::Regular, "", b"harm"),
    ];
    let layers = [archive(&first, &precious, true), archive(&second, &precious, true)];
    let loaded = host.store.load(&mut image(&layers, |_, _| {}).as_slice()).unwrap();
    host.check("two layers");
    let files = tempfile::tempdir().unwrap();
    assert!(host.store.copy_out(&loaded[0].id, "/", files.path()).unwrap());
    host.check("copied out");
}

/// An archive as `docker save` writes it; `change` may spoil its manifest and configuration.
fn image(
    layers: &[Vec<u8>],
    change: impl Fn(&mut serde_json::Value, &mut serde_json::Value),
) -> Vec<u8> {
    let ids: Vec<_> = layers.iter().map(|layer| format!("sha256:{}", sum(layer))).collect();
    let names: Vec<_> = (0..layers.len()).map(|n| format!("{n}/layer.tar")).collect();
    let mut config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": ids},
    });
    let mut manifest =
        json!([{"Config": "config.json", "RepoTags": ["hostile:1"], "Layers": names}]);
    change(&mut manifest, &mut config);
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    add("manifest.json", manifest.to_string().as_bytes());
    add("config.json", config.to_string().as_bytes());
    for (name, layer) in names.iter().zip(layers) {
        add(name, layer);
    }
    tar.into_inner().unwrap()
}

fn sum(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn documents_that_lie_are_refused() {
    type Change = fn(&mut serde_json::Value, &mut serde_json::Value);
    let changes: [(&str, Change); 17] = [
        ("a layer of the host", |manifest, _| manifest[0]["Layers"] = json!(["/etc/passwd"])),
        ("a layer outside", |manifest, _| manifest[0]["Layers"] = json!(["../../../etc/passwd"])),
        ("a config of the host", |manifest, _| manifest[0]["Config"] = json!("/etc/passwd")),
        ("a config outside", |manifest, _| manifest[0]["Config"] = json!("../../x.json")),
        ("no config", |manifest, _| manifest[0]["Config"] = json!(null)),
        ("a number of layers", |manifest, _| manifest[0]["Layers"] = json!(7)),
        ("no layers", |manifest, _| manifest[0]["Layers"] = json!([])),
        ("a name with a newline", |manifest, _| manifest[0]["RepoTags"] = json!(["a\nb"])),
        ("a name that climbs", |manifest, _| manifest[0]["RepoTags"] = json!(["../../x:1"])),
        ("an object for a list", |manifest, _| *manifest = json!({"a": 1})),
        ("diff ids of other bytes", |_, config| {
            config["rootfs"]["diff_ids"] = json!([format!("sha256:{}", "0".repeat(64))]);
        }),
        ("too many diff ids", |_, config| {
            let id = config["rootfs"]["diff_ids"][0].clone();
            config["rootfs"]["diff_ids"] = json!([id, id]);
        }),
        ("diff ids that are paths", |_, config| {
            config["rootfs"]["diff_ids"] = json!(["sha256:../../../../etc/passwd"]);
        }),
        ("another kind of root", |_, config| config["rootfs"]["type"] = json!("floppy")),
        ("a configuration that is a list", |_, config| *config = json!([1, 2, 3])),
        ("an environment of numbers", |_, config| config["config"]["Env"] = json!([1])),
        ("another machine", |_, config| config["architecture"] = json!("s390x")),
    ];
    let host = Host::new(Limits::default());
    let layers = [archive(&[], "", true)];
    host.store.load(&mut image(&layers, |_, _| {}).as_slice()).unwrap();
    host.store.remove("hostile:1", false).unwrap();
    for (what, change) in changes {
        let error = host.store.load(&mut image(&layers, change).as_slice());
        let error = error.err().unwrap_or_else(|| panic!("{what} was taken"));
        assert!(!error.to_string().is_empty());
        host.check(what);
        assert_eq!(host.store.list().unwrap(), [], "{what}");
    }
    // Deep and long documents.
    for document in ["[".repeat(200_000), format!("[{}\"x\"]", "\"y\",".repeat(3_000_000))] {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(document.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, "manifest.json", document.as_bytes()).unwrap();
        host.store.load(&mut tar.into_inner().unwrap().as_slice()).unwrap_err();
        host.check("a deep or long document");
    }
}

#[test]
fn bombs_are_stopped_before_they_fill_the_disk() {
    let limits = Limits { ratio: 100, ratio_from: 1 << 20, bytes: 32 << 20, ..Limits::default() };
    let host = Host::new(limits);
    let entry = |size: usize| {
        let mut header = Header::new_gnu();
        header.set_path("bomb").unwrap();
        header.set_size(size as u64);
        header.set_mode(0o644);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.resize(bytes.len() + size, 0);
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    };
    for bytes in [gzip(&entry(24 << 20)), zstd(&entry(24 << 20))] {
        let error =
            host.store.import(bytes.as_slice(), "bomb", ImageConfig::default()).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("for each byte in"), "{error}: {source}");
        host.check("a bomb");
    }
    // Not packed, but larger than a layer may be; and a file that says it is larger than it is.
    let error = host.store.import(entry(40 << 20).as_slice(), "big", ImageConfig::default());
    error.unwrap_err();
    host.check("a large file");

    // A hundred thousand files are fine; more than the limit are not.
    let mut many = Vec::new();
    for number in 0..100_000 {
        let mut header = Header::new_gnu();
        header.set_path(format!("d{}/{number}", number % 100)).unwrap();
        header.set_size(0);
        header.set_mode(0o644);
        header.set_cksum();
        many.extend_from_slice(header.as_bytes());
    }
    many.resize(many.len() + 1024, 0);
    let plenty = Host::new(Limits { entries: 150_000, ..Limits::default() });
    let image = plenty.store.import(many.as_slice(), "many", ImageConfig::default()).unwrap();
    let layer = plenty.store.layers(&image.id).unwrap().remove(0);
    let count: usize = fs::read_dir(layer)
        .unwrap()
        .map(|dir| fs::read_dir(dir.unwrap().path()).unwrap().count())
        .sum();
    assert_eq!(count, 100_000);
    let few = Host::new(Limits { entries: 99_999, ..Limits::default() });
    few.store.import(many.as_slice(), "many", ImageConfig::default()).unwrap_err();
    few.check("too many files");
    assert_eq!(fs::read_dir(few.dir.path().join("root/images/layers")).unwrap().count(), 0);
}
