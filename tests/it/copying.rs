//! `orca cp`: files in and out of containers.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Stdio;

use super::support::{Orca, eventually};

const STACK: &str = "name: copy
services:
  app:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    scale: 2
    volumes: ['data:/data']
    tmpfs: ['/scratch']
  done:
    image: busybox
    command: sh -c 'mkdir -p /out && echo result > /out/file && echo kept > /data/kept'
    restart: 'no'
    volumes: ['data:/data']
volumes: {data: {}}
";

fn cp(orca: &Orca, args: &[&str]) -> super::support::Ran {
    let mut all = vec!["-f", "stack.yaml", "cp"];
    all.extend(args);
    orca.run(&all)
}

fn inside(orca: &Orca, script: &str) -> String {
    orca.ok(&["exec", "-T", "-f", "stack.yaml", "-u", "root", "app", "sh", "-c", script])
}

#[test]
fn files_go_in_and_out_by_dockers_rules() {
    let orca = Orca::new().with_busybox();
    orca.up(STACK);
    orca.write("one", "one");
    orca.write("tree/a/b", "deep");
    fs::set_permissions(orca.files().join("one"), fs::Permissions::from_mode(0o751)).unwrap();

    // A file: into a directory, under a new name, over another one; in all replicas.
    cp(&orca, &["one", "app:/tmp"]).expect(0);
    cp(&orca, &["one", "app:/tmp/two"]).expect(0);
    assert_eq!(
        inside(&orca, "cat /tmp/one /tmp/two; stat -c '%u %g %a' /tmp/two"),
        "oneone0 0 751\n"
    );
    let second = ["exec", "-T", "-f", "stack.yaml", "--index", "2", "app", "cat", "/tmp/two"];
    assert_eq!(orca.ok(&second), "one");
    cp(&orca, &["--index", "2", "one", "app:/tmp/only"]).expect(0);
    assert_eq!(inside(&orca, "ls /tmp/only 2>&1 | wc -l; test -e /tmp/only || echo no"), "1\nno\n");
    cp(&orca, &["one", "app:/nowhere/two"]).expect(1).says("there is no /nowhere");
    cp(&orca, &["one", "app:/tmp/new/"]).expect(1).says("there is no directory /tmp/new/");
    cp(&orca, &["missing", "app:/tmp"]).expect(2).says("missing");

    // A directory: becomes one, or goes into one, or only what it holds does.
    cp(&orca, &["tree", "app:/tmp/made"]).expect(0);
    cp(&orca, &["tree", "app:/tmp"]).expect(0);
    cp(&orca, &["tree/.", "app:/data"]).expect(0);
    let found = inside(&orca, "cat /tmp/made/a/b /tmp/tree/a/b /data/a/b");
    assert_eq!(found, "deepdeepdeep");
    cp(&orca, &["tree", "app:/tmp/one"]).expect(1).says("is a file, not a directory");
    // A tmpfs is seen as a program in the container sees it.
    cp(&orca, &["one", "app:/scratch/"]).expect(0);
    assert_eq!(inside(&orca, "cat /scratch/one"), "one");

    // Out again.
    cp(&orca, &["app:/tmp/made", "back"]).expect(0);
    assert_eq!(fs::read_to_string(orca.files().join("back/a/b")).unwrap(), "deep");
    cp(&orca, &["app:/tmp/made", "back"]).expect(0);
    assert_eq!(fs::read_to_string(orca.files().join("back/made/a/b")).unwrap(), "deep");
    cp(&orca, &["app:/tmp/made/.", "flat"]).expect(0);
    assert_eq!(fs::read_to_string(orca.files().join("flat/a/b")).unwrap(), "deep");
    cp(&orca, &["app:/tmp/one", "."]).expect(0);
    cp(&orca, &["app:/none", "."]).expect(1).says("there is no /none");
    cp(&orca, &["nobody:/etc", "."]).expect(1).says("no container of `nobody`");
    cp(&orca, &["app:/etc", "app:/tmp"]).expect(2);
    cp(&orca, &["one", "two"]).expect(2);

    // Owners and links.
    inside(
        &orca,
        "echo mine > /tmp/owned; chown 1234:77 /tmp/owned; chmod 4755 /tmp/owned; ln -s /tmp/owned /tmp/link",
    );
    cp(&orca, &["-a", "app:/tmp/owned", "kept"]).expect(0);
    let kept = fs::metadata(orca.files().join("kept")).unwrap();
    assert_eq!((kept.uid(), kept.gid(), kept.mode() & 0o7777), (1234, 77, 0o4755));
    cp(&orca, &["app:/tmp/owned", "plain"]).expect(0);
    let plain = fs::metadata(orca.files().join("plain")).unwrap();
    assert_eq!((plain.uid(), plain.mode() & 0o7777), (0, 0o755));
    cp(&orca, &["app:/tmp/link", "link"]).expect(0);
    assert!(fs::symlink_metadata(orca.files().join("link")).unwrap().is_symlink());
    cp(&orca, &["-L", "app:/tmp/link", "followed"]).expect(0);
    assert_eq!(fs::read_to_string(orca.files().join("followed")).unwrap(), "mine\n");

    // Archives on standard input and output, larger than any buffer.
    inside(
        &orca,
        "dd if=/dev/urandom of=/data/big bs=1M count=12 2>/dev/null; sha256sum /data/big > /tmp/sum",
    );
    let tar = orca.command(&["-f", "stack.yaml", "cp", "app:/data/big", "-"]).output().unwrap();
    assert!(tar.status.success());
    assert!(tar.stdout.len() > 12 << 20);
    let mut child = orca
        .command(&["-f", "stack.yaml", "cp", "-", "app:/tmp"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&tar.stdout).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(inside(&orca, "cd / && cmp /tmp/big /data/big && echo same"), "same\n");
}

#[test]
fn a_container_that_has_ended_gives_its_files_too() {
    let orca = Orca::new().with_busybox();
    orca.up(STACK);
    eventually("done has ended", || {
        (orca.container("copy-done-1")["State"] == "exited").then_some(())
    });
    cp(&orca, &["done:/out", "out"]).expect(0);
    assert_eq!(fs::read_to_string(orca.files().join("out/file")).unwrap(), "result\n");
    cp(&orca, &["done:/data/kept", "kept"]).expect(0);
    assert_eq!(fs::read_to_string(orca.files().join("kept")).unwrap(), "kept\n", "volumes too");
    orca.write("more", "more");
    cp(&orca, &["more", "done:/data/more"]).expect(0);
    assert_eq!(inside(&orca, "cat /data/more"), "more");
    cp(&orca, &["more", "done:/out/more"]).expect(0);
    cp(&orca, &["done:/out/more", "again"]).expect(0);
    assert_eq!(fs::read_to_string(orca.files().join("again")).unwrap(), "more");
}

#[test]
fn links_of_a_container_lead_nowhere_on_the_host() {
    let orca = Orca::new().with_busybox();
    orca.up(STACK);
    let secret = orca.write("secret", "of the host");
    let files = orca.files();
    let shown = files.display();
    // The path of the host, as a link in the container: it is the container's own path.
    inside(
        &orca,
        &format!(
            "ln -s {shown} /tmp/host; ln -s /proc/1/root /tmp/magic; ln -s ../../../../../../../../.. /tmp/up"
        ),
    );
    orca.write("one", "one");
    cp(&orca, &["app:/tmp/host/secret", "stolen"]).expect(1).says("there is no");
    cp(&orca, &["-L", "app:/tmp/magic", "stolen"]).expect(1);
    cp(&orca, &["one", &format!("app:/tmp/up{shown}/secret")]).expect(1);
    // The link itself is replaced, as it leads to nothing there.
    cp(&orca, &["one", "app:/tmp/host"]).expect(0);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "of the host");
    assert!(!files.join("stolen").exists());

    // An archive of the container's making, unpacked here, stays in the directory it is told.
    fs::create_dir(files.join("box")).unwrap();
    symlink(&files, files.join("box/tree")).unwrap();
    inside(&orca, "mkdir -p /tmp/tree && echo bad > /tmp/tree/secret");
    cp(&orca, &["app:/tmp/tree", "box"]).expect(1);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "of the host");
}
