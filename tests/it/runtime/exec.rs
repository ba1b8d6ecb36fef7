//! Further programs in a container, terminals, and being attached.

use std::time::Duration;

use orca::runtime::{ExecError, ExecRequest, StartError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::bed::{Bed, output};

fn args(args: &[&str]) -> ExecRequest {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    ExecRequest { args, ..ExecRequest::default() }
}

#[tokio::test]
async fn a_program_in_a_container_sees_what_the_container_sees() {
    let bed = Bed::new().await;
    let mut request = bed.shell("touch /tmp/mine; sleep 100");
    request.container.env = vec!["COLOUR=blue".to_owned()];
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    let script =
        "echo $COLOUR; hostname; ls /tmp; ps | grep -c sleep; cat /proc/self/cgroup; exit 5";
    let (code, said) = bed.exec(&id, script).await;
    let lines = said.lines().collect::<Vec<_>>();
    assert_eq!(code, 5, "{said}");
    assert_eq!(lines[..3], ["blue", "box", "mine"], "{said}");
    // In the container's cgroup namespace its own cgroups are all there is.
    assert!(lines[4..].iter().all(|line| line.ends_with(":/")), "{said}");
    bed.end().await;
}

#[tokio::test]
async fn standard_input_reaches_the_program_and_ends() {
    let bed = Bed::new().await;
    let request = bed.request(&["sleep", "100"]);
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    let mut exec =
        bed.runtime.exec(&id, ExecRequest { stdin: true, ..args(&["wc", "-c"]) }).await.unwrap();
    let mut input = exec.stdin.take().unwrap();
    input.write_all(&[b'x'; 300_000]).await.unwrap();
    drop(input);
    let mut said = String::new();
    exec.stdout.take().unwrap().read_to_string(&mut said).await.unwrap();
    assert_eq!(said.trim(), "300000");
    assert_eq!(exec.wait().await.unwrap(), 0);
    bed.end().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_says_so() {
    let bed = Bed::new().await;
    let request = bed.request(&["sleep", "100"]);
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    for (what, code, words) in [
        (args(&["nothere"]), 127, "executable file not found in $PATH"),
        (args(&["/etc/passwd"]), 126, "permission denied"),
        (ExecRequest { cwd: Some("/none".to_owned()), ..args(&["true"]) }, 128, "/none"),
        (ExecRequest { user: Some("nobody".to_owned()), ..args(&["true"]) }, 128, "no user"),
    ] {
        let error = bed.runtime.exec(&id, what).await.unwrap_err();
        let ExecError::Start(StartError { code: told, message }) = error else { panic!("{error}") };
        assert_eq!(told, code, "{message}");
        assert!(message.contains(words), "{message}");
    }
    bed.end().await;
}

#[tokio::test]
async fn a_program_whose_caller_is_gone_is_killed() {
    let bed = Bed::new().await;
    let request = bed.request(&["sleep", "100"]);
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    let exec = bed.runtime.exec(&id, args(&["sh", "-c", "sleep 77 & sleep 78"])).await.unwrap();
    drop(exec);
    for _ in 0..100 {
        let left = bed.runtime.processes(&id).await.unwrap();
        if left.len() == 1 {
            assert_eq!(left[0].command, "sleep 100");
            return bed.end().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", bed.runtime.processes(&id).await);
}

#[tokio::test]
async fn a_terminal_has_a_size_and_echoes() {
    let bed = Bed::new().await;
    let request = bed.request(&["sleep", "100"]);
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    let what = ExecRequest { tty: true, size: Some((33, 99)), stdin: true, ..args(&["sh"]) };
    let mut exec = bed.runtime.exec(&id, what).await.unwrap();
    let (mut input, mut output) = (exec.stdin.take().unwrap(), exec.stdout.take().unwrap());
    input.write_all(b"tty; stty size\n").await.unwrap();
    read_until(&mut output, "33 99").await;
    exec.resize(44, 111).unwrap();
    input.write_all(b"stty size\n").await.unwrap();
    read_until(&mut output, "44 111").await;
    // The line discipline turns ^C into a signal: the terminal controls its session.
    input.write_all(b"sleep 50\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    input.write_all(b"\x03").await.unwrap();
    input.write_all(b"exit 6\n").await.unwrap();
    assert_eq!(exec.wait().await.unwrap(), 6);
    bed.end().await;
}

async fn read_until(output: &mut (impl tokio::io::AsyncRead + Unpin), words: &str) -> String {
    let mut said = String::new();
    let mut buffer = [0; 1024];
    let reading = async {
        while !said.contains(words) {
            let length = output.read(&mut buffer).await.unwrap();
            assert_ne!(length, 0, "{said}");
            said += &String::from_utf8_lossy(&buffer[..length]);
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(10), reading).await;
    assert!(done.is_ok(), "{said:?} without {words:?}");
    said
}

#[tokio::test]
async fn a_container_with_a_terminal_can_be_typed_at() {
    let bed = Bed::new().await;
    let mut request = bed.request(&["sh"]);
    (request.container.tty, request.container.stdin) = (true, true);
    let id = request.container.id.clone();
    let log = request.log_dir.clone();
    bed.runtime.start(request).await.unwrap();
    let mut attach = bed.runtime.attach(&id).await.unwrap();
    attach.resize(20, 60).unwrap();
    let mut input = attach.stdin.take().unwrap();
    let line = b"stty size; test -c /dev/console && echo con''sole\n";
    input.write_all(line).await.unwrap();
    let said = read_until(&mut attach.stdout, "console\r").await;
    assert!(said.contains("20 60"), "{said}");
    input.write_all(b"exit 4\n").await.unwrap();
    assert_eq!(bed.wait(&id).await.code, 4);
    assert!(output(&log).await.contains("20 60"));
    bed.end().await;
}

#[tokio::test]
async fn attached_streams_are_apart_and_input_can_be_closed() {
    let bed = Bed::new().await;
    let mut request = bed.shell("cat; echo problem >&2; exit 2");
    request.container.stdin = true;
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    let mut attach = bed.runtime.attach(&id).await.unwrap();
    let mut input = attach.stdin.take().unwrap();
    input.write_all(b"some text\n").await.unwrap();
    drop(input);
    bed.runtime.close_stdin(&id).await.unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    attach.stdout.read_to_string(&mut out).await.unwrap();
    attach.stderr.read_to_string(&mut err).await.unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("some text\n", "problem\n"));
    assert_eq!(bed.wait(&id).await.code, 2);
    bed.end().await;
}

#[tokio::test]
async fn a_slow_viewer_gets_everything() {
    let bed = Bed::new().await;
    let mut request = bed.shell("cat >/dev/null; seq 1 200000");
    request.container.stdin = true;
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    let mut attach = bed.runtime.attach(&id).await.unwrap();
    drop(attach.stdin.take());
    bed.runtime.close_stdin(&id).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut out = String::new();
    attach.stdout.read_to_string(&mut out).await.unwrap();
    assert_eq!(out.lines().count(), 200_000);
    assert!(out.ends_with("200000\n"));
    assert_eq!(bed.wait(&id).await.code, 0);
    bed.end().await;
}
