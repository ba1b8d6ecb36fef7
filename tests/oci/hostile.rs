//! Bundles that are broken or mean harm: a clear error, nothing outside changed, nothing left.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::bed::{Bed, Ran, same, says};
use crate::runtime::Runtime;

fn bed() -> Bed {
    Bed::new(Runtime::orca())
}

/// The container must not come to be, for this reason.
fn refused(bed: &Bed, words: &str) {
    bed.verb(&["create", bed.id()]).fails(words).unwrap();
    bed.end().unwrap();
}

#[test]
fn text_that_is_no_configuration_is_an_error_with_its_place() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: [(&[u8], &str); 8] = [
        (b"", "config.json"),
        (b"{", "line 1"),
        (b"\0\xff\xfe", "config.json"),
        (b"[]", "config.json"),
        (b"{}", "ociVersion"),
        (br#"{"ociVersion":"1.0.2","process":{"cwd":7}}"#, "line 1"),
        (br#"{"ociVersion":"2.0.0"}"#, "2.0.0"),
        (deep.as_bytes(), "config.json"),
    ];
    for (text, words) in cases {
        let bed = bed();
        bed.raw(text);
        refused(&bed, words);
    }
}

#[test]
fn a_bundle_that_is_not_there_or_not_whole_is_an_error() {
    let one = bed();
    one.verb(&["create", "--bundle", "/no/such/bundle", one.id()])
        .fails("/no/such/bundle")
        .unwrap();
    let no_file = bed();
    no_file.raw(b"x");
    fs::remove_file(no_file.bundle().join("config.json")).unwrap();
    refused(&no_file, "config.json");
    let no_root = bed();
    fs::remove_dir_all(no_root.rootfs()).unwrap();
    refused(&no_root, "rootfs");
    let file = bed();
    fs::remove_dir_all(file.rootfs()).unwrap();
    fs::write(file.rootfs(), "x").unwrap();
    refused(&file, "not a directory");
    let pipe = bed();
    pipe.raw(b"x");
    let path = pipe.bundle().join("config.json");
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Nobody ever writes to it: to read it would be to wait for ever.
    refused(&pipe, "not a file");
}

#[test]
fn a_configuration_without_end_is_an_error() {
    let bed = bed();
    bed.raw(&vec![b' '; 20 << 20]);
    refused(&bed, "larger");
}

#[test]
fn values_that_cannot_be_are_errors_with_their_names() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 19] = [
        (|c| c["process"]["args"] = json!([""]), "args"),
        (|c| c["process"]["args"] = json!(["a\u{0}b"]), "NUL"),
        (|c| c["process"]["env"] = json!(["=x"]), "env"),
        (|c| c["process"]["env"] = json!(["novalue"]), "env"),
        (|c| c["process"]["cwd"] = json!(""), "cwd"),
        (|c| c["process"]["user"]["uid"] = json!(-1), "config.json"),
        (|c| c["process"]["user"]["uid"] = json!(u32::MAX), "range"),
        (|c| c["root"]["path"] = json!("/"), "root"),
        (|c| c["root"]["path"] = json!("../../../../../../../.."), "root"),
        (|c| drop(c.as_object_mut().unwrap().remove("root")), "root"),
        (|c| drop(c.as_object_mut().unwrap().remove("process")), "process"),
        (
            |c| {
                c["linux"]["devices"] =
                    json!([{ "path": "x", "type": "c", "major": 1, "minor": 3 }]);
            },
            "absolute",
        ),
        (
            |c| {
                c["linux"]["devices"] =
                    json!([{ "path": "/x", "type": "c", "major": -1, "minor": 3 }]);
            },
            "-1",
        ),
        (|c| c["linux"]["resources"]["memory"] = json!({ "limit": -7 }), "memory"),
        (|c| c["linux"]["resources"]["unified"] = json!({ "../x": "1" }), "unified"),
        (|c| c["linux"]["intelRdt"] = json!({ "closID": "x" }), "intelRdt"),
        (|c| c["linux"]["sysctl"] = json!({ "net/../kernel/panic": "1" }), "setting"),
        (|c| c["hooks"] = json!({ "createRuntime": [{ "path": "relative" }] }), "absolute"),
        (|c| c["hooks"] = json!({ "poststop": [{ "path": "/x", "timeout": -1 }] }), "timeout"),
    ];
    for (at, (change, words)) in cases.into_iter().enumerate() {
        let bed = bed();
        bed.config(change);
        let ran = bed.verb(&["create", bed.id()]);
        let held = if words == "unified" { ran.fails("") } else { ran.fails(words) };
        held.and(bed.end()).unwrap_or_else(|why| panic!("case {at}: {why}"));
    }
}

#[test]
fn ids_lead_nowhere_else() {
    let bed = bed();
    for id in ["", ".", "..", "a/b", "../x", "/etc", "a b", "a\nb", &"x".repeat(300)] {
        for verb in ["create", "state", "start", "kill", "delete", "exec"] {
            let args = if verb == "exec" { vec![verb, id, "true"] } else { vec![verb, id] };
            let ran = bed.verb(&args);
            assert_ne!(ran.code, 0, "{verb} {id:?}");
            assert!(!ran.err.contains("panicked"), "{verb} {id:?}: {}", ran.err);
        }
    }
    bed.end().unwrap();
}

/// A directory of the host that must not change.
fn outside(bed: &Bed) -> std::path::PathBuf {
    let outside = bed.file("outside");
    fs::create_dir(&outside).unwrap();
    outside
}

fn is_empty(dir: &std::path::Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn links_of_the_image_at_mount_points_stay_inside_it() {
    for place in ["dev", "mnt", "proc", "sys"] {
        let bed = bed();
        let outside = outside(&bed);
        let path = bed.rootfs().join(place);
        drop(fs::remove_dir(&path));
        symlink(&outside, &path).unwrap();
        bed.mount(json!({ "destination": "/mnt/deep/x", "type": "tmpfs", "source": "tmpfs" }));
        let ran = bed.sh("test -c /dev/null && echo device");
        match place {
            // What the rest trusts may not be a link at all.
            "proc" | "sys" | "dev" => ran.fails("must be mounted on ordinary directory").unwrap(),
            _ => same(&ran.well().unwrap(), &"device".to_owned()).unwrap(),
        }
        assert!(is_empty(&outside), "{place}");
        bed.end().unwrap();
    }
}

#[test]
fn links_under_masked_paths_and_devices_stay_inside() {
    let bed = bed();
    let outside = outside(&bed);
    fs::write(outside.join("file"), "host").unwrap();
    for name in ["masked", "fixed", "place"] {
        symlink(&outside, bed.rootfs().join(name)).unwrap();
    }
    bed.config(|c| {
        c["linux"]["maskedPaths"] = json!(["/masked/file", "/masked"]);
        c["linux"]["readonlyPaths"] = json!(["/fixed"]);
        c["linux"]["devices"] =
            json!([{ "path": "/place/null", "type": "c", "major": 1, "minor": 3 }]);
    });
    let seen = bed.prints("echo ran").unwrap();
    same(&seen, &"ran".to_owned()).unwrap();
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "host");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    bed.end().unwrap();
}

#[test]
fn destinations_with_dots_stay_inside() {
    let bed = bed();
    bed.mount(json!({ "destination": "/../../../../mnt/x", "type": "tmpfs", "source": "tmpfs" }));
    bed.mount(json!({ "destination": "relative/y", "type": "tmpfs", "source": "tmpfs" }));
    let seen = bed.prints("grep -c -e ' /mnt/x ' -e ' /relative/y ' /proc/self/mounts").unwrap();
    assert_eq!(seen, "2");
    bed.end().unwrap();
}

#[test]
fn nothing_is_mounted_over_proc_or_the_root() {
    for place in ["/proc/self", "/proc/sys", "/proc/sysrq-trigger", "/"] {
        let bed = bed();
        bed.mount(json!({ "destination": place, "type": "tmpfs", "source": "tmpfs" }));
        refused(&bed, "cannot mount");
    }
    let bed = bed();
    symlink("/proc/sys", bed.rootfs().join("link")).unwrap();
    bed.mount(json!({ "destination": "/link", "type": "tmpfs", "source": "tmpfs" }));
    refused(&bed, "cannot mount");
}

#[test]
fn huge_lists_are_errors_or_work_but_never_a_panic() {
    let mounts = bed();
    mounts.config(|c| {
        let one = json!({ "destination": "/x", "type": "tmpfs", "source": "tmpfs" });
        c["mounts"] = json!(vec![one; 5000]);
    });
    refused(&mounts, "more than");
    let devices = bed();
    devices.config(|c| {
        let one = json!({ "allow": true, "type": "c", "major": 1, "minor": 3, "access": "r" });
        c["linux"]["resources"]["devices"] = json!(vec![one; 5000]);
    });
    refused(&devices, "more than");
    let args = bed();
    args.config(|c| c["process"]["args"] = json!(["true", "x".repeat(4 << 20)]));
    refused_at_start(&args.run());
    args.end().unwrap();
}

fn refused_at_start(ran: &Ran) {
    assert_ne!(ran.code, 0);
    says(&ran.err, "rgument list too long").unwrap();
}

#[test]
fn a_working_directory_outside_the_container_is_refused() {
    for number in 3..12 {
        let bed = bed();
        bed.config(|c| c["process"]["cwd"] = json!(format!("/proc/self/fd/{number}")));
        let ran = bed.sh("ls; cat /etc/hostname");
        assert_ne!(ran.code, 0, "{}", ran.out);
        bed.end().unwrap();
    }
}

#[test]
fn the_runtimes_own_file_cannot_be_written_from_inside() {
    let program = env!("CARGO_BIN_EXE_orca");
    let before = fs::metadata(program).unwrap().len();
    let bed = bed();
    // The container's program is the runtime itself, by way of the process that made it.
    bed.config(|c| c["process"]["args"] = json!(["/proc/self/exe", "oci", "--version"]));
    drop(bed.run());
    bed.script("sleep 100").begin().unwrap();
    let script = "for i in 1 2 3 4 5 6 7 8; do for p in /proc/[0-9]*; do \
        (: >> $p/exe) 2>/dev/null && echo wrote $(readlink $p/exe); done; done; true";
    for _ in 0..3 {
        let seen = bed.verb(&["exec", bed.id(), "sh", "-c", script]).well().unwrap();
        assert!(!seen.contains("orca"), "{seen}");
    }
    assert_eq!(fs::metadata(program).unwrap().len(), before);
    bed.end().unwrap();
}

#[test]
fn a_create_that_is_killed_can_be_deleted() {
    let bed = bed();
    bed.config(|c| {
        let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "exec sleep 3"] });
        c["hooks"] = json!({ "createRuntime": [hook] });
    });
    let mut child = bed.command(&["create", bed.id()]).spawn().unwrap();
    let record = bed.file("state").join(bed.id()).join("state.json");
    assert!(bed.until(|| Ok(record.exists())).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    bed.end().unwrap();
}
