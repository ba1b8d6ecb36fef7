//! `linux`: config-linux.md.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use serde_json::json;

use super::Case;
use crate::bed::{Bed, same, says};

#[test]
fn orca_makes_the_linux_parts_that_are_described() {
    crate::check(CASES);
}

/// The identity of a namespace of a process.
fn namespace(pid: &str, name: &str) -> u64 {
    fs::metadata(format!("/proc/{pid}/ns/{name}")).map_or(0, |data| data.ino())
}

/// What the container's own cgroup says in a file of version 1 or of version 2.
fn limit(bed: &Bed, v1: (&str, &str), v2: &str) -> String {
    let (controller, file) = v1;
    let one = format!("/sys/fs/cgroup/{controller}/{}/{file}", bed.id());
    let two = format!("/sys/fs/cgroup/{}/{v2}", bed.id());
    let text = fs::read_to_string(one).or_else(|_| fs::read_to_string(two)).unwrap_or_default();
    text.trim().to_owned()
}

/// A user namespace with 65536 users from 100000 on, to whom the root file system belongs.
fn with_users(bed: &Bed) {
    bed.config(|c| {
        c["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
        let mappings = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
        c["linux"]["uidMappings"] = mappings.clone();
        c["linux"]["gidMappings"] = mappings;
    });
    for name in [".", "tmp", "dev", "proc", "sys", "etc"] {
        let path = bed.rootfs().join(name);
        std::os::unix::fs::chown(path, Some(100_000), Some(100_000)).unwrap();
    }
    // Root of the container must find the way to its root.
    let top = bed.bundle();
    for dir in [top.parent().unwrap(), top.as_path()] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(dir, mode).unwrap();
    }
}

fn on_v2() -> bool {
    fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok()
}

/// What a file of limits is to say, in each version.
fn expect(bed: &Bed, v1: (&str, &str, &str), v2: (&str, &str)) -> crate::bed::Held {
    let wanted = if on_v2() { v2.1 } else { v1.2 };
    same(&limit(bed, (v1.0, v1.1), v2.0), &wanted.to_owned())
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "namespaces without a path are new, those not listed are the runtime's",
        clause: "config-linux.md, Namespaces",
        check: |bed| {
            bed.config(|c| {
                let all = c["linux"]["namespaces"].as_array_mut().unwrap();
                all.retain(|one| one["type"] != "network");
            });
            bed.script("sleep 100").begin()?;
            let pid = bed.pid()?.to_string();
            for name in ["pid", "ipc", "uts", "mnt", "cgroup"] {
                same(&(namespace(&pid, name) == namespace("self", name)), &false)
                    .map_err(|_| format!("{name} is the host's"))?;
            }
            same(&namespace(&pid, "net"), &namespace("self", "net"))
        },
    },
    Case {
        name: "namespaces with a path are entered",
        clause: "config-linux.md, Namespaces: path",
        check: |bed| {
            let other = Bed::new(bed.runtime.clone());
            other.script("sleep 100").begin()?;
            let pid = other.pid()?.to_string();
            bed.config(|c| {
                for one in c["linux"]["namespaces"].as_array_mut().unwrap() {
                    let kind = one["type"].as_str().unwrap().to_owned();
                    let name = if kind == "network" { "net" } else { &kind };
                    if ["pid", "ipc", "uts", "network"].contains(&kind.as_str()) {
                        one["path"] = json!(format!("/proc/{pid}/ns/{name}"));
                    }
                }
            });
            bed.script("sleep 99").begin()?;
            let own = bed.pid()?.to_string();
            for name in ["pid", "ipc", "uts", "net"] {
                same(&namespace(&own, name), &namespace(&pid, name))?;
            }
            bed.end()?;
            other.end()
        },
    },
    Case {
        name: "a namespace listed twice is an error",
        clause: "config-linux.md, Namespaces: duplicates MUST generate an error",
        check: |bed| {
            bed.config(|c| {
                c["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "pid" }));
            });
            bed.run().fails("pid")
        },
    },
    Case {
        name: "a path that is no such namespace is an error",
        clause: "config-linux.md, Namespaces: a path of another type MUST generate an error",
        check: |bed| {
            bed.config(|c| {
                let all = c["linux"]["namespaces"].as_array_mut().unwrap();
                let network = all.iter_mut().find(|one| one["type"] == "network").unwrap();
                network["path"] = json!("/proc/self/ns/uts");
            });
            bed.run().fails("")
        },
    },
    Case {
        name: "without any namespace the container has the runtime's",
        clause: "config-linux.md, Namespaces: a type that is not listed is inherited",
        check: |bed| {
            bed.config(|c| {
                c["linux"]["namespaces"] = json!([]);
                c["mounts"] = json!([]);
                c.as_object_mut().unwrap().remove("hostname");
            });
            bed.script("sleep 100").begin()?;
            let pid = bed.pid()?.to_string();
            for name in ["pid", "ipc", "uts", "mnt", "net", "cgroup"] {
                same(&namespace(&pid, name), &namespace("self", name))?;
            }
            Ok(())
        },
    },
    Case {
        name: "host name and domain name are set, and need a namespace of their own",
        clause: "config.md, Hostname, Domainname",
        check: |bed| {
            bed.config(|c| c["domainname"] = json!("example"));
            same(
                &bed.prints("hostname; cat /proc/sys/kernel/domainname")?,
                &"case\nexample".to_owned(),
            )?;
            bed.config(|c| {
                let all = c["linux"]["namespaces"].as_array_mut().unwrap();
                all.retain(|one| one["type"] != "uts");
            });
            bed.run().fails("name")
        },
    },
    Case {
        name: "a new network has its loopback up",
        clause: "as all runtimes do",
        check: |bed| says(&bed.prints("ip addr show lo")?, "LOOPBACK,UP"),
    },
    Case {
        name: "clocks of a time namespace are set",
        clause: "config-linux.md, Offset for Time Namespace",
        check: |bed| {
            bed.config(|c| {
                let all = c["linux"]["namespaces"].as_array_mut().unwrap();
                all.push(json!({ "type": "time" }));
                c["linux"]["timeOffsets"] =
                    json!({ "monotonic": { "secs": 7881, "nanosecs": 2 }, "boottime": { "secs": 1337 } });
            });
            let seen = bed.prints("cat /proc/self/timens_offsets | tr -s ' '")?;
            says(&seen, "monotonic 7881 2")?;
            says(&seen, "boottime 1337 0")
        },
    },
    Case {
        name: "devices are made with their mode and owner",
        clause: "config-linux.md, Devices",
        check: |bed| {
            bed.config(|c| {
                c["linux"]["devices"] = json!([
                    { "path": "/dev/one", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640,
                        "uid": 3, "gid": 4 },
                    { "path": "/dev/pipe", "type": "p", "fileMode": 0o600 },
                    { "path": "/elsewhere/two", "type": "b", "major": 7, "minor": 9 },
                ]);
            });
            let seen =
                bed.prints("stat -c '%F %a %u %g %t %T' /dev/one /dev/pipe /elsewhere/two")?;
            let wanted = "character special file 640 3 4 1 3\nfifo 600 0 0 0 0\n\
                block special file 666 0 0 7 9";
            same(&seen, &wanted.to_owned())
        },
    },
    Case {
        name: "only devices that are allowed can be opened",
        clause: "config-linux.md, Device access list; Default Devices are allowed",
        check: |bed| {
            let node = "mknod /dev/k c 1 11 && (head -c 1 /dev/k > /dev/null) 2>&1; \
                echo x > /dev/null && head -c 1 /dev/zero | wc -c";
            let seen = bed.prints(node)?;
            says(&seen, "not permitted")?;
            says(&seen, "\n1")?;
            bed.config(|c| {
                c["linux"]["resources"]["devices"] = json!([
                    { "allow": false, "access": "rwm" },
                    { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" },
                ]);
                c["linux"]["devices"] =
                    json!([{ "path": "/dev/k", "type": "c", "major": 1, "minor": 11 }]);
                for set in c["process"]["capabilities"].as_object_mut().unwrap().values_mut() {
                    set.as_array_mut().unwrap().push(json!("CAP_SYSLOG"));
                }
            });
            same(&bed.prints("test -c /dev/k && : < /dev/k && echo open")?, &"open".to_owned())
        },
    },
    Case {
        name: "limits of memory, processes and CPU are in force",
        clause: "config-linux.md, Memory, CPU, PIDs",
        check: |bed| {
            bed.config(|c| {
                c["linux"]["resources"]["memory"] = json!({ "limit": 64 << 20 });
                c["linux"]["resources"]["pids"] = json!({ "limit": 77 });
                c["linux"]["resources"]["cpu"] =
                    json!({ "shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0" });
            });
            bed.does("create")?;
            expect(
                bed,
                ("memory", "memory.limit_in_bytes", "67108864"),
                ("memory.max", "67108864"),
            )?;
            expect(bed, ("pids", "pids.max", "77"), ("pids.max", "77"))?;
            expect(bed, ("cpu", "cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000"))?;
            expect(bed, ("cpuset", "cpuset.cpus", "0"), ("cpuset.cpus", "0"))
        },
    },
    Case {
        name: "update changes what is given and leaves the rest",
        clause: "runc's command line: update",
        check: |bed| {
            bed.config(|c| {
                c["linux"]["resources"]["memory"] = json!({ "limit": 64 << 20 });
                c["linux"]["resources"]["pids"] = json!({ "limit": 77 });
            });
            bed.script("sleep 100").begin()?;
            bed.verb(&["update", "--pids-limit", "55", bed.id()]).well()?;
            expect(bed, ("pids", "pids.max", "55"), ("pids.max", "55"))?;
            let file = bed.file("resources.json");
            fs::write(&file, json!({ "memory": { "limit": 32 << 20 } }).to_string()).unwrap();
            bed.verb(&["update", "--resources", file.to_str().unwrap(), bed.id()]).well()?;
            expect(
                bed,
                ("memory", "memory.limit_in_bytes", "33554432"),
                ("memory.max", "33554432"),
            )?;
            expect(bed, ("pids", "pids.max", "55"), ("pids.max", "55"))
        },
    },
    Case {
        name: "a path of a cgroup with .. is refused",
        clause: "config-linux.md, Cgroups Path",
        check: |bed| {
            bed.config(|c| c["linux"]["cgroupsPath"] = json!(format!("/../../{}", bed.id())));
            bed.run().fails("cgroup")
        },
    },
    Case {
        name: "kernel settings are set, and only those of the container's own namespaces",
        clause: "config-linux.md, Sysctl",
        check: |bed| {
            bed.config(|c| {
                c["linux"]["sysctl"] =
                    json!({ "net.ipv4.ip_forward": "1", "kernel.msgmax": "1234" });
            });
            let seen = bed.prints("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax")?;
            same(&seen, &"1\n1234".to_owned())?;
            bed.config(|c| c["linux"]["sysctl"] = json!({ "kernel.panic": "1" }));
            bed.run().fails("kernel.panic")
        },
    },
    Case {
        name: "masked paths show nothing, read-only ones cannot be written",
        clause: "config-linux.md, Masked Paths, Readonly Paths",
        check: |bed| {
            fs::write(bed.rootfs().join("secret"), "text").unwrap();
            fs::create_dir_all(bed.rootfs().join("hidden/deep")).unwrap();
            fs::create_dir_all(bed.rootfs().join("fixed")).unwrap();
            bed.config(|c| {
                c["linux"]["maskedPaths"] = json!(["/secret", "/hidden", "/not/there"]);
                c["linux"]["readonlyPaths"] = json!(["/fixed", "/proc/sys", "/not/there"]);
            });
            let seen =
                bed.prints("cat /secret | wc -c; ls /hidden | wc -l; touch /fixed/x 2>&1; true")?;
            says(&seen, "0\n0\n")?;
            says(&seen, "Read-only")
        },
    },
    Case {
        name: "a filter of system calls answers as it says",
        clause: "config-linux.md, Seccomp: actions, errnoRet",
        check: |bed| {
            bed.config(|c| {
                c["linux"]["seccomp"] = json!({
                    "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                    "syscalls": [
                        { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 },
                        { "names": ["getcwd", "chdir"], "action": "SCMP_ACT_ERRNO" },
                    ],
                });
            });
            says(&bed.sh("mkdir /tmp/x").err, "No space left")?;
            bed.config(|c| {
                c["linux"]["seccomp"]["syscalls"] =
                    json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS" }]);
            });
            same(&bed.sh("mkdir /tmp/x; echo $?").out, &"159".to_owned())
        },
    },
    Case {
        name: "a filter looks at arguments",
        clause: "config-linux.md, Seccomp: args",
        check: |bed| {
            bed.config(|c| {
                c["linux"]["seccomp"] = json!({
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{
                        "names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28,
                        "args": [{ "index": 1, "value": 10, "op": "SCMP_CMP_EQ" }],
                    }],
                });
            });
            let ran = bed.sh("trap : USR1 USR2; kill -USR2 $$ && echo may; kill -USR1 $$");
            same(&ran.out, &"may".to_owned())?;
            says(&ran.err, "No space left")
        },
    },
    Case {
        name: "without no_new_privileges the filter holds all the same",
        clause: "config-linux.md, Seccomp; config.md, noNewPrivileges",
        check: |bed| {
            bed.config(|c| {
                c["process"]["noNewPrivileges"] = json!(false);
                c["process"]["user"] = json!({ "uid": 9, "gid": 9 });
                c["linux"]["seccomp"] = json!({
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 }],
                });
            });
            let ran =
                bed.sh("grep -E 'Seccomp:|CapEff' /proc/self/status | cut -f 2; mkdir /tmp/x");
            says(&ran.out, "2")?;
            says(&ran.err, "No space left")?;
            same(&ran.out.contains("0000000000200000"), &false)
        },
    },
    Case {
        name: "the personality is as given",
        clause: "config-linux.md, Personality",
        check: |bed| {
            bed.config(|c| c["linux"]["personality"] = json!({ "domain": "LINUX32" }));
            same(&bed.prints("uname -m")?, &"i686".to_owned())
        },
    },
    Case {
        name: "labels that the kernel's security module does not have are refused",
        clause: "config.md, Linux Process: apparmorProfile, selinuxLabel",
        check: |bed| {
            bed.config(|c| c["process"]["apparmorProfile"] = json!("no-such-profile"));
            bed.run().fails("pparmor").or_else(|_| bed.run().fails("AppArmor"))
        },
    },
    Case {
        name: "users of a user namespace are those of its mappings",
        clause: "config-linux.md, User namespace mappings",
        check: |bed| {
            with_users(bed);
            let script =
                "id -u; tr -s ' ' < /proc/self/uid_map; touch /tmp/mine; stat -c %u /tmp/mine";
            same(&bed.prints(script)?, &"0\n 0 100000 65536\n0".to_owned())?;
            let owner = fs::metadata(bed.rootfs().join("tmp/mine")).map_or(0, |data| data.uid());
            same(&owner, &100_000)
        },
    },
    Case {
        name: "exec in a container with a user namespace has its users",
        clause: "config-linux.md, User namespace mappings",
        check: |bed| {
            with_users(bed);
            bed.script("sleep 100").begin()?;
            let script = "id -u; tr -s ' ' < /proc/self/uid_map";
            let seen = bed.verb(&["exec", bed.id(), "sh", "-c", script]).well()?;
            same(&seen, &"0\n 0 100000 65536".to_owned())
        },
    },
    Case {
        name: "a bind mount can be seen through other users",
        clause: "config.md, Mounts: uidMappings, gidMappings; options idmap, ridmap",
        check: |bed| {
            let source = bed.file("source");
            fs::create_dir(&source).unwrap();
            fs::write(source.join("file"), "text").unwrap();
            let mappings = json!([{ "containerID": 0, "hostID": 7000, "size": 100 }]);
            bed.mount(json!({
                "destination": "/mnt", "type": "bind", "source": source, "options": ["bind", "idmap"],
                "uidMappings": mappings, "gidMappings": mappings,
            }));
            same(&bed.prints("stat -c '%u %g' /mnt/file")?, &"7000 7000".to_owned())
        },
    },
    Case {
        name: "exec has the container's clocks",
        clause: "config-linux.md, Offset for Time Namespace",
        check: |bed| {
            bed.config(|c| {
                let all = c["linux"]["namespaces"].as_array_mut().unwrap();
                all.push(json!({ "type": "time" }));
                c["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 1337 } });
            });
            bed.script("sleep 100").begin()?;
            let seen = bed.verb(&["exec", bed.id(), "cat", "/proc/self/timens_offsets"]).well()?;
            says(&seen, "1337")
        },
    },
    Case {
        name: "features and spec give what the specification describes",
        clause: "features.md; runc's command line: spec",
        check: |bed| {
            let features: serde_json::Value =
                serde_json::from_str(&bed.verb(&["features"]).well()?)
                    .map_err(|e| e.to_string())?;
            says(features["ociVersionMin"].as_str().unwrap_or_default(), "1.0")?;
            let dir = bed.file("new");
            fs::create_dir(&dir).unwrap();
            bed.verb(&["spec", "--bundle", dir.to_str().unwrap()]).well()?;
            let text = fs::read_to_string(dir.join("config.json")).unwrap_or_default();
            let spec: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
            says(spec["ociVersion"].as_str().unwrap_or_default(), "1.")?;
            bed.config(|c| {
                *c = spec;
                c["process"]["terminal"] = json!(false);
            });
            same(&bed.prints("id -u")?, &"0".to_owned())
        },
    },
    Case {
        name: "events tell what is used",
        clause: "runc's command line: events --stats",
        check: |bed| {
            bed.script("sleep 100").begin()?;
            let text = bed.verb(&["events", "--stats", bed.id()]).well()?;
            let event: serde_json::Value =
                serde_json::from_str(&text).map_err(|e| e.to_string())?;
            same(&event["type"].as_str(), &Some("stats"))?;
            same(&event["data"]["pids"]["current"].as_u64(), &Some(1))?;
            same(
                &event["data"]["memory"]["usage"]["usage"].as_u64().is_some_and(|used| used > 0),
                &true,
            )
        },
    },
];
