//! Descriptions of devices that any host has.

use std::fs;

use super::*;
use crate::model::DeviceRequest;
use crate::runtime::compile::tests::container;

const SPEC: &str = "cdiVersion: 0.6.0
kind: vendor.com/gpu   # a comment
containerEdits:
  env: [VENDOR=1]
devices:
- name: '0'
  containerEdits:
    deviceNodes:
    - {path: /dev/gpu0, hostPath: /dev/zero, type: c, major: 1, minor: 5, permissions: rw}
    env:
    - GPU=0
- name: \"1\"
  containerEdits:
    deviceNodes: [{path: /dev/full}]
    mounts:
    - hostPath: /etc
      containerPath: /usr/lib/vendor
      options: [ro, nosuid, nodev, rbind, rprivate]
    additionalGIDs: [44]
- name: hooked
  containerEdits:
    hooks:
    - {hookName: createContainer, path: /usr/bin/vendor-ctk, args: [vendor-ctk, hook]}
";

fn registry(files: &[(&str, &str)]) -> (tempfile::TempDir, Registry) {
    let dir = tempfile::tempdir().unwrap();
    let (low, high) = (dir.path().join("etc"), dir.path().join("run"));
    fs::create_dir_all(&low).unwrap();
    fs::create_dir_all(&high).unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let registry = Registry::read(&[low.as_path() as &Path, high.as_path()]);
    (dir, registry)
}

fn named(names: &[&str]) -> Container {
    let device = |name: &&str| Device {
        source: (*name).to_owned(),
        target: (*name).to_owned(),
        permissions: "rwm".to_owned(),
    };
    Container { devices: names.iter().map(device).collect(), ..container() }
}

fn request(driver: &str, count: Option<u64>, ids: &[&str]) -> DeviceRequest {
    DeviceRequest {
        driver: driver.to_owned(),
        count,
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        capabilities: vec!["gpu".to_owned()],
        ..DeviceRequest::default()
    }
}

#[test]
fn a_named_device_brings_its_files_variables_and_mounts() {
    let (_dir, registry) = registry(&[("etc/vendor.yaml", SPEC)]);
    let mut container = named(&["vendor.com/gpu=0", "/dev/null", "vendor.com/gpu=1"]);
    let mounts = apply_from(&mut container, &registry).unwrap();
    let shown: Vec<_> =
        container.devices.iter().map(|d| (&*d.source, &*d.target, &*d.permissions)).collect();
    assert_eq!(
        shown,
        [
            ("/dev/null", "/dev/null", "rwm"),
            ("/dev/zero", "/dev/gpu0", "rw"),
            ("/dev/full", "/dev/full", "rwm"),
        ]
    );
    // What is for all devices of a description comes once.
    assert!(container.env.ends_with(&["VENDOR=1".to_owned(), "GPU=0".to_owned()]));
    assert_eq!(container.groups.last().map(String::as_str), Some("44"));
    assert_eq!(mounts.len(), 1);
    assert!(mounts[0].read_only && mounts[0].target == "/usr/lib/vendor");
}

#[test]
fn json_is_read_too_and_the_later_directory_wins() {
    let json = r#"{"cdiVersion": "1.0.0", "kind": "vendor.com/gpu", "devices": [
        {"name": "0", "containerEdits": {"env": ["FROM=run"]}}]}"#;
    let (_dir, registry) =
        registry(&[("etc/vendor.yaml", SPEC), ("run/vendor.json", json), ("run/x.txt", "no")]);
    let mut container = named(&["vendor.com/gpu=0"]);
    apply_from(&mut container, &registry).unwrap();
    assert_eq!(container.env.last().map(String::as_str), Some("FROM=run"));
    assert!(container.devices.is_empty());
}

#[test]
fn what_cannot_be_had_is_told_with_what_there_is() {
    let bad = "cdiVersion: 9.0.0\nkind: other.com/nic\n";
    let (_dir, registry) = registry(&[("etc/vendor.yaml", SPEC), ("etc/bad.yaml", bad)]);
    let refuse = |names: &[&str], words: &[&str]| {
        let error = apply_from(&mut named(names), &registry).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{word:?} in {error}");
        }
    };
    refuse(&["vendor.com/gpu=7"], &["\"vendor.com/gpu=7\"", "vendor.com/gpu=0", "9.0.0"]);
    refuse(&["vendor.com/gpu=hooked"], &["/usr/bin/vendor-ctk", "orca never does"]);
    let (_dir, none) = self::registry(&[]);
    let error = apply_from(&mut named(&["a.b/c=d"]), &none).unwrap_err().to_string();
    assert!(error.contains("/etc/cdi") && error.contains("/var/run/cdi"), "{error}");
    let (_dir, twice) = self::registry(&[("etc/a.yaml", SPEC), ("etc/b.yaml", SPEC)]);
    let error = apply_from(&mut named(&["vendor.com/gpu=0"]), &twice).unwrap_err().to_string();
    assert!(error.contains("twice"), "{error}");
}

#[test]
fn a_description_asks_for_nothing_that_is_not_known() {
    let edits = |edits: &str| {
        let text = format!(
            "cdiVersion: 0.3.0\nkind: v.com/c\ndevices: [{{name: d, containerEdits: {edits}}}]\n"
        );
        let (_dir, registry) = registry(&[("run/v.yaml", &text)]);
        apply_from(&mut named(&["v.com/c=d"]), &registry).unwrap_err().to_string()
    };
    for (text, word) in [
        ("{mounts: [{hostPath: /a, containerPath: b}]}", "not absolute"),
        ("{mounts: [{hostPath: /a, containerPath: /b, type: tmpfs}]}", "tmpfs"),
        ("{mounts: [{hostPath: /a, containerPath: /b, options: [suid]}]}", "suid"),
        ("{deviceNodes: [{path: /dev/x, type: p}]}", "no device"),
        ("{deviceNodes: [{path: /dev/x, uid: 7}]}", "owner"),
        ("{deviceNodes: [{path: dev/x}]}", "not absolute"),
        ("{intelRdt: {closID: x}}", "intelRdt"),
        ("{surprise: 1}", "surprise"),
    ] {
        let error = edits(text);
        assert!(error.contains(word), "{word:?} in {error}");
    }
}

#[test]
fn gpus_are_chosen_as_docker_does() {
    let (_dir, registry) = registry(&[("etc/vendor.yaml", SPEC)]);
    let check = |request: DeviceRequest, expected: Result<&[&str], &str>| match (
        request::names(&request, &registry),
        expected,
    ) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{request:?}"),
        (Err(error), Err(word)) => assert!(error.0.contains(word), "{word:?} in {error}"),
        (found, expected) => panic!("{request:?}: {found:?}, not {expected:?}"),
    };
    check(request("", Some(1), &[]), Ok(&["vendor.com/gpu=0"]));
    check(request("", Some(2), &[]), Ok(&["vendor.com/gpu=0", "vendor.com/gpu=1"]));
    check(request("", None, &["1"]), Ok(&["vendor.com/gpu=1"]));
    check(request("cdi", None, &["a.b/c=d"]), Ok(&["a.b/c=d"]));
    check(request("vendor.com/gpu", Some(1), &[]), Ok(&["vendor.com/gpu=0"]));
    check(request("", Some(9), &[]), Err("9 of vendor.com/gpu"));
    check(request("nvidia", None, &[]), Err("no nvidia.com/gpu"));
    check(request("strange", None, &[]), Err("strange"));
    check(request("cdi", None, &["0"]), Err("vendor.com/class=name"));
    let nothing = DeviceRequest { capabilities: Vec::new(), ..request("", None, &[]) };
    check(nothing, Err("capability"));
}

#[test]
fn yaml_is_what_json_would_be() {
    let value = yaml::parse("a: [1, '1', 0o17, true, ~]\nb: {c: 'x y'}\n").unwrap();
    let expected = serde_json::json!({"a": [1, "1", 15, true, null], "b": {"c": "x y"}});
    assert_eq!(value, expected);
    for bad in ["", "a: [", "a: &x 1\nb: *x\n", &"[".repeat(1000)] {
        assert!(yaml::parse(bad).is_err(), "{bad:.20}");
    }
}
