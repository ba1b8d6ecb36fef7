//! The store from end to end, with archives made here.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use tempfile::TempDir;

use super::testing::{Archive, gzip, zstd};
use super::{ImageError, Store};
use crate::model::{ContainerId, HealthCheck, ImageConfig, Probe};

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn container(digit: char) -> ContainerId {
    digit.to_string().repeat(64).parse().unwrap()
}

fn small() -> Vec<u8> {
    Archive::new()
        .dir("etc/")
        .file("etc/passwd", "root:x:0:0::/:\n")
        .symlink("p", "etc/passwd")
        .end()
}

#[test]
fn an_imported_archive_is_an_image_with_one_layer() {
    let (_dir, store) = store();
    let config = ImageConfig {
        cmd: vec!["/bin/sh".to_owned()],
        env: vec!["A=b".to_owned()],
        exposed_ports: vec!["80/tcp".to_owned()],
        volumes: vec!["/data".to_owned()],
        user: "1000".to_owned(),
        stop_signal: "SIGQUIT".to_owned(),
        healthcheck: Some(HealthCheck {
            test: Some(Probe::Http("http://:80/".to_owned())),
            retries: Some(7),
            ..HealthCheck::default()
        }),
        ..ImageConfig::default()
    };
    for (name, bytes) in [("plain", small()), ("gzip", gzip(&small())), ("zstd", zstd(&small()))] {
        let image = store.import(bytes.as_slice(), name, config.clone()).unwrap();
        assert_eq!(image.config, config);
        assert!(image.references.contains(&format!("docker.io/library/{name}:latest")));
        let layers = store.layers(&image.id).unwrap();
        assert_eq!(fs::read_to_string(layers[0].join("p")).unwrap(), "root:x:0:0::/:\n");
    }
    // The three have the same content, so there is one unpacked layer.
    assert_eq!(store.layer_dirs().unwrap().len(), 1);
}

#[test]
fn images_are_found_by_every_form_of_their_name() {
    let (_dir, store) = store();
    let image = store.import(small().as_slice(), "shop/web:1", ImageConfig::default()).unwrap();
    let digest = format!("shop/web@{}", image.manifest);
    let (id, hex) = (image.id.as_str(), image.id.hex());
    for name in ["shop/web:1", "docker.io/shop/web:1", &digest, id, hex, &hex[..12], &id[..19]] {
        assert_eq!(store.resolve(name).unwrap().as_ref(), Some(&image), "{name}");
    }
    for name in ["shop/web", "shop/web:2", "web:1", "ffffffffffff"] {
        assert_eq!(store.resolve(name).unwrap(), None, "{name}");
    }
    assert!(matches!(store.resolve("Shop"), Err(ImageError::BadReference { .. })));
    assert!(matches!(store.find("nginx"), Err(ImageError::NotFound(_))));
}

#[test]
fn a_root_is_made_once_and_removed_whole() {
    let (dir, store) = store();
    let tar = Archive::new().entry("./", tar::EntryType::Directory, 0o1711, "", b"").file("a", "a");
    let image = store.import(tar.end().as_slice(), "x", ImageConfig::default()).unwrap();
    let root = store.create_root(&container('a'), &image.id).unwrap();
    let upper = fs::metadata(&root.upper).unwrap();
    assert_eq!((upper.mode() & 0o7777, upper.uid(), upper.gid()), (0o1711, 1000, 1001));
    fs::write(root.upper.join("kept"), "").unwrap();
    assert_eq!(store.create_root(&container('a'), &image.id).unwrap(), root);
    assert!(root.upper.join("kept").exists());
    assert_eq!(store.roots().unwrap(), [container('a')]);
    assert_eq!(store.image_of_root(&container('a')).unwrap(), Some(image.id));
    store.remove_root(&container('a')).unwrap();
    store.remove_root(&container('a')).unwrap();
    assert_eq!(store.roots().unwrap(), []);
    assert_eq!(fs::read_dir(dir.path().join("containers")).unwrap().count(), 0);
}

#[test]
fn the_built_in_image_follows_its_program() {
    let (dir, store) = store();
    let exe = dir.path().join("program");
    fs::write(&exe, "first").unwrap();
    let first = store.builtin(&exe).unwrap();
    assert_eq!(store.builtin(&exe).unwrap(), first);
    assert_eq!(store.resolve("orca/builtin").unwrap().as_ref(), Some(&first));
    assert_eq!(store.resolve("orca").unwrap().as_ref(), Some(&first));
    assert!(store.is_builtin("orca") && store.is_builtin("orca/builtin"));
    assert!(!store.is_builtin("orca:1") && !store.is_builtin("nginx"));
    let bin = |image| store.layers(image).unwrap()[0].join("bin/orca");
    assert_eq!(fs::read_to_string(bin(&first.id)).unwrap(), "first");
    assert_eq!(fs::metadata(bin(&first.id)).unwrap().mode() & 0o7777, 0o755);

    fs::write(&exe, "second").unwrap();
    let second = store.builtin(&exe).unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(store.resolve("orca/builtin").unwrap(), Some(second));
    // Containers of the old one still have it.
    assert_eq!(fs::read_to_string(bin(&first.id)).unwrap(), "first");
}

#[test]
fn a_bad_import_leaves_nothing() {
    let (dir, store) = store();
    let long = vec![7; 3 << 20];
    let cut = Archive::new().bytes("a", &long).end();
    let cut = &cut[..2 << 20];
    let climbing = Archive::new().file("../x", "x").bytes("a", &long).end();
    for bytes in [cut, &climbing, b"this is no archive", &gzip(&small())[..60]] {
        store.import(bytes, "x", ImageConfig::default()).unwrap_err();
        assert_eq!(store.resolve("x").unwrap(), None);
        for place in ["blobs/sha256", "layers", "staging"] {
            assert_eq!(fs::read_dir(dir.path().join("images").join(place)).unwrap().count(), 0);
        }
    }
}

#[test]
fn what_a_cut_off_load_leaves_is_swept_but_not_what_is_in_use() {
    let (dir, store) = store();
    let staging = dir.path().join("images/staging");
    fs::create_dir_all(staging.join("old/1/fs")).unwrap();
    fs::write(staging.join("old/lock"), "").unwrap();
    let used = store.stage().unwrap();
    let again = Store::open(dir.path()).unwrap();
    assert!(!staging.join("old").exists());
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 1);
    drop(used);
    drop(again);
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 0);
}

#[test]
fn layers_of_an_earlier_boot_that_may_be_torn_are_made_again() {
    let (dir, store) = store();
    let image = store.import(small().as_slice(), "x", ImageConfig::default()).unwrap();
    let layer = store.layers(&image.id).unwrap().remove(0);
    let info = layer.with_file_name("layer.json");
    let text = fs::read_to_string(&info).unwrap();
    fs::write(&info, text.replace(&crate::sys::clock::boot_id().0, "another")).unwrap();
    fs::write(layer.join("etc/passwd"), "torn").unwrap();
    let again = Store::open(dir.path()).unwrap();
    assert!(!layer.exists());
    again.layers(&image.id).unwrap();
    assert_eq!(fs::read_to_string(layer.join("etc/passwd")).unwrap(), "root:x:0:0::/:\n");
    // Once they are on the disk for sure, they stay.
    again.settle_now().unwrap();
    assert!(fs::read_to_string(&info).unwrap().contains("\"boot\":null"));
}

#[test]
fn blobs_that_a_power_cut_has_torn_are_dropped_and_come_again() {
    let (dir, store) = store();
    let large = Archive::new().bytes("large", &vec![7; 300_000]).end();
    store.import(large.as_slice(), "torn", ImageConfig::default()).unwrap();
    let image = store.import(small().as_slice(), "whole", ImageConfig::default()).unwrap();
    let mark = dir.path().join("images/unsettled");
    assert!(mark.exists());
    let blob = fs::read_dir(dir.path().join("images/blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| fs::metadata(path).unwrap().len() > 300_000)
        .unwrap();
    fs::write(&blob, vec![0; 300_000]).unwrap();
    let other = Archive::new().file("o", "o").end();
    let lost = store.import(other.as_slice(), "lost", ImageConfig::default()).unwrap();
    fs::write(dir.path().join("images/blobs/sha256").join(lost.manifest.hex()), "").unwrap();
    // In this boot nobody looks.
    drop(Store::open(dir.path()).unwrap());
    assert!(blob.exists());
    fs::write(&mark, "another").unwrap();
    let again = Store::open(dir.path()).unwrap();
    assert!(!blob.exists() && !mark.exists());
    assert_eq!(again.find("whole").unwrap().id, image.id);
    assert_eq!(again.resolve("lost").unwrap(), None);
    again.import(large.as_slice(), "torn", ImageConfig::default()).unwrap();
    let id = again.find("torn").unwrap().id;
    assert!(again.layers(&id).unwrap()[0].join("large").exists());
    again.settle_now().unwrap();
    assert!(!mark.exists() && !dir.path().join("images/settling").exists());
}

#[test]
fn a_full_disk_ends_a_load_and_harms_nothing() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let dir = tempfile::tempdir().unwrap();
    let size = |size: &str, more: MsFlags| {
        mount(Some("tmpfs"), dir.path(), Some("tmpfs"), more, Some(size)).unwrap();
    };
    size("size=2m", MsFlags::empty());
    let store = Store::open(dir.path()).unwrap();
    store.import(small().as_slice(), "small", ImageConfig::default()).unwrap();
    let large = Archive::new().bytes("large", &vec![1; 3 << 20]).end();
    let error = store.import(large.as_slice(), "large", ImageConfig::default()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("No space left"), "{error}: {source}");
    let image = store.resolve("small").unwrap().unwrap();
    assert!(store.layers(&image.id).unwrap()[0].join("etc/passwd").exists());
    assert_eq!(fs::read_dir(dir.path().join("images/staging")).unwrap().count(), 0);

    size("size=20m", MsFlags::MS_REMOUNT);
    store.import(large.as_slice(), "large", ImageConfig::default()).unwrap();
    umount2(dir.path(), MntFlags::MNT_DETACH).unwrap();
}

#[test]
fn a_damaged_image_is_named_and_can_be_removed() {
    let (dir, store) = store();
    for name in ["good", "bad", "worse"] {
        let tar = Archive::new().file(name, name).end();
        store.import(tar.as_slice(), name, ImageConfig::default()).unwrap();
    }
    let blob = |name: &str| {
        let manifest = store.find(name).unwrap().manifest;
        dir.path().join("images/blobs/sha256").join(manifest.hex())
    };
    let (bad, worse) = (blob("bad"), blob("worse"));
    fs::write(bad, "{}").unwrap();
    fs::remove_file(worse).unwrap();
    // Another process has not read them before.
    let store = Store::open(dir.path()).unwrap();
    assert!(matches!(store.resolve("bad"), Err(ImageError::WrongDigest { .. })));
    assert_eq!(store.list().unwrap().len(), 1);
    store.prune(&BTreeSet::from([store.find("good").unwrap().id])).unwrap_err();
    for name in ["bad", "worse"] {
        assert_eq!(store.remove(name, false).unwrap().untagged.len(), 1);
        assert_eq!(store.resolve(name).unwrap(), None);
    }
    store.prune(&BTreeSet::from([store.find("good").unwrap().id])).unwrap();
    let image = store.find("good").unwrap();
    assert!(store.layers(&image.id).unwrap()[0].join("good").exists());
    assert_eq!(store.layer_dirs().unwrap().len(), 1);
}
