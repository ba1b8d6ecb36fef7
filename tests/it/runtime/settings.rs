//! Limits, devices, and what else a container can ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use orca::model::{Device, Ulimit};
use orca::runtime::ContainerPhase;

use super::bed::Bed;

#[tokio::test]
async fn limits_and_kernel_settings_are_in_force() {
    let bed = Bed::new().await;
    let mut request = bed.shell("ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /proc/sys/kernel/msgmax");
    request.container.ulimits =
        BTreeMap::from([("nofile".to_owned(), Ulimit { soft: 100, hard: 200 })]);
    request.container.sysctls = BTreeMap::from([
        ("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned()),
        ("kernel.msgmax".to_owned(), "4096".to_owned()),
    ]);
    let (_, said) = bed.run(request).await;
    assert!(said.contains("100\n200\n0\n4096\n"), "{said}");
    for (name, value) in [
        ("kernel.panic", "1"),
        ("vm.swappiness", "1"),
        ("net..x", "1"),
        ("net/../kernel/panic", "1"),
    ] {
        let mut request = bed.request(&["true"]);
        request.container.sysctls = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let error = bed.runtime.start(request).await.unwrap_err();
        assert!(error.message.contains("kernel setting"), "{error}");
    }
    bed.end().await;
}

#[tokio::test]
async fn lack_of_memory_is_told_apart() {
    let bed = Bed::new().await;
    let mut request = bed.request(&["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=2"]);
    request.container.resources.memory = Some(32 << 20);
    request.container.resources.memory_swap = Some(32 << 20);
    let (exit, said) = bed.run(request).await;
    assert_eq!((exit.code, exit.oom), (137, true), "{said}");
    bed.end().await;
}

#[tokio::test]
async fn devices_are_those_that_were_given() {
    let bed = Bed::new().await;
    let mut request = bed.shell(
        "stat -c '%t %T' /dev/extra; echo x > /dev/extra && echo wrote; cat /dev/null; \
         mknod /tmp/kmsg c 1 11; cat /tmp/kmsg || echo denied",
    );
    request.container.devices = vec![Device {
        source: "/dev/full".to_owned(),
        target: "/dev/extra".to_owned(),
        permissions: "rw".to_owned(),
    }];
    let (_, said) = bed.run(request).await;
    assert!(said.contains("1 7\n") && said.contains("denied"), "{said}");
    let mut request = bed.request(&["true"]);
    request.container.devices = vec![Device {
        source: "/etc/passwd".into(),
        target: "/dev/x".into(),
        permissions: "r".into(),
    }];
    let error = bed.runtime.start(request).await.unwrap_err();
    assert!(error.message.contains("is not a device"), "{error}");
    bed.end().await;
}

#[tokio::test]
async fn the_small_init_reaps_and_passes_signals_on() {
    let bed = Bed::new().await;
    let mut request = bed.shell(
        "trap 'echo got it; exit 8' TERM; sh -c 'sleep 0.1 &' ; cat /proc/1/comm; while true; do sleep 0.05; done",
    );
    request.container.init = true;
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    // The shell's own children are dead for a moment before it takes notice; an orphan that nobody takes
    // would be there at every look.
    let mut said = String::new();
    for _ in 0..20 {
        (_, said) = bed.exec(&id, "grep -l 'State:.Z' /proc/[0-9]*/status | wc -l; ps").await;
        if said.starts_with('0') {
            break;
        }
    }
    assert!(said.starts_with('0'), "{said}");
    bed.runtime.stop(&id, "TERM", Duration::from_secs(10)).await.unwrap();
    assert_eq!(bed.wait(&id).await.code, 8);
    bed.end().await;
}

#[tokio::test]
async fn the_small_init_goes_on_after_it_was_stopped() {
    let bed = Bed::new().await;
    let mut request = bed.shell("sleep 0.5; exit 6");
    request.container.init = true;
    let id = request.container.id.clone();
    let pid = bed.runtime.start(request).await.unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    // The freezer of cgroup v2 interrupts it in the same way.
    for signal in [nix::sys::signal::Signal::SIGSTOP, nix::sys::signal::Signal::SIGCONT] {
        nix::sys::signal::kill(pid, signal).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(bed.wait(&id).await.code, 6);
    bed.end().await;
}

#[tokio::test]
async fn a_paused_container_rests_and_can_still_be_stopped() {
    let bed = Bed::new().await;
    let request = bed.shell("while true; do echo x; sleep 0.02; done");
    let (id, log) = (request.container.id.clone(), request.log_dir.clone());
    bed.runtime.start(request).await.unwrap();
    bed.runtime.pause(&id).await.unwrap();
    let record = bed.runtime.container(&id).unwrap();
    assert!(matches!(record.phase, ContainerPhase::Running { paused: true, .. }), "{record:?}");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let before = super::bed::output(&log).await.len();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(super::bed::output(&log).await.len(), before);
    bed.runtime.unpause(&id).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(super::bed::output(&log).await.len() > before);
    bed.runtime.pause(&id).await.unwrap();
    bed.runtime.stop(&id, "KILL", Duration::from_secs(5)).await.unwrap();
    assert_eq!(bed.wait(&id).await.code, 137);
    bed.end().await;
}

#[tokio::test]
async fn what_a_container_uses_and_runs_is_known() {
    let bed = Bed::new().await;
    let request = bed.request(&["sleep", "100"]);
    let id = request.container.id.clone();
    let pid = bed.runtime.start(request).await.unwrap();
    let stats = bed.runtime.stats(&id).await.unwrap();
    assert!(stats.memory > 0 && stats.pids == 1, "{stats:?}");
    let processes = bed.runtime.processes(&id).await.unwrap();
    assert_eq!(processes.len(), 1);
    assert_eq!((processes[0].pid, processes[0].uid), (pid, 0));
    assert_eq!(processes[0].command, "sleep 100");
    bed.end().await;
}
