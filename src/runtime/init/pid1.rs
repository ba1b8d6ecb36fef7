//! The small init of `init: true`: process 1 that reaps whatever ends, and hands signals on.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;

use rustix::process::{Pid, WaitOptions};

use super::super::plan::ProcessPlan;
use super::failure::{CANNOT_MAKE, Doing as _, Failure};
use super::program;
use crate::sys::clone::{self, Forked, SingleThreaded};
use crate::sys::signals;

/// Runs the program as a child of the calling process, which stays as its init and ends as it ends.
/// Returns only in the child, and only if the program cannot be run.
pub(super) fn run(
    process: &ProcessPlan,
    env: Vec<CString>,
    terminal: bool,
    single: &SingleThreaded,
) -> Failure {
    signals::block_all();
    signals::remember_children();
    match clone::fork(single).doing(|| "start the program") {
        Err(failure) => failure,
        Ok(Forked::Child) => match foreground(terminal).and_then(|()| become_it(process, env)) {
            Ok(never) => match never {},
            Err(failure) => failure,
        },
        Ok(Forked::Parent(child)) => {
            // Also the connection to the shim: it stays open in the child until that is the program.
            let _ignored = clone::close_others(&mut []);
            if program::confine(process).is_err() {
                clone::exit_now(CANNOT_MAKE);
            }
            // `exit_now`: nothing here may run a destructor of what the shim owns.
            clone::exit_now(watch(child).unwrap_or(255))
        }
    }
}

fn become_it(process: &ProcessPlan, env: Vec<CString>) -> Result<Infallible, Failure> {
    program::find(process, env)?.run(process, 3)
}

/// A group of its own, so that a signal from the terminal reaches the program once, not twice.
fn foreground(terminal: bool) -> Result<(), Failure> {
    let doing = || "lead the terminal's processes";
    rustix::process::setpgid(None, None).doing(doing)?;
    if terminal {
        // Signals are held back, so being in the background does not stop us.
        rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpgrp())
            .doing(doing)?;
    }
    Ok(())
}

/// The exit status of `child`, as a shell shows it.
fn watch(child: i32) -> io::Result<i32> {
    loop {
        match signals::wait()? {
            libc::SIGCHLD => {
                if let Some(status) = reap(child)? {
                    return Ok(status);
                }
            }
            // Meant for us as a reader or writer of a terminal.
            libc::SIGTTIN | libc::SIGTTOU => {}
            // The program may be gone already: then there is SIGCHLD next.
            signal => drop(signals::kill(child, signal)),
        }
    }
}

/// Waits for everything that has ended; the status of `child`, if it is among that.
fn reap(child: i32) -> io::Result<Option<i32>> {
    let mut ended = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if Some(pid) == Pid::from_raw(child) => {
                ended = status
                    .exit_status()
                    .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(ended),
            Err(error) => return Err(error.into()),
        }
    }
}
