//! Plans, as values in and values out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::model::{
    ContainerId, Digest, HostMountSource, Logging, Resolv, Resources, Ulimit, Ulimits,
};
use crate::runtime::wire::{decode, encode};
use crate::sys::mounts::READ_ONLY;

/// A container that can be planned.
pub(in crate::runtime) fn container() -> Container {
    Container {
        id: ContainerId::of("test", AttemptId::default()),
        name: "test".to_owned(),
        labels: BTreeMap::from([(labels::ATTEMPT.to_owned(), "t4.7".to_owned())]),
        image: Digest::sha256(&"0".repeat(64)).unwrap(),
        args: vec!["true".to_owned()],
        env: Vec::new(),
        cwd: String::new(),
        user: String::new(),
        groups: Vec::new(),
        tty: false,
        stdin: false,
        init: false,
        hostname: "box".to_owned(),
        domainname: None,
        mounts: Vec::new(),
        storage_size: None,
        read_only: false,
        shm_size: 64 << 20,
        extra_hosts: Vec::new(),
        resolv: Resolv::default(),
        namespaces: crate::model::Namespaces::default(),
        cap_add: Vec::new(),
        cap_drop: Vec::new(),
        users: None,
        privileged: false,
        security_opt: Vec::new(),
        devices: Vec::new(),
        device_requests: Vec::new(),
        device_cgroup_rules: Vec::new(),
        sysctls: BTreeMap::new(),
        ulimits: Ulimits::new(),
        oom_score_adj: None,
        resources: Resources::default(),
        cgroup_parent: None,
        logging: Logging::default(),
        stop_signal: String::new(),
        stop_grace: Duration::from_secs(10),
        annotations: BTreeMap::new(),
        post_start: Vec::new(),
        pre_stop: Vec::new(),
    }
}

fn plan_with(container: &Container, mounts: &[HostMount]) -> Result<StartPlan, String> {
    let rootfs =
        Rootfs { lower: vec!["/layers/1".into()], upper: "/upper".into(), work: "/work".into() };
    let part = Part { v2: true, controllers: vec!["memory".to_owned()], path: "/cg".into() };
    start(Wish {
        guarded: &[],
        container,
        rootfs: &rootfs,
        mounts,
        network: Network::New,
        log_dir: Path::new("/log"),
        state_dir: Path::new("/run/c/x"),
        cgroup: vec![part],
    })
    .map_err(|unfit| unfit.0)
}

fn plan(change: impl FnOnce(&mut Container)) -> Result<StartPlan, String> {
    let mut container = container();
    change(&mut container);
    plan_with(&container, &[])
}

fn tmpfs(options: &[&str]) -> HostMount {
    HostMount {
        target: "/tmp".to_owned(),
        read_only: false,
        source: HostMountSource::Tmpfs {
            size: Some(4096),
            mode: None,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        },
    }
}

fn every_source() -> Vec<HostMount> {
    let sources = [
        HostMountSource::Bind {
            path: PathBuf::from("/host"),
            subpath: Some("sub".to_owned()),
            propagation: None,
            recursive: true,
        },
        HostMountSource::File { content: b"text".to_vec(), uid: 1, gid: 2, mode: 0o400 },
        HostMountSource::Layers { lower: vec!["/a".into(), "/b".into()], subpath: None },
    ];
    let mount = |source| HostMount { target: "/x".to_owned(), read_only: true, source };
    sources.into_iter().map(mount).chain([tmpfs(&["uid=3"])]).collect()
}

#[test]
fn a_plan_is_read_as_it_was_written_and_never_otherwise() {
    let mut container = container();
    container.ulimits.insert("nofile".to_owned(), Ulimit { soft: 5, hard: -1 });
    container.sysctls.insert("net.core.somaxconn".to_owned(), "9".to_owned());
    container.domainname = Some("example".to_owned());
    let plan = plan_with(&container, &every_source()).unwrap();
    let bytes = encode(&plan);
    assert_eq!(decode::<StartPlan>(&bytes), Ok(plan.clone()));
    for length in 0..bytes.len() {
        assert!(decode::<StartPlan>(&bytes[..length]).is_err(), "{length}");
    }
    // What is damaged is an error or another plan, never a panic.
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        assert_ne!(decode::<StartPlan>(&damaged), Ok(plan.clone()), "{at}");
    }
    assert_eq!(plan.log.map(|log| log.attempt), Some(7));
}

#[test]
fn the_environment_has_what_every_program_expects_and_the_users_words_win() {
    let shown = |change: fn(&mut Container)| {
        let plan = plan(change).unwrap();
        let text = |variable: &CString| variable.to_string_lossy().into_owned();
        plan.process.env.iter().map(text).collect::<Vec<_>>()
    };
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(shown(|_| {}), ["HOSTNAME=box", path]);
    assert_eq!(
        shown(|container| {
            container.tty = true;
            container.env = ["PATH=/x", "A=1", "A=2", "TERM=dumb"].map(str::to_owned).to_vec();
        }),
        ["HOSTNAME=box", "PATH=/x", "TERM=dumb", "A=2"]
    );
}

#[test]
fn security_options_have_dockers_words() {
    for (option, no_new_privileges, filtered, masked) in [
        ("no-new-privileges", true, true, true),
        ("no-new-privileges:true", true, true, true),
        ("no-new-privileges=false", false, true, true),
        ("seccomp=unconfined", false, false, true),
        ("seccomp:unconfined", false, false, true),
        ("systempaths=unconfined", false, true, false),
        ("apparmor=unconfined", false, true, true),
        ("seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}", false, true, true),
    ] {
        let plan = plan(|container| container.security_opt = vec![option.to_owned()]).unwrap();
        let process = plan.process;
        assert_eq!(process.no_new_privileges, no_new_privileges, "{option}");
        assert_eq!(!process.seccomp.0.is_empty(), filtered, "{option}");
        assert_eq!(!plan.system.masked.is_empty(), masked, "{option}");
    }
    for option in ["no-new-privileges=perhaps", "apparmor=mine", "nothing", "seccomp={"] {
        let refused = plan(|container| container.security_opt = vec![option.to_owned()]);
        assert!(refused.is_err(), "{option}");
    }
}

#[test]
fn tmpfs_has_dockers_defaults_and_only_known_options() {
    let attributes = |options: &[&str]| {
        let plan = plan_with(&container(), &[tmpfs(options)])?;
        match &plan.mounts[0].source {
            super::super::plan::MountSource::New { parameters, .. } => {
                let text = |text: &CString| text.to_string_lossy().into_owned();
                let parameters =
                    parameters.iter().map(|(key, value)| format!("{}={}", text(key), text(value)));
                let parameters = parameters.collect::<Vec<_>>().join(",");
                let mount = &plan.mounts[0];
                Ok((mount.change.set & !READ_ONLY, parameters, mount.read_only()))
            }
            other => Err(format!("{other:?}")),
        }
    };
    assert_eq!(attributes(&[]), Ok((14, "size=4096".to_owned(), false)));
    assert_eq!(attributes(&["exec,dev"]), Ok((2, "size=4096".to_owned(), false)));
    assert_eq!(attributes(&["size=1m", "ro"]), Ok((14, "size=1m".to_owned(), true)));
    for option in ["lowerdir=/etc", "context=x", "size", "bind"] {
        assert!(attributes(&[option]).is_err(), "{option}");
    }
}

#[test]
fn what_cannot_be_is_an_error_with_the_thing_in_it() {
    type Change = fn(&mut Container);
    let cases: [(Change, &str); 9] = [
        (|c| c.args = vec![], "no program"),
        (|c| c.args = vec!["a\0b".to_owned()], "NUL"),
        (|c| c.cwd = "relative".to_owned(), "\"relative\" is not absolute"),
        (|c| c.ulimits.extend([("x".to_owned(), Ulimit { soft: 1, hard: 1 })]), "no limit \"x\""),
        (|c| c.ulimits.extend([("core".to_owned(), Ulimit { soft: -2, hard: 1 })]), "-2"),
        (|c| c.cap_add = vec!["FLY".to_owned()], "FLY"),
        (|c| drop(c.sysctls.insert("kernel.panic".to_owned(), "1".to_owned())), "kernel.panic"),
        (|c| c.hostname = "a\0".to_owned(), "NUL"),
        (
            |c| {
                let (source, target) = ("vendor.com/gpu=0".to_owned(), String::new());
                c.devices =
                    vec![crate::model::Device { source, target, permissions: String::new() }];
            },
            "vendor.com/gpu=0",
        ),
    ];
    for (change, words) in cases {
        let error = plan(change).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn namespaces_are_made_or_come_along_in_order() {
    let other = ContainerId::of("other", AttemptId::default());
    let plan = plan(|container| {
        container.namespaces.pid = Namespace::Container(other.clone());
        container.namespaces.ipc = Namespace::Container(other);
        container.namespaces.uts = Namespace::Host;
        container.namespaces.cgroup = Namespace::Host;
    })
    .unwrap();
    let [pid, ipc] = [libc::CLONE_NEWPID, libc::CLONE_NEWIPC].map(i32::cast_unsigned);
    assert_eq!(plan.joins, [pid, ipc, crate::runtime::plan::SHM]);
    let made = libc::CLONE_NEWNS | libc::CLONE_NEWNET;
    assert_eq!(plan.new_namespaces, u64::from(made.cast_unsigned()));
    assert_eq!((plan.hostname, plan.new_cgroup_namespace), (None, false));
}
