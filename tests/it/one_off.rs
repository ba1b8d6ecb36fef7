//! Programs in containers of their own: `orca run`, `orca attach`, `orca rm`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::support::{Orca, eventually};

const STACK: &str = "name: once
services:
  db:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    healthcheck: {test: ['CMD', 'test', '-e', '/tmp'], interval: 200ms}
  app:
    image: busybox
    command: sh -c 'echo from the service'
    entrypoint: []
    environment: {COLOUR: blue}
    depends_on: {db: {condition: service_healthy}}
    ports: ['39871:80']
    profiles: [tools]
    stop_grace_period: 0s
  sick:
    image: busybox
    command: sh -c 'exit 3'
    restart: 'no'
  needs-sick:
    image: busybox
    command: echo never
    depends_on: {sick: {condition: service_completed_successfully}}
";

fn run(orca: &Orca, args: &[&str]) -> super::support::Ran {
    let mut all = vec!["--file", "stack.yaml", "run"];
    all.extend(args);
    orca.run(&all)
}

#[test]
fn a_program_runs_beside_the_services_and_its_status_is_passed_on() {
    let orca = Orca::new().with_busybox();
    orca.write("stack.yaml", STACK);
    // What it depends on is started first; the service itself is not.
    let first = run(&orca, &["--rm", "app"]).expect(0);
    assert_eq!(first.stdout, "from the service\n");
    let names: Vec<String> =
        orca.ps().iter().map(|c| c["Name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["once-db-1"]);

    let ran = run(&orca, &["--rm", "app", "sh", "-c", "echo out; echo err >&2; exit 42"]);
    let ran = ran.expect(42);
    assert_eq!(ran.stdout, "out\n");
    assert!(ran.stderr.ends_with("err\n"), "{}", ran.stderr);
    run(&orca, &["--rm", "app", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"]).expect(137);
    run(&orca, &["--rm", "app", "no-such-program"]).expect(127).says("no-such-program");
    assert_eq!(run(&orca, &["--rm", "app", "sh", "-c", "echo $COLOUR"]).stdout, "blue\n");
    run(&orca, &["needs-sick"]).expect(1).says("needs sick, which failed: exited with status 3");
    run(&orca, &["nobody"]).expect(2).says("no such service: nobody");
    run(&orca, &["app", "-v", "x:relative"]).expect(127);
    run(&orca, &["-v", "x:relative", "app"]).expect(2).says("relative");
}

#[test]
fn the_options_change_what_the_service_says() {
    let orca = Orca::new().with_busybox();
    orca.write("stack.yaml", STACK);
    orca.write("data/file", "from the host");
    let script = "echo $COLOUR $MORE; id -u; pwd; cat /mnt/file; hostname; cat /etc/resolv.conf";
    let ran = run(
        &orca,
        &[
            "--rm",
            "--no-deps",
            "-e",
            "COLOUR=red",
            "-e",
            "MORE=$HOME",
            "-u",
            "1000",
            "-w",
            "/tmp",
            "-v",
            "./data:/mnt:ro",
            "--name",
            "my-own",
            "--entrypoint",
            "sh -c",
            "app",
            script,
        ],
    )
    .expect(0);
    assert!(ran.stdout.starts_with("red $HOME\n1000\n/tmp\nfrom the host"), "{}", ran.stdout);

    let caps = "grep CapEff /proc/self/status";
    let capable = |args: &[&str]| {
        let mut all = vec!["--rm", "--no-deps"];
        all.extend(args);
        all.extend(["app", "sh", "-c", caps]);
        run(&orca, &all).expect(0).stdout
    };
    let usual = capable(&[]);
    assert_ne!(capable(&["--cap-add", "NET_ADMIN"]), usual);
    assert_ne!(capable(&["--cap-drop", "CHOWN"]), usual);

    // Input to its end, binary, both ways.
    let mut child = orca
        .command(&["--file", "stack.yaml", "run", "--rm", "--no-deps", "-T", "app", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let sent: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let (mut stdin, copy) = (child.stdin.take().unwrap(), sent.clone());
    let writer = std::thread::spawn(move || stdin.write_all(&copy).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.stdout == sent, "{} of {} bytes came back", output.stdout.len(), sent.len());
}

#[test]
fn one_that_is_left_alone_stays_until_it_is_removed() {
    let orca = Orca::new().with_busybox();
    orca.write("stack.yaml", STACK);
    let name = run(&orca, &["-d", "-P", "-l", "why=test", "app", "sleep", "1000"]).expect(0).stdout;
    let name = name.trim();
    assert!(name.starts_with("once-app-run-"), "{name}");
    let container = orca.container(name);
    assert_eq!(container["Service"], "app");
    assert_eq!(container["State"], "running");
    let labels = container["Labels"].as_str().unwrap();
    assert!(labels.contains("why=test") && labels.contains("oneoff=True"), "{labels}");
    assert_eq!(container["Publishers"][0]["PublishedPort"], 39871);
    let plain = orca.ok(&["ps", "-f", "stack.yaml"]);
    assert!(!plain.contains("app-run"), "it is shown with --all only:\n{plain}");
    let pid = orca.pid(name);

    // An `up` of the stack leaves it alone, and so does a new daemon.
    orca.ok(&["up", "-f", "stack.yaml", "db"]);
    Orca::kill(orca.daemon(), Signal::SIGKILL);
    orca.ok(&["up", "-f", "stack.yaml", "db"]);
    assert_eq!(orca.pid(name), pid);
    assert_eq!(orca.ok(&["exec", "-T", "-f", "stack.yaml", name, "echo", "in"]), "in\n");

    // It is over, and stays for `ps` and `logs`, and is not begun again.
    orca.ok(&["kill", "-f", "stack.yaml", name]);
    eventually("it has ended", || (orca.container(name)["State"] == "exited").then_some(()));
    orca.ok(&["up", "-f", "stack.yaml", "db"]);
    assert_eq!(orca.container(name)["ExitCode"], 137);
    assert!(orca.ok(&["logs", "--file", "stack.yaml", name]).is_empty());
    let removed = orca.ok(&["rm", "--file", "stack.yaml", "--force", name]);
    assert_eq!(removed, format!("{name}  removed\n"));
    eventually("it is gone", || (orca.ps().len() == 1).then_some(()));
}

#[test]
fn a_caller_that_goes_away_before_the_start_takes_it_back() {
    let orca = Orca::new().with_busybox();
    orca.write("stack.yaml", &STACK.replace("'test', '-e', '/tmp'", "'test', '-e', '/tmp/never'"));
    let mut child = orca.spawn(&["--file", "stack.yaml", "run", "--rm", "app"]);
    eventually("db runs", || {
        let ps = orca.run(&["ps", "-a", "-f", "stack.yaml"]);
        ps.stdout.contains("once-db-1").then_some(())
    });
    eventually("it waits", || orca.ps().iter().any(|c| c["Service"] == "app").then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("it is taken back", || (orca.ps().len() == 1).then_some(()));
}

#[test]
fn signals_go_to_the_program() {
    let orca = Orca::new().with_busybox();
    orca.write("stack.yaml", STACK);
    let script = "trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.1; done";
    let mut child = orca
        .command(&["--file", "stack.yaml", "run", "--rm", "--no-deps", "app", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut said = [0; 6];
    std::io::Read::read_exact(&mut stdout, &mut said).unwrap();
    assert_eq!(&said, b"ready\n");
    Orca::kill(i32::try_from(child.id()).unwrap(), Signal::SIGTERM);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).unwrap();
    assert_eq!(rest, "got it\n");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn a_terminal_is_resized_and_detached_from() {
    let orca = Orca::new().with_busybox();
    orca.write("stack.yaml", &STACK.replace("echo from the service", "sleep 1000"));
    // `script` gives the client a terminal of its own; the keys are typed into it.
    let command = format!(
        "stty rows 33 cols 77; {} --file stack.yaml run --no-deps --name term app sh",
        env!("CARGO_BIN_EXE_orca")
    );
    let mut script = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("ORCA_ROOT", orca.root())
        .env("ORCA_RUN", orca.run_dir())
        .current_dir(orca.files())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = script.stdin.take().unwrap();
    eventually("it runs", || {
        let ps = orca.run(&["ps", "-a", "-f", "stack.yaml"]);
        ps.stdout.contains("term").then_some(())
    });
    std::thread::sleep(std::time::Duration::from_millis(500));
    keys.write_all(b"stty size; tty\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    keys.write_all(b"\x10\x11").unwrap();
    keys.flush().unwrap();
    let output = script.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("33 77"), "{said}");
    assert!(said.contains("/dev/pts/") || said.contains("/dev/console"), "{said}");
    assert_eq!(orca.container("term")["State"], "running", "it was left alone");

    let attach =
        format!("{} -f stack.yaml attach --detach-keys a,b term", env!("CARGO_BIN_EXE_orca"));
    let mut script = Command::new("script")
        .args(["-qec", &attach, "/dev/null"])
        .env("ORCA_ROOT", orca.root())
        .env("ORCA_RUN", orca.run_dir())
        .current_dir(orca.files())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = script.stdin.take().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    keys.write_all(b"echo again$((1+1))\nexit 9\n").unwrap();
    let output = script.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("again2"), "{said}");
    assert_eq!(output.status.code(), Some(9), "{said}");
}

#[test]
fn attach_shows_what_is_said_from_now_on() {
    let orca = Orca::new().with_busybox();
    orca.up("name: joined
services:
  app:
    image: busybox
    command: sh -c 'while read line; do echo heard $$line; done; exit 4'
    stdin_open: true
    restart: 'no'
    stop_grace_period: 0s
");
    let mut child = orca
        .command(&["-f", "stack.yaml", "attach", "app"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "heard one\nheard two\n");
    assert_eq!(output.status.code(), Some(4), "the end of the input ended it");
}
