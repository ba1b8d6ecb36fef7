use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tempfile::TempDir;

use super::{VolumeError, Volumes};
use crate::model::Volume;

fn volumes() -> (TempDir, Volumes) {
    let dir = tempfile::tempdir().unwrap();
    let volumes = Volumes::open(dir.path()).unwrap();
    (dir, volumes)
}

fn options(pairs: &[(&str, &str)]) -> Volume {
    let driver_opts = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Volume { driver_opts, ..Volume::default() }
}

#[test]
fn a_volume_is_made_once_and_keeps_its_files() {
    let (dir, volumes) = volumes();
    let volume =
        Volume { labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]), ..Volume::default() };
    let path = volumes.ensure("shop_data", &volume, "shop").unwrap();
    assert_eq!(path, dir.path().join("volumes/shop_data/data"));
    assert!(volumes.is_empty("shop_data").unwrap());
    fs::write(path.join("file"), "kept").unwrap();
    assert_eq!(volumes.ensure("shop_data", &volume, "shop").unwrap(), path);
    assert!(!volumes.is_empty("shop_data").unwrap());
    assert_eq!(volumes.path("shop_data").unwrap(), Some(path.clone()));

    let record = Volumes::open(dir.path()).unwrap().inspect("shop_data").unwrap().unwrap();
    assert_eq!((record.stack.as_str(), &record.labels), ("shop", &volume.labels));
    assert_eq!(volumes.list().unwrap(), [record]);
    assert!(volumes.disk_usage("shop_data").unwrap() > 0);

    volumes.remove("shop_data").unwrap();
    volumes.remove("shop_data").unwrap();
    assert!(!path.exists());
    assert_eq!(volumes.path("shop_data").unwrap(), None);
    assert!(matches!(volumes.is_empty("shop_data"), Err(VolumeError::NotFound(_))));
}

#[test]
fn a_bind_volume_is_the_hosts_directory_and_outlives_the_volume() {
    let (_dir, volumes) = volumes();
    let host = tempfile::tempdir().unwrap();
    fs::write(host.path().join("mine"), "").unwrap();
    let device = host.path().to_str().unwrap();
    let volume = options(&[("type", "none"), ("o", "bind"), ("device", device)]);
    assert_eq!(volumes.ensure("x", &volume, "s").unwrap(), host.path());
    assert!(!volumes.is_empty("x").unwrap());
    assert!(matches!(
        volumes.ensure("x", &Volume::default(), "s"),
        Err(VolumeError::OtherOptions(_))
    ));
    volumes.remove("x").unwrap();
    assert!(host.path().join("mine").exists());
    volumes.ensure("x", &volume, "s").unwrap();
    drop(host);
    let error = volumes.ensure("x", &volume, "s").unwrap_err().to_string();
    assert!(error.contains("is no directory on this host"), "{error}");
}

#[test]
fn options_that_are_not_done_are_refused_with_what_to_do() {
    let (_dir, volumes) = volumes();
    for (pairs, hint) in [
        (&[("type", "nfs"), ("o", "rw"), ("device", ":/x")][..], "addr="),
        (&[("type", "nfs"), ("o", "addr=192.0.2.1")], "needs `device`"),
        (&[("type", "ext4")], "needs `device`"),
        (&[("type", "../x"), ("device", "x")], "no file system"),
        (&[("type", "none"), ("device", "/tmp")], "o: bind"),
        (&[("o", "bind,size=1g"), ("device", "/tmp")], "makes no sense"),
        (&[("o", "bind"), ("device", "/tmp"), ("size", "1g")], "directory of the host"),
        (&[("size", "much")], "invalid size"),
        (&[("colour", "red")], "`colour` is not supported"),
        (&[("o", "bind")], "needs `device"),
        (&[("o", "bind"), ("device", "relative")], "absolute"),
        (&[("o", "bind"), ("device", "/does/not/exist")], "make it first"),
    ] {
        let error = volumes.ensure("v", &options(pairs), "s").unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
        assert_eq!(volumes.list().unwrap(), []);
    }
}

#[test]
fn a_volume_with_a_file_system_is_mounted_while_it_is_used() {
    let (_dir, volumes) = volumes();
    let volume = options(&[("type", "tmpfs"), ("o", "size=1m,uid=7,mode=0750,noexec")]);
    let path = volumes.ensure("t", &volume, "s").unwrap();
    assert!(matches!(volumes.files("t"), Err(VolumeError::Away(_))));
    assert!(volumes.has_file_system("t"));
    for _ in 0..2 {
        assert_eq!(volumes.attach("t").unwrap(), Some(path.clone()));
    }
    let meta = fs::metadata(&path).unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o7777), (7, 0o750));
    assert_eq!(volumes.files("t").unwrap(), path);
    fs::write(path.join("large"), vec![1; 2 << 20]).unwrap_err();
    volumes.detach("t").unwrap();
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    // Removed while it is mounted, too.
    volumes.attach("t").unwrap();
    volumes.remove("t").unwrap();
    assert!(!path.exists());
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(path.to_str().unwrap()));
}

#[test]
fn a_bind_volume_may_be_read_only() {
    let (_dir, volumes) = volumes();
    let host = tempfile::tempdir().unwrap();
    fs::write(host.path().join("mine"), "kept").unwrap();
    let device = host.path().to_str().unwrap();
    let volume = options(&[("type", "none"), ("o", "bind,ro"), ("device", device)]);
    volumes.ensure("r", &volume, "s").unwrap();
    let path = volumes.attach("r").unwrap().unwrap();
    assert_eq!(fs::read_to_string(path.join("mine")).unwrap(), "kept");
    fs::write(path.join("mine"), "x").unwrap_err();
    volumes.remove("r").unwrap();
    assert_eq!(fs::read_to_string(host.path().join("mine")).unwrap(), "kept");
}

#[test]
fn a_file_system_that_cannot_be_mounted_is_named() {
    let (_dir, volumes) = volumes();
    let volume = options(&[("type", "nosuchfs"), ("device", "x")]);
    volumes.ensure("n", &volume, "s").unwrap();
    let error = volumes.attach("n").unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("no file system nosuchfs"), "{error}: {source}");
    let volume = options(&[("type", "tmpfs"), ("o", "colour=red")]);
    volumes.ensure("o", &volume, "s").unwrap();
    let source = volumes.attach("o").unwrap_err();
    let source = std::error::Error::source(&source).unwrap().to_string();
    assert!(source.contains("colour=red"), "{source}");
}

#[test]
fn a_size_is_held_or_refused() {
    // What the file system of the tests can do differs; either way the answer is clear.
    let (_dir, volumes) = volumes();
    match volumes.ensure("v", &options(&[("size", "1m")]), "s") {
        Ok(path) => {
            fs::write(path.join("large"), vec![1; 2 << 20]).unwrap_err();
            volumes.remove("v").unwrap();
        }
        Err(VolumeError::Limit { source, .. }) => {
            assert!(source.to_string().contains("project quotas"), "{source}");
            assert_eq!(volumes.list().unwrap(), []);
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn names_cannot_lead_elsewhere() {
    let (_dir, volumes) = volumes();
    for name in ["", ".", "..", "../x", "a/b", "/etc", ".lock", "-a", "a b", "é", &"a".repeat(201)]
    {
        for result in [
            volumes.ensure(name, &Volume::default(), "s").map(drop),
            volumes.remove(name),
            volumes.path(name).map(drop),
        ] {
            assert!(matches!(result, Err(VolumeError::BadName(_))), "{name}");
        }
    }
}

#[test]
fn an_external_volume_must_be_there() {
    let (_dir, volumes) = volumes();
    let external = Volume { external: true, ..Volume::default() };
    assert!(matches!(volumes.ensure("v", &external, "s"), Err(VolumeError::NoExternal(_))));
    let path = volumes.ensure("v", &Volume::default(), "").unwrap();
    assert_eq!(volumes.ensure("v", &external, "s").unwrap(), path);
}

#[test]
fn what_was_cut_off_is_swept_and_damage_is_named() {
    let (dir, volumes) = volumes();
    let at = |name: &str| dir.path().join("volumes").join(name);
    fs::create_dir_all(at(".draft-1/data")).unwrap();
    volumes.ensure("good", &Volume::default(), "s").unwrap();
    volumes.ensure("bad", &Volume::default(), "s").unwrap();
    fs::write(at("bad/volume.json"), "{").unwrap();
    let volumes = Volumes::open(dir.path()).unwrap();
    assert!(!at(".draft-1").exists());
    assert_eq!(volumes.list().unwrap().len(), 1);
    let error = volumes.inspect("bad").unwrap_err().to_string();
    assert!(error.contains("bad/volume.json is damaged"), "{error}");
}

#[test]
fn pruning_keeps_what_is_asked_for() {
    let (_dir, volumes) = volumes();
    for name in ["a", "b", "c"] {
        let path = volumes.ensure(name, &Volume::default(), "s").unwrap();
        fs::write(Path::new(&path).join("x"), vec![1; 10_000]).unwrap();
    }
    let pruned = volumes.prune(&BTreeSet::from(["b".to_owned()])).unwrap();
    assert_eq!(pruned.volumes, ["a", "c"]);
    assert!(pruned.bytes >= 20_000);
    assert_eq!(volumes.list().unwrap().len(), 1);
}

#[test]
fn many_at_once_make_one_volume() {
    let (dir, _) = volumes();
    let paths: BTreeSet<_> = std::thread::scope(|scope| {
        let make =
            || Volumes::open(dir.path()).unwrap().ensure("v", &Volume::default(), "s").unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(paths.len(), 1);
}
