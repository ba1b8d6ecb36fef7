//! Limits, and what happens at them.

use std::time::{Duration, Instant};

use super::super::support::{Orca, eventually};
use super::{check, end, inside, limit};

#[test]
fn limits_are_in_force() {
    let orca = Orca::new().with_busybox();
    orca.up(r#"name: limits
services:
  a:
    image: busybox
    command: sleep 1000
    ulimits: {nofile: {soft: 100, hard: 200}, core: 0}
    sysctls: {net.core.somaxconn: 321, kernel.msgmax: "4096"}
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 20
    oom_score_adj: 321
  b:
    image: busybox
    command: sleep 1000
    deploy: {replicas: 2, resources: {limits: {memory: 32M, cpus: "0.25", pids: 30}}}
"#);
    check(
        &orca,
        "a",
        &[
            ("ulimit -Sn; ulimit -Hn; ulimit -c", "100\n200\n0"),
            ("cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax", "321\n4096"),
            ("cat /proc/1/oom_score_adj", "321"),
        ],
    );
    // As far as a container may go: more processes than the limit cannot be made.
    let many = "for i in $(seq 40); do sleep 5 & done 2>&1 | grep -c 'fork' || true";
    let made = orca.run(&["exec", "-T", "-f", "stack.yaml", "a", "sh", "-c", many]);
    assert!(
        made.stdout.contains("fork") || made.stderr.contains("fork") || made.stdout.trim() != "0",
        "{made:?}"
    );
    assert_eq!(limit(&orca, "limits-a-1", &["memory.limit_in_bytes", "memory.max"]), "67108864");
    assert_eq!(limit(&orca, "limits-b-2", &["memory.limit_in_bytes", "memory.max"]), "33554432");
    assert_eq!(limit(&orca, "limits-b-1", &["pids.max"]), "30");
    let quota = limit(&orca, "limits-a-1", &["cpu.cfs_quota_us", "cpu.max"]);
    assert!(quota.starts_with("50000"), "{quota}");
    assert_eq!(orca.ps().len(), 3);
}

#[test]
fn ends_restarts_and_logs_are_as_the_file_says() {
    let orca = Orca::new().with_busybox();
    orca.write(
        "stack.yaml",
        r#"name: ends
services:
  hungry:
    image: busybox
    command: dd if=/dev/zero of=/dev/shm/x bs=1M count=60
    mem_limit: 16m
    shm_size: 100m
    restart: "no"
  tries:
    image: busybox
    command: sh -c 'exit 3'
    restart: on-failure:2
    x-orca: {restart: {delay: 10ms}}
  policy:
    image: busybox
    command: sh -c 'exit 4'
    deploy: {restart_policy: {condition: on-failure, delay: 10ms, max_attempts: 1, window: 20s}}
  deaf:
    image: busybox
    command: sh -c 'trap "" TERM; echo deaf; while :; do sleep 1; done'
    stop_grace_period: 1s
  told:
    image: busybox
    command: sh -c 'trap "echo told; exit 0" USR1; echo ready; while :; do sleep 0.1; done'
    stop_signal: SIGUSR1
    restart: "no"
  talks:
    image: busybox
    command: sh -c 'i=0; while [ $$i -lt 20000 ]; do echo "line $$i of some length to fill files with"; i=$$((i+1)); done; sleep 1000'
    logging: {driver: json-file, options: {max-size: 64k, max-file: "2"}}
"#,
    );
    orca.ok(&["up", "-d", "-f", "stack.yaml"]);
    let hungry = end(&orca, "ends-hungry-1");
    assert_eq!(
        (&hungry["ExitCode"], &hungry["OomKilled"]),
        (&137.into(), &true.into()),
        "{hungry:#}"
    );
    for (name, code, restarts) in [("ends-tries-1", 3, 2), ("ends-policy-1", 4, 1)] {
        let ended =
            eventually(name, || Some(orca.container(name)).filter(|c| c["Phase"] == "failed"));
        assert_eq!(
            (&ended["ExitCode"], &ended["Restarts"]),
            (&code.into(), &restarts.into()),
            "{ended:#}"
        );
    }
    let logs = || orca.ok(&["--file", "stack.yaml", "logs", "--no-color"]);
    eventually("all that talks has been said", || logs().contains("line 19999").then_some(()));
    let talked = orca.ok(&["--file", "stack.yaml", "logs", "--no-color", "talks"]);
    assert!(!talked.contains("line 0 of"), "what is over the limit is dropped");
    assert!(talked.len() < 300_000, "{} bytes are kept", talked.len());

    eventually("told is ready", || logs().contains("ready").then_some(()));
    orca.ok(&["stop", "-f", "stack.yaml", "told"]);
    eventually("the signal of the file is the one that is sent", || {
        logs().contains("| told").then_some(())
    });
    let began = Instant::now();
    orca.ok(&["stop", "-f", "stack.yaml", "deaf"]);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(9), "{took:?}");
    drop(inside(&orca, "talks", "true"));
}
