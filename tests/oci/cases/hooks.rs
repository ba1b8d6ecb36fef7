//! `hooks`: config.md, POSIX-platform Hooks.

use std::fs;

use serde_json::{Value, json};

use super::Case;
use crate::bed::{Bed, same, says};

#[test]
fn orca_runs_hooks_at_their_moments() {
    crate::check(CASES);
}

/// A hook that runs a script of the host's shell.
fn hook(script: &str) -> Value {
    json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] })
}

/// A hook that adds its word to the file `log`, with the status it is told.
fn telling(bed: &Bed, word: &str) -> Value {
    let log = bed.file("log");
    let script = format!(
        "echo {word} $(tr -d ' \\n' | grep -o '\"status\":\"[a-z]*\"' | cut -d : -f 2) >> {}",
        log.display()
    );
    hook(&script)
}

fn log(bed: &Bed) -> String {
    fs::read_to_string(bed.file("log")).unwrap_or_default()
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "hooks run in their order, each with the state at that moment",
        clause: "config.md, Hooks: Calling order; state on stdin",
        check: |bed| {
            bed.config(|c| {
                c["hooks"] = json!({
                    "prestart": [telling(bed, "prestart1"), telling(bed, "prestart2")],
                    "createRuntime": [telling(bed, "createRuntime")],
                    "createContainer": [telling(bed, "createContainer")],
                    "poststart": [telling(bed, "poststart")],
                    "poststop": [telling(bed, "poststop")],
                });
            });
            bed.script("sleep 100").does("create")?;
            let created = "prestart1 \"creating\"\nprestart2 \"creating\"\ncreateRuntime \"creating\"\n\
                createContainer \"creating\"\n";
            same(&log(bed), &created.to_owned())?;
            bed.does("start")?;
            same(&log(bed), &format!("{created}poststart \"running\"\n"))?;
            bed.verb(&["kill", bed.id(), "KILL"]).well()?;
            bed.status("stopped")?;
            bed.does("delete")?;
            same(&log(bed), &format!("{created}poststart \"running\"\npoststop \"stopped\"\n"))
        },
    },
    Case {
        name: "createContainer runs in the container's namespaces, before its root",
        clause: "config.md, createContainer Hooks: in the container namespace",
        check: |bed| {
            let log = bed.file("log");
            let show = |name: &str| {
                hook(&format!(
                    "echo {name} $(readlink /proc/self/ns/uts) $(hostname) >> {}",
                    log.display()
                ))
            };
            bed.config(|c| {
                c["hooks"] = json!({
                    "createRuntime": [show("runtime")], "createContainer": [show("container")],
                });
            });
            bed.does("create")?;
            let text = self::log(bed);
            let lines = text.lines().collect::<Vec<_>>();
            same(&lines.len(), &2)?;
            let host = fs::read_link("/proc/self/ns/uts").unwrap();
            says(lines[0], &host.to_string_lossy())?;
            same(&lines[1].contains(&*host.to_string_lossy()), &false)?;
            says(lines[1], " case")
        },
    },
    Case {
        name: "startContainer runs in the container, right before the program",
        clause: "config.md, startContainer Hooks",
        check: |bed| {
            bed.config(|c| {
                c["hooks"] = json!({
                    "startContainer": [{
                        "path": "/bin/sh", "args": ["sh", "-c", "echo hook $A $(hostname) >> /log"],
                        "env": ["PATH=/bin", "A=a"],
                    }],
                });
            });
            bed.script("echo program >> /log").does("create")?;
            let log = bed.rootfs().join("log");
            same(&log.exists(), &false)?;
            bed.does("start")?;
            bed.status("stopped")?;
            same(&fs::read_to_string(log).unwrap_or_default(), &"hook a case\nprogram\n".to_owned())
        },
    },
    Case {
        name: "a hook of create that fails fails the container, and the rest do not run",
        clause: "config.md, Hooks: a failure MUST generate an error, stop and delete the container",
        check: |bed| {
            for moment in ["prestart", "createRuntime", "createContainer"] {
                let bed = Bed::new(bed.runtime.clone());
                bed.config(|c| {
                    c["hooks"] = json!({ moment: [hook("exit 3"), telling(&bed, "second")] });
                });
                bed.script("touch /ran");
                bed.verb(&["create", bed.id()]).fails("hook")?;
                same(&log(&bed), &String::new())?;
                same(&bed.rootfs().join("ran").exists(), &false)?;
                bed.end()?;
            }
            Ok(())
        },
    },
    Case {
        name: "a hook that takes too long is killed, and has failed",
        clause: "config.md, Hooks: timeout",
        check: |bed| {
            let mut slow = hook("sleep 60");
            slow["timeout"] = json!(1);
            bed.config(|c| c["hooks"] = json!({ "createRuntime": [slow] }));
            bed.verb(&["create", bed.id()]).fails("hook")
        },
    },
    Case {
        name: "a hook that is not there is an error",
        clause: "config.md, Hooks: path",
        check: |bed| {
            bed.config(|c| c["hooks"] = json!({ "createRuntime": [{ "path": "/no/such/hook" }] }));
            bed.verb(&["create", bed.id()]).fails("hook")
        },
    },
    Case {
        name: "a poststop hook that fails is told of, and the container is deleted",
        clause: "config.md, Poststop: MUST log a warning, the remaining hooks and lifecycle continue",
        check: |bed| {
            bed.config(|c| {
                c["hooks"] = json!({ "poststop": [hook("exit 3"), telling(bed, "second")] });
            });
            bed.begin()?;
            bed.status("stopped")?;
            let ran = bed.verb(&["delete", bed.id()]);
            same(&ran.code, &0)?;
            says(&ran.err, "hook")?;
            says(&log(bed), "second")?;
            bed.verb(&["state", bed.id()]).fails("does not exist")
        },
    },
];
