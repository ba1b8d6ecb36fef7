//! What is declared is kept true.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::support::{Orca, curl, eventually, free_port};

fn two_services(command: &str) -> String {
    format!(
        "name: keep
services:
  one:
    image: busybox
    command: {command}
    stop_grace_period: 0s
  two:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
"
    )
}

#[test]
fn up_again_changes_nothing() {
    let orca = Orca::new().with_busybox();
    orca.up(&two_services("sleep 1000"));
    let before = orca.ps();
    orca.up(&two_services("sleep 1000"));
    let ids = |containers: &[serde_json::Value]| -> Vec<String> {
        containers.iter().map(|c| c["ID"].to_string() + &c["Pid"].to_string()).collect()
    };
    assert_eq!(ids(&before), ids(&orca.ps()));
}

#[test]
fn only_the_service_that_changed_is_recreated() {
    let orca = Orca::new().with_busybox();
    orca.up(&two_services("sleep 1000"));
    let (one, two) = (orca.pid("keep-one-1"), orca.pid("keep-two-1"));
    orca.up(&two_services("sleep 2000"));
    assert_ne!(orca.pid("keep-one-1"), one);
    assert_eq!(orca.pid("keep-two-1"), two);
}

#[test]
fn a_service_that_is_removed_from_the_file_goes() {
    let orca = Orca::new().with_busybox();
    orca.up(&two_services("sleep 1000"));
    orca.up("name: keep\nservices:\n  two:\n    image: busybox\n    command: sleep 1000\n    stop_grace_period: 0s\n");
    let names: Vec<String> = orca.ps().iter().map(|c| c["Name"].to_string()).collect();
    assert_eq!(names, ["\"keep-two-1\""]);
}

#[test]
fn a_killed_process_runs_again_with_the_same_name_and_address() {
    let orca = Orca::new().with_busybox();
    orca.up(&two_services("sleep 1000"));
    let before = orca.container("keep-one-1");
    Orca::kill(orca.pid("keep-one-1"), Signal::SIGKILL);
    let after = eventually("it runs again", || {
        let now = orca.container("keep-one-1");
        (now["State"] == "running" && now["Pid"] != before["Pid"]).then_some(now)
    });
    assert_eq!(before["Addresses"], after["Addresses"]);
    assert_eq!(after["Restarts"], 1);
    assert_ne!(before["ID"], after["ID"], "a restart is a new container");
}

#[test]
fn scale_adds_and_removes_containers_from_the_end() {
    let orca = Orca::new().with_busybox();
    orca.up(&two_services("sleep 1000"));
    let first = orca.pid("keep-one-1");
    orca.ok(&["scale", "-f", "stack.yaml", "one=3"]);
    eventually("three of one", || {
        (orca.ps().iter().filter(|c| c["Service"] == "one" && c["State"] == "running").count() == 3)
            .then_some(())
    });
    orca.ok(&["scale", "-f", "stack.yaml", "one=1"]);
    eventually("one of one", || {
        (orca.ps().iter().filter(|c| c["Service"] == "one").count() == 1).then_some(())
    });
    assert_eq!(orca.pid("keep-one-1"), first, "the first slot stays");
}

#[test]
fn a_scaled_service_answers_behind_one_port() {
    let orca = Orca::new();
    let port = free_port();
    let text =
        std::fs::read_to_string(super::support::repository().join("examples/scaled/stack.yaml"))
            .unwrap();
    orca.up(&text.replace("8082:80", &format!("{port}:80")));
    let hosts: std::collections::BTreeSet<String> = (0..60)
        .map(|_| curl(&format!("http://127.0.0.1:{port}/hostname")).expect("it answers"))
        .collect();
    assert_eq!(hosts.len(), 3, "all three answer: {hosts:?}");
}

#[test]
fn dependents_wait_for_what_they_need() {
    let orca = Orca::new().with_busybox();
    orca.up("name: order
services:
  setup:
    image: busybox
    command: sh -c 'sleep 1; echo done > /shared/setup'
    restart: 'no'
    volumes: [shared:/shared]
  db:
    image: busybox
    command: sh -c 'sleep 1; touch /shared/ready; exec sleep 1000'
    stop_grace_period: 0s
    volumes: [shared:/shared]
    healthcheck:
      test: test -e /shared/ready
      start_period: 30s
      start_interval: 200ms
  app:
    image: busybox
    command: sh -c 'ls /shared > /shared/seen; exec sleep 1000'
    stop_grace_period: 0s
    volumes: [shared:/shared]
    depends_on:
      setup: {condition: service_completed_successfully}
      db: {condition: service_healthy}
volumes:
  shared: {}
");
    let seen = orca.ok(&["exec", "-T", "-f", "stack.yaml", "app", "cat", "/shared/seen"]);
    assert!(seen.contains("ready") && seen.contains("setup"), "{seen}");
}

#[test]
fn up_fails_when_a_program_does_not_stay_up() {
    let orca = Orca::new().with_busybox();
    orca.write(
        "stack.yaml",
        "name: bad\nservices:\n  crash:\n    image: busybox\n    command: sh -c 'echo the reason; exit 3'\n",
    );
    let ran = orca.run(&["up", "-f", "stack.yaml"]).expect(1);
    assert!((ran.stdout.clone() + &ran.stderr).contains("the reason"), "{ran:#?}");
}

#[test]
fn an_unhealthy_container_is_replaced() {
    let orca = Orca::new().with_busybox();
    orca.up("name: sick
services:
  app:
    image: busybox
    command: sh -c 'touch /well; exec sleep 1000'
    stop_grace_period: 0s
    healthcheck:
      test: test -e /well
      interval: 200ms
      retries: 2
");
    let before = orca.pid("sick-app-1");
    orca.ok(&["exec", "-T", "-f", "stack.yaml", "app", "rm", "/well"]);
    eventually("it is replaced and healthy", || {
        let now = orca.container("sick-app-1");
        (now["Health"] == "healthy" && now["Pid"] != before).then_some(())
    });
}

#[test]
fn stop_start_and_restart_do_what_they_say() {
    let orca = Orca::new().with_busybox();
    orca.up(&two_services("sleep 1000"));
    let two = orca.pid("keep-two-1");
    orca.ok(&["stop", "-f", "stack.yaml", "one"]);
    eventually("one is gone", || {
        (!orca.ps().iter().any(|c| c["Service"] == "one" && c["State"] == "running")).then_some(())
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(!orca.ps().iter().any(|c| c["Service"] == "one" && c["State"] == "running"));
    orca.ok(&["start", "-f", "stack.yaml", "one"]);
    eventually("one runs", || {
        orca.ps().iter().any(|c| c["Service"] == "one" && c["State"] == "running").then_some(())
    });
    let one = orca.pid("keep-one-1");
    orca.ok(&["restart", "-f", "stack.yaml", "one"]);
    eventually("one is another", || {
        orca.ps()
            .iter()
            .any(|c| c["Service"] == "one" && c["State"] == "running" && c["Pid"] != one)
            .then_some(())
    });
    assert_eq!(orca.pid("keep-two-1"), two, "the other was left alone");
}

#[test]
fn named_volumes_survive_down_and_go_with_minus_v() {
    let orca = Orca::new().with_busybox();
    let stack = "name: keepdata
services:
  app:
    image: busybox
    command: sh -c 'echo x >> /data/file; exec sleep 1000'
    stop_grace_period: 0s
    volumes: [data:/data]
volumes:
  data: {}
";
    orca.up(stack);
    orca.ok(&["down", "-f", "stack.yaml"]);
    orca.up(stack);
    let lines = || orca.ok(&["exec", "-T", "-f", "stack.yaml", "app", "cat", "/data/file"]);
    eventually("two lines", || (lines() == "x\nx\n").then_some(()));
    orca.ok(&["down", "-v", "-f", "stack.yaml"]);
    orca.up(stack);
    eventually("one line", || (lines() == "x\n").then_some(()));
}
