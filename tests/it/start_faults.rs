//! Starts that fail at each of their steps: the reason is told with its place, and nothing stays behind.

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::support::remains::Remains;
use super::support::{Orca, eventually};

/// A stack of one service, which is not begun again.
fn stack(more: &str) -> String {
    let command = if more.contains("command:") { "" } else { "    command: 'true'\n" };
    format!(
        "name: faulty
services:
  app:
    image: busybox
    restart: 'no'
    stop_grace_period: 0s
{command}{more}
volumes:
  memory: {{driver_opts: {{type: tmpfs, device: tmpfs, o: size=1m}}}}
"
    )
}

/// What each of these asks for cannot be had; the step that finds out is further and further on.
const FAULTS: [(&str, &str); 10] = [
    (
        "volumes: ['memory:/m', {type: bind, source: /no/such/place, target: /b, bind: {create_host_path: false}}]",
        "/no/such/place",
    ),
    (
        "volumes: ['memory:/m', {type: volume, source: memory, target: /s, volume: {subpath: no/such}}]",
        "no/such",
    ),
    ("devices: ['/dev/no-such-device']", "/dev/no-such-device"),
    ("volumes: ['memory:/m']\n    sysctls: {net.ipv4.no_such_setting: '1'}", "no_such_setting"),
    ("volumes: ['memory:/m', '/etc/passwd:/etc']", "/etc"),
    ("volumes: ['memory:/m']\n    working_dir: /etc/passwd/below", "/etc/passwd/below"),
    ("volumes: ['memory:/m']\n    user: nobody-of-that-name", "nobody-of-that-name"),
    ("volumes: ['memory:/m']\n    command: /no/such/program", "/no/such/program"),
    ("security_opt: ['seccomp:/no/such/profile.json']", "/no/such/profile.json"),
    ("cpuset: '4090'", "cpuset"),
];

#[test]
fn a_start_that_fails_says_where_and_leaves_nothing() {
    let orca = Orca::new().with_busybox();
    // Something else runs all the time, so that what is there is compared with what was there.
    orca.write("keeper.yaml", "name: keeper\nservices:\n  box: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n");
    orca.ok(&["up", "-f", "keeper.yaml"]);
    orca.up(&stack("    volumes: ['memory:/m']"));
    orca.ok(&["down", "-f", "stack.yaml"]);
    let before = Remains::settled(&orca);
    for (fault, place) in FAULTS {
        orca.write("stack.yaml", &stack(&format!("    {fault}")));
        let ran = orca.run(&["up", "-f", "stack.yaml"]);
        assert_ne!(ran.code, Some(0), "{fault}");
        assert!(ran.stderr.contains(place), "no {place:?} for {fault}:\n{}", ran.stderr);
        orca.ok(&["down", "-f", "stack.yaml"]);
        before.come_back(&orca);
    }
}

#[test]
fn a_start_that_never_got_to_a_container_keeps_no_file_and_no_volume_busy() {
    let orca = Orca::new().with_busybox();
    let (fault, place) = FAULTS[0];
    orca.write("stack.yaml", &stack(&format!("    {fault}")));
    orca.run(&["up", "-f", "stack.yaml"]).expect(1).says(place);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("faulty_memory"), "{mounts}");
    let roots = std::fs::read_dir(orca.root().join("containers")).unwrap();
    assert_eq!(roots.count(), 0);
}

#[test]
fn a_full_disk_fails_a_start_and_is_no_trouble_once_there_is_room() {
    let orca = Orca::new();
    std::fs::create_dir_all(orca.root()).unwrap();
    mount(Some("small"), &orca.root(), Some("tmpfs"), MsFlags::empty(), Some("size=24m")).unwrap();
    let orca = Small(Some(orca.with_busybox()));
    let it = orca.0.as_ref().unwrap();
    it.up("name: small\nservices:\n  keeper: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n");
    let before = Remains::settled(it);
    let filler = it.root().join("filler");
    fill(&filler);
    it.write("other.yaml", "name: other\nservices:\n  app: {image: busybox, command: sh -c 'echo here; sleep 1000', stop_grace_period: 0s}\n");
    let ran = it.run(&["up", "--wait-timeout", "10", "-f", "other.yaml"]);
    assert_ne!(ran.code, Some(0), "{}", ran.stdout);
    let told = ran.stderr.contains("No space left") || ran.stderr.contains("disk");
    assert!(told, "{}", ran.stderr);
    std::fs::remove_file(&filler).unwrap();
    it.ok(&["up", "-f", "other.yaml"]);
    eventually("its log is there", || {
        let said = it.ok(&["-f", "other.yaml", "logs", "--no-log-prefix"]);
        (said == "here\n").then_some(())
    });
    it.ok(&["down", "-f", "other.yaml"]);
    before.come_back(it);
}

/// Takes all room there is.
fn fill(path: &std::path::Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 20, 4096] {
        let block = vec![b'x'; size];
        while file.write_all(&block).is_ok() {}
    }
}

/// Unmounts the root when the instance is gone.
struct Small(Option<Orca>);

impl Drop for Small {
    fn drop(&mut self) {
        let Some(orca) = self.0.take() else { return };
        drop(orca.run(&["system", "stop", "--containers"]));
        let _ = umount2(&orca.root(), MntFlags::MNT_DETACH);
        drop(orca);
    }
}
