//! Against the real kernel, each test in a cgroup of its own.

use std::fs;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::*;

use crate::model::BlockResources;
use crate::sys::process::spawn_detached;

/// A base that goes with the test.
struct Base {
    cgroups: Cgroups,
    name: String,
}

impl Base {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("orca-test-{}-{count}", std::process::id());
        Self { cgroups: Cgroups::detect().unwrap(), name }
    }

    fn path(&self) -> String {
        format!("{}/one", self.name)
    }

    fn create(&self, resources: &Resources) -> Result<Cgroup, CgroupError> {
        self.cgroups.create(&self.path(), resources, &DeviceRules::default())
    }

    fn dirs(&self) -> Vec<PathBuf> {
        let all = self.cgroups.hierarchies.iter().map(|one| one.base.join(&self.name));
        all.filter(|dir| dir.exists()).collect()
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        if let Ok(cgroup) = self.cgroups.open(&self.name) {
            drop(cgroup.kill());
        }
        drop(self.cgroups.remove_base(&self.name));
    }
}

/// A shell that moves itself into the cgroup and runs a script.
fn run_in(cgroup: &Cgroup, script: &str) -> Child {
    let enter = |path: &Path| format!("echo 0 > {}/cgroup.procs || exit 99\n", path.display());
    shell(&(cgroup.paths().map(enter).collect::<String>() + script))
}

fn shell(script: &str) -> Child {
    let null = File::options().write(true).open("/dev/null").unwrap();
    spawn_detached(Path::new("/bin/sh"), ["-c", script], null).unwrap()
}

fn code_in(cgroup: &Cgroup, script: &str) -> Option<i32> {
    run_in(cgroup, script).wait().unwrap().code()
}

fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited too long");
        sleep(Duration::from_millis(2));
    }
}

fn read(cgroup: &Cgroup, controller: &str, file: &str) -> String {
    fs::read_to_string(cgroup.dir(controller).unwrap().path.join(file)).unwrap().trim().to_owned()
}

#[test]
fn limits_are_in_force_and_nothing_is_left_behind() {
    let base = Base::new();
    let resources = Resources {
        nano_cpus: Some(500_000_000),
        cpu_shares: Some(512),
        cpuset_cpus: Some("0".to_owned()),
        memory: Some(64 << 20),
        memory_swap: Some(64 << 20),
        memory_reservation: Some(32 << 20),
        pids: Some(50),
        ..Resources::default()
    };
    let cgroup = base.create(&resources).unwrap();
    let stats = cgroup.stats().unwrap();
    assert_eq!(stats.memory_limit, Some(64 << 20));
    assert_eq!(stats.pids_limit, Some(50));
    assert_eq!(read(&cgroup, "cpuset", "cpuset.cpus"), "0");
    if base.cgroups.version() == Version::V1 {
        assert_eq!(read(&cgroup, "cpu", "cpu.cfs_quota_us"), "50000");
        assert_eq!(read(&cgroup, "cpu", "cpu.shares"), "512");
        assert_eq!(read(&cgroup, "memory", "memory.memsw.limit_in_bytes"), "67108864");
        assert_eq!(read(&cgroup, "memory", "memory.soft_limit_in_bytes"), "33554432");
    } else {
        assert_eq!(read(&cgroup, "cpu", "cpu.max"), "50000 100000");
        assert_eq!(read(&cgroup, "memory", "memory.low"), "33554432");
        assert_eq!(read(&cgroup, "memory", "memory.oom.group"), "1");
    }
    assert_eq!(base.dirs().len(), base.cgroups.hierarchies.len());
    cgroup.remove().unwrap();
    cgroup.remove().unwrap();
    base.cgroups.remove_base(&base.name).unwrap();
    assert_eq!(base.dirs(), [] as [PathBuf; 0]);
}

#[test]
fn limits_can_be_raised_and_lowered() {
    let base = Base::new();
    let limit = |megabytes: u64| Resources {
        memory: Some(megabytes << 20),
        memory_swap: Some((megabytes << 20).cast_signed()),
        pids: Some(megabytes.cast_signed()),
        ..Resources::default()
    };
    let cgroup = base.create(&limit(32)).unwrap();
    for megabytes in [64, 16, 128, 8] {
        cgroup.update(&limit(megabytes)).unwrap();
        let stats = cgroup.stats().unwrap();
        assert_eq!(stats.memory_limit, Some(megabytes << 20));
        assert_eq!(stats.pids_limit, Some(megabytes));
    }
    cgroup.update(&Resources { pids: Some(-1), ..Resources::default() }).unwrap();
    assert_eq!(cgroup.stats().unwrap().pids_limit, None);
}

#[test]
fn making_it_twice_is_the_same_as_once() {
    let base = Base::new();
    base.create(&Resources::default()).unwrap();
    let again = base.create(&Resources::default()).unwrap();
    assert_eq!(again.stats().unwrap().memory_limit, None);
    again.remove().unwrap();
    assert!(matches!(base.cgroups.open(&base.path()), Err(CgroupError::Gone(_))));
}

#[test]
fn a_process_that_enters_is_counted_and_killed() {
    let base = Base::new();
    let cgroup = base.create(&Resources::default()).unwrap();
    let mut child = shell("exec sleep 60");
    cgroup.enter(child.id()).unwrap();
    assert_eq!(cgroup.pids().unwrap(), [child.id()]);
    let stats = base.cgroups.open(&base.path()).unwrap().stats().unwrap();
    assert_eq!(stats.pids, 1);
    assert!(stats.cpu_ns > 0 || stats.memory > 0 || stats == cgroup.stats().unwrap());
    assert!(base.cgroups.remove_base(&base.name).is_err(), "a process is in it");
    cgroup.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None);
    cgroup.remove().unwrap();
}

#[test]
fn a_process_enters_through_opened_files() {
    let base = Base::new();
    let cgroup = base.create(&Resources::default()).unwrap();
    let mut child = shell("exec sleep 60");
    for file in cgroup.procs_fds().unwrap() {
        rustix::io::write(file, child.id().to_string().as_bytes()).unwrap();
    }
    assert_eq!(cgroup.pids().unwrap(), [child.id()]);
    let own = fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
    let inside = own.lines().filter(|line| line.ends_with(&base.path())).count();
    assert_eq!(inside, base.cgroups.hierarchies.len());
    cgroup.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_frozen_process_stands_still_and_can_be_killed() {
    let base = Base::new();
    let cgroup = base.create(&Resources::default()).unwrap();
    let mut child = run_in(&cgroup, "while :; do :; done");
    until(|| cgroup.stats().unwrap().cpu_ns > 10_000_000);
    assert!(!cgroup.frozen().unwrap());
    cgroup.freeze().unwrap();
    assert!(cgroup.frozen().unwrap());
    let before = cgroup.stats().unwrap().cpu_ns;
    sleep(Duration::from_millis(50));
    assert_eq!(cgroup.stats().unwrap().cpu_ns, before);
    cgroup.thaw().unwrap();
    until(|| cgroup.stats().unwrap().cpu_ns > before);
    cgroup.freeze().unwrap();
    cgroup.kill().unwrap();
    child.wait().unwrap();
    until(|| cgroup.pids().unwrap().is_empty());
}

#[test]
fn a_fork_bomb_is_killed_with_and_without_cgroup_kill() {
    for has_v2 in [true, false] {
        let base = Base::new();
        let limit = Resources { pids: Some(60), ..Resources::default() };
        let mut cgroup = base.create(&limit).unwrap();
        let bomb = "trap '' TERM HUP; f() { while :; do f & done 2>/dev/null; }; f";
        let mut child = run_in(&cgroup, bomb);
        until(|| cgroup.stats().unwrap().pids >= 30);
        if !has_v2 {
            cgroup.dirs.retain(|dir| dir.version == Version::V1);
        }
        cgroup.kill().unwrap();
        child.wait().unwrap();
        until(|| cgroup.pids().unwrap().is_empty());
    }
}

#[test]
fn a_process_killed_for_lack_of_memory_is_counted_and_told() {
    let base = Base::new();
    let limit =
        Resources { memory: Some(8 << 20), memory_swap: Some(8 << 20), ..Resources::default() };
    let cgroup = base.create(&limit).unwrap();
    assert_eq!(cgroup.oom_kills().unwrap(), 0);
    let watch = cgroup.oom_watch().unwrap().unwrap();
    // One process that grows without end.
    let mut child = run_in(&cgroup, "exec awk 'BEGIN { s = \"x\"; while (1) s = s s }'");
    let mut events = [PollFd::new(&watch, PollFlags::IN)];
    let wait = rustix::time::Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(poll(&mut events, Some(&wait)).unwrap(), 1);
    assert_eq!(child.wait().unwrap().code(), None);
    // v2 may count it twice: as the victim, and as one of the group that goes with it.
    until(|| cgroup.oom_kills().unwrap() >= 1);
}

#[test]
fn devices_that_are_not_allowed_cannot_be_opened() {
    let base = Base::new();
    let cgroup = base.create(&Resources::default()).unwrap();
    let probe =
        "cat /dev/zero | head -c 1 > /dev/null && ! cat < /dev/fuse && ! true < /dev/loop-control";
    assert!(Path::new("/dev/fuse").exists() && Path::new("/dev/loop-control").exists());
    assert_eq!(code_in(&cgroup, &format!("{probe} || exit 7")), Some(0));
    let open = base
        .cgroups
        .create(&format!("{}/two", base.name), &Resources::default(), &DeviceRules::all())
        .unwrap();
    assert_eq!(code_in(&open, "true < /dev/fuse || exit 7"), Some(0));
}

#[test]
fn the_filter_of_v2_means_what_the_rules_say() {
    let base = Base::new();
    let v2 = Version::V2;
    let mut cgroups = base.cgroups.clone();
    cgroups.hierarchies.retain(|one| one.version == v2);
    assert_eq!(cgroups.hierarchies.len(), 1, "no cgroup v2 is mounted");
    let rule = |text: &str, allow| DeviceRule { allow, ..text.parse().unwrap() };
    let code = |name: &str, rules: &[DeviceRule], script: &str| {
        let path = format!("{}/{name}", base.name);
        let rules = DeviceRules(rules.to_vec());
        let cgroup = cgroups.create(&path, &Resources::default(), &rules).unwrap();
        code_in(&cgroup, script)
    };
    let default = DEFAULT_DEVICES;
    let probe = "true < /dev/null && true > /dev/zero && ! true < /dev/fuse || exit 7";
    assert_eq!(code("default", &default, probe), Some(0));

    let read_only = [rule("a *:* rwm", false), rule("c 1:3 r", true), rule("c 1:5 rw", true)];
    let probe = "true < /dev/null && ! true > /dev/null && true <> /dev/zero && ! true < /dev/full || exit 7";
    assert_eq!(code("read", &read_only, probe), Some(0));

    let but_one = [rule("c 1:7 w", false)];
    let probe = "true < /dev/full && ! true > /dev/full && ! true <> /dev/full && true < /dev/fuse || exit 7";
    assert_eq!(code("but", &but_one, probe), Some(0));

    let mut many = default.to_vec();
    many.extend((0..300).map(|minor| rule(&format!("b 200:{minor} rw"), true)));
    assert_eq!(code("many", &many, "true < /dev/null && ! true < /dev/fuse || exit 7"), Some(0));
}

#[test]
fn a_limit_that_cannot_be_had_is_named_and_nothing_is_left() {
    let base = Base::new();
    let mut cgroups = base.cgroups.clone();
    cgroups.hierarchies.retain(|one| !one.has("memory"));
    let limit = Resources { memory: Some(1 << 20), ..Resources::default() };
    let refused = cgroups.create(&base.path(), &limit, &DeviceRules::default()).unwrap_err();
    let told = refused.to_string();
    assert!(told.starts_with("cannot set memory."), "{told}");
    assert!(told.ends_with("to \"1048576\": this host has no memory controller"), "{told}");
    let left: Vec<_> = base.dirs().iter().map(|dir| dir.join("one")).collect();
    assert!(left.iter().all(|dir| !dir.exists()));
}

#[test]
fn a_value_the_kernel_refuses_is_named() {
    let base = Base::new();
    let cpus = Resources { cpuset_cpus: Some("4000".to_owned()), ..Resources::default() };
    let told = base.create(&cpus).unwrap_err().to_string();
    assert!(told.starts_with("cannot write \"4000\" to "), "{told}");
    assert!(told.ends_with("/one/cpuset.cpus"), "{told}");
    let block =
        BlockResources { read_bps: vec![("4095:1".to_owned(), 1)], ..BlockResources::default() };
    let block = Resources { block: Some(block), ..Resources::default() };
    assert!(base.create(&block).unwrap_err().to_string().contains("4095:1"));
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let cgroups = Cgroups::detect().unwrap();
    let deep = "a/".repeat(33);
    for path in ["", "/", ".", "..", "a/../b", "a/..", "a\nb", &deep, &"x".repeat(256)] {
        let made = cgroups.create(path, &Resources::default(), &DeviceRules::default());
        assert!(matches!(made, Err(CgroupError::Path(_))), "{path:?}");
        assert!(matches!(cgroups.open(path), Err(CgroupError::Path(_))), "{path:?}");
        assert!(matches!(cgroups.remove_base(path), Err(CgroupError::Path(_))), "{path:?}");
    }
}

#[test]
fn cgroups_that_a_container_made_go_with_it() {
    let base = Base::new();
    let cgroup = base.create(&Resources::default()).unwrap();
    for path in cgroup.paths() {
        fs::create_dir_all(path.join("inner/most")).unwrap();
    }
    cgroup.remove().unwrap();
    assert!(cgroup.paths().all(|path| !path.exists()));
}
