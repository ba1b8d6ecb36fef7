//! `process`: config.md, Process.

use serde_json::json;

use super::Case;
use crate::bed::{same, says};

#[test]
fn orca_runs_the_process_that_is_described() {
    crate::check(CASES);
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "the working directory and the environment are as given",
        clause: "config.md, Process: cwd, env",
        check: |bed| {
            bed.config(|c| {
                c["process"]["cwd"] = json!("/tmp");
                c["process"]["env"] = json!(["PATH=/bin", "ONE=1", "EMPTY="]);
            });
            same(
                &bed.prints("pwd; echo $ONE-$EMPTY-; env | grep -c EMPTY")?,
                &"/tmp\n1--\n1".to_owned(),
            )
        },
    },
    Case {
        name: "a relative working directory is refused",
        clause: "config.md, Process: cwd MUST be an absolute path",
        check: |bed| {
            bed.config(|c| c["process"]["cwd"] = json!("tmp"));
            bed.run().fails("absolute")
        },
    },
    Case {
        name: "user, group, further groups and umask are as given",
        clause: "config.md, POSIX-platform User: uid, gid, umask, additionalGids",
        check: |bed| {
            bed.config(|c| {
                c["process"]["user"] =
                    json!({ "uid": 11, "gid": 12, "umask": 7, "additionalGids": [13, 14] });
            });
            same(&bed.prints("id -u; id -g; id -G; umask")?, &"11\n12\n12 13 14\n0007".to_owned())
        },
    },
    Case {
        name: "limits are as given",
        clause: "config.md, POSIX process: rlimits",
        check: |bed| {
            bed.config(|c| {
                c["process"]["rlimits"] = json!([
                    { "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 },
                    { "type": "RLIMIT_CORE", "soft": 0, "hard": 1024 },
                ]);
            });
            same(&bed.prints("ulimit -Sn; ulimit -Hn; ulimit -Sc")?, &"100\n200\n0".to_owned())
        },
    },
    Case {
        name: "a limit given twice is an error",
        clause: "config.md, rlimits: duplicated entries MUST generate an error",
        check: |bed| {
            let limit = json!({ "type": "RLIMIT_NOFILE", "soft": 10, "hard": 20 });
            bed.config(|c| c["process"]["rlimits"] = json!([limit, limit]));
            bed.run().fails("RLIMIT_NOFILE")
        },
    },
    Case {
        name: "an unknown limit is an error",
        clause: "config.md, rlimits: values that cannot be mapped MUST generate an error",
        check: |bed| {
            bed.config(|c| {
                c["process"]["rlimits"] = json!([{ "type": "RLIMIT_TEST", "soft": 1, "hard": 1 }]);
            });
            bed.run().fails("RLIMIT_TEST")
        },
    },
    Case {
        name: "capabilities are those of each set",
        clause: "config.md, Linux Process: capabilities",
        check: |bed| {
            bed.config(|c| {
                c["process"]["capabilities"] = json!({
                    "bounding": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_KILL"],
                    "permitted": ["CAP_KILL", "CAP_CHOWN"], "inheritable": ["CAP_KILL"],
                    "ambient": ["CAP_KILL"],
                });
                c["process"]["user"] = json!({ "uid": 5, "gid": 5 });
            });
            let caps = bed.prints("grep Cap /proc/self/status | cut -f 2")?;
            let [inheritable, permitted, effective, bounding, ambient] =
                ["20", "20", "20", "21", "20"].map(|set| format!("{set:0>16}"));
            let wanted = [inheritable, permitted, effective, bounding, ambient].join("\n");
            same(&caps, &wanted)
        },
    },
    Case {
        name: "without capabilities there are none",
        clause: "config.md, Linux Process: capabilities is OPTIONAL",
        check: |bed| {
            bed.config(|c| {
                c["process"].as_object_mut().unwrap().remove("capabilities");
            });
            let caps = bed.prints("grep CapBnd /proc/self/status | cut -f 2")?;
            same(&caps, &"0".repeat(16))
        },
    },
    Case {
        name: "capabilities that nobody knows do not fail a container",
        clause: "config.md, capabilities: values that cannot be mapped are logged, SHOULD NOT fail",
        check: |bed| {
            bed.config(|c| {
                let sets = c["process"]["capabilities"].as_object_mut().unwrap();
                for set in sets.values_mut() {
                    set.as_array_mut().unwrap().push(json!("CAP_NO_SUCH_THING"));
                }
            });
            let ran = bed.sh("echo here");
            same(&ran.out, &"here".to_owned())?;
            says(&ran.err, "NO_SUCH_THING")
        },
    },
    Case {
        name: "no new privileges, if asked",
        clause: "config.md, Linux Process: noNewPrivileges",
        check: |bed| {
            let script = "grep NoNewPrivs /proc/self/status | cut -f 2";
            same(&bed.prints(script)?, &"1".to_owned())?;
            bed.config(|c| c["process"]["noNewPrivileges"] = json!(false));
            same(&bed.prints(script)?, &"0".to_owned())
        },
    },
    Case {
        name: "the score for the OOM killer is as given, else that of the runtime",
        clause: "config.md, Linux Process: oomScoreAdj",
        check: |bed| {
            bed.config(|c| c["process"]["oomScoreAdj"] = json!(123));
            same(&bed.prints("cat /proc/self/oom_score_adj")?, &"123".to_owned())?;
            bed.config(|c| {
                c["process"].as_object_mut().unwrap().remove("oomScoreAdj");
            });
            let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
            same(&bed.prints("cat /proc/self/oom_score_adj")?, &own.trim().to_owned())
        },
    },
    Case {
        name: "a program that is not there fails create, in words that engines know",
        clause: "runtime.md, Errors; the texts are those that podman and docker look for",
        check: |bed| {
            bed.config(|c| c["process"]["args"] = json!(["no-such-program"]));
            bed.verb(&["create", bed.id()]).fails("executable file")?;
            bed.config(|c| c["process"]["args"] = json!(["/etc"]));
            bed.verb(&["create", bed.id()]).fails("ermission denied")
        },
    },
    Case {
        name: "no program at all is an error",
        clause: "config.md, Process: args, one entry is REQUIRED",
        check: |bed| {
            bed.config(|c| c["process"]["args"] = json!([]));
            bed.run().fails("args")
        },
    },
    Case {
        name: "the program has its own session and the descriptors it should",
        clause: "runc's command line: --preserve-fds; nothing else is open",
        check: |bed| {
            let fds = bed.prints("ls /proc/self/fd | sort -n | tr '\\n' ' '")?;
            // 3 is the listing's own.
            same(&fds, &"0 1 2 3 ".to_owned())
        },
    },
    Case {
        name: "scheduling and I/O priority are as given",
        clause: "config.md, Linux Process: scheduler, ioPriority",
        check: |bed| {
            bed.config(|c| {
                c["process"]["scheduler"] = json!({ "policy": "SCHED_BATCH", "nice": 5 });
                c["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_IDLE", "priority": 0 });
            });
            let seen = bed.prints("ionice; cut -d ' ' -f 19,41 /proc/self/stat")?;
            same(&seen, &"idle\n5 3".to_owned())
        },
    },
    Case {
        name: "exec with a CPU affinity runs there",
        clause: "config.md, Linux Process: execCPUAffinity",
        check: |bed| {
            bed.config(|c| {
                c["process"]["execCPUAffinity"] = json!({ "initial": "0", "final": "0" });
            });
            bed.script("sleep 100").begin()?;
            let script = "grep Cpus_allowed_list /proc/self/status | cut -f 2";
            let seen = bed.verb(&["exec", bed.id(), "sh", "-c", script]).well()?;
            same(&seen, &"0".to_owned())
        },
    },
];
