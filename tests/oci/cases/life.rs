//! Operations and states: runtime.md.

use std::fs;

use super::Case;
use crate::bed::{same, says};

#[test]
fn orca_has_the_life_cycle_of_the_specification() {
    crate::check(CASES);
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "create does not run the program",
        clause: "runtime.md, Create: MUST NOT execute process.args",
        check: |bed| {
            let mark = bed.rootfs().join("mark");
            bed.script("touch /mark").does("create")?;
            bed.status("created")?;
            std::thread::sleep(std::time::Duration::from_millis(50));
            same(&mark.exists(), &false)?;
            bed.does("start")?;
            bed.status("stopped")?;
            same(&mark.exists(), &true)
        },
    },
    Case {
        name: "the state has all that it must have",
        clause: "runtime.md, State: ociVersion, id, status, pid, bundle are REQUIRED",
        check: |bed| {
            bed.config(|c| c["annotations"] = serde_json::json!({ "com.example.key": "value" }));
            bed.script("sleep 100").begin()?;
            let state = bed.state()?;
            same(&state["id"].as_str(), &Some(bed.id()))?;
            same(&state["status"].as_str(), &Some("running"))?;
            same(&state["bundle"].as_str(), &bed.bundle().to_str())?;
            same(&state["ociVersion"].as_str().is_some_and(|v| v.starts_with("1.")), &true)?;
            same(&state["annotations"]["com.example.key"].as_str(), &Some("value"))?;
            let pid = state["pid"].as_i64().unwrap_or(0);
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            says(&line, "sleep")
        },
    },
    Case {
        name: "an id is taken only once",
        clause: "runtime.md, Create: an error if the id is not unique, the container unchanged",
        check: |bed| {
            bed.script("sleep 100").begin()?;
            bed.verb(&["create", bed.id()]).fails("exist")?;
            bed.status("running")
        },
    },
    Case {
        name: "operations on what is not there fail",
        clause: "runtime.md, Query State, Start, Kill, Delete: an error without the id of a container",
        check: |bed| {
            for verb in ["state", "start", "kill", "delete", "pause", "resume"] {
                bed.verb(&[verb, bed.id()]).fails("does not exist")?;
            }
            Ok(())
        },
    },
    Case {
        name: "a container starts once",
        clause: "runtime.md, Start: an error and no effect on a container that is not created",
        check: |bed| {
            bed.script("echo x >> /marks; sleep 100").begin()?;
            bed.verb(&["start", bed.id()]).fails("")?;
            bed.does("kill")
                .map(drop)
                .or_else(|_| bed.verb(&["kill", bed.id(), "KILL"]).well().map(drop))?;
            bed.verb(&["kill", bed.id(), "KILL"]);
            bed.status("stopped")?;
            bed.verb(&["start", bed.id()]).fails("")?;
            same(
                &fs::read_to_string(bed.rootfs().join("marks")).unwrap_or_default(),
                &"x\n".to_owned(),
            )
        },
    },
    Case {
        name: "kill sends the signal that is named",
        clause: "runtime.md, Kill: MUST send the specified signal to the container process",
        check: |bed| {
            bed.script(
                "trap 'echo usr1 > /mark; exit' USR1; echo > /ready; while :; do sleep 0.01; done",
            );
            bed.begin()?;
            bed.until(|| Ok(bed.rootfs().join("ready").exists()))?;
            bed.verb(&["kill", bed.id(), "SIGUSR1"]).well()?;
            bed.status("stopped")?;
            same(
                &fs::read_to_string(bed.rootfs().join("mark")).unwrap_or_default(),
                &"usr1\n".to_owned(),
            )
        },
    },
    Case {
        name: "what has stopped is not signalled",
        clause: "runtime.md, Kill: an error and no effect unless created or running",
        check: |bed| {
            bed.begin()?;
            bed.status("stopped")?;
            bed.verb(&["kill", bed.id(), "TERM"]).fails("not running")
        },
    },
    Case {
        name: "what runs is not deleted",
        clause: "runtime.md, Delete: an error and no effect on a container that is not stopped",
        check: |bed| {
            bed.script("sleep 100").begin()?;
            bed.verb(&["delete", bed.id()]).fails("not stopped")?;
            bed.status("running")
        },
    },
    Case {
        name: "delete leaves nothing, and the id is free again",
        clause: "runtime.md, Delete: MUST delete the resources; the id MAY be used again",
        check: |bed| {
            for _ in 0..2 {
                bed.begin()?;
                bed.status("stopped")?;
                bed.does("delete")?;
                bed.end()?;
            }
            bed.verb(&["state", bed.id()]).fails("does not exist")
        },
    },
    Case {
        name: "a change of config.json after create has no effect",
        clause: "runtime.md, Create: changes to config.json after this MUST NOT have an effect",
        check: |bed| {
            bed.script("echo first > /mark").does("create")?;
            bed.script("echo second > /mark");
            bed.verb(&["start", bed.id()]).well()?;
            bed.status("stopped")?;
            same(
                &fs::read_to_string(bed.rootfs().join("mark")).unwrap_or_default(),
                &"first\n".to_owned(),
            )
        },
    },
    Case {
        name: "the exit status of run is the program's",
        clause: "runc's command line: run",
        check: |bed| {
            same(&bed.sh("exit 7").code, &7)?;
            let mut running = bed.script("sleep 100").command(&["run", bed.id()]).spawn().unwrap();
            // Killed between create and start it would have no status of its own.
            let runs = || bed.verb(&["state", bed.id()]).out.contains("\"running\"");
            let killed =
                bed.until(|| Ok(runs() && bed.verb(&["kill", bed.id(), "KILL"]).code == 0));
            same(&running.wait().unwrap().code(), &Some(137))?;
            same(&killed, &Ok(true))
        },
    },
    Case {
        name: "the pid file names the first process",
        clause: "runc's command line: create --pid-file",
        check: |bed| {
            let file = bed.file("pid");
            bed.script("sleep 100");
            bed.verb(&["create", "--pid-file", file.to_str().unwrap(), bed.id()]).well()?;
            same(&fs::read_to_string(file).unwrap_or_default(), &bed.pid()?.to_string())
        },
    },
    Case {
        name: "a paused container does nothing until it is resumed",
        clause: "runc's command line: pause, resume",
        check: |bed| {
            bed.script("while :; do echo x >> /marks; sleep 0.01; done").begin()?;
            let length = || fs::metadata(bed.rootfs().join("marks")).map_or(0, |data| data.len());
            bed.until(|| Ok(length() > 4))?;
            bed.does("pause")?;
            bed.status("paused")?;
            let before = length();
            std::thread::sleep(std::time::Duration::from_millis(100));
            same(&length(), &before)?;
            bed.does("resume")?;
            same(&bed.until(|| Ok(length() > before))?, &true)?;
            bed.verb(&["resume", bed.id()]).fails("")
        },
    },
    Case {
        name: "exec runs beside the program, with the container's view of the world",
        clause: "runc's command line: exec",
        check: |bed| {
            bed.script("sleep 100").begin()?;
            let run = |script: &str| bed.verb(&["exec", bed.id(), "sh", "-c", script]);
            same(&run("hostname; echo $PATH; pwd").well()?, &"case\n/bin:/sbin\n/".to_owned())?;
            same(&run("exit 5").code, &5)?;
            says(&run("ps").well()?, "1 root     sleep 100")?;
            let script = "echo $A; pwd; id -u";
            let args = [
                "exec",
                "--env",
                "A=b",
                "--cwd",
                "/tmp",
                "--user",
                "3:4",
                bed.id(),
                "sh",
                "-c",
                script,
            ];
            same(&bed.verb(&args).well()?, &"b\n/tmp\n3".to_owned())
        },
    },
    Case {
        name: "exec takes a whole process from a file",
        clause: "runc's command line: exec --process",
        check: |bed| {
            bed.script("sleep 100").begin()?;
            let file = bed.file("process.json");
            let process = serde_json::json!({
                "args": ["sh", "-c", "echo $A; pwd; id -u; id -G"], "cwd": "/tmp",
                "env": ["PATH=/bin", "A=b"],
                "user": { "uid": 5, "gid": 6, "additionalGids": [7] },
            });
            fs::write(&file, process.to_string()).unwrap();
            let ran = bed.verb(&["exec", "--process", file.to_str().unwrap(), bed.id()]);
            same(&ran.well()?, &"b\n/tmp\n5\n6 7".to_owned())
        },
    },
    Case {
        name: "exec detached returns at once and writes the pid",
        clause: "runc's command line: exec --detach --pid-file",
        check: |bed| {
            bed.script("sleep 100").begin()?;
            let file = bed.file("pid");
            let path = file.to_str().unwrap();
            bed.verb(&["exec", "--detach", "--pid-file", path, bed.id(), "sleep", "99"]).well()?;
            let pid = fs::read_to_string(&file).unwrap_or_default();
            // A runtime may return a moment before the program has taken its process over.
            let line = || fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            bed.until(|| Ok(line().contains("99")))?;
            says(&line(), "99")
        },
    },
    Case {
        name: "ps lists the processes",
        clause: "runc's command line: ps --format json",
        check: |bed| {
            bed.script("sleep 100").begin()?;
            let listed = bed.verb(&["ps", "--format", "json", bed.id()]).well()?;
            let pids: Vec<i64> = serde_json::from_str(&listed).map_err(|e| e.to_string())?;
            same(&pids, &vec![bed.pid()?])
        },
    },
    Case {
        name: "list shows the containers",
        clause: "runc's command line: list",
        check: |bed| {
            bed.does("create")?;
            same(&bed.verb(&["list", "--quiet"]).well()?, &bed.id().to_owned())?;
            let listed = bed.verb(&["list", "--format", "json"]).well()?;
            says(&listed, "\"status\":\"created\"")
        },
    },
    Case {
        name: "kill --all reaches every process",
        clause: "runc's command line: kill --all",
        check: |bed| {
            bed.config(|c| {
                let all = c["linux"]["namespaces"].as_array_mut().unwrap();
                all.retain(|one| one["type"] != "pid");
            });
            bed.script("sleep 98 & sleep 98 & wait").begin()?;
            let count = || -> Result<usize, String> {
                let listed = bed.verb(&["ps", "--format", "json", bed.id()]).well()?;
                Ok(serde_json::from_str::<Vec<i64>>(&listed).map_or(0, |pids| pids.len()))
            };
            bed.until(|| Ok(count()? == 3))?;
            bed.verb(&["kill", "--all", bed.id(), "KILL"]).well()?;
            bed.status("stopped")
        },
    },
];
