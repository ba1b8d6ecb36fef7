//! A daemon that is killed at any moment: containers do not notice.

use nix::sys::signal::Signal;

use super::support::{Orca, curl, eventually, free_port};

#[test]
fn containers_ports_names_and_logs_go_on_without_a_daemon() {
    let orca = Orca::new().with_busybox();
    let port = free_port();
    orca.up(&format!(
        "name: alone
services:
  web:
    image: orca/builtin
    command: demo web --listen 0.0.0.0:80 --message here --upstream http://other:8080/
    ports: ['{port}:80']
  other:
    image: orca/builtin
    command: demo web --listen 0.0.0.0:8080 --message there
  talker:
    image: busybox
    command: sh -c 'i=0; while true; do i=$$((i+1)); echo line $$i; sleep 0.05; done'
    stop_grace_period: 0s
  short:
    image: busybox
    command: sh -c 'sleep 2; exit 7'
    restart: 'no'
"
    ));
    let before = orca.pid("alone-web-1");
    Orca::kill(orca.daemon(), Signal::SIGKILL);
    let answer = curl(&format!("http://127.0.0.1:{port}/")).expect("the port answers");
    assert!(answer.contains("there"), "names are answered: {answer}");
    std::thread::sleep(std::time::Duration::from_millis(2500));

    // The next command starts a new daemon, which finds everything again.
    assert_eq!(orca.pid("alone-web-1"), before);
    let short = eventually("the end of short is known", || {
        let now = orca.container("alone-short-1");
        (now["State"] == "exited").then_some(now)
    });
    assert_eq!(short["ExitCode"], 7, "it ended while nobody was there to see");
    let log = orca.ok(&["-p", "alone", "logs", "--no-log-prefix", "talker"]);
    let numbers: Vec<u32> =
        log.lines().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect();
    assert!(numbers.len() > 40, "lines of the time without a daemon are there: {}", numbers.len());
    assert!(numbers.iter().zip(1..).all(|(found, expected)| *found == expected), "none is missing");
}

#[test]
fn what_died_while_the_daemon_was_away_is_started_again() {
    let orca = Orca::new().with_busybox();
    orca.up("name: back\nservices:\n  app:\n    image: busybox\n    command: sleep 1000\n    stop_grace_period: 0s\n");
    let before = orca.pid("back-app-1");
    Orca::kill(orca.daemon(), Signal::SIGKILL);
    Orca::kill(before, Signal::SIGKILL);
    orca.ok(&["up", "-f", "stack.yaml"]);
    assert_ne!(orca.pid("back-app-1"), before);
}

#[test]
fn a_daemon_killed_again_and_again_loses_nothing() {
    let orca = Orca::new().with_busybox();
    let stack = |n: u32| {
        let services: String = (0..6)
            .map(|i| {
                format!("  s{i}:\n    image: busybox\n    command: sleep {}\n    stop_grace_period: 0s\n", 1000 + n)
            })
            .collect();
        format!("name: chaos\nservices:\n{services}")
    };
    orca.up(&stack(0));
    for round in 1..8 {
        orca.write("stack.yaml", &stack(round));
        let mut up = orca.spawn(&["up", "-f", "stack.yaml"]);
        std::thread::sleep(std::time::Duration::from_millis(u64::from(round) * 17));
        if let Some((pid, _)) =
            orca.processes().into_iter().find(|(_, line)| line.contains(" daemon "))
        {
            Orca::kill(pid, Signal::SIGKILL);
        }
        drop(up.wait());
    }
    orca.up(&stack(99));
    let containers = orca.ps();
    assert_eq!(containers.len(), 6, "{containers:#?}");
    for container in &containers {
        assert_eq!(container["State"], "running", "{container:#?}");
        let pid = container["Pid"].as_i64().unwrap();
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        assert_eq!(String::from_utf8_lossy(&line), "sleep\x001099\0");
    }
}

#[test]
fn checks_and_hooks_that_a_killed_daemon_was_busy_with_are_gone_on_with() {
    let orca = Orca::new().with_busybox();
    orca.write(
        "stack.yaml",
        "name: hooked
services:
  app:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    healthcheck: {test: ['CMD', 'test', '-e', '/tmp/hooked'], interval: 200ms, retries: 1000}
    post_start:
      - command: [sh, -c, 'echo begun >> /tmp/log; sleep 2; touch /tmp/hooked']
",
    );
    orca.ok(&["up", "-d", "-f", "stack.yaml"]);
    let exec = |script: &str| {
        orca.run(&["exec", "-T", "-f", "stack.yaml", "app", "sh", "-c", script]).stdout
    };
    eventually("the hook runs", || exec("cat /tmp/log").contains("begun").then_some(()));
    Orca::kill(orca.daemon(), Signal::SIGKILL);
    // A command of this kind does not need a daemon of its own to say that there is none: one that was
    // killed comes back.
    assert!(orca.ok(&["ls"]).contains("hooked"));
    assert_eq!(orca.container("hooked-app-1")["Health"], "starting", "its hook has not ended");
    eventually("it is healthy, as its hook has ended", || {
        (orca.container("hooked-app-1")["Health"] == "healthy").then_some(())
    });
    assert_eq!(exec("cat /tmp/log"), "begun\nbegun\n");
    // Once more, and now there is nothing to be run again.
    Orca::kill(orca.daemon(), Signal::SIGKILL);
    assert_eq!(orca.container("hooked-app-1")["Health"], "healthy");
    assert_eq!(exec("cat /tmp/log"), "begun\nbegun\n");
}

#[test]
fn a_program_that_was_left_alone_inside_outlives_the_daemon() {
    let orca = Orca::new().with_busybox();
    orca.up("name: alone\nservices:\n  app: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n");
    let inside = |flag: &str, script: &str| {
        let args = ["exec", flag, "-f", "stack.yaml", "app", "sh", "-c", script];
        orca.ok(&args)
    };
    inside("-d", "echo begun > /tmp/left; echo said; sleep 2; echo said; echo ended >> /tmp/left");
    eventually("it runs", || (inside("-T", "cat /tmp/left") == "begun\n").then_some(()));
    Orca::kill(orca.daemon(), Signal::SIGKILL);
    eventually("it has come to its end", || {
        (inside("-T", "cat /tmp/left") == "begun\nended\n").then_some(())
    });
}

#[test]
fn events_of_the_past_can_be_asked_for() {
    let orca = Orca::new().with_busybox();
    orca.up("name: past\nservices:\n  app: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n");
    let actions = |args: &[&str]| -> Vec<String> {
        let mut all = vec!["events", "-f", "stack.yaml", "--json", "--until", "0s"];
        all.extend(args);
        let text = orca.ok(&all);
        let action = |line: &str| -> serde_json::Value { serde_json::from_str(line).expect(line) };
        text.lines().map(|line| action(line)["action"].as_str().unwrap().to_owned()).collect()
    };
    let since = actions(&["--since", "10m"]);
    assert!(since.iter().any(|action| action == "start"), "{since:?}");
    assert_eq!(actions(&[]), [] as [&str; 0]);
    assert_eq!(actions(&["--since", "10m", "nobody"]), [] as [&str; 0]);
    assert_eq!(actions(&["--since", "2099-01-01T00:00:00Z"]), [] as [&str; 0]);
}
