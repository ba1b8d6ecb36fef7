//! How the first process and other children get on.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::process::{Pid, WaitOptions};

use super::super::output::{Output, Stream};
use super::Shim;
use crate::runtime::init::{Failure, Report};
use crate::runtime::protocol::Reply;
use crate::runtime::record::{self, Started};
use crate::sys::{clock, signals};

impl Shim {
    /// Waits for every child that has ended: the first process, helpers of `exec`, and what lost its
    /// parent.
    pub(super) fn reap(&mut self) {
        while let Ok(Some(_)) = self.children.read_signal() {}
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if Some(pid) == Pid::from_raw(self.begun.pid) {
                self.ended = Some(status);
            }
        }
        if self.ended.is_some() {
            // What it said last comes first.
            self.hear_reports();
        }
    }

    /// How the first process gets on.
    pub(super) fn hear_reports(&mut self) {
        while self.starting {
            match Report::receive(&self.begun.reports) {
                Ok(Some((Report::Terminal, fds))) => self.take_terminal(fds),
                // Only said where nobody waits for the program.
                Ok(Some((Report::Mounted | Report::Created | Report::Listener(_), _))) => {}
                Ok(Some((Report::Failed(failure), _))) => {
                    self.failure = Some(failure);
                    self.starting = false;
                }
                Ok(None) => {
                    self.starting = false;
                    self.started();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.failure =
                        Some(Failure::new(format!("cannot hear the first process: {error}")));
                    self.starting = false;
                    let _gone = signals::kill_pidfd(self.begun.pidfd.as_fd(), libc::SIGKILL);
                }
            }
        }
    }

    fn take_terminal(&mut self, fds: Vec<OwnedFd>) {
        let Some(master) = fds.into_iter().next() else { return };
        let copy = master.try_clone();
        self.begun.input = Some(master);
        if let Ok(output) = copy.and_then(|copy| Output::new(copy, Stream::Stdout)) {
            self.begun.outputs = vec![output];
        }
        for connection in self.connections.iter_mut().filter(|one| one.wants_terminal) {
            connection.wants_terminal = false;
            connection.reply(&Reply::Done, self.begun.input.as_ref());
        }
    }

    fn started(&mut self) {
        let since = clock::boottime();
        self.status.pid = self.begun.pid;
        self.status.since = u64::try_from(since.0.as_nanos()).unwrap_or(u64::MAX);
        let start_time = record::start_time(self.begun.pid).unwrap_or_default();
        let started = Started { pid: self.begun.pid, start_time, since };
        if let Err(error) = record::write_started(&self.dir, started) {
            tracing::warn!("cannot write that the container started: {error}");
        }
        self.tell();
    }
}
