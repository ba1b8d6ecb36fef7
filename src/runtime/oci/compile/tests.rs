//! Plans of configurations, as values in and values out.

use serde_json::{Value, json};

use super::options::{ALL, Meaning, meaning};
use super::process::cpu_words;
use super::*;
use crate::runtime::plan::MountSource;

fn compile(change: impl FnOnce(&mut Value), manner: Manner) -> Result<Compiled> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("rootfs")).unwrap();
    let mut config = json!({
        "ociVersion": "1.2.0",
        "process": { "args": ["true"], "cwd": "/", "user": { "uid": 0, "gid": 0 } },
        "root": { "path": "rootfs" },
        "linux": { "namespaces": [{ "type": "mount" }, { "type": "pid" }] },
    });
    change(&mut config);
    let spec = serde_json::from_value(config).unwrap();
    start(&spec, "id", dir.path(), manner)
}

fn plain(change: impl FnOnce(&mut Value)) -> Result<Compiled> {
    compile(change, Manner::default())
}

#[test]
fn every_option_that_features_name_has_a_meaning() {
    for word in ALL {
        assert!(meaning(word).is_some(), "{word}");
    }
    assert_eq!(meaning("size=5"), None);
    assert_eq!(meaning("rro"), Some(Meaning::Recursive(1, 0)));
    assert_eq!(meaning("rw"), Some(Meaning::Attribute(0, 1)));
    assert_eq!(meaning("rprivate"), Some(Meaning::Propagation(libc::MS_PRIVATE | libc::MS_REC)));
}

#[test]
fn a_later_option_wins_over_an_earlier_one() {
    let compiled = plain(|config| {
        config["mounts"] = json!([{
            "destination": "mnt", "type": "tmpfs", "source": "x",
            "options": ["ro", "noexec", "rw", "size=5", "nosuid"],
        }]);
    })
    .unwrap();
    let mount = &compiled.plan.mounts[0];
    assert_eq!(mount.target.as_c_str(), c"/mnt");
    assert_eq!((mount.change.set, mount.change.clear), (2 | 8, 1));
    let MountSource::New { kind, parameters, .. } = &mount.source else { panic!() };
    assert_eq!(kind.as_c_str(), c"tmpfs");
    let last = parameters.last().unwrap();
    assert_eq!((last.0.as_c_str(), last.1.as_c_str()), (c"size", c"5"));
}

#[test]
fn the_cgroup_of_systemds_form_is_where_systemd_would_have_it() {
    let path = |text: &str, systemd: bool| {
        let manner = Manner { systemd, ..Manner::default() };
        compile(|config| config["linux"]["cgroupsPath"] = json!(text), manner)
            .map(|compiled| compiled.cgroup)
    };
    for (text, wanted) in [
        ("system.slice:docker:abc", "/system.slice/docker-abc.scope"),
        (":runc:abc", "/system.slice/runc-abc.scope"),
        ("user-1000.slice::abc", "/user.slice/user-1000.slice/abc.scope"),
        ("machine.slice:libpod:x.slice", "/machine.slice/x.slice"),
    ] {
        assert_eq!(path(text, true).unwrap().as_deref(), Some(wanted), "{text}");
    }
    for text in ["/a/b", "a:b", "noslice:a:b", "a--b.slice:x:y", "../x.slice:a:b"] {
        assert!(path(text, true).is_err(), "{text}");
    }
    assert_eq!(path("/a/b", false).unwrap().as_deref(), Some("/a/b"));
    assert_eq!(path("", false).unwrap(), None);
}

#[test]
fn a_container_without_a_mount_namespace_is_entered_by_chroot() {
    let compiled = plain(|config| config["linux"]["namespaces"] = json!([])).unwrap();
    assert_eq!(compiled.plan.root.entry, RootEntry::Chroot);
    assert_eq!(compiled.plan.new_namespaces, 0);
    let manner = Manner { no_pivot: true, ..Manner::default() };
    assert_eq!(compile(|_| {}, manner).unwrap().plan.root.entry, RootEntry::Move);
}

#[test]
fn defaults_of_devices_come_after_a_rule_that_denies_everything() {
    let rules = |rules: Value| {
        let compiled = plain(|config| config["linux"]["resources"] = json!({ "devices": rules }));
        compiled.unwrap().devices.0
    };
    let denied = rules(json!([{ "allow": false, "access": "rwm" }]));
    assert!(denied.len() > 2);
    let all = rules(json!([{ "allow": true, "access": "rwm" }]));
    assert_eq!(all.len(), 2);
}

#[test]
fn lists_of_numbers_become_bits() {
    assert_eq!(cpu_words("0,2-3").unwrap(), [0b1101]);
    assert_eq!(cpu_words("64").unwrap(), [0, 1]);
    for list in ["", "x", "3-1", "1-", "99999999", "-1"] {
        assert!(cpu_words(list).is_err(), "{list}");
    }
}

#[test]
fn clocks_need_a_time_namespace_and_are_known_ones() {
    let offsets = |clock: &str, namespace: bool| {
        plain(|config| {
            if namespace {
                let all = config["linux"]["namespaces"].as_array_mut().unwrap();
                all.push(json!({ "type": "time" }));
            }
            config["linux"]["timeOffsets"] = json!({ clock: { "secs": -5, "nanosecs": 7 } });
        })
        .map(|compiled| compiled.plan.time_offsets)
    };
    assert_eq!(offsets("boottime", true).unwrap(), "boottime -5 7\n");
    assert!(offsets("boottime", false).is_err());
    assert!(offsets("realtime", true).is_err());
}

#[test]
fn the_bundle_is_where_relative_sources_begin() {
    let compiled = plain(|config| {
        config["mounts"] = json!([{
            "destination": "/x", "type": "bind", "source": "below", "options": ["rbind"],
        }]);
    })
    .unwrap();
    let MountSource::Bind { path, recursive, propagation, .. } = &compiled.plan.mounts[0].source
    else {
        panic!()
    };
    assert!(Path::new(path.to_str().unwrap()).ends_with("below"));
    assert!(path.to_bytes().starts_with(b"/"));
    assert_eq!((*recursive, *propagation), (true, libc::MS_SLAVE));
}
