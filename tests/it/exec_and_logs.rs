//! Programs inside containers, and what they write.

use std::io::Write as _;
use std::process::Stdio;

use super::support::Orca;

const STACK: &str = "name: inside
services:
  app:
    image: busybox
    command: sh -c 'echo out; echo err >&2; exec sleep 1000'
    user: app
    working_dir: /home
    environment: {COLOUR: blue}
    stop_grace_period: 0s
";

#[test]
fn exec_passes_the_exit_status_the_output_and_the_input() {
    let orca = Orca::new().with_busybox();
    orca.up(STACK);
    let exec = |args: &[&str]| {
        let mut all = vec!["exec", "-T", "-f", "stack.yaml"];
        all.extend(args);
        orca.run(&all)
    };
    let ran = exec(&["app", "sh", "-c", "echo to stdout; echo to stderr >&2; exit 42"]).expect(42);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("to stdout\n", "to stderr\n"));
    assert_eq!(exec(&["app", "id", "-un"]).expect(0).stdout, "app\n");
    assert_eq!(exec(&["-u", "root", "app", "id", "-u"]).expect(0).stdout, "0\n");
    assert_eq!(exec(&["app", "pwd"]).expect(0).stdout, "/home\n");
    assert_eq!(exec(&["-w", "/tmp", "app", "pwd"]).expect(0).stdout, "/tmp\n");
    assert_eq!(exec(&["app", "sh", "-c", "echo $COLOUR"]).expect(0).stdout, "blue\n");
    assert_eq!(exec(&["-e", "COLOUR=red", "app", "sh", "-c", "echo $COLOUR"]).stdout, "red\n");
    exec(&["app", "no-such-program"]).expect(127);
    exec(&["nobody", "true"]).expect(1).says("nobody");

    let mut child = orca
        .command(&["exec", "-T", "-f", "stack.yaml", "app", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut stdin = child.stdin.take().unwrap();
    let copy = sent.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&copy).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.stdout == sent, "{} of {} bytes came back", output.stdout.len(), sent.len());
}

#[test]
fn exec_gives_a_terminal_to_a_terminal() {
    let orca = Orca::new().with_busybox();
    orca.up(STACK);
    // `script` gives the client a terminal of its own, as a person has.
    let command =
        format!("{} exec -f stack.yaml app sh -c 'tty; stty size'", env!("CARGO_BIN_EXE_orca"));
    let output = orca_under_script(&orca, &command);
    assert!(output.contains("/dev/pts/"), "{output}");
}

fn orca_under_script(orca: &Orca, command: &str) -> String {
    let output = std::process::Command::new("script")
        .args(["-qec", command, "/dev/null"])
        .env("ORCA_ROOT", orca.root())
        .env("ORCA_RUN", orca.run_dir())
        .current_dir(orca.files())
        .stdin(Stdio::null())
        .output()
        .expect("script is part of util-linux (bsdutils)");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn logs_keep_what_was_written_and_follow_what_comes() {
    let orca = Orca::new().with_busybox();
    orca.up("name: log
services:
  app:
    image: busybox
    command: sh -c 'for i in 1 2 3 4 5; do echo line $$i; done; echo oops >&2; exec sleep 1000'
    stop_grace_period: 0s
");
    let logs = |args: &[&str]| {
        let mut all = vec!["-f", "stack.yaml", "logs"];
        all.extend(args);
        orca.ok(&all)
    };
    super::support::eventually("the last line is there", || {
        logs(&["--no-log-prefix"]).contains("oops").then_some(())
    });
    let all = logs(&["--no-log-prefix"]);
    assert_eq!(all, "line 1\nline 2\nline 3\nline 4\nline 5\noops\n");
    assert_eq!(logs(&["--no-log-prefix", "--tail", "2"]), "line 5\noops\n");
    let prefixed = logs(&["--no-color", "app"]);
    assert!(
        prefixed.lines().all(|line| line.starts_with("app-1") && line.contains(" | ")),
        "{prefixed}"
    );
    let with_time = logs(&["--no-log-prefix", "-t", "--tail", "1"]);
    assert!(with_time.starts_with("20") && with_time.ends_with("Z oops\n"), "{with_time}");

    let follow = orca.spawn(&["-f", "stack.yaml", "logs", "-f", "--no-log-prefix", "--tail", "0"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    orca.ok(&["exec", "-T", "-f", "stack.yaml", "app", "sh", "-c", "echo later > /proc/1/fd/1"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    orca.ok(&["down", "-f", "stack.yaml"]);
    let output = follow.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "later\n");
}

#[test]
fn configs_and_secrets_are_files_and_leave_the_root_in_sight() {
    let orca = Orca::new().with_busybox();
    orca.write("from-file", "from a file");
    orca.up("name: files
services:
  app:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    configs:
      - source: script
        target: /usr/local/hello
        mode: 0755
      - inline
    secrets:
      - source: key
        uid: '1000'
        mode: 0400
configs:
  script: {content: \"#!/bin/sh\\necho hello\\n\"}
  inline: {content: in the file}
secrets:
  key: {file: ./from-file}
");
    let exec = |args: &[&str]| {
        let mut all = vec!["exec", "-T", "-f", "stack.yaml", "app"];
        all.extend(args);
        orca.ok(&all)
    };
    assert_eq!(exec(&["/usr/local/hello"]), "hello\n");
    assert_eq!(exec(&["cat", "/inline"]), "in the file");
    assert_eq!(exec(&["cat", "/run/secrets/key"]), "from a file");
    assert_eq!(exec(&["stat", "-c", "%u %a", "/run/secrets/key"]), "1000 400\n");
    assert!(exec(&["ls", "/"]).contains("bin"));
    let inspect = orca.ok(&["ps", "-f", "stack.yaml", "--format", "json"]);
    assert!(!inspect.contains("from a file"), "a secret is not told");
}

#[test]
fn exec_tells_how_a_program_ended_as_a_shell_does() {
    let orca = Orca::new().with_busybox();
    orca.up(STACK);
    let exec = |args: &[&str]| {
        let mut all = vec!["exec", "-T", "-f", "stack.yaml", "-u", "root", "app"];
        all.extend(args);
        orca.run(&all)
    };
    exec(&["sh", "-c", "touch /tmp/plain"]).expect(0);
    exec(&["/tmp/plain"]).expect(126).says("/tmp/plain");
    exec(&["/no/such/program"]).expect(127).says("/no/such/program");
    exec(&["sh", "-c", "kill -TERM $$"]).expect(143);
    exec(&["sh", "-c", "kill -9 $$"]).expect(137);
    exec(&["sh", "-c", "exit 255"]).expect(255);
    // Without an input it ends at once, and what comes late is not lost.
    assert_eq!(exec(&["cat"]).expect(0).stdout, "");
    let late = exec(&["sh", "-c", "(sleep 0.3; echo late) & exec >&-; wait"]);
    assert_eq!(late.code, Some(0));

    // Left alone, it outlives the command.
    orca.ok(&[
        "exec",
        "-d",
        "-f",
        "stack.yaml",
        "-u",
        "root",
        "app",
        "sh",
        "-c",
        "sleep 0.3; echo yes > /tmp/left",
    ]);
    super::support::eventually("it went on", || {
        (exec(&["cat", "/tmp/left"]).stdout == "yes\n").then_some(())
    });

    // All rights, and only when asked for.
    let rights = "grep CapEff /proc/self/status";
    let plain = exec(&["sh", "-c", rights]).expect(0).stdout;
    let all =
        orca.ok(&["exec", "-T", "-f", "stack.yaml", "--privileged", "app", "sh", "-c", rights]);
    assert_ne!(plain, all);
}

#[test]
fn a_signal_to_exec_goes_to_its_program_and_a_killed_client_hangs_it_up() {
    let orca = Orca::new().with_busybox();
    orca.up(STACK);
    let script = "trap 'echo got it; exit 9' INT; echo ready; while :; do sleep 0.05; done";
    let begin = |script: &str| {
        let mut child = orca
            .command(&["exec", "-T", "-f", "stack.yaml", "app", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        assert_eq!(&said, b"ready\n");
        child
    };
    let child = begin(script);
    Orca::kill(i32::try_from(child.id()).unwrap(), nix::sys::signal::Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(9));
    assert_eq!(output.stdout, b"got it\n");

    let mut child = begin("echo ready; exec sleep 987");
    child.kill().unwrap();
    child.wait().unwrap();
    super::support::eventually("the program is gone with its client", || {
        let ps = orca.ok(&["exec", "-T", "-f", "stack.yaml", "app", "sh", "-c", "ps"]);
        (!ps.contains("sleep 987")).then_some(())
    });
}
