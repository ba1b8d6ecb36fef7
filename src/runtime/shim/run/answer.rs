//! What the shim is asked for.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use super::super::output::{Stream, Viewer};
use super::{LISTENS, Shim, Unheard};
use crate::runtime::protocol::{Reply, Request};
use crate::sys::signals;

impl Shim {
    pub(super) fn answer(&mut self, at: usize) {
        let Some((request, fds)) = self.connections[at].request() else { return };
        let reply = match request {
            Request::Watch => {
                let status = self.status;
                return self.connections[at].watch(status);
            }
            Request::Signal(signal) => self.signal(signal),
            Request::Stop { signal, grace } => self.stop(signal, Duration::from_millis(grace)),
            Request::Pause => self.pause(),
            Request::Resume => self.resume(),
            Request::Attach => return self.attach(at, fds),
            Request::CloseStdin => {
                self.begun.input = self.begun.input.take().filter(|_| self.begun.tty);
                Ok(())
            }
            Request::Hello
            | Request::Retire
            | Request::Start { .. }
            // Before this build it was the shim's work.
            | Request::Exec { .. } => {
                return self.connections[at].reply(&Reply::Unknown, None);
            }
        };
        let reply = match reply {
            Ok(()) => Reply::Done,
            Err(why) => Reply::Failed(why),
        };
        self.connections[at].reply(&reply, None);
    }

    pub(super) fn signal(&mut self, signal: i32) -> Result<(), String> {
        if self.status.paused && signal == libc::SIGKILL {
            // A frozen process of version 1 does not even die.
            self.resume()?;
        }
        signals::kill_pidfd(self.begun.pidfd.as_fd(), signal).map_err(|error| error.to_string())
    }

    /// Asks the container to end, and remembers when to end it: that needs no daemon.
    pub(super) fn stop(&mut self, signal: i32, grace: Duration) -> Result<(), String> {
        let kill_at = Instant::now() + grace;
        self.kill_at = Some(self.kill_at.map_or(kill_at, |earlier| earlier.min(kill_at)));
        self.signal(signal)?;
        if self.status.paused {
            self.resume()?;
        }
        self.unheard = (!signals::is_heard(self.status.pid, signal))
            .then(|| Unheard::after(signal, LISTENS.0));
        self.status.stopping = true;
        self.tell();
        Ok(())
    }

    pub(super) fn pause(&mut self) -> Result<(), String> {
        self.begun.cgroup.freeze().map_err(|error| error.to_string())?;
        self.status.paused = true;
        self.tell();
        Ok(())
    }

    pub(super) fn resume(&mut self) -> Result<(), String> {
        self.begun.cgroup.thaw().map_err(|error| error.to_string())?;
        self.status.paused = false;
        self.tell();
        Ok(())
    }

    pub(super) fn attach(&mut self, at: usize, fds: Vec<OwnedFd>) {
        let streams = [Stream::Stdout, Stream::Stderr];
        let viewers =
            fds.into_iter().zip(streams).map(|(fd, stream)| Viewer::new(fd, stream)).collect();
        let connection = &mut self.connections[at];
        match viewers {
            Ok(viewers) => {
                connection.viewers = viewers;
                connection.wants_terminal = self.begun.tty && self.begun.input.is_none();
                if !connection.wants_terminal {
                    connection.reply(&Reply::Done, self.begun.input.as_ref());
                }
            }
            Err(error) => {
                let error: io::Error = error;
                connection.reply(&Reply::Failed(error.to_string()), None);
            }
        }
    }
}
