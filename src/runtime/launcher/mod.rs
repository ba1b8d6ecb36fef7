//! The launcher: a small process with one thread that copies itself into shims, and into those who run
//! further programs in containers.
//!
//! The daemon is large and has threads, so copying it is slow and unsafe; the launcher is neither. It
//! outlives the daemon that started it, and the containers outlive the launcher.

mod sealed;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::protocol::{self, Reply, Request};
use super::{exec, shim};
use crate::model::Instance;
use crate::sys::clone::{self, Forked, SingleThreaded};
use crate::sys::{heap, seqpacket, signals, title};
pub(super) use sealed::ensure as seal;

/// The launcher's socket in the run directory.
pub(super) const SOCKET: &str = "launcher.sock";
/// How long a peer has to say what it wants.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Runs the launcher of `instance`. Returns when it is told to retire, or cannot begin.
pub fn main(instance: &Instance) -> ExitCode {
    // Standard error is the launcher's log; the shims inherit it.
    let words = tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr);
    drop(words.with_max_level(tracing::Level::INFO).try_init());
    match run(instance) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the launcher cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(instance: &Instance) -> io::Result<()> {
    let single = SingleThreaded::prove()?;
    sealed::ensure()?;
    heap::keep_small();
    signals::reset();
    signals::ignore_broken_pipes();
    // A shim that ends is of no interest here: the daemon sees it by its connection and its lock.
    signals::forget_children();
    // No process of a container may look into this one (CVE-2016-9962).
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    rustix::process::chdir("/")?;
    let listener = listen(&instance.run)?;
    title::set("orca-launcher", &format!("orca launcher {}", instance.kernel_name()), &single)?;
    heap::trim();
    serve(&listener, &single)
}

fn listen(run: &Path) -> io::Result<OwnedFd> {
    seqpacket::listen(run, SOCKET)
}

/// One copy for each connection: nothing that a peer says can hold the launcher up.
fn serve(listener: &OwnedFd, single: &SingleThreaded) -> io::Result<()> {
    loop {
        let connection = match seqpacket::accept(listener) {
            Ok(connection) => connection,
            // Out of descriptors or memory: the peer sees its connection wait.
            Err(error) => {
                tracing::warn!("the launcher cannot take a connection: {error}");
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
        };
        match clone::fork(single) {
            Ok(Forked::Parent(_)) => {}
            Ok(Forked::Child) => answer(connection, single),
            Err(error) => {
                let why = format!("cannot make a process: {error}");
                let _gone = reply(&connection, &Reply::Failed(why));
            }
        }
    }
}

/// Does what the peer asks; it is the copy that runs this.
fn answer(connection: OwnedFd, single: &SingleThreaded) -> ! {
    signals::remember_children();
    if let Err(error) = answer_or_fail(connection, single) {
        tracing::debug!("a request to the launcher failed: {error}");
    }
    clone::exit_now(0)
}

fn answer_or_fail(connection: OwnedFd, single: &SingleThreaded) -> io::Result<()> {
    let mut fds = [PollFd::new(&connection, PollFlags::IN)];
    if poll(&mut fds, Some(&PATIENCE))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut buffer = [0; 1024];
    let (length, received) = seqpacket::receive(&connection, &mut buffer)?;
    match protocol::unpack(&buffer[..length]) {
        Ok(Request::Hello) => {
            let pid = rustix::process::getppid().map_or(0, rustix::process::Pid::as_raw_pid);
            reply(&connection, &Reply::Hello { build: protocol::build(), pid })
        }
        Ok(Request::Retire) => {
            let launcher = rustix::process::getppid().map_or(0, rustix::process::Pid::as_raw_pid);
            // 1 is the host's init: then the launcher is gone already.
            if launcher > 1 {
                signals::kill(launcher, libc::SIGTERM)?;
            }
            reply(&connection, &Reply::Done)
        }
        Ok(Request::Start { length }) => shim::main(connection, length, received, single),
        Ok(Request::Exec { length }) => exec::main(connection, length, received, single),
        _ => reply(&connection, &Reply::Unknown),
    }
}

fn reply(connection: &OwnedFd, reply: &Reply) -> io::Result<()> {
    seqpacket::send(connection, &protocol::packet(reply), &[])
}
