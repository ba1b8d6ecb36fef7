//! The end of a container.

use std::time::{Duration, Instant};

use super::super::output::STALL;
use super::{Shim, exit_code};
use crate::model::{Boottime, Exit};
use crate::runtime::init::Failure;
use crate::sys::clock;

impl Shim {
    /// Writes down how it ended, and only then tells.
    pub(super) fn finish(&mut self) {
        let at = clock::boottime();
        if self.begun.cgroup.pids().is_ok_and(|pids| !pids.is_empty()) {
            // Without a pid namespace of its own, what it started may live on.
            if let Err(error) = self.begun.cgroup.kill() {
                tracing::warn!("cannot kill what the container left: {error}");
            }
        }
        self.drain();
        self.begun.sink.finish();
        let exit = self.exit(at);
        // The room for the record is there; should it fail all the same, the record of the shim's
        // death says that something went wrong.
        if let Err(error) = self.space.fill(&self.dir, &exit) {
            tracing::error!("cannot write how the container ended: {error}");
        }
        self.status.ended = true;
        self.tell();
    }

    /// What is still in the pipes, and what viewers have not read, within a limit.
    fn drain(&mut self) {
        let until = Instant::now() + STALL;
        while !self.begun.outputs.is_empty() && Instant::now() < until {
            let mut progress = false;
            for at in 0..self.begun.outputs.len() {
                let before = self.begun.sink.written();
                self.pass_on(at);
                progress |= self.begun.sink.written() != before;
            }
            self.begun.outputs.retain(|output| !output.ended);
            if !progress {
                break;
            }
        }
        while Instant::now() < until {
            let mut waiting = false;
            for connection in &mut self.connections {
                for viewer in connection.viewers.iter_mut().filter(|v| v.stalled.is_some()) {
                    connection.gone |= !viewer.catch_up();
                    waiting |= viewer.stalled.is_some();
                }
            }
            self.connections.retain(|connection| !connection.gone);
            if !waiting {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn exit(&mut self, at: Boottime) -> Exit {
        let since = Boottime(Duration::from_nanos(self.status.since));
        let started = self.status.pid != 0;
        let ran = if started { at.since(since) } else { Duration::ZERO };
        if let Some(Failure { code, message }) = self.failure.take() {
            return Exit { code, error: Some(message), at, ran, ..Exit::default() };
        }
        let code = self.ended.map_or(255, exit_code);
        let oom = code != 0 && self.begun.cgroup.oom_kills().is_ok_and(|kills| kills > 0);
        Exit { code, oom, at, ran, ..Exit::default() }
    }
}
