//! Terminals: handed over through a socket, or the caller's own.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use serde_json::json;

use crate::bed::{Bed, says};
use crate::runtime::Runtime;

/// The descriptor that comes over the next connection.
fn received(listener: &UnixListener) -> OwnedFd {
    let (connection, _) = listener.accept().unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 256];
    let mut into = [std::io::IoSliceMut::new(&mut bytes)];
    rustix::net::recvmsg(&connection, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let mut fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    fds.next().unwrap()
}

/// What a terminal says until nobody has it open any more.
fn said(terminal: OwnedFd) -> String {
    let mut file = std::fs::File::from(terminal);
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = file.read(&mut buffer) {
        text.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn the_terminal_of_a_container_is_handed_over_with_its_size() {
    let bed = Bed::new(Runtime::orca());
    bed.config(|c| {
        c["process"]["terminal"] = json!(true);
        c["process"]["consoleSize"] = json!({ "height": 33, "width": 77 });
    });
    let socket = bed.file("console.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    bed.script("tty; stty size; test -c /dev/console && echo console; read x; echo got $x");
    bed.verb(&["create", "--console-socket", socket.to_str().unwrap(), bed.id()]).well().unwrap();
    let terminal = received(&listener);
    bed.does("start").unwrap();
    let mut typed = std::fs::File::from(terminal.try_clone().unwrap());
    typed.write_all(b"word\n").unwrap();
    let text = said(terminal);
    for words in ["/dev/pts/0", "33 77", "console", "got word"] {
        says(&text, words).unwrap();
    }
    bed.status("stopped").unwrap();
    bed.end().unwrap();
}

#[test]
fn the_terminal_of_an_exec_is_handed_over() {
    let bed = Bed::new(Runtime::orca());
    bed.script("sleep 100").begin().unwrap();
    let socket = bed.file("console.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let path = socket.to_str().unwrap();
    let args = ["exec", "--tty", "--detach", "--console-socket", path, bed.id(), "tty"];
    bed.verb(&args).well().unwrap();
    says(&said(received(&listener)), "/dev/pts/0").unwrap();
    bed.end().unwrap();
}

#[test]
fn a_program_in_the_foreground_has_the_callers_terminal() {
    let bed = Bed::new(Runtime::orca());
    bed.config(|c| c["process"]["terminal"] = json!(true));
    bed.script("tty; stty size; read x; echo got $x; exit 6");
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
    let master = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).unwrap();
    let size = rustix::termios::Winsize { ws_row: 21, ws_col: 43, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size).unwrap();
    let mut child = bed
        .command(&["run", bed.id()])
        .stdin(Stdio::from(slave.try_clone().unwrap()))
        .stdout(Stdio::from(slave.try_clone().unwrap()))
        .stderr(Stdio::from(slave))
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    rustix::io::write(master.as_fd(), b"word\r").unwrap();
    let code = child.wait().unwrap().code();
    let text = said(master);
    for words in ["/dev/pts/0", "21 43", "got word"] {
        says(&text, words).unwrap();
    }
    assert_eq!(code, Some(6));
    bed.end().unwrap();
}

#[test]
fn a_terminal_that_nobody_would_hold_is_refused() {
    let bed = Bed::new(Runtime::orca());
    bed.config(|c| c["process"]["terminal"] = json!(true));
    bed.verb(&["create", bed.id()]).fails("--console-socket").unwrap();
    bed.config(|c| c["process"]["terminal"] = json!(false));
    bed.verb(&["create", "--console-socket", "/x", bed.id()]).fails("--console-socket").unwrap();
    bed.end().unwrap();
}
