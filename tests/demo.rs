//! The programs of the built-in image, as processes.

#![expect(clippy::unwrap_used, reason = "all of this file is tests, and their hands")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn orca(arguments: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "it starts orca itself")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_orca"));
    command.arg("demo").args(arguments.split_whitespace()).stdin(Stdio::null());
    command
}

fn output(arguments: &str) -> Output {
    orca(arguments).output().unwrap()
}

/// The status, and what was printed to either side.
fn check(arguments: &str, expected: (i32, &str, &str)) {
    let output = output(arguments);
    let (out, err) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    let (out, err) = (out.unwrap(), err.unwrap());
    assert_eq!((output.status.code().unwrap(), &*out, &*err), expected, "{arguments}");
}

/// A web server that ends with the test.
struct Web {
    child: Child,
    address: String,
    log: BufReader<std::process::ChildStdout>,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn web(arguments: &str) -> Web {
    let mut child = orca(&format!("web --listen 127.0.0.1:0 {arguments}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
    Web { child, address, log }
}

fn stop(child: &mut Child, signal: Signal) -> i32 {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    let deadline = Instant::now() + Duration::from_secs(4);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().expect("it ends by itself, not by the signal");
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn exit_ends_with_what_it_is_told() {
    check("exit 0", (0, "", ""));
    check("exit 42", (42, "", ""));
    assert_eq!(output("exit 256").status.code(), Some(2));
}

#[test]
fn print_prints_lines() {
    check("print 3", (0, "line 1\nline 2\nline 3\n", ""));
    check("print 1 --stderr", (0, "", "line 1\n"));
    assert_eq!(output("print 100000").stdout.split(|b| *b == b'\n').count(), 100_001);
}

#[test]
fn fetch_tells_by_its_status_whether_a_page_is_good() {
    let mut web = web("--message Hi --unhealthy-after 1");
    let at = web.address.clone();
    let health = format!("http://{at}/health");
    check(&format!("fetch {health}"), (0, "healthy\n", ""));
    let ill = format!("error: {health} answers with status 503\n");
    check(&format!("fetch {health}"), (1, "unhealthy\n", &ill));
    check(&format!("fetch {health} --expect 503"), (0, "unhealthy\n", ""));
    let other = format!("error: {health} answers with status 503, not 200\n");
    check(&format!("fetch {health} --expect 200"), (1, "unhealthy\n", &other));
    assert_eq!(stop(&mut web.child, Signal::SIGTERM), 0);
    let gone = format!("error: cannot get {health}: {at}: Connection refused (os error 111)\n");
    check(&format!("fetch {health}"), (1, "", &gone));
    assert_eq!(output("fetch ftp://x").status.code(), Some(2));
    let mut log = String::new();
    web.log.read_to_string(&mut log).unwrap();
    assert!(log.starts_with("GET /health 200\nGET /health 503\n"), "{log}");
    assert!(log.ends_with("told to stop\n"), "{log}");
}

#[test]
fn programs_end_well_when_told_to_stop() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut web = web("");
        // A client that has a connection open and says nothing.
        let mut idle = TcpStream::connect(&web.address).unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        assert_eq!(stop(&mut web.child, signal), 0);
        // Its first line tells that it watches for signals.
        let mut print = orca("print 1000 --every 100").stdout(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 7];
        // Held to the end: a log that nobody takes is an error.
        let mut log = print.stdout.take().unwrap();
        log.read_exact(&mut first).unwrap();
        assert_eq!(stop(&mut print, signal), 0);
    }
    assert_eq!(output("sleep 0").status.code(), Some(0));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let first = web("");
    let second = output(&format!("web --listen {}", first.address));
    let why = format!(
        "error: cannot listen on {}: Address already in use (os error 98)\n",
        first.address
    );
    assert_eq!(String::from_utf8(second.stderr).unwrap(), why);
    assert_eq!(second.status.code(), Some(1));
}
