//! Processors, disks, groups of processes, propagation of mounts, and other things few files ask for.

use super::super::support::Orca;
use super::{check, inside};

#[test]
fn what_few_files_ask_for_is_there_too() {
    let orca = Orca::new().with_busybox();
    orca.write("shared/file", "shared\n");
    orca.up(r#"name: more
x-base: &base {image: busybox, command: sleep 1000, stop_grace_period: 0s}
services:
  cpu: {<<: *base, cpuset: "0", cpu_shares: 512}
  groups: {<<: *base, user: app, group_add: ["4242", app]}
  init: {<<: *base, init: true}
  owncgroup: {<<: *base, cgroup: private}
  hostcgroup: {<<: *base, cgroup: host}
  paths: {<<: *base, security_opt: ["systempaths=unconfined"]}
  rules: {<<: *base, device_cgroup_rules: ["c 1:3 r"], cap_add: [MKNOD]}
  silent: {<<: *base, command: "sh -c 'echo never kept; exec sleep 1000'", logging: {driver: none}}
  image:
    <<: *base
    volumes:
      - {type: image, source: busybox, target: /other, image: {subpath: bin}}
  mounts:
    <<: *base
    volumes:
      - {type: bind, source: ./shared, target: /shared, bind: {propagation: rslave}}
  input: {<<: *base, command: cat, stdin_open: true, tty: true}
"#);
    check(&orca, "cpu", &[("grep Cpus_allowed_list /proc/self/status | cut -f2", "0")]);
    let groups = inside(&orca, "groups", "id -G");
    assert!(groups.split(' ').any(|group| group == "4242"), "{groups}");
    // The program is not process 1, whoever is reaps what loses its parent.
    check(&orca, "init", &[("cat /proc/1/comm | grep -c sleep || true", "0")]);
    let orphan =
        "(sh -c 'sleep 0.1 &'); sleep 0.5; grep -l Z /proc/[0-9]*/stat 2>/dev/null | wc -l";
    check(&orca, "init", &[(orphan, "0")]);

    let cgroup =
        |name: &str| std::fs::read_link(format!("/proc/{}/ns/cgroup", orca.pid(name))).unwrap();
    let host = std::fs::read_link("/proc/self/ns/cgroup").unwrap();
    assert_ne!(cgroup("more-owncgroup-1"), host);
    assert_eq!(cgroup("more-hostcgroup-1"), host);

    let covered = "grep -c ' /proc/sys ' /proc/self/mountinfo || true";
    assert_eq!(inside(&orca, "cpu", covered), "1");
    assert_eq!(inside(&orca, "paths", covered), "0");

    check(&orca, "image", &[("test -e /other/busybox && echo yes", "yes")]);
    check(&orca, "image", &[("touch /other/new 2>/dev/null || echo no", "no")]);
    check(&orca, "mounts", &[("cat /shared/file", "shared")]);
    let kinds = inside(&orca, "mounts", "grep ' /shared ' /proc/self/mountinfo");
    assert!(!kinds.contains("shared:"), "what is mounted inside stays inside: {kinds}");
    check(&orca, "input", &[("test -t 0 < /proc/1/fd/0 && echo terminal", "terminal")]);
    let logs = orca.ok(&["-f", "stack.yaml", "logs", "silent"]);
    assert_eq!(logs, "", "a driver of none keeps nothing");
}
