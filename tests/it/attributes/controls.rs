//! What the kernel is told about a container's share of the machine.

use super::super::support::Orca;
use super::{check, limit};

#[test]
fn shares_and_limits_reach_the_cgroup() {
    let orca = Orca::new().with_busybox();
    orca.up(r#"name: controls
services:
  a:
    image: busybox
    command: sleep 1000
    cpu_shares: 512
    cpu_period: 50000
    cpu_quota: 20000
    cpuset: "0"
    mem_limit: 64m
    mem_reservation: 32m
    memswap_limit: 128m
  b:
    image: busybox
    command: sleep 1000
    deploy: {resources: {reservations: {memory: 24M}}}
"#);
    let of = |files: &[&str]| limit(&orca, "controls-a-1", files);
    let quota = of(&["cpu.cfs_quota_us", "cpu.max"]);
    assert!(quota == "20000" || quota == "20000 50000", "{quota}");
    let period = of(&["cpu.cfs_period_us", "cpu.max"]);
    assert!(period.ends_with("50000"), "{period}");
    // Version 2 counts weights from 1 to 10000 where version 1 has shares from 2 to 262144.
    let shares = of(&["cpu.shares", "cpu.weight"]);
    assert!(shares == "512" || shares == "59", "{shares}");
    assert_eq!(of(&["cpuset.cpus"]), "0");
    check(&orca, "a", &[("grep Cpus_allowed_list /proc/1/status | cut -f2", "0")]);
    assert_eq!(of(&["memory.soft_limit_in_bytes", "memory.low"]), (32 << 20).to_string());
    let swap = of(&["memory.memsw.limit_in_bytes", "memory.swap.max"]);
    assert!(swap == (128 << 20).to_string() || swap == (64 << 20).to_string(), "{swap}");
    let reserved = limit(&orca, "controls-b-1", &["memory.soft_limit_in_bytes", "memory.low"]);
    assert_eq!(reserved, (24 << 20).to_string());
}

/// The switches that only version 1 of cgroups has: with version 2 they are told and left out.
#[test]
fn the_switches_of_version_1_are_set_where_they_are() {
    let orca = Orca::new().with_busybox();
    let said = orca.up(r#"name: switches
services:
  a:
    image: busybox
    command: sleep 1000
    mem_limit: 64m
    mem_swappiness: 10
    oom_kill_disable: true
"#);
    if std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        assert!(!said.contains("panicked"), "{said}");
        return;
    }
    let of = |file: &str| limit(&orca, "switches-a-1", &[file]);
    assert_eq!(of("memory.swappiness"), "10");
    assert!(of("memory.oom_control").contains("oom_kill_disable 1"));
}

/// The device that a new file here is on, as a path and as its numbers.
fn disk(directory: &std::path::Path) -> Option<(String, String)> {
    use std::os::unix::fs::MetadataExt as _;
    let number = std::fs::metadata(directory).unwrap().dev();
    let (major, minor) = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
    // Limits are for whole disks, not for a part of one.
    let link = std::fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let whole = if link.join("partition").exists() { link.parent()?.to_path_buf() } else { link };
    let numbers = std::fs::read_to_string(whole.join("dev")).ok()?;
    Some((format!("/dev/{}", whole.file_name()?.to_str()?), numbers.trim().to_owned()))
}

#[test]
fn speeds_of_disks_are_limited() {
    let orca = Orca::new().with_busybox();
    let (path, numbers) = disk(&orca.files()).expect("the files of the test are on a disk");
    orca.up(&format!(
        r#"name: disks
services:
  a:
    image: busybox
    command: sleep 1000
    blkio_config:
      device_read_bps: [{{path: {path}, rate: 5mb}}]
      device_write_iops: [{{path: {path}, rate: 70}}]
"#
    ));
    let read = limit(&orca, "disks-a-1", &["blkio.throttle.read_bps_device", "io.max"]);
    assert!(read.starts_with(&numbers) && read.contains("5242880"), "{read}");
    let written = limit(&orca, "disks-a-1", &["blkio.throttle.write_iops_device", "io.max"]);
    assert!(written.starts_with(&numbers) && written.contains("70"), "{written}");
}

#[test]
fn the_cgroup_stands_where_the_file_says() {
    let orca = Orca::new().with_busybox();
    orca.up(r#"name: places
services:
  a: {image: busybox, command: sleep 1000, cgroup_parent: chosen-parent}
  own: {image: busybox, command: sleep 1000, cgroup: private}
  hosts: {image: busybox, command: sleep 1000, cgroup: host}
"#);
    let path = std::fs::read_to_string(format!("/proc/{}/cgroup", orca.pid("places-a-1"))).unwrap();
    assert!(path.lines().any(|line| line.contains("/chosen-parent/")), "{path}");
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/cgroup")).unwrap();
    let of = |name: &str| namespace(&orca.pid(name).to_string());
    assert_eq!(of("places-hosts-1"), namespace("self"));
    assert_ne!(of("places-own-1"), namespace("self"));
    drop(orca);
    // One that the file names stays, as it may be somebody's with limits of their own.
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
    for root in hierarchies.map(|entry| entry.path()).chain(["/sys/fs/cgroup".into()]) {
        std::fs::remove_dir(root.join("chosen-parent")).ok();
    }
}
