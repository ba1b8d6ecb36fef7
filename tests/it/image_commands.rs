//! The commands about images and volumes, as people who know docker use them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::support::{Orca, host};

/// An instance with images `one:1` and `shop/two:2`, made of small files.
fn with_images() -> Orca {
    let orca = Orca::new();
    let root = orca.files().join("rootfs");
    fs::create_dir_all(root.join("etc")).unwrap();
    for (name, tag) in [("one", "one:1"), ("two", "shop/two:2")] {
        fs::write(root.join("etc/name"), name).unwrap();
        let tar = orca.files().join("rootfs.tar");
        host("tar", &["-C", root.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."]);
        let label = format!("LABEL which={name}");
        orca.ok(&[
            "image",
            "import",
            "-c",
            &label,
            "-c",
            "CMD [\"/x\"]",
            "-m",
            "made here",
            "rootfs.tar",
            tag,
        ]);
    }
    orca
}

#[test]
fn images_are_listed_filtered_and_formatted() {
    let orca = with_images();
    let list = |more: &[&str]| {
        let args = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"];
        let mut lines: Vec<_> =
            orca.ok(&[&args, more].concat()).lines().map(str::to_owned).collect();
        lines.sort();
        lines.join(" ")
    };
    assert_eq!(list(&[]), "one:1 shop/two:2");
    assert_eq!(list(&["one"]), "one:1");
    assert_eq!(list(&["shop/*"]), "shop/two:2");
    assert_eq!(list(&["--filter", "label=which=one"]), "one:1");
    assert_eq!(list(&["-f", "label=which"]), "one:1 shop/two:2");
    assert_eq!(list(&["-f", "reference=shop/two:2"]), "shop/two:2");
    assert_eq!(list(&["-f", "dangling=true"]), "");
    assert_eq!(list(&["-f", "until=1h"]), "");
    orca.run(&["image", "ls", "-f", "colour=red"]).expect(2).says("there is no filter");
    orca.run(&["image", "ls", "--format", "{{.Colour}}"]).expect(2).says("no field");
    let table = orca.ok(&["image", "ls", "--digests"]);
    assert!(table.lines().next().unwrap().contains("DIGEST") && table.contains("sha256:"));
    assert_eq!(orca.ok(&["image", "ls", "-q"]).lines().count(), 2);
    let full = orca.ok(&["image", "ls", "-q", "--no-trunc", "one:1"]);
    assert_eq!(full.trim().len(), 71);

    // A name that moves leaves an image without one.
    orca.ok(&["image", "tag", "one:1", "shop/two:2"]);
    assert_eq!(list(&["-f", "dangling=true"]), "<none>:<none>");
    let pruned = orca.ok(&["image", "prune", "-f", "--filter", "label!=which"]);
    assert!(pruned.starts_with("Total reclaimed space: 0B"), "{pruned}");
    let pruned = orca.ok(&["image", "prune", "-f"]);
    assert!(pruned.contains("Deleted: sha256:"), "{pruned}");
    assert_eq!(list(&[]), "one:1 shop/two:2");
    orca.run(&["image", "rm", "one:1", "nothing"]).expect(1).says("nothing");
    assert_eq!(list(&[]), "shop/two:2");
}

#[test]
fn what_an_image_says_of_itself_is_shown() {
    let orca = with_images();
    let inspected = orca.ok(&["image", "inspect", "one:1", "shop/two:2"]);
    let all: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(all[0]["RepoTags"][0], "one:1");
    assert_eq!(all[1]["Config"]["Labels"]["which"], "two");
    let format = |text: &str| orca.ok(&["image", "inspect", "-f", text, "one:1"]).trim().to_owned();
    assert_eq!(format("{{.Os}} {{json .Config.Cmd}}"), "linux [\"/x\"]");
    assert_eq!(format("{{index .Config.Labels \"which\"}}"), "one");
    let history = orca.ok(&["image", "history", "one:1"]);
    assert!(history.contains("made here") && history.starts_with("IMAGE"), "{history}");
    let sizes = orca.ok(&["image", "history", "-H=false", "--format", "{{.Size}}", "one:1"]);
    assert_eq!(sizes.trim(), "3");
    orca.run(&["image", "inspect", "nothing"]).expect(1).says("nothing");
}

#[test]
fn images_travel_in_every_form() {
    let orca = with_images();
    let id = orca.ok(&["image", "inspect", "-f", "{{.Id}}", "one:1"]);
    for form in ["docker", "docker-archive", "oci", "oci-archive", "oci-dir"] {
        let out = format!("{form}.out");
        orca.ok(&["image", "save", "--format", form, "-o", &out, "one:1", "shop/two:2"]);
        orca.ok(&["image", "rm", "one:1", "shop/two:2"]);
        let loaded = orca.ok(&["image", "load", "-i", &out]);
        assert!(loaded.contains("Loaded image: ") && loaded.contains("shop/two:2"), "{loaded}");
        assert_eq!(orca.ok(&["image", "inspect", "-f", "{{.Id}}", "one:1"]), id, "{form}");
        assert_eq!(orca.ok(&["image", "load", "-q", "-i", &out]), "");
    }
    // Another program reads the directory.
    let layout = orca.files().join("oci-dir.out");
    let from = format!("oci:{}:docker.io/library/one:1", layout.display());
    let inspected = host("skopeo", &["inspect", "--config", &from]);
    assert!(inspected.status.success(), "{}", String::from_utf8_lossy(&inspected.stderr));
    orca.run(&["image", "save", "--format", "oci-dir", "-o", "oci-dir.out", "one:1"])
        .expect(2)
        .says("not empty");
    orca.run(&["image", "save", "--format", "oci-dir", "one:1"]).expect(2).says("-o");
    orca.run(&["image", "load", "-i", "rootfs"]).expect(2).says("no OCI image layout");
    orca.run(&["image", "save", "-o", "x.tar", "one:1", "nothing"]).expect(1).says("nothing");
    assert!(!orca.files().join("x.tar").exists());
    assert!(!orca.files().join("x.tar.part").exists());
    orca.run(&["image", "import", "--platform", "linux/s390x", "rootfs.tar", "z"])
        .expect(2)
        .says("linux/s390x");
}

#[test]
fn sizes_are_held_to_or_refused_before_anything_starts() {
    let orca = Orca::new().with_busybox();
    for (name, rest) in [
        ("a", "    storage_opt: {size: 2M}\n"),
        ("b", "    volumes: ['v:/d']\nvolumes:\n  v: {driver_opts: {size: 2M}}\n"),
    ] {
        let head = format!("name: {name}\nservices:\n  web:\n    image: busybox\n");
        orca.write("stack.yaml", &format!("{head}    command: sleep 1000\n{rest}"));
        let ran = orca.run(&["up", "-f", "stack.yaml"]);
        if ran.code == Some(1) {
            // This disk cannot, and says why.
            ran.says("project quotas").says("size");
            continue;
        }
        ran.expect(0);
        let path = if name == "a" { "/large" } else { "/d/large" };
        let write = ["exec", "-T", "-f", "stack.yaml", "web", "dd", "if=/dev/zero", "bs=1M"];
        let out = format!("of={path}");
        orca.run(&[&write[..], &[&out, "count=4"]].concat()).expect(1);
        orca.ok(&["down", "-v", "-f", "stack.yaml"]);
    }
}

#[test]
fn a_volume_in_memory_is_shared_and_ends_with_its_containers() {
    let orca = Orca::new().with_busybox();
    let service = "image: busybox\n    command: sleep 1000\n    volumes: ['scratch:/s']\n";
    let text = format!(
        "name: m\nservices:\n  a:\n    {service}  b:\n    {service}volumes:\n  scratch:\n    \
         driver_opts: {{type: tmpfs, device: tmpfs, o: 'size=1m,mode=1770'}}\n"
    );
    orca.up(&text);
    let exec = |service: &str, line: &str| {
        orca.run(&["exec", "-T", "-f", "stack.yaml", service, "sh", "-c", line])
    };
    exec("a", "echo hello > /s/f; stat -c %a /s").expect(0);
    assert_eq!(exec("b", "cat /s/f").expect(0).stdout, "hello\n");
    exec("b", "dd if=/dev/zero of=/s/large bs=1M count=2").expect(1);
    orca.ok(&["down", "-f", "stack.yaml"]);
    let shown = orca.root().join("volumes");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(shown.to_str().unwrap()), "{mounts}");
    orca.up(&text);
    exec("b", "cat /s/f").expect(1);
}

#[test]
fn a_full_disk_is_told_and_the_next_load_goes_on() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let orca = Orca::new();
    let disk = tempfile::tempdir().unwrap();
    let size = |size: &str, more: MsFlags| {
        mount(Some("tmpfs"), disk.path(), Some("tmpfs"), more, Some(size)).unwrap();
    };
    size("size=24m", MsFlags::empty());
    let run = |args: &[&str]| {
        let root = disk.path().to_str().unwrap().to_owned();
        orca.run(&[&["--root", &root], args].concat())
    };
    for (name, megabytes) in [("small", 2), ("large", 16)] {
        let root = orca.files().join(name);
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("content"), vec![7; megabytes << 20]).unwrap();
        let tar = orca.files().join(format!("{name}.tar"));
        host("tar", &["-C", root.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."]);
    }
    run(&["image", "import", "small.tar", "small"]).expect(0);
    run(&["image", "import", "large.tar", "large"]).expect(1).says("No space left on device");
    assert_eq!(run(&["image", "ls", "--format", "{{.Repository}}"]).expect(0).stdout, "small\n");
    run(&["image", "save", "-o", "small.out", "small"]).expect(0);
    assert_eq!(fs::read_dir(disk.path().join("images/staging")).unwrap().count(), 0);
    size("size=80m", MsFlags::MS_REMOUNT);
    run(&["image", "import", "large.tar", "large"]).expect(0);
    run(&["system", "stop", "--containers"]).expect(0);
    umount2(disk.path(), MntFlags::MNT_DETACH).unwrap();
}

#[test]
fn volumes_are_made_moved_and_removed() {
    let orca = Orca::new();
    assert_eq!(orca.ok(&["volume", "create", "--label", "k=v", "data"]), "data\n");
    let path = orca.ok(&["volume", "inspect", "-f", "{{.Mountpoint}}", "data"]).trim().to_owned();
    let made = std::path::Path::new(&path);
    fs::create_dir(made.join("dir")).unwrap();
    fs::write(made.join("dir/.wh.file"), "content").unwrap();
    std::os::unix::fs::chown(made.join("dir"), Some(7), Some(8)).unwrap();

    orca.ok(&["volume", "export", "data", "-o", "data.tar"]);
    let listed = host("tar", &["-tf", orca.files().join("data.tar").to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("./dir/.wh.file"));
    orca.ok(&["volume", "create", "copy"]);
    orca.ok(&["volume", "import", "copy", "data.tar"]);
    let copy = orca.ok(&["volume", "inspect", "-f", "{{.Mountpoint}}", "copy"]).trim().to_owned();
    let copy = std::path::Path::new(&copy);
    assert_eq!(fs::read_to_string(copy.join("dir/.wh.file")).unwrap(), "content");
    assert_eq!(fs::metadata(copy.join("dir")).unwrap().uid(), 7);
    orca.run(&["volume", "import", "nothing", "data.tar"]).expect(1).says("does not exist");
    orca.run(&["volume", "export", "nothing", "-o", "no.tar"]).expect(1).says("does not exist");

    let anonymous = orca.ok(&["volume", "create"]).trim().to_owned();
    assert_eq!(anonymous.len(), 64);
    assert_eq!(orca.ok(&["volume", "ls", "-q", "-f", "label=k"]), "data\n");
    assert_eq!(orca.ok(&["volume", "ls", "-q", "-f", "name=cop"]), "copy\n");
    assert_eq!(orca.ok(&["volume", "ls", "-q", "-f", "dangling=true"]).lines().count(), 3);
    // Volumes that somebody named stay, as with docker.
    let pruned = orca.ok(&["volume", "prune", "-f"]);
    assert!(pruned.contains(&anonymous) && !pruned.contains("data"), "{pruned}");
    orca.ok(&["volume", "rm", "copy"]);
    let pruned = orca.ok(&["volume", "prune", "-a", "-f", "--filter", "label=k=v"]);
    assert!(pruned.starts_with("data\n"), "{pruned}");
    orca.run(&["volume", "create", "-d", "nfs", "x"]).expect(2).says("local");
    orca.run(&["volume", "create", "../x"]).expect(2).says("cannot be the name");
}
